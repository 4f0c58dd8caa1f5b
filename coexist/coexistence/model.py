"""The one-shot sync of a coexistence number, as tables and pages know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SyncKind(StrEnum):
    """What is asked of Meta, in the order in which it is asked."""

    CONTACTS = "contacts"
    HISTORY = "history"


class SyncState(StrEnum):
    """Where one sync stands (requirement B4). ``requesting`` means asked, answer unknown."""

    NOT_REQUESTED = "not_requested"
    REQUESTING = "requesting"
    REQUESTED = "requested"
    RECEIVING = "receiving"
    COMPLETED = "completed"
    DECLINED = "declined"
    NOTHING_ARRIVED = "nothing_arrived"
    FAILED = "failed"
    SWITCHED_OFF = "switched_off"


@dataclass(frozen=True, slots=True)
class Sync:
    """The right to ask for one kind of data, once, given by one onboarding; and what became of it."""

    inbox_id: int
    kind: str
    onboarded_at: datetime
    state: str
    wanted_at: datetime | None
    requested_at: datetime | None
    request_id: str | None
    refusals: int
    first_arrival_at: datetime | None
    last_arrival_at: datetime | None
    completed_at: datetime | None
    declined_at: datetime | None
    error_code: int | None
    error: str | None
    error_at: datetime | None


@dataclass(frozen=True, slots=True)
class Existing:
    """What connecting has to know of a number that is connected already, in whichever account."""

    id: int
    account_id: int
    waba_id: str
    is_coexistence: bool
    onboarded_at: datetime
    state: str
    state_at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """The right to call Meta once for one sync, as claimed in the database at ``requested_at``."""

    inbox_id: int
    account_id: int
    kind: str
    onboarded_at: datetime
    requested_at: datetime
    phone_number_id: str


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the history as received so far. ``progress`` is the highest seen, 0-100."""

    phase: int
    progress: int
    chunk_count: int
    thread_count: int
    message_count: int


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """What an inbox holds by now. ``placeholders`` are messages whose content stayed on the phone so far.

    None is not counted yet: that waits until the history is here.
    """

    contacts: int
    conversations: int
    imported_messages: int
    placeholders: int | None
    media_waiting: int | None
    media_stored: int | None
    media_gone: int | None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One sync with a sentence that says what its state means and what to do, if anything."""

    sync: Sync
    sentence: str


@dataclass(frozen=True, slots=True)
class SyncPanel:
    """All that the page of a number shows of its sync. ``progress`` is the highest overall, 0-100.

    ``deadline_at`` ends the 24 hours in which asking is possible.
    """

    inbox_id: int
    contacts: SyncReport
    history: SyncReport
    phases: Sequence[Phase]
    progress: int
    counts: SyncCounts
    deadline_at: datetime

    @property
    def is_over(self) -> bool:
        """Whether the history has come to its end: what is missing of it now will not come by itself."""
        return self.history.sync.state == SyncState.COMPLETED
