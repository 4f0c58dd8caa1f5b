"""A page that is open on a conversation which becomes one with another: nothing that is typed or linked is lost."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import pytest

from coexist.people.model import Member
from tests.support import business, wire
from tests.support.business import BSUID, DISPLAY, PHONE, WABA, change, inbound
from tests.support.intake import Number
from tests.web.conftest import Site

OTHER_BSUID: Final = "PT.77001122334455667"
NUMBER: Final = Number(business.NUMBER, DISPLAY, WABA, "")


def pair(bsuid: str) -> dict[str, Any]:
    """A status that tells of two identities, and so that they are one person's."""
    told = {"id": f"wamid.{bsuid}", "status": "sent", "timestamp": "1794000000"}
    return change("messages", statuses=[told | {"recipient_id": PHONE, "recipient_user_id": bsuid}])


async def ids(site: Site) -> list[int]:
    async with site.pool.connection() as conn:
        return [row[0] for row in await (await conn.execute("SELECT id FROM conversations ORDER BY id")).fetchall()]


@pytest.fixture
async def folded(site: Site) -> tuple[int, int]:
    """The conversation that is gone, and the one that stays."""
    await site.deliver(inbound("wamid.1", "By phone"))
    await site.deliver(inbound("wamid.2", "By BSUID", phone=None, bsuid=BSUID))
    before = await ids(site)
    await site.deliver(pair(BSUID))
    (kept,) = await ids(site)
    (gone,) = set(before) - {kept}
    return gone, kept


@pytest.mark.requirement("F4")
async def test_what_is_written_on_a_page_of_the_former_one_goes_to_the_person(
    site: Site, folded: tuple[int, int]
) -> None:
    gone, kept = folded
    path = f"{site.url}/conversations/{gone}/messages"
    form = {"text": "Sim", "our_ref": str(uuid4()), "reply_to": ""}
    async with site.http.post(path, data=form, headers=site.headers(Origin=site.url)) as response:
        assert (response.status, response.url.path) == (200, f"/conversations/{kept}")
        assert [one.status for one in response.history] == [307, 303]
        assert "Sim" in await response.text()
    async with site.pool.connection() as conn:
        sent = await conn.execute("SELECT conversation_id, text FROM outbox JOIN messages USING (our_ref)")
        rows = await sent.fetchall()
    assert rows == [(kept, "Sim")]


async def test_links_and_open_pages_follow(site: Site, folded: tuple[int, int]) -> None:
    gone, kept = folded
    async with site.http.get(
        f"{site.url}/conversations/{gone}?at=1", headers=site.headers(), allow_redirects=False
    ) as response:
        assert (response.status, response.headers["Location"]) == (307, f"/conversations/{kept}?at=1")
    async with site.http.get(
        f"{site.url}/conversations/{gone}/around", headers=site.headers(HX_Request="true")
    ) as response:
        assert (response.status, response.headers["HX-Redirect"]) == (200, f"/conversations/{kept}")
    async with site.http.get(f"{site.url}/live?conversation={gone}", headers=site.headers()) as response:
        assert response.status == 200
    async with site.pool.connection() as conn:
        told = await conn.execute("SELECT conversation_id FROM events WHERE kind = 'conversation_changed'")
        last = (await told.fetchall())[-2:]
    assert (gone,) in last, "whoever has it open hears of it"


async def test_a_trail_of_several_leads_to_the_last(site: Site) -> None:
    await site.deliver(inbound("wamid.0", "Before all", phone=None, bsuid=OTHER_BSUID))
    (oldest,) = await ids(site)
    await site.deliver(inbound("wamid.1", "By phone"))
    await site.deliver(inbound("wamid.2", "By BSUID", phone=None, bsuid=BSUID))
    all_three = await ids(site)
    await site.deliver(pair(BSUID))
    await site.deliver(wire.rotated(OTHER_BSUID, BSUID, 10, number=NUMBER))
    assert await ids(site) == [oldest]
    for gone in set(all_three) - {oldest}:
        async with site.http.get(f"{site.url}/conversations/{gone}", headers=site.headers()) as response:
            assert (response.status, response.url.path) == (200, f"/conversations/{oldest}")


async def test_another_account_learns_nothing(site: Site, stranger: Member, folded: tuple[int, int]) -> None:
    await site.sign_in(stranger)
    assert (await site.get(f"/conversations/{folded[0]}"))[0] == 404
    assert (await site.get("/conversations/999999"))[0] == 404
