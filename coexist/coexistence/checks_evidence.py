"""SQL of the doctor: what our own tables tell of one number. Counts and times alone, nobody's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import STATUS_RANK
from coexist.templates.rules import PAUSED
from coexist.templates.store import STATUS

SENDS_COUNT: Final = 2_000
"""How many of the last sends are looked at."""
RECENT_DAYS: Final = 7
COUNTED: Final = 100_000
"""Rows are counted up to here: more is said as this many."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How often sending failed for one of Meta's codes lately (None: without a code), and when last."""

    code: int | None
    count: int
    last_at: datetime
    fbtrace_id: str | None


@dataclass(frozen=True, slots=True)
class Lack:
    """Files that are not here, by reason, as ``media.reason`` names it."""

    state: str
    reason: str | None
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """What waits to be sent, and what nobody knows of.

    ``oldest_queued_at`` is of what does not wait for one of the ``paused`` templates, ``paused_count`` messages of all.
    """

    queued: int
    oldest_queued_at: datetime | None
    paused: Sequence[str]
    paused_count: int
    unclear: int
    sent: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What came for a number and waits to be put in line, and what came for names that are not connected here."""

    unrouted: int
    strangers: int


WAITING: Final = """
SELECT (SELECT count(*)::int FROM (SELECT FROM unrouted
                                    WHERE phone_number_id = ANY(%(names)s) LIMIT %(most)s) u) AS unrouted,
       (SELECT count(DISTINCT u.phone_number_id)::int FROM unrouted u
         WHERE u.phone_number_id <> ALL(%(names)s)
           AND NOT EXISTS (SELECT FROM unrouted_dismissals d WHERE d.phone_number_id = u.phone_number_id)) AS strangers
"""


async def waiting(conn: Connection, inbox: Inbox) -> Waiting:
    """Count what waits because nobody it names was connected here."""
    values = {"names": [inbox.phone_number_id, inbox.waba_id], "most": COUNTED}
    async with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(WAITING, values)
        found = await cursor.fetchone()
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class KeptBack:
    """Parts of one kind that could not be applied. ``field`` is the webhook field they stood under, if it can be told.

    ``is_written``: they are messages or who wrote them. ``is_of_any_number``: they name none, but are of this account.
    """

    field: str | None
    kind: str | None
    is_written: bool
    is_of_any_number: bool
    count: int
    last_at: datetime


# What names no number is of the only account, if there is only one (see ``quarantine.store``).
OF_NUMBER: Final = """
dismissed_at IS NULL AND (phone_number_id = %(number)s OR (
    phone_number_id IS NULL AND NOT EXISTS (SELECT FROM accounts WHERE id <> %(account_id)s)))
"""
KEPT_BACK: Final = rf"""
SELECT field, kind, part ~ '\.(messages|contacts)\[' AS is_written, phone_number_id IS NULL AS is_of_any_number,
       count(*)::int AS count, max(last_at) AS last_at
  FROM quarantine WHERE {OF_NUMBER}
 GROUP BY 1, 2, 3, 4 ORDER BY count DESC, kind, field
"""


def number_of(inbox: Inbox) -> dict[str, Any]:
    """The values that ``OF_NUMBER`` asks for."""
    return {"number": inbox.phone_number_id, "account_id": inbox.account_id}


async def kept_back(conn: Connection, inbox: Inbox) -> Sequence[KeptBack]:
    """Count a number's parts of deliveries that could not be applied, the most frequent kind first."""
    async with conn.cursor(row_factory=class_row(KeptBack)) as cursor:
        await cursor.execute(KEPT_BACK, number_of(inbox))
        return await cursor.fetchall()


LACKS: Final = """
SELECT state::text, reason, count(*)::int AS count, max(coalesce(attempted_at, told_at)) AS last_at
  FROM (SELECT * FROM media WHERE inbox_id = %s LIMIT %s) m
 WHERE state <> 'stored'
 GROUP BY state, reason ORDER BY count DESC, state, reason
"""


async def lacks(conn: Connection, inbox_id: int) -> Sequence[Lack]:
    """Count a number's files that are not here."""
    async with conn.cursor(row_factory=class_row(Lack)) as cursor:
        await cursor.execute(LACKS, (inbox_id, COUNTED))
        return await cursor.fetchall()


LINE: Final = f"""
WITH queued AS (
    SELECT o.created_at, t.name AS paused
      FROM outbox o JOIN inboxes i ON i.id = o.inbox_id
      LEFT JOIN templates t ON t.account_id = i.account_id AND t.waba_id = i.waba_id
                           AND t.name = o.payload -> 'template' ->> 'name'
                           AND t.language = o.payload -> 'template' -> 'language' ->> 'code' AND {STATUS} = '{PAUSED}'
     WHERE o.inbox_id = %(id)s AND o.state IN ('queued', 'sending'))
SELECT (SELECT count(*)::int FROM queued) AS queued,
       (SELECT min(created_at) FROM queued WHERE paused IS NULL) AS oldest_queued_at,
       ARRAY(SELECT DISTINCT paused FROM queued WHERE paused IS NOT NULL ORDER BY 1) AS paused,
       (SELECT count(paused)::int FROM queued) AS paused_count,
       (SELECT count(*)::int FROM outbox
         WHERE inbox_id = %(id)s AND state = 'unclear' AND given_up_at IS NULL) AS unclear,
       (SELECT count(*)::int FROM (SELECT FROM outbox WHERE inbox_id = %(id)s LIMIT %(most)s) o) AS sent
"""


async def line(conn: Connection, inbox_id: int) -> Line:
    """Count what is to be sent for a number."""
    async with conn.cursor(row_factory=class_row(Line)) as cursor:
        await cursor.execute(LINE, {"id": inbox_id, "most": COUNTED})
        found = await cursor.fetchone()
    assert found is not None
    return found


# A refusal at once stands in the outbox, a later one in a status of the message.
FAILURES: Final = """
WITH last AS (
    SELECT o.message_id, o.state, o.error_code, o.fbtrace_id, o.settled_at FROM outbox o
     WHERE o.inbox_id = %(id)s ORDER BY o.message_id DESC LIMIT %(most)s),
failed AS (
    SELECT error_code AS code, settled_at AS at, fbtrace_id FROM last WHERE state = 'failed'
     UNION ALL
    SELECT (s.errors -> 0 ->> 'code')::int, s.at, NULL
      FROM last l JOIN messages m ON m.id = l.message_id
      JOIN message_statuses s ON s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.status = %(failed)s
     WHERE l.state <> 'failed')
SELECT code, count(*)::int AS count, max(at) AS last_at, (array_agg(fbtrace_id ORDER BY at DESC))[1] AS fbtrace_id
  FROM failed WHERE at > %(since)s
 GROUP BY code ORDER BY count DESC, code
"""


async def failures(conn: Connection, inbox_id: int) -> Sequence[Failure]:
    """Count the last week's failures among a number's last sends, by Meta's code, the most frequent first."""
    since = clock.now() - timedelta(days=RECENT_DAYS)
    values: dict[str, Any] = {"id": inbox_id, "most": SENDS_COUNT, "failed": STATUS_RANK["failed"], "since": since}
    async with conn.cursor(row_factory=class_row(Failure)) as cursor:
        await cursor.execute(FAILURES, values)
        return await cursor.fetchall()


# What Meta took and told later to have failed proves no way; one that was delivered all the same does.
LAST_SENT: Final = """
SELECT max(l.settled_at)
  FROM (SELECT o.message_id, o.state, o.settled_at FROM outbox o
         WHERE o.inbox_id = %(id)s ORDER BY o.message_id DESC LIMIT %(most)s) l
  JOIN messages m ON m.id = l.message_id
 WHERE l.state = 'accepted'
   AND (m.status >= %(delivered)s OR NOT EXISTS (
        SELECT FROM message_statuses s
         WHERE s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.status = %(failed)s))
"""


async def last_sent_at(conn: Connection, inbox_id: int) -> datetime | None:
    """Return when Meta last took a message of a number that it did not tell to have failed, among its last sends."""
    values = {"id": inbox_id, "most": SENDS_COUNT}
    values |= {"failed": STATUS_RANK["failed"], "delivered": STATUS_RANK["delivered"]}
    row = await (await conn.execute(LAST_SENT, values)).fetchone()
    return None if row is None else row[0]
