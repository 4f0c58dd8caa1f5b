"""The pages of our own webhooks: adding one, seeing how it goes, and why a program hears nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import pytest
from playwright.async_api import expect

from coexist.base.database import transaction
from coexist.people.model import Member
from coexist.web.webhooks import PATH
from coexist.webhooks import actions, store
from tests.support.business import inbound
from tests.support.hearing import subscribe, tell_due
from tests.support.listener import Listener
from tests.web.conftest import PHONE as NARROW
from tests.web.conftest import OpenPage, Site, sideways

ADDRESS: Final = "https://crm.example.com/coexist"


async def have(site: Site, program: Listener) -> None:
    """A webhook to a program on loopback, which the installation's operator allows."""
    assert site.member is not None
    await subscribe(site.pool, site.member, program.url)


async def page_of(site: Site, path: str = f"{PATH}/1") -> str:
    status, text = await site.get(path)
    assert status == 200
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


async def test_adding_one_shows_its_secret_once(open_page: OpenPage) -> None:
    page = await open_page("/inboxes")
    await page.get_by_role("link", name="Webhooks").click()
    await expect(page.get_by_role("heading", name="No program is told anything yet")).to_be_visible()
    await page.get_by_label("Address").fill(ADDRESS)
    await page.get_by_label("Also tell how an import goes").check()
    await page.get_by_role("button", name="Add").click()
    secret = await page.get_by_label("The secret").input_value()
    assert secret.startswith(actions.SECRET_PREFIX)
    await page.get_by_role("link", name="Done").click()
    await expect(page.get_by_role("heading", name=ADDRESS)).to_be_visible()
    await expect(page.get_by_text("told how they go")).to_be_visible()
    assert secret not in await page.content()
    await page.get_by_role("button", name="Make a new secret").click()
    assert await page.get_by_label("The secret").input_value() != secret
    await page.get_by_role("link", name="Done").click()
    await expect(page.get_by_text("The former one signs as well until")).to_be_visible()


async def test_a_test_shows_its_outcome_without_loading_the_page(
    site: Site, program: Listener, open_page: OpenPage
) -> None:
    await have(site, program)
    page = await open_page(f"{PATH}/1", size=NARROW, scheme="dark")
    await expect(page.get_by_text("A test shows whether your program can be reached.")).to_be_visible()
    await page.get_by_role("button", name="Test now").click()
    await expect(page.get_by_role("button", name="Testing…")).to_be_disabled()
    program.answers.append(404)
    assert await tell_due(site.pool) == 1
    await expect(page.get_by_text("Test: It answered 404.")).to_be_visible()
    await expect(page.get_by_role("button", name="Test now")).to_be_enabled()
    assert await sideways(page) == 0


async def test_every_state_is_said_in_words(site: Site, program: Listener) -> None:
    await have(site, program)
    assert "Ready Nothing has happened yet" in await page_of(site)
    await site.deliver(inbound("wamid.1", "Olá"))
    program.answers.append(500)
    await tell_due(site.pool)
    text = await page_of(site)
    assert "Failing since" in text
    assert "It answered 500. Next try:" in text
    assert "500 3 events: It answered 500." in text
    assert "Try again now" in text
    assert (await site.post(f"{PATH}/1/resume")).status == 303
    await tell_due(site.pool)
    assert "Working It took the last events" in await page_of(site)
    assert (await site.post(f"{PATH}/1/pause")).headers["Location"] == f"{PATH}/1"
    assert "Paused Nothing is sent until you resume it." in await page_of(site, PATH)
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE webhooks SET state = 'disabled', url = 'https://crm.example.com/a?key=<b>'")
    program.answers.append(500)
    await tell_due(site.pool, after=timedelta(minutes=1))
    text = await page_of(site, PATH)
    assert "Stopped" in text
    assert "https://crm.example.com/a?key=&lt;b&gt;" in text


async def test_a_wrong_address_is_refused_in_words_and_nothing_is_added(site: Site) -> None:
    for url in ("http://crm.example.com/", "https://10.0.0.1/", "crm", ""):
        assert (await site.post(PATH, url=url)).status == 422
    assert "No program is told anything yet" in await page_of(site, PATH)
    for _ in range(actions.PER_ACCOUNT_MAX):
        assert (await site.post(PATH, url=ADDRESS)).status == 200
    assert (await site.post(PATH, url=ADDRESS)).status == 409
    assert f"An account can have {actions.PER_ACCOUNT_MAX} webhooks" in await page_of(site, PATH)


async def test_removed_it_is_gone_with_its_log(site: Site, program: Listener) -> None:
    await have(site, program)
    await site.deliver(inbound("wamid.1", "Olá"))
    await tell_due(site.pool)
    assert (await site.post(f"{PATH}/1/remove")).headers["Location"] == PATH
    assert (await site.get(f"{PATH}/1"))[0] == 404
    async with transaction(site.pool) as conn:
        assert await store.attempts(conn, 1) == []


async def test_another_account_sees_none_of_it(site: Site, program: Listener, stranger: Member) -> None:
    await have(site, program)
    await site.sign_in(stranger)
    assert program.url not in await page_of(site, PATH)
    assert (await site.get(f"{PATH}/1"))[0] == 404


@pytest.mark.parametrize("may_copy", [True, False])
async def test_what_is_shown_once_is_copied_with_a_button(site: Site, open_page: OpenPage, may_copy: bool) -> None:
    page = await open_page("/webhooks")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"] if may_copy else [])
    if not may_copy:
        await page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        await page.add_init_script("document.execCommand = () => false")
    await page.locator("[name=url]").fill("https://crm.example.com/coexist")
    await page.get_by_role("button", name="Add", exact=True).click()
    field = page.get_by_label("The secret")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.locator("[data-copy]")).to_have_text("Copied" if may_copy else "Copy it by hand")
    secret = await field.input_value()
    if may_copy:
        assert await page.evaluate("() => navigator.clipboard.readText()") == secret
    assert await field.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == secret
    assert await sideways(page) == 0
