"""What is written can be read: at least 4.5 to 1 against what it stands on, on every page, light and dark."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.async_api import expect

from coexist.base.database import transaction
from tests.support.business import change, conversation_of, echo, inbound
from tests.web.conftest import OpenPage, Site
from tests.web.test_imports import chunk, past, text

LEAST: Final = 4.5
PAGES: Final = (
    "/conversations?filter=all", "/inboxes", "/inboxes/1", "/inboxes/1/sync", "/inboxes/1/receipt",
    "/inboxes/1/coverage", "/inboxes/1/choices", "/inboxes/1/doctor", "/inboxes/connect", "/private-numbers",
    "/exported-chats", "/webhooks", "/reports", "/quarantine",
)  # fmt: skip

FAINT: Final = """least => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const light = (values) => values.map((value) => value / 255)
        .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
    const drawn = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const ground = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(drawn(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((under, [red, green, blue, alpha]) =>
            [red, green, blue].map((value, place) => (value * alpha + under[place] * (255 - alpha)) / 255),
            [255, 255, 255]);
    };
    const faint = new Set();
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const element = words.currentNode.parentElement;
        const isSeen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
        if (!words.currentNode.textContent.trim() || !isSeen || element.closest(":disabled, .unseen, .skip")) continue;
        const pair = [light(drawn(getComputedStyle(element).color).slice(0, 3)), light(ground(element))].sort();
        const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        if (ratio < least) faint.add(`${ratio.toFixed(2)} ${element.className} ${words.currentNode.textContent}`);
    }
    return [...faint];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read(site: Site, open_page: OpenPage, scheme: str) -> None:
    await site.deliver(
        chunk(past(1, 0, text("Tem jiboia?")), past(2, 1, {"type": "media_placeholder"})),
        inbound("wamid.A", "https://loja.example"),
        echo("wamid.B", "Tem sim: https://loja.example"),
        change("messages", messages=[{"id": "wamid.X", "type": "text", "text": {"body": "?"}}]),
    )
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'nothing_arrived', requested_at = now() WHERE kind = 'contacts'")
    page = await open_page("/conversations", scheme=scheme)
    faint = {}
    for path in (*PAGES, f"/conversations/{await conversation_of(site.pool)}"):
        await page.goto(site.url + path)
        await expect(page.locator("#main")).to_be_attached()
        if found := await page.evaluate(FAINT, LEAST):
            faint[path] = found
    assert faint == {}
