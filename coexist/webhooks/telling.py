"""What the next POST of a webhook says: the events after its place in the feed, with what they are about.

Nothing of an import goes out (requirement D7): neither what it brought nor what came of that, such as its files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.coexistence import rules as sync_rules
from coexist.coexistence import store as syncs
from coexist.coexistence.model import SyncKind
from coexist.events import feed
from coexist.events.feed import Event, Kind
from coexist.inbox import inboxes, private_lists
from coexist.inbox import store as inbox_store
from coexist.inbox.inboxes import Inbox
from coexist.inbox.model import Message
from coexist.meta.private import names
from coexist.webhooks import body, store
from coexist.webhooks.body import ContactPart, ConversationRow, EventLine, SyncPart, Told
from coexist.webhooks.model import Telling, Turn

EVENTS_MAX: Final = 100
"""Events in one POST."""
BODY_BYTES_MAX: Final = 256 * 1024
"""Bytes of the events in one POST; one that is longer goes alone, or after the word that others were missed."""

ABOUT_MESSAGES: Final = frozenset({Kind.MESSAGE_ADDED, Kind.MESSAGE_CHANGED})
NOT_TOLD: Final = frozenset({Kind.QUARANTINE_CHANGED})
"""What concerns whoever runs the account here, and no program."""


@dataclass(frozen=True, slots=True)
class About:
    """What events of one page are about, as it is now, by id. What is missing is gone."""

    inboxes: dict[int, Inbox]
    messages: dict[int, Message]
    conversations: dict[int, ConversationRow]
    contacts: dict[int, ContactPart]
    syncs: dict[int, Sequence[SyncPart]]
    private: frozenset[int]
    """Contacts who are on the account's list of private numbers: what is still here of them is told to nobody."""


def test_telling(turn: Turn) -> Telling:
    """What "Test now" says."""
    told = EventLine(id=f"test-{uuid4()}", kind=Told.TEST, at=clock.now())
    return Telling([msgspec.json.encode(told)], [], turn.told_to, is_more=True, is_test=True)


async def next_telling(conn: Connection, keyring: Keyring, turn: Turn) -> Telling:
    """Return what to post next; no events when all that happened goes nowhere.

    When the feed was pruned past the webhook's place, the first event says so. ``conn`` must be in a transaction of
    its own: all is read as of one moment. Raises SecretUnreadable when the list of private numbers cannot be read.
    """
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    page = await feed.since(conn, turn.account_id, turn.told_to)
    is_gap = await feed.is_pruned_after(conn, turn.account_id, turn.told_to)
    wanted = await _wanted(conn, turn, page)
    about = await _about(conn, keyring, turn.account_id, wanted.values())
    lines: list[bytes] = []
    ids: list[int] = []
    if is_gap:
        missed = EventLine(id=f"missed-{turn.told_to}", kind=Told.EVENTS_MISSED, at=clock.now())
        lines.append(msgspec.json.encode(missed))
    told_to, size = turn.told_to, 0
    for event in page:
        told = _line(event, about) if event.id in wanted else None
        if told is not None:
            encoded = msgspec.json.encode(told)
            size += len(encoded)
            if ids and (len(lines) == EVENTS_MAX or size > BODY_BYTES_MAX):
                return Telling(lines, ids, told_to, is_more=True)
            lines.append(encoded)
            ids.append(event.id)
        told_to = event.id
    if is_gap and not page:
        told_to = await feed.last_id(conn, turn.account_id)
    return Telling(lines, ids, told_to, is_more=len(page) == feed.PAGE_ROWS)


async def _wanted(conn: Connection, turn: Turn, page: Sequence[Event]) -> dict[int, Event]:
    """The events that go out, by id. Of several that say the same of the same thing, only the last says anything."""
    last: dict[object, Event] = {}
    ours: set[object] = set()
    for event in page:
        contact_id = event.payload.get("contact_id")
        thing = (event.kind, event.inbox_id, event.conversation_id, event.message_id, contact_id)
        is_sync = event.kind == Kind.SYNC_PROGRESSED
        if event.payload.get("is_import"):
            if event.kind == Kind.CONTACT_CHANGED:  # whom an import brought is one with somebody else, or taken back
                last.pop(thing, None)
                ours.discard(thing)
        elif event.kind not in NOT_TOLD and (turn.tells_syncs or not is_sync):
            last[thing] = event
            if event.payload.get("is_ours"):
                ours.add(thing)
    named = [event.id for thing, event in last.items() if event.kind == Kind.CONTACT_CHANGED and thing not in ours]
    of_sync = await store.told_by_a_sync(conn, named) if named else set()
    return {event.id: event for event in last.values() if event.id not in of_sync}


async def _about(conn: Connection, keyring: Keyring, account_id: int, events: Collection[Event]) -> About:
    if not events:
        return About({}, {}, {}, {}, {}, frozenset())
    message_ids = {event.message_id for event in events if event.kind in ABOUT_MESSAGES and event.message_id}
    lists = await private_lists.load(conn, keyring)
    is_private = (lists.of_account(account_id) if lists else None) or _nobody
    told = await inbox_store.messages(conn, account_id, message_ids)
    messages = {one.id: one for one in told if not names([one.text, one.edited_text, one.content], is_private)}
    talks = {event.conversation_id for event in events if event.kind == Kind.CONVERSATION_CHANGED} - {None}
    conversations = await store.conversations(
        conn, account_id, {*talks, *(message.conversation_id for message in messages.values())}
    )
    contact_ids = {event.payload["contact_id"] for event in events if event.kind == Kind.CONTACT_CHANGED}
    contact_ids |= {row.contact_id for row in conversations.values()}
    moving = {event.inbox_id for event in events if event.kind == Kind.SYNC_PROGRESSED and event.inbox_id}
    return About(
        inboxes={inbox.id: inbox for inbox in await inboxes.of_account(conn, account_id)},
        messages=messages,
        conversations=conversations,
        contacts=await store.contacts(conn, account_id, contact_ids),
        syncs={id_: await _syncs(conn, id_) for id_ in sorted(moving)},
        private=frozenset(id_ for id_, key in await store.ids_of(conn, contact_ids) if is_private(key)),
    )


def _nobody(_: str) -> bool:
    return False


async def _syncs(conn: Connection, inbox_id: int) -> Sequence[SyncPart]:
    phases = {phase.phase: phase.progress for phase in await syncs.phases(conn, inbox_id)}
    progress, _ = sync_rules.progress_of(phases)
    return [
        SyncPart(sync.kind, sync.state, progress if sync.kind == SyncKind.HISTORY else None)
        for sync in await syncs.syncs(conn, inbox_id)
    ]


def _line(event: Event, about: About) -> EventLine | None:
    """The event with what it is about; None when that is gone and a later event says so."""
    inbox = about.inboxes.get(event.inbox_id or 0)
    match event.kind:
        case Kind.MESSAGE_ADDED | Kind.MESSAGE_CHANGED:
            return _message_line(event, about)
        case Kind.MESSAGE_REMOVED:
            where = {"conversation_id": event.conversation_id, "message_id": event.message_id}
            return body.line(event, Told.MESSAGE_REMOVED, **where)
        case Kind.CONVERSATION_CHANGED:
            return _conversation_line(event, about)
        case Kind.CONTACT_CHANGED:
            contact_id = event.payload["contact_id"]
            if contact_id in about.private:
                return None
            if contact := about.contacts.get(contact_id):
                return body.line(event, Told.CONTACT_CHANGED, contact_id=contact_id, contact=contact)
            return body.line(event, Told.CONTACT_REMOVED, contact_id=contact_id)
        case Kind.INBOX_CHANGED if inbox is not None:
            parts = {"inbox": body.inbox_part(inbox), "connection": body.connection_part(inbox)}
            return body.line(event, Told.CONNECTION_CHANGED, **parts)
        case Kind.SYNC_PROGRESSED if inbox is not None:
            return body.line(event, Told.SYNC_CHANGED, inbox=body.inbox_part(inbox), syncs=about.syncs[inbox.id])
        case _:
            return None


def _message_line(event: Event, about: About) -> EventLine | None:
    message = about.messages.get(event.message_id or 0)
    row = about.conversations.get(message.conversation_id) if message else None
    if message is None or row is None or row.contact_id in about.private:
        return None
    return body.line(
        event,
        Told.MESSAGE_ADDED if event.kind == Kind.MESSAGE_ADDED else Told.MESSAGE_CHANGED,
        inbox=body.inbox_part(about.inboxes[row.inbox_id]),
        conversation_id=row.id,
        contact=about.contacts[row.contact_id],
        message=body.message_part(message),
    )


def _conversation_line(event: Event, about: About) -> EventLine | None:
    row = about.conversations.get(event.conversation_id or 0)
    if row is None:
        return body.line(event, Told.CONVERSATION_REMOVED, conversation_id=event.conversation_id)
    if row.contact_id in about.private:
        return None
    return body.line(
        event,
        Told.CONVERSATION_CHANGED,
        inbox=body.inbox_part(about.inboxes[row.inbox_id]),
        conversation_id=row.id,
        contact=about.contacts[row.contact_id],
        conversation=body.conversation_part(row),
    )
