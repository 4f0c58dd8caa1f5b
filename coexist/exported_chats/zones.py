"""From the phone's clock to the world's: an export says what time it was on the phone, never in which zone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from coexist.base.errors import Invalid

AWAY_MAX: Final = timedelta(hours=15)
"""How far a clock on earth can be from UTC, and some."""
AGREES_S: Final = 120
"""How far two times of one message may be apart: minutes are cut off, and clocks go wrong."""
PAIRS_COUNT: Final = 200


class Pair(NamedTuple):
    """One message by the phone's clock, as exported, and by the world's, as Meta told it."""

    local: datetime
    at: datetime


class Instant(NamedTuple):
    """When a message was sent. ``other`` when that hour came twice, at the end of summer time, and it may be that."""

    at: datetime
    other: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A time zone, and of how many messages known with both times it explains how many."""

    name: str
    agreeing_count: int
    pair_count: int

    @property
    def is_proven(self) -> bool:
        """Whether evidence speaks for it, and not only the person's own zone."""
        return self.agreeing_count * 2 > self.pair_count


def zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name, or raise Invalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            f"{name[:64]!r} is no time zone.", next_step="Choose one of the list, such as Europe/Lisbon."
        ) from error


@lru_cache(maxsize=1)
def names() -> Sequence[str]:
    """Return every zone that belongs to a place, in order."""
    return sorted(
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix", "right"))
    )


def instant(local: datetime, where: ZoneInfo, previous: datetime | None) -> Instant:
    """Return when it was ``local`` on a phone in ``where``; ``previous`` is the message before, in the chat's order.

    An hour that comes twice is told apart by the order of the messages, as far as that tells. An hour that never was
    (a clock set by hand) is read as if summer time had not begun yet.
    """
    first = local.replace(tzinfo=where, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=where, fold=1).astimezone(UTC)
    if second <= first:  # equal, or a gap
        return Instant(first)
    if previous is not None and first < previous - timedelta(minutes=1) <= second:
        return Instant(second, first)
    return Instant(first, second)


def propose(pairs: Sequence[Pair], preferred: Sequence[str], *, only: bool = False) -> Proposal:
    """Return the zone that explains the most ``pairs``, of equal ones the first ``preferred``; ``only`` of these.

    Needs one preferred. Raises Invalid when one of them is no time zone.
    """
    step = max(1, len(pairs) // PAIRS_COUNT)
    chosen = [pair for pair in pairs if abs(pair.local.replace(tzinfo=UTC) - pair.at) <= AWAY_MAX][::step]
    if not chosen:
        return Proposal(zone(preferred[0]).key, 0, 0)
    best, most = preferred[0], -1
    for name in dict.fromkeys((*preferred, *(() if only else names()))):
        where = zone(name)
        count = sum(_agrees(pair, where) for pair in chosen)
        if count > most:
            best, most = name, count
    return Proposal(best, most, len(chosen))


def _agrees(pair: Pair, where: ZoneInfo) -> bool:
    there = pair.at.astimezone(where).replace(tzinfo=None)
    return abs((there - pair.local).total_seconds()) < AGREES_S
