"""Exported chats as somebody brings them in with a browser: given, decided, seen coming, taken back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import Page, expect

from coexist.base.database import transaction
from coexist.exported_chats import worker
from coexist.exported_chats.archive import PACKAGE_BYTES_MAX
from coexist.inbox import inboxes
from coexist.media.keeping import open_keep
from coexist.media.storage import open_storage
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.web.access import SESSION_COOKIE
from tests.support.business import conversation_of, inbound
from tests.support.exported import CONTACT, PHONES, US, Line, clock, zip_bytes
from tests.support.exported_desk import BR, CHAT, FILES, past
from tests.support.switches import switch_off, switch_on
from tests.web.conftest import PHONE, OpenPage, Site, sideways

EN = PHONES["en-GB android"]
ASKED = [Line(clock(2026, 3, 4, 9, 5), CONTACT, "Olá, bom dia!"), Line(clock(2026, 3, 4, 9, 6), US, "Bom dia, Marta!")]


async def give(
    site: Site, content: bytes, name: str = "Conversa do WhatsApp com Marta Reis.zip", **headers: str
) -> aiohttp.ClientResponse:
    """Send a file as the page's script does."""
    sent = {"Origin": site.url, "Cookie": f"{SESSION_COOKIE}={site.cookie}", "HX-Request": "true", "X-File-Name": name}
    async with site.http.post(f"{site.url}/exported-chats", data=content, headers=sent | headers) as response:
        await response.read()
        return response


async def announced(site: Site, size_bytes: int) -> int:
    """The status of the answer to a file of which only the head is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(site.url).port)
    head = (
        f"POST /exported-chats HTTP/1.1\r\nHost: x\r\nOrigin: {site.url}\r\nContent-Length: {size_bytes}\r\n"
        f"Cookie: {SESSION_COOKIE}={site.cookie}\r\n\r\n"
    )
    writer.write(head.encode())
    status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
    writer.close()
    return status


async def work(site: Site) -> None:
    """Do what a worker does."""
    keep = open_keep(site.pool, site.web.settings, open_storage(site.web.settings))
    while await worker.work_next(site.pool, site.web.settings, site.web.keyring, keep):
        pass


@pytest.fixture
async def agent(site: Site) -> Member:
    assert site.member is not None
    async with transaction(site.pool) as conn:
        return await people.add_user(
            conn, site.member.account_id, name="Rita", email="rita@example.com", role=Role.AGENT
        )


async def test_a_file_is_given_decided_brought_in_and_taken_back(site: Site) -> None:
    given = await give(site, zip_bytes(BR, CHAT, FILES))
    assert given.status == 201
    path = given.headers["Location"]
    status, page = await site.get(f"{path}?contact=new&phone=%2B351+910+559+111")
    assert status == 200
    assert "9 messages by Marta Reis and Ótica Duarte, exported on Android, with 1 file." in page
    assert "Bring in 9 messages" in page
    assert "1 notice of WhatsApp" in page
    started = await site.post(
        f"{path}/start", contact="new", phone="+351 910 559 111", own=f"={US}", zone="Europe/Lisbon"
    )
    assert (started.status, started.headers["Location"]) == (303, path)
    assert "0 of 9 messages" in (await site.get(path))[1]
    again = await site.post(
        f"{path}/start", contact="new", phone="+351 910 559 111", own=f"={US}", zone="Europe/Lisbon"
    )
    assert again.status == 303, "a double click is the same decision"
    await work(site)
    page = (await site.get(path))[1]
    assert re.search(r"<dd>9</dd><dt>Brought in</dt>", page)
    conversation = await conversation_of(site.pool)
    assert f"/conversations/{conversation}" in page
    status, talk = await site.get(f"/conversations/{conversation}")
    assert "From a chat that was exported on the phone" in talk
    assert "it was not exported with the chat" in talk
    assert (await site.post(f"{path}/undo")).status == 303
    await work(site)
    assert "Taken back" in (await site.get(path))[1]
    assert (await site.post(f"{path}/undo")).status == 409


async def test_what_is_refused_says_why_and_leaves_nothing(site: Site) -> None:
    refused = await give(site, b"leite, ovos\n" * 30, "lista.txt")
    assert refused.status == 422
    assert "not%20a%20chat%20that%20WhatsApp%20exported" in refused.headers["X-Failure"]
    assert (await give(site, b"")).status == 422
    assert await announced(site, PACKAGE_BYTES_MAX + 1) == 413, "before a byte of it has come"
    elsewhere = await give(site, zip_bytes(BR, CHAT, {}), Origin="https://evil.example")
    assert elsewhere.status == 403
    _, page = await site.get("/exported-chats")
    assert "line-up" not in page


async def test_agents_and_other_accounts_bring_nothing_in(site: Site, agent: Member, stranger: Member) -> None:
    path = (await give(site, zip_bytes(BR, CHAT, FILES))).headers["Location"]
    forms = [f"{path}/start", f"{path}/undo", f"{path}/retry", f"{path}/discard"]
    await site.sign_in(agent)
    assert {page: (await site.get(page))[0] for page in (path, "/exported-chats")} == {
        path: 403,
        "/exported-chats": 403,
    }
    assert {form: (await site.post(form)).status for form in forms} == dict.fromkeys(forms, 403)
    assert (await give(site, zip_bytes(BR, CHAT, {}))).status == 403
    await site.sign_in(stranger)
    assert (await site.get(path))[0] == 404
    assert {form: (await site.post(form)).status for form in forms} == dict.fromkeys(forms, 404)
    assert (await give(site, zip_bytes(BR, CHAT, {}))).status == 409, "an account without a number has no threads"


async def test_nothing_is_guessed_that_nothing_tells(site: Site) -> None:
    path = (await give(site, EN.text(ASKED).encode(), "chat.txt")).headers["Location"]
    _, page = await site.get(path)
    for sentence in ("Say whose chat this is", "Say which of the names is us", "Say how the dates are to be read"):
        assert sentence in page
    assert "4 Mar 2026" in page
    assert "3 Apr 2026" in page
    refused = await site.post(f"{path}/start", contact="new", phone="+351910559111")
    assert refused.status == 422
    said = f"contact=new&phone=%2B351910559111&own=%3D{US.replace(' ', '+')}&order=mdy"
    assert "From 3 Apr 2026 to 3 Apr 2026" in (await site.get(f"{path}?{said}"))[1]
    assert "is no time zone" in (await site.get(f"{path}?{said}&zone=Mars/Olympus"))[1]


async def test_what_was_proposed_for_one_contact_is_not_kept_for_another(site: Site) -> None:
    """In one thread the chat's texts prove a zone; with somebody else it is open again."""
    there = datetime(2026, 1, 5, 12, 1, 30, tzinfo=UTC)
    await site.deliver(
        inbound("wamid.N", "Olá"),
        past("wamid.1", there, "Bom dia, os óculos já chegaram?"),
        past("wamid.2", there + timedelta(minutes=1), "Chegaram ontem!", outbound=True),
    )
    chat = [replace(line, who="Rui" if line.who == CONTACT else line.who) for line in CHAT]
    path = (await give(site, zip_bytes(BR, chat, {}), "Conversa do WhatsApp com Rui.zip")).headers["Location"]
    _, page = await site.get(path)
    assert "2 of its texts are in this thread" in page
    assert "2 of 2 messages that are here too agree with it." in page
    zone = re.search(r'name="zone" list="zones" value="([^"]+)"', page)
    before = re.search(r'name="for" value="([^"]+)"', page)
    assert zone is not None
    assert before is not None
    assert zone[1] != "Europe/Lisbon"
    asked = f"for={before[1]}&inbox={before[1].split(':')[0]}&contact=new&phone=%2B351910559188&zone={zone[1]}"
    assert 'value="Europe/Lisbon"' in (await site.get(f"{path}?{asked}"))[1]


async def test_the_thread_it_was_opened_from_is_proposed(site: Site) -> None:
    await site.deliver(inbound("wamid.N", "Olá"))
    conversation = await conversation_of(site.pool)
    _, page = await site.get(f"/exported-chats?conversation={conversation}")
    assert f'data-after="?conversation={conversation}"' in page
    path = (await give(site, zip_bytes(BR, CHAT, {}))).headers["Location"]
    _, page = await site.get(f"{path}?conversation={conversation}")
    assert re.search(r'name="contact" value="\d+" checked', page)


async def test_a_switch_that_is_off_is_said_and_can_be_tried_again(site: Site) -> None:
    path = (await give(site, zip_bytes(BR, CHAT, {}))).headers["Location"]
    said = {"contact": "new", "phone": "+351910559111", "own": f"={US}", "zone": "UTC"}
    assert (await site.post(f"{path}/start", **said)).status == 303
    async with transaction(site.pool) as conn:
        await switch_off(conn)
    await work(site)
    assert "switched off for this number" in (await site.get(path))[1]
    async with transaction(site.pool) as conn:
        await switch_on(conn)
    assert (await site.post(f"{path}/retry")).status == 303
    await work(site)
    assert "Brought in" in (await site.get(path))[1]


async def test_a_file_can_be_thrown_away(site: Site) -> None:
    path = (await give(site, zip_bytes(BR, CHAT, {}))).headers["Location"]
    assert (await site.post(f"{path}/discard")).status == 303
    assert (await site.get(path))[0] == 404


async def test_a_message_of_an_exported_chat_cannot_be_quoted(site: Site) -> None:
    """Meta does not know its id: the send is refused with words, and nothing is lost."""
    await site.deliver(inbound("wamid.N", "Olá"))
    path = (await give(site, zip_bytes(BR, CHAT, {}))).headers["Location"]
    await site.post(f"{path}/start", contact="new", phone="+351910559111", own=f"={US}", zone="UTC")
    await work(site)
    conversation = await conversation_of(site.pool)
    async with transaction(site.pool) as conn:
        cursor = await conn.execute("SELECT min(id) FROM messages WHERE wamid LIKE 'exported:%'")
        row = await cursor.fetchone()
    assert row is not None
    reference = "5f0c4a54-7f1e-4f0a-9d55-3a1a4c0b7d11"
    refused = await site.post(
        f"/conversations/{conversation}/messages", text="Sim", our_ref=reference, reply_to=str(row[0])
    )
    assert refused.status == 409


# ── in a browser ──────────────────────────────────────────────────────────────────────────────────────────


async def choose(page: Page, path: Path) -> None:
    await page.set_input_files("exported-upload input[type=file]", str(path))


async def test_dropped_looked_at_and_brought_in(site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    await site.deliver(inbound("wamid.N", "Olá"))
    assert site.member is not None
    async with transaction(site.pool) as conn:
        assert len(await inboxes.of_account(conn, site.member.account_id)) == 1
    page = await open_page("/exported-chats")
    content = list(zip_bytes(BR, CHAT, FILES))
    transfer = await page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "Conversa do WhatsApp com Marta Reis.zip")); return data; }""",
        content,
    )
    await page.dispatch_event("exported-upload", "dragover", {"dataTransfer": transfer})
    await expect(page.locator("exported-upload")).to_have_class(re.compile("is-over"))
    await page.dispatch_event("exported-upload", "drop", {"dataTransfer": transfer})
    await page.wait_for_url("**/exported-chats/*")
    await expect(page.locator("#preview button.main")).to_be_disabled()
    await page.locator("#words").fill("Rui")
    await page.get_by_label("Rui").check()
    await expect(page.locator("#preview button.main")).to_have_text("Bring in 9 messages")
    await page.locator("#preview button.main").click()
    await expect(page.locator("#exported")).to_contain_text("Coming in")
    await work(site)
    await expect(page.locator("#exported .tallies dd").first).to_have_text("9")
    await page.get_by_role("link", name="Open the conversation").click()
    await expect(page.locator("#messages")).to_contain_text("Bom dia, os óculos já chegaram?")


async def test_a_refusal_is_shown_where_the_file_was_given(site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    wrong = tmp_path / "lista.txt"
    wrong.write_text("leite\n" * 30)
    page = await open_page("/exported-chats")
    await choose(page, wrong)
    await expect(page.locator("exported-upload .error")).to_contain_text("not a chat that WhatsApp exported")
    right = tmp_path / "chat.txt"
    right.write_bytes(EN.text(ASKED).encode())
    await choose(page, right)
    await page.wait_for_url("**/exported-chats/*")


async def test_by_keyboard_on_a_phone(site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    file = tmp_path / "chat.txt"
    file.write_bytes(EN.text(ASKED).encode())
    page = await open_page("/exported-chats", size=PHONE)
    page.on("filechooser", lambda _: None)  # begun only with the key that opens it, listening can come too late
    input_ = page.locator("exported-upload input")
    for _ in range(20):
        if await input_.evaluate("input => input === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(input_).to_be_focused()
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Space")
    await (await chooser.value).set_files(str(file))
    await page.wait_for_url("**/exported-chats/*")
    assert await sideways(page) == 0
    await page.locator("input[name=own]").first.focus()
    await page.keyboard.press("Space")
    await expect(page.locator("#preview")).not_to_contain_text("Say which of the names is us")
    await expect(page.locator("input[name=own]").first).to_be_focused()
