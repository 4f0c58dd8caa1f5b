"""What the inbox's pages and programs read: frozen rows, already checked against the reader's account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

EXPORTED_PREFIX: Final = "exported:"
"""How the ids of messages begin that only a chat exported on the phone told of. Meta knows no such id."""


class Filter(StrEnum):
    """Which conversations a list shows."""

    OPEN = "open"
    MINE = "mine"
    WAITING = "waiting"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an order by time and id, for pages by keyset: exclusive, never an offset."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line of the conversation list with what its preview needs of the last message."""

    id: int
    contact_id: int
    name: str
    inbox_name: str
    state: str
    assignee_id: int | None
    unread_count: int
    waiting_since: datetime | None
    last_message_at: datetime
    message_id: int
    origin: str
    direction: str
    type: str
    text: str | None
    imported: bool
    status: int | None
    content_rank: int
    is_revoked: bool
    is_voice: bool
    author: str | None

    @property
    def position(self) -> Position:
        """Where the next page of a list begins when this is the last row of a page."""
        return Position(self.last_message_at, self.id)


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that a search found. ``text`` is whole: the page cuts its snippet."""

    message_id: int
    conversation_id: int
    contact_id: int
    name: str
    origin: str
    author: str | None
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How many conversations each filter shows, each at most ``store.COUNT_ROWS_MAX``."""

    open: int
    mine: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation's header: who, in which inbox, and what was decided about it.

    ``is_ourselves``: its other side is the business number itself.
    """

    id: int
    inbox_id: int
    contact_id: int
    name: str
    state: str
    assignee_id: int | None
    assignee: str | None
    unread_count: int
    waiting_since: datetime | None
    first_message_at: datetime | None
    last_message_at: datetime | None
    window_message_id: int | None
    window_opened_at: datetime | None
    window_refused_at: datetime | None
    draft: str
    inbox_name: str
    inbox_state: str
    inbox_state_reason: str | None
    inbox_standing_codes: Sequence[int]
    inbox_replies_held_until: datetime | None
    is_coexistence: bool
    is_ourselves: bool
    onboarded_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One bubble: the message, its file, what became of it, and what it quotes.

    ``status`` is a rank of ``meta.model.STATUS_RANK``; ``earlier_texts`` are what it said before each edit, oldest
    first; ``quote_id`` is None while ``reply_to`` names a message that is not here. ``pricing`` is Meta's, when told.
    ``waits_for_template``: the status of the template with which it is in line, where one is known.
    """

    id: int
    conversation_id: int
    contact_name: str
    inbox_id: int
    onboarded_at: datetime
    wamid: str | None
    peer: str
    direction: str
    origin: str
    author: str | None
    imported: bool
    is_time_doubtful: bool
    content_rank: int
    forwarded: int
    status: int | None
    pricing: Mapping[str, Any] | None
    type: str
    sent_at: datetime
    text: str | None
    content: Mapping[str, Any] | None
    errors: Sequence[Mapping[str, Any]] | None
    reply_to: str | None
    edited_at: datetime | None
    edited_text: str | None
    earlier_texts: Sequence[str | None]
    revoked_at: datetime | None
    reactions: Any
    media_state: str | None
    media_sha256: str | None
    media_mime_type: str | None
    media_file_name: str | None
    media_is_voice: bool
    media_is_animated: bool
    media_bytes: int | None
    media_width: int | None
    media_height: int | None
    media_error: str | None
    media_reason: str | None
    media_known_at: datetime | None
    media_next_attempt_at: datetime | None
    media_duration_ms: int | None
    media_thumbnail_bytes: int | None
    outbox_state: str | None
    outbox_error: str | None
    quote_id: int | None
    quote_origin: str | None
    quote_author: str | None
    quote_type: str | None
    quote_text: str | None
    quote_is_revoked: bool
    waits_for_template: str | None = None

    @property
    def is_exported(self) -> bool:
        """Whether only a chat exported on the phone told of it: Meta does not know it."""
        return self.wamid is not None and self.wamid.startswith(EXPORTED_PREFIX)

    @property
    def position(self) -> Position:
        """Its place among the messages of its conversation."""
        return Position(self.sent_at, self.id)


@dataclass(frozen=True, slots=True)
class Identity:
    """An id under which Meta names the person: ``bsuid``, ``phone`` or ``former_phone``."""

    kind: str
    value: str
    is_parent: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """Everything known about who writes to us, each name apart by its source.

    With ``marketing_stopped_at`` they want no marketing messages, and until ``marketing_rests_until`` Meta lets none
    through.
    """

    id: int
    name: str
    agent_name: str | None
    address_book_name: str | None
    profile_name: str | None
    username: str | None
    phone: str | None
    is_in_address_book: bool
    first_seen_at: datetime | None
    note: str | None
    identities: Sequence[Identity]
    marketing_stopped_at: datetime | None
    marketing_rests_until: datetime | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a conversation we hold: messages a week, oldest week first, over ``store.COVERAGE_DAYS``."""

    weeks: Sequence[tuple[date, int]]
    message_count: int
    phone_only_count: int
