"""Messages written with a template: who gets one, what waits for it, what is refused, and what goes again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction
from coexist.base.errors import Conflict, NotFound
from coexist.meta.graph import Graph
from coexist.meta.templates import NotFilled
from coexist.outbound.model import SentFile
from coexist.outbound.templates import send_template
from coexist.people import actions as people
from coexist.people.model import Role
from tests.support import templates
from tests.support.business import (
    BSUID,
    KEYRING,
    PHONE,
    Business,
    conversation_of,
    deliver,
    inbound,
    open_business,
    status,
)
from tests.support.outbox import execute, frozen, send_due, states
from tests.support.outbox import write as write_text
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import BODY, READY, VALUES, keep, listed, open_closed, problem, retry, tell

Scripted = tuple[ScriptedGraph, Graph]
PICTURE: Final = {"type": "HEADER", "format": "IMAGE"}


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_closed(pool)


async def write(business: Business, values: Any = VALUES, **other: Any) -> int:
    return await templates.write(business, await conversation_of(business.pool), values, **other)


async def shown(business: Business, message_id: int) -> tuple[Any, ...]:
    async with business.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT type, text, content -> 'template' FROM messages WHERE id = %s", (message_id,)
        )
        return await cursor.fetchone() or ()


@pytest.mark.requirement("E10")
async def test_a_template_goes_out_where_a_text_may_not(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    with pytest.raises(Conflict, match="template"):
        await write_text(business)
    await keep(business, listed())
    message_id = await write(business)
    assert await send_due(business, graph) == 1
    (asked,) = scripted.of("/messages")
    assert asked.body["type"] == "template"
    assert asked.body["to"] == f"+{PHONE}"
    parameters = [{"type": "text", "text": "Rui"}, {"type": "text", "text": "1042"}]
    components = [{"type": "body", "parameters": parameters}]
    assert asked.body["template"] == {"name": READY, "language": {"code": "pt_PT"}, "components": components}
    type_, text, template = await shown(business, message_id)
    assert (type_, text) == ("template", "Olá Rui, o pedido 1042 está pronto.")
    assert (template["name"], template["language"], template["category"]) == (READY, "pt_PT", "UTILITY")
    assert await states(business) == ["accepted"]


async def test_the_same_reference_is_one_message(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await keep(business, listed())
    ref = uuid4()
    assert await write(business, our_ref=ref) == await write(business, our_ref=ref)
    assert await send_due(business, graph) == 1


@pytest.mark.parametrize("state", ["PAUSED", "DISABLED", "REJECTED", "PENDING", "ARCHIVED", "SOMETHING_NEW"])
async def test_what_meta_does_not_take_is_not_written(business: Business, state: str) -> None:
    await keep(business, listed(status=state))
    with pytest.raises(Conflict):
        await write(business)
    assert await states(business) == []


async def test_a_form_that_is_not_filled_in_writes_nothing(business: Business) -> None:
    await keep(business, listed())
    with pytest.raises(NotFilled) as refused:
        await write(business, {"body.1": "Rui"})
    assert list(refused.value.problems) == ["body.2"]
    assert await states(business) == []


async def test_a_template_that_changed_since_its_form_was_shown_is_not_sent(business: Business) -> None:
    await keep(business, listed())
    (seen,) = await templates.templates(business)
    await keep(business, listed(components=[{**BODY, "text": "Caro {{1}}, pague {{2}}."}]), at=clock.now())
    ids = (business.member, await conversation_of(business.pool), seen.id)

    async def work(conn: Any) -> int:
        return await send_template(conn, KEYRING, *ids, VALUES, our_ref=uuid4(), revision=seen.revision)

    with pytest.raises(Conflict, match="changed"):
        await in_transaction(business.pool, work)
    assert await states(business) == []


async def test_another_accounts_template_does_not_exist(business: Business) -> None:
    await keep(business, listed())
    (seen,) = await templates.templates(business)
    await execute(business, "INSERT INTO accounts (name) VALUES ('Another')")
    await execute(business, "UPDATE templates SET account_id = (SELECT max(id) FROM accounts)")
    ids = (business.member, await conversation_of(business.pool), seen.id)

    async def work(conn: Any) -> int:
        return await send_template(conn, KEYRING, *ids, VALUES, our_ref=uuid4(), revision=seen.revision)

    with pytest.raises(NotFound):
        await in_transaction(business.pool, work)


# ── the person ────────────────────────────────────────────────────────────────────────────────────────────


async def test_marketing_is_not_sent_to_who_stopped_it_until_they_resume(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed(category="MARKETING"), listed("news", category="UTILITY"))
    scripted.answers.append(error(131050))
    await write(business)
    await send_due(business, graph)
    with pytest.raises(Conflict, match="stopped marketing"):
        await write(business)
    await write(business, name="news")
    resumed = {
        "wa_id": PHONE,
        "category": "marketing_messages",
        "value": "resume",
        "timestamp": int(clock.now().timestamp()) + 2,
    }
    metadata = {
        "display_phone_number": business.inbox.display_phone_number,
        "phone_number_id": business.inbox.phone_number_id,
    }
    await deliver(
        business.pool, {"field": "user_preferences", "value": {"metadata": metadata, "user_preferences": [resumed]}}
    )
    await write(business)


async def test_marketing_rests_a_day_after_meta_withheld_some(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed(category="MARKETING"))
    scripted.answers.append(error(131049))
    await write(business)
    await send_due(business, graph)
    with frozen(clock.now() + timedelta(hours=23)), pytest.raises(Conflict):
        await write(business)
    with frozen(clock.now() + timedelta(hours=25)):
        await write(business)


@pytest.mark.requirement("F6")
@pytest.mark.parametrize("is_hidden", [True, False])
async def test_a_code_is_not_sent_to_a_hidden_number(pool: Pool, is_hidden: bool) -> None:
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá", phone=None if is_hidden else PHONE, bsuid=BSUID))
    await keep(business, listed(category="AUTHENTICATION"))
    if is_hidden:
        with pytest.raises(Conflict, match="hidden"):
            await write(business)
    else:
        await write(business)


# ── what waits, and what is refused ───────────────────────────────────────────────────────────────────────


async def test_what_is_in_line_waits_while_its_template_is_paused(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed(), listed("other"))
    await write(business)
    await tell(business, "PAUSED")
    assert await send_due(business, graph) == 0
    await write(business, name="other")
    assert await send_due(business, graph) == 1, "it holds up nothing else"
    await tell(business, "APPROVED")
    assert await send_due(business, graph) == 1
    assert [asked.body["template"]["name"] for asked in scripted.of("/messages")] == ["other", READY]


@pytest.mark.parametrize("event", ["DISABLED", "REJECTED", "DELETED"])
async def test_what_is_in_line_fails_unsent_when_its_template_is_gone(
    business: Business, graphs: Scripted, event: str
) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    await write(business)
    await tell(business, event)
    await send_due(business, graph)
    assert await states(business) == ["failed"]
    assert "template" in await problem(business)
    assert scripted.of("/messages") == []


@pytest.mark.parametrize("code", [132001, 132015, 132016])
async def test_a_refusal_keeps_the_next_from_being_sent(business: Business, graphs: Scripted, code: int) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    scripted.answers.append(error(code))
    first = await write(business)
    await write(business)
    await send_due(business, graph)
    await send_due(business, graph)
    assert len(scripted.of("/messages")) == 1
    assert await states(business) == ["failed", "queued" if code == 132015 else "failed"]
    with pytest.raises(Conflict):
        await write(business)
    with pytest.raises(Conflict):
        await retry(business, first)


async def test_utility_templates_wait_while_meta_restricts_them(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await keep(business, listed(), listed("news", category="MARKETING"))
    until = clock.now() + timedelta(hours=2)
    info = {"restriction_type": "RESTRICTED_UTILITY_TEMPLATES", "expiration": int(until.timestamp())}
    value = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [info]}
    await deliver(business.pool, {"field": "account_update", "value": value})
    await write(business)
    assert await send_due(business, graph) == 0
    await write(business, name="news")
    assert await send_due(business, graph) == 1
    with frozen(until + timedelta(seconds=1)):
        assert await send_due(business, graph) == 1


async def test_what_meta_takes_and_holds_back_is_told(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    held = {"messages": [{"id": "wamid.HELD", "message_status": "held_for_quality_assessment"}]}
    scripted.answers.append(web.json_response(held))
    await write(business)
    await send_due(business, graph)
    assert await states(business) == ["accepted"]
    assert "holds it back" in await problem(business)


# ── again ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_failed_goes_again_with_its_values(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    scripted.answers.append(error(131053))
    message_id = await write(business)
    await send_due(business, graph)
    assert await retry(business, message_id) == message_id
    with pytest.raises(Conflict):
        await retry(business, message_id)
    await send_due(business, graph)
    first, second = [asked.body["template"] for asked in scripted.of("/messages")]
    assert first == second
    assert await states(business) == ["accepted"]


async def test_what_meta_could_not_deliver_goes_again_as_a_new_message(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    message_id = await write(business)
    await send_due(business, graph)
    await deliver(business.pool, status("wamid.OUT1", "failed", errors=[{"code": 131026, "title": "Undeliverable"}]))
    again = await retry(business, message_id)
    assert again != message_id
    assert await retry(business, message_id) == again, "the second click sends nothing more"
    await send_due(business, graph)
    first, second = [asked.body["template"] for asked in scripted.of("/messages")]
    assert first == second
    assert await shown(business, message_id) == await shown(business, again)


async def test_what_was_filled_in_for_another_text_does_not_go_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    scripted.answers.append(error(132000))
    message_id = await write(business)
    await send_due(business, graph)
    await keep(business, listed(components=[{"type": "BODY", "text": "Olá {{1}}, {{2}}, {{3}}!"}]), at=clock.now())
    with pytest.raises(Conflict, match="changed"):
        await retry(business, message_id)
    assert await states(business) == ["failed"]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answers", [True, False])
async def test_the_file_at_the_head_is_shown_once_meta_has_the_message(
    business: Business, graphs: Scripted, answers: bool
) -> None:
    scripted, graph = graphs
    await keep(business, listed(components=[PICTURE, BODY]))
    (template,) = await templates.templates(business)
    ids = (business.member, await conversation_of(business.pool), template.id)
    file, ref = SentFile("7700", "image/png", "poster.png"), uuid4()

    async def work(conn: Any) -> int:
        return await send_template(conn, KEYRING, *ids, VALUES, our_ref=ref, revision=template.revision, file=file)

    await in_transaction(business.pool, work)
    if not answers:
        scripted.answers.append(ConnectionError())
    await send_due(business, graph)
    if not answers:  # nobody answered, and a status tells that it arrived
        await deliver(business.pool, status("wamid.OUT1", "sent", our_ref=f"cx:{ref}"))
    header = scripted.of("/messages")[0].body["template"]["components"][0]
    assert header == {"type": "header", "parameters": [{"type": "image", "image": {"id": "7700"}}]}
    async with business.pool.connection() as conn:
        cursor = await conn.execute("SELECT wamid, media_id, mime_type, file_name, state::text FROM media")
        assert await cursor.fetchall() == [("wamid.OUT1", "7700", "image/png", "poster.png", "waiting")]


async def test_a_template_without_its_file_is_not_written(business: Business) -> None:
    await keep(business, listed(components=[PICTURE, BODY]))
    with pytest.raises(NotFilled) as refused:
        await write(business, {**VALUES, "header.file": "7700"})
    assert list(refused.value.problems) == ["header.file"], "an id that somebody typed is no file of theirs"


async def test_an_agent_may_send_templates(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await keep(business, listed())
    account_id = business.member.account_id
    agent = await in_transaction(
        business.pool,
        lambda conn: people.add_user(conn, account_id, name="Rita Sá", email="rita@example.com", role=Role.AGENT),
    )
    await write(Business(business.pool, business.inbox, agent))
    assert await send_due(business, graph) == 1
