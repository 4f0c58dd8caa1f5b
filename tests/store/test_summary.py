"""Who waits, what is unread and what is open, while messages, replies and people's decisions cross each other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeAlias
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Connection, Pool, transaction
from coexist.inbox import actions
from coexist.meta.graph import Graph
from coexist.outbound.actions import send_text
from tests.support import outbox
from tests.support.business import KEYRING, Business, conversation_of, deliver, inbound, open_business, status
from tests.support.scripted_graph import ScriptedGraph, error

Deed: TypeAlias = Callable[[Connection, Business, int, int], Awaitable[Any]]


async def _read(conn: Connection, business: Business, conversation_id: int, seen: int) -> None:
    await actions.mark_read(conn, business.member, conversation_id, seen)


async def _resolve(conn: Connection, business: Business, conversation_id: int, seen: int) -> None:
    await actions.resolve(conn, business.member, conversation_id)


async def _send(conn: Connection, business: Business, conversation_id: int, seen: int) -> None:
    await send_text(conn, KEYRING, business.member, conversation_id, "Bom dia", our_ref=uuid4())


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


Summary: TypeAlias = tuple[str, int, bool]


async def summary(business: Business) -> Summary:
    """(state, unread messages, whether the customer waits) of the only conversation."""
    query = "SELECT state::text, unread_count, waiting_since IS NOT NULL FROM conversations"
    ((state, unread_count, is_waiting),) = await rows(business.pool, query)
    return state, unread_count, is_waiting


NOTHING_DONE: Final = ("open", 1, True)


@pytest.fixture
async def shop(pool: Pool) -> Business:
    """A business to which a customer has written a while ago."""
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá", at=clock.now() - timedelta(minutes=10)))
    assert await summary(business) == NOTHING_DONE
    return business


# ── at the same time ──────────────────────────────────────────────────────────────────────────────────────

LATE: Final = 4711


@asynccontextmanager
async def batch_under_way(business: Business, text: str) -> AsyncIterator[asyncio.Task[None]]:
    """A batch that has added this message and commits when the block ends."""
    async with business.pool.connection() as conn:
        await conn.execute(
            f"""
            CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_advisory_xact_lock({LATE}); RETURN NULL; END $$;
            CREATE TRIGGER pause AFTER INSERT ON messages
                FOR EACH ROW WHEN (NEW.direction = 'inbound') EXECUTE FUNCTION pause()"""
        )
        await conn.execute("SELECT pg_advisory_lock(%s)", (LATE,))
        batch = asyncio.create_task(deliver(business.pool, inbound("wamid.LATE", text)))
        try:
            assert await waits(business.pool, batch, 1)
            yield batch
        finally:
            await conn.execute("SELECT pg_advisory_unlock(%s)", (LATE,))
    await batch


async def waits(pool: Pool, task: asyncio.Task[Any], count: int) -> bool:
    """Whether ``task`` comes to wait for a lock, as the last of ``count`` transactions, before it is done."""
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(8):
        while not task.done():
            if len(await rows(pool, query)) >= count:
                return True
            await asyncio.sleep(0.01)
    return False


@pytest.mark.requirement("D8")
@pytest.mark.parametrize(
    ("deed", "after"),
    [(_read, ("open", 1, True)), (_resolve, ("resolved", 2, True)), (_send, ("open", 0, False))],
)
async def test_what_is_decided_while_a_message_comes_in_is_decided_after_it(
    shop: Business, deed: Deed, after: Summary
) -> None:
    conversation_id = await conversation_of(shop.pool)
    ((seen,),) = await rows(shop.pool, "SELECT id FROM messages")

    async def act() -> None:
        async with transaction(shop.pool) as conn:
            await deed(conn, shop, conversation_id, seen)

    async with batch_under_way(shop, "Urgent!"):
        acting = asyncio.create_task(act())
        assert await waits(shop.pool, acting, 2)
    await acting
    assert await summary(shop) == after


@pytest.mark.requirement("D8")
async def test_a_message_that_comes_in_while_we_answer_and_resolve_is_unread_and_opens_again(shop: Business) -> None:
    conversation_id = await conversation_of(shop.pool)
    ((seen,),) = await rows(shop.pool, "SELECT id FROM messages")
    async with transaction(shop.pool) as conn:
        for deed in (_send, _read, _resolve):
            await deed(conn, shop, conversation_id, seen)
        written = clock.now() - timedelta(minutes=5)  # before our answer, but nobody here had it
        batch = asyncio.create_task(deliver(shop.pool, inbound("wamid.LATE", "Urgent!", at=written)))
        assert await waits(shop.pool, batch, 1)
    await batch
    assert await summary(shop) == ("open", 1, True)


# ── replies ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("D8")
async def test_a_reply_that_meta_refuses_leaves_the_customer_waiting_and_unread(
    shop: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await outbox.write(shop)
    assert await summary(shop) == ("open", 0, False)
    scripted.answers.append(error(131026))
    await outbox.send_due(shop, graph)
    assert await outbox.states(shop) == ["failed"]
    assert await summary(shop) == NOTHING_DONE


@pytest.mark.requirement("D8")
@pytest.mark.parametrize("words", [["failed"], ["sent", "failed"], ["failed", "sent"]])
async def test_a_reply_that_meta_could_not_deliver_leaves_the_customer_waiting_and_unread(
    shop: Business, graphs: tuple[ScriptedGraph, Graph], words: list[str]
) -> None:
    _, graph = graphs
    await outbox.write(shop)
    await outbox.send_due(shop, graph)
    assert await summary(shop) == ("open", 0, False)
    ((_, _, wamid, _),) = await outbox.rows(shop)
    for word in words:  # "sent" outranks "failed" and stays what is shown: the errors tell
        errors = [{"code": 131026, "title": "Message undeliverable"}] if word == "failed" else []
        await deliver(shop.pool, status(wamid, word, errors=errors))
    assert await summary(shop) == NOTHING_DONE


@pytest.mark.requirement("D8", "D13")
@pytest.mark.parametrize("words", [["failed"], ["sent", "failed"], ["failed", "sent"]])
async def test_a_failure_without_a_reason_is_one_as_well(
    shop: Business, graphs: tuple[ScriptedGraph, Graph], words: list[str]
) -> None:
    _, graph = graphs
    await outbox.write(shop)
    await outbox.send_due(shop, graph)
    ((_, _, wamid, _),) = await outbox.rows(shop)
    for word in words:
        await deliver(shop.pool, status(wamid, word))
    assert await summary(shop) == NOTHING_DONE


@pytest.mark.requirement("D8")
async def test_a_message_that_came_after_our_reply_waits_though_it_is_dated_before_it(shop: Business) -> None:
    await outbox.write(shop)
    assert await summary(shop) == ("open", 0, False)
    await deliver(shop.pool, inbound("wamid.LATE", "And my order?", at=clock.now() - timedelta(minutes=5)))
    assert await summary(shop) == ("open", 1, True)


@pytest.mark.requirement("D8")
async def test_a_message_that_came_after_it_was_resolved_opens_again_though_it_is_dated_before(shop: Business) -> None:
    async with transaction(shop.pool) as conn:
        await _resolve(conn, shop, await conversation_of(shop.pool), 0)
    assert await summary(shop) == ("resolved", 1, True)
    await deliver(shop.pool, inbound("wamid.LATE", "And my order?", at=clock.now() - timedelta(minutes=5)))
    assert await summary(shop) == ("open", 2, True)


@pytest.mark.requirement("E9")
async def test_who_writes_in_the_second_of_connecting_opens_the_window(pool: Pool) -> None:
    connected_at = clock.now().replace(microsecond=900_000) - timedelta(minutes=5)
    business = await open_business(pool, onboarded_at=connected_at)
    second = connected_at.replace(microsecond=0)  # the wire knows no less
    await deliver(pool, inbound("wamid.BEFORE", "Olá", at=second - timedelta(seconds=1)))
    assert await rows(business.pool, "SELECT window_opened_at FROM conversations") == [(None,)]
    await deliver(pool, inbound("wamid.WITHIN", "Olá?", at=second))
    assert await rows(business.pool, "SELECT window_opened_at FROM conversations") == [(second,)]
