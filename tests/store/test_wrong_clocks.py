"""A clock that was hours ahead and was put right: what it wrote makes nobody wait for those hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import template_lists
from coexist.media import store as media
from coexist.media.model import Reason
from coexist.meta.graph import Graph
from coexist.outbound import attempts
from coexist.templates import rules, store
from coexist.templates.model import Told
from tests.support.business import PHONE, WABA, Business, change, deliver, inbound, open_business
from tests.support.outbox import claim_due, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph
from tests.support.templates import keep, listed, templates

AHEAD = timedelta(hours=3)


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def test_what_was_written_by_a_clock_ahead_is_sent_now(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    with frozen(clock.now() + AHEAD):
        await write(business)
    assert await send_due(business, graph) == 1
    assert await states(business) == ["accepted"]


async def test_what_was_sent_by_a_clock_ahead_does_not_count_as_sent_just_now(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    with frozen(clock.now() + AHEAD):
        await write(business, "um")
        assert await send_due(business, graph, per_second=1) == 1
    await write(business, "dois")
    assert await send_due(business, graph, per_second=1) == 1


async def test_a_call_begun_by_a_clock_ahead_whose_process_died_is_unclear_soon(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    with frozen(clock.now() + AHEAD):
        await write(business)
        await claim_due(business)  # and then this process is killed
    with frozen(clock.now() + timedelta(seconds=attempts.CALL_LOST_S + 1)):
        await send_due(business, graph)
    assert await states(business) == ["unclear"]
    assert scripted.asked == []


async def test_a_file_that_was_told_or_tried_by_a_clock_ahead_is_fetched_now(business: Business) -> None:
    await deliver(business.pool, change("messages", messages=[photo("wamid.P", "901")]))
    limits = {"at_once_per_number": 4, "per_hour": 100}
    with frozen(clock.now() + AHEAD):
        async with transaction(business.pool) as conn:
            tried = await media.claim(conn, **limits)  # and then this process is killed
    assert tried is not None
    found = None
    for _ in range(2):  # the first finds nothing due, and puts the times right
        async with transaction(business.pool) as conn:
            found = found or await media.claim(conn, **limits)
    assert found is not None
    assert (found.id, found.attempts) == (tried.id, 2)


@pytest.mark.parametrize("reason", [Reason.UPSTREAM, Reason.NO_ROOM, Reason.THROTTLED])
async def test_a_file_whose_fetching_failed_while_the_clock_was_ahead_is_fetched_soon(
    business: Business, reason: Reason
) -> None:
    await deliver(business.pool, change("messages", messages=[photo("wamid.P", "901")]))
    limits = {"at_once_per_number": 4, "per_hour": 100}
    async with transaction(business.pool) as conn:
        tried = await media.claim(conn, **limits)
        assert tried is not None
        with frozen(clock.now() + AHEAD):
            until = clock.now() + timedelta(seconds=10)
            if reason is Reason.THROTTLED:
                await media.throttle(conn, tried.inbox_id)
                await media.throttle_until(conn, tried.inbox_id, until)
            await media.later(conn, tried, until, reason, "")
            if reason is Reason.NO_ROOM:
                await conn.execute("UPDATE media SET next_attempt_at = attempted_at, attempted_at = NULL")
                await media.put_off_all(conn, until, reason, "")
    found = None
    with frozen(clock.now() + timedelta(seconds=20)):
        for _ in range(2):  # the first finds nothing due, and puts the times right
            async with transaction(business.pool) as conn:
                found = found or await media.claim(conn, **limits)
    assert found is not None
    assert found.id == tried.id


async def test_a_list_that_was_asked_for_by_a_clock_ahead_is_asked_for_and_kept_now(business: Business) -> None:
    with frozen(clock.now() + AHEAD):
        async with transaction(business.pool) as conn:
            await store.doubt(conn, [(business.member.account_id, WABA)], clock.now() + rules.LIST_EVERY)
        await keep(business, listed(), listed("old"), at=clock.now())
        told = Told(business.member.account_id, WABA, "order_ready", "pt_PT", "MISSING", clock.now())
        async with transaction(business.pool) as conn:
            await store.tell(conn, [told])
    async with transaction(business.pool) as conn:
        assert len(await template_lists.claim(conn)) == 1
    await keep(business, listed(), at=clock.now())
    assert [(each.name, each.status) for each in await templates(business)] == [("order_ready", "APPROVED")]


def photo(wamid: str, media_id: str) -> dict[str, Any]:
    """A photo of the customer's."""
    file = {"id": media_id, "mime_type": "image/jpeg", "sha256": "ab" * 32}
    return {"id": wamid, "from": PHONE, "timestamp": str(int(clock.now().timestamp())), "type": "image", "image": file}
