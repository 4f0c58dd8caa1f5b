"""Making a template at Meta: who may, what is told at which field, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction
from coexist.base.errors import Conflict, Forbidden, NotFound
from coexist.coexistence.template_copies import create
from coexist.meta.graph import Graph, GraphError
from coexist.meta.new_templates import NewTemplate
from coexist.meta.templates import NotFilled
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.templates import store
from tests.support.business import KEYRING, WABA, Business, open_business
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import BODY, keep, listed, templates

Scripted = tuple[ScriptedGraph, Graph]
NEW = NewTemplate("order_ready_2", "pt_PT", "UTILITY", "Olá {{1}}, está pronto.", examples={"body.1": "Ana"})
MADE = {"id": "9007199254740999", "status": "PENDING", "category": "UTILITY"}


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


async def make(
    business: Business,
    graph: Graph,
    new: NewTemplate = NEW,
    *,
    member: Member | None = None,
    copy_of: int | None = None,
) -> None:
    by = member or business.member
    await create(business.pool, graph, KEYRING, by, business.inbox.id, new, copy_of)


async def is_asked_for(business: Business) -> bool:
    async with business.pool.connection() as conn:
        known = await store.listing(conn, business.member.account_id, WABA)
    return known is not None and known.next_at <= clock.now() + timedelta(seconds=1)


async def test_a_copy_is_made_with_its_buttons_and_the_list_read_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    buttons = {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Sim"}]}
    await keep(business, listed(components=[BODY, buttons], status="DISABLED"))
    scripted.answers.append(web.json_response(MADE))
    await make(business, graph, copy_of=(await templates(business))[0].id)
    (asked,) = scripted.of("/message_templates")
    assert asked.what.startswith("POST")
    assert (asked.body["name"], asked.body["components"][-1]) == ("order_ready_2", buttons)
    assert await is_asked_for(business)


async def test_lines_are_as_meta_counts_them(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(web.json_response(MADE))
    await make(business, graph, replace(NEW, body="Olá {{1}},\r\n" + "está pronto.".ljust(1_011, "!") + "\r\n"))
    (asked,) = scripted.of("/message_templates")
    assert asked.body["components"][0]["text"] == "Olá {{1}},\n" + "está pronto.".ljust(1_011, "!")


@pytest.mark.parametrize(
    ("code", "field"),
    [
        (2388024, "name"), (2388040, "body"), (2388047, "header"), (2388072, "body"), (2388073, "footer"),
        (2388293, "body"), (2388299, "body"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_subcode", [True, False])
async def test_what_meta_does_not_take_is_told_at_its_field(
    business: Business, graphs: Scripted, code: int, field: str, is_subcode: bool
) -> None:
    scripted, graph = graphs
    envelope: dict[str, Any] = {"message": "Invalid parameter", "code": 100 if is_subcode else code}
    envelope |= {"error_subcode": code, "error_user_msg": "As scripted"} if is_subcode else {}
    scripted.answers.append(web.json_response({"error": envelope}, status=400))
    with pytest.raises(NotFilled) as refused:
        await make(business, graph)
    assert list(refused.value.problems) == [field]


async def test_what_has_no_field_is_told_in_words(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(2388019))
    with pytest.raises(GraphError, match="as many templates"):
        await make(business, graph)


async def test_a_form_that_does_not_fit_asks_meta_nothing(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    with pytest.raises(NotFilled):
        await make(business, graph, replace(NEW, name="Order Ready"))
    assert scripted.asked == []


async def test_when_nobody_knows_the_list_is_read_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(ConnectionError())
    with pytest.raises(Conflict, match="did not say"):
        await make(business, graph)
    assert len(scripted.asked) == 1, "it is not asked for twice"
    assert await is_asked_for(business)


async def test_an_agent_makes_none_and_nobody_copies_anothers(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    account_id = business.member.account_id
    agent = await in_transaction(
        business.pool,
        lambda conn: people.add_user(conn, account_id, name="Rita Sá", email="rita@example.com", role=Role.AGENT),
    )
    with pytest.raises(Forbidden):
        await make(business, graph, member=agent)
    with pytest.raises(NotFound):
        await make(business, graph, copy_of=1)
    assert scripted.asked == []
