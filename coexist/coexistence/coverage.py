"""The coverage map: which days of a number, or of one conversation, have messages here, and what kind of them.

A conversation is counted along its index. A number is counted once and kept for FRESH_MINUTES, for everybody who looks,
and while its history comes in for COMING_IN_S.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.inbox import inboxes
from coexist.meta.model import FROM_EXPORT, FROM_HISTORY

REACH_DAYS: Final = 180
"""How far back Meta shares a phone's chats (meta-protocol 5.4)."""
FRESH_MINUTES: Final = 10
"""How long the count of a whole number is good enough."""
COMING_IN_S: Final = 15
"""How long it is good enough while the number's history is another than when it was counted."""
TALKS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) with messages: all, those whose content is on the phone only, those from exported chats."""

    day: date
    message_count: int
    placeholders: int
    exported: int


@dataclass(frozen=True, slots=True)
class CoverageMap:
    """The days that have messages, oldest first. Meta shares nothing of before ``reach_from``."""

    reach_from: date
    counted_at: datetime
    days: Sequence[Day]


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in the list: its contact, and the first and last message here."""

    id: int
    name: str
    first_message_at: datetime
    last_message_at: datetime


BY_DAY: Final = f"""
SELECT (m.sent_at AT TIME ZONE 'UTC')::date AS day, count(*) AS message_count,
       count(*) FILTER (WHERE m.content_rank < {FROM_HISTORY}) AS placeholders,
       count(*) FILTER (WHERE m.content_rank = {FROM_EXPORT}) AS exported
  FROM messages m WHERE {{which}}
 GROUP BY 1
"""

# Who comes while somebody counts waits here, and then finds it counted.
CLAIM: Final = """
WITH history AS (
    SELECT concat_ws(' ', s.state, s.onboarded_at, s.last_arrival_at, (
               SELECT count(*) FROM history_chunks h
                WHERE h.inbox_id = s.inbox_id AND h.onboarded_at = s.onboarded_at)) AS seen
      FROM syncs s WHERE s.inbox_id = %(inbox_id)s AND s.kind = 'history'
     ORDER BY s.onboarded_at DESC LIMIT 1)
INSERT INTO coverages AS known (inbox_id, counted_at, history_seen)
VALUES (%(inbox_id)s, %(now)s, coalesce((SELECT seen FROM history), ''))
    ON CONFLICT (inbox_id) DO UPDATE SET counted_at = EXCLUDED.counted_at, history_seen = EXCLUDED.history_seen
 WHERE known.counted_at < %(stale)s
    OR known.counted_at < %(coming_in)s AND known.history_seen <> EXCLUDED.history_seen
RETURNING inbox_id
"""

FORGET: Final = "DELETE FROM coverage_days WHERE inbox_id = %(inbox_id)s"

COUNT: Final = f"""
INSERT INTO coverage_days (inbox_id, day, message_count, placeholders, exported)
SELECT %(inbox_id)s, d.* FROM ({BY_DAY.format(which="m.inbox_id = %(inbox_id)s")}) d
"""

OF_INBOX: Final = """
SELECT day, message_count, placeholders, exported FROM coverage_days WHERE inbox_id = %(inbox_id)s ORDER BY day
"""


async def of_inbox(conn: Connection, account_id: int, inbox_id: int) -> CoverageMap:
    """Return the map of a number, at most FRESH_MINUTES old, or COMING_IN_S while it changes. Raises NotFound."""
    inbox = await inboxes.get(conn, account_id, inbox_id)
    now = clock.now()
    values = {
        "inbox_id": inbox_id,
        "now": now,
        "stale": now - timedelta(minutes=FRESH_MINUTES),
        "coming_in": now - timedelta(seconds=COMING_IN_S),
    }
    if (await conn.execute(CLAIM, values)).rowcount:
        await conn.execute(FORGET, values)
        await conn.execute(COUNT, values)
    async with conn.cursor(row_factory=class_row(Day)) as cursor:
        await cursor.execute(OF_INBOX, values)
        days = await cursor.fetchall()
    counted = await (
        await conn.execute("SELECT counted_at FROM coverages WHERE inbox_id = %(inbox_id)s", values)
    ).fetchone()
    assert counted is not None
    return CoverageMap(_reach_from(inbox.onboarded_at), counted[0], days)


def _reach_from(onboarded_at: datetime) -> date:
    return (onboarded_at - timedelta(days=REACH_DAYS)).astimezone(UTC).date()


async def forget(conn: Connection, inbox_id: int) -> None:
    """Have a number counted anew by whoever looks next."""
    await conn.execute("DELETE FROM coverages WHERE inbox_id = %s", (inbox_id,))


TALKS: Final = """
SELECT c.id, coalesce(nullif(k.display_name, ''), '@' || k.username, '+' || k.phone, '') AS name,
       c.first_message_at, c.last_message_at
  FROM conversations c JOIN contacts k ON k.id = c.contact_id
 WHERE c.inbox_id = %(inbox_id)s AND c.last_message_at IS NOT NULL AND (%(id)s::bigint IS NULL OR c.id = %(id)s)
 ORDER BY c.last_message_at DESC, c.id DESC
 LIMIT %(limit)s
"""


async def talks(conn: Connection, account_id: int, inbox_id: int) -> Sequence[Talk]:
    """Return the TALKS_SHOWN conversations of a number with the newest messages. Raises NotFound."""
    await inboxes.get(conn, account_id, inbox_id)
    return await _talks(conn, inbox_id, None)


async def _talks(conn: Connection, inbox_id: int, conversation_id: int | None) -> Sequence[Talk]:
    async with conn.cursor(row_factory=class_row(Talk)) as cursor:
        await cursor.execute(TALKS, {"inbox_id": inbox_id, "id": conversation_id, "limit": TALKS_SHOWN})
        return await cursor.fetchall()


async def of_conversation(
    conn: Connection, account_id: int, inbox_id: int, conversation_id: int
) -> tuple[Talk, CoverageMap]:
    """Return one conversation of a number with its map, counted now. Raises NotFound."""
    inbox = await inboxes.get(conn, account_id, inbox_id)
    found = await _talks(conn, inbox_id, conversation_id)
    if not found:
        raise NotFound("This conversation does not exist here, or has no messages.")
    async with conn.cursor(row_factory=class_row(Day)) as cursor:
        await cursor.execute(BY_DAY.format(which="m.conversation_id = %s") + " ORDER BY 1", (conversation_id,))
        days = await cursor.fetchall()
    return found[0], CoverageMap(_reach_from(inbox.onboarded_at), clock.now(), days)
