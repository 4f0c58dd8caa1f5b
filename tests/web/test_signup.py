"""Connecting a number in the browser: what is explained, what the page may load, and every ending of Meta's window."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.people import actions as people
from coexist.people.model import Role
from coexist.web.access import SESSION_COOKIE
from coexist.web.guard import content_policy
from tests.support.dialog import go_through, open_window, press
from tests.web.conftest import PHONE, Site
from tests.web.signup_stand import OWNER, Stand, ended, open_stand


@pytest.fixture
async def stand(pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with open_stand(pool, database_url, tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.requirement("G6", "G9", "F11", "B9")
async def test_the_page_explains_before_it_opens_anything(stand: Stand) -> None:
    status, text = await stand.site.get("/inboxes/connect")
    assert status == 200
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    for words in (
        "Personal chats on this phone are among them", "up to 180 days", "Files of the last 14 days",
        "every tool linked by a QR code are logged out", "WhatsApp for Windows and for WearOS cannot be linked again",
        "Keep the app open until everything is in", "they do not travel to the phone", "Groups, calls, status posts",
    ):  # fmt: skip
        assert words in plain, words
    assert "Connect WhatsApp" in (await stand.site.get("/inboxes"))[1]
    assert "/inboxes/connect" in (await stand.site.get("/conversations"))[1]


async def test_only_this_page_may_load_metas_script(stand: Stand) -> None:
    policies = {}
    for path in ("/inboxes", "/inboxes/connect"):
        headers = {"Cookie": f"{SESSION_COOKIE}={stand.site.cookie}"}
        async with stand.site.http.get(stand.site.url + path, headers=headers) as response:
            policies[path] = dict(
                part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";")
            )
    usual, opens = policies["/inboxes"], policies["/inboxes/connect"]
    changed = {name: value for name, value in opens.items() if usual.get(name) != value}
    assert changed == {
        "script-src": f"'self' {stand.meta}",
        "connect-src": f"'self' {stand.meta}",
        "frame-src": stand.meta,
    }
    assert set(usual) == set(opens) - {"frame-src"}


def test_metas_site_is_its_host_and_subdomains() -> None:
    policy = content_policy(Settings(), opens_dialog=True)
    assert "script-src 'self' https://connect.facebook.net;" in policy
    assert "frame-src https://facebook.com https://*.facebook.com;" in policy
    assert "connect-src 'self' https://facebook.com https://*.facebook.com;" in policy
    assert "style-src 'self';" in policy


async def test_agents_connect_nothing(stand: Stand) -> None:
    assert stand.site.member is not None
    async with transaction(stand.site.pool) as conn:
        account_id = stand.site.member.account_id
        agent = await people.add_user(conn, account_id, name="Rui", email="r@example.com", role=Role.AGENT)
    await stand.site.sign_in(agent)
    for path in ("/inboxes/connect", "/inboxes/connect/9b2f2a5e-6d4c-4a52-9d3c-000000000001"):
        assert (await stand.site.get(path))[0] == 403
    for path in ("/inboxes/connect/links", "/inboxes/connect/9b2f2a5e-6d4c-4a52-9d3c-000000000001/code"):
        assert (await stand.site.post(path, made_for="Sol", days="3", code="AQ")).status == 403
    assert 'href="/inboxes/connect' not in (await stand.site.get("/inboxes"))[1]
    assert await stand.ask("SELECT 1 FROM signups") == []


async def test_without_settings_the_page_names_them(empty_site: Site) -> None:
    async with transaction(empty_site.pool) as conn:
        account = await people.create_account(conn, "Ótica Duarte")
        owner = await people.add_user(conn, account.id, name="Inês", email="i@example.com", role=Role.OWNER)
    await empty_site.sign_in(owner)
    status, text = await empty_site.get("/inboxes/connect")
    assert status == 200
    assert "COEXIST_SIGNUP_CONFIG_ID" in text
    assert "data-open" not in text
    given = {"token": "EAAinvented"}
    refused = await empty_site.post("/inboxes/connect/9b2f2a5e-6d4c-4a52-9d3c-000000000001/token", **given)
    assert refused.status == 422


@pytest.mark.requirement("A4", "A5", "A7")
async def test_a_number_is_connected_and_its_access_renewed(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    await go_through(await open_window(page))
    await ended(page, "Connected")
    await expect(page.locator("#signup")).to_contain_text("Link WhatsApp Web and the desktop app again")
    told = page.locator("#signup")
    await expect(told).to_contain_text("Its contacts and chats wait")
    await expect(told).to_contain_text("Webhook fields of the app")
    await page.get_by_role("link", name="See what is missing").click()
    await expect(page.locator("h1")).to_contain_text("Jardim Verde")
    await expect(page.locator("main")).to_contain_text("Before WhatsApp is asked")
    assert await stand.ask("SELECT is_waiting FROM preflights") == [(True,)], "the syncs wait for a look without faults"
    await stand.ask("DELETE FROM preflights RETURNING 1")

    await page.goto(stand.site.url + "/inboxes/connect")
    await page.get_by_role("link", name="Look").click()
    await expect(page.get_by_role("link", name="See what comes in")).to_be_visible()
    await page.get_by_role("link", name="Connect WhatsApp").first.click()
    await page.locator(".attempts").get_by_role("link", name="Jardim Verde +55 11 98550-0101").click()
    await expect(page.locator("h1")).to_contain_text("Jardim Verde")
    assert page.url == f"{stand.site.url}/inboxes/1"

    await page.goto(stand.site.url + "/inboxes")
    await page.locator(".one-number h2 a").click()
    await page.get_by_text("Renew access").click()
    await expect(page.locator("h1")).to_have_text("Renew the access of Jardim Verde")
    window = await open_window(page)
    await press(window)
    await expect(window.locator("form button.strong")).to_be_enabled()
    await window.close()  # closing the last screen is as good as its button
    await ended(page, "Access renewed")
    assert await stand.ask("SELECT count(*), (SELECT count(*) FROM preflights) FROM inboxes") == [(1, 0)]


@pytest.mark.requirement("A10")
@pytest.mark.parametrize(
    ("button", "title", "words", "state"),
    [
        ("Cancel", "Stopped half-way", "while a business was being chosen", "cancelled"),
        ("Number refused", "Meta could not sign this number up", "f34b51dab5e0498", "failed"),
        ("App too old", "Meta could not sign this number up", "2.24.17 or newer", "failed"),
        ("Close the window", "The window was closed", "Nothing was changed", "cancelled"),
    ],
)
async def test_every_ending_of_the_window_has_words_and_a_way_on(
    stand: Stand, browser: Browser, button: str, title: str, words: str, state: str
) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    window = await open_window(page)
    await ended(page, "Meta's window is open")
    await press(window, button)
    await ended(page, title)
    await expect(page.locator("#signup")).to_contain_text(words)
    assert await stand.ask("SELECT state::text, person FROM signups") == [(state, OWNER)]
    await go_through(await open_window(page))
    await ended(page, "Connected")
    assert await stand.ask("SELECT count(*) FROM signups") == [(2,)]


SHOW_LATE = """() => {
    const swap = htmx.swap, held = new Promise((go) => { window.go = go; });
    htmx.swap = async (shown) => { htmx.swap = swap; window.isHeld = true; await held; return swap.call(htmx, shown); };
}"""


@pytest.mark.requirement("A5")
async def test_what_is_still_being_shown_does_not_cover_the_answer_to_the_code(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    window = await open_window(page)
    await ended(page, "Meta's window is open")
    await page.evaluate(SHOW_LATE)  # the answer to the window's message, which comes before its code
    async with page.expect_response(lambda response: response.url.endswith("/code")) as code:
        await go_through(window)
    await (await code.value).finished()
    assert await page.evaluate("window.isHeld")
    await page.evaluate("window.go()")
    await ended(page, "Connected")


ANSWER_LATE = """() => {
    const login = FB.login;
    FB.login = (answer, asked) => { FB.login = login; login((said) => { window.late = () => answer(said); }, asked); };
}"""


@pytest.mark.requirement("A5", "A10")
async def test_what_comes_late_of_a_window_before_does_not_cover_the_next_attempt(
    stand: Stand, browser: Browser
) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    await expect(page.locator("signup-dialog")).to_have_js_property("trouble", "")
    await page.evaluate(ANSWER_LATE)
    await press(await open_window(page), "Cancel")
    await ended(page, "Stopped half-way")
    window = await open_window(page)
    await ended(page, "Meta's window is open")
    async with page.expect_response(lambda response: response.url.endswith("/closed")) as heard:
        while not await page.evaluate("() => 'late' in window"):  # Meta's script looks now and then for the window
            await page.wait_for_timeout(50)
        await page.evaluate("() => window.late()")
    assert (await heard.value).ok, "the server is told all the same"
    await page.wait_for_timeout(300)
    await ended(page, "Meta's window is open")
    await go_through(window)
    await ended(page, "Connected")


async def test_the_wrong_business_has_its_own_ending(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect", size=PHONE)
    window = await open_window(page)
    await window.get_by_text("Casa das Pedras").click()
    await press(window)
    await expect(window.locator("form h1")).to_contain_text("is connected")
    await press(window)
    await ended(page, "This number is not in the WhatsApp Business app")
    await expect(page.locator("#signup")).to_contain_text("+55 11 98550-0199")
    assert await stand.ask("SELECT 1 FROM inboxes") == []
    assert "began to connect a number" in (await stand.site.get("/inboxes"))[1]
    await page.get_by_role("button", name="Give it up").click()
    await ended(page, "Given up")
    assert "began to connect a number" not in (await stand.site.get("/inboxes"))[1]
    assert await stand.ask("SELECT 1 FROM signups WHERE token IS NOT NULL") == []


@pytest.mark.requirement("A5")
async def test_a_tab_that_is_closed_is_gone_on_with(stand: Stand, browser: Browser) -> None:
    code = (await stand.post("onboard"))["code"]
    signup_id = "9b2f2a5e-6d4c-4a52-9d3c-000000000002"
    await stand.post("faults", graph_error={"code": 2, "count": 9, "path": "/debug_token"})
    await stand.site.post(f"/inboxes/connect/{signup_id}/code", code=code)
    await stand.post("faults", graph_error=None)
    page = await stand.open(browser, "/inboxes")
    await page.get_by_role("link", name="Go on").click()
    await page.get_by_role("button", name=re.compile("Try again|Go on")).click()
    await ended(page, "Connected")


async def test_messages_of_other_windows_are_not_listened_to(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    trusts = """(origins) => {
        const dialog = document.querySelector("signup-dialog");
        dialog.dataset.site = "https://facebook.com";
        return origins.map((origin) => dialog.isMeta(origin));
    }"""
    good = ["https://facebook.com", "https://www.facebook.com", "https://web.facebook.com"]
    bad = ["https://evilfacebook.com", "http://www.facebook.com", "https://facebook.com.example", "null", "", "x",
           "https://www.facebook.com:8443"]  # fmt: skip
    assert await page.evaluate(trusts, [*good, *bad]) == [True] * len(good) + [False] * len(bad)
    await page.reload()
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    window = await open_window(page)
    said = '{"type":"WA_EMBEDDED_SIGNUP","event":"CANCEL","data":{"error_message":"x"},"version":"3"}'
    await page.evaluate("(said) => postMessage(said, '*')", said)  # from our own origin, not Meta's
    await ended(page, "Meta's window is open")
    await press(window, "Cancel")
    await ended(page, "Stopped half-way")
    assert [url.rsplit("/", 1)[1] for url in posted if url.endswith(("event", "opened"))] == ["opened", "event"]


async def test_a_blocked_script_is_said(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect", blocks="**/sdk.js")
    await page.locator("[data-open]").click()
    await expect(page.locator("[data-trouble]")).to_contain_text("A content blocker in this browser may stop it")


async def test_a_token_connects_as_well(stand: Stand, browser: Browser) -> None:
    token = (await stand.post("onboard"))["token"]
    page = await stand.open(browser, "/inboxes/connect")
    await page.get_by_text("With an access token").click()
    await page.locator("[name=token]").fill("EAAwrong")
    await page.get_by_role("button", name="Connect", exact=True).click()
    await ended(page, "Meta refuses this access")
    await page.get_by_role("link", name="Give another token").click()
    await page.locator("[name=token]").fill(token)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await ended(page, "Connected")
    assert token not in await page.content()


async def test_a_client_connects_over_a_link_once(stand: Stand, browser: Browser) -> None:
    page = await stand.open(browser, "/inboxes/connect")
    await page.get_by_text("Let a client connect").click()
    await page.locator("[name=made_for]").fill("Padaria Sol")
    await page.get_by_role("button", name="Make a link").click()
    address = await page.locator("input[readonly]").input_value()
    path = address.removeprefix(stand.site.url)

    client = await stand.open(browser, path, size=PHONE, cookie=False)
    await expect(client.locator("main")).to_contain_text("Ótica Duarte invites you")
    await client.locator("#person").fill("")
    await client.locator("[data-open]").click()
    assert len(client.context.pages) == 1, "a name comes first"
    await client.locator("#person").fill("Teresa Sol")
    await go_through(await open_window(client))
    await ended(client, "Connected")
    await expect(client.locator("#signup")).to_contain_text("You can close this page.")
    await expect(client.locator("#signup")).to_contain_text("Whoever sent you the link")
    assert await client.locator("#signup a").count() == 0

    await page.goto(stand.site.url + "/inboxes/connect")
    await expect(page.locator("#links")).to_contain_text("Teresa Sol connected Jardim Verde")
    await client.goto(address)
    await ended(client, "Connected")
    assert await client.locator("[data-open]").count() == 0
    async with stand.site.http.get(address + "x") as response:
        assert response.status == 404
    async with stand.site.http.post(f"{address}/9b2f2a5e-6d4c-4a52-9d3c-000000000003/token", data=b"token=EAA") as no:
        assert no.status == 404, "a client gives no tokens"


@pytest.mark.requirement("A5")
async def test_a_link_that_expires_while_metas_window_is_open_is_gone_on_with(stand: Stand) -> None:
    made = await stand.site.post("/inboxes/connect/links", made_for="Padaria Sol", days="1")
    (address,) = re.findall(r'value="(http[^"]+/connect/[^"]+)"', await made.text())
    stand.site.cookie = ""
    path, signup_id = address.removeprefix(stand.site.url), "9b2f2a5e-6d4c-4a52-9d3c-000000000004"
    assert (await stand.site.post(f"{path}/{signup_id}/opened", person="Teresa")).status == 303
    await stand.ask("UPDATE signup_links SET expires_at = now() + interval '1 second' RETURNING 1")
    while not (await stand.ask("SELECT expires_at < now() FROM signup_links"))[0][0]:
        await asyncio.sleep(0.1)
    code = (await stand.post("onboard"))["code"]
    assert (await stand.site.post(f"{path}/{signup_id}/code", person="Teresa", code=code)).status == 303
    assert (await stand.site.post(f"{path}/{signup_id}/go")).status == 303
    assert "You can close this page" in (await stand.site.get(path))[1]


async def test_a_link_that_was_taken_back_says_so(stand: Stand, browser: Browser) -> None:
    made = await stand.site.post("/inboxes/connect/links", made_for="Padaria Sol", days="3")
    assert made.status == 200
    page = await stand.open(browser, "/inboxes/connect")
    await page.get_by_role("button", name="Take back").click()
    await expect(page.locator("#links")).to_contain_text("Taken back")
