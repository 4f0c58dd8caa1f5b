"""All SQL of files: what is to be fetched, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent

LEASE_S: Final = 6
"""How long a claim lasts without a sign of life: the files of a worker that died are taken up again after that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch, claimed for LEASE_S or as long as the claim is renewed. ``attempts`` includes this one."""

    id: int
    inbox_id: int
    account_id: int
    phone_number_id: str
    media_id: str | None
    mime_type: str | None
    sha256: str | None
    attempts: int


# Live files before those of an import; the lease is the next attempt's time, so a dead worker's claim runs out.
CLAIM: Final = """
WITH next AS (
    SELECT m.id FROM media m JOIN inboxes i ON i.id = m.inbox_id
     WHERE m.state = 'waiting' AND m.next_attempt_at <= %(now)s
       AND i.token IS NOT NULL AND i.state IN ('connected', 'offboarded', 'restricted')
     ORDER BY m.content_rank DESC, m.next_attempt_at, m.id
     LIMIT %(count)s
       FOR UPDATE OF m SKIP LOCKED)
UPDATE media m SET attempts = m.attempts + 1, next_attempt_at = %(lease)s
  FROM next n, inboxes i
 WHERE m.id = n.id AND i.id = m.inbox_id
RETURNING m.id, m.inbox_id, i.account_id, i.phone_number_id, m.media_id, m.mime_type, m.sha256, m.attempts
"""


async def claim(conn: Connection, count: int) -> Sequence[Wanted]:
    """Take up to ``count`` files to fetch; nobody else gets them before the lease is over."""
    now = clock.now()
    values = {"now": now, "lease": now + timedelta(seconds=LEASE_S), "count": count}
    async with conn.cursor(row_factory=class_row(Wanted)) as cursor:
        await cursor.execute(CLAIM, values)
        return await cursor.fetchall()


RENEW: Final = """
UPDATE media SET next_attempt_at = %s
 WHERE id = %s AND media_id IS NOT DISTINCT FROM %s AND attempts = %s AND state = 'waiting'
"""


async def renew(conn: Connection, wanted: Wanted) -> None:
    """Give a sign of life: the claim lasts LEASE_S from now."""
    until = clock.now() + timedelta(seconds=LEASE_S)
    await conn.execute(RENEW, (until, wanted.id, wanted.media_id, wanted.attempts))


# A better telling of the file (another media_id) may have come while the former was fetched: then that one counts.
STORED: Final = """
UPDATE media
   SET state = 'stored', stored_sha256 = %(sha256)s, bytes = %(bytes)s, width = %(width)s, height = %(height)s,
       mime_type = %(mime_type)s, error = NULL
 WHERE id = %(id)s AND media_id IS NOT DISTINCT FROM %(media_id)s AND state = 'waiting'
RETURNING inbox_id, wamid
"""


async def stored(
    conn: Connection,
    wanted: Wanted,
    *,
    sha256: str,
    size_bytes: int,
    mime_type: str,
    width: int | None,
    height: int | None,
) -> list[NewEvent]:
    """Note that a file is on disk; return the events to append."""
    values = {"id": wanted.id, "media_id": wanted.media_id, "sha256": sha256, "bytes": size_bytes}
    cursor = await conn.execute(STORED, {**values, "mime_type": mime_type, "width": width, "height": height})
    return await _changed(conn, wanted, await cursor.fetchone())


LATER: Final = """
UPDATE media SET next_attempt_at = %s, error = %s, attempts = attempts - %s
 WHERE id = %s AND media_id IS NOT DISTINCT FROM %s AND state = 'waiting'
"""


async def later(conn: Connection, wanted: Wanted, at: datetime, error: str, *, is_counted: bool = True) -> None:
    """Try a file again at a time, and say why."""
    await conn.execute(LATER, (at, error, 0 if is_counted else 1, wanted.id, wanted.media_id))


ENDED: Final = """
UPDATE media SET state = %s::media_state, error = %s
 WHERE id = %s AND media_id IS NOT DISTINCT FROM %s AND state = 'waiting'
RETURNING inbox_id, wamid
"""


async def ended(conn: Connection, wanted: Wanted, state: str, error: str) -> list[NewEvent]:
    """Note that a file will not come (``gone``) or is not taken in (``failed``), with the reason for a person."""
    cursor = await conn.execute(ENDED, (state, error, wanted.id, wanted.media_id))
    return await _changed(conn, wanted, await cursor.fetchone())


async def _changed(conn: Connection, wanted: Wanted, row: tuple[int, str] | None) -> list[NewEvent]:
    """The bubble is rendered again in place; a file whose message has not come yet changes no bubble."""
    if row is None:
        return []
    cursor = await conn.execute(
        "SELECT conversation_id, id FROM messages WHERE inbox_id = %s AND wamid = %s", (row[0], row[1])
    )
    message = await cursor.fetchone()
    if message is None:
        return []
    return [NewEvent(wanted.account_id, Kind.MESSAGE_CHANGED, wanted.inbox_id, message[0], message[1])]
