"""What the journal holds, in figures for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from coexist.base.database import Connection


@dataclass(frozen=True, slots=True)
class Figures:
    """The journal at one moment. ``oldest_waiting_at`` is when the oldest delivery in line was received."""

    live: int
    imports: int
    disk_bytes: int
    first_at: datetime | None
    last_at: datetime | None
    in_line: int
    oldest_waiting_at: datetime | None
    quarantined: int
    dismissed: int
    unrouted: int
    events: int
    workers: int


FIGURES: Final = """
SELECT j.live, j.imports, pg_total_relation_size('journal') AS disk_bytes, j.first_at, j.last_at, b.in_line,
       b.oldest_waiting_at, q.quarantined, q.dismissed, (SELECT count(DISTINCT journal_id) FROM unrouted) AS unrouted,
       (SELECT count(*) FROM events) AS events,
       (SELECT count(DISTINCT (client_addr, pid)) FROM pg_stat_activity
         WHERE application_name = 'coexist work listen' AND datname = current_database()) AS workers
  FROM (SELECT count(*) FILTER (WHERE lane = 0) AS live, count(*) FILTER (WHERE lane <> 0) AS imports,
               min(received_at) AS first_at, max(received_at) AS last_at FROM journal) AS j,
       (SELECT count(*) AS in_line, min(w.received_at) AS oldest_waiting_at
          FROM backlog b JOIN journal w ON w.id = b.journal_id) AS b,
       (SELECT count(*) FILTER (WHERE dismissed_at IS NULL) AS quarantined, count(dismissed_at) AS dismissed
          FROM quarantine) AS q
"""


async def figures(conn: Connection) -> Figures:
    """Count what is there. Reads the whole journal but for its bodies: seconds, where there are tens of millions."""
    async with conn.cursor(row_factory=class_row(Figures)) as cursor:
        await cursor.execute(FIGURES)
        row = await cursor.fetchone()
    assert row is not None
    return row


WORKERS: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE application_name = 'coexist work listen' AND datname = current_database())
"""


async def has_worker(conn: Connection) -> bool:
    """Whether a worker is connected: somebody who applies what is put in line."""
    return await (await conn.execute(WORKERS)).fetchone() == (True,)
