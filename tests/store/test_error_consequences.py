"""What follows after an error of Meta's: what waits, what goes on meanwhile, and what makes it end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from coexist.base import clock, config
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import AppError, Conflict
from coexist.coexistence import actions as connecting
from coexist.coexistence import life_store, life_watch
from coexist.inbox import inboxes
from coexist.meta.graph import Graph
from coexist.outbound import worker
from tests.support.business import (
    KEYRING,
    NUMBER,
    PHONE,
    Business,
    change,
    conversation_of,
    deliver,
    inbound,
    open_business,
)
from tests.support.outbox import claim_due, execute, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import write_listed

Scripted = tuple[ScriptedGraph, Graph]


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def inbox_of(business: Business) -> inboxes.Inbox:
    async with transaction(business.pool) as conn:
        return await inboxes.get(conn, business.member.account_id, business.inbox.id)


async def told(business: Business, event: str) -> list[Any]:
    """The values of the timeline's lines about an event, newest first."""
    async with transaction(business.pool) as conn:
        found = await life_store.entries(conn, business.inbox.id, 100)
    return [entry.value for entry in found if entry.event == event]


async def ask(business: Business, graph: Graph, after: timedelta = timedelta(0)) -> int:
    """Let the worker ask Meta what is due by then."""
    at = clock.now() + after
    with frozen(at):
        return await life_watch.ask_due(business.pool, graph, KEYRING)


async def go_on(business: Business) -> None:
    await in_transaction(
        business.pool,
        lambda conn: connecting.go_on(conn, "Inês Duarte", business.member.account_id, business.inbox.id),
    )


def number(status: str = "CONNECTED", number_id: str = NUMBER) -> dict[str, Any]:
    place = {"is_on_biz_app": True, "platform_type": "CLOUD_API"}
    return {"id": number_id, "status": status, "quality_rating": "RED", **place}


def health(can_send: str) -> dict[str, Any]:
    wrong = {"error_code": 141006, "error_description": "A payment is due.", "possible_solution": "Pay it."}
    entity = {"entity_type": "WABA", "id": "1", "can_send_message": can_send, "errors": [wrong]}
    return {"health_status": {"can_send_message": can_send, "entities": [entity] if can_send != "AVAILABLE" else []}}


def answers(scripted: ScriptedGraph, *bodies: dict[str, Any]) -> None:
    scripted.answers.extend(web.json_response(body) for body in bodies)


# ── what stands ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [368, 131031])
async def test_a_blocked_account_stops_until_a_person_says_go_on(
    business: Business, graphs: Scripted, code: int
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(code, "against the rules"))
    await write(business)
    await send_due(business, graph)
    with pytest.raises(Conflict, match="restricted"):
        await write(business)
    (line,) = await told(business, "SENDING_REFUSED")
    assert "against the rules" in line["reason"]
    await go_on(business)
    assert (await inbox_of(business)).state == "connected"
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]
    assert (await told(business, "SENDING_GOES_ON"))[0] == {"by": "Inês Duarte"}
    with pytest.raises(Conflict, match="Nothing keeps"):
        await go_on(business)


async def test_a_blocked_account_goes_on_when_metas_health_status_says_so(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131031))
    await write(business)
    await send_due(business, graph)
    answers(scripted, number(), health("BLOCKED"))
    assert await ask(business, graph) == 1
    seen = (await told(business, "META_TOLD"))[0]
    assert (seen["health"], seen["quality"], seen["problems"]) == ("BLOCKED", "RED", ["A payment is due. Pay it."])
    assert await ask(business, graph, timedelta(minutes=5)) == 0
    for minutes in (16, 32):
        answers(scripted, number(), health("BLOCKED"))
        assert await ask(business, graph, timedelta(minutes=minutes)) == 1
    assert len(await told(business, "META_TOLD")) == 1, "the same answer is no news"
    assert (await inbox_of(business)).state == "restricted"
    answers(scripted, number(), health("AVAILABLE"))
    assert await ask(business, graph, timedelta(minutes=48)) == 1
    assert (await inbox_of(business)).state == "connected"
    at = clock.now() + timedelta(minutes=49)
    with frozen(at):
        assert await send_due(business, graph) == 1
    assert await ask(business, graph, timedelta(days=1)) == 0


async def test_a_good_health_status_right_after_the_refusal_is_not_believed(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(368))
    await write(business)
    await send_due(business, graph)
    answers(scripted, number(), health("AVAILABLE"))
    await ask(business, graph)
    assert (await inbox_of(business)).state == "restricted"


async def test_a_reinstated_account_goes_on(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(368))
    await write(business)
    await send_due(business, graph)
    ban = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}
    at = clock.now() + timedelta(seconds=2)
    with frozen(at):
        await deliver(business.pool, {"field": "account_update", "value": ban})
    inbox = await inbox_of(business)
    assert (inbox.state, inbox.standing_codes) == ("connected", [])


@pytest.mark.parametrize(("code", "reopens"), [(131042, False), (131048, True)])
async def test_templates_wait_while_replies_go(business: Business, graphs: Scripted, code: int, reopens: bool) -> None:
    """Templates outside of the window wait for both; inside of it, only for the payment."""
    scripted, graph = graphs
    scripted.answers.append(error(code))
    await write(business, "refused")
    await send_due(business, graph)
    await execute(business, "DELETE FROM outbox")
    await write_listed(business)
    await execute(business, "UPDATE conversations SET window_opened_at = now() - interval '25 hours'")
    assert await send_due(business, graph) == 0
    await execute(business, "UPDATE conversations SET window_opened_at = now()")
    await write(business, "a reply")
    sent = [body["type"] for body in [asked.body for asked in scripted.of("/messages")][1:]]
    assert sent == []
    await send_due(business, graph)
    sent = [asked.body["type"] for asked in scripted.of("/messages")][1:]
    assert sent == (["template"] if reopens else ["text"])
    await send_due(business, graph)
    await go_on(business)
    await send_due(business, graph)
    assert sorted(asked.body["type"] for asked in scripted.of("/messages")[1:]) == ["template", "text"]


async def test_a_held_template_that_is_refused_waits_itself(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(131042))
    await write_listed(business)
    assert await send_due(business, graph) == 1
    assert await states(business) == ["queued"]
    assert await send_due(business, graph) == 0
    await go_on(business)
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


# ── fewer calls ───────────────────────────────────────────────────────────────────────────────────────────

USAGE: Final = '{"701122334455667": [{"type": "messaging", "call_count": 100, "estimated_time_to_regain_access": 19}]}'


async def test_the_app_rests_as_long_as_meta_says(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    refusal = error(4)
    refusal.headers["X-Business-Use-Case-Usage"] = USAGE
    scripted.answers.append(refusal)
    await deliver(business.pool, {"field": "account_update", "value": {"event": "ACCOUNT_RECONNECTED"}})
    await write(business)
    await send_due(business, graph)
    asked, since = len(scripted.asked), clock.now()
    for minutes in (1, 18):
        with frozen(since + timedelta(minutes=minutes)):
            assert await worker.due(business.pool) == []
            assert await claim_due(business) == []
            assert await life_watch.ask_due(business.pool, graph, KEYRING) == 0
    assert len(scripted.asked) == asked
    with frozen(since + timedelta(minutes=19, seconds=30)):
        answers(scripted, number())
        assert await life_watch.ask_due(business.pool, graph, KEYRING) == 1
        assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


async def test_a_pause_that_a_wrong_clock_wrote_holds_nobody(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await execute(business, "INSERT INTO call_pauses VALUES ('', 4, now() + interval '400 days')")
    await write(business)
    assert await send_due(business, graph) == 1


async def test_look_ups_of_one_account_rest_and_its_messages_go_on(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(80007))
    await deliver(business.pool, {"field": "account_update", "value": {"event": "ACCOUNT_RECONNECTED"}})
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone="351910559112"))
    await write(business, conversation_id=await conversation_of(business.pool, PHONE))
    await send_due(business, graph)
    await write(business, "another", conversation_id=await conversation_of(business.pool, "351910559112"))
    assert await send_due(business, graph) == 1, "the message of somebody else goes"
    assert await ask(business, graph, timedelta(seconds=30)) == 0
    answers(scripted, number())
    assert await ask(business, graph, timedelta(minutes=6)) == 1


async def test_a_number_goes_on_slower_and_gets_its_rate_back(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    changes = [inbound(f"wamid.IN{n}", "Olá", phone=f"3519105592{n:02}") for n in range(20)]
    await deliver(business.pool, *changes)
    async with business.pool.connection() as conn:
        found = await (await conn.execute("SELECT DISTINCT conversation_id FROM messages")).fetchall()
    for (conversation_id,) in found:
        await write(business, conversation_id=conversation_id)
    scripted.answers.extend([error(130429), error(130429)])
    since = clock.now()
    with frozen(since):
        assert await send_due(business, graph, per_second=2) == 2, "two answers of one burst halve the rate once"
    await execute(business, "DELETE FROM resting_numbers")
    sent = []
    for seconds_later in (2, 61):
        with frozen(since + timedelta(seconds=seconds_later)):
            sent.append(await send_due(business, graph, per_second=10))
    assert sent == [5, 10]


# ── is the number still there? ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [33, 133010, 131045])
@pytest.mark.parametrize(
    ("listed", "state"), [([], "removed"), ([number("OFFLINE")], "offboarded"), ([number()], "connected")]
)
async def test_only_metas_answer_disconnects_a_number(
    business: Business, graphs: Scripted, code: int, listed: list[dict[str, Any]], state: str
) -> None:
    """A number that Graph does not find by its id is looked for among those of its WhatsApp account."""
    scripted, graph = graphs
    scripted.answers.append(error(code))
    await write(business)
    await send_due(business, graph)
    assert (await inbox_of(business)).state == "connected"
    scripted.answers.append(error(33))
    answers(scripted, {"data": listed})
    assert await ask(business, graph) == 1
    assert (await inbox_of(business)).state == state
    assert await states(business) == ["queued"]


async def test_a_message_is_not_tried_for_ever_although_the_number_is_there(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await write(business)
    since = clock.now()
    for n in range(5):
        scripted.answers.extend([error(133010), web.json_response(number())])
        with frozen(since + timedelta(minutes=n)):
            await send_due(business, graph)
            await life_watch.ask_due(business.pool, graph, KEYRING)
    assert len(scripted.of("/messages")) == 3
    assert await states(business) == ["failed"]


# ── the token ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "token", "seen"),
    [
        (190, {"is_valid": False}, {"is_valid": False, "missing": ["whatsapp_business_messaging",
                                                                  "whatsapp_business_management"]}),
        (10, {"is_valid": True, "scopes": ["whatsapp_business_management"]},
         {"is_valid": True, "missing": ["whatsapp_business_messaging"]}),
    ],
)  # fmt: skip
async def test_a_refused_access_is_looked_at_once(
    business: Business, graphs: Scripted, tmp_path: Path, code: int, token: dict[str, Any], seen: dict[str, Any]
) -> None:
    scripted, graph = graphs
    settings = config.load(
        {"COEXIST_APP_ID": "1900100200300", "COEXIST_APP_SECRET": "secret", "COEXIST_DATA_DIR": str(tmp_path)}
    )
    answers(scripted, {"data": {"is_valid": True}})
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    scripted.answers.append(error(code, status=401))
    await write(business)
    await send_due(business, graph)
    assert (await inbox_of(business)).state == "token_invalid"
    answers(scripted, {"data": token})
    looked = [await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) for _ in range(3)]
    assert looked == [1, 0, 0]
    assert await told(business, "TOKEN_LOOKED_AT") == [seen]
    assert await send_due(business, graph) == 0
    await go_on(business)  # the permission was given back at Meta
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


async def test_going_on_is_for_the_own_account(business: Business) -> None:
    with pytest.raises(AppError):
        async with transaction(business.pool) as conn:
            await connecting.go_on(conn, "Nobody", business.member.account_id + 1, business.inbox.id)


@pytest.mark.parametrize(("code", "standing", "slowed"), [(131031, [131031], 0), (130429, [], 1)])
async def test_an_error_of_the_number_itself_is_heeded(
    business: Business, code: int, standing: list[int], slowed: int
) -> None:
    await deliver(business.pool, change("messages", errors=[{"code": code, "title": "refused"}]))
    assert (await inbox_of(business)).standing_codes == standing
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM slowed_numbers")).fetchone() == (slowed,)
