"""The JSON that programs get: docs/webhooks-out.md describes every field, and a test compares the two.

An event names what changed; beside it stands that thing as it is when the event is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from coexist.base import clock
from coexist.events.feed import Event
from coexist.inbox import model
from coexist.inbox.inboxes import Inbox
from coexist.inbox.window import window_of
from coexist.meta.model import STATUS_RANK

STATUS_WORDS: Final = {rank: word for word, rank in STATUS_RANK.items()}
SIDES: Final = {"inbound": "contact", "outbound": "business"}


class Told(StrEnum):
    """What an event says."""

    MESSAGE_ADDED = "message.added"
    MESSAGE_CHANGED = "message.changed"
    MESSAGE_REMOVED = "message.removed"
    CONVERSATION_CHANGED = "conversation.changed"
    CONVERSATION_REMOVED = "conversation.removed"
    CONTACT_CHANGED = "contact.changed"
    CONTACT_REMOVED = "contact.removed"
    CONNECTION_CHANGED = "connection.changed"
    SYNC_CHANGED = "sync.changed"
    EVENTS_MISSED = "events.missed"
    TEST = "test"


class InboxPart(Struct):
    """The business phone number that it is about."""

    id: int
    phone_number_id: str
    display_phone_number: str
    name: str


class ContactPart(Struct):
    """The person on the other side."""

    id: int
    name: str
    phone: str | None
    bsuid: str | None
    username: str | None


class MediaPart(Struct):
    """The message's file, without its bytes."""

    state: str
    mime_type: str | None
    sha256: str | None
    bytes: int | None
    file_name: str | None
    voice: bool


class Reaction(Struct):
    """The reaction that one side has on the message."""

    by: str
    emoji: str
    at: datetime


class MessagePart(Struct):
    """One message. Of a deleted one neither text nor file nor content is told."""

    id: int
    wamid: str | None
    direction: str
    origin: str
    author: str | None
    imported: bool
    type: str
    text: str | None
    content: Mapping[str, Any] | None
    media: MediaPart | None
    status: str | None
    errors: Sequence[Mapping[str, Any]] | None
    reply_to: str | None
    sent_at: datetime
    edited_at: datetime | None
    revoked_at: datetime | None
    reactions: Sequence[Reaction]


class ConversationPart(Struct):
    """All messages with one contact in one inbox."""

    id: int
    state: str
    assignee: str | None
    unread_count: int
    waiting_since: datetime | None
    last_message_at: datetime | None
    window_expires_at: datetime | None


class ConnectionPart(Struct):
    """How the number stands with Meta."""

    state: str
    state_reason: str | None
    state_initiated_by: str | None
    state_at: datetime
    is_coexistence: bool


class SyncPart(Struct):
    """One of the two syncs of the number's present onboarding."""

    kind: str
    state: str
    progress: int | None


class EventLine(Struct):
    """One event. Parts that its kind does not have are left out."""

    id: str
    kind: Told
    at: datetime
    inbox: InboxPart | UnsetType = UNSET
    conversation_id: int | UnsetType = UNSET
    message_id: int | UnsetType = UNSET
    contact_id: int | UnsetType = UNSET
    contact: ContactPart | UnsetType = UNSET
    message: MessagePart | UnsetType = UNSET
    conversation: ConversationPart | UnsetType = UNSET
    connection: ConnectionPart | UnsetType = UNSET
    syncs: Sequence[SyncPart] | UnsetType = UNSET


class Body(Struct):
    """One POST."""

    webhook_id: int
    account_id: int
    events: Sequence[Raw]


class ConversationRow(Struct):
    """A conversation as read."""

    id: int
    inbox_id: int
    contact_id: int
    state: str
    assignee: str | None
    unread_count: int
    waiting_since: datetime | None
    last_message_at: datetime | None
    window_opened_at: datetime | None
    window_refused_at: datetime | None


def line(event: Event, kind: Told, **parts: Any) -> EventLine:
    """An event of the feed with what belongs to its kind."""
    return EventLine(id=f"evt-{event.id}", kind=kind, at=event.at, **parts)


def encoded(webhook_id: int, account_id: int, events: Sequence[bytes]) -> bytes:
    """The body of a POST."""
    return msgspec.json.encode(Body(webhook_id, account_id, [Raw(event) for event in events]))


def inbox_part(inbox: Inbox) -> InboxPart:
    """The number, as far as every event about it says."""
    return InboxPart(inbox.id, inbox.phone_number_id, inbox.display_phone_number, inbox.name)


def connection_part(inbox: Inbox) -> ConnectionPart:
    """How the number stands."""
    return ConnectionPart(
        inbox.state, inbox.state_reason, inbox.state_initiated_by, inbox.state_at, inbox.is_coexistence
    )


def conversation_part(row: ConversationRow) -> ConversationPart:
    """A conversation; its window ends at a time that may be over."""
    window = window_of(row.window_opened_at, clock.now(), row.window_refused_at)
    return ConversationPart(
        row.id, row.state, row.assignee, row.unread_count, row.waiting_since, row.last_message_at, window.expires_at
    )


def message_part(message: model.Message) -> MessagePart:
    """A message as the page shows it, in fields."""
    is_here = message.revoked_at is None
    return MessagePart(
        id=message.id,
        wamid=message.wamid,
        direction=message.direction,
        origin=message.origin,
        author=message.author,
        imported=message.imported,
        type=message.type,
        text=(message.edited_text if message.edited_at else message.text) if is_here else None,
        content=message.content if is_here else None,
        media=_media_part(message) if is_here else None,
        status=None if message.status is None else STATUS_WORDS[message.status],
        errors=message.errors,
        reply_to=message.reply_to,
        sent_at=message.sent_at,
        edited_at=message.edited_at,
        revoked_at=message.revoked_at,
        reactions=[
            Reaction(SIDES[told["by"]], told["emoji"], datetime.fromisoformat(told["at"]))
            for told in message.reactions or ()
        ],
    )


def _media_part(message: model.Message) -> MediaPart | None:
    if message.media_state is None:
        return None
    return MediaPart(
        state=message.media_state,
        mime_type=message.media_mime_type,
        sha256=message.media_sha256,
        bytes=message.media_bytes,
        file_name=message.media_file_name,
        voice=message.media_is_voice,
    )
