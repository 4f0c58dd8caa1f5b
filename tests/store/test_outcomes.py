"""What became of a sent message: the answer, the status and the echo race each other, and all tell of one message."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from coexist.base import database
from coexist.base.database import Connection, Pool, transaction
from coexist.events.feed import NewEvent
from coexist.inbox import sent
from coexist.meta.graph import Graph
from coexist.outbound import attempts, worker
from coexist.outbound.model import OutboxState
from tests.support.business import BSUID, KEYRING, Business, deliver, echo, inbound, open_business, status
from tests.support.outbox import claim_due, execute, rows, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def test_a_status_settles_what_was_unclear(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.answers.append(ConnectionResetError())
    ref = uuid4()
    await write(business, ref=ref)
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.REAL", "delivered", our_ref=f"cx:{ref}"))
    await worker.sweep(business.pool)
    assert await rows(business) == [("Bom dia", "accepted", "wamid.REAL", 4)]


@pytest.mark.requirement("D2")
@pytest.mark.parametrize("first", ["echo", "status", "answer"])
async def test_answer_status_and_echo_race_to_one_message(
    business: Business, graphs: tuple[ScriptedGraph, Graph], first: str
) -> None:
    scripted, graph = graphs
    ref = uuid4()
    await write(business, ref=ref)
    told = [echo("wamid.OUT1", "Bom dia"), status("wamid.OUT1", "read", our_ref=f"cx:{ref}")]
    if first == "answer":
        await send_due(business, graph)
        await deliver(business.pool, *told)
    else:
        claimed = await claim_due(business)
        await deliver(business.pool, *(told if first == "echo" else reversed(told)))
        for each in claimed:
            await worker.send(business.pool, graph, KEYRING, each)
    await worker.sweep(business.pool)
    async with business.pool.connection() as conn:
        found = await (
            await conn.execute("SELECT wamid, origin::text, status FROM messages WHERE direction = 'outbound'")
        ).fetchall()
    assert found == [("wamid.OUT1", "api", 5)]
    assert await states(business) == ["accepted"]
    assert len(scripted.of("/messages")) == 1


@pytest.mark.requirement("D2")
@pytest.mark.parametrize("first", ["echo", "answer"])
async def test_the_echo_tells_the_same_person_whenever_it_comes(
    business: Business, graphs: tuple[ScriptedGraph, Graph], first: str
) -> None:
    _, graph = graphs
    await write(business)
    told = echo("wamid.OUT1", "Bom dia")
    told["value"]["message_echoes"][0]["to_user_id"] = BSUID
    (claimed,) = await claim_due(business)
    if first == "echo":
        await deliver(business.pool, told)
    await worker.send(business.pool, graph, KEYRING, claimed)
    if first == "answer":
        await deliver(business.pool, told)
    async with business.pool.connection() as conn:
        found = await conn.execute("SELECT peer, origin::text FROM messages WHERE direction = 'outbound'")
        assert await found.fetchall() == [(BSUID, "api")]


@pytest.mark.requirement("D1")
async def test_an_echo_of_another_wamid_stays_a_message_of_its_own(business: Business) -> None:
    message_id = await write(business)
    await deliver(business.pool, echo("wamid.ANOTHER", "Bom dia"))
    async with transaction(business.pool) as conn:
        assert await sent.learn_wamid(conn, message_id, "wamid.FIRST")
        assert await sent.learn_wamid(conn, message_id, "wamid.ANOTHER") == []
        found = await conn.execute("SELECT wamid FROM messages WHERE direction = 'outbound' ORDER BY wamid")
        assert await found.fetchall() == [("wamid.ANOTHER",), ("wamid.FIRST",)]


@pytest.mark.requirement("D2")
async def test_an_answer_of_metas_outlasts_whatever_the_database_says(
    business: Business, graphs: tuple[ScriptedGraph, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = graphs
    learn, errors = sent.learn_wamid, [psycopg.errors.LockNotAvailable(), psycopg.errors.QueryCanceled()]

    async def late(conn: Connection, message_id: int, wamid: str) -> list[NewEvent]:
        if errors:
            raise errors.pop()
        return await learn(conn, message_id, wamid)

    monkeypatch.setattr(sent, "learn_wamid", late)
    monkeypatch.setattr(database, "LASTING_PAUSE_S", 0.01)
    await write(business)
    await send_due(business, graph)
    assert await rows(business) == [("Bom dia", "accepted", "wamid.OUT1", 1)]
    assert errors == []


async def test_what_is_unclear_is_not_put_back_in_line_by_a_late_outcome(business: Business) -> None:
    await write(business)
    (claimed,) = await claim_due(business)
    await execute(business, "UPDATE outbox SET state = 'unclear'")
    async with transaction(business.pool) as conn:
        assert not await attempts.settle(conn, claimed.our_ref, OutboxState.QUEUED)
    assert await states(business) == ["unclear"]
