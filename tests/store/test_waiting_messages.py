"""Messages in line while the person, the number's WhatsApp account, or the time changes: none to anybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict, Unavailable
from coexist.coexistence import actions as connecting
from coexist.meta.graph import Graph
from coexist.outbound import worker
from coexist.outbound.model import SentFile
from coexist.outbound.templates import send_template
from tests.support import templates
from tests.support.business import (
    DISPLAY,
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
)
from tests.support.hearing import ask
from tests.support.outbox import claim_due, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph
from tests.support.templates import BODY, VALUES, asked, keep, listed, problem, retry

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


@pytest.mark.requirement("F5")
async def test_what_waits_goes_on_when_the_person_has_another_user_id_at_the_same_number(
    pool: Pool, graphs: Scripted
) -> None:
    scripted, graph = graphs
    business, now = await open_business(pool), clock.now()
    await deliver(pool, inbound("wamid.1", "Ana", bsuid="PT.1", at=now - timedelta(minutes=50)))
    await write(business)
    rotated = {"user_id": {"previous": "PT.1", "current": "PT.5"}, "timestamp": int(now.timestamp()) - 60}
    await deliver(pool, change("user_id_update", user_id_update=[rotated | {"wa_id": PHONE}]))
    await send_due(business, graph)
    await write(business)
    await send_due(business, graph)
    assert [asked.body.get("to") for asked in scripted.of("/messages")] == [f"+{PHONE}"] * 2


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
    said = await problem(business)
    assert ("somebody else" in said, "Send it again" in said) == (True, False)
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


# ── the number's WhatsApp account ─────────────────────────────────────────────────────────────────────────


async def to_another_account(business: Business) -> Business:
    """The number is onboarded anew, into another WhatsApp account."""
    async with transaction(business.pool) as conn:
        inbox = await connecting.connect(
            conn, KEYRING, account_id=business.member.account_id, waba_id=OTHER_WABA, phone_number_id=NUMBER,
            display_phone_number=DISPLAY, token=TOKEN, is_coexistence=True, onboarded_at=clock.now(),
        )  # fmt: skip
    return Business(business.pool, inbox, business.member)


@pytest.mark.requirement("G3")
async def test_what_waits_goes_on_in_another_whatsapp_account_only_in_the_same_words(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    await templates.write(business, await conversation_of(business.pool))
    await to_another_account(business)
    await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["queued"])
    assert "being read" in await problem(business), "nobody knows what that name stands for there"
    await keep(business, listed(), waba_id=OTHER_WABA)
    with frozen(clock.now() + timedelta(minutes=6)):
        await send_due(business, graph)
    assert (len(scripted.of("/messages")), await states(business)) == (1, ["accepted"])


@pytest.mark.parametrize("there", ["another", "other words"])
async def test_what_waits_is_not_sent_with_what_another_whatsapp_account_calls_so(
    business: Business, graphs: Scripted, there: str
) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    message_id = await templates.write(business, await conversation_of(business.pool))
    await asked(await to_another_account(business))
    other = [listed("another")] if there == "another" else [listed(components=[OTHER_WORDS])]
    await keep(business, *other, waba_id=OTHER_WABA)
    await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
    with pytest.raises(Conflict):
        await retry(business, message_id)


async def test_a_list_that_is_never_read_is_not_waited_for_for_ever(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    message_id = await templates.write(business, await conversation_of(business.pool))
    await to_another_account(business)
    with pytest.raises(Conflict):
        await retry(business, message_id)
    for tries in range(1, 20):
        with frozen(clock.now() + timedelta(minutes=6 * tries)):
            await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
    with pytest.raises(Unavailable):
        await retry(business, message_id)


async def test_a_file_that_meta_has_no_longer_does_not_go_after_waiting(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed(components=[PICTURE, BODY]))
    (template,) = await templates.templates(business)
    ids = (business.member, await conversation_of(business.pool), template.id)
    file, revision = SentFile("7700", "image/png", "poster.png"), template.revision

    async def work(conn: Any) -> int:
        return await send_template(conn, KEYRING, *ids, VALUES, our_ref=uuid4(), revision=revision, file=file)

    await in_transaction(business.pool, work)
    with frozen(clock.now() + timedelta(days=31)):
        await send_due(business, graph)
    assert (scripted.of("/messages"), await states(business)) == ([], ["failed"])
    assert "30 days" in await problem(business)


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


# ── a form that comes again ───────────────────────────────────────────────────────────────────────────────


async def test_a_form_that_comes_again_with_another_text_says_that_it_was_not_sent(business: Business) -> None:
    ref = uuid4()
    first = await write(business, "Até amanhã", ref=ref)
    assert await write(business, " Até amanhã ", ref=ref) == first
    with pytest.raises(Conflict, match="in other words"):
        await write(business, "Até amanhã às 9", ref=ref)
    assert await states(business) == ["queued"]


async def test_a_form_that_comes_again_with_other_values_says_that_it_was_not_sent(business: Business) -> None:
    end = {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Ver", "url": "https://loja.example/{{1}}"}]}
    await keep(business, listed(components=[BODY, end]), listed("other"))
    ref, ids = uuid4(), (business, await conversation_of(business.pool))
    values = {**VALUES, "button.0": "maçã"}
    first = await templates.write(*ids, values, our_ref=ref)
    assert await templates.write(*ids, {**values, "body.1": " Rui "}, our_ref=ref) == first
    for other in ({**values, "body.1": "Ana"}, {**values, "button.0": "pera"}):
        with pytest.raises(Conflict, match="in other words"):
            await templates.write(*ids, other, our_ref=ref)
    with pytest.raises(Conflict, match="in other words"):
        await templates.write(*ids, VALUES, name="other", our_ref=ref)
    assert await states(business) == ["queued"]
