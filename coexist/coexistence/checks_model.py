"""A check: one thing that must be so for a number to work, what was seen of it, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Level(StrEnum):
    """How a check came out. ``amber`` could not be found out, or may be a trouble."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


SEVERITY = list(Level)


class Name(StrEnum):
    """What is checked. The first ten are the pre-flight, the others are evidence of our own tables."""

    WEBHOOK = "webhook"
    META_HEARD = "meta_heard"
    FIELDS = "fields"
    SUBSCRIBED = "subscribed"
    TOKEN = "token"  # noqa: S105  a name of a check
    NUMBER = "number"
    WORKER = "worker"
    STORAGE = "storage"
    DATABASE = "database"
    CLOCK = "clock"

    CONNECTION = "connection"
    SIGNED = "signed"
    ACCESS = "access"
    HELD = "held"
    SWITCHES = "switches"
    HISTORY = "history"
    CONTACTS = "contacts"
    MESSAGES_SEEN = "messages_seen"
    ECHOES_SEEN = "echoes_seen"
    HISTORY_SEEN = "history_seen"
    CONTACTS_SEEN = "contacts_seen"
    QUARANTINE = "quarantine"
    UNROUTED = "unrouted"
    MEDIA = "media"
    OUTBOX = "outbox"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``seen`` is what was found, at ``at``; ``next_step`` is empty if there is nothing to do.

    ``fields`` are the webhook fields that are missing; empty when the trouble is of another kind.
    """

    name: str
    level: str
    title: str
    seen: str
    at: datetime
    next_step: str = ""
    fields: Sequence[str] = ()


def worst(checks: Sequence[Check]) -> Level:
    """Return the worst level among checks; green without any."""
    return max((Level(check.level) for check in checks), key=SEVERITY.index, default=Level.GREEN)


@dataclass(frozen=True, slots=True)
class Preflight:
    """The last look at a number before its syncs. ``is_waiting``: they wait until a look finds all in order."""

    inbox_id: int
    onboarded_at: datetime
    checked_at: datetime
    checks: Sequence[Check]
    is_waiting: bool
    passed_until: datetime | None = None

    @property
    def level(self) -> Level:
        """The worst of its checks."""
        return worst(self.checks)

    @property
    def may_be_overruled(self) -> bool:
        """Whether a person may have the syncs asked for all the same: nothing is red."""
        return self.is_waiting and self.level is Level.AMBER

    def of(self, level: str) -> Sequence[Check]:
        """The checks that came out so."""
        return [check for check in self.checks if check.level == level]


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker as it last told. ``silent_s`` by the database's clock; sizes in bytes."""

    host: str
    version: str
    started_at: datetime
    beat_at: datetime
    silent_s: float
    clock_ahead_ms: int
    free_bytes: int | None
    storage_error: str | None


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The database as asked. ``clock_ahead_s`` is how far our clock is ahead of its."""

    now: datetime
    clock_ahead_s: float
    is_read_only: bool
    in_line: int
    oldest_waiting_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A self-test: the answer of our own address. ``problem`` is why there was none."""

    address: str
    at: datetime
    http_status: int | None
    problem: str | None = None
    is_applied: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks about a number, the verdict in a sentence, and the checks that it rests on."""

    name: str
    asked: str
    level: str
    verdict: str
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The doctor's page of a number. ``meta_asked_at``: when Meta was last asked, None for never."""

    inbox_id: int
    at: datetime
    level: str
    questions: Sequence[Question]
    meta_asked_at: datetime | None
