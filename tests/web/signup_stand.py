"""The pages that connect a number, beside Meta's window."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from coexist.base.database import Pool, transaction
from coexist.coexistence import signups
from coexist.people import actions as people
from coexist.people.model import Role
from coexist.web.access import SESSION_COOKIE, ZONE_COOKIE
from simulator import Config, create_app
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import PATIENCE_MS
from tests.web.conftest import DESK, Site, served

APP, SECRET, CONFIG = "1900100200300", "the-secret-of-the-app", "1900100200301"
OWNER = "Inês Duarte"
ZONE = "America/Sao_Paulo"
"""A page that is made without the cookie of the browser's zone is loaded again, whatever was just begun on it."""


@dataclass
class Stand:
    """The pages beside Meta's window, somebody signed in, nothing connected."""

    site: Site
    meta: str
    complaints: list[str]

    async def post(self, act: str, **asked: object) -> dict[str, str]:
        """A control of the stand-in."""
        async with self.site.http.post(f"{self.meta}/control/{act}", json=asked) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def ask(self, query: str) -> list[tuple[object, ...]]:
        async with self.site.pool.connection() as conn:
            return list(await (await conn.execute(query)).fetchall())

    async def open(
        self, browser: Browser, path: str, *, size: tuple[int, int] = DESK, cookie: bool = True, blocks: str = ""
    ) -> Page:
        """A page in a browser of its own, that may block something; complaints of its content policy fail the test."""
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]}, timezone_id=ZONE, reduced_motion="reduce"
        )
        cookies = {ZONE_COOKIE: ZONE} | ({SESSION_COOKIE: self.site.cookie} if cookie else {})
        await context.add_cookies(
            [{"name": name, "value": value, "url": self.site.url} for name, value in cookies.items()]
        )
        context.set_default_timeout(PATIENCE_MS)
        if blocks:
            await context.route(blocks, lambda route: route.abort())
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if "Content Security Policy" in said.text else None,
        )
        await page.goto(self.site.url + path)
        return page


@asynccontextmanager
async def open_stand(
    pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **more: str
) -> AsyncIterator[Stand]:
    """Serve both; ``more`` are settings of ours. Complaints of a page's content policy fail the test at the end."""
    monkeypatch.setattr(signups, "LAG_PAUSE_S", 0.01)
    app = create_app(Config(app_id=APP, app_secret=SECRET, message_count=20))
    listening = bound()
    meta = address_of(listening)
    settings = {
        "COEXIST_APP_ID": APP, "COEXIST_APP_SECRET": SECRET, "COEXIST_GRAPH_URL": meta,
        "COEXIST_SIGNUP_CONFIG_ID": CONFIG, "COEXIST_SIGNUP_SDK_URL": f"{meta}/sdk.js",
        "COEXIST_SIGNUP_DIALOG_URL": meta, **more,
    }  # fmt: skip
    async with serving(app, listening), served(pool, database_url, tmp_path, **settings) as site:
        async with transaction(pool) as conn:
            account = await people.create_account(conn, "Ótica Duarte")
            owner = await people.add_user(conn, account.id, name=OWNER, email="i@example.com", role=Role.OWNER)
        await site.sign_in(owner)
        made = Stand(site, meta, [])
        yield made
        assert not made.complaints


async def ended(page: Page, title: str) -> None:
    """Wait until the attempt on the page is said to have ended so."""
    await expect(page.locator("#signup h2")).to_have_text(title)
