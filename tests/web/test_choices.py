"""The pages where admins choose what is kept: switches, how far back, private numbers."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

import pytest

from coexist.base.database import transaction
from coexist.intake import purging
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import PHONE as RUI
from tests.support.business import conversation_of, inbound
from tests.web.conftest import DESK, PHONE, OpenPage, Site, sideways


@pytest.mark.requirement("B11")
async def test_a_switch_is_thrown_and_the_sync_page_says_by_whom(site: Site) -> None:
    path = "/inboxes/1/choices"
    _, page = await site.get(path)
    assert page.count(">Taken in<") == 3
    assert "the one chance to ask ends" in page
    thrown = await site.post(f"{path}/switch", switch="history", level="inbox", turn="off")
    assert thrown.headers["Location"] == f"{path}#history"
    await site.post(f"{path}/switch", switch="contacts", level="account", turn="off")
    _, page = await site.get(path)
    assert page.count(">Switched off<") == 2
    assert 'href="/inboxes/1/receipt/undo"' in page
    _, page = await site.get("/inboxes/1/sync")
    assert "Switched off for this number by Inês Duarte." in page
    assert "Switched off for the whole account by Inês Duarte." in page
    await site.post(f"{path}/switch", switch="history", level="inbox", turn="on")
    _, page = await site.get(path)
    assert page.count(">Switched off<") == 1
    assert (await site.post(f"{path}/switch", switch="sound", level="inbox", turn="on")).status == 422
    assert (await site.post("/inboxes/choices/switch", switch="media", level="inbox", turn="on")).status == 422


@pytest.mark.requirement("B2")
async def test_a_chance_that_was_taken_is_not_said_to_end(site: Site) -> None:
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'completed', requested_at = now(), completed_at = now()")
    assert "the one chance to ask ends" not in (await site.get("/inboxes/1/choices"))[1]
    _, page = await site.get("/inboxes/1/sync")
    assert "once, if asked by" not in page
    assert 'href="/inboxes/1/receipt">' in page.split('id="history"')[1], "the receipt is where the history is"


@pytest.mark.requirement("B11")
async def test_the_account_chooses_before_it_connects(empty_site: Site) -> None:
    async with transaction(empty_site.pool) as conn:
        account = await people.create_account(conn, "Ótica Duarte")
        owner = await people.add_user(conn, account.id, name="Inês", email="ines@example.com", role=Role.OWNER)
    await empty_site.sign_in(owner)
    await empty_site.post("/inboxes/choices/switch", switch="media", level="account", turn="off")
    assert (await empty_site.post("/inboxes/choices/open", days="30")).status == 303
    assert (await empty_site.post("/inboxes/choices/open", days="many")).status == 422
    _, page = await empty_site.get("/inboxes/choices")
    assert 'value="30"' in page
    assert page.count(">Switched off<") == 1


@pytest.mark.requirement("E4")
async def test_what_an_answer_on_the_phone_does_is_chosen_for_each_number(site: Site) -> None:
    path = "/inboxes/1/choices"
    _, page = await site.get(path)
    assert '<option value="leave" selected>' in page
    assert (await site.post(f"{path}/echoes", effect="resolve")).headers["Location"] == f"{path}#echoes"
    _, page = await site.get(path)
    assert '<option value="resolve" selected>' in page
    assert (await site.post(f"{path}/echoes", effect="burn")).status == 422
    assert 'id="echoes"' not in (await site.get("/inboxes/choices"))[1]


async def test_agents_and_strangers_choose_nothing(site: Site, stranger: Member) -> None:
    async with transaction(site.pool) as conn:
        agent = await people.add_user(conn, 1, name="Ana", email="ana@example.com", role=Role.AGENT)
    await site.sign_in(agent)
    for path in ("/inboxes/1/choices", "/inboxes/choices", "/private-numbers"):
        assert (await site.get(path))[0] == 403
        assert (await site.post(f"{path}/switch")).status in (403, 404, 405)
    assert (await site.post("/private-numbers", number="+351910559111")).status == 403
    await site.sign_in(stranger)
    assert (await site.get("/inboxes/1/choices"))[0] == 404
    assert (await site.post("/inboxes/1/choices/switch", switch="media", level="inbox", turn="off")).status == 404


@pytest.mark.requirement("G11")
async def test_a_number_is_made_private_removed_and_taken_off(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.A", "segredo"))
    conversation = await conversation_of(site.pool)
    added = await site.post("/private-numbers", number="+351 910 559 111")
    path = added.headers["Location"]
    assert re.fullmatch(r"/private-numbers/\d+", path)
    _, page = await site.get(path)
    assert "+351 910 559 111" in page
    refused = await site.post(f"/conversations/{conversation}/messages", text="Olá", our_ref=str(uuid4()))
    assert refused.status == 409
    assert (await site.post(f"{path}/purge", typed="+351 910 559 112")).status == 422
    assert (await site.post(f"{path}/purge", typed="351910559111")).status == 303
    _, page = await site.get("/private-numbers")
    assert "Removing what was here" in page
    while await purging.step(site.pool, site.web.keyring):
        pass
    _, page = await site.get("/private-numbers")
    assert "1 message and" in page
    assert "Removing" not in page
    _, page = await site.get(path)
    assert "No message, conversation or address-book entry" in page
    assert "Remove all of it" not in page, "it was removed"
    assert (await site.get(f"/conversations/{conversation}"))[0] == 404
    me = site.member
    await site.sign_in(stranger)
    assert (await site.get(path))[0] == 404
    assert (await site.post(f"{path}/remove")).status == 404
    assert "No number is private" in (await site.get("/private-numbers"))[1]
    assert me is not None
    await site.sign_in(me)
    assert (await site.post(f"{path}/remove")).status == 303
    await site.deliver(inbound("wamid.B", "de novo"))
    assert await conversation_of(site.pool, RUI)


@pytest.mark.requirement("G11")
async def test_what_others_wrote_that_shows_a_number_can_be_removed_though_nothing_of_it_is_here(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "+351 910 559 112"))
    await site.post("/private-numbers", number="+351 910 559 112")
    _, page = await site.get("/private-numbers/1")
    assert "No message, conversation or address-book entry of it is here." in page
    assert "Remove all of it" in page
    assert (await site.post("/private-numbers/1/purge", typed="+351 910 559 112")).status == 303
    while await purging.step(site.pool, site.web.keyring):
        pass
    assert "1 message and" in (await site.get("/private-numbers"))[1]


WIDER: Final = """() => [...document.querySelectorAll("select")].flatMap(select => {
    const style = getComputedStyle(select), pen = document.createElement("canvas").getContext("2d");
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 16;  // its arrow
    return [...select.options].map(option => option.text).filter(text => pen.measureText(text).width > room);
})"""
"""What can be chosen and does not fit into its list."""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_in_a_browser(site: Site, open_page: OpenPage, size: tuple[int, int]) -> None:
    """With the keyboard alone, without a scroll bar sideways."""
    await site.deliver(inbound("wamid.A", "segredo"))
    page = await open_page("/inboxes/1/choices", size=size)
    button = page.get_by_role("button", name="Switch files off for this number")
    await button.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Switch files on for this number").wait_for()
    await page.get_by_role("link", name="Private numbers").click()
    await page.get_by_role("textbox", name="Number").fill("+351 910 559 111")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Remove all of it").wait_for()
    for path in ("/inboxes/1/choices", "/private-numbers", "/inboxes/choices"):
        await page.goto(site.url + path)
        assert await sideways(page) == 0, path
        assert await page.evaluate(WIDER) == [], path
