"""Every page that an owner opens, on a narrow screen: nothing sticks out, and a finger finds what can be pressed."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from coexist.base import clock
from coexist.base.database import in_transaction
from coexist.inbox import refusals
from coexist.inbox.refusals import Refusal
from coexist.web.access import SESSION_COOKIE
from tests.support.business import change, conversation_of, echo, inbound
from tests.support.outbox import execute
from tests.support.templates import keep, listed
from tests.web.conftest import PHONE, OpenPage, Site, sideways

FINGER_PX: Final = 44
ID: Final = "AerNGyjaAPyaSsvANk2ComQ"
"""As long as Meta's ids of requests are."""

SMALL: Final = """least => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
.filter(each => {
    const box = each.getBoundingClientRect(), style = getComputedStyle(each);
    if (!box.width || !box.height || style.visibility === "hidden") return false;
    if (each.matches(".skip, .unseen, [type=radio], [type=checkbox]")) return false;  // their labels are pressed
    const words = each.textContent.trim(), around = each.parentElement.textContent.trim();
    if (style.display === "inline" && words !== around || each.closest(".bubble, .reply")) return false;
    return box.height < least - 0.5 || box.width < least - 0.5;
}).map(each => `${each.tagName} ${each.className} ${each.textContent.trim() || each.name}`)"""
"""What is smaller than a finger: not links within a sentence, nor what belongs to a bubble."""


async def small(page: Page) -> list[str]:
    """What can be pressed on a page and is too small for it."""
    return list(await page.evaluate(SMALL, FINGER_PX))


@pytest.fixture
async def busy(site: Site) -> Site:
    """A number with a bit of everything: talks, something refused, a part in quarantine."""
    assert site.business is not None
    inbox_id = site.business.inbox.id
    await site.deliver(inbound("wamid.A", "Bom dia"), echo("wamid.B", "Diga"))
    await site.deliver(change("messages", messages=[{"id": "wamid.X", "type": "text", "text": {"body": "?"}}]))
    refusal = Refusal(inbox_id, 131042, clock.now(), "as Meta says it")
    await in_transaction(site.pool, lambda conn: refusals.heed(conn, [refusal]))
    places = {"type": "BODY", "text": "Olá {{1}}, " + "um_nome_muito_comprido_" * 8 + " {{2}}."}
    await keep(site.business, listed("a_name_" * 12, components=[places]), listed("b", status="PAUSED"))
    await site.post("/private-numbers", number="+351 910 559 113")
    await execute(
        site.business,
        "INSERT INTO exported_chats (account_id, file_name, file_bytes, total_count, uploaded_by, uploaded_at)"
        " SELECT account_id, 'WhatsApp Chat with somebody who has a long name.txt', 1, 1, %s, now() FROM inboxes",
        site.business.member.user_id,
    )
    return site


@pytest.mark.parametrize(
    "path",
    [
        "/conversations", "/inboxes", "/inboxes/connect", "/inboxes/connect?inbox=1", "/inboxes/choices",
        "/private-numbers", "/exported-chats", "/quarantine", "/reports", "/webhooks", "/inboxes/1", "/inboxes/1/sync",
        "/inboxes/1/receipt", "/inboxes/1/receipt/undo", "/inboxes/1/coverage", "/inboxes/1/choices",
        "/inboxes/1/doctor", "/inboxes/1/templates", "/inboxes/1/templates/new", "/inboxes/1/templates/1/copy",
        "/conversations/1/templates", "/conversations/1/templates/1",
    ],
)  # fmt: skip
async def test_every_page_fits_a_finger(busy: Site, open_page: OpenPage, path: str) -> None:
    page = await open_page(path, size=PHONE)
    assert await sideways(page) == 0
    assert await small(page) == []
    assert "That did not work" not in await page.content()
    for folded in await page.locator("main summary:visible").all():
        await folded.click()
    assert await sideways(page) == 0, "unfolded"
    assert await small(page) == [], "unfolded"


LINES: Final = """all => all.map(each => {
  const range = document.createRange(); range.selectNodeContents(each);
  return new Set([...range.getClientRects()].map(box => box.top)).size;
})"""
"""How many lines each text has."""


async def test_metas_ids_are_not_broken(busy: Site, open_page: OpenPage) -> None:
    assert busy.business is not None
    await execute(busy.business, "UPDATE syncs SET state = 'requested', requested_at = now(), request_id = %s", ID)
    page = await open_page("/inboxes/1/sync", size=PHONE)
    assert await page.locator("dd.id").evaluate_all(LINES) == [1, 1]


async def test_a_conversation_fits_a_finger(busy: Site, open_page: OpenPage) -> None:
    page = await open_page(f"/conversations/{await conversation_of(busy.pool)}", size=PHONE)
    assert await sideways(page) == 0
    assert await small(page) == []


@pytest.mark.parametrize("has_scripts", [True, False])
async def test_the_pages_of_a_number_are_one_line_that_opens_by_finger_and_by_key(
    busy: Site, browser: Browser, has_scripts: bool
) -> None:
    context = await browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, java_script_enabled=has_scripts, reduced_motion="reduce"
    )
    await context.add_cookies([{"name": SESSION_COOKIE, "value": busy.cookie, "url": busy.url}])
    page = await context.new_page()
    await page.goto(f"{busy.url}/inboxes/1/sync")
    opens, pages = page.locator(".tabs-open"), page.get_by_role("navigation", name="Pages of this number")
    await expect(opens).to_have_text("Pages of this number, now: Sync", use_inner_text=False)
    await expect(pages).to_be_hidden()
    await opens.click()
    links = pages.get_by_role("link")
    await expect(links).to_have_text(["The number", "Sync", "Receipt", "Coverage", "Templates", "Choices", "Doctor"])
    await expect(pages.locator("[aria-current]")).to_have_text("Sync")
    for link in await links.all():
        box = await link.bounding_box()
        assert box is not None
        assert box["height"] >= FINGER_PX
        assert box["x"] + box["width"] <= PHONE[0]
        assert box["y"] + box["height"] <= PHONE[1]
    await page.keyboard.press("Escape")
    await expect(pages).to_be_hidden()
    await opens.focus()
    await page.keyboard.press("Enter")
    await expect(pages).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(pages.get_by_role("link", name="The number")).to_be_focused()
    for _ in range(6):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{busy.url}/inboxes/1/doctor")
    await expect(opens).to_have_text("Pages of this number, now: Doctor", use_inner_text=False)


@pytest.mark.parametrize("width", [900, 1440])
async def test_on_a_desk_the_pages_of_a_number_stand_in_a_line(busy: Site, open_page: OpenPage, width: int) -> None:
    page = await open_page("/inboxes/1/sync", size=(width, 900))
    await expect(page.locator(".tabs-open")).to_be_hidden()
    links = page.get_by_role("navigation", name="Pages of this number").get_by_role("link")
    assert await links.evaluate_all("all => new Set(all.map(each => each.getBoundingClientRect().top)).size") == 1
    await links.filter(has_text="Doctor").click()
    await expect(page).to_have_url(f"{busy.url}/inboxes/1/doctor")


async def test_the_open_sheet_of_pages_stays_one_when_the_screen_is_turned(busy: Site, open_page: OpenPage) -> None:
    page = await open_page("/inboxes/1/sync", size=(768, 1024))
    await page.locator(".tabs-open").click()
    await page.set_viewport_size({"width": 1024, "height": 768})
    links = page.get_by_role("navigation", name="Pages of this number").get_by_role("link")
    await expect(links).to_have_count(7)
    assert await links.evaluate_all("all => new Set(all.map(each => each.getBoundingClientRect().left)).size") == 1
    await page.keyboard.press("Escape")
    assert await links.evaluate_all("all => new Set(all.map(each => each.getBoundingClientRect().top)).size") == 1
