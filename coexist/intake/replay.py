"""Putting deliveries of the journal in line again: after a fix, or to fill an empty database.

Applying is harmless the second time, and silent: what is there already changes nothing, so nobody is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Invalid
from coexist.intake.retention import hold_off
from coexist.intake.store import BACKLOG_CHANNEL

WINDOW_ROWS: Final = 5_000
"""Deliveries that are put in line in one transaction, while somebody waits to be told how far it is."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the journal: ids and times of receipt from one to the other, both included; None is open."""

    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_quarantined: bool = False

    def values(self) -> dict[str, Any]:
        """As SQL wants it."""
        return {
            "first": self.first,
            "last": self.last,
            "since": self.since,
            "until": self.until,
            "quarantined": self.is_quarantined,
        }


@dataclass(frozen=True, slots=True)
class Extent:
    """What the journal has: None for ids and times of an empty one."""

    first: int | None
    first_at: datetime | None
    last: int | None
    last_at: datetime | None


EXTENT: Final = """
SELECT f.id AS first, f.received_at AS first_at, l.id AS last, l.received_at AS last_at
  FROM (SELECT) AS one
  LEFT JOIN (SELECT id, received_at FROM journal ORDER BY id LIMIT 1) AS f ON true
  LEFT JOIN (SELECT id, received_at FROM journal ORDER BY id DESC LIMIT 1) AS l ON true
"""


async def extent(conn: Connection) -> Extent:
    """Return where the journal begins and ends."""
    async with conn.cursor(row_factory=class_row(Extent)) as cursor:
        await cursor.execute(EXTENT)
        row = await cursor.fetchone()
    assert row is not None
    return row


def check(span: Span, has: Extent, now: datetime) -> None:
    """Raise Invalid for a span that cannot be meant: backwards, in the future, or beside what the journal has."""
    if has.first is None or has.last is None or has.first_at is None or has.last_at is None:
        raise Invalid("The journal is empty: there is nothing to replay.")
    if span.first is not None and span.last is not None and span.first > span.last:
        raise Invalid(f"The range ends before it begins: {span.first} comes after {span.last}.")
    if span.since is not None and span.until is not None and span.since > span.until:
        raise Invalid(f"The range ends before it begins: {_at(span.since)} comes after {_at(span.until)}.")
    if span.since is not None and span.since > now:
        raise Invalid(f"The range begins in the future, at {_at(span.since)}.")
    if (span.first or 0) > has.last or (span.since is not None and span.since > has.last_at):
        raise Invalid(f"The journal ends before that, with delivery {has.last} of {_at(has.last_at)}.")
    if (span.last or has.first) < has.first or (span.until is not None and span.until < has.first_at):
        raise Invalid(
            f"The journal begins after that, with delivery {has.first} of {_at(has.first_at)}.",
            next_step="Older ones were never here, or COEXIST_JOURNAL_DAYS has let go of them.",
        )


def _at(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


SPAN: Final = """
    j.id BETWEEN coalesce(%(first)s::bigint, 1) AND coalesce(%(last)s::bigint, 9223372036854775807)
   AND (%(since)s::timestamptz IS NULL OR j.received_at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR j.received_at <= %(until)s)
   AND (NOT %(quarantined)s OR EXISTS (SELECT FROM quarantine q WHERE q.journal_id = j.id))
"""

COUNT: Final = f"SELECT count(*) FROM journal j WHERE {SPAN}"


async def count(conn: Connection, span: Span) -> int:
    """Return how many deliveries ``replay`` would put in line, those that are in line anyway included."""
    row = await (await conn.execute(COUNT, span.values())).fetchone()
    assert row is not None
    return int(row[0])


# In the bulk lane: what happens now goes first. What is in line anyway is not put there twice.
REPLAY: Final = f"""
WITH wanted AS (
    INSERT INTO backlog (lane, journal_id)
    SELECT 1, j.id FROM journal j
     WHERE {SPAN}
       AND NOT EXISTS (SELECT FROM backlog b WHERE b.journal_id = j.id AND b.only_for = '')
        ON CONFLICT DO NOTHING
    RETURNING journal_id),
retried AS (
    UPDATE quarantine q SET retry_wanted_at = %(now)s, retry_wanted_by = %(by)s
      FROM wanted w WHERE w.journal_id = q.journal_id)
SELECT count(*) FROM wanted
"""


async def replay(conn: Connection, span: Span, *, by: str = "a replay") -> int:
    """Have the deliveries of the span applied again, and return how many were put in line.

    With ``is_quarantined`` only those of which a part could not be applied. ``by`` is shown with what waits there.
    """
    await hold_off(conn)
    row = await (await conn.execute(REPLAY, span.values() | {"by": by, "now": clock.now()})).fetchone()
    assert row is not None
    return int(row[0])


# What is in line for this already is not put there twice; ON CONFLICT waits for whoever is just taking it off.
REPLAY_IMPORT: Final = f"""
WITH wanted AS (
    SELECT d.journal_id FROM import_deliveries d JOIN journal j ON j.id = d.journal_id
     WHERE d.phone_number_id IN (%(number)s, '') AND (%(since)s::timestamptz IS NULL OR j.received_at >= %(since)s)),
waiting AS (
    INSERT INTO backlog (lane, journal_id, only_for) SELECT DISTINCT 1, journal_id, %(number)s FROM wanted
        ON CONFLICT DO NOTHING),
retried AS (
    UPDATE quarantine q SET retry_wanted_at = %(now)s, retry_wanted_by = %(by)s
      FROM wanted w WHERE w.journal_id = q.journal_id AND q.phone_number_id = %(number)s)
SELECT count(DISTINCT journal_id), pg_notify('{BACKLOG_CHANNEL}', '') FROM wanted
"""


async def replay_import(conn: Connection, phone_number_id: str, since: datetime | None, by: str) -> int:
    """Have the history and contacts of one number applied again that were received since then; return how many.

    Each for this number alone: what it tells of another one stays as it is, taken back or not.
    """
    await hold_off(conn)
    values = {"number": phone_number_id, "since": since, "by": by, "now": clock.now()}
    row = await (await conn.execute(REPLAY_IMPORT, values)).fetchone()
    assert row is not None
    return int(row[0])


NEXT_WINDOW: Final = "SELECT max(id) FROM (SELECT id FROM journal WHERE id >= %s ORDER BY id LIMIT %s) AS j"


async def window_end(conn: Connection, first: int, rows: int = WINDOW_ROWS) -> int | None:
    """Return the last id of the ``rows`` deliveries from the id ``first`` on; None when there are none."""
    row = await (await conn.execute(NEXT_WINDOW, (first, rows))).fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


IN_LINE: Final = f"SELECT count(*) FROM backlog b JOIN journal j ON j.id = b.journal_id WHERE {SPAN}"


async def in_line(conn: Connection, span: Span) -> int:
    """Return how many deliveries of the span still wait to be applied."""
    row = await (await conn.execute(IN_LINE, span.values())).fetchone()
    assert row is not None
    return int(row[0])


FAILED: Final = f"""
SELECT count(*) FROM quarantine k JOIN journal j ON j.id = k.journal_id WHERE k.dismissed_at IS NULL AND {SPAN}
"""


async def quarantined_count(conn: Connection, span: Span) -> int:
    """Return how many parts of the span's deliveries could not be applied."""
    row = await (await conn.execute(FAILED, span.values())).fetchone()
    assert row is not None
    return int(row[0])
