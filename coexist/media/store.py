"""All SQL of files: what is to be fetched, what became of it, and which stored files are named by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox.pauses import APP_GOES_ON
from coexist.media.model import Kept, Name, Reason, Wanted
from coexist.media.rules import FORGOTTEN_AFTER, ROOM_PAUSE_S, THROTTLE_MAX_S
from coexist.meta.model import FROM_HISTORY_MEDIA

LEASE_S: Final = 6
"""How long a claim lasts without a sign of life: the files of a worker that died are taken up again after that."""
CLOCKS_DIFFER_S: Final = 60
"""How far the clocks of our hosts may differ. What was told or tried later than that was so by a wrong clock."""
LIVE_SHARE: Final = 1.25
"""How much of the hourly number what comes now may use, the same number being 1 for what is imported."""
CLAIM_LOCK: Final = 0x434C4149  # "CLAI"
FILE_LOCK: Final = 0x46494C45  # "FILE"

# ── fetching ──────────────────────────────────────────────────────────────────────────────────────────────

# Live files before those of an import. One claims at a time, so that the counts of a number hold for all processes.
CLAIM: Final = f"""
WITH usable AS MATERIALIZED (
    SELECT i.id, i.account_id, i.phone_number_id,
           (SELECT count(*) FROM media WHERE inbox_id = i.id AND attempted_at > %(now)s - interval '1 hour') AS recent
      FROM inboxes i
     WHERE i.token IS NOT NULL AND i.state IN ('connected', 'offboarded', 'restricted') AND {APP_GOES_ON}
       AND EXISTS (SELECT FROM media WHERE inbox_id = i.id AND state = 'waiting' AND next_attempt_at <= %(now)s)
       AND NOT EXISTS (SELECT FROM media_throttles
                        WHERE inbox_id = i.id AND until > %(now)s AND until <= %(now)s + interval '{THROTTLE_MAX_S} s')
       AND (SELECT count(*) FROM media WHERE inbox_id = i.id AND claimed_until > %(now)s) < %(at_once)s),
next AS (
    SELECT m.id, u.account_id, u.phone_number_id
      FROM usable u
     CROSS JOIN LATERAL (
           SELECT id, content_rank, next_attempt_at FROM media
            WHERE inbox_id = u.id AND state = 'waiting' AND next_attempt_at <= %(now)s
              AND (claimed_until IS NULL OR claimed_until <= %(now)s)
              AND u.recent < %(per_hour)s * CASE WHEN content_rank > %(imported)s THEN %(live_share)s ELSE 1 END
            ORDER BY content_rank DESC, next_attempt_at, id
            LIMIT 1
              FOR UPDATE SKIP LOCKED) m
     ORDER BY m.content_rank DESC, m.next_attempt_at, m.id
     LIMIT 1)
UPDATE media m SET attempts = m.attempts + 1, attempted_at = %(now)s, claimed_until = %(lease)s
  FROM next n
 WHERE m.id = n.id
RETURNING m.id, m.inbox_id, n.account_id, n.phone_number_id, m.wamid, m.media_id, m.mime_type, m.sha256, m.url,
          m.known_at, m.attempts
"""


async def claim(conn: Connection, *, at_once_per_number: int, per_hour: int) -> Wanted | None:
    """Take the next file to fetch; nobody else gets it before the lease is over. None when none may be fetched now."""
    now = clock.now()
    values = {
        "now": now,
        "lease": now + timedelta(seconds=LEASE_S),
        "at_once": at_once_per_number,
        "per_hour": per_hour,
        "imported": FROM_HISTORY_MEDIA,
        "live_share": LIVE_SHARE,
    }
    await conn.execute("SELECT pg_advisory_xact_lock(%s, 0)", (CLAIM_LOCK,))
    async with conn.cursor(row_factory=class_row(Wanted)) as cursor:
        await cursor.execute(CLAIM, values)
        claimed = await cursor.fetchone()
    if claimed is None:
        await conn.execute(RIGHT_TIMES, {"now": now, "clocks_differ": now + timedelta(seconds=CLOCKS_DIFFER_S)})
    return claimed


# Clocks jump. What was told or tried at a time that is yet to come waits for an hour that nobody meant: it is due now.
# So is what waits for room for longer than anything does.
RIGHT_TIMES: Final = f"""
UPDATE media SET next_attempt_at = %(now)s, claimed_until = NULL, known_at = least(known_at, %(now)s),
                 attempted_at = least(attempted_at, %(now)s)
 WHERE state = 'waiting' AND (greatest(known_at, attempted_at) > %(clocks_differ)s
        OR reason = '{Reason.NO_ROOM}' AND next_attempt_at > %(clocks_differ)s + interval '{ROOM_PAUSE_S} s')
"""


# A better telling of the file (another media_id) may have come while the former was fetched: then that one counts.
STILL_WANTED: Final = "id = %(id)s AND media_id IS NOT DISTINCT FROM %(media_id)s AND state = 'waiting'"

RENEW: Final = f"UPDATE media SET claimed_until = %(until)s WHERE {STILL_WANTED} AND attempts = %(attempts)s"


async def renew(conn: Connection, wanted: Wanted) -> None:
    """Give a sign of life: the claim lasts LEASE_S from now."""
    until = clock.now() + timedelta(seconds=LEASE_S)
    await conn.execute(RENEW, _of(wanted) | {"until": until, "attempts": wanted.attempts})


# The attempt is of now: a clock that jumped meanwhile and is put right must not leave a time to come in one of the two.
LATER: Final = f"""
UPDATE media m
   SET next_attempt_at = %(at)s, attempted_at = %(now)s, reason = %(reason)s, error = %(error)s, claimed_until = NULL,
       attempts = attempts - %(uncounted)s
  FROM (SELECT id, reason AS reason_before FROM media WHERE {STILL_WANTED} FOR UPDATE) was
 WHERE m.id = was.id
RETURNING m.inbox_id, m.wamid, was.reason_before IS DISTINCT FROM m.reason
"""


async def later(
    conn: Connection, wanted: Wanted, at: datetime, reason: Reason, error: str, *, is_counted: bool = True
) -> list[NewEvent]:
    """Try a file again at a time, and say why; return the events to append when the reason is a new one."""
    values = _of(wanted) | {
        "at": at,
        "now": clock.now(),
        "reason": reason,
        "error": error,
        "uncounted": 0 if is_counted else 1,
    }
    row = await (await conn.execute(LATER, values)).fetchone()
    return await _changed(conn, wanted, row) if row is not None and row[2] else []


ENDED: Final = f"""
UPDATE media SET state = %(state)s::media_state, reason = %(reason)s, error = %(error)s, claimed_until = NULL,
       stored_sha256 = NULL
 WHERE {STILL_WANTED}
RETURNING inbox_id, wamid
"""


async def ended(conn: Connection, wanted: Wanted, state: str, reason: Reason, error: str) -> list[NewEvent]:
    """Note that a file will not come (``gone``) or is not taken in (``failed``), with the reason for a person."""
    values = _of(wanted) | {"state": state, "reason": reason, "error": error}
    return await _changed(conn, wanted, await (await conn.execute(ENDED, values)).fetchone())


THROTTLE: Final = """
INSERT INTO media_throttles AS t (inbox_id, until, refusals) VALUES (%(inbox_id)s, %(now)s, 1)
    ON CONFLICT (inbox_id) DO UPDATE SET refusals = t.refusals + CASE WHEN t.until <= %(now)s THEN 1 ELSE 0 END
RETURNING refusals
"""


async def throttle(conn: Connection, inbox_id: int) -> int:
    """Count that Meta asked for fewer calls; return how often in a row. Calls that were under way count as one."""
    cursor = await conn.execute(THROTTLE, {"inbox_id": inbox_id, "now": clock.now()})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


# A time that is longer ahead than any pause is a wrong clock's.
THROTTLE_UNTIL: Final = f"""
UPDATE media_throttles
   SET until = CASE WHEN until > %(now)s + interval '{THROTTLE_MAX_S} s' THEN %(until)s
                    ELSE greatest(until, %(until)s) END
 WHERE inbox_id = %(inbox_id)s
"""


async def throttle_until(conn: Connection, inbox_id: int, until: datetime) -> None:
    """Ask Meta for no file of the number before then."""
    await conn.execute(THROTTLE_UNTIL, {"inbox_id": inbox_id, "until": until, "now": clock.now()})


async def unthrottle(conn: Connection, inbox_id: int) -> None:
    """Forget that Meta ever asked for fewer calls."""
    await conn.execute("DELETE FROM media_throttles WHERE inbox_id = %s AND until <= %s", (inbox_id, clock.now()))


PUT_OFF: Final = """
WITH late AS (
    UPDATE media m SET next_attempt_at = %(until)s, reason = %(reason)s, error = %(error)s
      FROM (SELECT id, reason AS reason_before FROM media
             WHERE state = 'waiting' AND next_attempt_at <= %(now)s
               AND (claimed_until IS NULL OR claimed_until <= %(now)s) FOR UPDATE SKIP LOCKED) was
     WHERE m.id = was.id
    RETURNING m.inbox_id, m.wamid, was.reason_before IS DISTINCT FROM m.reason AS is_news)
SELECT i.account_id, g.inbox_id, g.conversation_id, g.id, g.imported
  FROM late l
  JOIN inboxes i ON i.id = l.inbox_id
  JOIN messages g ON g.inbox_id = l.inbox_id AND g.wamid = l.wamid
 WHERE l.is_news
 ORDER BY g.id
"""


async def put_off_all(conn: Connection, until: datetime, reason: Reason, error: str) -> list[NewEvent]:
    """Let everything that is due wait until then, and say why; return the events to append."""
    values = {"until": until, "reason": reason, "error": error, "now": clock.now()}
    rows = await (await conn.execute(PUT_OFF, values)).fetchall()
    return [_bubble(*row) for row in rows]


EXPIRE: Final = """
WITH ended AS (
    UPDATE media SET state = 'gone', reason = %(reason)s, error = %(error)s, claimed_until = NULL, stored_sha256 = NULL
     WHERE state = 'waiting' AND known_at <= %(before)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
    RETURNING inbox_id, wamid)
SELECT i.account_id, g.inbox_id, g.conversation_id, g.id, g.imported
  FROM ended e
  JOIN inboxes i ON i.id = e.inbox_id
  JOIN messages g ON g.inbox_id = e.inbox_id AND g.wamid = e.wamid
 ORDER BY g.id
"""


async def expire(conn: Connection, error: str) -> list[NewEvent]:
    """Give up what could not be asked for as long as Meta had it; return the events to append."""
    now = clock.now()
    values = {"reason": Reason.EXPIRED, "error": error, "now": now, "before": now - FORGOTTEN_AFTER}
    rows = await (await conn.execute(EXPIRE, values)).fetchall()
    return [_bubble(*row) for row in rows]


AGAIN: Final = """
UPDATE media SET state = 'waiting', attempts = 0, next_attempt_at = %s, reason = NULL, error = NULL
 WHERE inbox_id = %s AND wamid = %s AND state <> 'stored' AND (claimed_until IS NULL OR claimed_until <= %s)
"""


async def fetch_again(conn: Connection, inbox_id: int, wamid: str) -> bool:
    """Put a file in line once more, at once; False when it is here, or being fetched."""
    now = clock.now()
    return (await conn.execute(AGAIN, (now, inbox_id, wamid, now))).rowcount > 0


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────────────


async def lock_file(conn: Connection, name: Name) -> None:
    """Wait until nobody else decides about this file: who names it and who deletes it take turns."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (FILE_LOCK, name.key))


NAME_IT: Final = f"""
UPDATE media SET stored_sha256 = %(sha256)s
 WHERE {STILL_WANTED}
   AND NOT EXISTS (SELECT FROM media_doomed WHERE account_id = %(account_id)s AND sha256 = %(sha256)s)
"""


async def name_it(conn: Connection, wanted: Wanted, name: Name) -> bool:
    """Name a file before it is put there, so that nobody deletes it; False while a former one is being deleted.

    Under ``lock_file``.
    """
    values = _of(wanted) | {"sha256": name.sha256, "account_id": name.account_id}
    return (await conn.execute(NAME_IT, values)).rowcount > 0


STORED: Final = f"""
UPDATE media
   SET state = 'stored', stored_sha256 = %(sha256)s, bytes = %(size_bytes)s, width = %(width)s, height = %(height)s,
       duration_ms = %(duration_ms)s, thumbnail_bytes = %(thumbnail_bytes)s, mime_type = %(mime_type)s,
       reason = NULL, error = NULL, claimed_until = NULL
 WHERE {STILL_WANTED}
RETURNING inbox_id, wamid
"""


async def stored(conn: Connection, wanted: Wanted, kept: Kept) -> list[NewEvent] | None:
    """Note that a file is in the storage; return the events to append, None when nobody wants it any more."""
    row = await (await conn.execute(STORED, asdict(kept) | _of(wanted))).fetchone()
    return None if row is None else await _changed(conn, wanted, row)


TWIN: Final = """
SELECT m.stored_sha256 AS sha256, m.bytes AS size_bytes, m.mime_type, m.width, m.height, m.duration_ms,
       m.thumbnail_bytes
  FROM media m JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %s
 WHERE m.stored_sha256 = %s AND m.state = 'stored' AND m.bytes IS NOT NULL AND m.mime_type IS NOT NULL
 LIMIT 1
"""


async def twin(conn: Connection, name: Name) -> Kept | None:
    """Return what is known of a file that the account has already."""
    async with conn.cursor(row_factory=class_row(Kept)) as cursor:
        await cursor.execute(TWIN, (name.account_id, name.sha256))
        return await cursor.fetchone()


ADD: Final = """
INSERT INTO media AS m (inbox_id, wamid, mime_type, file_name, is_voice, content_rank, told_at, claimed_until)
VALUES (%(inbox_id)s, %(wamid)s, %(mime_type)s, %(file_name)s, %(is_voice)s, %(content_rank)s, %(told_at)s, %(lease)s)
    ON CONFLICT (inbox_id, wamid) DO UPDATE
   SET state = 'waiting', mime_type = excluded.mime_type, file_name = excluded.file_name, is_voice = excluded.is_voice,
       claimed_until = excluded.claimed_until, reason = NULL, error = NULL
 WHERE m.state IN ('failed', 'gone') OR m.state = 'waiting' AND m.media_id IS NULL
RETURNING m.id, m.inbox_id, (SELECT account_id FROM inboxes i WHERE i.id = m.inbox_id) AS account_id,
          (SELECT phone_number_id FROM inboxes i WHERE i.id = m.inbox_id) AS phone_number_id, m.wamid, m.media_id,
          m.mime_type, m.sha256, m.url, m.known_at, m.attempts
"""


async def add(conn: Connection, values: dict[str, Any], lease_s: float) -> Wanted | None:
    """Make the row of a file that we bring ourselves, claimed by who brings it. None when the message has a file.

    One that never came from Meta, or that an earlier try left unfinished, is taken over.
    """
    async with conn.cursor(row_factory=class_row(Wanted)) as cursor:
        await cursor.execute(ADD, values | {"lease": clock.now() + timedelta(seconds=lease_s)})
        return await cursor.fetchone()


# ── deleting ──────────────────────────────────────────────────────────────────────────────────────────────

UNNAMED: Final = """
SELECT w.account_id, w.sha256
  FROM unnest(%s::int[], %s::text[]) AS w (account_id, sha256)
 WHERE NOT EXISTS (SELECT FROM media m JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = w.account_id
                    WHERE m.stored_sha256 = w.sha256)
"""


async def unnamed(conn: Connection, names: Sequence[Name]) -> list[Name]:
    """Return those files that no message of their account names."""
    values = ([name.account_id for name in names], [name.sha256 for name in names])
    return [Name(*row) for row in await (await conn.execute(UNNAMED, values)).fetchall()]


async def doom(conn: Connection, name: Name) -> bool:
    """From now on nobody may name this file; False when somebody else is deleting it. Under ``lock_file``."""
    cursor = await conn.execute(
        "INSERT INTO media_doomed (account_id, sha256, since) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (name.account_id, name.sha256, clock.now()),
    )
    return cursor.rowcount > 0


async def spare(conn: Connection, name: Name) -> None:
    """It may be named again: it is deleted, or is named after all."""
    await conn.execute("DELETE FROM media_doomed WHERE account_id = %s AND sha256 = %s", (name.account_id, name.sha256))


async def take_doomed(conn: Connection, older_than: timedelta) -> list[Name]:
    """Return the files whose deletion nobody finished, for the caller to finish."""
    now = clock.now()
    cursor = await conn.execute(
        "UPDATE media_doomed SET since = %s WHERE since <= %s RETURNING account_id, sha256", (now, now - older_than)
    )
    return [Name(*row) for row in await cursor.fetchall()]


async def newest_stored(conn: Connection) -> Name | None:
    """Return the name of a file that some host has stored lately, None when there is none yet."""
    cursor = await conn.execute(
        "SELECT i.account_id, m.stored_sha256 FROM media m JOIN inboxes i ON i.id = m.inbox_id"
        " WHERE m.stored_sha256 IS NOT NULL AND m.state = 'stored' ORDER BY m.id DESC LIMIT 1"
    )
    row = await cursor.fetchone()
    return None if row is None else Name(*row)


async def accounts_with(conn: Connection, sha256: str) -> list[int]:
    """Return the accounts that name a file with this content."""
    cursor = await conn.execute(
        "SELECT DISTINCT i.account_id FROM media m JOIN inboxes i ON i.id = m.inbox_id WHERE m.stored_sha256 = %s",
        (sha256,),
    )
    return [row[0] for row in await cursor.fetchall()]


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────


def _of(wanted: Wanted) -> dict[str, Any]:
    return {"id": wanted.id, "media_id": wanted.media_id}


async def _changed(conn: Connection, wanted: Wanted, row: Sequence[Any] | None) -> list[NewEvent]:
    """The bubble is rendered again in place; a file whose message has not come yet changes no bubble."""
    if row is None:
        return []
    cursor = await conn.execute(
        "SELECT conversation_id, id, imported FROM messages WHERE inbox_id = %s AND wamid = %s", (row[0], row[1])
    )
    message = await cursor.fetchone()
    if message is None:
        return []
    return [_bubble(wanted.account_id, wanted.inbox_id, *message)]


def _bubble(account_id: int, inbox_id: int, conversation_id: int, message_id: int, imported: bool) -> NewEvent:
    """The event for a bubble that looks different now. The files of an import are its own doing."""
    return NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, conversation_id, message_id, is_import=imported)
