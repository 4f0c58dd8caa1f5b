"""What stands above the list while no conversation is open, and the ways back out of what covers or replaces a page."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from coexist.people.model import Member
from tests.support.business import inbound
from tests.support.outbox import execute
from tests.web.conftest import DESK, PHONE, OpenPage, Site, sideways

AWAY = {"field": "account_update", "value": {"event": "ACCOUNT_OFFBOARDED"}}
TABLET = (1000, 800)


@pytest.mark.requirement("G1", "G3")
@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_the_list_says_that_the_phone_is_away(site: Site, open_page: OpenPage, size: tuple[int, int]) -> None:
    await site.deliver(inbound("wamid.A", "Olá"))
    page = await open_page("/conversations", size=size)
    standing = page.locator("#standing")
    await expect(standing).to_have_text("")
    await site.deliver(AWAY)
    await expect(standing).to_contain_text("is away")
    await expect(standing).to_be_in_viewport()
    assert await sideways(page) == 0
    await page.locator(".row").click()
    await expect(page.locator(".notice-line")).to_contain_text("is away")
    await expect(standing).to_have_count(0)


@pytest.mark.requirement("B9")
async def test_the_list_shows_how_far_an_import_is(site: Site) -> None:
    assert site.business is not None
    path = "/conversations/standing"
    await execute(site.business, "UPDATE syncs SET state = 'receiving', requested_at = now()")
    assert "Waiting for the phone" in (await site.get(path))[1]
    await execute(
        site.business,
        "INSERT INTO history_chunks (inbox_id, onboarded_at, phase, chunk_order, progress, thread_count, message_count,"
        " arrived_at)"
        " SELECT id, onboarded_at, 0, 1, 40, 1, 7, now() FROM inboxes",
    )
    _, page = await site.get(path)
    assert "Importing history" in page
    assert "7 messages" in page
    assert f"{path}?moving=1" in page
    await execute(site.business, "UPDATE syncs SET state = 'completed'")
    assert "History is here" in (await site.get(f"{path}?moving=1"))[1]
    assert "History is here" not in (await site.get(path))[1], "who did not see it come is not told of its end"


@pytest.mark.requirement("B5", "B6")
@pytest.mark.parametrize(
    ("state", "said", "is_bad"),
    [
        ("nothing_arrived", "The history did not arrive", True),
        ("failed", "The history could not be asked for", True),
        ("declined", "The business did not share its chats", False),
        ("switched_off", "Taking in history is switched off", False),
        ("not_requested", "The history has not been asked for", False),
    ],
)
async def test_whoever_waits_for_an_import_is_told_why_none_came(
    site: Site, state: str, said: str, is_bad: bool
) -> None:
    assert site.business is not None
    await execute(site.business, f"UPDATE syncs SET state = '{state}' WHERE kind = 'history'")
    inbox_id = site.business.inbox.id
    for path in (f"/conversations/standing?moving={inbox_id}", f"/inboxes/{inbox_id}/strip?moving"):
        _, page = await site.get(path)
        assert said in page
        assert f"/inboxes/{inbox_id}/sync" in page, "where it says more"
        assert ("strip bad" in page) == is_bad, "what somebody chose is no trouble"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("removed", "was disconnected"),
        ("token_invalid", "refuses our access"),
        ("restricted", "has restricted"),
        ("connected", ""),
    ],
)
async def test_each_state_of_a_number_is_told_to_its_own_account(
    site: Site, stranger: Member, state: str, said: str
) -> None:
    assert site.business is not None
    await execute(site.business, f"UPDATE inboxes SET state = '{state}'")
    _, page = await site.get("/conversations/standing")
    assert said in page
    assert ("notice-line" in page) is bool(said)
    await site.sign_in(stranger)
    assert "notice-line" not in (await site.get("/conversations/standing"))[1]


async def test_what_is_listed_outlives_a_reload_and_the_way_back(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Olá"))
    page = await open_page("/conversations", size=PHONE)
    chosen = page.locator(".filter[aria-current]")
    await page.get_by_role("link", name="Waiting").click()
    await expect(chosen).to_contain_text("Waiting")
    await page.reload()
    await expect(chosen).to_contain_text("Waiting")
    await page.locator(".row").click()
    await page.get_by_role("link", name="Back to the list").click()
    await expect(page.locator(".conversation")).to_have_count(0)
    await expect(chosen).to_contain_text("Waiting")


async def test_a_refused_form_leads_back_to_its_page(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/private-numbers")
    field = page.get_by_role("textbox", name="Number")
    await field.fill("12")
    await field.press("Enter")
    await expect(page.locator("h1")).to_have_text("That did not work")
    await page.get_by_role("link", name="Back, to correct it").click()
    await expect(field).to_be_visible()


async def test_a_client_is_not_sent_to_an_inbox_that_is_not_theirs(site: Site) -> None:
    status, page = await site.get("/connect/no-such-link")
    assert (status, "Go to the inbox" in page) == (404, False)


async def test_the_keyboard_goes_to_the_contact_and_back(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Olá"))
    page = await open_page("/conversations", size=TABLET)
    await page.locator(".row").click()
    who, panel = page.locator(".who-button"), page.locator("#panel")
    await expect(panel).to_be_hidden()
    await who.press("Enter")
    await expect(panel).to_be_visible()
    await expect(panel.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(who).to_be_focused()
    await expect(page.locator(".conversation")).to_be_visible()


async def test_the_menu_closes_as_menus_do(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/inboxes")
    assert site.member is not None
    leave = page.get_by_role("button", name="Sign out")
    who = page.get_by_role("button", name=site.member.name)
    await who.click()
    await expect(leave).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(leave).to_be_hidden()
    await who.click()
    await page.locator("h1").click()
    await expect(leave).to_be_hidden()
    await who.click()
    await leave.click()
    await expect(page.locator("h1")).to_have_text("Sign in")


async def test_the_word_of_a_lost_server_goes_when_the_line_is_back(site: Site, open_page: OpenPage) -> None:
    await site.deliver(inbound("wamid.A", "Olá"))
    page = await open_page("/conversations")
    await page.locator(".row").click()
    await expect(page.locator(".who-name")).to_be_visible()
    await page.context.set_offline(True)
    await page.get_by_role("button", name="Resolve").click()
    failure = page.locator("#failure")
    await expect(failure).to_contain_text("cannot be reached")
    await page.route("**/*", lambda route: route.abort())  # so that nothing new can be what takes the word away
    await page.context.set_offline(False)
    await expect(failure).to_be_hidden()


MORE = """
INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number, is_coexistence,
                     onboarded_at, state, state_at)
SELECT i.account_id, i.scope_id, 'Shop ' || n, '9', 'more' || n, '44770090010' || n, true, now(),
       (CASE n WHEN 5 THEN 'removed' WHEN 7 THEN 'offboarded' ELSE 'connected' END)::inbox_state, now()
  FROM inboxes i, generate_series(1, 9) n
"""


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_many_numbers_are_a_list_with_what_needs_somebody_on_top(
    site: Site, open_page: OpenPage, size: tuple[int, int]
) -> None:
    """A number is one line that leads to its page; only what is to be done about it has a button here."""
    assert site.business is not None
    await execute(site.business, MORE)
    page = await open_page("/inboxes", size=size)
    cards = page.locator(".one-number")
    await expect(cards).to_have_count(10)
    await expect(cards.locator("h2").nth(0)).to_have_text("Shop 5")
    await expect(cards.locator("h2").nth(1)).to_have_text("Shop 7")
    await expect(page.locator(".one-number .button")).to_have_text(["Connect again"])
    assert await sideways(page) == 0
    well = cards.filter(has_text="Shop 3")
    await well.click(position={"x": 8, "y": 8})
    await expect(page.locator("h1")).to_contain_text("Shop 3")
    await expect(page.locator("main")).to_contain_text("more3")  # its ids, for Meta's support
    await expect(page.get_by_role("link", name="Renew access")).to_be_visible()
