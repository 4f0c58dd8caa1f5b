"""A new owner's whole walk, and all that a number can go through: a browser beside the phone, on pages left open."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from simulator.passing import Clock
from tests.flows.shop import Shop, open_shop
from tests.support import databases
from tests.support.dialog import go_through, open_window
from tests.support.waiting import PATIENCE_MS, until
from tests.web.conftest import DESK, Chromium

OWNER: Final = "Ana Nunes"
NUMBER: Final = "+55 11 98550-0101"
NUMBER_PAGE: Final = "/inboxes/1"
COMPLETE: Final = "The chat history is complete."


@dataclass
class Walk:
    """Somebody at a browser, beside a shop and its phone."""

    shop: Shop
    context: BrowserContext

    async def open(self, path: str) -> Page:
        """A page of the inbox, in a tab of its own."""
        page = await self.context.new_page()
        await page.goto(self.shop.url + path)
        return page

    async def phone(self) -> Page:
        """The settings of the phone."""
        page = await self.context.new_page()
        await page.goto(self.shop.phone.address + "/phone")
        await page.get_by_role("button", name="Settings").click()
        return page

    async def connect(self, *, shares: bool = True, **faults: object) -> Page:
        """Sign the number up through Meta's window, anew if it was before; the page of what comes in."""
        page = await self.open(NUMBER_PAGE)
        if await self.state() in ("connected", "offboarded"):
            await self.shop.tell("disconnect")
            await page.get_by_role("link", name="Connect again").click()
        else:
            await page.goto(self.shop.url + "/inboxes/connect")
        await self.shop.tell("faults", **{"missing_fields": [], "lost_chunk": None, "silent_sync": False, **faults})
        await connect(page, shares=shares)
        await page.get_by_role("link", name=re.compile("See what (comes in|is missing)")).click()
        return page

    async def synced(self) -> Page:
        """A number whose history is here; the page that says so."""
        page = await self.open(f"{NUMBER_PAGE}/sync")
        is_here = await history(page).get_by_text(COMPLETE).count() > 0
        if not is_here or await self.state() != "connected":
            page = await self.connect()
            await expect(history(page)).to_contain_text(COMPLETE)
        return page

    async def state(self) -> str:
        return str((await self.shop.look("state"))["connection"]["state"])

    async def newcomer(self, text: str) -> str:
        """Somebody new writes; their name."""
        return str((await self.shop.tell("new-customer", text=text))["name"])

    async def sent(self, text: str) -> int:
        """How many messages with this text left the inbox and reached the phone."""
        return sum(one["text"] == text and one["origin"] == "api" for one in await self.shop.phone.messages())


def history(page: Page) -> Locator:
    """What the page of a sync says of the history."""
    return page.get_by_role("region", name="History")


async def connect(page: Page, *, shares: bool = True) -> None:
    """Open Meta's window and answer all its screens, until the page says that the number is connected."""
    await go_through(await open_window(page), shares=shares)
    await expect(page.locator("#signup h2")).to_have_text("Connected")


async def open_talk(page: Page, name: str) -> None:
    """Choose a conversation in the list, and wait until it is there to be written in."""
    await page.locator(".row").filter(has_text=name).click()
    await expect(page.locator(".who-name")).to_have_text(name)


@asynccontextmanager
async def walking(url: str, folder: Path, chromium: Chromium) -> AsyncIterator[Walk]:
    """A product with an account and nothing in it, its phone, and a browser. Time can be let pass in both.

    A script error or a broken content policy on any page fails at the end.
    """
    file, complaints = folder / "ahead", list[str]()
    settings = {"COEXIST_CLOCK_FILE": str(file)}
    browser = await chromium.browser()
    async with (
        open_shop(url, folder, settings=settings, clock=Clock(file), message_count=200) as shop,
        await browser.new_context(
            viewport={"width": DESK[0], "height": DESK[1]}, reduced_motion="reduce", timezone_id="America/Sao_Paulo"
        ) as context,
    ):
        context.set_default_timeout(PATIENCE_MS)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on(
            "console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None
        )
        made = Walk(shop, context)
        await first_run(made)
        yield made
    assert not complaints


async def first_run(walk: Walk) -> None:
    """Make the account, as the first who comes; the empty inbox."""
    page = await walk.open("/")
    for label, value in (("Account", "Jardim Verde"), ("Your name", OWNER), ("E-mail", "ana@jardimverde.example")):
        await page.get_by_label(label).fill(value)
    await page.get_by_label("Password").fill("uma senha bem comprida")
    await page.get_by_role("button", name="Make the account").click()
    await expect(page.get_by_text("No number is connected yet.")).to_be_visible()
    await page.close()


@pytest.fixture(scope="module")
async def account(
    server_url: str, template_name: str, tmp_path_factory: pytest.TempPathFactory, chromium: Chromium
) -> AsyncIterator[Walk]:
    """One account for the tests of a number's life, each of which connects the number anew."""
    async with (
        databases.clone(server_url, template_name) as url,
        walking(url, tmp_path_factory.mktemp("walk"), chromium) as made,
    ):
        yield made


@pytest.fixture
async def walk(account: Walk) -> AsyncIterator[Walk]:
    """The account, with no tab open: a browser has few connections to one host, and every open tab keeps one."""
    yield account
    for page in account.context.pages:
        await page.close()


WATCH: Final = """() => {
    const seen = (window.seen = []), main = document.getElementById("main");
    const note = () => seen.push(main.querySelector(".phases progress")?.value ?? 0);
    new MutationObserver(note).observe(main, {subtree: true, childList: true, attributes: true});
    note();
}"""


@pytest.mark.requirement("A1", "B7", "B8", "B9", "D7", "D17")
async def test_from_an_empty_account_to_the_map(database_url: str, tmp_path: Path, chromium: Chromium) -> None:
    async with walking(database_url, tmp_path, chromium) as walk:
        await to_the_map(walk)


async def to_the_map(walk: Walk) -> None:
    """Connect the number, watch it come in, and look at every page that tells of it."""
    page = await walk.open("/conversations")
    await walk.shop.tell("pace", chunk_delay_ms=300)
    await page.get_by_role("link", name="Connect WhatsApp").click()
    await page.get_by_role("link", name="Choose first what is taken in").click()
    await expect(page.locator("h1")).to_have_text("What is taken in")
    await page.get_by_role("link", name="Connect WhatsApp").last.click()
    await connect(page)
    await page.get_by_role("link", name="See what comes in").click()
    await expect(history(page)).to_be_visible()
    await page.evaluate(WATCH)
    await expect(history(page)).to_contain_text(COMPLETE)
    seen = await page.evaluate("window.seen")
    assert seen == sorted(seen), "progress never goes backward"
    assert seen[-1] == 100
    await expect(page.locator("#sync details")).to_contain_text("Checked before WhatsApp was asked")
    await expect(page.locator("#sync details")).to_contain_text("all in order")

    await page.get_by_role("link", name="Receipt", exact=True).click()
    await expect(page.locator(".zeros dd")).to_have_text(["0"] * 8)
    told = [one for one in await walk.shop.phone.messages() if one["told"] == "history"]
    came = page.locator(".tallies div").filter(has_text="New messages").locator("dd")
    await expect(came).to_have_text(str(len(told)))

    await page.get_by_role("link", name="Coverage").click()
    await expect(page.locator(".months li").first).to_contain_text("messages on")
    await page.locator(".talks a").first.click()
    await page.get_by_role("link", name="Open the conversation").click()
    await page.get_by_role("link", name="What is covered").click()
    await expect(page.get_by_role("link", name="Open the conversation")).to_be_visible()

    await page.get_by_role("link", name="The number", exact=True).click()
    for line in ("Connected here", f"by {OWNER}", "The phone's chats were asked for", "The phone's chats are here"):
        await expect(page.locator(".timeline")).to_contain_text(line)
    await page.get_by_role("link", name="Doctor").click()
    await expect(page.locator("#doctor")).to_contain_text("The history didn't appear")


@pytest.mark.requirement("B4", "B6")
async def test_the_business_does_not_share(walk: Walk) -> None:
    page = await walk.connect(shares=False)
    await expect(history(page)).to_contain_text("The business chose not to share its chat history.")
    assert await history(page).locator(".chip").get_attribute("class") == "chip quiet", "declining is no failure"
    await page.get_by_role("link", name="The number", exact=True).click()
    await expect(page.locator(".timeline")).to_contain_text("The business chose not to share its chats")
    await page.goto(walk.shop.url + "/conversations")
    name = await walk.newcomer("Oi, vocês abrem hoje?")
    await expect(page.locator(".row").filter(has_text=name)).to_be_visible()


@pytest.mark.requirement("A1", "B2")
async def test_the_24_hours_pass(walk: Walk) -> None:
    page = await walk.connect(missing_fields=["history"])
    gate = page.get_by_role("region", name="Before WhatsApp is asked")
    await expect(gate).to_contain_text("does not get history")
    await expect(gate).to_contain_text(re.compile(r"23 h \d+ min left"))
    phone = await walk.phone()
    await phone.get_by_role("button", name="1 day", exact=True).click()
    await expect(history(page)).to_contain_text("More than 24 hours have passed")
    await expect(history(page).get_by_role("link", name="Connect again")).to_be_visible()
    assert (await walk.shop.look("truth"))["connection"]["requested"] == {}, "nothing was asked, and no chance spent"
    await page.get_by_role("link", name="The number", exact=True).click()
    await expect(page.locator(".timeline")).to_contain_text("The chats could not be asked for")


@pytest.mark.requirement("D17")
async def test_a_part_of_the_history_is_lost(walk: Walk) -> None:
    page = await walk.connect(lost_chunk=3)
    await expect(history(page)).to_contain_text("1 part of it never came")
    await history(page).get_by_role("link", name="The receipt says which").click()
    await expect(page.locator("main")).to_contain_text("Never came: part")
    await expect(page.get_by_role("link", name="exported chats")).to_be_visible()


@pytest.mark.requirement("B5")
async def test_nothing_ever_comes(walk: Walk) -> None:
    page = await walk.connect(silent_sync=True)
    await expect(history(page)).to_contain_text("The chat history is on its way.")
    await walk.shop.tell("pass-time", hours=7)
    await expect(history(page)).to_contain_text("nothing arrived within 6 hours")
    await history(page).get_by_role("link", name="Find out why").click()
    await expect(page.locator("#doctor")).to_contain_text("The history didn't appear")


@pytest.mark.requirement("G1", "G3")
async def test_the_phone_is_lost_and_found(walk: Walk) -> None:
    await (await walk.synced()).close()
    drafted, written = await walk.newcomer("Primeira"), await walk.newcomer("Segunda")
    page, number = await walk.open("/conversations"), await walk.open(NUMBER_PAGE)
    await open_talk(page, drafted)
    async with page.expect_response(re.compile("/draft$")):
        await page.locator("#text").fill("Ainda não sei")
    await open_talk(page, written)
    phone = await walk.phone()
    await phone.get_by_role("button", name="Lose the phone").click()
    notice = page.locator(".notice-line")
    await expect(notice).to_contain_text("What you send waits")
    await page.locator("#text").fill("Isto espera")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble").last).to_contain_text("Isto espera")
    await number.reload()
    await expect(number.locator(".facts.sending")).to_contain_text("Waiting to go out1")
    assert await walk.sent("Isto espera") == 0
    await phone.get_by_role("button", name="Reconnect now").click()
    await expect(notice).to_be_hidden()
    await expect(number.locator(".page-head .chip")).to_have_text("Connected")

    async def is_sent() -> bool:
        return await walk.sent("Isto espera") > 0

    await until(is_sent, "what waited goes out")
    await walk.shop.quiet()
    assert await walk.sent("Isto espera") == 1
    await open_talk(page, drafted)
    await expect(page.locator("#text")).to_have_value("Ainda não sei")


@pytest.mark.requirement("G1")
async def test_the_phone_is_changed_and_comes_back_by_itself(walk: Walk) -> None:
    await (await walk.synced()).close()
    page = await walk.open(NUMBER_PAGE)
    away, back = (
        page.locator(".timeline li").filter(has_text=line) for line in ("Disconnected for now", "The phone is back")
    )
    before = await away.count(), await back.count()
    await walk.shop.tell("change-phone", reconnect_after_s=2)
    await expect(away).to_have_count(before[0] + 1)
    await expect(back).to_have_count(before[1] + 1)
    await expect(page.locator(".page-head .chip")).to_have_text("Connected")


@pytest.mark.requirement("A7", "G1", "G4")
async def test_the_number_is_removed_and_connected_again(walk: Walk) -> None:
    await (await walk.synced()).close()
    name = await walk.newcomer("Até logo")
    page, number = await walk.open("/conversations"), await walk.open(NUMBER_PAGE)
    await open_talk(page, name)
    await walk.shop.tell("disconnect")
    await expect(page.locator(".notice-line.bad")).to_contain_text("was disconnected")
    await expect(page.locator("#composer")).to_contain_text("Numbers > its name > Connect again")
    await expect(number.locator("#life")).to_contain_text("How it comes back")
    await expect(number.locator("#life")).to_contain_text("by the business, on the phone")
    again = await walk.synced()
    await expect(page.locator(".notice-line")).to_be_hidden()
    await expect(page.locator(".who-name")).to_have_text(name)
    assert again.url.endswith(f"{NUMBER_PAGE}/sync"), "it is the same inbox"
    await again.get_by_role("link", name="Receipt", exact=True).click()
    imports = again.get_by_role("navigation", name="Imports of this number").get_by_role("link")
    assert await imports.count() >= 2
    await imports.first.click()
    await expect(imports.first).to_have_attribute("aria-current", "true")
    assert again.url.endswith("?of=1")


@pytest.mark.requirement("G5")
async def test_the_phone_is_silent_for_long(walk: Walk) -> None:
    await (await walk.synced()).close()
    await walk.shop.tell("pass-time", hours=7 * 24 + 1)
    page = await walk.open("/conversations?filter=all")
    await page.locator(".row").first.click()
    await expect(page.locator(".notice-line.busy")).to_contain_text("Open the WhatsApp Business app on the phone.")
    await page.get_by_role("link", name="More", exact=True).click()
    phone = page.locator("section").filter(has_text="Last sign of life")
    await expect(phone.locator(".chip")).to_have_text("Soon")
    await walk.shop.tell("pass-time", hours=4 * 24)
    await page.goto(walk.shop.url + "/conversations?filter=all")
    await page.locator(".row").first.click()
    await expect(page.locator(".notice-line.bad")).to_contain_text("within 3 days")
    await page.get_by_role("link", name="More", exact=True).click()
    await expect(phone.locator(".chip")).to_have_text("Now")
    await walk.shop.tell("owner/send", chat="joao-lima", text="Estamos aqui")
    await walk.shop.quiet()
    await page.reload()
    await expect(phone.locator(".chip")).to_have_text("In order")


async def test_an_import_is_undone_and_brought_back(walk: Walk) -> None:
    page = await walk.synced()
    await page.get_by_role("link", name="Receipt", exact=True).click()
    await page.get_by_role("link", name="Undo or bring back").click()
    await walk.shop.tell("pass-time", hours=1)  # no more contacts came: the page notices by itself
    await expect(page.locator("main")).to_contain_text("it can be brought back")
    before = await walk.shop.ask("SELECT count(*) FROM messages WHERE imported")
    await page.get_by_label("Type the number once more").fill("+55 11 98550-0102")
    await page.get_by_role("button", name="Remove the import").click()
    await expect(page.locator("#failure")).to_contain_text("nothing was removed")
    await expect(page.locator("#failure")).to_be_visible()
    await page.get_by_label("Type the number once more").fill(NUMBER)
    await page.get_by_role("button", name="Remove the import").click()
    await expect(page.locator("#undone")).to_contain_text("removed")
    await page.get_by_role("link", name="See what is left").click()
    await expect(page.locator("main")).to_contain_text("There is nothing to remove")
    assert await walk.shop.ask("SELECT count(*) FROM messages WHERE imported") < before
    await page.get_by_role("button", name="Apply it again").click()
    await expect(page.locator("main")).to_contain_text("being applied again")
    await walk.shop.quiet()
    assert await walk.shop.ask("SELECT count(*) FROM messages WHERE imported") == before
    await page.goto(walk.shop.url + NUMBER_PAGE)
    for line in ("The import was undone", "The import was applied again"):
        await expect(page.locator(".timeline li").filter(has_text=line)).to_contain_text(f"by {OWNER}")
