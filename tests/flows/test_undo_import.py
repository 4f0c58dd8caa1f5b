"""`coexist receipt`, `undo-import` and `reapply-import` as somebody types them."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from coexist.base import clock
from coexist.base.database import Pool, transaction
from tests.store.test_undoing import past_of_three
from tests.support import intake
from tests.support.command_line import Coexist
from tests.support.intake import SHOP


async def count(pool: Pool) -> int:
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM messages")).fetchone()
    assert row is not None
    return int(row[0])


async def test_an_import_is_told_of_taken_back_and_brought_back(coexist: Coexist, pool: Pool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    await intake.deliver(pool, past_of_three())
    told = await coexist("receipt", "--inbox", "1", "--json")
    assert told.code == 0, told.err
    receipt = msgspec.json.decode(told.out)
    assert receipt["figures"]["messages"] == 5
    assert {zero["count"] for zero in receipt["zeros"]} == {0}
    looked = await coexist("undo-import", "--inbox", "1", "--dry-run")
    assert "3 conversations with 5 messages would be removed" in looked.out
    coming = "UPDATE syncs SET state = 'receiving', last_arrival_at = %s WHERE kind = 'contacts'"
    async with transaction(pool) as conn:
        await conn.execute(coming, (clock.now(),))
    early = await coexist("undo-import", "--inbox", "1")
    assert "The contacts are still coming in." in early.err
    assert "Type the number" not in early.out
    async with transaction(pool) as conn:
        await conn.execute(coming, (clock.now() - timedelta(minutes=11),))
    wrong = await coexist("undo-import", "--inbox", "1", typed="5511985500102\n")
    assert wrong.code == 2
    assert "nothing was removed" in wrong.err
    assert await count(pool) == 5
    undone = await coexist("undo-import", "--inbox", "1", typed=f"+{SHOP.display}\n")
    assert "Removed: 3 conversations, 5 messages, 3 contacts." in undone.out
    assert await count(pool) == 0
    again = await coexist("reapply-import", "--inbox", "1")
    assert "2 deliveries are in line" in again.out
    await intake.apply_all(pool)
    assert await count(pool) == 5
    async with pool.connection() as conn:
        noted = await (await conn.execute("SELECT event, value ->> 'by' FROM inbox_timeline ORDER BY id")).fetchall()
    assert [event for event, _ in noted][-2:] == ["IMPORT_UNDONE", "IMPORT_BROUGHT_BACK"]
    assert all("on the command line" in by for _, by in noted[-2:])


async def test_an_import_that_disturbed_somebody_ends_the_command_with_four(coexist: Coexist, pool: Pool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    await intake.deliver(pool, past_of_three())
    async with transaction(pool) as conn:
        await conn.execute("UPDATE conversations SET unread_count = 1")
    told = await coexist("receipt", "--inbox", "1")
    assert told.code == 4
    assert "WRONG Made unread: 3, in conversations: 1, 2, 3" in told.out
    assert "no gap" in told.out
    assert "Came        3 chats with 5 new messages, 3 contacts with chats, 0 in the address book" in told.out
    missing = await coexist("receipt", "--inbox", "9")
    assert (missing.code, missing.err.splitlines()[0]) == (
        1, "There is no inbox 9 with the phone app. `coexist doctor --no-meta` names every inbox."
    )  # fmt: skip
