"""What an exported chat holds, what was decided about it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from coexist.exported_chats.stamps import DateOrder, Stamp
from coexist.meta.model import Person


class Kind(StrEnum):
    """What one entry of an exported chat is. The values of the first group are message types of Meta's."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    STICKER = "sticker"
    DOCUMENT = "document"
    CONTACTS = "contacts"
    LOCATION = "location"

    OMITTED = "omitted"  # a file that was not exported
    PHONE_ONLY = "phone_only"  # could be seen once, or was a live location: its text says so

    NOTICE = "notice"  # WhatsApp's own lines: encryption, security codes, numbers
    CALL = "call"
    DELETED = "deleted"
    EMPTY = "empty"


FILES = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.STICKER, Kind.DOCUMENT, Kind.CONTACTS})
"""Kinds that can have a file in the package."""

SKIPPED = frozenset({Kind.NOTICE, Kind.CALL, Kind.DELETED, Kind.EMPTY})
"""Kinds that are no message, or of whose message nothing is left: counted, never brought in."""


class Entry(NamedTuple):
    """One entry of an exported chat. ``line`` counts from 1. ``sender`` is None for lines that nobody wrote.

    ``file`` is the name of a file in the package, as the package has it. ``place`` is (latitude, longitude).
    """

    line: int
    stamp: Stamp
    sender: str | None
    kind: Kind
    text: str | None = None
    file: str | None = None
    place: tuple[float, float] | None = None
    is_edited: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that occurs once in the chat, long enough to be recognised in a thread. ``local`` is the phone's clock."""

    sender: str
    text: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Survey:
    """What one reading of the whole file tells, before anybody decided anything.

    ``orders`` are the possible orders of its dates, the best first; more than one when a person must say.
    """

    is_ios: bool
    has_seconds: bool
    message_count: int
    names: Mapping[str, int]  # who wrote → how many messages
    kinds: Mapping[str, int]
    orders: Sequence[DateOrder]
    first: Stamp
    last: Stamp
    file_count: int  # files in the package that messages name, but for contact cards
    missing_count: int  # files that messages name and the package lacks
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody whose chat it may be. ``person`` is None for a number that belongs to somebody else by now."""

    id: int
    name: str
    phone: str | None
    person: Person | None
    shared_count: int = 0  # how many texts of the chat are in the thread with them


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person decided: whose chat it is, in which inbox, who of the names is us, and how to read its times.

    ``person`` names the contact by the ids we know of; ``own_name`` is empty when we wrote nothing in this chat.
    """

    inbox_id: int
    person: Person
    names: Sequence[str]  # everybody who wrote in the file
    own_name: str
    time_zone: str
    order: DateOrder


class Verdict(StrEnum):
    """What is done with one message of the file."""

    NEW = "new"  # brought in
    FILL = "fill"  # takes the place of a placeholder that Meta gave
    HERE = "here"  # is here already
    MOVED = "moved"  # was brought in before, with other times: another time zone was chosen then


class Decision(NamedTuple):
    """A verdict, and the id under which the message is, or is to be, here.

    ``at`` is when the one that is here was sent, in seconds since 1970, as exactly as Meta told it.
    """

    verdict: Verdict
    wamid: str
    at: float | None = None


class State(StrEnum):
    """The life of an import."""

    UPLOADED = "uploaded"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Report:
    """What an import would do, or did. ``skipped`` counts entries by kind; times are of all messages in the file."""

    new: int
    filled: int
    here: int
    moved: int
    files: int
    refused_files: int
    missing_files: int
    skipped: Mapping[str, int]
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Chat:
    """One import: a row of ``exported_chats`` with the names that pages show."""

    id: int
    account_id: int
    inbox_id: int | None
    inbox_name: str | None
    conversation_id: int | None
    contact_name: str | None
    file_name: str
    file_bytes: int
    state: State
    choices: Choices | None
    total_count: int
    done_count: int
    report: Report | None
    error: str | None
    by: str | None
    uploaded_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    undone_at: datetime | None
