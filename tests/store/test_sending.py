"""The outbox and its sender against a scripted Graph: each attempt once, nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import AppError, Conflict, Invalid, NotFound
from coexist.coexistence import actions as connecting
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.meta.graph import Graph
from coexist.outbound import actions, rules, store, worker
from coexist.people import actions as people
from coexist.people.model import Role
from tests.support.business import (
    BSUID,
    KEYRING,
    NUMBER,
    PHONE,
    TOKEN,
    WABA,
    Business,
    conversation_of,
    deliver,
    echo,
    inbound,
    open_business,
    status,
)
from tests.support.scripted_graph import Answer, ScriptedGraph, error, scripted_graph


@pytest.fixture
async def business(pool: Pool) -> Business:
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


@pytest.fixture
async def graphs() -> AsyncIterator[tuple[ScriptedGraph, Graph]]:
    async with scripted_graph() as both:
        yield both


async def write(business: Business, text: str = "Bom dia", *, ref: UUID | None = None, **other: Any) -> int:
    conversation_id = other.pop("conversation_id", None) or await conversation_of(business.pool)

    async def work(conn: Any) -> int:
        return await actions.send_text(conn, business.member, conversation_id, text, our_ref=ref or uuid4(), **other)

    return await in_transaction(business.pool, work)


async def send_due(business: Business, graph: Graph, *, per_second: int = 20) -> int:
    """Claim and send what is due, once; return how many attempts that were."""
    await worker.sweep(business.pool)
    claimed = await worker.claim(business.pool, per_second, worker.IN_FLIGHT_COUNT)
    await asyncio.gather(*(worker.send(business.pool, graph, KEYRING, each) for each in claimed))
    return len(claimed)


def frozen(at: datetime) -> AbstractContextManager[None]:
    """It is that time inside the block."""
    return clock.reading(lambda: at)


async def rows(business: Business) -> list[tuple[Any, ...]]:
    """(text, outbox state, wamid, status) of what was written here, in order."""
    async with business.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT m.text, o.state::text, m.wamid, m.status FROM outbox o JOIN messages m ON m.id = o.message_id"
            " ORDER BY o.created_at, o.our_ref"
        )
        return await cursor.fetchall()


async def states(business: Business) -> list[str]:
    return [row[1] for row in await rows(business)]


async def execute(business: Business, statement: str, *values: Any) -> None:
    async with transaction(business.pool) as conn:
        await conn.execute(statement, values)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_goes_out_and_gets_its_wamid(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    ref = uuid4()
    await write(business, "  Bom dia https://example.com \0", ref=ref)
    assert await rows(business) == [("Bom dia https://example.com", "queued", None, 0)]
    assert await send_due(business, graph) == 1
    assert await rows(business) == [("Bom dia https://example.com", "accepted", "wamid.OUT1", 1)]
    asked = scripted.of(f"/{NUMBER}/messages")[0]
    assert asked.token == TOKEN
    assert asked.body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": f"+{PHONE}",
        "type": "text",
        "text": {"body": "Bom dia https://example.com", "preview_url": True},
        "biz_opaque_callback_data": f"cx:{ref}",
    }
    await deliver(business.pool, status("wamid.OUT1", "delivered"))
    assert (await rows(business))[0][3] == 4


async def test_the_same_reference_twice_is_one_message(business: Business) -> None:
    ref = uuid4()
    ids = await asyncio.gather(*(write(business, ref=ref) for _ in range(5)))
    assert len(set(ids)) == 1
    assert len(await rows(business)) == 1


async def test_a_reply_quotes_the_message(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT id FROM messages WHERE wamid = 'wamid.IN'")).fetchone()
    assert row is not None
    await write(business, reply_to=row[0])
    await send_due(business, graph)
    assert scripted.of("/messages")[0].body["context"] == {"message_id": "wamid.IN"}


@pytest.mark.requirement("F4", "F6")
async def test_a_reply_goes_to_the_id_the_person_wrote_with(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"phone": None, "bsuid": BSUID}, {"recipient": BSUID}),
        ({"phone": PHONE, "bsuid": "PT.2"}, {"to": f"+{PHONE}"}),
        ({"phone": "551185500101"}, {"to": "+551185500101"}),  # without Brazil's ninth digit, as received
    ]
    for number, (person, wanted) in enumerate(cases):
        await deliver(pool, inbound(f"wamid.IN{number}", "Olá", **person))
        async with pool.connection() as conn:
            found = await conn.execute("SELECT conversation_id FROM messages WHERE wamid = %s", (f"wamid.IN{number}",))
            row = await found.fetchone()
        assert row is not None
        await write(business, conversation_id=row[0])
        await send_due(business, graph)
        body = scripted.of("/messages")[-1].body
        assert {key: body[key] for key in ("to", "recipient") if key in body} == wanted


@pytest.mark.requirement("F4")
async def test_a_phone_that_two_people_had_is_not_written_to(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    now = clock.now()
    await deliver(pool, inbound("wamid.A", "Olá", bsuid="PT.1", at=now - timedelta(minutes=9)))
    await deliver(pool, inbound("wamid.B", "Olá", bsuid="PT.2", at=now - timedelta(minutes=5)))
    await write(business, conversation_id=await conversation_of(pool, "PT.1"))
    await send_due(business, graph)
    assert scripted.of("/messages")[-1].body["recipient"] == "PT.1"
    assert "to" not in scripted.of("/messages")[-1].body


@pytest.mark.requirement("E10")
async def test_a_closed_window_says_so_and_why(pool: Pool) -> None:
    business = await open_business(pool, onboarded_at=clock.now() - timedelta(days=3))
    await deliver(pool, inbound("wamid.IN", "Olá", at=clock.now() - timedelta(hours=25)))
    with pytest.raises(Conflict, match="More than 24 hours have passed"):
        await write(business)
    assert await rows(business) == []


@pytest.mark.parametrize("text", ["", " \n\0 ", "x" * 4097])
async def test_an_empty_or_too_long_text_is_refused(business: Business, text: str) -> None:
    with pytest.raises(Invalid):
        await write(business, text)


async def test_another_account_may_not_write_here(business: Business) -> None:
    async with transaction(business.pool) as conn:
        account = await people.create_account(conn, "Another")
        stranger = await people.add_user(conn, account.id, name="X", email="x@example.com", role=Role.OWNER)
    other = Business(business.pool, business.inbox, stranger)
    with pytest.raises(NotFound):
        await write(other)
    message_id = await write(business)
    for act in (actions.retry, actions.discard):
        with pytest.raises(NotFound):
            async with transaction(business.pool) as conn:
                await act(conn, stranger, message_id)


@pytest.mark.requirement("G3")
async def test_while_offboarded_messages_wait_and_go_when_it_is_back(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs

    async def tell(event: str) -> None:
        entry = {"field": "account_update", "value": {"event": event}}
        await deliver(business.pool, entry)

    await tell("ACCOUNT_OFFBOARDED")
    await write(business)
    assert await send_due(business, graph) == 0
    assert await states(business) == ["queued"]
    await tell("ACCOUNT_RECONNECTED")
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


async def test_a_removed_number_takes_nothing(business: Business) -> None:
    await execute(business, "UPDATE inboxes SET state = 'removed'")
    with pytest.raises(Conflict, match="disconnected on the phone"):
        await write(business)


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
        assert await actions.retry(conn, business.member, message_id) == message_id
    assert await send_due(business, graph) == 1
    assert await rows(business) == [("Bom dia", "accepted", "wamid.OUT2", 1)]


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
        await deliver(business.pool, *(told if first == "echo" else reversed(told)))
        claimed = await worker.claim(business.pool, 20, 20)
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


async def test_a_process_that_died_in_the_call_leaves_it_unclear(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await write(business)
    await worker.claim(business.pool, 20, 20)  # and then this process is killed
    assert await send_due(business, graph) == 0
    later = clock.now() + timedelta(seconds=store.CALL_LOST_S + 1)
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


@pytest.mark.requirement("G7")
@pytest.mark.parametrize(("code", "rests"), [(130429, 1), (80007, 2), (4, 2)])
async def test_a_limit_lets_the_whole_queue_rest(
    business: Business, graphs: tuple[ScriptedGraph, Graph], code: int, rests: int
) -> None:
    scripted, graph = graphs
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone="351910559112"))
    first = await conversation_of(business.pool, PHONE)
    second = await conversation_of(business.pool, "351910559112")
    scripted.answers.append(error(code))
    await write(business, "one", conversation_id=first)
    assert await send_due(business, graph) == 1
    await write(business, "two", conversation_id=second)
    await execute(business, "UPDATE outbox SET next_attempt_at = now() WHERE attempts = 0 AND error IS NULL")
    assert await states(business) == ["queued", "queued"]
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT attempts, next_attempt_at FROM outbox ORDER BY created_at")).fetchone()
    assert row is not None
    assert row[0] == 0
    assert row[1] > clock.now()


@pytest.mark.requirement("G7")
async def test_the_pair_limit_delays_one_conversation_and_no_other(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone="351910559112"))
    first = await conversation_of(business.pool, PHONE)
    second = await conversation_of(business.pool, "351910559112")
    scripted.answers.append(error(131056))
    await write(business, "one", conversation_id=first)
    await send_due(business, graph)
    await write(business, "two", conversation_id=first)
    await write(business, "other", conversation_id=second)
    assert await send_due(business, graph) == 1
    assert [row[:2] for row in await rows(business)] == [("one", "queued"), ("two", "queued"), ("other", "accepted")]


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

    workers = [asyncio.create_task(run()) for _ in range(3)]
    for _ in range(200):
        if set(await states(business)) == {"accepted"}:
            break
        await asyncio.sleep(0.1)
    for each in workers:
        each.cancel()
        with suppress(asyncio.CancelledError):
            await each
    assert [asked.body["text"]["body"] for asked in scripted.of("/messages")] == [f"{n}" for n in range(12)]


async def test_stopping_waits_for_the_answer_to_a_call_under_way(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.5
    await write(business)
    task = asyncio.create_task(worker.run(business.pool, graph, KEYRING, sends_per_second=20, wake=asyncio.Event()))
    while not scripted.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await states(business) == ["accepted"]


# ── a person decides ──────────────────────────────────────────────────────────────────────────────────────


async def test_sending_an_unclear_message_again_makes_a_second_message_once(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.append(ConnectionResetError())
    ref = uuid4()
    message_id = await write(business, ref=ref)
    await send_due(business, graph)

    async def again() -> int:
        return await in_transaction(business.pool, lambda conn: actions.retry(conn, business.member, message_id))

    second, clicked_twice = await again(), await again()
    assert second == clicked_twice != message_id
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.FIRST", "sent", our_ref=f"cx:{ref}"))
    await worker.sweep(business.pool)
    assert [row[2] for row in await rows(business)] == ["wamid.FIRST", "wamid.OUT2"]


async def test_what_meta_took_and_could_not_deliver_goes_again_as_a_new_message(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    message_id = await write(business)
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.OUT1", "failed", errors=[{"code": 131026, "title": "x"}]))
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, business.member, message_id) != message_id
    await send_due(business, graph)
    assert [row[2] for row in await rows(business)] == ["wamid.OUT1", "wamid.OUT2"]


async def test_what_arrived_is_not_sent_again(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    _, graph = graphs
    message_id = await write(business)
    await send_due(business, graph)
    for act in (actions.retry, actions.discard):
        with pytest.raises(Conflict):
            async with transaction(business.pool) as conn:
                await act(conn, business.member, message_id)


async def test_giving_up_removes_what_never_left_and_keeps_what_may_have(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(131026), ConnectionResetError()])
    failed = await write(business, "failed")
    await send_due(business, graph)
    unclear = await write(business, "unclear")
    await send_due(business, graph)
    queued = await write(business, "queued")
    for message_id in (failed, unclear, queued):
        async with transaction(business.pool) as conn:
            await actions.discard(conn, business.member, message_id)
    assert [row[:2] for row in await rows(business)] == [("unclear", "failed")]
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT last_message_id FROM conversations")).fetchone()
    assert row == (unclear,)


async def test_a_lost_connection_of_the_number_is_told_once(business: Business) -> None:
    line = Line(business.inbox.id, clock.now(), connection.OURS, connection.TOKEN_REFUSED, {"reason": "x"})
    async with transaction(business.pool) as conn:
        await connection.record(conn, [line, line])
        assert len(await connection.refresh(conn, [business.inbox.id])) == 1
        row = await (await conn.execute("SELECT count(*) FROM inbox_timeline WHERE event = 'TOKEN_REFUSED'")).fetchone()
    assert row == (1,)
