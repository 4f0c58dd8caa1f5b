"""The sender against a scripted Graph: each attempt once, nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import actions as connecting
from coexist.inbox import private, sent
from coexist.meta.graph import Graph
from coexist.outbound import actions, attempts, rules, worker
from coexist.outbound.model import Sending
from tests.support.business import (
    KEYRING,
    NUMBER,
    PHONE,
    WABA,
    Business,
    conversation_of,
    deliver,
    inbound,
    open_business,
)
from tests.support.outbox import claim_due, execute, frozen, rows, send_due, states, write
from tests.support.scripted_graph import Answer, ScriptedGraph, error, scripted_graph
from tests.support.waiting import PATIENCE_S, looping, until


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


# ── what Meta answers ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_refusal_fails_with_a_sentence(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131026))
    message_id = await write(business)
    await send_due(business, graph)
    assert await rows(business) == [("Bom dia", "failed", None, 2)]
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT error_code, error, fbtrace_id FROM outbox")).fetchone()
    assert row is not None
    assert (row[0], row[2]) == (131026, "AbTrace")
    assert "could not deliver" in row[1]
    assert await send_due(business, graph) == 0
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, KEYRING, business.member, message_id) == message_id
    assert await send_due(business, graph) == 1
    assert await rows(business) == [("Bom dia", "accepted", "wamid.OUT2", 1)]


@pytest.mark.parametrize(("code", "is_logged"), [(135000, True), (100, True), (131026, False)])
async def test_what_a_refused_request_was_made_of_is_logged_without_its_words(
    business: Business, graphs: tuple[ScriptedGraph, Graph], code: int, is_logged: bool
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(code))
    await write(business, "Bom dia, Rui")
    with capture_logs() as lines:
        await send_due(business, graph)
    (refused,) = (line for line in lines if line["event"] == "send_refused")
    assert ("text.body: 12 characters" in refused.get("shape", ())) is is_logged
    assert "Bom dia" not in str(lines)
    assert PHONE not in str(lines)


@pytest.mark.parametrize("how", ["reset", "html", "unknown"])
async def test_an_unclear_outcome_is_never_sent_again_by_itself(
    business: Business, graphs: tuple[ScriptedGraph, Graph], how: str
) -> None:
    from aiohttp import web

    scripted, graph = graphs
    page = web.Response(text="<html>Bad gateway", status=502)
    answers: dict[str, Answer] = {"reset": ConnectionResetError(), "html": page, "unknown": error(1, status=500)}
    scripted.answers.append(answers[how])
    await write(business)
    await send_due(business, graph)
    for hours in (0, 1, 100):
        later = clock.now() + timedelta(hours=hours)
        with frozen(later):
            assert await send_due(business, graph) == 0
    assert await states(business) == ["unclear"]
    assert len(scripted.of("/messages")) == 1


async def test_what_could_not_begin_was_not_sent(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    await write(business)
    for claimed in await claim_due(business):
        await worker.send(business.pool, graph, Keyring([b"x" * 32]), claimed)
    assert await states(business) == ["queued"]
    assert scripted.asked == []
    with frozen(clock.now() + timedelta(minutes=3)):
        await send_due(business, graph)
    assert await states(business) == ["accepted"]


@pytest.mark.parametrize("how", ["error", "stop"])
async def test_what_one_number_claimed_is_sent_whatever_happens_at_the_next(
    business: Business, graphs: tuple[ScriptedGraph, Graph], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    _, graph = graphs
    claim, reached = worker.claim, asyncio.Event()

    async def broken(pool: Pool, inbox_id: int, per_second: int, count: int) -> Sequence[Sending]:
        if inbox_id != business.inbox.id:
            raise AppError("The database is away.")
        claimed = await claim(pool, inbox_id, per_second, count)
        if claimed:
            reached.set()
            await asyncio.sleep(0.1)  # committed; here the other number fails, or somebody stops us
        return claimed

    async def both(pool: Pool) -> Sequence[int]:
        return [business.inbox.id, business.inbox.id + 1]

    monkeypatch.setattr(worker, "claim", broken)
    monkeypatch.setattr(worker, "due", both)
    await write(business)
    task = asyncio.create_task(worker.run(business.pool, graph, KEYRING, sends_per_second=20, wake=asyncio.Event()))
    async with asyncio.timeout(PATIENCE_S):
        await reached.wait()
    if how == "error":
        await asyncio.sleep(0.5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await states(business) == ["accepted"]


async def test_sweeping_and_naming_read_no_whole_table(business: Business) -> None:
    await write(business)
    many = (
        "INSERT INTO messages (inbox_id, conversation_id, wamid, peer, direction, origin, imported, opens_window,"
        " is_time_doubtful, content_rank, direction_rank, forwarded, status, type, sent_at, our_ref)"
        " SELECT inbox_id, conversation_id, 'wamid.' || n, peer, direction, origin, imported, opens_window,"
        " is_time_doubtful, content_rank, direction_rank, forwarded, 3, type, sent_at, gen_random_uuid()"
        " FROM messages, generate_series(1, 20000) n WHERE our_ref IS NOT NULL"
    )
    await execute(business, many)
    await execute(
        business,
        "INSERT INTO outbox (our_ref, inbox_id, message_id, payload, state, settled_at)"
        " SELECT our_ref, inbox_id, id, '{}', (CASE WHEN mod(id, 10) = 0 THEN 'failed' ELSE 'accepted' END)"
        "::outbox_state, now() - interval '30 days' FROM messages WHERE wamid IS NOT NULL AND our_ref IS NOT NULL",
    )
    await execute(business, "ANALYZE")
    now = clock.now()
    values = {"now": now, "lost": now, "never": now, "settled": now - timedelta(days=attempts.STATUS_DAYS)}
    async with business.pool.connection() as conn:
        for statement, given in ((attempts.SWEEP, values), (sent.UNNAMED, ([1], [uuid4()], ["wamid.X"]))):
            plan = "\n".join(row[0] for row in await (await conn.execute(f"EXPLAIN {statement}", given)).fetchall())
            assert "Seq Scan on outbox" not in plan
            assert "Seq Scan on messages" not in plan
            assert statement is not attempts.SWEEP or "Index Cond: (settled_at >" in plan


async def test_a_process_that_died_in_the_call_leaves_it_unclear(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await write(business)
    await claim_due(business)  # and then this process is killed
    assert await send_due(business, graph) == 0
    later = clock.now() + timedelta(seconds=attempts.CALL_LOST_S + 1)
    with frozen(later):
        assert await send_due(business, graph) == 0
    assert await states(business) == ["unclear"]
    assert scripted.asked == []


@pytest.mark.parametrize("code", [2, 131016, 133004, 131057, 131056])
async def test_what_certainly_did_not_happen_is_tried_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], code: int
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(code, status=500))
    await write(business)
    assert await send_due(business, graph) == 1
    assert await states(business) == ["queued"]
    later = clock.now() + timedelta(seconds=61)
    with frozen(later):
        assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


async def test_meta_unreachable_is_tried_again_for_a_while_and_then_fails(business: Business) -> None:
    async with scripted_graph() as (_, graph):
        pass  # nobody listens there any more
    async with scripted_graph() as (_, other):
        nobody = Graph(other.session, graph.base_url, "v25.0")
        await write(business)
        at, attempts = clock.now(), 0
        for _ in range(100):
            at += timedelta(minutes=6)
            with frozen(at):
                attempts += await send_due(business, nobody)
    assert attempts == rules.ATTEMPTS_MAX
    assert await states(business) == ["failed"]


async def test_what_was_tried_long_enough_promises_no_other_try(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.extend(error(131016, status=500) for _ in range(rules.ATTEMPTS_MAX))
    await write(business)
    at, said = clock.now(), set()
    for _ in range(rules.ATTEMPTS_MAX):
        at += timedelta(minutes=6)
        with frozen(at):
            await send_due(business, graph)
        async with business.pool.connection() as conn:
            said |= set(
                await (await conn.execute("SELECT state::text, error LIKE '%by itself%' FROM outbox")).fetchall()
            )
    assert said == {("queued", True), ("failed", False)}


@pytest.mark.requirement("G7")
async def test_the_pair_limit_delays_one_conversation_and_no_other(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone="351910559112"))
    first = await conversation_of(business.pool, PHONE)
    second = await conversation_of(business.pool, "351910559112")
    scripted.answers.append(error(131056))
    at = clock.now()
    with frozen(at):
        await write(business, "one", conversation_id=first)
        await send_due(business, graph)
    with frozen(at + timedelta(seconds=0.5)):
        await write(business, "two", conversation_id=first)
        await write(business, "other", conversation_id=second)
        assert await send_due(business, graph) == 1
    assert {row[0]: row[1] for row in await rows(business)} == {"one": "queued", "two": "queued", "other": "accepted"}


async def test_a_refused_token_stops_the_queue_until_the_number_is_authorised_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(190, status=401))
    await write(business)
    await send_due(business, graph)
    assert await states(business) == ["queued"]
    assert await send_due(business, graph) == 0
    with pytest.raises(AppError, match="no longer accepts our access"):
        await write(business)
    async with transaction(business.pool) as conn:
        again = await connecting.connect(
            conn,
            KEYRING,
            account_id=business.member.account_id,
            waba_id=WABA,
            phone_number_id=NUMBER,
            display_phone_number="351210559000",
            token="EAAnewer",
            is_coexistence=True,
        )
    assert again.state == "connected"
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]
    assert scripted.of("/messages")[-1].token == "EAAnewer"


# ── order, rate, several workers ──────────────────────────────────────────────────────────────────────────


async def test_a_conversation_keeps_its_order_also_when_one_must_be_tried_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131016))
    for text in ("one", "two", "three"):
        await write(business, text)
    at = clock.now()
    for _ in range(6):
        at += timedelta(seconds=10)
        with frozen(at):
            await send_due(business, graph)
    assert [asked.body["text"]["body"] for asked in scripted.of("/messages")] == ["one", "one", "two", "three"]


@pytest.mark.requirement("G7")
async def test_a_number_keeps_to_its_rate_with_several_workers(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    changes = [inbound(f"wamid.IN{n}", "Olá", phone=f"3519105592{n:02}") for n in range(30)]
    await deliver(business.pool, *changes)
    async with business.pool.connection() as conn:
        found = await (await conn.execute("SELECT DISTINCT conversation_id FROM messages")).fetchall()
    for (conversation_id,) in found:
        await write(business, conversation_id=conversation_id)
    at = clock.now()
    sent = []
    for _ in range(4):
        with frozen(at):
            sent.append(sum(await asyncio.gather(*(send_due(business, graph, per_second=10) for _ in range(3)))))
        at += timedelta(seconds=1.1)
    assert sent == [10, 10, 10, 1]


async def test_two_workers_send_each_message_once(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    for number in range(12):
        await write(business, f"{number}")

    async def run() -> None:
        await worker.run(business.pool, graph, KEYRING, sends_per_second=20, wake=asyncio.Event())

    async def are_sent() -> bool:
        return set(await states(business)) == {"accepted"}

    async with looping(*(run() for _ in range(3))):
        await until(are_sent, "all are sent")
    assert [asked.body["text"]["body"] for asked in scripted.of("/messages")] == [f"{n}" for n in range(12)]


async def test_stopping_waits_for_the_answer_to_a_call_under_way(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.5
    await write(business)
    task = asyncio.create_task(worker.run(business.pool, graph, KEYRING, sends_per_second=20, wake=asyncio.Event()))

    async def is_under_way() -> bool:
        assert not task.done()
        return bool(scripted.asked)

    await until(is_under_way, "Meta is asked")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await states(business) == ["accepted"]


@pytest.mark.requirement("G11")
async def test_what_waits_for_somebody_who_becomes_private_is_not_sent(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await write(business)
    async with transaction(business.pool) as conn:
        await private.add(conn, KEYRING, "Inês", business.member.account_id, f"+{PHONE}")
    assert await send_due(business, graph) == 1
    assert scripted.of("/messages") == []
    assert await states(business) == ["failed"]
    async with business.pool.connection() as conn:
        (error,) = await (await conn.execute("SELECT error FROM outbox")).fetchone() or ("",)
        assert error.startswith(private.NOT_SENT)
