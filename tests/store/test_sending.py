"""Writing to a customer: who may, to which id, when it is too late, and what a person can still decide."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict, Invalid, NotFound
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.meta.graph import Graph
from coexist.outbound import actions, store, worker
from coexist.people import actions as people
from coexist.people.model import Role
from tests.support.business import (
    BSUID,
    KEYRING,
    NUMBER,
    PHONE,
    TOKEN,
    Business,
    change,
    conversation_of,
    deliver,
    inbound,
    open_business,
    status,
)
from tests.support.outbox import claim_due, execute, rows, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph, error


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


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


def moved(previous: str, current: str, at: datetime) -> dict[str, Any]:
    """The system message by which WhatsApp tells that a person goes on with another number."""
    told = {"type": "user_changed_number", "body": "changed", "wa_id": current}
    told_at = str(int(at.timestamp()))
    return change(
        "messages",
        messages=[{"id": f"wamid.{current}", "from": previous, "timestamp": told_at, "type": "system", "system": told}],
    )


@pytest.mark.requirement("F4", "F5")
@pytest.mark.parametrize("new", ["5511985500133", "5491130000133", "351910559133"])
async def test_a_reply_follows_a_moved_number_in_the_form_received(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], new: str
) -> None:
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    old = "5511985500111"
    await deliver(pool, inbound("wamid.IN", "Olá", phone=old, at=now - timedelta(minutes=5)))
    await deliver(pool, moved(old, new, now - timedelta(minutes=1)))
    async with pool.connection() as conn:
        found = await conn.execute("SELECT conversation_id FROM messages WHERE wamid = 'wamid.IN'")
        row = await found.fetchone()
    assert row is not None
    await write(business, conversation_id=row[0])
    await send_due(business, graph)
    assert scripted.of("/messages")[-1].body["to"] == f"+{new}"


@pytest.mark.requirement("F4")
async def test_a_reply_to_somebody_whose_phone_is_anothers_now_goes_to_their_own_id(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.1", "Ana", bsuid="PT.1", at=now - timedelta(minutes=50)))
    await deliver(pool, inbound("wamid.2", "Ana", at=now - timedelta(minutes=40)))
    await deliver(pool, inbound("wamid.3", "Rui", bsuid="PT.2", at=now - timedelta(minutes=10)))
    await deliver(pool, inbound("wamid.4", "Rui", at=now - timedelta(minutes=5)))
    for bsuid in ("PT.1", "PT.2"):
        found = await conversation_of(pool, bsuid)
        await write(business, conversation_id=found)
        await send_due(business, graph)
        body = scripted.of("/messages")[-1].body
        assert (body.get("recipient"), body.get("to")) == (bsuid, None)


@pytest.mark.requirement("F5", "F6")
async def test_a_reply_follows_a_bsuid_to_its_successor(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.IN", "Olá", phone=None, bsuid="PT.9", at=now - timedelta(minutes=5)))
    rotated = {"user_id": {"previous": "PT.9", "current": "PT.5"}, "timestamp": int(now.timestamp()) - 60}
    await deliver(pool, change("user_id_update", user_id_update=[rotated]))
    await write(business)
    await send_due(business, graph)
    assert scripted.of("/messages")[-1].body["recipient"] == "PT.5"


@pytest.mark.requirement("F4")
async def test_without_an_id_of_their_own_nothing_is_sent(pool: Pool) -> None:
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.IN", "Olá", at=now - timedelta(minutes=5)))
    await deliver(pool, moved("351910559144", PHONE, now - timedelta(minutes=1)))  # somebody else has it now
    async with pool.connection() as conn:
        found = await conn.execute("SELECT conversation_id FROM messages WHERE wamid = 'wamid.IN'")
        row = await found.fetchone()
    assert row is not None
    with pytest.raises(Conflict, match="not certain which WhatsApp number"):
        await write(business, conversation_id=row[0])
    assert await rows(business) == []


@pytest.mark.requirement("F4")
async def test_what_failed_goes_again_to_where_the_person_is_now(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131026))
    message_id = await write(business)
    await send_due(business, graph)
    await deliver(business.pool, moved(PHONE, "351910559133", clock.now()))
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, KEYRING, business.member, message_id) == message_id
    await send_due(business, graph)
    assert [asked.body["to"] for asked in scripted.of("/messages")] == [f"+{PHONE}", "+351910559133"]


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
    with pytest.raises(NotFound):
        async with transaction(business.pool) as conn:
            await actions.retry(conn, KEYRING, stranger, message_id)
    with pytest.raises(NotFound):
        async with transaction(business.pool) as conn:
            await actions.discard(conn, stranger, message_id)


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
        return await in_transaction(
            business.pool, lambda conn: actions.retry(conn, KEYRING, business.member, message_id)
        )

    second, clicked_twice = await again(), await again()
    assert second == clicked_twice != message_id
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.FIRST", "sent", our_ref=f"cx:{ref}"))
    await worker.sweep(business.pool)
    assert [row[2] for row in await rows(business)] == ["wamid.FIRST", "wamid.OUT2"]


@pytest.mark.requirement("D2")
async def test_what_was_given_up_is_kept_and_goes_again_only_as_a_new_message(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.append(ConnectionResetError())
    ref = uuid4()
    message_id = await write(business, ref=ref)
    await send_due(business, graph)
    for _ in range(2):
        async with transaction(business.pool) as conn:
            await actions.discard(conn, business.member, message_id)
    assert await states(business) == ["failed"]
    for _ in range(2):
        async with transaction(business.pool) as conn:
            assert await actions.retry(conn, KEYRING, business.member, message_id) != message_id
        await send_due(business, graph)
    assert len({asked.body["biz_opaque_callback_data"] for asked in scripted.of("/messages")}) == 2
    await deliver(business.pool, status("wamid.FIRST", "sent", our_ref=f"cx:{ref}"))
    await worker.sweep(business.pool)
    assert [row[1:3] for row in await rows(business)] == [("accepted", "wamid.FIRST"), ("accepted", "wamid.OUT2")]


async def test_what_got_its_wamid_is_neither_queued_again_nor_claimed(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    message_id = await write(business)
    await execute(business, "UPDATE messages SET wamid = 'wamid.OUT1' WHERE id = %s", message_id)
    assert await claim_due(business) == []
    async with transaction(business.pool) as conn:
        assert not await store.requeue(conn, message_id, PHONE, {})
        assert not await store.delete_message(conn, message_id)


async def test_what_meta_took_and_could_not_deliver_goes_again_as_a_new_message(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    message_id = await write(business)
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.OUT1", "failed", errors=[{"code": 131026, "title": "x"}]))
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, KEYRING, business.member, message_id) != message_id
    await send_due(business, graph)
    assert [row[2] for row in await rows(business)] == ["wamid.OUT1", "wamid.OUT2"]


async def test_what_arrived_is_not_sent_again(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    _, graph = graphs
    message_id = await write(business)
    await send_due(business, graph)
    with pytest.raises(Conflict):
        async with transaction(business.pool) as conn:
            await actions.retry(conn, KEYRING, business.member, message_id)
    with pytest.raises(Conflict):
        async with transaction(business.pool) as conn:
            await actions.discard(conn, business.member, message_id)


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
