"""`coexist import-chat` as somebody types it: looked at, brought in, taken back, refused in words."""

from __future__ import annotations

from pathlib import Path

from coexist.base.database import Pool
from tests.support.business import open_business
from tests.support.command_line import Coexist
from tests.support.exported import PHONES, US, Line, clock, write_zip
from tests.support.exported_desk import BR, CHAT, FILES, ONBOARDED_AT

TO = ("import-chat", "--account", "Ótica Duarte")
SAID = ("--contact", "+351 910 559 111", "--own-name", US, "--time-zone", "Europe/Lisbon")


async def count(pool: Pool) -> int:
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM messages")).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_chat_is_looked_at_brought_in_and_taken_back(coexist: Coexist, pool: Pool, tmp_path: Path) -> None:
    await open_business(pool, onboarded_at=ONBOARDED_AT)
    file = write_zip(tmp_path / "Conversa do WhatsApp com Marta Reis.zip", BR, CHAT, FILES)
    looked = await coexist(*TO, str(file), *SAID, "--preview")
    assert (looked.code, looked.err) == (0, "")
    assert "Thread: a new contact, +351910559111" in looked.out
    assert "To do: 9 new" in looked.out
    assert await count(pool) == 0
    brought = await coexist(*TO, str(file), *SAID)
    assert brought.code == 0, brought.err
    assert "9 new" in brought.out
    number = brought.out.partition("--undo ")[2].split()[0]
    assert await count(pool) == 9
    again = await coexist(*TO, str(file), *SAID)
    assert "0 new, 0 filled in where only the phone had them, 9 here already" in again.out
    assert "Everything is here already: nothing was brought in." in again.out
    assert "--undo" not in again.out, "no import is made of nothing"
    undone = await coexist(*TO, "--undo", number)
    assert undone.out == f"Import {number} is taken back.\n"
    assert await count(pool) == 0
    assert file.exists(), "the file that was given is left alone"


async def test_what_is_missing_or_wrong_is_said(coexist: Coexist, pool: Pool, tmp_path: Path) -> None:
    await open_business(pool, onboarded_at=ONBOARDED_AT)
    asked = [Line(clock(2026, 3, 4, 9, 5), "Marta", "Olá"), Line(clock(2026, 3, 4, 9, 6), "Loja", "Bom dia")]
    file = tmp_path / "chat.txt"
    file.write_text(PHONES["en-GB android"].text(asked))
    missing = await coexist(*TO, str(file))
    assert missing.code == 2
    for sentence in ("Say whose chat this is.", "Say which of the names is us.", "Say how the dates are to be read"):
        assert sentence in missing.err
    for arguments, words in (
        ((), "Give the file that the phone exported"),
        ((str(tmp_path / "none.zip"),), "cannot be read: No such file or directory"),
        ((str(file), "--number", "+1 555 0100"), "No such number is connected. Connected: +351210559000."),
        (("--undo", "77"), "This import does not exist"),
    ):
        refused = await coexist(*TO, *arguments)
        assert refused.code in (1, 2)
        assert words in refused.err
    assert not any((tmp_path / "data" / "exported-chats").glob("*")), "what was not brought in is not kept"
