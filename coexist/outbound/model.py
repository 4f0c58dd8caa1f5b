"""The outbox: what is on its way to Meta, and what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID


class OutboxState(StrEnum):
    """Where one message stands. ``unclear``: Meta may have it or not, and it is never sent again by itself."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    FAILED = "failed"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Target:
    """The conversation to write in: its number, whether it may send, and the person on the other side.

    ``peer`` is the contact's newest id, exactly as received; None when it is not certain that any is theirs.
    ``phone`` is the number that goes with a BSUID, where there is no doubt whose it is.
    """

    account_id: int
    conversation_id: int
    inbox_id: int
    inbox_state: str
    waba_id: str
    scope_id: int
    window_opened_at: datetime | None
    window_refused_at: datetime | None
    display_phone_number: str
    peer: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that Meta has for us, to be sent with a message."""

    media_id: str
    mime_type: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be sent: the message as the inbox shows it, and ``part``, the wire's object of that ``type``."""

    type: str
    text: str
    part: Mapping[str, Any]
    content: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A message that was written before with a reference, and the body it went into the outbox with, as far as kept."""

    message_id: int
    payload: Mapping[str, Any] | None

    def part(self, type_: str) -> Mapping[str, Any] | None:
        """The wire's object of that ``type_``; empty for a message of another, None where nothing is kept."""
        return None if self.payload is None else self.payload.get(type_, {})


@dataclass(frozen=True, slots=True)
class Sending:
    """One claimed attempt: the only one there is until it is settled.

    ``asked_attempts`` before it made us ask Meta whether the number is still there. ``has_window``: the person's
    customer service window is open. ``is_doubtful``: an attempt before may have arrived. ``wording``: of its template
    when it was written. ``file_given_at``: when Meta got the file at its head.
    """

    our_ref: UUID
    inbox_id: int
    account_id: int
    message_id: int
    conversation_id: int
    waba_id: str
    phone_number_id: str
    attempts: int
    asked_attempts: int
    sending_at: datetime
    payload: Mapping[str, Any]
    has_window: bool
    is_doubtful: bool
    wording: str | None
    file_given_at: datetime | None

    @property
    def is_template(self) -> bool:
        """Whether the business may begin a conversation with it, and pays for it."""
        return self.payload.get("type") == "template"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an attempt did not succeed: a sentence, and what Meta's support asks for."""

    error: str | None
    code: int | None = None
    fbtrace_id: str | None = None


NONE: Final = Reason(None)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours, as retrying and giving up need to know it.

    ``is_given_up``: its outcome was unclear when somebody let it rest, so the customer may have it. ``is_doubtful``:
    it waits for another attempt although the one before may have arrived. ``failed_at`` and ``errors`` as Meta told.
    ``wants_marketing``: the person has resumed it. ``is_anothers``: it was written to somebody else
    than it belongs to by what is known now. ``content`` and ``payload`` as they were written.
    """

    message_id: int
    inbox_id: int
    conversation_id: int
    our_ref: UUID
    wamid: str | None
    status: int | None
    type: str
    text: str
    content: Mapping[str, Any] | None
    reply_to: str | None
    payload: Mapping[str, Any]
    state: str
    is_given_up: bool
    is_doubtful: bool
    is_anothers: bool
    failed_at: datetime | None
    wants_marketing: bool
    errors: Sequence[Mapping[str, Any]] | None

    @property
    def needs_window(self) -> bool:
        """Whether it can only go while the customer service window is open."""
        return self.type != "template"

    @property
    def codes(self) -> Sequence[int]:
        """The codes of Meta's errors."""
        return [error["code"] for error in self.errors or () if isinstance(error.get("code"), int)]

    @property
    def never_left(self) -> bool:
        """Whether Meta certainly does not have it, so that it can go again itself, or disappear."""
        return self.wamid is None and self.state == OutboxState.FAILED and not self.is_given_up
