"""Messages in line while the person, the number's WhatsApp account, or the time changes: none to anybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool
from coexist.base.errors import Conflict
from coexist.meta.graph import Graph
from coexist.outbound import worker
from tests.support.business import (
    KEYRING,
    PHONE,
    Business,
    change,
    conversation_of,
    deliver,
    inbound,
    open_business,
)
from tests.support.hearing import ask
from tests.support.outbox import claim_due, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph
from tests.support.templates import BODY, problem, retry

Scripted = tuple[ScriptedGraph, Graph]
NEW: Final = "351910559133"
STRANGER: Final = "351910559144"
OTHER_WABA: Final = "701122334455999"
PICTURE: Final = {"type": "HEADER", "format": "IMAGE"}
OTHER_WORDS: Final = {**BODY, "text": "Caro {{1}}, pague {{2}} euros."}


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá", at=clock.now() - timedelta(minutes=30)))
    return opened


def moved(previous: str, current: str) -> dict[str, Any]:
    told = {"type": "user_changed_number", "body": "changed", "wa_id": current}
    at = str(int(clock.now().timestamp()) - 60)
    return change(
        "messages",
        messages=[{"id": f"wamid.{current}", "from": previous, "timestamp": at, "type": "system", "system": told}],
    )


@pytest.mark.requirement("F4", "F5")
async def test_what_waits_is_not_sent_to_the_number_that_a_person_has_left(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    message_id = await write(business)
    with frozen(clock.now() + timedelta(hours=2)):
        await deliver(business.pool, moved(PHONE, NEW))
        await send_due(business, graph)
        assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
        assert "another WhatsApp number" in await problem(business)
        await deliver(business.pool, inbound("wamid.NEW", "Sou eu", phone=NEW))
        await retry(business, message_id)
        await send_due(business, graph)
    assert [asked.body["to"] for asked in scripted.of("/messages")] == [f"+{NEW}"]


@pytest.mark.requirement("F4")
async def test_what_waits_for_a_number_that_is_somebody_elses_by_now_does_not_reach_them(
    pool: Pool, graphs: Scripted
) -> None:
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.1", "Ana", bsuid="PT.1", at=now - timedelta(minutes=50)))
    message_id = await write(business)
    await deliver(pool, inbound("wamid.2", "Rui", bsuid="PT.2", at=now + timedelta(minutes=1)))
    await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
    await retry(business, message_id)
    await send_due(business, graph)
    assert [asked.body["recipient"] for asked in scripted.of("/messages")] == ["PT.1"]


@pytest.mark.requirement("F4")
async def test_what_is_learned_late_of_a_number_gives_nobody_what_was_written_to_another(
    business: Business, graphs: Scripted
) -> None:
    """Who had the number when it was written is known only afterwards: the message is in their conversation then."""
    scripted, graph = graphs
    message_id = await write(business)
    await deliver(business.pool, moved(PHONE, NEW))
    await deliver(business.pool, moved(STRANGER, PHONE))
    places = "SELECT count(DISTINCT conversation_id) FROM messages WHERE id = %s OR wamid = 'wamid.IN'"
    assert await ask(business.pool, places, message_id) == [(2,)]
    await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
    with pytest.raises(Conflict, match="somebody else"):
        await retry(business, message_id)
    await send_due(business, graph)
    assert scripted.of("/messages") == []


async def test_what_waits_goes_on_when_the_person_turns_out_to_be_known_already(pool: Pool, graphs: Scripted) -> None:
    """Two contacts become one, and the conversation in which it was written is gone."""
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.1", "Ana", at=now - timedelta(minutes=50)))
    await deliver(pool, inbound("wamid.2", "Ana", phone=None, bsuid="PT.1", at=now - timedelta(minutes=40)))
    for peer in (PHONE, "PT.1"):
        await write(business, peer, conversation_id=await conversation_of(pool, peer))
    await deliver(pool, inbound("wamid.3", "Ana", bsuid="PT.1", at=now - timedelta(minutes=30)))
    assert await ask(pool, "SELECT count(*) FROM conversations") == [(1,)]
    await send_due(business, graph)
    await send_due(business, graph)
    sent = [asked.body.get("to") or asked.body["recipient"] for asked in scripted.of("/messages")]
    assert sent == [f"+{PHONE}", "PT.1"]


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("was_given_up", [True, False])
async def test_a_sender_that_stood_still_before_its_call_asks_whether_it_is_still_its_own(
    business: Business, graphs: Scripted, was_given_up: bool
) -> None:
    """Another has given the attempt up by then, and somebody has sent the words again."""
    scripted, graph = graphs
    message_id = await write(business)
    (claimed,) = await claim_due(business)
    with frozen(clock.now() + timedelta(seconds=90)):
        if was_given_up:
            await worker.sweep(business.pool)
            await retry(business, message_id)
            await send_due(business, graph)
        await worker.send(business.pool, graph, KEYRING, claimed)
        await worker.sweep(business.pool)
    assert len(scripted.of("/messages")) == 1
    assert await states(business) == (["unclear", "accepted"] if was_given_up else ["accepted"])


async def test_a_call_that_begins_late_is_not_given_up_while_it_lasts(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await write(business)
    (claimed,) = await claim_due(business)
    found = []

    async def slow(_: Any) -> web.Response:
        await worker.sweep(business.pool)
        found.extend(await states(business))
        return web.json_response({"messages": [{"id": "wamid.LATE"}]})

    scripted.answers.append(slow)
    with frozen(clock.now() + timedelta(seconds=70)):
        await worker.send(business.pool, graph, KEYRING, claimed)
    assert (found, await states(business)) == (["sending"], ["accepted"])
