"""The quarantine as its keepers see it: what waits and why, what they do about it, and that nobody else sees it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from coexist.base.database import transaction
from coexist.intake.worker import BULK_LANE, apply_next
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import PHONE, change, inbound
from tests.support.intake import KEYRING
from tests.web.conftest import PHONE as NARROW
from tests.web.conftest import OpenPage, Site, sideways

STRANGE: Final = "555100020009999"


def nameless(text: str) -> dict[str, Any]:
    """A message without its id: it cannot be applied, ever."""
    told = inbound("", text)
    del told["value"]["messages"][0]["id"]
    return told


def strange() -> dict[str, Any]:
    """A message for a number that is not connected."""
    told = inbound("wamid.S", "Olá")
    told["value"]["metadata"]["phone_number_id"] = STRANGE
    return told


@asynccontextmanager
async def refusing(site: Site, text: str) -> AsyncIterator[None]:
    """Inside the block the database refuses a message with this text."""
    async with transaction(site.pool) as conn:
        await conn.execute(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '22000'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON messages
                FOR EACH ROW WHEN (NEW.text = '{text}') EXECUTE FUNCTION refuse()"""
        )
    yield
    async with transaction(site.pool) as conn:
        await conn.execute("DROP TRIGGER refuse ON messages")


async def work(site: Site) -> None:
    """Apply what is in line, as a worker does."""
    while await apply_next(site.pool, KEYRING, BULK_LANE):
        pass


async def only_id(site: Site) -> int:
    """The one part in quarantine."""
    async with transaction(site.pool) as conn:
        ((found,),) = await (await conn.execute("SELECT id FROM quarantine")).fetchall()
    return int(found)


@pytest.fixture
async def agent(site: Site) -> Member:
    """Somebody of the account who answers customers and no more."""
    assert site.business is not None
    async with transaction(site.pool) as conn:
        return await people.add_user(
            conn, site.business.inbox.account_id, name="Rosa", email="rosa@example.com", role=Role.AGENT
        )


# ── as HTTP ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_empty_quarantine_says_so(site: Site) -> None:
    status, page = await site.get("/quarantine")
    assert status == 200
    assert "Nothing waits." in page
    assert "Retry all" not in page
    assert await site.get("/quarantine/badge") == (200, "")


@pytest.mark.requirement("C4")
async def test_what_waits_is_shown_with_its_reason_and_without_anybodys_words(site: Site) -> None:
    async with refusing(site, "Segredo"):
        await site.deliver(inbound("wamid.A", "Segredo"), nameless("Outro segredo"), inbound("wamid.B", "Bom dia"))
    _, page = await site.get("/quarantine")
    assert "Text message" in page
    assert "The database refused it." in page
    assert "a message without an id" in page
    assert "entry[0].changes[0].messages[0]" in page
    assert "Retry all 2" in page
    assert "egredo" not in page
    assert "coexist quarantine show" in page
    _, badge = await site.get("/quarantine/badge")
    assert re.sub("<[^>]+>", "", badge).split() == ["2", "waiting"]


async def test_a_retry_shows_what_came_of_it(site: Site) -> None:
    async with refusing(site, "Segredo"):
        await site.deliver(inbound("wamid.A", "Segredo"))
        quarantine_id = await only_id(site)
        assert (await site.post(f"/quarantine/{quarantine_id}/retry")).status == 303
        _, page = await site.get("/quarantine")
        assert "In line" in page
        assert "Inês Duarte wanted it tried again" in page
        assert "All in line" in page
        await work(site)
        _, page = await site.get("/quarantine")
        assert "Failed again" in page
        assert "it failed for the same reason" in page
        assert "2 times" in page
    assert (await site.post("/quarantine/retry")).status == 303
    await work(site)
    _, page = await site.get("/quarantine")
    assert "Taken in after all" in page
    assert "retried by Inês Duarte" in page
    assert "Nothing waits." in page
    assert (await site.post("/quarantine/retry")).status == 404
    assert (await site.post(f"/quarantine/{quarantine_id}/retry")).status == 404


async def test_dismissing_needs_a_reason_and_can_be_taken_back(site: Site) -> None:
    await site.deliver(nameless("Olá"))
    quarantine_id = await only_id(site)
    assert (await site.post(f"/quarantine/{quarantine_id}/dismiss", why=" ")).status == 422
    assert (await site.post(f"/quarantine/{quarantine_id}/dismiss", why="x" * 501)).status == 422
    assert (await site.post(f"/quarantine/{quarantine_id}/dismiss", why="An <advert>")).status == 303
    _, page = await site.get("/quarantine")
    assert "Dismissed (1)" in page
    assert "Inês Duarte" in page
    assert "An &lt;advert&gt;" in page
    assert (await site.get("/quarantine/badge"))[1] == ""
    assert (await site.post(f"/quarantine/{quarantine_id}/restore")).status == 303
    assert "Dismissed (" not in (await site.get("/quarantine"))[1]


@pytest.mark.requirement("A6")
async def test_a_number_that_is_not_connected_says_what_would_help(site: Site) -> None:
    await site.deliver(strange(), strange())
    _, page = await site.get("/quarantine")
    assert "Not connected here" in page
    assert "2 deliveries wait" in page
    assert f"coexist connect --phone-number-id {STRANGE}" in page
    assert (await site.post("/quarantine/numbers/dismiss", number=STRANGE, why="not ours")).status == 303
    assert (await site.get("/quarantine/badge"))[1] == ""
    assert "not ours" in (await site.get("/quarantine"))[1]
    assert (await site.post("/quarantine/numbers/restore", number=STRANGE)).status == 303
    assert (await site.post("/quarantine/numbers/dismiss", number="123", why="nothing there")).status == 404


async def test_whoever_may_not_see_it_gets_404(site: Site, agent: Member, stranger: Member) -> None:
    await site.deliver(nameless("Olá"), strange())
    quarantine_id = await only_id(site)
    pages = ["/quarantine", "/quarantine/badge"]
    own = [f"/quarantine/{quarantine_id}/{verb}" for verb in ("retry", "dismiss", "restore")]
    forms = [*own, "/quarantine/retry", "/quarantine/numbers/dismiss", "/quarantine/numbers/restore"]
    await site.sign_in(agent)
    assert {path: (await site.get(path))[0] for path in pages} == dict.fromkeys(pages, 404)
    assert {path: (await site.post(path, number=STRANGE, why="x")).status for path in forms} == dict.fromkeys(
        forms, 404
    )
    assert 'href="/quarantine"' not in (await site.get("/conversations"))[1]
    await site.sign_in(stranger)
    _, page = await site.get("/quarantine")
    assert "Nothing waits." in page, "what is another account's does not exist for them"
    assert STRANGE not in page
    assert {path: (await site.post(path, number=STRANGE, why="x")).status for path in forms} == dict.fromkeys(
        forms, 404
    )
    async with transaction(site.pool) as conn:
        assert await (await conn.execute("SELECT count(*) FROM backlog")).fetchone() == (0,)


async def test_long_lists_have_pages(site: Site) -> None:
    await site.deliver(*(nameless(f"{n}") for n in range(60)))
    _, page = await site.get("/quarantine")
    assert page.count('class="number quarantined"') == 50
    (older,) = re.findall(r'href="(/quarantine\?before=\d+)"', page)
    _, page = await site.get(older)
    assert page.count('class="number quarantined"') == 10
    assert "Newest" in page
    assert (await site.get("/quarantine?before=x"))[0] == 422


# ── in a browser ──────────────────────────────────────────────────────────────────────────────────────────


def badge(page: Page) -> Any:
    return page.locator(".rail-item .count")


async def test_the_page_and_the_badge_follow_by_themselves(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/quarantine")
    await expect(page.get_by_text("Nothing waits.")).to_be_visible()
    await expect(badge(page)).to_have_count(0)
    async with refusing(site, "Segredo"):
        await site.deliver(inbound("wamid.A", "Segredo"))
        await expect(page.get_by_role("heading", name="Text message")).to_be_visible()
        await expect(badge(page)).to_have_text("1")
        await page.get_by_role("button", name="Retry", exact=True).click()
        await expect(page.locator(".quarantined .chip")).to_have_text("In line")
        await work(site)
        await expect(page.locator(".quarantined .chip")).to_have_text("Failed again")
        await expect(page.locator(".tried")).to_contain_text("for the same reason")
    await page.get_by_role("button", name="Retry all", exact=True).click()
    await expect(page.get_by_role("button", name="All in line")).to_be_disabled()
    await work(site)
    await expect(page.get_by_text("Nothing waits.")).to_be_visible()
    await expect(page.locator(".outcomes li")).to_contain_text("retried by Inês Duarte")
    await expect(badge(page)).to_have_count(0)


async def test_a_reason_that_is_being_written_survives_what_comes_in(site: Site, open_page: OpenPage) -> None:
    await site.deliver(nameless("Olá"))
    page = await open_page("/quarantine", size=NARROW)
    card = page.locator(".quarantined").last
    await card.get_by_text("Dismiss", exact=True).first.click()
    why = card.get_by_label("Why")
    await why.fill("An advert that")
    await site.deliver(nameless("Mais um"))
    await expect(page.locator(".quarantined")).to_have_count(2)
    await expect(why).to_have_value("An advert that")
    await expect(why).to_be_focused()
    await why.press_sequentially(" nobody needs")
    await why.press("Enter")
    await expect(page.get_by_text("Dismissed (1)")).to_be_visible()
    await page.get_by_text("Dismissed (1)").click()
    await expect(page.locator(".dismissed .tried")).to_contain_text("An advert that nobody needs")
    await page.get_by_role("button", name="Bring back").click()
    await expect(page.locator(".quarantined")).to_have_count(2)
    assert await sideways(page) == 0


async def test_a_broken_value_is_no_danger_to_the_page(site: Site, open_page: OpenPage) -> None:
    told = change("messages", messages=[{"id": "wamid.X", "from": PHONE, "type": "<img src=x onerror=alert(1)>"}])
    told["value"]["messages"][0]["text"] = "<b>"
    await site.deliver(told, nameless("<script>alert(1)</script>"))
    page = await open_page("/quarantine")
    await expect(page.locator(".quarantined").first).to_be_visible()
    assert await page.locator(".quarantined img, .quarantined script").count() == 0
