"""Pure decisions about the one-shot sync: what an answer means, whose arrival it is, when it is complete."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from coexist.coexistence.model import Sync, SyncKind, SyncState
from coexist.meta.errors import ErrorClass, explain

REQUEST_HOURS: Final = 24
"""Meta takes a request only this long after the onboarding (meta-protocol 2.8)."""
SILENCE_HOURS: Final = 6
"""Nothing within this time of asking: shown as such, with the likely causes (requirement B5)."""
STALLED_HOURS: Final = 24
"""A history of which nothing came for so long will hardly go on: a chunk was lost, or the phone was closed for good."""
CONTACTS_QUIET_MINUTES: Final = 10
"""The contacts have no end signal: they count as complete after this much silence."""
CALL_MINUTES: Final = 5
"""A request without an answer for longer than this was interrupted: its outcome stays unknown."""
REDELIVERED: Final = timedelta(days=7)
"""For so long Meta delivers again what was not taken (meta-protocol 4.2)."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far the clocks of two of our hosts may differ when one asks and the other receives."""
REFUSALS_MAX: Final = 3
"""How often one sync may be refused by Meta before it counts as failed, and is asked for by a person's wish alone
(requirement B10)."""
REFUSALS_IN_ALL: Final = 10
"""After how many refusals a person's wish does not help any more either: the phone must not be disturbed for ever."""

ALONE_HOURS: Final = 2
"""When so little is left of the 24 hours, contacts that were refused keep the history waiting no more."""

ALREADY_REQUESTED: Final = 2593107
TOO_LATE: Final = 2593108
DECLINED: Final = 2593109


class Answer(StrEnum):
    """What an error of the request means for the one chance."""

    TAKEN = "taken"
    TOO_LATE = "too_late"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def answer_of(code: int | None) -> Answer:
    """Return what the error code of an smb_app_data call means. meta-protocol 1.5 and 3."""
    if code == ALREADY_REQUESTED:
        return Answer.TAKEN
    if code == TOO_LATE:
        return Answer.TOO_LATE
    is_unknown = code is None or explain(code).kind is ErrorClass.AMBIGUOUS
    return Answer.UNKNOWN if is_unknown else Answer.REFUSED


def passes(code: int | None) -> bool:
    """Whether an error says nothing of the request itself, which then stays wanted and is no refusal.

    Meta was asked too much, was away for a moment, or takes our access no more; without a code it was not reached.
    """
    return code is None or explain(code).kind in (ErrorClass.LIMIT, ErrorClass.TRANSIENT, ErrorClass.REAUTHORISE)


def is_coming_in(sync: Sync, now: datetime) -> bool:
    """Whether more of it is to be expected."""
    if sync.state not in (SyncState.REQUESTING, SyncState.REQUESTED, SyncState.RECEIVING):
        return False
    ends_at = expected_until(sync)
    return ends_at is None or ends_at > now


def expected_until(sync: Sync) -> datetime | None:
    """Until when more is to be expected of a sync that was asked for, if nothing more comes; None if that is not known.

    The contacts have no end signal, a history that lost a chunk never tells of its end.
    """
    if sync.state != SyncState.RECEIVING:
        return sync.requested_at and sync.requested_at + timedelta(hours=SILENCE_HOURS)
    is_book = sync.kind == SyncKind.CONTACTS
    silence = timedelta(minutes=CONTACTS_QUIET_MINUTES) if is_book else timedelta(hours=STALLED_HOURS)
    return sync.last_arrival_at and sync.last_arrival_at + silence


def deadline(onboarded_at: datetime) -> datetime:
    """Return when the 24 hours in which a sync can be asked for end."""
    return onboarded_at + timedelta(hours=REQUEST_HOURS)


def can_be_asked(syncs: Iterable[Sync], kinds: Collection[SyncKind], now: datetime) -> bool:
    """Whether Meta may still be asked for any of these kinds, also by a person alone who has mended what it refused."""
    return any(
        sync.kind in kinds
        and (sync.state in (SyncState.NOT_REQUESTED, SyncState.SWITCHED_OFF) or was_refused(sync))
        and sync.refusals < REFUSALS_IN_ALL
        and now < deadline(sync.onboarded_at)
        for sync in syncs
    )


def was_refused(sync: Sync) -> bool:
    """Whether a sync failed for Meta's refusals alone: it has certainly taken nothing up."""
    return sync.state == SyncState.FAILED and sync.requested_at is None and sync.refusals >= REFUSALS_MAX


def made_at(received_at: datetime, told: datetime | None) -> datetime:
    """Return when Meta made what came at a time, as it ``told``; when it came, if that is not told or cannot be."""
    return told if told is not None and received_at - REDELIVERED <= told <= received_at else received_at


def onboarding_of(at: datetime, asked: Mapping[datetime, datetime | None]) -> datetime:
    """Return the onboarding to which something made at a time belongs: the last one before it.

    ``asked`` is when Meta was asked for this kind of data, by onboarding; it must not be empty. Meta delivers for days
    what failed before: until a new onboarding's own data was asked for, what comes belongs to the former one's request.
    What came before the first (the number wrote to us before it was connected here) counts for the first.
    docs/connecting.md says what cannot be told apart.
    """
    known = sorted(asked)
    begun = [each for each in known if each <= at] or known[:1]
    answered = [each for each in begun if (asked_at := asked[each]) is not None and asked_at - CLOCK_SKEW <= at]
    return max(answered, default=begun[-1])


def progress_of(phases: Mapping[int, int]) -> tuple[int, bool]:
    """Return the overall progress and whether the history is complete, from the highest progress per phase.

    ``progress`` is overall by the docs, but could turn out to be per phase (requirement B8): complete is a
    100 in the highest phase that came, never one in a phase that others followed.
    """
    if not phases:
        return 0, False
    return max(phases.values()), phases[max(phases)] == 100
