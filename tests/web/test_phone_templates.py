"""Message templates on the page of the stand-in's phone: pressed in a chat, changed in the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from simulator import Config, create_app
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import PATIENCE_MS
from tests.unit.simulator.conftest import StandIn
from tests.web.conftest import DESK, PHONE, sideways

SENT: Final[dict[str, Any]] = {
    "name": "delivery_window",
    "language": {"code": "pt_BR"},
    "components": [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "first_name", "text": "João"},
                {"type": "text", "parameter_name": "order_number", "text": "1042"},
                {"type": "text", "parameter_name": "delivery_day", "text": "amanhã"},
            ],
        }
    ],
}


@pytest.fixture
async def phone() -> AsyncIterator[StandIn]:
    """A connected stand-in of whose webhooks nobody takes note."""
    app = create_app(Config(app_id="1", app_secret="a secret", message_count=120))
    listening = bound()
    async with serving(app, listening), aiohttp.ClientSession() as session:
        made = StandIn(address_of(listening), app.state.sim, session)
        await made.connect()
        yield made


async def opened(browser: Browser, phone: StandIn, size: tuple[int, int]) -> Page:
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(f"{phone.url}/phone")
    return page


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_a_quick_reply_is_pressed_in_the_chat(browser: Browser, phone: StandIn, size: tuple[int, int]) -> None:
    page = await opened(browser, phone, size)
    status, answer = await phone.send(to="+5511985500113", type="template", template=SENT)
    assert status == 200, answer
    await page.get_by_role("button", name="João").first.click()
    bubble = page.locator(f'[data-wamid="{answer["messages"][0]["id"]}"]')
    await expect(bubble).to_contain_text("Oi, João! Sua entrega 1042 chega amanhã entre 9h e 12h.")
    await bubble.get_by_role("button", name="Outro dia").click()
    await expect(page.locator(".line.in").last).to_contain_text("Outro dia")
    assert await sideways(page) == 0
    pressed = (await phone.get("/control/chats/joao-lima"))["messages"][-1]
    assert (pressed["type"], pressed["content"]["text"]) == ("button", "Outro dia")


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_a_template_is_changed_in_the_settings(browser: Browser, phone: StandIn, size: tuple[int, int]) -> None:
    page = await opened(browser, phone, size)
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_text("Message templates").click()
    row = page.get_by_role("button", name="delivery_window")
    await expect(row).to_contain_text("approved")
    await row.click()
    sheet = page.get_by_role("dialog")
    await expect(sheet).to_contain_text("Sua entrega {{order_number}} chega")
    await sheet.get_by_label("Quality").select_option("RED")
    await sheet.get_by_label("Category in a day").select_option("MARKETING")
    await sheet.get_by_role("button", name="Pause it").click()
    await expect(row).to_contain_text("paused")
    await row.click()
    await sheet.get_by_text("Another text").click()
    await sheet.get_by_label("What it says").fill("Oi, {{first_name}}! Chegamos amanhã.")
    await sheet.get_by_role("button", name="Change the text").click()
    await expect(sheet).to_have_count(0)
    await page.get_by_role("switch", name="Hold what is sent").click()
    await page.get_by_role("button", name="Have 230 templates").click()
    await page.get_by_role("searchbox", name="Find a template").fill("notice_0230")
    await expect(page.locator("template-list [data-key] .words")).to_contain_text(["notice_0230"])
    assert await sideways(page) == 0
    (changed,) = [
        one for one in (await phone.get("/control/templates"))["templates"] if one["name"] == "delivery_window"
    ]
    assert (changed["status"], changed["quality_score"], changed["correct_category"]) == (
        "PAUSED",
        {"score": "RED"},
        "MARKETING",
    )
    assert changed["components"][0]["text"] == "Oi, {{first_name}}! Chegamos amanhã."
    assert (await phone.get("/control/state"))["faults"]["hold_templates"] is True
