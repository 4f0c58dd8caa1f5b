"""From an empty account to a full inbox in a browser: first run, Meta's window, history coming in, its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.flows.shop import Shop, of_kind, open_shop
from tests.support.dialog import go_through, open_window
from tests.support.product import ACCOUNT
from tests.support.waiting import PATIENCE_MS
from tests.web.conftest import CHROMIUM_ARGS


async def become_owner(page: Page, shop: Shop) -> None:
    """The first run."""
    await page.goto(shop.url)
    for name, value in {"account_name": ACCOUNT, "name": "Ana Nunes", "email": "ana@example.com"}.items():
        await page.locator(f"[name={name}]").fill(value)
    await page.locator("[name=password]").fill("a long enough password")
    await page.get_by_role("button", name="Make the account").click()


@pytest.mark.requirement("A4", "A5", "B1", "B7")
async def test_from_an_empty_account_to_a_full_inbox(database_url: str, tmp_path: Path, chromium_path: str) -> None:
    async with open_shop(database_url, tmp_path, message_count=80) as shop, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGS))
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await become_owner(page, shop)
        await page.get_by_role("link", name="Connect WhatsApp").click()
        await go_through(await open_window(page))
        await expect(page.locator("#signup h2")).to_have_text("Connected")
        await page.get_by_role("link", name="See what comes in").click()
        await expect(page.locator("#sync")).to_contain_text("The chat history is complete")
        lines = await shop.check()
        assert lines[0]["state"] == "connected"
        assert lines[0]["sync"]["history"]["progress"] == 100

        await shop.tell("disconnect")  # and back again, to the same inbox
        await page.goto(f"{shop.url}/inboxes")
        await page.get_by_role("link", name="Connect again").click()
        await go_through(await open_window(page))
        await expect(page.locator("#signup h2")).to_have_text("Connected")
        (inbox,) = of_kind(await shop.check(), "inbox")
        assert (inbox["state"], inbox["sync"]["history"]["progress"]) == ("connected", 100)
        await browser.close()
