"""What a person sees and does, in a real browser."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from functools import partial

import pytest
from playwright.async_api import Locator, Page, Route, expect

from coexist.base import clock
from coexist.base.database import transaction
from coexist.inbox import summary
from tests.support.business import BSUID, PHONE, change, conversation_of, echo, inbound, status
from tests.support.outbox import execute, write
from tests.support.waiting import until
from tests.web.conftest import PHONE as NARROW
from tests.web.conftest import OpenPage, Site, sideways


async def talk(site: Site) -> str:
    """The path of the only conversation."""
    return f"/conversations/{await conversation_of(site.pool)}"


async def older_messages(site: Site, count: int) -> None:
    """``count`` messages of the customer, one an hour, before the live ones."""
    start = clock.now() - timedelta(hours=count + 1)
    texts = [inbound(f"wamid.OLD{n:04d}", f"old {n}", at=start + timedelta(hours=n)) for n in range(count)]
    await site.deliver(*texts)


def bubble(page: Page, words: str) -> Locator:
    """The text of the bubble that says exactly this."""
    return page.locator(".message .text").get_by_text(words, exact=True)


async def place_of(page: Page, words: str) -> float:
    """How far from the top of the window a bubble stands."""
    box = await bubble(page, words).bounding_box()
    assert box is not None
    return box["y"]


TO_THE_TOP = "list => { list.scrollTop = 0; }"


async def scroll_up_to(page: Page, words: str) -> None:
    """Scroll up again and again, as somebody does, until this bubble is loaded."""

    async def is_there() -> bool:
        await page.locator("message-list").evaluate(TO_THE_TOP)
        return await bubble(page, words).count() > 0

    await until(is_there, f"{words!r} is loaded")


@pytest.mark.requirement("E3")
async def test_a_message_appears_without_a_refresh(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    await expect(page.locator(".bubble")).to_have_count(1)
    await page.evaluate("window.stillTheSamePage = true")
    await site.deliver(inbound("wamid.B", "Os óculos chegaram?"), echo("wamid.C", "Chegaram, pode vir"))
    await expect(page.locator(".from-contact .text").last).to_have_text("Os óculos chegaram?")
    app = page.locator(".from-app")
    await expect(app.locator(".text")).to_have_text("Chegaram, pode vir")
    await expect(app.locator(".who")).to_contain_text("Phone app")
    await expect(page.locator("#list .row-preview").first).to_contain_text("Chegaram, pode vir")
    assert await page.evaluate("window.stillTheSamePage")


@pytest.mark.requirement("D14")
async def test_edits_and_deletes_show_in_place(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Separei duas"), inbound("wamid.B", "Esquece"))
    page = await open_page(await talk(site))
    edit = {
        "original_message_id": "wamid.A",
        "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": "Separei três"}},
    }
    said = {"from": PHONE, "timestamp": str(int(clock.now().timestamp()))}
    await site.deliver(
        change("messages", messages=[{**said, "id": "wamid.E", "type": "edit", "edit": edit}]),
        change(
            "messages",
            messages=[{**said, "id": "wamid.R", "type": "revoke", "revoke": {"original_message_id": "wamid.B"}}],
        ),
    )
    edited = page.locator(".message").first
    await expect(edited.locator(".text")).to_have_text("Separei três")
    await expect(edited.get_by_text("Separei duas")).to_be_hidden()
    await edited.get_by_text("edited").click()
    await expect(edited.get_by_text("Separei duas")).to_be_visible()
    deleted = page.locator(".message").last
    await expect(deleted.locator(".who")).to_contain_text("Deleted")
    await expect(deleted.get_by_text("Esquece")).to_be_hidden()
    await deleted.get_by_text("Show what it said").click()
    await expect(deleted.get_by_text("Esquece")).to_be_visible()


async def test_a_reply_is_sent_once_and_its_ticks_move(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    await page.locator("#text").fill("Bom dia!")
    await page.locator("#text").press("Shift+Enter")
    await page.locator("#text").type("Já respondo")
    await page.locator("#text").press("Enter")
    mine = page.locator(".from-api")
    await expect(mine.locator(".text")).to_have_text("Bom dia!\nJá respondo")
    await expect(mine.locator(".who")).to_have_text("Inês Duarte")
    await expect(mine.locator(".tick")).to_have_class("tick queued")
    await expect(page.locator("#text")).to_have_value("")
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT our_ref::text FROM outbox")).fetchall()
    assert len(row) == 1
    for name in ("sent", "delivered", "read"):
        await site.deliver(status("wamid.OURS", name, our_ref=f"cx:{row[0][0]}"))
        await expect(mine.locator(".tick")).to_have_class(f"tick {name}")
    await expect(mine).to_have_count(1)


ANSWERED = """document.addEventListener("htmx:after:swap", event => {
  if (event.target.matches("message-composer form")) document.body.dataset.isAnswered = true;
})"""


async def test_an_answer_that_was_long_on_its_way_takes_nothing_back(site: Site, open_page: OpenPage) -> None:
    """The line tells that WhatsApp refused a message before the answer to its form, which says that it is queued."""
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    is_written, may_come = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        is_written.set()
        await may_come.wait()
        await route.fulfill(response=answer)

    await page.route("**/messages", late)
    await page.locator("#text").fill("Chegou!")
    await page.locator("#text").press("Enter")
    await is_written.wait()
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT our_ref::text FROM outbox")).fetchone()
    assert row is not None
    errors = [{"code": 131026, "title": "Message undeliverable"}]
    await site.deliver(status("wamid.OURS", "failed", our_ref=f"cx:{row[0]}", errors=errors))
    await expect(page.locator(".from-api .problem")).to_have_count(1)
    await page.evaluate(ANSWERED)
    may_come.set()
    await expect(page.locator("body")).to_have_attribute("data-is-answered", "true")
    await expect(page.locator(".from-api .problem")).to_have_count(1)


async def test_answering_quotes_the_message_and_a_click_leads_to_it(site: Site, open_page: OpenPage) -> None:
    await older_messages(site, 20)
    await site.deliver(inbound("wamid.A", "Qual o preço?"))
    page = await open_page(await talk(site))
    first = page.locator(".message").first
    await first.hover()
    await first.locator(".reply").click()
    await expect(page.locator(".answering")).to_contain_text("old 0")
    await page.locator("#text").fill("Este aqui")
    await page.locator("#text").press("Enter")
    quote = page.locator(".from-api .quote")
    await expect(quote).to_contain_text("old 0")
    await expect(page.locator(".answering")).to_be_hidden()
    await quote.click()
    await expect(bubble(page, "old 0")).to_be_in_viewport()


async def test_a_draft_is_kept_for_the_next_visit(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    async with page.expect_response("**/draft"):
        await page.locator("#text").fill("Um momento, vou ver no est")
    await page.reload()
    await expect(page.locator("#text")).to_have_value("Um momento, vou ver no est")
    async with page.expect_response("**/draft"):  # the box was emptied, and that is kept as well
        await page.locator("#text").press("Enter")
        await expect(page.locator(".from-api")).to_have_count(1)
    await page.reload()
    await expect(page.locator("#text")).to_have_value("")


async def test_a_draft_and_the_focus_survive_what_arrives(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    await page.locator("#text").click()
    await page.keyboard.type("Estou escre")
    async with page.expect_response("**/around"):  # the header, composer and panel are fetched again
        await site.deliver(inbound("wamid.B", "Alô?"), echo("wamid.C", "Oi"))
        await expect(page.locator(".from-app")).to_have_count(1)
    await page.keyboard.type("vendo")
    await expect(page.locator("#text")).to_have_value("Estou escrevendo")


async def test_scrolling_up_loads_older_messages_and_holds_the_place(site: Site, open_page: OpenPage) -> None:
    await older_messages(site, 120)
    page = await open_page(await talk(site))
    await expect(bubble(page, "old 119")).to_be_in_viewport()
    await expect(bubble(page, "old 0")).to_have_count(0)
    await page.locator("message-list").evaluate(TO_THE_TOP)
    await expect(bubble(page, "old 30")).to_have_count(1)
    top = await place_of(page, "old 70")
    assert -400 < top < 900, "what was on top is still near"
    await scroll_up_to(page, "old 0")
    await expect(page.locator(".beginning")).to_contain_text("The beginning")
    texts = await page.locator(".message .text").all_text_contents()
    assert texts == [f"old {n}" for n in range(120)]


async def test_what_arrives_while_reading_above_moves_nothing_and_is_counted(site: Site, open_page: OpenPage) -> None:
    await older_messages(site, 60)
    page = await open_page(await talk(site))
    await page.locator("message-list").evaluate("list => list.scrollTop = list.scrollHeight / 2")
    await expect(page.locator(".pill")).to_have_text("Latest")  # the page has noticed that somebody reads above
    before = await place_of(page, "old 40")
    await site.deliver(inbound("wamid.A", "new one"), inbound("wamid.B", "new two"))
    await expect(page.locator(".pill")).to_have_text("2 new messages")
    assert await place_of(page, "old 40") == pytest.approx(before, abs=1)
    await page.locator(".pill").click()
    await expect(bubble(page, "new two")).to_be_in_viewport()
    await expect(page.locator(".pill")).to_be_hidden()


async def test_opening_a_conversation_marks_it_read(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page("/conversations")
    await expect(page.locator(".badge")).to_have_text("1")
    await page.locator(".row").click()
    await expect(page.locator(".conversation")).to_be_visible()
    await expect(page.locator(".badge")).to_have_count(0)
    assert page.url.endswith(await talk(site))
    await page.go_back()
    await expect(page.get_by_text("Choose a conversation.")).to_be_visible()


async def test_resolving_and_reopening(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    await page.locator(".deeds").get_by_role("button", name="Assign to me").click()
    await expect(page.locator(".who-line")).to_contain_text("assigned to you")
    await page.locator(".deeds").get_by_role("button", name="Unassign").click()
    await expect(page.locator(".who-line")).to_contain_text("not assigned")
    await page.locator(".panel").get_by_role("button", name="Assign to me").click()
    await expect(page.locator(".who-line")).to_contain_text("assigned to you")
    await page.get_by_role("button", name="Resolve").click()
    await expect(page.locator(".who-line")).to_contain_text("Resolved")
    await expect(page.locator("#list .row")).to_have_count(0)
    await page.get_by_role("button", name="Reopen").click()
    await expect(page.locator("#list .row")).to_have_count(1)


IS_HEARING = "document.querySelector('live-line').line.source.readyState === EventSource.OPEN"


async def test_a_lost_connection_says_so_and_catches_up(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page(await talk(site))
    await expect(page.locator(".bubble")).to_have_count(1)
    await until(partial(page.evaluate, IS_HEARING), "the line is open")
    await page.context.route("**/live?*", lambda route: route.abort())
    await page.context.route("**/conversations/list?rows=0", lambda route: route.abort())
    await page.evaluate("document.querySelector('live-line').line.lose()")
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await site.deliver(inbound("wamid.B", "Enquanto isso"))
    await expect(page.locator(".bubble")).to_have_count(1)
    await page.context.unroute_all()
    await expect(page.get_by_text("Enquanto isso").first).to_be_visible()  # it may have come to pause for 20 s
    await expect(page.get_by_text("Connection lost")).to_be_hidden()


async def test_on_a_phone_there_is_one_pane_with_back(site: Site, open_page: OpenPage) -> None:
    await older_messages(site, 10)
    await site.deliver(inbound("wamid.NOW", "Ainda aí?"))
    page = await open_page("/conversations", size=NARROW)
    await page.locator(".row").click()
    await expect(page.locator(".conversation")).to_be_visible()
    await expect(page.locator(".list-pane")).to_be_hidden()
    await expect(page.locator("#text")).to_be_in_viewport()
    assert await sideways(page) == 0, "nothing sticks out"
    for button in await page.locator(
        ".talk-header button:visible, .talk-header a:visible, .composer .button:visible"
    ).all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    await page.locator(".reply").last.click()
    await expect(page.locator(".answering")).to_contain_text("Ainda aí?")
    await page.get_by_role("link", name="Back to the list").click()
    await expect(page.locator(".list-pane")).to_be_visible()
    await expect(page.locator(".conversation")).to_have_count(0)


async def test_a_row_shows_that_it_was_pressed_while_the_answer_is_slow(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    page = await open_page("/conversations")
    row, may_go_on = page.locator(".row"), asyncio.Event()

    async def hold(route: Route) -> None:
        await may_go_on.wait()
        await route.continue_()

    await expect(row).to_have_css("border-left-color", "rgba(0, 0, 0, 0)")
    await page.route(re.compile(r"/conversations/\d+$"), hold)
    await row.click()
    await expect(row).not_to_have_css("border-left-color", "rgba(0, 0, 0, 0)")
    await expect(page.locator(".who-name")).to_have_count(0)
    may_go_on.set()
    await expect(page.locator(".who-name")).to_have_text("Rui")


async def test_hostile_text_stays_text(site: Site, open_page: OpenPage) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> <hx-partial hx-target="body">x'
    await site.deliver(inbound("wamid.A", hostile), inbound("wamid.B", "hx </template><b>x</b>"))
    page = await open_page(await talk(site))
    await expect(page.locator(".message .text").first).to_have_text(hostile)
    await site.deliver(inbound("wamid.C", hostile + " live"))
    await expect(page.locator(".message .text").last).to_have_text(hostile + " live")
    assert await page.evaluate("window.hacked === undefined")


async def test_the_keyboard_walks_the_list(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "first"), inbound("wamid.B", "second", phone="351910559112"))
    page = await open_page("/conversations")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message .text")).to_have_text("second")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("first")
    await expect(page.locator("#list mark")).to_have_text("first")


async def test_a_closed_window_says_why(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE messages SET sent_at = sent_at - interval '25 hours'")
        await conn.execute("UPDATE inboxes SET onboarded_at = onboarded_at - interval '30 hours'")
        await summary.refresh(conn, [await conversation_of(site.pool)])
    page = await open_page(await talk(site))
    await expect(page.locator(".composer-line")).to_contain_text("Closed since")
    await expect(page.locator("#text")).to_be_disabled()
    await page.get_by_text("why?").click()
    await expect(page.get_by_text("24 hours after each one")).to_be_visible()
    await site.deliver(inbound("wamid.B", "Ainda aí?"))
    await expect(page.locator("#text")).to_be_enabled()


async def test_a_short_message_that_failed_is_as_wide_as_its_reason(site: Site, open_page: OpenPage) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Bom dia"))
    await write(site.business, "Oi")
    await execute(site.business, "UPDATE outbox SET state = 'failed', error = %s", "Meta could not charge for it. " * 6)
    small = await open_page(await talk(site), size=NARROW)
    await expect(small.locator(".problem")).to_be_visible()
    assert await sideways(small) == 0
    page = await open_page(await talk(site))
    widths = [await page.locator(f".from-api {part}").bounding_box() for part in (".bubble", ".problem")]
    outer, inner = (box["width"] for box in widths if box)
    assert outer - inner < 40, "the text of the reason breaks before it widens the bubble"


async def test_two_browsers_of_a_team_see_the_same(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia", bsuid=BSUID))
    path = await talk(site)
    one, other = await asyncio.gather(open_page(path), open_page(path))
    await one.locator("#text").fill("Respondo eu")
    await one.locator("#text").press("Enter")
    await expect(other.locator(".from-api .text")).to_have_text("Respondo eu")
    await expect(one.locator(".from-api")).to_have_count(1)
    fresh = await open_page(path)
    markup = "document.querySelector('#messages').innerText"
    assert await one.evaluate(markup) == await fresh.evaluate(markup) == await other.evaluate(markup)


GROW_LATE = """bubbles => Promise.all(bubbles.map((each, n) => new Promise(grown => setTimeout(() => {
    each.style.minHeight = "90px";
    requestAnimationFrame(() => requestAnimationFrame(grown));
}, n * 7))))"""
"""Let each grow a little later than the one before; done when the last was drawn."""


async def test_a_conversation_opens_at_its_end_even_when_files_grow_late(site: Site, open_page: OpenPage) -> None:
    await older_messages(site, 60)
    page = await open_page("/conversations")
    for _ in range(3):
        await page.locator(".row").click()
        await expect(bubble(page, "old 59")).to_be_in_viewport()
        await page.locator(".bubble").evaluate_all(GROW_LATE)
        await expect(bubble(page, "old 59")).to_be_in_viewport()
        await expect(page.locator(".pill")).to_be_hidden()
        await page.goto(site.url + "/conversations")
