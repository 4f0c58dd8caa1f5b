"""The page of one number: its state, its timeline, the phone's silence and the access that ends."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.async_api import expect

from coexist.base import clock
from coexist.base.database import transaction
from coexist.coexistence import life_watch
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import DISPLAY, NUMBER, WABA, change, conversation_of, inbound
from tests.support.outbox import execute
from tests.web.conftest import DESK, PHONE, OpenPage, Site, sideways
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
    assert "if not, open the WhatsApp Business app on the phone" in page
    info = {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}
    await site.deliver({"field": "account_update", "value": {"event": "PARTNER_REMOVED", "disconnection_info": info}})
    _, page = await site.get(path)
    assert "Why: the phone app was not opened for about 14 days, by WhatsApp." in page
    assert "How it comes back" in page
    assert path in (await site.get("/inboxes"))[1]


@pytest.mark.requirement("G3")
async def test_an_open_page_counts_what_waits_to_go_out(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Olá"))
    await site.deliver({"field": "account_update", "value": {"event": "ACCOUNT_OFFBOARDED"}})
    page = await open_page(f"/inboxes/{inbox_id(site)}")
    waiting = page.locator(".sending div").filter(has_text="Waiting to go out").locator("dd")
    await expect(waiting).to_have_text("0")
    talk = f"/conversations/{await conversation_of(site.pool)}"
    assert (await site.post(f"{talk}/messages", text="Já vejo", our_ref=str(uuid4()))).status in (200, 303)
    await expect(waiting).to_have_text("1")


@pytest.mark.requirement("G1", "G5")
@pytest.mark.parametrize("ends_at", [None, "2020-01-01"])
async def test_access_that_whatsapp_refuses_is_not_called_in_order(site: Site, ends_at: str | None) -> None:
    """What Meta told of the token when it was last asked counts no more."""
    assert site.business is not None
    path, watched = f"/inboxes/{inbox_id(site)}", "INSERT INTO token_watch (inbox_id, asked_at, next_at, checked_at,"
    watched += " expires_at) SELECT id, now(), now(), now(), %s FROM inboxes"
    await execute(site.business, watched, ends_at)
    await execute(site.business, "UPDATE inboxes SET state = 'token_invalid'")
    _, page = await site.get(path)
    access = page.split("Our access</h2>")[1].split("<dl")[0]
    assert "Refused" in access
    assert "What waits goes out when it is renewed." in access
    for wrong in ("In order", "has no end", "The access token ends"):
        assert wrong not in access
    _, notice = await site.get(f"{path}/notice")
    assert "WhatsApp refuses our access" in notice
    assert "ends</b>" not in notice, "it has ended"


@pytest.mark.requirement("G1")
async def test_what_meta_told_is_said_in_words(site: Site) -> None:
    path, told = f"/inboxes/{inbox_id(site)}", [
        ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [
            {"restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING", "expiration": 4102400000},
            {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}]}),
        ("account_update", {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SCAM"}}),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {
            "waba_ban_state": ["SCHEDULE_FOR_DISABLE"], "waba_ban_date": "December 1, 2099"}}),
        ("account_update", {"event": "PARTNER_APP_UNINSTALLED", "waba_info": {"waba_id": WABA, "partner_app_id": "4"}}),
        ("account_alerts", {"entity_type": "PHONE_NUMBER", "entity_id": NUMBER, "alert_info": {
            "alert_type": "PROFILE_PICTURE_LOST", "alert_description": "Your picture was removed."}}),
        ("phone_number_quality_update", {"display_phone_number": DISPLAY, "event": "DOWNGRADE",
                                         "old_limit": "TIER_10K", "current_limit": "TIER_1K"}),
        ("phone_number_name_update", {"display_phone_number": DISPLAY, "decision": "REJECTED",
                                      "rejection_reason": "NAME_NOT_CONSISTENT"}),
        ("security", {"display_phone_number": DISPLAY, "event": "PIN_CHANGED"}),
        ("business_capability_update", {"max_daily_conversations_per_business": -1}),
        ("account_review_update", {"decision": "REJECTED"}),
    ]  # fmt: skip
    await site.deliver(inbound("wamid.A", "Olá"))
    await site.deliver(*({"field": field, "value": value} for field, value in told))
    _, page = await site.get(path)
    for said in (
        "it may not answer customers until 31 Dec 2099 · no numbers may be added", "which: Scam",
        "It will be disabled. · date: December 1, 2099", "An app was taken off the WhatsApp account<small>app: 4",
        "Your picture was removed.", "may reach fewer people<small>limit: Tier 1k · before: Tier 10k",
        "WhatsApp rejected the display name<small>why: Name not consistent", "the two-step PIN was changed",
        "people a day: unlimited", "WhatsApp did not approve the account",
    ):  # fmt: skip
        assert said in page, said
    assert "answer customers. What is sent from here waits.</b> Until" in page
    assert "Messages come in. What is sent from here waits." in page
    assert "Messages come in and go out" not in page
    assert "WhatsApp did not approve the WhatsApp Business account</b>" in page
    assert "It is settled: try again" in page
    assert "did not approve" in (await site.get(f"{path}/notice"))[1]
    _, talk = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert "keeps the number from answering: what you send waits" in talk
    assert (await site.post(f"{path}/go-on")).status == 303
    await site.deliver({"field": "account_review_update", "value": {"decision": "APPROVED"}})
    _, page = await site.get(path)
    assert "What keeps it from sending" not in page
    assert "It is settled" not in page


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
        seen += page.count("Limits: the number may reach more people")
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
    assert re.search(
        "Reminder: no sign of the phone for long<small>last seen on .* 2026, disconnected from .* on", page
    )
    assert "/doctor" not in page, "an agent may not go there"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
async def test_the_page_and_the_notice_fit(site: Site, open_page: OpenPage, size: tuple[int, int], scheme: str) -> None:
    await site.deliver(inbound("wamid.IN", "Olá"))
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE inboxes SET onboarded_at = onboarded_at - interval '13 days'")
    await life_watch.remind_all(site.pool)
    page = await open_page(f"/inboxes/{inbox_id(site)}", size=size, scheme=scheme)
    assert await sideways(page) == 0
    page = await open_page(f"/conversations/{await conversation_of(site.pool)}", size=size, scheme=scheme)
    await page.get_by_text("Open the WhatsApp Business app on the phone.").wait_for()


@pytest.mark.requirement("G1")
async def test_what_was_changed_here_is_said_in_words(site: Site) -> None:
    path = f"/inboxes/{inbox_id(site)}"
    await site.post(f"{path}/choices/switch", switch="media", level="account", turn="off")
    await site.post(f"{path}/choices/switch", switch="media", level="account", turn="on")
    await site.post(f"{path}/choices/open", days="30")
    await site.post(f"{path}/choices/echoes", effect="resolve")
    async with transaction(site.pool) as conn:
        at = clock.now()
        await connection.record(
            conn, [Line(inbox_id(site), at, connection.OURS, connection.AUTHORISED, {"is_anew": True})]
        )
    _, page = await site.get(path)
    for said in (
        "Files: taken in no longer<small>by Inês Duarte · for the whole account</small>",
        "Files: taken in again<small>by Inês Duarte · for the whole account</small>",
        "How far back conversations stay open was changed<small>by Inês Duarte · days: 30</small>",
        "What an answer on the phone does was changed<small>by Inês Duarte · the conversation is resolved</small>",
        "Connected again",
    ):
        assert said in page, said
    assert "Coexist:" not in page, "each event of ours has words"
