"""The list that syncs wait for, and the doctor's page, as people see them."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import NUMBER, WABA, inbound, open_business
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph, scripted_graph
from tests.web.conftest import DESK, PHONE, OpenPage, Site, served, sideways

APP = "1900100200300"
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
"""The key of tests.support.intake, in base64."""


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedGraph]:
    async with scripted_graph() as (opened, _):
        yield opened


@pytest.fixture
async def site(pool: Pool, database_url: str, tmp_path: Path, scripted: ScriptedGraph) -> AsyncIterator[Site]:
    """A number that nobody has looked at yet, before a Meta as scripted; its webhook is answered there, too."""
    settings = {
        "COEXIST_GRAPH_URL": scripted.address,
        "COEXIST_APP_ID": APP,
        "COEXIST_APP_SECRET": "secret",
        "COEXIST_SECRET_KEY": KEY,
    }
    async with served(pool, database_url, tmp_path, **settings) as opened:
        opened.business = await open_business(pool)
        await opened.sign_in(opened.business.member)
        await opened.deliver(inbound("wamid.1", "hello"))
        async with transaction(pool) as conn:
            await conn.execute("DELETE FROM preflights")
        yield opened


@pytest.fixture
async def ready(site: Site, pool: Pool, scripted: ScriptedGraph, monkeypatch: pytest.MonkeyPatch) -> Ready:
    opened = Ready(pool, scripted, APP, WABA)
    await opened.begin()
    scopes = ["whatsapp_business_management", "whatsapp_business_messaging"]
    expires_at = int(clock.now().timestamp()) + 3 * 86_400
    told = {"is_valid": True, "app_id": APP, "scopes": scopes, "expires_at": expires_at}
    scripted.files["debug_token"] = ({"data": told}, b"")
    scripted.files[NUMBER] = ({"is_on_biz_app": True, "platform_type": "CLOUD_API", "status": "CONNECTED"}, b"")
    # Pages and webhook are one address in the product; here the scripted one answers for the webhook.
    monkeypatch.setattr("coexist.coexistence.checks_self_test.address_of", lambda _: f"{scripted.address}/webhook")
    return opened


def place(site: Site) -> str:
    assert site.business is not None
    return f"/inboxes/{site.business.inbox.id}"


@pytest.mark.requirement("A1", "B2")
async def test_red_is_listed_with_its_mending_and_cannot_be_passed_over(site: Site, ready: Ready) -> None:
    ready.tick("messages")
    assert (await site.post(f"{place(site)}/sync/check")).status == 303
    _, page = await site.get(f"{place(site)}/sync")
    assert "smb_message_echoes and account_update: what they tell would be lost" in page
    assert "22 h" in page
    levels = re.findall(r'<li class="(bad|busy|good)">', page)
    assert levels == sorted(levels, key=("bad", "busy", "good").index), "what is wrong stands first"
    assert {"bad", "busy", "good"} == set(levels)
    assert page.index("are in order") < page.index('<li class="good">'), "and what is in order steps back"
    assert "Check again" in page
    assert "Ask anyway" not in page
    assert (await site.post(f"{place(site)}/sync/anyway", reason="now")).status == 409


@pytest.mark.requirement("A1")
async def test_amber_is_asked_anyway_with_a_reason(site: Site, ready: Ready) -> None:
    await site.post(f"{place(site)}/sync/check")
    _, page = await site.get(f"{place(site)}/sync")
    assert "It expires" in page
    assert "Ask anyway" in page
    assert (await site.post(f"{place(site)}/sync/anyway", reason=" ")).status == 422
    assert (await site.post(f"{place(site)}/sync/anyway", reason="The token is renewed tomorrow")).status == 303
    async with site.pool.connection() as conn:
        assert await (await conn.execute("SELECT count(wanted_at) FROM syncs")).fetchone() == (2,)
    status, page = await site.get(place(site))
    assert (status, "asked for, although not all was in order" in page) == (200, True)


@pytest.mark.requirement("B4", "B10")
async def test_what_waits_for_whom_is_said_after_a_refusal(site: Site, ready: Ready) -> None:
    async def said() -> str:
        return (await site.get(f"{place(site)}/sync"))[1]

    async def tell(query: str) -> None:
        async with transaction(site.pool) as conn:
            await conn.execute(query.encode())

    await site.post(f"{place(site)}/sync/check")
    await tell("UPDATE syncs SET wanted_at = now()")
    await tell("UPDATE preflights SET is_waiting = false, passed_until = now() + interval '1 hour'")
    assert "WhatsApp is being asked" in await said()
    await tell(
        "UPDATE syncs SET wanted_at = NULL, error = 'No. (Meta: 100: no)', error_at = now() WHERE kind = 'contacts'"
    )
    await tell("UPDATE syncs SET wanted_at = NULL")
    page = await said()
    assert "WhatsApp is being asked" not in page, "nobody asks by himself any more"
    assert "WhatsApp refused when it was asked last: No. (Meta: 100: no)" in page
    assert "check again and ask" in page
    await tell("UPDATE inboxes SET state = 'token_invalid'")
    page = await said()
    assert "nothing can be asked before it is" in page
    assert "/sync/check" not in page
    await tell("UPDATE syncs SET state = 'receiving', requested_at = now(), error = NULL")
    assert "nothing more comes before it is" in await said()


@pytest.mark.requirement("G12")
async def test_the_doctor_answers_four_questions_and_gives_a_bundle(site: Site, ready: Ready) -> None:
    status, page = await site.get(f"{place(site)}/doctor")
    assert (status, "Meta was not asked yet" in page) == (200, True)
    assert (await site.post(f"{place(site)}/doctor")).status == 303
    _, page = await site.get(f"{place(site)}/doctor")
    for asked in (
        "The history didn&#39;t appear",
        "Messages of the phone app",
        "Contacts are missing",
        "Sending fails",
    ):
        assert asked in page
    assert "Meta was last asked" in page
    status, bundle = await site.get(f"{place(site)}/doctor/bundle")
    assert (status, '"phone_number_id"' in bundle, "hello" in bundle) == (200, True, False)


@pytest.mark.parametrize("page", ["doctor", "doctor/bundle"])
async def test_agents_and_other_accounts_see_none_of_it(site: Site, stranger: Member, page: str) -> None:
    async with transaction(site.pool) as conn:
        account_id = site.business.member.account_id if site.business else 0
        agent = await people.add_user(conn, account_id, name="Rui", email="rui@example.com", role=Role.AGENT)
    await site.sign_in(agent)
    assert (await site.get(f"{place(site)}/{page}"))[0] == 403
    assert (await site.post(f"{place(site)}/sync/check")).status == 403
    await site.sign_in(stranger)
    assert (await site.get(f"{place(site)}/{page}"))[0] == 404


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_nothing_is_wider_than_the_screen(
    site: Site, ready: Ready, open_page: OpenPage, size: tuple[int, int]
) -> None:
    ready.tick("messages", "account_update", callback_url="https://old.example/" + "webhook" * 20)
    await site.post(f"{place(site)}/sync/check")
    for name in ("sync", "doctor"):
        for scheme in ("light", "dark"):
            page = await open_page(f"{place(site)}/{name}", size=size, scheme=scheme)
            assert await sideways(page) == 0
            if folder := os.environ.get("SHOTS"):
                await page.screenshot(path=f"{folder}/{name}-{size[0]}-{scheme}.png", full_page=True)


@pytest.mark.requirement("B3", "B5")
async def test_what_had_no_answer_is_asked_for_once_more_by_a_person(site: Site, ready: Ready) -> None:
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'requesting', requested_at = now() - interval '40 minutes'")
    await site.post(f"{place(site)}/doctor")
    _, page = await site.get(f"{place(site)}/doctor")
    assert f'href="{place(site)}/sync#history">Ask once more</a>' in page
    assert f'href="{place(site)}/sync#contacts">Ask once more</a>' in page
    status, page = await site.get(f"{place(site)}/sync")
    assert (status, page.count("Ask once more")) == (200, 2)
    assert 'id="history"' in page
    assert (await site.post(f"{place(site)}/sync/again")).status == 303
    _, page = await site.get(f"{place(site)}/sync")
    assert "Ask once more" not in page
    assert "There is one chance" in page, "it is checked before, like the first time"
    assert (await site.post(f"{place(site)}/sync/again")).status == 303, "a second click is no other"
    _, page = await site.get(place(site))
    assert page.count("Asked once more for what had no answer") == 1
    assert "Ask once more" not in (await site.get(f"{place(site)}/doctor"))[1]


@pytest.mark.requirement("B2")
async def test_every_page_says_that_the_one_chance_is_running_out(site: Site, ready: Ready) -> None:
    """Somebody who connected a number and went to answer customers still learns that its history was not asked for."""
    notices = ("/conversations/standing", f"{place(site)}/notice", "/inboxes")
    said = "have not been asked for.</b> WhatsApp shares them until"

    async def told() -> list[bool]:
        return [said in (await site.get(path))[1] for path in notices]

    assert await told() == [False] * 3, "nobody has looked yet"
    ready.tick("messages")
    await site.post(f"{place(site)}/sync/check")
    assert await told() == [True] * 3
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'failed', refusals = 3")
    assert await told() == [True] * 3, "what WhatsApp refused a person may ask for again"
    assert 'class="notice-line busy"' in (await site.get("/conversations/standing"))[1]
    late = clock.now() + timedelta(hours=20)
    with clock.reading(lambda: late):
        assert 'class="notice-line bad"' in (await site.get("/conversations/standing"))[1]
    over = clock.now() + timedelta(hours=24)
    with clock.reading(lambda: over):
        assert await told() == [False] * 3
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = now()")
    assert await told() == [False] * 3


@pytest.mark.requirement("G12", "D17")
async def test_each_step_is_named_and_a_gap_leads_to_the_receipt(site: Site, ready: Ready) -> None:
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'completed', requested_at = now(), completed_at = now()")
        await conn.execute(
            "INSERT INTO history_chunks (inbox_id, onboarded_at, phase, chunk_order, progress, thread_count,"
            " message_count, arrived_at) SELECT id, onboarded_at, 0, unnest('{1, 3}'::int[]), 100, 1, 1, now()"
            " FROM inboxes"
        )
    _, page = await site.get(f"{place(site)}/doctor")
    assert f'href="{place(site)}/receipt#parts-title">Receipt</a>' in page
    assert "Completed, with a gap" in (await site.get(f"{place(site)}/sync"))[1]
    ready.tick("messages")
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'failed', requested_at = NULL WHERE kind = 'contacts'")
        await conn.execute("UPDATE inboxes SET onboarded_at = onboarded_at - interval '2 days'")
        await conn.execute("UPDATE syncs SET onboarded_at = onboarded_at - interval '2 days'")
    await site.post(f"{place(site)}/doctor")
    _, page = await site.get(f"{place(site)}/doctor")
    missing = page.split('id="contacts"')[1].split("<details")[0]
    assert "subscribe to" in missing, "the cause"
    assert "Then, Contacts: For another chance" in missing, "and what has to be done once that is mended"
    assert "could be asked for ended" in (await site.get(f"{place(site)}/sync"))[1]
