"""The outbox: what is on its way to Meta, and what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
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

    conversation_id: int
    inbox_id: int
    inbox_state: str
    scope_id: int
    window_opened_at: datetime | None
    peer: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class Sending:
    """One claimed attempt: the only one there is until it is settled."""

    our_ref: UUID
    inbox_id: int
    account_id: int
    message_id: int
    conversation_id: int
    phone_number_id: str
    attempts: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours, as retrying and giving up need to know it.

    ``is_given_up``: its outcome was unclear when somebody let it rest, so the customer may have it.
    """

    message_id: int
    inbox_id: int
    conversation_id: int
    our_ref: UUID
    wamid: str | None
    status: int | None
    text: str
    reply_to: str | None
    state: str
    is_given_up: bool

    @property
    def never_left(self) -> bool:
        """Whether Meta certainly does not have it, so that it can go again itself, or disappear."""
        return self.wamid is None and self.state == OutboxState.FAILED and not self.is_given_up
