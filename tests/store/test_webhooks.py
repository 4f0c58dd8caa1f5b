"""Our own webhooks: what a program hears, and what it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import undoing
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import actions as inbox
from coexist.outbound import actions as outbound
from tests.support import wire
from tests.support.business import (
    BSUID,
    DISPLAY,
    KEYRING,
    NUMBER,
    PHONE,
    Business,
    conversation_of,
    deliver,
    echo,
    inbound,
    open_business,
    status,
)
from tests.support.exported_desk import CHAT, Desk
from tests.support.hearing import ask, standing, subscribe, tell_due
from tests.support.listener import Listener

FOREVER: Final = timedelta(days=30)


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("E3")
async def test_an_echo_of_the_phone_goes_out(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, inbound("wamid.1", "Olá", bsuid=BSUID), echo("wamid.2", "Bom dia"))
    assert await tell_due(business.pool) == 1
    told = program.of_kind("message.added")
    assert [event["message"]["origin"] for event in told] == ["contact", "app"]
    event = told[1]
    conversation_id = await conversation_of(business.pool, PHONE)
    assert event["inbox"] == {
        "id": business.inbox.id, "phone_number_id": NUMBER, "display_phone_number": DISPLAY, "name": business.inbox.name
    }  # fmt: skip
    assert event["conversation_id"] == conversation_id
    assert event["contact"] == {**event["contact"], "name": "Rui", "phone": PHONE, "bsuid": BSUID}
    expected = {"wamid": "wamid.2", "direction": "outbound", "author": None, "type": "text", "text": "Bom dia"}
    assert event["message"] == {**event["message"], **expected, "imported": False, "media": None, "revoked_at": None}
    assert [one["conversation_id"] for one in program.of_kind("conversation.changed")] == [conversation_id]
    assert program.of_kind("contact.changed")[0]["contact"]["name"] == "Rui"
    assert await tell_due(business.pool) == 0, "there is nothing more to say"


async def test_what_the_team_sends_goes_out_with_its_author_and_its_ticks(
    business: Business, program: Listener
) -> None:
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    conversation_id = await conversation_of(business.pool)
    await subscribe(business.pool, business.member, program.url)
    ref = uuid4()
    await in_transaction(
        business.pool,
        lambda conn: outbound.send_text(conn, KEYRING, business.member, conversation_id, "Sim!", our_ref=ref),
    )
    await tell_due(business.pool)
    (added,) = program.of_kind("message.added")
    assert added["message"] == {
        **added["message"], "origin": "api", "author": "Inês Duarte", "status": "queued", "wamid": None, "text": "Sim!"
    }  # fmt: skip
    for word in ("sent", "delivered", "read"):
        await deliver(business.pool, status("wamid.2", word, our_ref=f"cx:{ref}"))
        await tell_due(business.pool)
    changed = program.of_kind("message.changed")
    assert {event["message"]["id"] for event in changed} == {added["message"]["id"]}
    assert [event["message"]["status"] for event in changed] == ["sent", "delivered", "read"]
    assert {event["message"]["wamid"] for event in changed} == {"wamid.2"}


async def test_edits_reactions_and_deletions_change_a_message(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    at = int(clock.now().timestamp()) - wire.EPOCH
    await deliver(business.pool, wire.message("wamid.1", at, wire.image("990", "Antes"), phone=PHONE))
    await tell_due(business.pool)
    (added,) = program.of_kind("message.added")
    assert added["message"]["media"] == {
        "state": "waiting", "mime_type": "image/jpeg", "sha256": None, "bytes": None, "file_name": None, "voice": False
    }  # fmt: skip
    second_thoughts = (wire.edit("wamid.1", "Depois"), wire.reaction("wamid.1", "👍"), wire.revoke("wamid.1"))
    for number, what in enumerate(second_thoughts, start=2):
        await deliver(business.pool, wire.message(f"wamid.{number}", at + number, what, phone=PHONE))
        await tell_due(business.pool)
    edited, reacted, revoked = (event["message"] for event in program.of_kind("message.changed"))
    assert (edited["text"], bool(edited["edited_at"])) == ("Depois", True)
    assert [(one["by"], one["emoji"]) for one in reacted["reactions"]] == [("contact", "👍")]
    assert revoked["revoked_at"]
    assert (revoked["text"], revoked["media"], revoked["content"]) == (None, None, None), "what is deleted is not told"


async def test_the_number_and_what_is_gone(business: Business, program: Listener) -> None:
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    await subscribe(business.pool, business.member, program.url)
    account_id, inbox_id = business.inbox.account_id, business.inbox.id
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET state = 'offboarded', state_reason = 'PRIMARY_INACTIVITY'")
        events = [
            NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id),
            NewEvent(account_id, Kind.MESSAGE_REMOVED, inbox_id, 7, 77),
            NewEvent(account_id, Kind.CONVERSATION_CHANGED, inbox_id, 7),
            NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=7),
            NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, 7, 77),
            NewEvent(account_id, Kind.QUARANTINE_CHANGED),
        ]
        await feed.append(conn, events)
    await tell_due(business.pool)
    connection, message, conversation, contact = program.events
    assert connection["kind"] == "connection.changed"
    assert connection["connection"]["state"] == "offboarded"
    assert connection["connection"]["state_reason"] == "PRIMARY_INACTIVITY"
    assert (message["kind"], message["message_id"]) == ("message.removed", 77)
    assert (conversation["kind"], conversation["conversation_id"]) == ("conversation.removed", 7)
    assert (contact["kind"], contact["contact_id"]) == ("contact.removed", 7)


async def test_two_customers_who_turn_out_to_be_one_are_told_of(business: Business, program: Listener) -> None:
    await deliver(business.pool, inbound("wamid.1", "Olá"), inbound("wamid.2", "Oi", phone=None, bsuid=BSUID))
    before = await ask(business.pool, "SELECT id, contact_id FROM conversations ORDER BY id")
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, inbound("wamid.3", "Sou eu", bsuid=BSUID))
    (kept,) = await ask(business.pool, "SELECT id, contact_id FROM conversations")
    ((conversation_id, contact_id),) = [pair for pair in before if pair != kept]
    await tell_due(business.pool)
    assert [event["conversation_id"] for event in program.of_kind("conversation.removed")] == [conversation_id]
    assert [event["contact_id"] for event in program.of_kind("contact.removed")] == [contact_id]
    assert {event["conversation_id"] for event in program.of_kind("conversation.changed")} == {kept[0]}


# ── imports ───────────────────────────────────────────────────────────────────────────────────────────────


async def import_everything(business: Business) -> None:
    """The sync of a phone: its address book, its chats, a file that comes late and is given up."""
    at = int(clock.now().timestamp()) - wire.EPOCH
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = now() - interval '1 minute'")
    chats = [wire.past("wamid.H1", -90_000, wire.text("Antes"), phone=PHONE)]
    chats += [wire.past("wamid.H2", -90_001, wire.image("990"), phone=PHONE, outbound=True)]
    chats += [wire.past("wamid.H4", -90_000, wire.reaction("wamid.H2", "❤"), phone=PHONE)]
    await deliver(
        business.pool,
        wire.entry(at, phone=PHONE, name="Rui Duarte"),
        wire.entry(at, phone="351910559122", name="Marta"),
        wire.history([wire.thread(PHONE, BSUID, chats)], order=1, progress=50),
        wire.history([wire.thread("351910559122", None, [wire.past("wamid.H3", 5, wire.text("Oi"))])], order=2),
        wire.late_file("wamid.H2", -90_001, wire.image("991"), phone=PHONE, outbound=True),
    )


@pytest.mark.requirement("D7")
async def test_an_import_posts_nothing(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await import_everything(business)
    await tell_due(business.pool)
    assert await ask(business.pool, "SELECT count(*) FROM messages WHERE imported") == [(3,)]
    assert program.posts == []
    assert (await standing(business)).waiting_count == 0


@pytest.mark.requirement("D7")
async def test_an_import_that_joins_people_posts_nothing(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = now() - interval '1 minute'")
    by_phone = wire.thread(PHONE, None, [wire.past("wamid.H1", -90_000, wire.text("Antes"), phone=PHONE)])
    by_id = wire.thread(None, BSUID, [wire.past("wamid.H2", -90_001, wire.text("Depois"), bsuid=BSUID)])
    both = wire.thread(PHONE, BSUID, [wire.past("wamid.H3", -90_002, wire.text("Sou eu"), phone=PHONE, bsuid=BSUID)])
    for order, thread in enumerate((by_phone, by_id, both), start=1):
        await deliver(business.pool, wire.history([thread], order=order))
    assert await ask(business.pool, "SELECT count(DISTINCT conversation_id), count(*) FROM messages") == [(1, 3)]
    await tell_due(business.pool)
    assert program.posts == []


async def test_an_import_that_joins_what_was_told_of_says_so(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, inbound("wamid.1", "Olá"), inbound("wamid.2", "Oi", phone=None, bsuid=BSUID))
    await tell_due(business.pool)
    told = {event["conversation_id"] for event in program.of_kind("message.added")}
    program.posts.clear()
    both = wire.thread(PHONE, BSUID, [wire.past("wamid.H1", -90_000, wire.text("Sou eu"), phone=PHONE, bsuid=BSUID)])
    await deliver(business.pool, wire.history([both]))
    await tell_due(business.pool)
    ((kept,),) = await ask(business.pool, "SELECT id FROM conversations")
    assert {event["conversation_id"] for event in program.of_kind("conversation.removed")} == told - {kept}
    assert program.of_kind("message.added") == []


async def test_who_wants_to_hears_how_an_import_goes_and_nothing_of_it(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url, tells_syncs=True)
    await import_everything(business)
    await tell_due(business.pool)
    assert {event["kind"] for event in program.events} == {"sync.changed"}
    contacts, history = program.events[-1]["syncs"]
    assert contacts == {"kind": "contacts", "state": "receiving", "progress": None}
    assert history == {"kind": "history", "state": "receiving", "progress": 50}
    assert b"Antes" not in b"".join(post.body for post in program.posts)


async def test_what_happens_now_to_something_imported_is_told_as_such(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await import_everything(business)
    at = int(clock.now().timestamp()) - wire.EPOCH
    await deliver(business.pool, wire.message("wamid.9", at, wire.reaction("wamid.H1", "❤"), phone=PHONE))
    await tell_due(business.pool)
    (changed,) = program.of_kind("message.changed")
    assert (changed["message"]["wamid"], changed["message"]["imported"]) == ("wamid.H1", True)
    assert program.of_kind("message.added") == []


@pytest.mark.requirement("D7")
async def test_an_exported_chat_that_is_brought_in_and_taken_back_posts_nothing(desk: Desk, program: Listener) -> None:
    await subscribe(desk.pool, desk.business.member, program.url)
    assert (await desk.bring_in(CHAT)).new
    await desk.undo((await desk.last()).id)
    await tell_due(desk.pool)
    assert program.posts == []


@pytest.mark.requirement("D7")
async def test_an_import_that_is_undone_posts_nothing(business: Business, program: Listener) -> None:
    await import_everything(business)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'completed', completed_at = now() - interval '1 hour'")
    await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        step = await undoing.undo_some(conn, business.inbox)
        await feed.append(conn, step.events)
    assert step.conversations == 2
    await tell_due(business.pool)
    assert program.posts == []


async def test_what_the_team_does_to_a_contact_is_told_while_the_phone_shares_its_own(
    business: Business, program: Listener
) -> None:
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE syncs SET state = 'receiving', requested_at = now() - interval '1 minute'")
    ((contact_id,),) = await ask(business.pool, "SELECT id FROM contacts")
    async with transaction(business.pool) as conn:
        await inbox.rename_contact(conn, business.member, contact_id, "Inês da loja")
    await deliver(business.pool, wire.entry(int(clock.now().timestamp()) - wire.EPOCH, phone=PHONE, name="Inês Duarte"))
    await tell_due(business.pool)
    assert [event["contact"]["name"] for event in program.of_kind("contact.changed")] == ["Inês da loja"]
