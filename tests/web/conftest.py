"""A running inbox on its own database and port, somebody signed in, and a browser.

A browser takes seconds of processor time to start, so one serves all tests of a session, each in a context of its own:
cookies, storage, cache.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import playwright.async_api
import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect

from coexist.base import config
from coexist.base.database import Pool, transaction
from coexist.intake.replay import replay_import
from coexist.people import actions as people
from coexist.people import sessions
from coexist.people.model import Member, Role
from coexist.web.access import SESSION_COOKIE, ZONE_COOKIE
from coexist.web.app import create_pages, create_web, running
from coexist.web.state import Web
from tests.support.business import Business, deliver, open_business
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import PATIENCE_MS

CHROMIUM_ARGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
DESK: Final = (1440, 900)
PHONE: Final = (390, 844)
expect.set_options(timeout=PATIENCE_MS)

_has_failed: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_has_failed] = True
    return report


@dataclass
class Site:
    """The pages as served, with the member who is signed in."""

    url: str
    pool: Pool
    web: Web
    server: uvicorn.Server
    http: aiohttp.ClientSession
    member: Member | None = None
    business: Business | None = None
    cookie: str = ""

    async def sign_in(self, member: Member) -> None:
        """Be ``member`` from now on."""
        async with transaction(self.pool) as conn:
            self.cookie = await sessions.start(conn, member.user_id, "test")
        self.member = member

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """The status and the text of a page, redirects as they are."""
        async with self.http.get(self.url + path, headers=self.headers(**headers), allow_redirects=False) as response:
            return response.status, await response.text()

    async def post(self, path: str, method: str = "POST", **fields: str) -> aiohttp.ClientResponse:
        """Send a form as a page of ours does."""
        headers = self.headers(Origin=self.url)
        async with self.http.request(
            method, self.url + path, data=fields or b"", headers=headers, allow_redirects=False
        ) as response:
            await response.read()
            return response

    async def deliver(self, *changes: dict[str, Any]) -> None:
        """Have Meta tell something about the number."""
        await deliver(self.pool, *changes)

    def headers(self, **headers: str) -> dict[str, str]:
        """What the member's browser sends, and these; ``_`` stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ({"Cookie": f"{SESSION_COOKIE}={self.cookie}"} if self.cookie else {}) | named


@asynccontextmanager
async def served(pool: Pool, database_url: str, data_dir: Path, **more: str) -> AsyncIterator[Site]:
    """Serve the pages as the product does, on a free port; ``more`` are settings."""
    with bound() as listening:
        url = address_of(listening)
        settings = config.load({"COEXIST_DATA_DIR": str(data_dir), "COEXIST_BASE_URL": url, **more})
        web = create_web(settings, pool, database_url, replay_import)
        pages = create_pages(web)
        async with (
            running(web),
            serving(pages, listening, timeout_graceful_shutdown=2, lifespan="off") as server,
            aiohttp.ClientSession() as http,
        ):
            try:
                yield Site(url, pool, web, server, http)
            finally:
                web.hub.close()


@pytest.fixture
async def empty_site(pool: Pool, database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Nothing but migrated tables: the first run."""
    async with served(pool, database_url, tmp_path) as site:
        yield site


@pytest.fixture
async def site(empty_site: Site) -> Site:
    """One number, its owner signed in, nobody has written."""
    empty_site.business = await open_business(empty_site.pool)
    await empty_site.sign_in(empty_site.business.member)
    return empty_site


@pytest.fixture
async def stranger(site: Site) -> Member:
    """The owner of another account of the same installation."""
    async with transaction(site.pool) as conn:
        account = await people.create_account(conn, "Somebody else")
        return await people.add_user(conn, account.id, name="Mallory", email="mallory@example.com", role=Role.OWNER)


@dataclass
class Chromium:
    """The browser of a test session: started when it is first asked for, and anew after it was stopped or crashed."""

    path: str
    _browser: Browser | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def browser(self) -> Browser:
        """One that answers."""
        if self._browser is None or not self._browser.is_connected():
            await self.stop()
            driver = await self._running.enter_async_context(async_playwright())
            self._browser = await driver.chromium.launch(executable_path=self.path, args=list(CHROMIUM_ARGS))
            self._running.push_async_callback(self._browser.close)
        return self._browser

    async def stop(self) -> None:
        """Stop it, whatever state it is in."""
        self._browser = None
        with suppress(playwright.async_api.Error):
            await self._running.aclose()


@pytest.fixture(scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Chromium]:
    """The browser of the session, for `browser`."""
    made = Chromium(chromium_path)
    yield made
    await made.stop()


@pytest.fixture
async def browser(chromium: Chromium, request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """A real browser with nothing open. One in which a test failed is not used again: it may be what failed."""
    opened = await chromium.browser()
    yield opened
    if request.node.stash.get(_has_failed, False):
        await chromium.stop()
    else:
        for context in opened.contexts:
            await context.close()


OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_page(browser: Browser, site: Site) -> AsyncIterator[OpenPage]:
    """Opens a page as the signed-in member. The test fails on any script error or broken content policy."""
    complaints: list[str] = []

    async def open_(path: str, *, size: tuple[int, int] = DESK, scheme: str = "light") -> Page:
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            timezone_id="America/Sao_Paulo",
            reduced_motion="reduce",
        )
        cookies = {SESSION_COOKIE: site.cookie, ZONE_COOKIE: "America/Sao_Paulo"}
        await context.add_cookies([{"name": name, "value": value, "url": site.url} for name, value in cookies.items()])
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None,
        )
        await page.goto(site.url + path)
        return page

    yield open_
    assert not complaints


SIDEWAYS: Final = """() => Math.max(...[...document.querySelectorAll("html, main, .scroller, .list, .panel")]
    .filter(each => each.clientWidth).map(each => each.scrollWidth - each.clientWidth))"""
"""The page itself never scrolls: what is too wide sticks out of a pane of it."""


async def sideways(page: Page) -> int:
    """By how many pixels the page, or a pane of it, is wider than its place: none, as it should be."""
    return int(await page.evaluate(SIDEWAYS))
