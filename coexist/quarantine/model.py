"""What waits to be applied, and who looks after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who looks after the quarantine: an account's admin or owner, or with ``account_id`` None the operator.

    The operator is whoever runs the installation and its command line; they see everything. An account sees what names
    its own numbers, and where it is the only one also what names no number, or one that is not connected.
    """

    name: str
    account_id: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A part of a delivery that was tried and could not be applied, or not wholly.

    ``kind`` is what the part is, in words; ``field`` the webhook field that it stood under, if that can be told;
    ``part_bytes`` the size of its JSON.
    """

    journal_id: int
    part: str
    phone_number_id: str | None
    error: str
    kind: str
    field: str | None
    part_bytes: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A part that could not be applied, or not wholly. ``kind`` and ``part_bytes`` are unknown for very old ones.

    ``retry_wanted_at`` is set while a retry is in line; ``retried_at`` is when the last one that somebody wanted failed
    again, and ``previous_error`` why the part had failed before, if that was another reason.
    """

    id: int
    journal_id: int
    part: str
    kind: str | None
    part_bytes: int | None
    phone_number_id: str | None
    inbox_name: str | None
    display_phone_number: str | None
    error: str
    previous_error: str | None
    attempts: int
    received_at: datetime
    since: datetime
    last_at: datetime
    retry_wanted_at: datetime | None
    retry_wanted_by: str | None
    retried_at: datetime | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_why: str | None


@dataclass(frozen=True, slots=True)
class Unrouted:
    """Deliveries that name a number, or a WhatsApp account, which is not connected here."""

    phone_number_id: str
    delivery_count: int
    first_at: datetime
    last_at: datetime
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_why: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A part that was in quarantine and is applied now. ``error`` is what it last failed of."""

    id: int
    journal_id: int
    part: str
    kind: str | None
    inbox_name: str | None
    error: str
    attempts: int
    since: datetime
    retry_wanted_by: str | None
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: parts that are not dismissed, how many of those are in line, and numbers not connected."""

    parts: int
    in_line: int
    numbers: int

    @property
    def total(self) -> int:
        """What asks for somebody's attention."""
        return self.parts + self.numbers
