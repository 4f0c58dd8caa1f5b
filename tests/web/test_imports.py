"""What the pages say about an import: how old it is, and what did not come."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.support.business import DISPLAY, PHONE, change, conversation_of, inbound
from tests.support.outbox import execute
from tests.web.conftest import Site

LONG_AGO: Final = datetime(2026, 6, 3, 9, tzinfo=UTC)


def past(number: int, days: int, what: dict[str, Any], *, sender: str = PHONE) -> dict[str, Any]:
    """A message of the past, so many days after LONG_AGO."""
    at = str(int((LONG_AGO + timedelta(days=days)).timestamp()))
    item = {"id": f"wamid.H{number}", "from": sender, "timestamp": at, "history_context": {"status": "READ"}}
    return item | ({"to": PHONE} if sender == DISPLAY else {}) | what


def text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body}}


def chunk(*messages: dict[str, Any], thread: str = PHONE, order: int = 1) -> dict[str, Any]:
    metadata = {"phase": 0, "chunk_order": order, "progress": 100}
    return change("history", history=[{"metadata": metadata, "threads": [{"id": thread, "messages": list(messages)}]}])


@pytest.mark.requirement("D9")
async def test_an_imported_contact_and_conversation_are_as_old_as_their_first_message(site: Site) -> None:
    await site.deliver(chunk(past(2, 20, text("E o adubo?")), past(1, 0, text("Tem jiboia?"))))
    path = f"/conversations/{await conversation_of(site.pool)}"

    _, page = await site.get(path)
    assert re.search(r"First seen</dt><dd[^>]*>3 Jun 2026<", page)
    async with site.pool.connection() as conn:
        dates = "SELECT c.first_message_at, c.last_message_at, k.first_seen_at"
        row = await (
            await conn.execute(f"{dates} FROM conversations c JOIN contacts k ON k.id = c.contact_id")
        ).fetchone()
    assert row == (LONG_AGO, LONG_AGO + timedelta(days=20), LONG_AGO)

    await site.deliver(inbound("wamid.NEW", "Olá de novo"))
    _, page = await site.get(path)
    assert re.search(r"First seen</dt><dd[^>]*>3 Jun 2026<", page), "writing again makes nobody new"


@pytest.mark.requirement("D9")
async def test_who_wrote_first_and_is_imported_afterwards_becomes_as_old_as_the_import_tells(site: Site) -> None:
    await site.deliver(inbound("wamid.NEW", "Olá"))
    await site.deliver(chunk(past(1, 0, text("Tem jiboia?"))))

    _, page = await site.get(f"/conversations/{await conversation_of(site.pool)}")

    assert re.search(r"First seen</dt><dd[^>]*>3 Jun 2026<", page)


@pytest.mark.requirement("B5", "B6")
@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("declined", {"Connect again, to share them", "Bring in exported chats"}),
        ("nothing_arrived", {"Find out why", "Connect again", "Bring in exported chats"}),
        ("failed", {"Find out why", "Connect again", "Bring in exported chats"}),
        ("receiving", set()),
    ],
)
async def test_a_history_that_did_not_come_offers_the_next_step(site: Site, state: str, offered: set[str]) -> None:
    assert site.business is not None
    await execute(site.business, f"UPDATE syncs SET state = '{state}', requested_at = now() WHERE kind = 'history'")
    _, page = await site.get(f"/inboxes/{site.business.inbox.id}/sync")
    history = page.split('id="history"')[1].split("</section>")[0]
    links = re.findall(r'<a class="button" href="([^"]+)">(?:<svg.*?</svg>)?([^<]+)</a>', history)
    assert {words.strip() for _, words in links} == offered
    for path, _ in links:
        assert (await site.get(path))[0] == 200


@pytest.mark.requirement("D17")
async def test_an_import_tells_what_it_did_not_bring_and_why(site: Site) -> None:
    assert site.business is not None

    def image(media_id: str) -> dict[str, Any]:
        return {"type": "image", "image": {"id": media_id, "mime_type": "image/jpeg", "sha256": "ab" * 32}}

    view_once = {"type": "unsupported", "unsupported": {"type": "view_once"}, "errors": [{"code": 131051}]}
    await site.deliver(
        chunk(
            past(1, 0, text("Segue a foto")),
            past(2, 1, {"type": "media_placeholder"}),
            past(3, 2, {"type": "media_placeholder"}, sender=DISPLAY),
            past(4, 3, view_once),
            past(5, 4, image("8801")),
        ),
        chunk(past(6, 0, text("Só para o grupo")), thread="120363000000000001@g.us"),
    )
    path = f"/inboxes/{site.business.inbox.id}/sync"
    _, page = await site.get(path)
    assert re.search(r"<dd>3</dd><dt>Only on the phone</dt>", page)
    assert "3 messages whose file or content is only on the phone: files older than 14 days, polls, view-once." in page
    assert "that WhatsApp no longer had" not in page, "none, so nothing is said of them"
    assert "Groups, calls, status posts, and anything older than 180 days." in page

    await execute(site.business, "UPDATE media SET state = 'gone', error = 'WhatsApp no longer has this file.'")
    await site.deliver(change("history", messages=[past(2, 1, image("8802"))]))
    _, page = await site.get(path)
    assert "2 messages whose file or content is only on the phone" in page, "one file came after all"
    assert "1 file that WhatsApp no longer had" in page
    _, talk = await site.get(f"/conversations/{await conversation_of(site.pool)}")
    assert "WhatsApp no longer has this file." in talk, "the reason stands where the file would be"
