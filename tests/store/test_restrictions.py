"""What Meta restricts a number in waits, and nothing else does, until Meta's time is over or somebody settles it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import actions as connecting
from coexist.coexistence import life_watch
from coexist.meta.graph import Graph
from tests.support.business import KEYRING, Business, conversation_of, deliver, inbound, open_business
from tests.support.outbox import execute, frozen, send_due, states, write
from tests.support.scripted_graph import ScriptedGraph
from tests.support.templates import write_listed

Scripted = tuple[ScriptedGraph, Graph]
BEGINS, REPLIES = "RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"
NUMBER: Final = {"id": "555100020003000", "platform_type": "CLOUD_API", "is_on_biz_app": True, "status": "CONNECTED"}


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A customer has just written."""
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def restrict(business: Business, kind: str, until: datetime | None, **more: Any) -> None:
    info: dict[str, Any] = {"restriction_type": kind}
    if until is not None:
        info["expiration"] = int(until.timestamp())
    value = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [info], **more}
    await deliver(business.pool, {"field": "account_update", "value": value})


async def write_template(business: Business, *, window: bool) -> None:
    await write_listed(business)
    if not window:
        await execute(business, "UPDATE conversations SET window_opened_at = now() - interval '25 hours'")


async def go_on(business: Business) -> None:
    ids = business.member.account_id, business.inbox.id
    await in_transaction(business.pool, lambda conn: connecting.go_on(conn, "Inês", *ids))


@pytest.mark.requirement("G1")
@pytest.mark.parametrize(
    ("kind", "what", "sent"),
    [
        (BEGINS, "reply", 1), (BEGINS, "template", 0), (BEGINS, "template in the window", 1),
        (REPLIES, "reply", 0), (REPLIES, "template", 1), (REPLIES, "template in the window", 0),
        ("RESTRICTED_ADD_PHONE_NUMBER_ACTION", "reply", 1), ("RESTRICTED_UTILITY_TEMPLATES", "reply", 1),
        ("RESTRICTED_BUSINESS_INITIATED_CALLING", "template", 1), ("RESTRICTED_SOMETHING_NEW", "reply", 1),
    ],
)  # fmt: skip
async def test_only_what_is_restricted_waits_and_only_until_then(
    business: Business, graphs: Scripted, kind: str, what: str, sent: int
) -> None:
    _, graph = graphs
    until = clock.now() + timedelta(hours=2)
    await restrict(business, kind, until)
    if what == "reply":
        await write(business)
    else:
        await write_template(business, window=what != "template")
    assert await send_due(business, graph) == sent
    with frozen(until + timedelta(seconds=1)):
        await send_due(business, graph)
    assert await states(business) == ["accepted"], "by itself"


async def test_what_is_held_holds_up_no_other_conversation(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await restrict(business, BEGINS, None)
    await write_template(business, window=False)
    await deliver(business.pool, inbound("wamid.IN2", "Olá", phone="351910559112"))
    await write(business, conversation_id=await conversation_of(business.pool, "351910559112"))
    assert await send_due(business, graph) == 1
    await deliver(business.pool, inbound("wamid.IN3", "Ainda aí?"))
    assert await send_due(business, graph) == 1, "the window is open again, so it begins nothing"


@pytest.mark.parametrize("expiration", ["soon", -1, 10**30, True, [1]])
async def test_an_end_that_cannot_be_read_is_none(business: Business, graphs: Scripted, expiration: object) -> None:
    _, graph = graphs
    infos: list[Any] = ["x", {"restriction_type": 7}, {"restriction_type": REPLIES, "expiration": expiration}]
    value = {"event": "ACCOUNT_RESTRICTION", "restriction_info": infos}
    await deliver(business.pool, {"field": "account_update", "value": value})
    await write(business)
    with frozen(clock.now() + timedelta(days=400)):
        assert await send_due(business, graph) == 0
    await go_on(business)
    assert await send_due(business, graph) == 1


@pytest.mark.parametrize("has_end", [True, False])
async def test_metas_health_ends_what_has_no_end_of_its_own(
    business: Business, graphs: Scripted, has_end: bool
) -> None:
    scripted, graph = graphs
    await restrict(business, REPLIES, clock.now() + timedelta(days=30) if has_end else None)
    await write(business)
    health = {"health_status": {"can_send_message": "AVAILABLE", "entities": []}}
    for minutes in (1, 17):
        scripted.answers.extend([web.json_response(NUMBER), web.json_response(NUMBER | health)])
        with frozen(clock.now() + timedelta(minutes=minutes)):
            assert await life_watch.ask_due(business.pool, graph, KEYRING) == int(not has_end)
    scripted.answers.clear()
    assert await send_due(business, graph) == int(not has_end)


async def test_a_restriction_of_another_number_or_of_before_holds_nobody(business: Business, graphs: Scripted) -> None:
    _, graph = graphs
    await restrict(business, REPLIES, None, phone_number="+351 210 559 999")
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inbox_timeline SET at = at - interval '2 hours'")
    await write(business)
    assert await send_due(business, graph) == 1
