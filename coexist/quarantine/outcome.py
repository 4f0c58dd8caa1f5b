"""What a retry came to, told by what stood there before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coexist.base.database import Connection
from coexist.quarantine import store
from coexist.quarantine.model import Keeper, Quarantined


class Outcome(StrEnum):
    """What became of a part since it was retried."""

    IN_LINE = "still in line"
    APPLIED = "applied"
    SAME = "failed again, for the same reason"
    OTHERWISE = "failed again, for another reason"
    ELSEWHERE = "another part of its delivery fails now"


ENDED: Final = frozenset({Outcome.APPLIED, Outcome.SAME, Outcome.OTHERWISE, Outcome.ELSEWHERE})


@dataclass(frozen=True, slots=True)
class Retried:
    """A part as it was before its retry, and what came of it. ``error`` is what it fails of now."""

    before: Quarantined
    outcome: Outcome
    error: str | None = None


async def outcomes(conn: Connection, keeper: Keeper, before: Sequence[Quarantined]) -> Sequence[Retried]:
    """Return what became of parts that were retried, in the order given."""
    found = []
    for part in before:
        now = await store.find(conn, keeper, part.id)
        if now is None:
            was_settled = await store.is_settled(conn, part.journal_id, part.part, part.since)
            found.append(Retried(part, Outcome.APPLIED if was_settled else Outcome.ELSEWHERE))
        elif now.attempts == part.attempts:
            found.append(Retried(part, Outcome.IN_LINE))
        else:
            found.append(Retried(part, Outcome.SAME if now.error == part.error else Outcome.OTHERWISE, now.error))
    return found
