"""Exported chats while something else is under way: what comes at the same moment is here once, and whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from coexist.base.database import transaction
from coexist.exported_chats import bringing, planning, told_again
from coexist.exported_chats.model import State
from coexist.inbox import told_again as wanting
from tests.store.test_exported_told_again import FILE_AT, HISTORY, compare
from tests.support.business import deliver, inbound
from tests.support.exported import zip_bytes
from tests.support.exported_desk import BR, CHAT, FILES, Desk, past
from tests.support.waiting import until

OTHER: Final = "351910559222"
WAITS: Final = """
SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE a.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted
"""


@asynccontextmanager
async def held_before_its_commit(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold the next batch that tells of the past after its last statement; inside, wait until it has come so far."""
    want, reached, released = wanting.want, asyncio.Event(), asyncio.Event()

    async def held(*args: Any) -> None:
        monkeypatch.setattr(wanting, "want", want)
        await want(*args)
        reached.set()
        await released.wait()

    async def wait() -> None:
        await reached.wait()

    monkeypatch.setattr(wanting, "want", held)
    try:
        yield wait
    finally:
        released.set()


@pytest.mark.requirement("D1")
async def test_what_is_being_written_when_an_import_begins_is_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ids are given, and later ones are here already, but nobody sees it yet."""
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    planned = asyncio.Event()
    plan = planning.plan

    async def noticed(*args: Any, **kwargs: Any) -> planning.Plan:
        made = await plan(*args, **kwargs)
        planned.set()
        return made

    monkeypatch.setattr(planning, "plan", noticed)
    async with asyncio.TaskGroup() as tasks:
        async with held_before_its_commit(monkeypatch) as held:
            telling = tasks.create_task(deliver(desk.pool, HISTORY[1]))
            await held()
            await deliver(desk.pool, inbound("wamid.now", "Olá", phone=OTHER))
            importing = tasks.create_task(desk.work())

            async def goes_on_or_waits() -> bool:
                return planned.is_set() or bool(await desk.rows(WAITS))

            await until(goes_on_or_waits, "the import has read the thread, or waits")
        await telling
        await importing
    await compare(desk)
    assert [text for _, _, text in await desk.texts()].count("ok") == 2


@pytest.mark.requirement("D1")
async def test_what_is_being_written_when_an_import_ends_is_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found no import that was done, and is not here yet when the import is compared."""
    chat_id = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.start(chat_id, desk.choices())
    put = bringing._put
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as holding:

        async def then_more_comes(*args: Any) -> None:
            await put(*args)
            held = await holding.enter_async_context(held_before_its_commit(monkeypatch))
            tasks.create_task(deliver(desk.pool, HISTORY[1]))
            await held()

        monkeypatch.setattr(bringing, "_put", then_more_comes)
        importing = tasks.create_task(desk.work())

        async def is_done_or_waits() -> bool:
            return importing.done() or bool(await desk.rows(WAITS))

        await until(is_done_or_waits, "the import has ended, or waits")
        if importing.done():
            await compare(desk)
    await compare(desk)
    assert [text for _, _, text in await desk.texts()].count("ok") == 2


@pytest.mark.requirement("D1")
async def test_what_whatsapp_tells_better_while_chats_are_compared_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.bring_in(CHAT)
    await deliver(desk.pool, HISTORY[2])
    give_way = told_again._give_way

    async def overtaken(*args: Any) -> int:
        await deliver(desk.pool, past("wamid.P", FILE_AT, "Afinal era isto"))
        return await give_way(*args)

    monkeypatch.setattr(told_again, "_give_way", overtaken)
    await compare(desk)
    told = await desk.rows("SELECT type, text, content_rank FROM messages WHERE wamid = 'wamid.P'")
    assert told == [("text", "Afinal era isto", 20)]


@pytest.mark.requirement("D7")
async def test_an_import_of_which_another_has_filled_a_message_in_is_taken_back(desk: Desk) -> None:
    """The first that was given, with its files, is decided about last."""
    whole = await desk.give(zip_bytes(BR, CHAT, FILES))
    await desk.bring_in([*CHAT[:5], replace(CHAT[5], text="", file="", is_omitted=True)], {})
    bare = (await desk.last()).id
    await deliver(desk.pool, HISTORY[2])
    await compare(desk)
    await desk.start(whole, desk.choices())
    await desk.work()
    await desk.undo(bare)
    assert (await desk.chat(bare)).state is State.UNDONE


async def test_workers_that_bring_more_into_the_same_conversation_do_not_lock_each_other_out(desk: Desk) -> None:
    """Two chats of one conversation, the first of which lies behind the second."""
    await desk.bring_in(CHAT)
    await desk.bring_in([replace(CHAT[1], text="Outra coisa")], {})
    behind = "SELECT FROM exported_chats a, exported_chats b WHERE a.id = 1 AND b.id = 2 AND a.ctid > b.ctid"
    while not await desk.rows(behind):
        await desk.rows("UPDATE exported_chats SET error = NULL WHERE id = 1 RETURNING id")
    conversation_id = (await desk.rows("SELECT id FROM conversations"))[0][0]

    async def bring_more() -> None:
        async with transaction(desk.pool) as conn:
            await wanting.want(conn, [conversation_id])

    async def waits() -> bool:
        return bool(
            await desk.rows(
                "SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = current_database()"
            )
        )

    async with asyncio.TaskGroup() as tasks, transaction(desk.pool) as conn:
        await conn.execute("UPDATE exported_chats SET compare_wanted_at = NULL WHERE id = 1")
        tasks.create_task(bring_more())
        await until(waits, "the other worker waits for the first chat")
        await conn.execute("UPDATE exported_chats SET compare_wanted_at = NULL WHERE id = 2")
    assert await desk.rows("SELECT count(*) FROM exported_chats WHERE compare_wanted_at IS NOT NULL") == [(2,)]
