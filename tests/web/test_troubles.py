"""What Meta's errors stopped, as people see it: the number's page, the line above a conversation, composer, contact."""

from __future__ import annotations

import html
from typing import Any, Final
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import in_transaction, transaction
from coexist.inbox import refusals
from coexist.inbox.refusals import Refusal
from coexist.meta.errors import Action, codes_of, explain
from coexist.people import actions as people
from coexist.people.model import Role
from tests.support.business import PHONE as CUSTOMER
from tests.support.business import change, conversation_of, inbound, status
from tests.support.outbox import execute, write
from tests.web.conftest import DESK, PHONE, OpenPage, Site, sideways

AGAIN_BY_ITSELF: Final = (
    Action.AGAIN, Action.AGAIN_IN_A_MINUTE, Action.SLOW_PERSON, Action.SLOW_NUMBER, Action.PAUSE_ALL,
    Action.PAUSE_ACCOUNT,
)  # fmt: skip
"""What is tried again by itself when Meta says so at once, before it has taken the message."""


async def meet(site: Site, code: int) -> int:
    """The number meets an error of Meta's; return its inbox."""
    assert site.business is not None
    inbox_id = site.business.inbox.id
    refusal = Refusal(inbox_id, code, clock.now(), "As Meta says it.")
    await in_transaction(site.pool, lambda conn: refusals.heed(conn, [refusal]))
    return inbox_id


@pytest.mark.parametrize(
    ("code", "said"),
    [(131031, "Business Support Home"), (131042, "Billing &amp; payments"), (131048, "pause campaigns")],
)
async def test_what_stands_is_shown_with_its_way_out_until_somebody_says_go_on(
    site: Site, code: int, said: str
) -> None:
    inbox_id = await meet(site, code)
    path = f"/inboxes/{inbox_id}"
    for where in (path, f"{path}/notice"):
        assert said in (await site.get(where))[1], where
    assert "As Meta says it." in (await site.get(path))[1], "the timeline has Meta's words"
    assert (await site.post(f"{path}/go-on")).status == 303
    _, page = await site.get(path)
    assert "What keeps it from sending" not in page
    assert "Sending goes on" in page
    assert (await site.post(f"{path}/go-on")).status == 409


async def test_an_agent_cannot_say_go_on(site: Site) -> None:
    inbox_id = await meet(site, 368)
    assert site.member is not None
    async with transaction(site.pool) as conn:
        agent = await people.add_user(
            conn, site.member.account_id, name="Rui", email="rui@example.com", role=Role.AGENT
        )
    await site.sign_in(agent)
    assert "try again" not in (await site.get(f"/inboxes/{inbox_id}"))[1]
    assert (await site.post(f"/inboxes/{inbox_id}/go-on")).status == 403


async def test_a_pause_says_until_when(site: Site) -> None:
    inbox_id = await meet(site, 4)
    assert "Meta asked for fewer calls: we ask it again" in (await site.get(f"/inboxes/{inbox_id}"))[1]


async def test_the_composer_of_a_stopped_number_names_the_reason_and_the_way_out(site: Site) -> None:
    await site.deliver(inbound("wamid.IN", "Oi"))
    path = f"/conversations/{await conversation_of(site.pool)}"
    await meet(site, 131031)
    _, page = await site.get(path)
    assert "Meta locked this WhatsApp Business account." in page
    assert "Business Support Home" in page
    answer = await site.post(f"{path}/messages", text="Oi", our_ref=str(uuid4()))
    assert answer.status == 409


@pytest.mark.parametrize("code", codes_of(*AGAIN_BY_ITSELF))
async def test_what_failed_for_good_promises_no_other_try(site: Site, code: int) -> None:
    """Told by a status: Meta has taken the message, so it never goes again by itself, whatever the code is."""
    assert site.business is not None
    await site.deliver(inbound("wamid.IN", "Oi"))
    await write(site.business)
    await execute(site.business, "UPDATE outbox SET state = 'accepted', settled_at = now()")
    await execute(site.business, "UPDATE messages SET wamid = 'wamid.OUT' WHERE origin = 'api'")
    await site.deliver(status("wamid.OUT", "failed", errors=[{"code": code, "title": "As Meta says it."}]))
    _, page = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert explain(code).what in html.unescape(page)
    assert "by itself" not in page
    assert "Send it again" in page
    _, doctor = await site.get(f"/inboxes/{site.business.inbox.id}/doctor")
    assert "Send it again" in doctor


async def test_a_contact_says_that_they_want_no_marketing(site: Site) -> None:
    await site.deliver(inbound("wamid.IN", "Oi"))
    told: dict[str, Any] = {"wa_id": CUSTOMER, "category": "marketing_messages", "timestamp": 1795000800}
    path = f"/conversations/{await conversation_of(site.pool)}"
    await site.deliver(change("user_preferences", user_preferences=[told | {"value": "stop"}]))
    assert "No marketing messages:</b> they stopped them" in (await site.get(path))[1]
    await site.deliver(
        change("user_preferences", user_preferences=[told | {"value": "resume", "timestamp": 1795000900}])
    )
    assert "No marketing messages" not in (await site.get(path))[1]


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_no_page_of_a_stopped_number_is_wider_than_the_screen(
    site: Site, open_page: OpenPage, size: tuple[int, int]
) -> None:
    await site.deliver(inbound("wamid.IN", "Oi"))
    inbox_id = await meet(site, 131031)
    await meet(site, 131042)
    conversation_id = await conversation_of(site.pool)
    for path in (f"/inboxes/{inbox_id}", f"/conversations/{conversation_id}"):
        page = await open_page(path, size=size)
        await page.get_by_text("Business Support Home").first.wait_for(state="attached")
        assert await sideways(page) == 0
