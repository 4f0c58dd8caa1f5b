"""The receipt of an import: what came, what did not, and zeros that are searched for, not claimed."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.coexistence import receipts
from coexist.coexistence.receipts import Receipt
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.web.render import times_of
from tests.support.business import PHONE, change, inbound
from tests.support.outbox import execute
from tests.web.conftest import Site
from tests.web.test_imports import past, text

GONE_FILE = {"type": "media_placeholder"}


def part(order: int, *messages: dict[str, Any], progress: int = 100, phone: str = PHONE) -> dict[str, Any]:
    """One chunk of the last day."""
    metadata = {"phase": 0, "chunk_order": order, "progress": progress}
    thread = {"id": phone, "messages": list(messages)}
    return change("history", history=[{"metadata": metadata, "threads": [thread]}])


async def receipt_of(site: Site) -> Receipt:
    assert site.business is not None
    async with transaction(site.pool) as conn:
        found = await receipts.receipt(conn, site.business.inbox.account_id, site.business.inbox.id)
    assert found is not None
    return found


@pytest.fixture
async def imported(site: Site) -> Site:
    """Three chunks' worth of history, of which the second never came; one message was here already."""
    await site.deliver(inbound("wamid.H9", "Bom dia"))
    image = {"type": "image", "image": {"id": "990011", "mime_type": "image/jpeg", "sha256": "ab" * 32}}
    await site.deliver(
        part(1, past(1, 0, text("Tem jiboia?")), past(2, 1, GONE_FILE), past(9, 3, text("Bom dia")), progress=40),
        part(3, past(3, 2, image)),
    )
    return site


@pytest.mark.requirement("D7")
async def test_a_receipt_counts_what_came_and_what_did_not(imported: Site) -> None:
    found = await receipt_of(imported)
    assert (found.told_count, found.figures.messages, found.not_new_count) == (4, 3, 1)
    assert (found.figures.conversations, found.figures.contacts) == (1, 1)
    assert found.figures.media_on_phone == 1
    assert [(files.state, files.count) for files in found.files] == [("waiting", 1)]
    assert [(phase.phase, phase.chunk_count, list(phase.missing)) for phase in found.phases] == [(0, 2, [2])]


@pytest.mark.requirement("D7")
async def test_an_import_disturbed_nobody_and_the_page_says_so(imported: Site) -> None:
    """Neither where somebody has written since, nor where the customer wrote last, long ago."""
    asked = past(5, 4, text("Quanto custa?"), sender="351910559122")
    await imported.deliver(part(4, asked, phone="351910559122"))
    assert [(zero.name, zero.count) for zero in (await receipt_of(imported)).zeros] == [
        ("notifications", 0), ("webhooks", 0), ("automations", 0), ("sends", 0), ("windows", 0), ("unread", 0),
        ("waiting", 0), ("assigned", 0),
    ]  # fmt: skip
    status, page = await imported.get("/inboxes/1/receipt")
    assert status == 200
    assert "Nobody" in page
    assert "Never came: part 2." in page
    _, panel = await imported.get("/inboxes/1/sync")
    assert 'href="/inboxes/1/receipt"' in panel


DISTURBANCES = {
    "notifications": "INSERT INTO events (account_id, inbox_id, conversation_id, message_id, kind)"
    " SELECT 1, inbox_id, conversation_id, id, 'message_added' FROM messages WHERE wamid = 'wamid.H1'",
    "webhooks": "WITH w AS (INSERT INTO webhooks (account_id, url, tells_syncs, told_to, added_by, added_at, next_at)"
    " VALUES (1, 'https://crm.example.com', false, 0, 'Inês', now() - interval '1 minute', now()))"
    " INSERT INTO events (account_id, inbox_id, conversation_id, message_id, kind)"
    " SELECT 1, inbox_id, conversation_id, id, 'message_added' FROM messages WHERE wamid = 'wamid.H1'",
    "automations": "INSERT INTO outbox (our_ref, inbox_id, message_id, payload, created_at)"
    " SELECT gen_random_uuid(), inbox_id, id, '{}', (SELECT first_arrival_at FROM syncs WHERE kind = 'history')"
    " FROM messages WHERE wamid = 'wamid.H1'",
    "sends": "INSERT INTO outbox (our_ref, inbox_id, message_id, payload)"
    " SELECT gen_random_uuid(), inbox_id, id, '{}' FROM messages WHERE wamid = 'wamid.H1'",
    "windows": "UPDATE conversations SET window_message_id = (SELECT id FROM messages WHERE wamid = 'wamid.H1')",
    "unread": "UPDATE conversations SET unread_count = 1",
    "waiting": "UPDATE conversations SET waiting_since = now()",
    "assigned": "UPDATE conversations SET assignee_id = 1",
}


@pytest.mark.requirement("D7")
@pytest.mark.parametrize("name", DISTURBANCES)
async def test_each_zero_would_find_what_it_looks_for_and_shows_its_ids(site: Site, name: str) -> None:
    await site.deliver(part(1, past(1, 0, text("Tem jiboia?"))))
    assert site.business is not None
    await execute(site.business, DISTURBANCES[name])
    wrong = {zero.name: zero for zero in (await receipt_of(site)).zeros if zero.count}
    assert wrong[name].count == len(wrong[name].ids) == 1
    _, page = await site.get("/inboxes/1/receipt")
    assert "Look at it" in page
    assert re.search(rf'<p class="bad">.*rows of {wrong[name].table}\s[^.]*{wrong[name].ids[0]}', page, re.DOTALL)


@pytest.mark.requirement("D7")
async def test_what_an_import_makes_unread_shows_beside_live_messages_as_well(imported: Site) -> None:
    assert imported.business is not None
    assert [zero.name for zero in (await receipt_of(imported)).zeros if zero.count] == []
    await execute(imported.business, "UPDATE conversations SET unread_count = unread_count + 1")
    assert [zero.name for zero in (await receipt_of(imported)).zeros if zero.count] == ["unread"]


async def test_nothing_has_come_yet(site: Site) -> None:
    status, page = await site.get("/inboxes/1/receipt")
    assert status == 200
    assert "No part of the history has come." in page


async def test_a_stranger_sees_no_receipt(imported: Site, stranger: Member) -> None:
    await imported.sign_in(stranger)
    status, _ = await imported.get("/inboxes/1/receipt")
    assert status == 404


async def test_earlier_imports_keep_their_receipts(imported: Site) -> None:
    assert imported.business is not None
    await execute(
        imported.business,
        """WITH again AS (UPDATE inboxes SET onboarded_at = onboarded_at + interval '1 hour' RETURNING id, onboarded_at)
           INSERT INTO syncs (inbox_id, kind, onboarded_at)
           SELECT id, unnest(enum_range(NULL::sync_kind)), onboarded_at FROM again""",
    )
    _, last = await imported.get("/inboxes/1/receipt")
    assert "The number was connected 2 times" in last
    assert "No part of the history has come." in last
    assert "WhatsApp announced 4 messages in all imports, 0 in this one." in last
    assert (await receipt_of(imported)).not_new_count == 1, "the rows are those of all imports, and so is what was told"
    _, first = await imported.get("/inboxes/1/receipt?of=1")
    assert "Never came: part 2." in first
    assert (await imported.get("/inboxes/1/receipt?of=3"))[0] == 404
    assert (await imported.get("/inboxes/1/receipt?of=x"))[0] == 422


@pytest.mark.parametrize(
    ("kind", "what", "over"),
    [("contacts", "The contacts are still coming in.", {"minutes": 10}), ("history", "The history is", {"hours": 24})],
)
async def test_an_undo_is_offered_once_nothing_is_to_come(
    imported: Site, kind: str, what: str, over: dict[str, int]
) -> None:
    assert imported.business is not None
    path, came_at = "/inboxes/1/receipt/undo", clock.now()
    await execute(imported.business, "DELETE FROM messages WHERE NOT imported")
    await execute(imported.business, "UPDATE syncs SET state = 'completed'")
    receiving = "UPDATE syncs SET state = 'receiving', last_arrival_at = %s WHERE kind = %s"
    await execute(imported.business, receiving, came_at, kind)
    _, page = await imported.get(path)
    assert what in page
    assert "Type the number once more" not in page
    assert times_of(UTC).full(came_at + timedelta(**over)) in page
    with clock.reading(lambda: came_at + timedelta(**over)):
        _, page = await imported.get(path)
        assert what not in page
        assert "Type the number once more" in page


async def test_only_admins_undo_and_only_what_they_type(imported: Site, stranger: Member) -> None:
    path = "/inboxes/1/receipt"
    assert imported.business is not None
    await execute(imported.business, "UPDATE syncs SET state = 'completed'")
    _, page = await imported.get(f"{path}/undo")
    assert "would be removed" not in page, "somebody wrote in the only chat"
    assert "1 conversation stays, with 3 imported messages: messages came or were written after connecting." in page
    assert (await imported.post(f"{path}/undo", typed="1234567")).status == 422
    assert (await imported.post(f"{path}/undo", typed=imported.business.inbox.display_phone_number)).status == 303
    async with transaction(imported.pool) as conn:
        agent = await people.add_user(conn, 1, name="Ana", email="ana@example.com", role=Role.AGENT)
    await imported.sign_in(agent)
    assert "Undo or bring back" not in (await imported.get(path))[1]
    await imported.sign_in(stranger)
    assert (await imported.get(f"{path}/undo"))[0] == 404
    for act in ("undo", "reapply"):
        assert (await imported.post(f"{path}/{act}", typed="+351210559000")).status == 404
    await imported.sign_in(agent)
    assert (await imported.get(f"{path}/undo"))[0] == 403
    for act in ("undo", "reapply"):
        assert (await imported.post(f"{path}/{act}", typed="+351210559000")).status == 403
