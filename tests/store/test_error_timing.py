"""Errors that meet something else: a call under way, a clock that is ahead, another message, a person's decision."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict
from coexist.coexistence import actions as connecting
from coexist.coexistence import life_store, life_watch
from coexist.inbox import connection, pauses, refusals
from coexist.inbox.refusals import Refusal
from coexist.meta.graph import Graph
from coexist.outbound import actions, worker
from tests.store.test_error_consequences import (
    answers,
    ask,
    go_on,
    health,
    inbox_of,
    number,
    told,
)  # fmt: skip
from tests.store.test_error_people import refuse_for_the_window, wish
from tests.support.business import (
    DISPLAY,
    KEYRING,
    NUMBER,
    PHONE,
    TOKEN,
    WABA,
    Business,
    conversation_of,
    deliver,
    inbound,
    open_business,
    status,
)  # fmt: skip
from tests.support.outbox import claim_due, execute, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import write_listed

Scripted = tuple[ScriptedGraph, Graph]
SOMEBODY_ELSE: Final = "351910559112"
BAN: Final = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def heed(business: Business, code: int, after: timedelta = timedelta(0), inbox_id: int | None = None) -> None:
    refusal = Refusal(inbox_id or business.inbox.id, code, clock.now() + after, "as Meta says it")
    await in_transaction(business.pool, lambda conn: refusals.heed(conn, [refusal]))


async def connect(business: Business, **other: Any) -> int:
    values: dict[str, Any] = {
        "account_id": business.member.account_id,
        "waba_id": WABA,
        "phone_number_id": NUMBER,
        "display_phone_number": DISPLAY,
        "token": "EAAnew",
        "is_coexistence": True,
    }
    async with transaction(business.pool) as conn:
        return (await connecting.connect(conn, KEYRING, **{**values, **other})).id


async def connect_sister(business: Business, account_id: int | None = None) -> int:
    """Another number of the same WhatsApp account."""
    other = {"phone_number_id": "555100020009999", "display_phone_number": "351210559999", "portfolio_id": "42"}
    return await connect(business, account_id=account_id or business.member.account_id, **other)


async def standing(business: Business, inbox_id: int) -> list[int]:
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT standing_codes FROM inboxes WHERE id = %s", (inbox_id,))).fetchone()
    assert row is not None
    return list(row[0])


# ── the access ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refusal_of_the_old_access_does_not_end_the_new_one(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs

    async def renew_then_refuse(_asked: Any) -> web.StreamResponse:
        await connect(business)
        return error(190, status=401)

    scripted.answers.append(renew_then_refuse)
    await write(business)
    await send_due(business, graph)
    assert [asked.token for asked in scripted.of("/messages")] == [TOKEN]
    assert (await inbox_of(business)).state == "connected"


async def test_what_waits_for_the_access_goes_as_soon_as_it_is_renewed(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(190, status=401))
    await write(business)
    await send_due(business, graph)
    assert await send_due(business, graph) == 0
    await connect(business)
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


@pytest.mark.parametrize("code", [190, 368])
async def test_what_is_refused_is_not_tried_at_once_when_the_timeline_does_not_count_it(
    business: Business, graphs: Scripted, code: int
) -> None:
    """The number's onboarding is dated by a clock that is ahead of ours, so all that happens now is stale."""
    scripted, graph = graphs
    await write(business)
    await execute(business, "UPDATE inboxes SET onboarded_at = now() + interval '4 minutes'")
    scripted.answers.extend(error(code, status=401) for _ in range(9))
    since = clock.now()
    for seconds in (0, 1, 30, 59, 61, 62):
        with frozen(since + timedelta(seconds=seconds)):
            await send_due(business, graph)
    assert len(scripted.of("/messages")) == 2


async def test_a_number_without_any_access_is_not_looked_at_at_once_again(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await write(business)
    await execute(business, "UPDATE inboxes SET token = NULL, onboarded_at = now() + interval '4 minutes'")
    assert [await send_due(business, graph) for _ in range(3)] == [1, 0, 0]


async def test_calls_that_a_dead_access_refuses_together_are_one_line(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    phones = [f"3519105592{n:02}" for n in range(8)]
    await deliver(business.pool, *(inbound(f"wamid.IN{n}", "Olá", phone=phone) for n, phone in enumerate(phones)))
    for phone in phones:
        await write(business, conversation_id=await conversation_of(business.pool, phone))
    scripted.answers.extend(error(190, f"The time is {n}", status=401) for n, _ in enumerate(phones))
    assert await send_due(business, graph) == len(phones)
    assert len(await told(business, "TOKEN_REFUSED")) == 1
    await go_on(business)
    await heed(business, 190)
    assert len(await told(business, "TOKEN_REFUSED")) == 2, "what is refused after a renewal is news"
    assert (await inbox_of(business)).state == "token_invalid"


async def test_what_stands_is_asked_about_more_seldom_while_the_access_is_dead(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await heed(business, 131042)
    scripted.answers.extend(error(190, status=401) for _ in range(99))
    asked = [await ask(business, graph, timedelta(minutes=minute * 1.1)) for minute in range(30)]
    assert sum(asked) == life_watch.ASKED_COUNT + 1
    assert len(await told(business, "TOKEN_REFUSED")) == 1


async def test_what_stands_is_asked_about_once_there_is_an_access_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await heed(business, 131042)
    await execute(business, "UPDATE inboxes SET token = NULL")
    assert await ask(business, graph) == 1
    await connect(business)
    answers(scripted, number(), health("AVAILABLE"))
    assert await ask(business, graph, timedelta(minutes=16)) == 1
    assert await standing(business, business.inbox.id) == []


# ── the number ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_waits_for_metas_answer_however_often_it_was_tried_before(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await write(business)
    since = clock.now()
    scripted.answers.extend([*(error(131016, status=500) for _ in range(3)), *(error(133010) for _ in range(9))])
    for minute in range(8):
        with frozen(since + timedelta(minutes=minute)):
            await send_due(business, graph)
    assert len(scripted.of("/messages")) == 4, "nothing is tried while nobody has answered"
    assert await states(business) == ["queued"]


async def test_what_is_written_while_a_number_rests_rests_too(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone=SOMEBODY_ELSE))
    scripted.answers.append(error(133010))
    await write(business, conversation_id=await conversation_of(business.pool, PHONE))
    await send_due(business, graph)
    await write(business, "another", conversation_id=await conversation_of(business.pool, SOMEBODY_ELSE))
    assert await send_due(business, graph) == 0
    answers(scripted, number())
    await ask(business, graph)
    assert await send_due(business, graph) == 1


async def test_a_rest_that_a_wrong_clock_wrote_holds_nobody(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await execute(business, "INSERT INTO resting_numbers SELECT id, now() + interval '1 day' FROM inboxes")
    await write(business)
    assert await send_due(business, graph) == 1


async def test_a_slowing_that_a_wrong_clock_wrote_is_no_reason_to_be_fast(business: Business) -> None:
    async with transaction(business.pool) as conn:
        await pauses.slow(conn, business.inbox.id, clock.now() + timedelta(days=1))
        await pauses.slow(conn, business.inbox.id, clock.now())
        found = await conn.execute(f"SELECT {pauses.HALVINGS} FROM inboxes i", {"now": clock.now()})
        assert await found.fetchall() == [(1,)]


async def test_the_questions_of_an_account_that_rests_hold_up_no_others(business: Business) -> None:
    async with transaction(business.pool) as conn:
        for n in range(3):
            values: dict[str, Any] = {
                "waba_id": "7099",
                "phone_number_id": f"77{n}",
                "display_phone_number": f"35121055912{n}",
            }
            inbox = await connecting.connect(
                conn, KEYRING, account_id=business.member.account_id, token=TOKEN, is_coexistence=True, **values
            )
            await connection.doubt(conn, [inbox.id])
        await pauses.pause(conn, "7099", 80007, timedelta(hours=1))
    async with transaction(business.pool) as conn:
        await connection.doubt(conn, [business.inbox.id])
    async with transaction(business.pool) as conn:
        asked = await life_store.claim_questions(conn, 2, clock.now() + timedelta(minutes=1))
    assert [each.inbox_id for each in asked] == [business.inbox.id]


# ── what stands ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_a_person", [True, False])
async def test_a_ban_ends_although_nobody_tells_its_end(
    business: Business, graphs: Scripted, by_a_person: bool
) -> None:
    scripted, graph = graphs
    await deliver(business.pool, {"field": "account_update", "value": BAN})
    assert (await inbox_of(business)).state == "restricted"
    if by_a_person:
        await go_on(business)
    else:
        for minutes in (0, 16):
            answers(scripted, number(), health("AVAILABLE"))
            assert await ask(business, graph, timedelta(minutes=minutes)) == 1
    assert (await inbox_of(business)).state == "connected"


@pytest.mark.parametrize("code", [131042, 368, 190])
async def test_trying_again_settles_what_a_clock_ahead_of_ours_told(business: Business, code: int) -> None:
    await heed(business, code, timedelta(minutes=3))
    await go_on(business)
    inbox = await inbox_of(business)
    assert (inbox.state, inbox.standing_codes) == ("connected", [])


async def test_what_stands_and_its_end_concern_the_numbers_of_the_account_and_nobody_else(business: Business) -> None:
    sister = await connect_sister(business)
    await heed(business, 131042)
    assert await standing(business, sister) == [131042]
    await go_on(business)
    assert await standing(business, sister) == []


async def test_a_number_of_somebody_else_in_the_same_whatsapp_account_is_left_alone(business: Business) -> None:
    async with transaction(business.pool) as conn:
        made = await conn.execute("INSERT INTO accounts (name) VALUES ('Casa Branca') RETURNING id")
        (account_id,) = await made.fetchone() or (0,)
    stranger = await connect_sister(business, account_id)
    await heed(business, 131042)
    assert await standing(business, stranger) == []
    await heed(business, 131042, inbox_id=stranger)
    await go_on(business)
    assert await standing(business, stranger) == [131042]


async def test_what_is_told_late_slows_and_pauses_nothing(business: Business) -> None:
    for code in (4, 80007, 130429, 133010):
        await heed(business, code, -timedelta(hours=2))
    async with business.pool.connection() as conn:
        for table in ("call_pauses", "slowed_numbers", "connection_questions"):
            assert await (await conn.execute(f"SELECT FROM {table}")).fetchall() == [], table


# ── the person ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrote_at_s", [0.9, 2.5])
async def test_who_writes_in_the_second_of_a_refusal_or_while_it_comes_opens_the_window(
    business: Business, graphs: Scripted, wrote_at_s: float
) -> None:
    """Meta's times are whole seconds, and its refusal is of the moment in which it was asked."""
    scripted, graph = graphs
    second = (clock.now() + timedelta(seconds=5)).replace(microsecond=0)
    scripted.answers.append(error(131047))
    await write(business)
    with frozen(second + timedelta(milliseconds=500)):
        claimed = await claim_due(business)
    with frozen(second + timedelta(seconds=4)):
        await asyncio.gather(*(worker.send(business.pool, graph, KEYRING, each) for each in claimed))
    wrote_at = second + timedelta(seconds=wrote_at_s)
    await deliver(business.pool, inbound("wamid.IN2", "Estou aqui", at=wrote_at))
    with frozen(second + timedelta(seconds=5)):
        assert await write(business, "fine")


async def test_discarding_what_was_refused_does_not_open_the_window(business: Business, graphs: Scripted) -> None:
    message_id = await refuse_for_the_window(business, graphs)
    await in_transaction(business.pool, lambda conn: actions.discard(conn, business.member, message_id))
    with pytest.raises(Conflict, match="WhatsApp says that more than 24 hours"):
        await write(business)


async def test_a_window_that_whatsapp_calls_closed_lets_held_templates_wait(
    business: Business, graphs: Scripted
) -> None:
    _, graph = graphs
    await write_listed(business)
    await heed(business, 131048)
    at = clock.now() + timedelta(seconds=1)
    await execute(business, "UPDATE conversations SET window_refused_at = %s", at)
    assert await send_due(business, graph) == 0
    await execute(business, "UPDATE conversations SET window_refused_at = NULL")
    assert await send_due(business, graph) == 1


async def test_who_resumed_marketing_can_be_sent_to_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131050))
    message_id = await write(business)
    await send_due(business, graph)
    await deliver(business.pool, wish("resume", 10))
    async with transaction(business.pool) as conn:
        assert await actions.retry(conn, KEYRING, business.member, message_id) == message_id


async def wish_of(business: Business) -> str | None:
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT marketing_wish FROM identities WHERE value = %s", (PHONE,))).fetchone()
    return row[0] if row else None


async def test_a_refusal_that_was_told_before_the_answer_is_heeded(business: Business, graphs: Scripted) -> None:
    """The status names a message that has no wamid yet: it is shown, and heeded, when it learns it."""
    scripted, graph = graphs
    failed = status("wamid.OUT1", "failed", errors=[{"code": 131050, "title": "x"}])

    async def tell_first(_asked: Any) -> web.StreamResponse:
        await deliver(business.pool, failed)
        assert await wish_of(business) is None
        return web.json_response({"messaging_product": "whatsapp", "messages": [{"id": "wamid.OUT1"}]})

    scripted.answers.append(tell_first)
    await write(business)
    await send_due(business, graph)
    assert await wish_of(business) == "stop"


async def test_a_refusal_from_before_a_wish_does_not_undo_it(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await write(business)
    await send_due(business, graph)
    await deliver(business.pool, wish("resume", 60))
    await deliver(business.pool, status("wamid.OUT1", "failed", errors=[{"code": 131050, "title": "x"}]))
    assert await wish_of(business) == "resume"
