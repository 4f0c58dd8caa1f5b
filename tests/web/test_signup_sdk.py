"""Meta's JavaScript SDK as the sign-up page uses it: what it is given, and what comes back in any order or late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from coexist.base.database import Pool
from tests.support.dialog import go_through, open_window
from tests.web.signup_stand import APP, CONFIG, Stand, ended, open_stand


@pytest.fixture
async def stand(pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with open_stand(pool, database_url, tmp_path, monkeypatch) as made:
        yield made


REMEMBER = """() => {
    window.given = {};
    let own;
    Object.defineProperty(window, "FB", {
        get: () => own,
        set: ({ init, login }) => (own = {
            init: (asked) => { window.given.init = asked; init(asked); },
            login: (answer, asked) => { window.given.login = asked; login(answer, asked); },
        }),
    });
}"""


async def test_metas_script_is_given_what_meta_documents(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/sign-in")
    await page.add_init_script(f"({REMEMBER})()")
    await page.goto(stand.site.url + "/inboxes/connect")
    await open_window(page)
    given = await page.evaluate("() => window.given")
    assert given["init"] == {"appId": APP, "autoLogAppEvents": True, "xfbml": True, "version": "v25.0"}
    assert given["login"] == {
        "config_id": CONFIG,
        "response_type": "code",
        "override_default_response_type": True,
        "extras": {
            "setup": {},
            "featureType": "whatsapp_business_app_onboarding",
            "sessionInfoVersion": "3",
            "version": "v4",
        },
    }
    await page.evaluate(
        "Object.assign(document.querySelector('signup-dialog').dataset, {feature: 'none', signupVersion: 'none'})"
    )
    async with page.expect_popup():
        await page.locator("[data-open]").click()
    assert (await page.evaluate("() => window.given.login.extras")) == {"setup": {}, "sessionInfoVersion": "3"}


async def test_a_page_without_https_says_why_metas_window_stays_shut(
    pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    real = {"COEXIST_SIGNUP_SDK_URL": "https://connect.facebook.net/en_US/sdk.js"}
    async with open_stand(pool, database_url, tmp_path, monkeypatch, **real) as stand:
        page = await stand.open(browser, "/sign-in")
        await page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
        await page.goto(stand.site.url + "/inboxes/connect")
        await page.locator("[data-open]").click()
        await expect(page.locator("[data-trouble]")).to_contain_text("with HTTPS alone")
        assert await stand.ask("SELECT 1 FROM signups") == [], "nothing was opened, so nothing was begun"


@pytest.mark.requirement("A5")
async def test_a_network_that_is_away_for_a_moment_does_not_cost_the_code(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    troubles = [lambda route: route.abort(), lambda route: route.fulfill(status=503)]

    async def answer(route: Route) -> None:
        await (troubles.pop(0)(route) if troubles else route.continue_())

    await page.route("**/code", answer)
    await go_through(await open_window(page))
    await ended(page, "Connected")
    assert troubles == []


EVENT_LATE = """() => {
    const it = document.querySelector("signup-dialog"), { login } = FB;
    it.hear = (told) => typeof told === "string" && (it.held = told);
    FB.login = (answer, asked) => login((said) => { answer(said); delete it.hear; it.hear(it.held); }, asked);
}"""


@pytest.mark.requirement("A5")
async def test_the_event_may_come_after_the_code(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    has_heard = asyncio.Event()

    async def after_the_event(route: Route) -> None:
        await has_heard.wait()
        await route.continue_()

    await page.route("**/code", after_the_event)
    page.on("response", lambda response: has_heard.set() if response.url.endswith("/event") else None)
    await expect(page.locator("signup-dialog")).to_have_js_property("trouble", "")
    await page.evaluate(EVENT_LATE)
    await go_through(await open_window(page))
    await ended(page, "Connected")


ANSWERS = """() => {
    const it = document.querySelector("signup-dialog"), { login } = FB;
    it.answers = 0;
    FB.login = (answer, asked) => login((said) => { answer(said); it.answers += 1; }, asked);
}"""


@pytest.mark.requirement("A5")
async def test_a_window_of_an_earlier_click_ends_nothing_of_a_later_one(stand: Stand, browser: Browser) -> None:
    """Opened twice: what the first window says, and that it closes, is not about the second."""
    page = await stand.open(browser, "/inboxes/connect")
    told: list[str] = []
    page.on("request", lambda asked: told.append(asked.url.rsplit("/", 1)[1]) if asked.method == "POST" else None)
    await expect(page.locator("signup-dialog")).to_have_js_property("trouble", "")
    await page.evaluate(ANSWERS)
    former = await open_window(page)
    await ended(page, "Meta's window is open")
    newer = await open_window(page)
    await former.evaluate("document.querySelector('signup-window').tell('CANCEL', { current_step: 'PERMISSIONS' })")
    await former.close()
    await expect(page.locator("signup-dialog")).to_have_js_property("answers", 1)
    await go_through(newer)
    await ended(page, "Connected")
    assert told == ["opened", "opened", "event", "code"], "the newer window alone"
    assert await stand.ask("SELECT state::text FROM signups") == [("connected",)]


@pytest.mark.requirement("A5")
async def test_a_window_that_met_an_error_does_not_end_the_next_attempt(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    former = await open_window(page)
    await former.evaluate("document.querySelector('signup-window').tell('ERROR', { error_message: 'Not yet.' })")
    await expect(page.locator("#signup")).to_contain_text("Not yet.")
    newer = await open_window(page)
    await ended(page, "Meta's window is open")
    told: list[str] = []
    page.on("request", lambda asked: told.append(asked.url.rsplit("/", 1)[1]) if asked.method == "POST" else None)
    await former.evaluate("document.querySelector('signup-window').tell('CANCEL', {})")
    await go_through(newer)
    await ended(page, "Connected")
    assert told == ["event", "code"], "the newer window alone"
    assert await stand.ask("SELECT state::text FROM signups ORDER BY began_at") == [("failed",), ("connected",)]
