"""What an error of Meta's means for the person a message was for, and for a message that may have arrived."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict
from coexist.inbox import private, store
from coexist.meta.graph import Graph
from coexist.outbound import actions
from tests.support.business import (
    KEYRING,
    PHONE,
    Business,
    change,
    conversation_of,
    deliver,
    inbound,
    open_business,
    status,
)
from tests.support.outbox import execute, frozen, rows, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph, error

Scripted = tuple[ScriptedGraph, Graph]


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


# ── the person ────────────────────────────────────────────────────────────────────────────────────────────


async def refuse_for_the_window(business: Business, graphs: Scripted) -> int:
    """Some seconds after the customer wrote, WhatsApp calls the window closed; return the message it refused."""
    scripted, graph = graphs
    scripted.answers.append(error(131047))
    message_id = await write(business)
    at = clock.now() + timedelta(seconds=10)
    with frozen(at):
        await send_due(business, graph)
    return message_id


async def test_a_window_that_whatsapp_calls_closed_opens_with_the_next_message(
    business: Business, graphs: Scripted
) -> None:
    _, graph = graphs
    await refuse_for_the_window(business, graphs)
    with pytest.raises(Conflict, match="WhatsApp says that more than 24 hours"):
        await write(business)
    await deliver(business.pool, inbound("wamid.NEXT", "Oi", at=clock.now() + timedelta(seconds=20)))
    await write(business)
    assert await send_due(business, graph) == 1


def wish(value: str, seconds: int) -> dict[str, Any]:
    at = int(clock.now().timestamp()) + seconds
    told = {"wa_id": PHONE, "category": "marketing_messages", "value": value, "timestamp": at, "detail": "x"}
    return change("user_preferences", user_preferences=[told])


async def stopped(business: Business) -> bool:
    conversation_id = await conversation_of(business.pool)
    async with transaction(business.pool) as conn:
        talk = await store.conversation(conn, business.member.account_id, business.member.user_id, conversation_id)
        contact = await store.contact(conn, business.member.account_id, talk.contact_id)
    return contact.marketing_stopped_at is not None


async def test_the_wish_for_no_marketing_is_one_flag_whoever_tells_it(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await write(business)
    await send_due(business, graph)
    assert not await stopped(business)
    await deliver(business.pool, status("wamid.OUT1", "failed", errors=[{"code": 131050, "title": "x"}]))
    assert await stopped(business)
    await deliver(business.pool, wish("resume", 10))
    assert not await stopped(business)
    await deliver(business.pool, wish("stop", 20), wish("resume", 5))
    assert await stopped(business), "the newest counts, not the last to arrive"


@pytest.mark.parametrize(("code", "hours", "may"), [(131050, 1000, False), (131021, 1000, False),
                                                    (131049, 23, False), (131049, 25, True)])  # fmt: skip
async def test_what_may_not_go_again_does_not(
    business: Business, graphs: Scripted, code: int, hours: int, may: bool
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(code))
    message_id = await write(business)
    await send_due(business, graph)
    at = clock.now() + timedelta(hours=hours)
    with frozen(at):
        await execute(business, "UPDATE conversations SET window_opened_at = %s", at)
        async with transaction(business.pool) as conn:
            if may:
                assert await actions.retry(conn, KEYRING, business.member, message_id) == message_id
            else:
                with pytest.raises(Conflict, match="not sent again"):
                    await actions.retry(conn, KEYRING, business.member, message_id)


async def test_nobody_writes_to_the_number_itself(business: Business) -> None:
    await execute(business, "UPDATE inboxes SET display_phone_number = %s", PHONE)
    with pytest.raises(Conflict, match="cannot write to itself"):
        await write(business)


async def test_every_way_of_sending_refuses_a_private_number(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131026))
    message_id = await write(business)
    await send_due(business, graph)
    await in_transaction(
        business.pool, lambda conn: private.add(conn, KEYRING, "Inês", business.member.account_id, PHONE)
    )
    with pytest.raises(Conflict, match="private number"):
        await write(business)
    with pytest.raises(Conflict, match="private number"):
        async with transaction(business.pool) as conn:
            await actions.retry(conn, KEYRING, business.member, message_id)
    assert await states(business) == ["failed"]


# ── what may have arrived ─────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_for_its_second_try_may_have_arrived_and_does_not_disappear(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131000, status=500))
    message_id = await write(business)
    await send_due(business, graph)
    async with transaction(business.pool) as conn:
        await actions.discard(conn, business.member, message_id)
    assert await states(business) == ["failed"]
    at = clock.now() + timedelta(minutes=1)
    with frozen(at):
        assert await send_due(business, graph) == 0
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, KEYRING, business.member, message_id) != message_id


@pytest.mark.parametrize("second", [131026, 131000])
async def test_a_refusal_of_the_second_try_says_nothing_about_the_first(
    business: Business, graphs: Scripted, second: int
) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(131000, status=500), error(second)])
    await write(business)
    await send_due(business, graph)
    at = clock.now() + timedelta(minutes=1)
    with frozen(at):
        await send_due(business, graph)
    assert [row[1] for row in await rows(business)] == ["unclear"]
