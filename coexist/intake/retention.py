"""Letting go of what nobody needs any more: applied deliveries, old events, outcomes of retries, what waits in vain.

Deliveries that wait are never removed: neither what is in line, nor what could not be applied, dismissed or not, nor
what names a number that is not connected; nor, while something could not be applied, what tells of a message that has
not come. It goes in small batches with pauses between them, one process at a time, and not at all while much is in
line: applying goes first.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import structlog

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import AppError
from coexist.events import feed
from coexist.inbox import changes
from coexist.quarantine import store as quarantine

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
"""From one round to the next. The first comes after up to a tenth of it, so that hosts which start together part."""

BATCH_ROWS: Final = 1_000
BATCH_BYTES: Final = 32 * 1024 * 1024
"""Rows looked at, and bodies removed, in one transaction at most, unless one alone is larger: tens of milliseconds."""

PAUSE_SHARE: Final = 4.0
"""How much longer than a batch the pause after it is: retention takes a fifth of one connection's time at most."""

BUSY_COUNT: Final = 10_000
"""Deliveries in line from which on the journal is left alone: an import or a replay is under way."""

SETTLED_DAYS: Final = 30
"""How long outcomes of retries are shown."""

EVER: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Older than anything: what a limit of 0 days makes of the time before which deliveries go."""


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many days applied deliveries are kept, 0 for ever: ``live_days``, and ``import_days`` for imports.

    An import is history, and the phone's contacts: what came in the bulk lane, and what carried some of either beside
    something else, which is kept for the longer of both.
    """

    live_days: int
    import_days: int

    def ends(self, now: datetime) -> tuple[datetime, datetime]:
        """Before which times of receipt live deliveries, and imports, may go."""
        live, imports = ((now - timedelta(days=days)) if days else EVER for days in (self.live_days, self.import_days))
        return live, imports


def kept_of(settings: Settings) -> Kept:
    """What COEXIST_JOURNAL_DAYS and COEXIST_JOURNAL_IMPORT_DAYS say."""
    return Kept(settings.journal_days, settings.journal_import_days)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a round removed. ``removed_bytes`` is what the bodies took in the journal."""

    live: int = 0
    imports: int = 0
    removed_bytes: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(self.live + other.live, self.imports + other.imports, self.removed_bytes + other.removed_bytes)


# ── the journal ───────────────────────────────────────────────────────────────────────────────────────────

LOCK: Final = 0x4A524E4C  # "JRNL"


async def hold_off(conn: Connection) -> None:
    """Keep deliveries from being removed until the end of the transaction: whoever puts old ones in line calls it."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (LOCK,))


# Along the primary key, for ids and times of receipt go together: rows that stay are passed over once a round. While
# something is in quarantine, the message that an edit waits for may be in it: so long the edit's delivery stays.
LOOK = """
WITH looked AS (
    SELECT j.id, CASE WHEN d.is_import THEN 1 ELSE j.lane END AS lane, pg_column_size(j.body) AS bytes,
           j.received_at < CASE WHEN j.lane <> 0 THEN %(imports)s
                                WHEN d.is_import THEN least(%(live)s, %(imports)s) ELSE %(live)s END AS is_old,
           j.received_at < greatest(%(live)s, %(imports)s) AS is_near
      FROM (SELECT id, lane, received_at, body FROM journal WHERE id > %(after)s ORDER BY id LIMIT %(rows)s) AS j,
           LATERAL (SELECT EXISTS (SELECT FROM import_deliveries i WHERE i.journal_id = j.id) AS is_import) AS d),
sized AS (
    SELECT id, lane, bytes, is_old, is_near, CASE WHEN is_old THEN bytes ELSE 0 END AS to_remove FROM looked),
batch AS (
    SELECT id, lane, bytes, is_old, is_near
      FROM (SELECT *, sum(to_remove) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - to_remove AS before FROM sized) AS s
     WHERE before < %(bytes)s),
may_go AS (
    SELECT id, lane, bytes FROM batch b
     WHERE is_old
       AND NOT EXISTS (SELECT FROM backlog w WHERE w.journal_id = b.id)
       AND NOT EXISTS (SELECT FROM quarantine q WHERE q.journal_id = b.id)
       AND NOT EXISTS (SELECT FROM unrouted u WHERE u.journal_id = b.id)
       AND NOT ((SELECT EXISTS (SELECT FROM quarantine)) AND (
                EXISTS (SELECT FROM message_changes w WHERE w.is_waiting AND w.journal_id = b.id)
                OR EXISTS (SELECT FROM message_statuses w WHERE w.is_waiting AND w.journal_id = b.id))))
"""

REPORT = """
SELECT count(*) FILTER (WHERE lane = 0), count(*) FILTER (WHERE lane <> 0), coalesce(sum(bytes), 0)::bigint,
       (SELECT max(id) FROM batch WHERE (SELECT bool_or(is_near) FROM batch))
"""

COUNT_OLD = LOOK + REPORT + "FROM may_go"

REMOVE_OLD = (
    LOOK
    + """,
gone AS (DELETE FROM journal j USING may_go m WHERE j.id = m.id RETURNING m.lane, m.bytes)
"""
    + REPORT
    + "FROM gone"
)


async def _step(conn: Connection, statement: str, kept: Kept, after: int) -> tuple[Pruned, int | None]:
    """Run one of the two on the next batch; None when there is nothing old behind it."""
    live, imports = kept.ends(clock.now())
    values = {"after": after, "rows": BATCH_ROWS, "bytes": BATCH_BYTES, "live": live, "imports": imports}
    row = await (await conn.execute(statement, values)).fetchone()
    assert row is not None
    return Pruned(*row[:3]), row[3]


async def count_old(pool: Pool, kept: Kept) -> Pruned:
    """Return what a round would remove now."""
    total, after = Pruned(), 0
    while True:
        async with transaction(pool) as conn:
            counted, last = await _step(conn, COUNT_OLD, kept, after)
        total += counted
        if last is None:
            return total
        after = last


async def prune_journal(pool: Pool, kept: Kept, *, pause_share: float = PAUSE_SHARE) -> Pruned:
    """Remove the deliveries that were applied long ago; return what that came to.

    Ends early when another process is at it, or when much is in line: the next round goes on.
    """
    total, after = Pruned(), 0
    while kept.live_days or kept.import_days:
        started_at = time.monotonic()
        async with transaction(pool) as conn:
            if not await _has_lock(conn) or await _is_busy(conn):
                break
            await conn.execute("SET LOCAL synchronous_commit = off")  # what a crash brings back goes in the next round
            removed, last = await _step(conn, REMOVE_OLD, kept, after)
        total += removed
        if last is None:
            break
        after = last
        await asyncio.sleep((time.monotonic() - started_at) * pause_share)
    return total


async def _has_lock(conn: Connection) -> bool:
    """Take the right to remove deliveries, unless another process has it or puts old ones in line.

    A statement of its own, before the one that removes: that one then sees everything the holders before it did.
    """
    cursor = await conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))
    return await cursor.fetchone() == (True,)


async def _is_busy(conn: Connection) -> bool:
    cursor = await conn.execute("SELECT count(*) >= %(n)s FROM (SELECT FROM backlog LIMIT %(n)s) b", {"n": BUSY_COUNT})
    return await cursor.fetchone() == (True,)


# ── everything, again and again ───────────────────────────────────────────────────────────────────────────


async def run(pool: Pool, kept: Kept) -> None:
    """Let go of what is old, every hour, for ever."""
    await asyncio.sleep(random.uniform(0, EVERY_S / 10))  # noqa: S311  # no secret hangs on it
    while True:
        try:
            await run_once(pool, kept)
        except (AppError, psycopg.Error) as error:
            log.error("retention_failed", error_type=type(error).__name__, error=str(error))
        await asyncio.sleep(EVERY_S)


async def run_once(pool: Pool, kept: Kept) -> None:
    """Let go of what is old now, with a line in the log if there was anything."""
    pruned = await prune_journal(pool, kept)
    now = clock.now()
    events = await _all_of(pool, feed.prune, now - timedelta(days=feed.KEPT_DAYS))
    settled = await _all_of(pool, quarantine.forget_settled, now - timedelta(days=SETTLED_DAYS))
    waiting = 0
    if kept.live_days:
        waiting = await _all_of(pool, changes.forget_waiting, now - timedelta(days=kept.live_days))
    if pruned != Pruned() or events or settled or waiting:
        log.info(
            "old_rows_removed",
            deliveries=pruned.live,
            imports=pruned.imports,
            journal_bytes=pruned.removed_bytes,
            events=events,
            outcomes=settled,
            changes=waiting,
        )


async def _all_of(pool: Pool, remove: Callable[[Connection, datetime, int], Awaitable[int]], before: datetime) -> int:
    """Remove in batches until one is not full; return how many rows that were."""
    total = 0
    while True:
        started_at = time.monotonic()
        async with transaction(pool) as conn:
            await conn.execute("SET LOCAL synchronous_commit = off")
            removed = await remove(conn, before, BATCH_ROWS)
        total += removed
        if removed < BATCH_ROWS:
            return total
        await asyncio.sleep((time.monotonic() - started_at) * PAUSE_SHARE)
