"""Messages in line with a template, while Meta, the template or the person's wishes change."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction
from coexist.base.errors import Conflict
from coexist.coexistence import template_lists
from coexist.meta.graph import Graph, GraphError
from coexist.meta.templates import Takes
from coexist.outbound import template_files, worker
from coexist.outbound.model import SentFile
from coexist.outbound.templates import send_template
from tests.support import templates
from tests.support.business import KEYRING, PHONE, Business, change, conversation_of, deliver
from tests.support.outbox import claim_due, execute, frozen, send_due, states
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.templates import BODY, READY, VALUES, keep, listed, open_closed, problem, retry, tell

Scripted = tuple[ScriptedGraph, Graph]
PICTURE: Final = {"type": "HEADER", "format": "IMAGE"}
OTHER_WORDS: Final = {**BODY, "text": "Caro {{1}}, pague {{2}} euros."}


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_closed(pool)


async def write(business: Business, **other: Any) -> int:
    return await templates.write(business, await conversation_of(business.pool), **other)


async def test_what_is_claimed_when_its_template_is_paused_goes_back_in_line(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    await write(business)
    (claimed,) = await claim_due(business)
    await tell(business, "PAUSED")
    await worker.send(business.pool, graph, KEYRING, claimed)
    assert (await states(business), await problem(business)) == (["queued"], "")
    assert await send_due(business, graph) == 0
    await tell(business, "APPROVED")
    (again,) = await claim_due(business)
    assert again.attempts == 1, "no try of it counts"
    await worker.send(business.pool, graph, KEYRING, again)
    assert await states(business) == ["accepted"]
    assert len(scripted.of("/messages")) == 1


@pytest.mark.parametrize("how", ["webhook", "refusal", "list"])
async def test_open_pages_show_what_waits_as_soon_as_its_template_is_paused(
    business: Business, graphs: Scripted, how: str
) -> None:
    scripted, graph = graphs
    await keep(business, listed(), listed("other"))
    first, second = await write(business), await write(business)
    await write(business, name="other")
    before = await told_of(business)
    if how == "webhook":
        await tell(business, "PAUSED")
    elif how == "refusal":
        scripted.answers.append(error(132015))
        await send_due(business, graph)
    else:
        node = {"id": "9007199254740993", "name": READY, "language": "pt_PT", "status": "PAUSED", "components": [BODY]}
        scripted.answers.append(web.json_response({"data": [node]}))
        await template_lists.ask_due(business.pool, graph, KEYRING)
    assert {first, second} <= set((await told_of(business))[len(before) :])


async def told_of(business: Business) -> list[int]:
    """The messages whose bubbles pages were told to show anew, in order."""
    async with business.pool.connection() as conn:
        cursor = await conn.execute("SELECT message_id FROM events WHERE kind = 'message_changed' ORDER BY id")
        return [row[0] for row in await cursor.fetchall()]


async def test_marketing_in_line_does_not_go_to_who_has_stopped_it_since(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed(category="MARKETING"), listed("news"))
    message_id = await write(business)
    await write(business, name="news")
    wish = {
        "wa_id": PHONE,
        "category": "marketing_messages",
        "value": "stop",
        "timestamp": int(clock.now().timestamp()),
    }
    await deliver(business.pool, change("user_preferences", user_preferences=[wish]))
    await send_due(business, graph)
    await send_due(business, graph)
    assert await states(business) == ["failed", "accepted"]
    assert "stopped marketing" in await problem_of(business, message_id)
    assert [asked.body["template"]["name"] for asked in scripted.of("/messages")] == ["news"]


async def test_marketing_in_line_does_not_go_within_a_day_after_meta_withheld_some(
    business: Business, graphs: Scripted
) -> None:
    scripted, graph = graphs
    await keep(business, listed(category="MARKETING"))
    scripted.answers.append(error(131049))
    await write(business)
    second = await write(business)
    await send_due(business, graph)
    await send_due(business, graph)
    assert await states(business) == ["failed", "failed"]
    assert len(scripted.of("/messages")) == 1
    with frozen(clock.now() + timedelta(hours=25)):
        await retry(business, second)
        assert await send_due(business, graph) == 1


async def test_what_waited_while_its_template_got_other_words_is_not_sent(business: Business, graphs: Scripted) -> None:
    """The customer would read something else than what stands in the bubble."""
    scripted, graph = graphs
    await keep(business, listed())
    message_id = await write(business)
    await keep(business, listed(components=[OTHER_WORDS]), at=clock.now())
    await send_due(business, graph)
    assert await states(business) == ["failed"]
    assert "changed" in await problem(business)
    with pytest.raises(Conflict, match="changed"):
        await retry(business, message_id)
    assert scripted.of("/messages") == []


async def test_what_failed_does_not_go_again_in_other_words(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    await keep(business, listed())
    scripted.answers.append(error(131053))
    message_id = await write(business)
    await send_due(business, graph)
    await keep(business, listed(components=[OTHER_WORDS]), at=clock.now())
    with pytest.raises(Conflict, match="changed"):
        await retry(business, message_id)


async def test_meta_may_move_a_template_to_another_category_meanwhile(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await keep(business, listed())
    await write(business)
    await keep(business, listed(category="MARKETING"), at=clock.now())
    await send_due(business, graph)
    assert await states(business) == ["accepted"]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


async def with_file(business: Business) -> int:
    (template,) = await templates.templates(business)
    ids = (business.member, await conversation_of(business.pool), template.id)
    file, ref = SentFile("7700", "image/png", "poster.png"), uuid4()

    async def work(conn: Any) -> int:
        return await send_template(conn, KEYRING, *ids, VALUES, our_ref=ref, revision=template.revision, file=file)

    return await in_transaction(business.pool, work)


async def test_the_address_of_an_example_is_no_other_text(business: Business) -> None:
    """Meta makes a new one for every answer."""
    found = set()
    for signature in ("oe=68A1", "oe=68B2"):
        example = {"header_handle": [f"https://scontent.example/v/poster.png?{signature}"]}
        await keep(business, listed(components=[{**PICTURE, "example": example}, BODY]), at=clock.now())
        found |= {each.revision for each in await templates.templates(business)}
    await keep(business, listed(components=[PICTURE, OTHER_WORDS]), at=clock.now())
    assert len(found) == 1
    assert not found & {each.revision for each in await templates.templates(business)}


@pytest.mark.parametrize("days", [29, 31])
async def test_a_file_that_meta_has_no_longer_does_not_go_again(business: Business, days: int) -> None:
    await keep(business, listed(components=[PICTURE, BODY]))
    message_id = await with_file(business)
    await execute(business, "UPDATE outbox SET state = 'failed', settled_at = now()")
    with frozen(clock.now() + timedelta(days=days)):
        if days > 30:
            with pytest.raises(Conflict, match="30 days"):
                await retry(business, message_id)
        else:
            assert await retry(business, message_id) == message_id


async def test_what_meta_says_to_a_file_concerns_the_number_too(business: Business, graphs: Scripted) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(190))
    ids, file = (business.member, business.inbox.id, Takes.IMAGE), io.BytesIO(b"PNG")
    with pytest.raises(GraphError):
        await template_files.upload(
            business.pool, graph, KEYRING, *ids, file, size_bytes=3, mime_type="image/png", file_name="poster.png"
        )
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT state::text FROM inboxes")).fetchone() == ("token_invalid",)


async def problem_of(business: Business, message_id: int) -> str:
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT error FROM outbox WHERE message_id = %s", (message_id,))).fetchone()
    return "" if row is None else row[0] or ""
