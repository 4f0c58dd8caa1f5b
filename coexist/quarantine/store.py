"""SQL of the quarantine: what the intake puts there and takes out again, and what its keepers see and decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.quarantine.model import Counts, Failed, Keeper, Quarantined, Settled, Unrouted

PAGE_ROWS: Final = 50
"""Parts that are listed at once."""

SETTLED_ROWS: Final = 10
"""Outcomes of late retries that are listed."""

# ── what the intake settles ───────────────────────────────────────────────────────────────────────────────

# A part that failed before and does not now is applied, unless what failed now is a piece of it, or holds it.
FORGET = """
WITH tried AS (
    SELECT journal_id, only_for FROM json_to_recordset(%(tried)s::json) AS t (journal_id bigint, only_for text)),
failed AS (
    SELECT journal_id, part FROM json_to_recordset(%(failed)s::json) AS f (journal_id bigint, part text)),
gone AS (
    DELETE FROM quarantine q
     WHERE EXISTS (SELECT FROM tried t
                    WHERE t.journal_id = q.journal_id AND t.only_for IN ('', q.phone_number_id))
       AND NOT EXISTS (SELECT FROM failed f WHERE f.journal_id = q.journal_id AND f.part = q.part)
    RETURNING journal_id, part, phone_number_id, kind, error, attempts, since, retry_wanted_by),
settled AS (
    INSERT INTO quarantine_settled
           (journal_id, part, phone_number_id, kind, error, attempts, since, retry_wanted_by, settled_at)
    SELECT g.*, %(now)s FROM gone g
     WHERE NOT EXISTS (SELECT FROM failed f
                        WHERE f.journal_id = g.journal_id
                          AND (starts_with(f.part, g.part) OR starts_with(g.part, f.part))))
SELECT DISTINCT phone_number_id FROM gone
"""

QUARANTINE = """
INSERT INTO quarantine AS old (journal_id, part, phone_number_id, error, kind, field, part_bytes, since, last_at)
SELECT journal_id, part, phone_number_id, error, kind, field, part_bytes, %(now)s, %(now)s
  FROM json_to_recordset(%(failed)s::json) AS q
       (journal_id bigint, part text, phone_number_id text, error text, kind text, field text, part_bytes int)
    ON CONFLICT (journal_id, part) DO UPDATE
   SET error = excluded.error, attempts = old.attempts + 1, last_at = excluded.last_at,
       kind = excluded.kind, field = excluded.field, part_bytes = excluded.part_bytes,
       phone_number_id = coalesce(excluded.phone_number_id, old.phone_number_id),
       previous_error = CASE WHEN old.error <> excluded.error THEN old.error END,
       retried_at = CASE WHEN old.retry_wanted_at IS NULL THEN old.retried_at ELSE excluded.last_at END,
       retry_wanted_at = NULL
"""


async def settle(
    conn: Connection, tried: Collection[tuple[int, str]], failed: Sequence[Failed]
) -> Collection[str | None]:
    """Write down what failed in these deliveries, and take out what failed before and no longer does.

    ``tried`` are (journal_id, the number of which alone it was applied, or nothing for all of it). A part stands in
    ``failed`` once at most. Returns the numbers of which something changed.
    """
    each = [{"journal_id": journal_id, "only_for": only_for} for journal_id, only_for in tried]
    values: dict[str, Any] = {"tried": msgspec.json.encode(each).decode(), "now": clock.now()}
    values["failed"] = msgspec.json.encode(failed).decode()
    cursor = await conn.execute(FORGET, values)
    gone = {number for (number,) in await cursor.fetchall()}
    if failed:
        await conn.execute(QUARANTINE, values)
    return gone | {one.phone_number_id for one in failed}


# What names no number of anybody is shown to the only account, if there is only one.
CONCERNED = """
SELECT account_id FROM inboxes WHERE phone_number_id = ANY(%s)
 UNION
SELECT min(id) FROM accounts HAVING count(*) = 1
"""


async def events_of(conn: Connection, phone_number_ids: Iterable[str | None] = ()) -> list[NewEvent]:
    """Return the events that tell of a change in what waits, to those whom these numbers concern."""
    cursor = await conn.execute(CONCERNED, ([number for number in phone_number_ids if number],))
    return [NewEvent(account_id, Kind.QUARANTINE_CHANGED) for (account_id,) in await cursor.fetchall()]


# ── what a keeper sees ────────────────────────────────────────────────────────────────────────────────────

IS_ONLY_ACCOUNT = "NOT EXISTS (SELECT FROM accounts a WHERE a.id <> %(account_id)s)"

MINE = f"""
(%(account_id)s::int IS NULL OR i.account_id = %(account_id)s OR (i.id IS NULL AND {IS_ONLY_ACCOUNT}))
"""

PARTS = f"""
SELECT q.id, q.journal_id, q.part, q.kind, q.part_bytes, q.phone_number_id, i.name AS inbox_name,
       i.display_phone_number, q.error, q.previous_error, q.attempts, j.received_at, q.since, q.last_at,
       q.retry_wanted_at, q.retry_wanted_by, q.retried_at, q.dismissed_at, q.dismissed_by, q.dismissed_why
  FROM quarantine q JOIN journal j ON j.id = q.journal_id
  LEFT JOIN inboxes i ON i.phone_number_id = q.phone_number_id
 WHERE {MINE}
"""

PAGE = (
    PARTS
    + """
   AND (q.dismissed_at IS NOT NULL) = %(is_dismissed)s AND (%(before)s::bigint IS NULL OR q.id < %(before)s)
 ORDER BY q.id DESC
 LIMIT %(limit)s
"""
)


async def page(
    conn: Connection, keeper: Keeper, *, is_dismissed: bool = False, before: int | None = None, limit: int = PAGE_ROWS
) -> tuple[Sequence[Quarantined], bool]:
    """Return the newest parts that wait, or that were dismissed, before the id ``before``; and whether more follow."""
    values = {"account_id": keeper.account_id, "is_dismissed": is_dismissed, "before": before, "limit": limit + 1}
    async with conn.cursor(row_factory=class_row(Quarantined)) as cursor:
        await cursor.execute(PAGE, values)
        rows = await cursor.fetchall()
    return rows[:limit], len(rows) > limit


async def find(conn: Connection, keeper: Keeper, quarantine_id: int) -> Quarantined | None:
    """Return one part, if it still waits and the keeper may see it."""
    async with conn.cursor(row_factory=class_row(Quarantined)) as cursor:
        await cursor.execute(PARTS + "AND q.id = %(id)s", {"account_id": keeper.account_id, "id": quarantine_id})
        return await cursor.fetchone()


UNROUTED = f"""
SELECT u.phone_number_id, count(*) AS delivery_count, min(j.received_at) AS first_at, max(j.received_at) AS last_at,
       d.dismissed_at, d.dismissed_by, d.dismissed_why
  FROM unrouted u JOIN journal j ON j.id = u.journal_id
  LEFT JOIN unrouted_dismissals d ON d.phone_number_id = u.phone_number_id
 WHERE %(account_id)s::int IS NULL OR {IS_ONLY_ACCOUNT}
 GROUP BY u.phone_number_id, d.phone_number_id
 ORDER BY u.phone_number_id
"""


async def unrouted(conn: Connection, keeper: Keeper) -> Sequence[Unrouted]:
    """Return the numbers and WhatsApp accounts that deliveries name and nobody has connected here."""
    async with conn.cursor(row_factory=class_row(Unrouted)) as cursor:
        await cursor.execute(UNROUTED, {"account_id": keeper.account_id})
        return await cursor.fetchall()


SETTLED = f"""
SELECT s.id, s.journal_id, s.part, s.kind, i.name AS inbox_name, s.error, s.attempts, s.since, s.retry_wanted_by,
       s.settled_at
  FROM quarantine_settled s LEFT JOIN inboxes i ON i.phone_number_id = s.phone_number_id
 WHERE {MINE}
 ORDER BY s.id DESC
 LIMIT %(limit)s
"""


async def settled(conn: Connection, keeper: Keeper, *, limit: int = SETTLED_ROWS) -> Sequence[Settled]:
    """Return what was applied after all, newest first."""
    async with conn.cursor(row_factory=class_row(Settled)) as cursor:
        await cursor.execute(SETTLED, {"account_id": keeper.account_id, "limit": limit})
        return await cursor.fetchall()


async def is_settled(conn: Connection, journal_id: int, part: str, since: datetime) -> bool:
    """Whether a part that was quarantined at ``since`` has been applied after all."""
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM quarantine_settled WHERE journal_id = %s AND part = %s AND since = %s)",
        (journal_id, part, since),
    )
    return await cursor.fetchone() == (True,)


COUNTS = f"""
SELECT count(*), count(q.retry_wanted_at),
       (SELECT count(DISTINCT u.phone_number_id) FROM unrouted u
         WHERE NOT EXISTS (SELECT FROM unrouted_dismissals d WHERE d.phone_number_id = u.phone_number_id)
           AND (%(account_id)s::int IS NULL OR {IS_ONLY_ACCOUNT}))
  FROM quarantine q LEFT JOIN inboxes i ON i.phone_number_id = q.phone_number_id
 WHERE q.dismissed_at IS NULL AND {MINE}
"""


async def counts(conn: Connection, keeper: Keeper) -> Counts:
    """Return how much waits that the keeper may see and nobody has dismissed."""
    row = await (await conn.execute(COUNTS, {"account_id": keeper.account_id})).fetchone()
    assert row is not None
    return Counts(*row)


# ── what a keeper decides ─────────────────────────────────────────────────────────────────────────────────

# In the bulk lane: what happens now goes first. One part is tried again with its whole delivery, which is harmless for
# what is applied. ON CONFLICT waits for whoever is just taking the delivery off the backlog, so it is never missed.
RETRY = f"""
WITH mine AS (
    SELECT q.id, q.journal_id
      FROM quarantine q LEFT JOIN inboxes i ON i.phone_number_id = q.phone_number_id
     WHERE q.dismissed_at IS NULL AND {MINE}),
wanted AS (
    UPDATE quarantine q SET retry_wanted_at = %(now)s, retry_wanted_by = %(by)s
      FROM mine m
     WHERE m.id = q.id
       AND (%(ids)s::bigint[] IS NULL OR q.journal_id IN (SELECT journal_id FROM mine WHERE id = ANY(%(ids)s)))
    RETURNING q.id, q.journal_id, q.phone_number_id),
waiting AS (
    INSERT INTO backlog (lane, journal_id) SELECT DISTINCT 1, journal_id FROM wanted ON CONFLICT DO NOTHING)
SELECT id, phone_number_id FROM wanted
"""


async def want_retry(conn: Connection, keeper: Keeper, ids: Collection[int] | None) -> Mapping[int, str | None]:
    """Put the deliveries of these parts, or of all, in line; return the parts of them: id and phone_number_id."""
    wanted = None if ids is None else list(ids)
    values = {"account_id": keeper.account_id, "by": keeper.name, "ids": wanted, "now": clock.now()}
    return dict(await (await conn.execute(RETRY, values)).fetchall())


CHANGE_DISMISSAL = f"""
UPDATE quarantine q
   SET dismissed_at = CASE WHEN %(why)s::text IS NOT NULL THEN %(now)s::timestamptz END,
       dismissed_by = CASE WHEN %(why)s::text IS NOT NULL THEN %(by)s::text END,
       dismissed_why = %(why)s
  FROM quarantine m LEFT JOIN inboxes i ON i.phone_number_id = m.phone_number_id
 WHERE m.id = q.id AND q.id = ANY(%(ids)s) AND (q.dismissed_at IS NULL) = (%(why)s::text IS NOT NULL)
   AND {MINE}
RETURNING q.id, q.phone_number_id
"""


async def change_dismissal(
    conn: Connection, keeper: Keeper, ids: Collection[int], why: str | None
) -> Mapping[int, str | None]:
    """Dismiss parts, or with no reason take their dismissal back; return those that changed: id, phone_number_id."""
    values = {"account_id": keeper.account_id, "by": keeper.name, "ids": list(ids), "why": why, "now": clock.now()}
    return dict(await (await conn.execute(CHANGE_DISMISSAL, values)).fetchall())


DISMISS_NUMBER = f"""
INSERT INTO unrouted_dismissals (phone_number_id, dismissed_at, dismissed_by, dismissed_why)
SELECT DISTINCT phone_number_id, %(now)s::timestamptz, %(by)s, %(why)s FROM unrouted
 WHERE phone_number_id = %(number)s AND (%(account_id)s::int IS NULL OR {IS_ONLY_ACCOUNT})
    ON CONFLICT DO NOTHING
"""


async def dismiss_number(conn: Connection, keeper: Keeper, phone_number_id: str, why: str) -> bool:
    """Count a number that is not connected here no longer; False when nothing of it waits, or it is done already."""
    values = {"account_id": keeper.account_id, "by": keeper.name, "now": clock.now()}
    values |= {"number": phone_number_id, "why": why}
    return (await conn.execute(DISMISS_NUMBER, values)).rowcount > 0


RESTORE_NUMBER = f"""
DELETE FROM unrouted_dismissals
 WHERE phone_number_id = %(number)s AND (%(account_id)s::int IS NULL OR {IS_ONLY_ACCOUNT})
"""


async def restore_number(conn: Connection, keeper: Keeper, phone_number_id: str) -> bool:
    """Count a number again; False when it was not dismissed."""
    values = {"account_id": keeper.account_id, "number": phone_number_id}
    return (await conn.execute(RESTORE_NUMBER, values)).rowcount > 0


# ── what is let go of ─────────────────────────────────────────────────────────────────────────────────────

FORGET_SETTLED = """
DELETE FROM quarantine_settled
 WHERE id IN (SELECT id FROM quarantine_settled ORDER BY id LIMIT %s) AND settled_at < %s
"""


async def forget_settled(conn: Connection, before: datetime, limit: int) -> int:
    """Forget outcomes of retries from before a time, the oldest first, ``limit`` at most; return how many."""
    return (await conn.execute(FORGET_SETTLED, (limit, before))).rowcount
