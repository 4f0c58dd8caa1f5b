"""Outgoing webhooks as pages and the worker know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Whether a webhook tells: until somebody pauses it, or its program was away for too long."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One program's address. ``waiting_count`` events are not told yet, counted up to ``store.WAITING_COUNTED``.

    ``failures`` are those in a row, the first at ``failing_since``; ``next_at`` is when it is tried again. The last
    attempt is that of events, not of a test; ``last_error`` is None when it went well.
    """

    id: int
    url: str
    tells_syncs: bool
    state: str
    added_by: str
    added_at: datetime
    next_at: datetime
    failures: int
    failing_since: datetime | None
    is_test_wanted: bool
    former_until: datetime | None
    waiting_count: int
    last_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A webhook that this worker may post to until ``claimed_until``: nobody else does meanwhile.

    The secrets are sealed; ``former_secret`` is None once it no longer counts.
    """

    id: int
    account_id: int
    url: str
    tells_syncs: bool
    secret: bytes
    former_secret: bytes | None
    told_to: int
    is_test_wanted: bool
    failures: int
    failing_since: datetime | None
    claimed_until: datetime


@dataclass(frozen=True, slots=True)
class Telling:
    """What one POST says: events as JSON objects, oldest first, and how far in the feed that is.

    ``ids`` are the feed's own ids of those events. ``is_more`` when the feed goes on.
    """

    events: Sequence[bytes]
    ids: Sequence[int]
    told_to: int
    is_more: bool
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a POST: ``error`` is a sentence, None when the program took it."""

    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of a webhook's log."""

    at: datetime
    is_test: bool
    event_count: int
    body_bytes: int
    duration_ms: int
    status: int | None
    error: str | None
