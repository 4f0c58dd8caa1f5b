"""All SQL of the checks: looks at numbers, self-tests, what came when, and the workers' signs of life."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence import rules
from coexist.coexistence.checks_model import Beat, Check, DatabaseState, Preflight
from coexist.inbox.pauses import ACCOUNT_GOES_ON

# ── looks at a number ─────────────────────────────────────────────────────────────────────────────────────

PASSED_MINUTES: Final = 60
"""How long a look that found all in order lets syncs be asked for: after that things may have changed."""

PUT_PREFLIGHT: Final = """
INSERT INTO preflights (inbox_id, onboarded_at, checked_at, checks, is_waiting, passed_until)
VALUES (%(inbox_id)s, %(onboarded_at)s, %(checked_at)s, %(checks)s::jsonb, %(is_waiting)s, %(passed_until)s)
    ON CONFLICT (inbox_id) DO UPDATE
   SET onboarded_at = EXCLUDED.onboarded_at, checked_at = EXCLUDED.checked_at, checks = EXCLUDED.checks,
       is_waiting = EXCLUDED.is_waiting, passed_until = EXCLUDED.passed_until
"""


async def put_preflight(conn: Connection, look: Preflight) -> None:
    """Keep the last look at a number."""
    values = {name: getattr(look, name) for name in Preflight.__slots__}
    await conn.execute(PUT_PREFLIGHT, {**values, "checks": msgspec.json.encode(look.checks).decode()})


# What is known of this onboarding stays while somebody looks again.
WAIT: Final = """
INSERT INTO preflights AS known (inbox_id, onboarded_at, checked_at, checks, is_waiting)
VALUES (%(inbox_id)s, %(onboarded_at)s, %(now)s, '[]', true)
    ON CONFLICT (inbox_id) DO UPDATE
   SET onboarded_at = EXCLUDED.onboarded_at, checked_at = EXCLUDED.checked_at, is_waiting = true,
       checks = CASE WHEN known.onboarded_at = EXCLUDED.onboarded_at THEN known.checks ELSE '[]' END,
       passed_until = CASE WHEN known.onboarded_at = EXCLUDED.onboarded_at THEN known.passed_until END
"""


async def wait(conn: Connection, inbox_id: int, onboarded_at: datetime) -> None:
    """Note that syncs wait for a look that begins now: whoever dies in it is followed by a worker (``due``)."""
    await conn.execute(WAIT, {"inbox_id": inbox_id, "onboarded_at": onboarded_at, "now": clock.now()})


EXPIRE: Final = """
UPDATE preflights SET is_waiting = true, passed_until = NULL, checked_at = %(now)s WHERE inbox_id = %(inbox_id)s
"""


async def expire(conn: Connection, inbox_id: int) -> None:
    """Let nothing more be asked for before another look, which comes by itself after a while (``due``)."""
    await conn.execute(EXPIRE, {"inbox_id": inbox_id, "now": clock.now()})


UPDATE_CHECKS: Final = """
UPDATE preflights SET checked_at = %(checked_at)s, checks = %(checks)s::jsonb WHERE inbox_id = %(inbox_id)s
"""


async def note_checks(conn: Connection, look: Preflight) -> None:
    """Keep what a look saw that was not meant to ask for anything: whether syncs wait is as before."""
    checks = msgspec.json.encode(look.checks).decode()
    known = await conn.execute(
        UPDATE_CHECKS, {"inbox_id": look.inbox_id, "checked_at": look.checked_at, "checks": checks}
    )
    if not known.rowcount:
        await put_preflight(conn, look)


PREFLIGHT: Final = """
SELECT inbox_id, onboarded_at, checked_at, checks, is_waiting, passed_until FROM preflights WHERE inbox_id = %s
"""


async def preflight(conn: Connection, inbox_id: int) -> Preflight | None:
    """Return the last look at a number, whichever onboarding it was of."""
    row = await (await conn.execute(PREFLIGHT, (inbox_id,))).fetchone()
    if row is None:
        return None
    checks = msgspec.convert(row[3], list[Check])
    return Preflight(row[0], row[1], row[2], checks, row[4], row[5])


PUT_OFF_MOST: Final = timedelta(hours=1)
"""How late a request that Meta refused for now, time and again, is made once more."""

# Soon after a number was connected somebody is at it and may have mended it; later on it waits for a passing trouble.
# However long, an eighth of the time that is left is always enough.
DUE: Final = f"""
SELECT DISTINCT i.account_id, i.id
  FROM inboxes i JOIN syncs s ON s.inbox_id = i.id AND s.onboarded_at = i.onboarded_at
  LEFT JOIN preflights p ON p.inbox_id = i.id
 WHERE i.state = 'connected' AND i.is_coexistence AND i.onboarded_at > %(too_old)s AND {ACCOUNT_GOES_ON}
   AND s.state = 'not_requested' AND s.requested_at IS NULL
   AND (s.wanted_at IS NOT NULL AND (p.inbox_id IS NULL OR p.onboarded_at <> i.onboarded_at
                                     OR p.passed_until IS NULL OR p.passed_until < %(now)s)
        OR p.is_waiting AND p.onboarded_at = i.onboarded_at)
   AND (p.checked_at IS NULL
        OR p.checked_at < %(now)s - least(greatest((p.checked_at - i.onboarded_at) / 10, %(least)s), %(most)s))
   AND NOT EXISTS (SELECT FROM syncs r
                    WHERE r.inbox_id = i.id AND r.onboarded_at = i.onboarded_at AND r.state = 'not_requested'
                      AND r.put_off > 0
                      AND r.error_at > %(now)s - least(%(least)s * 2 ^ least(r.put_off, 16), %(put_off_most)s,
                                                       (i.onboarded_at - %(too_old)s) / 8))
"""


async def due(conn: Connection, least: timedelta, most: timedelta) -> Sequence[tuple[int, int]]:
    """Return (account id, inbox id) of numbers whose syncs wait for a look, and were last looked at long enough ago.

    That is a tenth of the time since they were connected, within the two limits. After a request that Meta refused for
    now it is twice as long each time (requirement B10).
    """
    now = clock.now()
    too_old = now - timedelta(hours=rules.REQUEST_HOURS)
    cursor = await conn.execute(
        DUE, {"now": now, "too_old": too_old, "least": least, "most": most, "put_off_most": PUT_OFF_MOST}
    )
    return [(int(account_id), int(inbox_id)) for account_id, inbox_id in await cursor.fetchall()]


# ── self-tests ────────────────────────────────────────────────────────────────────────────────────────────


async def begin_self_test(conn: Connection, nonce: str, at: datetime) -> None:
    """Note that a delivery of ours is about to be sent."""
    await conn.execute("INSERT INTO self_tests (nonce, sent_at) VALUES (%s, %s)", (nonce, at))


APPLIED: Final = """
UPDATE self_tests SET journal_id = arrived.journal_id, applied_at = coalesce(applied_at, %(now)s)
  FROM unnest(%(nonces)s::text[], %(journal_ids)s::bigint[]) AS arrived (nonce, journal_id)
 WHERE self_tests.nonce = arrived.nonce
"""


async def self_tests_applied(conn: Connection, arrived: Mapping[str, int]) -> None:
    """Note which deliveries were ours: journal ids by nonce. A nonce that we never sent means nothing."""
    values = {"nonces": list(arrived), "journal_ids": list(arrived.values()), "now": clock.now()}
    await conn.execute(APPLIED, values)


async def is_applied(conn: Connection, nonce: str) -> bool:
    """Whether a self-test has come all the way."""
    cursor = await conn.execute("SELECT applied_at IS NOT NULL FROM self_tests WHERE nonce = %s", (nonce,))
    return await cursor.fetchone() == (True,)


# ── what came ─────────────────────────────────────────────────────────────────────────────────────────────

SAW: Final = """
INSERT INTO webhook_sightings AS known (name, field, first_at, last_at)
SELECT name, field, at, at
  FROM unnest(%(names)s::text[], %(fields)s::text[], %(at)s::timestamptz[]) AS s (name, field, at)
 ORDER BY name, field
    ON CONFLICT (name, field) DO UPDATE
   SET first_at = least(known.first_at, EXCLUDED.first_at), last_at = greatest(known.last_at, EXCLUDED.last_at)
"""


async def saw(conn: Connection, sightings: Mapping[tuple[str, str], datetime]) -> None:
    """Note when a field came last under one of Meta's names: (name, field) to the time of receipt."""
    values = {
        "names": [name for name, _ in sightings],
        "fields": [field for _, field in sightings],
        "at": list(sightings.values()),
    }
    await conn.execute(SAW, values)


SIGHTINGS: Final = """
SELECT field, max(last_at) FROM webhook_sightings
 WHERE name = ANY(%(names)s) AND last_at >= coalesce(%(since)s, '-infinity'::timestamptz)
 GROUP BY field
"""


async def sightings(conn: Connection, names: Collection[str], *, since: datetime | None = None) -> dict[str, datetime]:
    """Return when each field came last under any of these names; nothing of before ``since``, if that is given."""
    cursor = await conn.execute(SIGHTINGS, {"names": list(names), "since": since})
    return dict(await cursor.fetchall())


# What is still in line is not known to be from Meta: it may be a self-test.
LAST_FROM_META: Final = """
SELECT j.received_at FROM journal j
 WHERE j.id NOT IN (SELECT t.journal_id FROM self_tests t WHERE t.journal_id IS NOT NULL)
   AND NOT EXISTS (SELECT FROM backlog b WHERE b.lane = j.lane AND b.journal_id = j.id)
 ORDER BY j.id DESC LIMIT 1
"""


async def last_from_meta(conn: Connection) -> datetime | None:
    """Return when the last delivery came that was signed and not sent by ourselves."""
    row = await (await conn.execute(LAST_FROM_META)).fetchone()
    return None if row is None else row[0]


# ── workers and the database ──────────────────────────────────────────────────────────────────────────────

BEAT: Final = """
INSERT INTO worker_beats (worker, host, version, started_at, beat_at, clock_ahead_ms, free_bytes, storage_error)
VALUES (%(worker)s, %(host)s, %(version)s, %(started_at)s, clock_timestamp(),
        extract(epoch FROM %(now)s - clock_timestamp()) * 1000, %(free_bytes)s, %(storage_error)s)
    ON CONFLICT (worker) DO UPDATE
   SET beat_at = EXCLUDED.beat_at, clock_ahead_ms = EXCLUDED.clock_ahead_ms, free_bytes = EXCLUDED.free_bytes,
       storage_error = EXCLUDED.storage_error
"""
FORGET_WORKERS: Final = "DELETE FROM worker_beats WHERE beat_at < now() - interval '7 days'"


async def beat(
    conn: Connection,
    worker: UUID,
    host: str,
    version: str,
    started_at: datetime,
    free_bytes: int | None = None,
    storage_error: str | None = None,
) -> None:
    """Write a worker's sign of life, and forget those that were silent for a week."""
    values: dict[str, Any] = {"worker": worker, "host": host, "version": version, "started_at": started_at}
    values |= {"now": clock.of_host(), "free_bytes": free_bytes, "storage_error": storage_error}
    await conn.execute(BEAT, values)
    await conn.execute(FORGET_WORKERS)


BEATS: Final = """
SELECT host, version, started_at, beat_at, extract(epoch FROM clock_timestamp() - beat_at)::float8 AS silent_s,
       clock_ahead_ms, free_bytes, storage_error
  FROM worker_beats ORDER BY beat_at DESC
"""


async def beats(conn: Connection) -> Sequence[Beat]:
    """Return all workers of the last week, the last heard first."""
    async with conn.cursor(row_factory=class_row(Beat)) as cursor:
        await cursor.execute(BEATS)
        return await cursor.fetchall()


IN_LINE_COUNT: Final = 10_000
"""Deliveries in line are counted up to here."""

DATABASE: Final = """
SELECT clock_timestamp() AS now, extract(epoch FROM %(now)s - clock_timestamp())::float8 AS clock_ahead_s,
       pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
       (SELECT count(*)::int FROM (SELECT FROM backlog LIMIT %(most)s) b) AS in_line,
       (SELECT min(j.received_at) FROM (SELECT min(journal_id) AS id FROM backlog GROUP BY lane) b
          JOIN journal j ON j.id = b.id) AS oldest_waiting_at
"""


async def database_state(conn: Connection) -> DatabaseState:
    """Ask the database how it is."""
    async with conn.cursor(row_factory=class_row(DatabaseState)) as cursor:
        await cursor.execute(DATABASE, {"now": clock.of_host(), "most": IN_LINE_COUNT})
        state = await cursor.fetchone()
    assert state is not None
    return state
