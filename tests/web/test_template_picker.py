"""The picker of templates in a real browser: what people press, type and read."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import pytest
from playwright.async_api import Page, Route, expect

from coexist.base import clock
from coexist.base.database import transaction
from tests.support import templates as seeded
from tests.support.business import conversation_of, inbound, status
from tests.support.outbox import execute
from tests.support.templates import BODY, READY, asked, keep, listed, two_days_ago
from tests.web.conftest import PHONE as NARROW
from tests.web.conftest import OpenPage, Site, sideways
from tests.web.test_on_a_phone import FINGER_PX, SMALL

LONG: Final = listed(
    "appointment_reminder_for_customers_with_a_long_name",
    parameter_format="NAMED",
    components=[
        {"type": "HEADER", "format": "TEXT", "text": "A sua consulta"},
        {"type": "BODY", "text": "Olá {{first_name}}, *até {{day}}*. " + "Traga os óculos antigos. " * 12},
        {"type": "FOOTER", "text": "Ótica Duarte"},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Ver", "url": "https://otica.example.com/m/{{1}}"}]},
    ],
)


@pytest.fixture
async def closed(site: Site) -> Site:
    """A customer who last wrote two days ago, and two templates that are ready."""
    assert site.business is not None
    await two_days_ago(site.business)
    await keep(site.business, listed(), LONG)
    await asked(site.business)
    return site


async def talk(site: Site) -> str:
    return f"/conversations/{await conversation_of(site.pool)}"


async def choose(page: Page, words: str) -> None:
    """Open the picker from the composer, and one template in it."""
    await page.locator("#choose-template").click()
    await page.locator("#picker .pick", has_text=words).click()
    await expect(page.locator("#template-form")).to_be_visible()


async def count(site: Site) -> int:
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT count(*) FROM outbox")).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.requirement("E10")
async def test_a_closed_window_leads_to_a_template_and_its_bubble(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await expect(page.locator("#composer")).to_contain_text("Closed")
    await expect(page.locator("#choose-template")).to_have_css("opacity", "1")
    await expect(page.locator(".bubble")).to_be_visible()
    await expect(page.locator("[data-reply]")).to_be_hidden()  # there is nothing to write an answer in
    await choose(page, "o pedido")
    reading = page.locator("#picker .reading .bubble")
    await expect(reading).to_have_text("Olá Value 1, o pedido Value 2 está pronto.")
    first = page.locator("#picker [name='value.body.1']")
    await expect(first).to_be_focused()
    await first.fill("Rui")
    await page.keyboard.press("Tab")
    await page.keyboard.type("1042")
    await expect(reading).to_have_text("Olá Rui, o pedido 1042 está pronto.")
    await page.keyboard.press("Enter")
    await expect(page.locator("#picker")).to_be_hidden()
    mine = page.locator(".from-api")
    await expect(mine.locator(".text")).to_have_text("Olá Rui, o pedido 1042 está pronto.")
    await expect(mine.locator(".foot")).to_contain_text("template")
    await expect(page.locator("#choose-template")).to_be_focused()
    assert await page.locator("#picker").inner_html() == ""
    assert await count(closed) == 1


async def test_a_day_that_begins_with_a_message_of_ours_stands_above_it(site: Site, open_page: OpenPage) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Bom dia", at=clock.now() - timedelta(days=3)))
    await keep(site.business, listed())
    await seeded.write(site.business, await conversation_of(site.pool))
    # There is something to write an answer in.
    await site.deliver(inbound("wamid.B", "Obrigado", at=clock.now() + timedelta(minutes=1)))
    page = await open_page(await talk(site))
    mine = page.locator(".from-api")
    boxes = [await mine.locator(each).bounding_box() for each in (".day", ".reply", ".bubble")]
    day, reply, bubble = [box["y"] + box["height"] / 2 for box in boxes if box]
    assert day < reply
    assert abs(reply - bubble) < FINGER_PX, "the button stands beside the bubble"


async def test_an_open_window_has_a_quiet_way_beside_the_text(site: Site, open_page: OpenPage) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Bom dia"))
    await keep(site.business, listed())
    page = await open_page(await talk(site))
    await page.locator("#text").fill("Ainda não enviado")
    await choose(page, "o pedido")
    await page.locator("#picker [name='value.body.1']").fill("Rui")
    await page.locator("#picker [name='value.body.2']").fill("7")
    await page.locator("#picker .send").click()
    await expect(page.locator(".from-api .text")).to_have_text("Olá Rui, o pedido 7 está pronto.")
    await expect(page.locator("#text")).to_have_value("Ainda não enviado")


async def test_errors_stand_at_their_field_and_what_was_typed_stays(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await choose(page, "o pedido")
    await page.locator("#picker [name='value.body.1']").fill("Rui")
    await page.locator("#picker .send").click()
    wrong = page.locator("#picker .wrong")
    await expect(wrong).to_have_text("Value 2 is missing.")
    await expect(page.locator("#picker [name='value.body.2']")).to_be_focused()
    await expect(page.locator("#picker [name='value.body.1']")).to_have_value("Rui")
    assert await page.locator(".from-api").count() == 0
    await page.keyboard.type("1042")
    await expect(page.locator("#picker .reading .bubble")).to_have_text("Olá Rui, o pedido 1042 está pronto.")
    await page.locator("#picker .send").click()
    await expect(page.locator(".from-api .text")).to_have_text("Olá Rui, o pedido 1042 está pronto.")
    assert await count(closed) == 1


async def test_two_clicks_send_one(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await choose(page, "o pedido")
    requests: list[str] = []
    may_go = asyncio.Event()

    async def hold(route: Route) -> None:
        requests.append(route.request.url)
        await may_go.wait()
        await route.continue_()

    await page.route("**/templates/*", hold)
    for place, value in (("1", "Rui"), ("2", "1042")):
        await page.locator(f"#picker [name='value.body.{place}']").fill(value)
    await page.locator("#picker .send").dblclick()
    await page.locator("#picker .send").click()
    may_go.set()
    await expect(page.locator("#picker")).to_be_hidden()
    await expect(page.locator(".from-api")).to_have_count(1)
    assert len(requests) == 1
    assert await count(closed) == 1


async def test_a_template_that_changed_is_shown_anew_in_the_dialog(closed: Site, open_page: OpenPage) -> None:
    assert closed.business is not None
    page = await open_page(await talk(closed))
    await choose(page, "o pedido")
    await keep(closed.business, listed(components=[BODY | {"text": "Caro {{1}}: nº {{2}}, à espera."}]), at=clock.now())
    await page.locator("#picker [name='value.body.1']").fill("Rui")
    await page.locator("#picker [name='value.body.2']").fill("1042")
    await page.locator("#picker .send").click()
    await expect(page.locator("#picker [role=alert]")).to_contain_text("changed at WhatsApp")
    await expect(page.locator("#picker .reading .bubble")).to_have_text("Caro Rui: nº 1042, à espera.")
    await page.locator("#picker .send").click()
    await expect(page.locator(".from-api .text")).to_have_text("Caro Rui: nº 1042, à espera.")


async def test_typing_searches_and_escape_gives_the_keyboard_back(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await page.locator("#choose-template").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#picker input[type=search]")).to_be_focused()
    await expect(page.locator("#picker .pick")).to_have_count(2)
    await page.keyboard.type("pedido")
    await expect(page.locator("#picker .pick")).to_have_count(1)
    await page.locator("#picker input[type=search]").fill("zzz")
    await expect(page.locator("#picker .picker-empty")).to_contain_text("No template has “zzz” in it.")
    await page.locator("#picker .picker-empty .button").click()
    await expect(page.locator("#picker .pick")).to_have_count(2)
    await page.keyboard.press("Escape")
    await expect(page.locator("#picker")).to_be_hidden()
    await expect(page.locator("#choose-template")).to_be_focused()
    assert page.url.endswith(await talk(closed)), "Escape closed the picker, and nothing else"


async def test_enter_in_the_search_takes_the_first_that_was_found(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await page.locator("#choose-template").click()
    await expect(page.locator("#picker .pick")).to_have_count(2)
    await page.keyboard.type(" o  pedido")
    await page.keyboard.press("Enter")
    await expect(page.locator("#picker h2")).to_contain_text(READY)  # what was typed, although not found yet
    assert page.url.endswith(await talk(closed)), "the conversation is still there"
    await page.keyboard.type("Rui")
    await page.keyboard.press("Enter")
    await expect(page.locator("#picker .wrong")).to_have_text("Value 2 is missing.")
    await expect(page.locator("#picker [name='value.body.2']")).to_be_focused()


async def test_the_list_follows_what_meta_tells(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await page.locator("#choose-template").click()
    await expect(page.locator("#picker .pick")).to_have_count(2)
    value = {
        "event": "PAUSED", "message_template_id": 9007199254740993, "message_template_name": READY,
        "message_template_language": "pt_PT", "reason": "NONE",
    }  # fmt: skip
    await closed.deliver({"field": "message_template_status_update", "value": value})
    await expect(page.locator("#picker .stepped-back .pick")).to_contain_text("Paused until WhatsApp resumes it")
    await page.locator("#picker .stepped-back .pick").click()
    await expect(page.locator("#template-form .error")).to_contain_text("WhatsApp has paused this template")
    await expect(page.locator("#picker .send")).to_have_count(0)


async def test_an_open_list_learns_at_once_that_a_template_was_refused(closed: Site, open_page: OpenPage) -> None:
    """Meta's list still calls it approved, and is not asked here."""
    assert closed.business is not None
    page = await open_page(await talk(closed))
    await page.locator("#choose-template").click()
    await expect(page.locator("#picker .pick")).to_have_count(2)
    await expect(page.locator("#picker .stepped-back .pick")).to_have_count(0)
    for number in range(2):
        await seeded.write(closed.business, await conversation_of(closed.pool))
        await execute(closed.business, "UPDATE messages SET wamid = %s WHERE wamid IS NULL", f"wamid.R{number}")
    await closed.deliver(status("wamid.R0", "failed", errors=[{"code": 132015, "title": "Paused"}]))
    await expect(page.locator("#picker .stepped-back .pick")).to_contain_text("Paused until WhatsApp resumes it")
    told = "SELECT count(*) FROM events WHERE kind = 'inbox_changed'"
    async with transaction(closed.pool) as conn:
        before = await (await conn.execute(told)).fetchone()
    await closed.deliver(status("wamid.R1", "failed", errors=[{"code": 132015, "title": "Paused"}]))
    async with transaction(closed.pool) as conn:
        assert await (await conn.execute(told)).fetchone() == before, "a second one is no news"


@pytest.mark.requirement("E10")
async def test_a_text_that_came_too_late_leads_to_the_picker(site: Site, open_page: OpenPage) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Bom dia"))
    await keep(site.business, listed())
    page = await open_page(await talk(site))
    await page.locator("#text").fill("Chegou!")
    await page.locator("#text").press("Enter")
    await expect(page.locator(".from-api")).to_have_count(1)
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT our_ref::text FROM outbox")).fetchone()
    assert row is not None
    errors = [{"code": 131047, "title": "Re-engagement message"}]
    await site.deliver(status("wamid.OURS", "failed", our_ref=f"cx:{row[0]}", errors=errors))
    problem = page.locator(".from-api .problem")
    await expect(problem).to_contain_text("24 hours")
    await problem.get_by_role("link", name="Choose a template").click()
    await expect(page.locator("#picker .pick")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator("#choose-template")).to_have_class("button main")


async def test_a_template_that_was_refused_is_chosen_again_with_its_values(closed: Site, open_page: OpenPage) -> None:
    assert closed.business is not None
    conversation_id = await conversation_of(closed.pool)
    message_id = await seeded.write(closed.business, conversation_id, {"body.1": "Rui", "body.2": "1042"})
    await execute(
        closed.business,
        "WITH m AS (UPDATE messages SET status = 0, errors = %s::jsonb WHERE id = %s RETURNING id)"
        " UPDATE outbox o SET state = 'failed', error = 'Refused' FROM m WHERE o.message_id = m.id",
        '[{"code": 132012, "title": "format"}]', message_id,
    )  # fmt: skip
    page = await open_page(await talk(closed))
    problem = page.locator(".from-api .problem")
    await expect(problem.get_by_role("button", name="Retry")).to_have_count(0)
    await problem.get_by_role("link", name="Choose the template again").click()
    await expect(page.locator("#picker [name='value.body.2']")).to_have_value("1042")
    await page.locator("#picker [name='value.body.2']").fill("1043")
    await page.locator("#picker .send").click()
    await expect(page.locator(".from-api .text").last).to_have_text("Olá Rui, o pedido 1043 está pronto.")


async def test_a_failure_is_told_inside_the_dialog(closed: Site, open_page: OpenPage) -> None:
    page = await open_page(await talk(closed))
    await choose(page, "o pedido")
    await page.route("**/templates/*", lambda route: route.abort())
    await page.locator("#picker [name='value.body.1']").fill("Rui")
    await page.locator("#picker .send").click()
    await expect(page.locator("#picker .picker-failure")).to_contain_text("try again in a moment")
    await expect(page.locator("#picker [name='value.body.1']")).to_have_value("Rui")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_the_picker_is_a_sheet_for_fingers(closed: Site, open_page: OpenPage, scheme: str) -> None:
    page = await open_page(await talk(closed), size=NARROW, scheme=scheme)
    await choose(page, "Traga")
    assert await page.locator("#picker").bounding_box() == {"x": 0, "y": 0, "width": NARROW[0], "height": NARROW[1]}
    await page.locator("#picker .send").click()
    await expect(page.locator("#picker .wrong").first).to_be_visible()
    await expect(page.locator("#picker .send")).to_be_in_viewport()
    for _ in ("the form", "the list"):
        assert await sideways(page) == 0
        assert await page.locator("#picker").evaluate("each => each.scrollWidth - each.clientWidth") == 0
        assert await page.evaluate(SMALL, FINGER_PX) == []
        if await page.get_by_title("All templates").count():
            await page.get_by_title("All templates").click()
            await expect(page.locator("#picker .pick")).to_have_count(2)
