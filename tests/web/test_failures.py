"""The page that says what went wrong: it leads back to where something can be done about it."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import expect

from coexist.base.database import transaction
from tests.support.business import DISPLAY, conversation_of, inbound
from tests.support.outbox import execute
from tests.support.waiting import until
from tests.web.conftest import OpenPage, Site
from tests.web.test_imports import chunk, past, text


async def _buttons(site: Site, path: str, referer: str | None, **fields: str) -> tuple[int, dict[str, str]]:
    """The status of a form that is sent, and where each button of the answer leads."""
    headers = site.headers(Origin=site.url) | ({"Referer": referer} if referer else {})
    async with site.http.post(site.url + path, data=fields, headers=headers, allow_redirects=False) as response:
        page = await response.text()
    return response.status, dict(re.findall(r'<a class="button[^"]*" href="([^"]+)"[^>]*>([^<]+)</a>', page))


async def test_the_address_of_a_form_is_no_page_and_says_so(site: Site) -> None:
    status, page = await site.get("/inboxes/connect/links")
    assert status == 405
    assert "Open the page that has the form." in page
    assert "Method Not Allowed" not in page


async def test_a_refused_form_leads_back_to_it(site: Site) -> None:
    back = {"/webhooks": "Back, to correct it", "/conversations": "Go to the inbox"}
    assert await _buttons(site, "/webhooks", f"{site.url}/webhooks", url="nonsense") == (422, back)
    asked = {"/inboxes/connect?inbox=1": "Back, to correct it", "/conversations": "Go to the inbox"}
    assert await _buttons(site, "/webhooks", f"{site.url}/inboxes/connect?inbox=1", url="nonsense") == (422, asked)


@pytest.mark.parametrize(
    "referer", [None, "https://evil.example/webhooks", "https://evil.example", "//evil", "x", "\\"]
)
async def test_nothing_leads_to_where_no_form_of_ours_was(site: Site, referer: str | None) -> None:
    only = {"/conversations": "Go to the inbox"}
    assert await _buttons(site, "/webhooks", referer, url="nonsense") == (422, only)
    assert (await _buttons(site, "/webhooks", f"{site.url}//evil.example", url="x"))[1].keys() <= {
        "/",
        "/conversations",
    }


async def test_a_client_with_a_link_is_sent_to_no_inbox(site: Site) -> None:
    async with site.http.get(f"{site.url}/connect/no-such-link") as response:
        assert response.status == 404
        assert "Go to the inbox" not in await response.text()


async def test_a_wrong_webhook_address_is_corrected_in_a_browser(open_page: OpenPage, site: Site) -> None:
    page = await open_page("/webhooks")
    await page.locator("[name=url]").fill("https://10.0.0.1/")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_role("link", name="Back, to correct it").click()
    await page.locator("[name=url]").wait_for()
    assert page.url == f"{site.url}/webhooks"


async def test_a_refusal_stays_in_sight_until_it_is_done_or_closed(site: Site, open_page: OpenPage) -> None:
    """What other parts of the page hear meanwhile does not take it away."""
    assert site.business is not None
    await site.deliver(chunk(past(1, 0, text("Tem jiboia?"))))
    await execute(site.business, "UPDATE syncs SET state = 'completed'")
    page = await open_page("/inboxes/1/receipt/undo")
    failure, typed = page.locator("#failure"), page.locator("[name=typed]")
    remove = page.get_by_role("button", name="Remove the import")
    await typed.fill("+44 7700 900000")
    await remove.click()
    await expect(failure).to_be_visible()
    await expect(failure).to_contain_text("What you typed is not this number: nothing was removed.")
    await page.evaluate("htmx.ajax('GET', '/quarantine/badge', { target: '.rail-item span', swap: 'innerHTML' })")
    await expect(failure).to_be_visible()
    await failure.get_by_role("button", name="Close").click()
    await expect(failure).to_be_hidden()
    await remove.click()
    await expect(failure).to_be_visible()
    await typed.fill(DISPLAY)
    await remove.click()
    await expect(page.locator("main")).to_contain_text("Done.")
    await expect(failure).to_be_hidden()
    await expect(page.get_by_text("would be removed")).to_be_hidden()  # it is


WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_what_is_being_done_when_the_inbox_is_stopped_is_answered_calmly(site: Site) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    talk = await conversation_of(site.pool)

    async def is_waiting() -> bool:
        async with site.pool.connection() as conn:
            return (await conn.execute(WAITING)).rowcount > 0

    async with transaction(site.pool) as conn:
        await conn.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", (talk,))
        sending = asyncio.create_task(site.post(f"/conversations/{talk}/resolve"))
        await until(is_waiting, "the form waits for the conversation")
        site.server.should_exit = True
        answer = await sending
    assert answer.status == 503
    assert answer.headers["Retry-After"]
