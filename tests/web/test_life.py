"""The page of one number: its state, its timeline, the phone's silence and the access that ends."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.coexistence import life_watch
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import change, conversation_of, inbound
from tests.web.conftest import DESK, PHONE, OpenPage, Site
from tests.wire.fixtures import FOLDER


def inbox_id(site: Site) -> int:
    assert site.business is not None
    return site.business.inbox.id


@pytest.mark.requirement("G1", "G3", "G4")
async def test_each_state_says_who_may_send_and_what_to_do(site: Site) -> None:
    path = f"/inboxes/{inbox_id(site)}"
    status, page = await site.get(path)
    assert status == 200
    assert "Connected here" in page
    await site.deliver({"field": "account_update", "value": {"event": "ACCOUNT_OFFBOARDED"}})
    _, page = await site.get(path)
    assert "What is sent waits, drafts stay" in page
    info = {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}
    await site.deliver({"field": "account_update", "value": {"event": "PARTNER_REMOVED", "disconnection_info": info}})
    _, page = await site.get(path)
    assert "Why: the phone app was not opened for about 14 days, by WhatsApp." in page
    assert "How it comes back" in page
    assert path in (await site.get("/inboxes"))[1]


@pytest.mark.requirement("G8")
async def test_groups_and_calls_are_where_the_number_has_them(site: Site) -> None:
    path = f"/inboxes/{inbox_id(site)}"
    _, page = await site.get(path)
    assert "WhatsApp gives no groups to a number that is in the app." in page
    assert "WhatsApp passes no calls on from a number that is in the app." in page
    group, call = (
        json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["value"]
        for name in ("messages/group", "calls/call_and_status")
    )
    await site.deliver(change("messages", **group), change("calls", **call))
    _, listed = await site.get("/conversations")
    assert "/conversations/1" not in listed, "neither is a chat with one person"
    await site.deliver(inbound("wamid.A", "Olá"))
    _, talk = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert "tel:" not in talk
    assert ">Call<" not in talk
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE inboxes SET is_coexistence = false")
    _, page = await site.get(path)
    assert "Not here: a call is only noted in the log." in page


async def test_the_timeline_has_pages(site: Site) -> None:
    now, id_ = clock.now(), inbox_id(site)
    lines = [
        Line(id_, now - timedelta(minutes=n), "phone_number_quality_update", "UPGRADE", {"current_limit": f"TIER_{n}"})
        for n in range(1, 71)
    ]
    async with transaction(site.pool) as conn:
        await connection.record(conn, lines)
    path, seen = f"/inboxes/{id_}", 0
    while path:
        status, page = await site.get(path)
        assert status == 200
        seen += page.count("Quality and limits: UPGRADE")
        path = page.split('<a class="button" href="')[-1].split('"')[0] if ">Older</a>" in page else ""
    assert seen == 70
    assert (await site.get(f"/inboxes/{id_}?before=x"))[0] == 422


async def test_another_accounts_number_does_not_exist(site: Site, stranger: Member) -> None:
    await site.sign_in(stranger)
    for end in ("", "/notice"):
        assert (await site.get(f"/inboxes/{inbox_id(site)}{end}"))[0] == 404


@pytest.mark.requirement("G5")
async def test_everybody_who_writes_is_told_of_a_silent_phone(site: Site) -> None:
    path = f"/inboxes/{inbox_id(site)}"
    assert "Open the WhatsApp Business app" not in (await site.get(f"{path}/notice"))[1]
    async with transaction(site.pool) as conn:
        assert site.member is not None
        agent = await people.add_user(
            conn, site.member.account_id, name="Rui", email="rui@example.com", role=Role.AGENT
        )
        await conn.execute("UPDATE inboxes SET onboarded_at = onboarded_at - interval '11 days'")
    await life_watch.remind_all(site.pool)
    await site.sign_in(agent)
    assert "Open the WhatsApp Business app" in (await site.get(f"{path}/notice"))[1]
    _, page = await site.get(path)
    assert "Reminder: no sign of the phone for long" in page
    assert "/doctor" not in page, "an agent may not go there"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
async def test_the_page_and_the_notice_fit(site: Site, open_page: OpenPage, size: tuple[int, int], scheme: str) -> None:
    await site.deliver(inbound("wamid.IN", "Olá"))
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE inboxes SET onboarded_at = onboarded_at - interval '13 days'")
    await life_watch.remind_all(site.pool)
    page = await open_page(f"/inboxes/{inbox_id(site)}", size=size, scheme=scheme)
    assert await page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page = await open_page(f"/conversations/{await conversation_of(site.pool)}", size=size, scheme=scheme)
    await page.get_by_text("Open the WhatsApp Business app on the phone.").wait_for()
