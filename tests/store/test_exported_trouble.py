"""Exported chats when things go wrong: crashes, two workers, taking back, refusals, limits."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.base.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, Unavailable
from coexist.exported_chats import actions, bringing, made, planning, store, worker
from coexist.exported_chats.model import State
from coexist.inbox import private
from coexist.inbox.switches import Switch
from coexist.intake import purging
from coexist.media import keeping
from coexist.media.sweep import sweep
from tests.support.business import PHONE, deliver
from tests.support.exported import CONTACT, US, zip_bytes
from tests.support.exported_desk import BR, CHAT, FILES, WHEN, Desk, past
from tests.support.intake import KEYRING
from tests.support.switches import switch_off, switch_on
from tests.support.waiting import looping

# ── crashes, undoing ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("crash_at", range(1, 9))
async def test_a_crash_anywhere_ends_in_the_same_rows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """The n-th call of a step that commits fails, half of them after the commit; then the worker takes it up again."""
    await deliver(desk.pool, past("wamid.P", datetime(2026, 1, 5, 9, 3, 41, tzinfo=UTC), None))
    monkeypatch.setattr(bringing, "BATCH_MESSAGES", 3)
    calls = 0

    def breaking(step: Any) -> Any:
        async def wrapped(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == crash_at:
                if crash_at % 2:
                    await step(*given, **named)
                raise asyncio.CancelledError
            return await step(*given, **named)

        return wrapped

    monkeypatch.setattr(keeping, "bring", breaking(keeping.bring))
    monkeypatch.setattr(made, "record", breaking(made.record))
    monkeypatch.setattr(bringing, "_put", breaking(bringing._put))
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    with pytest.raises(asyncio.CancelledError):
        await desk.work()
    with clock.reading(lambda: datetime.now(UTC) + timedelta(minutes=5)):  # the dead worker's claim runs out
        await desk.work()
    done = await desk.chat(chat_id)
    assert done.report is not None
    assert (done.report.new, done.report.filled, done.report.files) == (8, 1, 1)
    assert await desk.rows("SELECT count(*), count(DISTINCT wamid) FROM messages") == [(9, 9)]
    assert await desk.rows("SELECT count(*) FROM media WHERE state = 'stored'") == [(1,)]


async def test_two_workers_and_a_double_click_bring_it_in_once(desk: Desk) -> None:
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    with pytest.raises(Conflict, match="already"):
        await desk.start(chat_id, desk.choices())
    await asyncio.gather(*(desk.work() for _ in range(3)))
    assert await desk.rows("SELECT count(*) FROM messages") == [(9,)]


async def test_undoing_leaves_what_was_here_before(desk: Desk) -> None:
    await deliver(desk.pool, past("wamid.2", WHEN, "ok", outbound=True))
    before = await desk.rows("SELECT id, wamid, text, sent_at FROM messages")
    summary = await desk.rows("SELECT first_message_at, last_message_id, state::text FROM conversations")
    await desk.bring_in(CHAT)
    chat_id = (await desk.last()).id
    await desk.undo(chat_id)
    assert await desk.rows("SELECT id, wamid, text, sent_at FROM messages") == before
    assert await desk.rows("SELECT first_message_at, last_message_id, state::text FROM conversations") == summary
    assert await desk.rows("SELECT count(*) FROM media") == [(0,)]
    assert await desk.rows("SELECT count(*) FROM exported_messages") == [(0,)]
    done = await desk.chat(chat_id)
    assert (done.state, done.undone_at is not None, done.error) == (State.UNDONE, True, None)
    with pytest.raises(Conflict):
        await desk.undo(chat_id)


async def test_undone_and_brought_in_again_is_the_same(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    before = await desk.rows("SELECT wamid, text, sent_at FROM messages ORDER BY wamid")
    await desk.undo((await desk.last()).id)
    assert await desk.texts() == []
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    with pytest.raises(Unavailable, match="is being deleted"):
        await desk.work()
    await sweep(desk.keep, is_thorough=False)  # as the worker does at once
    await desk.work()
    assert await desk.rows("SELECT wamid, text, sent_at FROM messages ORDER BY wamid") == before
    assert await desk.rows("SELECT state::text FROM media") == [("stored",)]


async def test_undoing_leaves_what_somebody_touched_since(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    async with transaction(desk.pool) as conn:
        await conn.execute(
            "INSERT INTO message_changes (inbox_id, wamid, target, kind, by, at, text)"
            " SELECT inbox_id, 'wamid.R', wamid, 'reaction', 'inbound', now(), '👍' FROM messages WHERE text ~ '^Che'"
        )
    await desk.undo((await desk.last()).id)
    assert await desk.texts() == [("outbound", "text", "Chegaram ontem!")]
    assert "1 message stayed" in ((await desk.last()).error or "")


async def test_undoing_one_import_leaves_the_others(desk: Desk) -> None:
    await desk.bring_in(CHAT[:4])
    first = (await desk.last()).id
    await desk.bring_in(CHAT)
    await desk.undo(first)
    assert ("inbound", "text", "Obrigada, até amanhã") in await desk.texts()
    assert await desk.rows("SELECT count(*) FROM messages") == [(6,)]


# ── refused, thrown away ──────────────────────────────────────────────────────────────────────────────────


async def test_what_is_no_chat_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(Invalid, match="not a chat"):
        await desk.give(b"leite, ovos, pao\n", "lista.txt")
    assert not list((desk.settings.data_dir / actions.FOLDER).iterdir())
    assert await desk.rows("SELECT count(*) FROM exported_chats") == [(0,)]


async def test_a_name_with_a_nul_is_the_name_without_it(desk: Desk) -> None:
    """PostgreSQL keeps no U+0000, and files that were saved by other programs have some."""
    strange = [replace(line, who=line.who and line.who.replace(" ", "\0 ")) for line in CHAT]
    chat_id = await desk.give(zip_bytes(BR, strange, FILES))
    found, name = await asyncio.to_thread(planning.survey, actions.path_of(desk.settings.data_dir, chat_id))
    assert set(found.names) == {CONTACT, US}
    assert await planning.candidates(desk.pool, desk.inbox, found, name) is not None


async def test_too_large_a_file_is_refused_while_it_comes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "PACKAGE_BYTES_MAX", 1 << 20)
    with pytest.raises(TooLarge, match="larger than the 1 MiB"):
        await desk.give(bytes(2 << 20))
    assert not list((desk.settings.data_dir / actions.FOLDER).iterdir())


async def test_a_file_beyond_the_limit_stays_on_the_phone_and_the_rest_comes(desk: Desk) -> None:
    desk.settings = replace(desk.settings, media_max_bytes=100)
    desk.keep = replace(desk.keep, settings=desk.settings)
    report = await desk.bring_in(CHAT)
    assert (report.new, report.files, report.refused_files) == (9, 0, 1)
    assert ("inbound", "media_placeholder", "A receita") in await desk.texts()


@pytest.mark.requirement("B11")
async def test_the_switch_of_the_operator_is_honoured(desk: Desk) -> None:
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    async with transaction(desk.pool) as conn:
        await switch_off(conn)
    await desk.work()
    done = await desk.chat(chat_id)
    assert done.state is State.FAILED
    assert "switched off" in (done.error or "")
    assert await desk.texts() == []
    with pytest.raises(Forbidden):
        await desk.start(await desk.give(zip_bytes(BR, CHAT, {})), desk.choices())
    async with transaction(desk.pool) as conn:
        await switch_on(conn)
        await actions.retry(conn, desk.settings, desk.account_id, chat_id)
    await desk.work()
    assert (await desk.chat(chat_id)).state is State.APPLIED


@pytest.mark.requirement("B11")
async def test_files_stay_out_where_they_are_switched_off(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        await switch_off(conn, Switch.MEDIA)
    report = await desk.bring_in(CHAT)
    assert (report.new, report.files, report.refused_files) == (9, 0, 1)
    assert await desk.rows("SELECT count(*) FROM media") == [(0,)]


async def test_a_file_that_cannot_be_deleted_ends_no_loop(desk: Desk) -> None:
    """All loops of a worker live and die together."""
    strange = desk.settings.data_dir / actions.FOLDER / "77"
    strange.mkdir(parents=True)
    os.utime(strange, (0, 0))
    async with looping(worker.run(desk.pool, desk.settings, KEYRING, desk.keep, wake=asyncio.Event())):
        await asyncio.sleep(1)  # in which one that fails at once would have


@pytest.mark.requirement("G11")
async def test_nothing_of_a_private_number_is_brought_in(desk: Desk) -> None:
    """Neither where its number is in the chat, nor where somebody says it is theirs, nor in the middle of an import."""
    async with transaction(desk.pool) as conn:
        await private.add(conn, KEYRING, "Inês", desk.account_id, "+351 910 559 111")
    named = [replace(line, who="+351 910 559 111" if line.who == CONTACT else line.who) for line in CHAT]
    with pytest.raises(Forbidden, match="This is a private number"):
        await desk.give(zip_bytes(BR, named, FILES))
    with pytest.raises(Forbidden, match="This is a private number"):
        await desk.give(zip_bytes(BR, CHAT, FILES), "WhatsApp Chat with +351 910-559 111.zip")
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES), "WhatsApp Chat with +351 910 559 222.zip")
    assert (await desk.chat(chat_id)).file_name == "WhatsApp Chat with ….zip", "it may become private yet"
    await desk.start(chat_id, desk.choices())
    await desk.work()
    assert "private number" in ((await desk.chat(chat_id)).error or "")
    assert b"910559111" not in await _told(desk), "nor what was decided about the file"
    assert await desk.texts() == []
    assert not list((desk.settings.data_dir / actions.FOLDER).iterdir()), "the file goes at once"


@pytest.mark.requirement("G11")
async def test_a_number_that_becomes_private_on_the_way_ends_the_import(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "BATCH_MESSAGES", 3)
    put, count = bringing._put, 0

    async def put_and_hide(*given: Any) -> None:
        nonlocal count
        await put(*given)
        count += 1
        if count == 1:
            async with transaction(desk.pool) as conn:
                await private.add(conn, KEYRING, "Inês", desk.account_id, PHONE)

    monkeypatch.setattr(bringing, "_put", put_and_hide)
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    await desk.work()
    assert (await desk.chat(chat_id)).state is State.FAILED
    assert len(await desk.texts()) == 3, "what was here before is removed when somebody asks for that"
    assert PHONE.encode() not in await _told(desk)


@pytest.mark.requirement("G11")
async def test_of_an_import_that_failed_nothing_tells_of_whom_it_was_once_they_are_private(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its end an import knows no conversation: what was decided names the person all the same."""

    async def refuse(*_: Any) -> None:
        raise Invalid("refused by the test")

    monkeypatch.setattr(bringing, "_put", refuse)
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    await desk.work()
    assert (await desk.chat(chat_id)).state is State.FAILED
    assert PHONE.encode() in await _told(desk)
    async with transaction(desk.pool) as conn:
        number_id = await private.add(conn, KEYRING, "Inês", desk.account_id, PHONE)
        await private.want_purge(conn, KEYRING, desk.account_id, number_id, typed=PHONE)
    assert await desk.rows("SELECT state::text FROM media") == [("stored",)]
    while await purging.step(desk.pool, KEYRING):
        pass
    assert PHONE.encode() not in await _told(desk)
    await worker.tidy(desk.pool, desk.settings)
    await _has_no_file(desk)


async def _has_no_file(desk: Desk) -> None:
    """A file is kept before its message is written, and outlives no import that ends between the two."""
    assert await desk.rows("SELECT state::text FROM media") == []
    await sweep(desk.keep, is_thorough=False)
    left = [path for path in (desk.settings.data_dir / "media").rglob("*") if path.is_file()]
    assert left == [], "no byte of it"


@pytest.mark.requirement("G11")
@pytest.mark.parametrize("fills", [False, True])
async def test_a_file_of_whom_becomes_private_before_its_message_is_written_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fills: bool
) -> None:
    if fills:
        await deliver(desk.pool, past("wamid.P", datetime(2026, 1, 5, 9, 3, 41, tzinfo=UTC), None))
    bring = keeping.bring

    async def bring_and_hide(*given: Any, **named: Any) -> None:
        await bring(*given, **named)
        assert await desk.rows("SELECT state::text FROM media") == [("stored",)]
        async with transaction(desk.pool) as conn:
            await private.add(conn, KEYRING, "Inês", desk.account_id, PHONE)

    monkeypatch.setattr(keeping, "bring", bring_and_hide)
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    await desk.work()
    assert (await desk.chat(chat_id)).state is State.FAILED
    await _has_no_file(desk)


@pytest.mark.requirement("G11")
async def test_nothing_of_an_upload_is_left_once_somebody_is_private(desk: Desk) -> None:
    """Nobody has said whose it is, so it may be theirs; and what is being taken back is known to be."""
    await desk.bring_in(CHAT)
    undoing = (await desk.last()).id
    async with transaction(desk.pool) as conn:
        await actions.undo(conn, desk.account_id, undoing)
    waiting = await desk.give(zip_bytes(BR, CHAT, FILES))
    async with transaction(desk.pool) as conn:
        number_id = await private.add(conn, KEYRING, "Inês", desk.account_id, PHONE)
    with pytest.raises(NotFound):
        await desk.chat(waiting)
    folder = desk.settings.data_dir / actions.FOLDER
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    await worker.tidy(desk.pool, desk.settings)
    assert not list(folder.iterdir())
    async with transaction(desk.pool) as conn:
        await private.want_purge(conn, KEYRING, desk.account_id, number_id, typed=PHONE)
    while await purging.step(desk.pool, KEYRING):
        pass
    await desk.work()
    assert (await desk.chat(undoing)).state is State.UNDONE
    assert PHONE.encode() not in await _told(desk)


async def _told(desk: Desk) -> bytes:
    """What the table of imports says."""
    async with desk.pool.connection() as conn, conn.cursor().copy("COPY exported_chats TO STDOUT") as copy:
        return b"".join([bytes(piece) async for piece in copy])


async def test_an_upload_is_thrown_away_by_hand_or_after_a_day(desk: Desk) -> None:
    first, second = [await desk.give(zip_bytes(BR, CHAT, FILES)) for _ in range(2)]
    async with transaction(desk.pool) as conn:
        await actions.discard(conn, desk.settings, desk.account_id, first)
    left = list((desk.settings.data_dir / actions.FOLDER).iterdir())
    assert [path.name for path in left] == [str(second)]
    await worker.tidy(desk.pool, desk.settings)
    assert left[0].exists(), "somebody may still decide"
    os.utime(left[0], (0, 0))
    with clock.reading(lambda: datetime.now(UTC) + worker.UPLOAD_LIFE + timedelta(minutes=1)):
        await worker.tidy(desk.pool, desk.settings)
    assert not list((desk.settings.data_dir / actions.FOLDER).iterdir())
    with pytest.raises(NotFound):
        await desk.chat(second)


async def test_another_accounts_import_does_not_exist(desk: Desk) -> None:
    chat_id = await desk.give(zip_bytes(BR, CHAT, {}))
    async with transaction(desk.pool) as conn:
        for attempt in (store.chat(conn, 999, chat_id), actions.undo(conn, 999, chat_id)):
            with pytest.raises(NotFound):
                await attempt
