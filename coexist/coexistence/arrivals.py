"""What arrived for which onboarding: sets of evidence, and the states they amount to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from coexist.base.database import Connection
from coexist.coexistence import rules
from coexist.coexistence.model import SyncKind

UNKNOWN: Final = -1
"""The phase or order of a chunk whose wire said nonsense."""

Error = tuple[datetime, int, str]
"""When, Meta's code (0 if it told none), and the details: the newest is shown, ties by value."""


@dataclass(slots=True)
class Arrivals:
    """What one batch told about one sync of one onboarding."""

    received_at: set[datetime] = field(default_factory=set)
    declined_at: datetime | None = None
    error: Error | None = None

    def declined(self, at: datetime) -> None:
        """The business declined at ``at``; the first time counts."""
        self.declined_at = at if self.declined_at is None else min(self.declined_at, at)

    def failed(self, error: Error) -> None:
        """Meta told an error; the newest counts."""
        self.error = error if self.error is None else max(self.error, error)


@dataclass(frozen=True, slots=True)
class Place:
    """One sync of one onboarding of one inbox."""

    inbox_id: int
    kind: SyncKind
    onboarded_at: datetime


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """One chunk of a history, as far as its envelope goes."""

    phase: int
    chunk_order: int
    progress: int
    thread_count: int
    message_count: int
    arrived_at: datetime


@dataclass(slots=True)
class Batch:
    """All arrivals of one batch, by place."""

    arrivals: dict[Place, Arrivals] = field(default_factory=lambda: defaultdict(Arrivals))
    chunks: dict[Place, list[Chunk]] = field(default_factory=lambda: defaultdict(list))


async def received_at(conn: Connection, journal_ids: Collection[int]) -> dict[int, datetime]:
    """Return when each delivery came: the time of receipt, never of processing (requirement C8)."""
    cursor = await conn.execute("SELECT id, received_at FROM journal WHERE id = ANY(%s)", (list(journal_ids),))
    return {int(journal_id): at for journal_id, at in await cursor.fetchall()}


async def asked(conn: Connection, inbox_ids: Collection[int]) -> dict[tuple[int, str], dict[datetime, datetime | None]]:
    """Return when Meta was asked for each kind of data of each inbox, by onboarding; None where it never was."""
    found: dict[tuple[int, str], dict[datetime, datetime | None]] = defaultdict(dict)
    cursor = await conn.execute(
        "SELECT inbox_id, kind::text, onboarded_at, coalesce(requested_at, asked_again_at) FROM syncs"
        " WHERE inbox_id = ANY(%s)",
        (list(inbox_ids),),
    )
    for inbox_id, kind, onboarded_at, requested_at in await cursor.fetchall():
        found[inbox_id, kind][onboarded_at] = requested_at
    return found


PUT_CHUNKS: Final = """
INSERT INTO history_chunks AS known
       (inbox_id, onboarded_at, phase, chunk_order, progress, thread_count, message_count, arrived_at)
SELECT inbox_id, onboarded_at, phase, chunk_order, max(progress), max(thread_count), max(message_count),
       min(arrived_at)
  FROM json_to_recordset(%s::json) AS chunk (
       inbox_id int, onboarded_at timestamptz, phase smallint, chunk_order int, progress smallint,
       thread_count int, message_count int, arrived_at timestamptz)
 GROUP BY inbox_id, onboarded_at, phase, chunk_order
 ORDER BY inbox_id, onboarded_at, phase, chunk_order
    ON CONFLICT (inbox_id, onboarded_at, phase, chunk_order) DO UPDATE
   SET progress = greatest(known.progress, EXCLUDED.progress),
       thread_count = greatest(known.thread_count, EXCLUDED.thread_count),
       message_count = greatest(known.message_count, EXCLUDED.message_count),
       arrived_at = least(known.arrived_at, EXCLUDED.arrived_at)
"""


async def put_chunks(conn: Connection, chunks: Mapping[Place, list[Chunk]]) -> None:
    """Merge chunks: each phase and order once, with the highest of what was ever told about it."""
    rows = [
        {"inbox_id": place.inbox_id, "onboarded_at": place.onboarded_at, **_chunk(chunk)}
        for place, received in chunks.items()
        for chunk in received
    ]
    if rows:
        await conn.execute(PUT_CHUNKS, (msgspec.json.encode(rows).decode(),))


def _chunk(chunk: Chunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in Chunk.__slots__}


MERGE: Final = """
UPDATE syncs s
   SET first_arrival_at = least(s.first_arrival_at, a.first_at),
       last_arrival_at = greatest(s.last_arrival_at, a.last_at),
       declined_at = least(s.declined_at, a.declined_at),
       error_code = CASE WHEN a.is_newer THEN a.error_code ELSE s.error_code END,
       error = CASE WHEN a.is_newer THEN a.error ELSE s.error END,
       error_at = CASE WHEN a.is_newer THEN a.error_at ELSE s.error_at END
  FROM (SELECT a.*, a.error_at IS NOT NULL AND (
                    s.error_at IS NULL
                 OR (a.error_at, a.error_code, a.error) > (s.error_at, coalesce(s.error_code, 0), s.error)
               ) AS is_newer
          FROM json_to_recordset(%s::json) AS a (
               inbox_id int, kind sync_kind, onboarded_at timestamptz, first_at timestamptz,
               last_at timestamptz, declined_at timestamptz, error_at timestamptz, error_code int, error text)
          JOIN syncs s USING (inbox_id, kind, onboarded_at)) a
 WHERE (s.inbox_id, s.kind, s.onboarded_at) = (a.inbox_id, a.kind, a.onboarded_at)
"""


async def merge(conn: Connection, arrivals: Mapping[Place, Arrivals]) -> None:
    """Merge arrivals into their syncs: first, last, declined, and the newest error."""
    rows = []
    for place, told in arrivals.items():
        error_at, error_code, error = told.error or (None, None, None)
        rows.append(
            {
                "inbox_id": place.inbox_id,
                "kind": place.kind,
                "onboarded_at": place.onboarded_at,
                "first_at": min(told.received_at, default=None),
                "last_at": max(told.received_at, default=None),
                "declined_at": told.declined_at,
                "error_at": error_at,
                "error_code": error_code,
                "error": error,
            }
        )
    if rows:
        await conn.execute(MERGE, (msgspec.json.encode(rows).decode(),))


HIGHEST: Final = """
SELECT inbox_id, onboarded_at, phase, max(progress), min(arrived_at), max(arrived_at)
  FROM history_chunks WHERE inbox_id = ANY(%s)
 GROUP BY inbox_id, onboarded_at, phase
"""

# Chunks speak louder than a refusal to share, and that louder than what we know of our own request.
SET_HISTORY: Final = """
UPDATE syncs
   SET state = CASE WHEN %(complete)s THEN 'completed' WHEN %(arrived)s THEN 'receiving'
                    WHEN declined_at IS NOT NULL THEN 'declined' ELSE state END::sync_state,
       first_arrival_at = %(first)s, last_arrival_at = %(last)s,
       completed_at = CASE WHEN %(complete)s THEN %(last)s::timestamptz END
 WHERE inbox_id = %(inbox_id)s AND kind = 'history' AND onboarded_at = %(onboarded_at)s
"""


async def refresh_history(conn: Connection, places: Collection[Place]) -> None:
    """Compute the state of history syncs from their chunks, and from whether the business declined."""
    cursor = await conn.execute(HIGHEST, ([place.inbox_id for place in places],))
    found = await cursor.fetchall()
    for place in sorted(places, key=lambda place: (place.inbox_id, place.onboarded_at)):
        mine = [row[2:] for row in found if row[:2] == (place.inbox_id, place.onboarded_at)]
        _, is_complete = rules.progress_of({phase: progress for phase, progress, _, _ in mine})
        values = {
            "inbox_id": place.inbox_id,
            "onboarded_at": place.onboarded_at,
            "complete": is_complete,
            "arrived": bool(mine),
            "first": min((first for _, _, first, _ in mine), default=None),
            "last": max((last for _, _, _, last in mine), default=None),
        }
        await conn.execute(SET_HISTORY, values)


# An address book goes on changing for ever: only what came after we asked answers the request.
SET_CONTACTS: Final = """
UPDATE syncs SET state = 'receiving', requested_at = coalesce(requested_at, asked_again_at)
 WHERE inbox_id = %s AND kind = 'contacts' AND onboarded_at = %s
   AND (state IN ('requesting', 'requested', 'nothing_arrived')
        OR state = 'not_requested' AND asked_again_at IS NOT NULL)
   AND last_arrival_at >= coalesce(requested_at, asked_again_at) - %s
"""


async def refresh_contacts(conn: Connection, places: Collection[Place]) -> None:
    """Move contacts syncs on that something has arrived for."""
    for place in sorted(places, key=lambda place: (place.inbox_id, place.onboarded_at)):
        await conn.execute(SET_CONTACTS, (place.inbox_id, place.onboarded_at, rules.CLOCK_SKEW))
