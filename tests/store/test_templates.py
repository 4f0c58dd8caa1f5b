"""What is known of templates: Meta's list, what webhooks and refusals tell, and which of them counts."""

from __future__ import annotations

import itertools
import random
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from aiohttp import web
from msgspec import json

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import template_lists
from coexist.meta.graph import Graph
from coexist.people.model import Member
from coexist.templates import store
from tests.support.business import KEYRING, WABA, Business, deliver, open_business
from tests.support.outbox import execute, frozen
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import BODY, READY, keep, listed, templates

Scripted = tuple[ScriptedGraph, Graph]
ID: Final = 9007199254740993
MINUTE: Final = timedelta(minutes=1)


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


def notice(event: str | None, *, field: str = "message_template_status_update", **more: Any) -> dict[str, Any]:
    """A webhook about the template, which writes its language in another way than the list."""
    value = {
        "event": event, "message_template_id": ID, "message_template_name": READY,
        "message_template_language": "pt-PT", "reason": None, **more,
    }  # fmt: skip
    return {"field": field, "value": {name: part for name, part in value.items() if name != "event" or part}}


async def status(business: Business) -> str | None:
    (template,) = await templates(business)
    return template.status


async def status_of(business: Business, name: str) -> str | None:
    return next((each.status for each in await templates(business) if each.name == name), None)


async def next_at(business: Business) -> datetime:
    async with business.pool.connection() as conn:
        known = await store.listing(conn, business.member.account_id, WABA)
    assert known is not None
    return known.next_at


# ── which word counts ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "more", "wanted"),
    [
        ("PAUSED", {"other_info": {"title": "FIRST_PAUSE", "description": "Low quality"}}, "PAUSED"),
        ("PAUSED", {"other_info": {"title": "UNPAUSE"}}, "APPROVED"),
        ("DISABLED", {}, "DISABLED"),
        ("REJECTED", {"reason": "PROMOTIONAL"}, "REJECTED"),
        ("REINSTATED", {}, "APPROVED"),
        ("PENDING_DELETION", {}, "PENDING_DELETION"),
        ("FLAGGED", {}, "APPROVED"),
        ("SOMETHING_NEW", {}, "APPROVED"),
        (None, {"previous_quality_score": "GREEN", "new_quality_score": "RED"}, "APPROVED"),
    ],
)
async def test_a_webhook_counts_at_once_and_has_meta_asked(
    business: Business, event: str | None, more: dict[str, Any], wanted: str
) -> None:
    await keep(business, listed())
    await deliver(business.pool, notice(event, **more))
    assert await status(business) == wanted
    assert await next_at(business) <= clock.now() + timedelta(seconds=3)


@pytest.mark.parametrize(
    "field",
    ["message_template_quality_update", "message_template_components_update", "template_category_update"],
)
async def test_what_a_webhook_leaves_out_is_asked_for(business: Business, field: str) -> None:
    await keep(business, listed())
    await deliver(business.pool, notice(None, field=field, new_category="MARKETING", previous_category="UTILITY"))
    assert await next_at(business) <= clock.now() + timedelta(seconds=3)
    assert await status(business) == "APPROVED"


@pytest.mark.parametrize(
    ("minutes", "wanted"), [(-5, "PAUSED"), (0, "PAUSED"), (9, "PAUSED"), (10, "PAUSED"), (11, "APPROVED")]
)
@pytest.mark.parametrize("told_first", [True, False])
async def test_the_list_is_believed_ten_minutes_after_a_webhook(
    business: Business, minutes: int, wanted: str, told_first: bool
) -> None:
    """Whichever of the two is here first: only their times count."""
    told_at = clock.now().replace(microsecond=0) - timedelta(hours=1)
    if told_first:
        await deliver(business.pool, notice("PAUSED"), at=told_at)
    await keep(business, listed(), at=told_at + minutes * MINUTE)
    if not told_first:
        await deliver(business.pool, notice("PAUSED"), at=told_at)
    assert await status(business) == wanted


async def test_webhooks_in_any_order_end_the_same(business: Business) -> None:
    start = clock.now().replace(microsecond=0) - timedelta(minutes=5)
    told = [
        (notice("PAUSED"), 0),
        (notice("APPROVED", reason="NONE"), 2),
        (notice("PAUSED"), 2),
        (notice("DISABLED"), 1),
    ]
    ends = set()
    for order in itertools.permutations(told):
        await execute(business, "DELETE FROM templates")
        for each, minutes in order:
            await deliver(business.pool, each, at=start + minutes * MINUTE)
            await deliver(business.pool, each, at=start + minutes * MINUTE)
        async with business.pool.connection() as conn:
            cursor = await conn.execute("SELECT told_status, told_at, told_id, told_reason FROM templates")
            ends |= set(await cursor.fetchall())
    assert ends == {("PAUSED", start + 2 * MINUTE, str(ID), None)}


async def test_what_was_told_of_a_deleted_template_does_not_count_for_its_namesake(business: Business) -> None:
    await deliver(business.pool, notice("DELETED"))
    await keep(business, listed(id=str(ID + 2)), at=clock.now())
    assert await status(business) == "APPROVED"


async def test_a_list_without_a_template_takes_it_away_and_another_brings_it_back(business: Business) -> None:
    before = clock.now() - timedelta(hours=2)
    await keep(business, listed(), listed("other"), at=before)
    await keep(business, listed("other"), at=before + MINUTE)
    assert [each.name for each in await templates(business)] == ["other"]
    await keep(business, listed(), listed("other"), at=before)  # an older answer that comes late changes nothing
    assert [each.name for each in await templates(business)] == ["other"]
    await keep(business, listed("removed"), listed("other"), at=before)  # nor one that has what was gone before we knew
    assert [each.name for each in await templates(business)] == ["other"]
    await keep(business, listed(), listed("other"), at=before + 2 * MINUTE)
    assert [each.name for each in await templates(business)] == [READY, "other"]


async def test_a_long_list_is_not_asked_for_at_every_webhook(business: Business) -> None:
    """It takes 60 of the calls that the files of messages need too; a person may ask soon all the same."""
    now = clock.now()
    await keep(business, *(listed(f"t{n}") for n in range(6_000)), at=now)
    await execute(
        business,
        "INSERT INTO template_lists SELECT id, %s, %s, %s, 0, %s FROM accounts",
        WABA,
        now,
        now + 6 * 60 * MINUTE,
        now,
    )
    for _ in range(2):
        await deliver(business.pool, notice("PAUSED", message_template_name="t7"))
    assert now + 2 * MINUTE <= await next_at(business) <= now + 2 * MINUTE + timedelta(seconds=3)
    async with transaction(business.pool) as conn:
        await template_lists.ask_soon(conn, business.member, business.inbox.id)
    assert await next_at(business) == now + timedelta(seconds=10)


async def test_a_refused_template_that_meta_does_not_list_is_gone_at_once(business: Business) -> None:
    await keep(business, listed(), listed("other"))
    await execute(business, "UPDATE templates SET told_status = 'MISSING', told_at = now() WHERE name = %s", READY)
    assert await status_of(business, READY) == "MISSING"
    await keep(business, listed("other"), at=clock.now())
    assert await status_of(business, READY) is None


async def test_webhooks_of_a_waba_that_nobody_here_has_leave_nothing(business: Business) -> None:
    await execute(business, "UPDATE inboxes SET waba_id = '99', phone_number_id = '88'")
    await deliver(business.pool, notice("PAUSED"))
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM templates")).fetchone() == (0,)


# ── asking Meta ───────────────────────────────────────────────────────────────────────────────────────────


def page(*names: str, after: str | None = None, **other: Any) -> web.Response:
    """A page of Graph's list."""
    nodes = [
        {"id": str(ID + n), "name": name, "language": "pt_PT", "status": "APPROVED", "category": "UTILITY",
         "quality_score": {"score": "GREEN"}, "rejected_reason": "NONE", "components": [BODY], **other}
        for n, name in enumerate(names)
    ]  # fmt: skip
    paging = {"cursors": {"after": after or "end"}, **({"next": "https://graph.example"} if after else {})}
    return web.Response(body=json.encode({"data": nodes, "paging": paging}), content_type="application/json")


async def ask(business: Business, graph: Graph, *, at: datetime | None = None) -> int:
    with frozen(at) if at else nullcontext():
        return await template_lists.ask_due(business.pool, graph, KEYRING)


async def test_a_connected_number_has_its_templates_read_page_by_page(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers += [page("a", "b", after="next"), page("c")]
    assert await ask(business, graph) == 1
    assert [each.name for each in await templates(business)] == ["a", "b", "c"]
    first = (await templates(business))[0]
    assert (first.quality, first.rejected_reason, first.template_id) == ("GREEN", None, str(ID))
    assert [asked.what.rsplit("/", 1)[-1] for asked in scripted.asked] == ["message_templates"] * 2
    assert await ask(business, graph) == 0
    assert await ask(business, graph, at=clock.now() + timedelta(hours=5, minutes=59)) == 0
    scripted.answers.append(page("a"))
    assert await ask(business, graph, at=clock.now() + timedelta(hours=6, minutes=1)) == 1


async def test_a_paused_template_has_meta_asked_more_often(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(page(READY, status="PAUSED"))
    await ask(business, graph)
    due = await next_at(business)
    assert timedelta(minutes=14) < due - clock.now() < timedelta(minutes=16)


async def test_a_list_that_contradicts_a_webhook_is_asked_for_again_when_it_counts(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    told_at = clock.now().replace(microsecond=0)
    await deliver(business.pool, notice("DISABLED"), at=told_at)
    scripted.answers.append(page(READY))
    await ask(business, graph, at=told_at + timedelta(seconds=5))
    assert await status(business) == "DISABLED"
    assert await next_at(business) == told_at + 10 * MINUTE + timedelta(seconds=1)
    scripted.answers.append(page(READY))
    assert await ask(business, graph, at=told_at + 10 * MINUTE + timedelta(seconds=2)) == 1
    assert await status(business) == "APPROVED"


async def test_what_is_told_while_meta_answers_has_it_asked_again(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs

    async def tell_meanwhile(_: Any) -> web.Response:
        await deliver(business.pool, notice("PAUSED"))
        return page(READY)

    scripted.answers.append(tell_meanwhile)
    await ask(business, graph)
    assert await status(business) == "PAUSED"
    assert await next_at(business) <= clock.now() + timedelta(seconds=3)


async def test_an_answer_that_does_not_come_is_waited_for_longer_each_time(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    now = clock.now()
    for minutes in (1, 2, 4):
        scripted.answers.append(error(131005))
        await execute(business, "UPDATE inboxes SET state = 'connected'")
        assert await ask(business, graph, at=now) == 1
        assert await next_at(business) == now + minutes * MINUTE
        async with business.pool.connection() as conn:
            known = await store.listing(conn, business.member.account_id, WABA)
        assert known is not None
        assert "131005" in (known.problem or "")
        assert known.listed_at is None
        now += minutes * MINUTE
    await execute(business, "UPDATE inboxes SET state = 'connected'")
    scripted.answers.append(page(READY))
    await ask(business, graph, at=now)
    async with business.pool.connection() as conn:
        known = await store.listing(conn, business.member.account_id, WABA)
    assert known is not None
    assert (known.problem, known.listed_at) == (None, now)


@pytest.mark.parametrize(
    "odd",
    [
        {"name": None}, {"name": 7}, {"language": ["pt_PT"]}, {"status": None}, {"id": None}, {"components": None},
        {"components": "text"}, {"quality_score": None}, {"quality_score": "GREEN"}, {"category": {}},
        {"components": [None, 7, {"type": "BODY", "text": "a\0b"}]}, {"rejected_reason": 5},
    ],
)  # fmt: skip
async def test_a_template_that_makes_no_sense_takes_no_other_with_it(
    business: Business, graphs: Scripted, odd: dict[str, Any]
) -> None:
    scripted, graph = graphs
    good = {"id": str(ID), "name": READY, "language": "pt_PT", "status": "APPROVED", "components": [BODY]}
    scripted.answers.append(web.json_response({"data": [{**good, "name": "odd", **odd}, 7, good]}))
    await ask(business, graph)
    found = {each.name: each for each in await templates(business)}
    assert found[READY].form.why_not == ""
    assert set(found) <= {READY, "odd"}
    assert [each.form.body for each in found.values()]


async def test_half_a_letter_in_a_template_is_replaced(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    answer = (
        b'{"data":[{"id":"1","name":"order_ready","language":"pt_PT","status":"APPROVED",'
        b'"components":[{"type":"BODY","text":"A\\ud83d."}]}]}'
    )
    scripted.answers.append(web.Response(body=answer, content_type="application/json"))
    await ask(business, graph)
    assert [each.form.body for each in await templates(business)] == ["A\ufffd."]


async def test_a_list_of_which_nothing_can_be_read_takes_nothing_away(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers += [page(READY), web.json_response({"data": [{"id": "1"}, 7]})]
    await ask(business, graph)
    await execute(business, "UPDATE template_lists SET next_at = now()")
    await ask(business, graph)
    assert await status(business) == "APPROVED"


async def test_an_answer_that_cannot_be_kept_is_a_problem_of_its_account_alone(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    too_long = "".join(random.Random(1).choices("abcdefghij_", k=9_000))  # no index holds it
    scripted.answers.append(page(too_long))
    assert await ask(business, graph) == 1
    async with business.pool.connection() as conn:
        known = await store.listing(conn, business.member.account_id, WABA)
    assert known is not None
    assert known.problem == template_lists.NOT_KEPT


async def test_a_limit_of_the_account_pauses_its_questions(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(80007))
    await ask(business, graph)
    await execute(business, "UPDATE template_lists SET next_at = now()")
    assert await ask(business, graph) == 0, "Meta asked for fewer calls"


@pytest.mark.parametrize("state", ["removed", "token_invalid"])
async def test_nobody_asks_for_a_number_that_is_gone(business: Business, graphs: Scripted, state: str) -> None:
    _, graph = graphs
    await execute(business, "UPDATE inboxes SET state = %s::inbox_state", state)
    assert await ask(business, graph) == 0


async def test_a_person_has_meta_asked_now(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers += [page("a"), page("a", "b")]
    await ask(business, graph)

    async def want(member: Member) -> None:
        async with transaction(business.pool) as conn:
            await template_lists.ask_soon(conn, member, business.inbox.id)

    await want(business.member)
    assert await ask(business, graph) == 0, "Meta has just answered"
    assert await ask(business, graph, at=clock.now() + timedelta(seconds=11)) == 1
    assert [each.name for each in await templates(business)] == ["a", "b"]
