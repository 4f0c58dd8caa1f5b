"""What Meta keeps a number from doing, and until when: ``ACCOUNT_RESTRICTION`` (meta-protocol 5.7). Pure.

Only what is restricted is held. It ends at the time that Meta named, or when somebody says that it is settled; where
Meta named none, its health status ends it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

EVENT: Final = "ACCOUNT_RESTRICTION"
BEGINS: Final = "RESTRICTED_BIZ_INITIATED_MESSAGING"
REPLIES: Final = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"
UTILITY: Final = "RESTRICTED_UTILITY_TEMPLATES"
HOLDING: Final = {BEGINS: "begins_until", REPLIES: "replies_until", UTILITY: "utility_until"}
"""The types that hold messages; of the others, calls and further numbers, people are told."""
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Meta named no end."""
MILLISECONDS_FROM: Final = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Until when the number may not begin conversations, answer in them, send utility templates; None: it may."""

    begins_until: datetime | None = None
    replies_until: datetime | None = None
    utility_until: datetime | None = None

    def settled(self, *, by_a_person: bool) -> Restrictions:
        """What is left after somebody, or Meta's health status, said that sending goes on."""
        if by_a_person:
            return Restrictions()
        each = (self.begins_until, self.replies_until, self.utility_until)
        return Restrictions(*(None if until == FOREVER else until for until in each))

    def with_told(self, value: Mapping[str, Any]) -> Restrictions:
        """What holds after Meta told of restrictions; those that it does not name stay."""
        return replace(self, **{HOLDING[kind]: until or FOREVER for kind, until in told(value) if kind in HOLDING})


def told(value: Mapping[str, Any]) -> list[tuple[str, datetime | None]]:
    """The types that an event names, each with its end; None when it names none that can be read."""
    infos = value.get("restriction_info")
    return [
        (info["restriction_type"], _end(info.get("expiration")))
        for info in (infos if isinstance(infos, list) else ())
        if isinstance(info, Mapping) and isinstance(info.get("restriction_type"), str)
    ]


def is_endless(value: Mapping[str, Any]) -> bool:
    """Whether an event holds messages without naming an end."""
    return any(kind in HOLDING and until is None for kind, until in told(value))


def _end(expiration: object) -> datetime | None:
    if isinstance(expiration, str) and expiration.isdecimal():
        expiration = int(expiration)
    if not isinstance(expiration, int | float) or isinstance(expiration, bool) or expiration <= 0:
        return None
    try:
        return datetime.fromtimestamp(expiration / 1000 if expiration > MILLISECONDS_FROM else expiration, UTC)
    except (ValueError, OverflowError, OSError):
        return None
