"""The SQL of a connection's life: its timeline, signs of its phone, questions to Meta, its token's end, reminders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence.life_rules import Sign, Stage
from coexist.inbox import connection
from coexist.inbox.connection import Line

# ── what happened ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline, as kept."""

    id: int
    at: datetime
    field: str
    event: str
    value: Any


ENTRIES: Final = """
SELECT t.id, t.at, t.field, t.event, t.value FROM inbox_timeline t
 WHERE t.inbox_id = %(inbox_id)s
   AND (%(before)s::bigint IS NULL
        OR (t.at, t.id) < (SELECT at, id FROM inbox_timeline WHERE inbox_id = %(inbox_id)s AND id = %(before)s))
 ORDER BY t.at DESC, t.id DESC
 LIMIT %(count)s
"""


async def entries(conn: Connection, inbox_id: int, count: int, before: int | None = None) -> Sequence[Entry]:
    """Return what happened to a number, newest first; ``before`` is the id of the last line already shown."""
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(ENTRIES, {"inbox_id": inbox_id, "before": before, "count": count})
        return await cursor.fetchall()


async def waiting_count(conn: Connection, inbox_id: int) -> int:
    """Return how many messages wait to be sent from a number."""
    cursor = await conn.execute("SELECT count(*) FROM outbox WHERE inbox_id = %s AND state = 'queued'", (inbox_id,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


# ── the phone ─────────────────────────────────────────────────────────────────────────────────────────────

SIGN: Final = """
SELECT known.at, known.source
  FROM inboxes i, LATERAL (
       (SELECT sent_at AS at, 'message' AS source FROM messages
         WHERE inbox_id = i.id AND origin = 'app' AND NOT imported ORDER BY sent_at DESC LIMIT 1)
       UNION ALL
       SELECT last_arrival_at, kind::text FROM syncs WHERE inbox_id = i.id AND last_arrival_at IS NOT NULL
       UNION ALL
       SELECT at, 'reconnected' FROM inbox_timeline
        WHERE inbox_id = i.id AND field = 'account_update' AND event = 'ACCOUNT_RECONNECTED'
       UNION ALL
       SELECT i.onboarded_at, 'connected') known
 WHERE i.id = %s AND i.is_coexistence
 ORDER BY known.at DESC
 LIMIT 1
"""


async def sign(conn: Connection, inbox_id: int) -> Sign | None:
    """Return the newest sign of life of a number's phone; None for a number without the phone app.

    A message written there (``message``), its contacts or history (``contacts``, ``history``), its return
    (``reconnected``), or the scan that connected it (``connected``).
    """
    async with conn.cursor(row_factory=class_row(Sign)) as cursor:
        await cursor.execute(SIGN, (inbox_id,))
        return await cursor.fetchone()


REMIND: Final = """
INSERT INTO reminders (inbox_id, about, stage, since, at)
VALUES (%(inbox_id)s, %(about)s, %(stage)s, %(since)s, %(now)s)
    ON CONFLICT DO NOTHING
"""


async def remind(conn: Connection, inbox_id: int, about: str, stage: Stage, since: datetime) -> bool:
    """Note a reminder, about the ``phone`` or the ``token``; False when it was given before."""
    values = {"inbox_id": inbox_id, "about": about, "stage": stage, "since": since, "now": clock.now()}
    return (await conn.execute(REMIND, values)).rowcount > 0


# ── questions to Meta ─────────────────────────────────────────────────────────────────────────────────────

SOON_S: Final = 2
"""Two events of one moment shall both be here before Meta is asked."""
NEAR_S: Final = 60
"""Meta's times of two events that are closer than this say nothing of their order."""
WHOLE_ACCOUNT: Final = ("ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED")
"""Events that never name a number (meta-protocol 5.7)."""

QUESTION: Final = """
INSERT INTO connection_questions (inbox_id, since, next_at)
SELECT DISTINCT t.inbox_id, %(now)s::timestamptz, %(soon)s::timestamptz
  FROM inbox_timeline t JOIN inboxes i ON i.id = t.inbox_id
 WHERE t.inbox_id = ANY(%(inbox_ids)s) AND t.at = ANY(%(times)s)
   AND t.field = 'account_update' AND t.event = ANY(%(events)s)
   AND t.at >= date_trunc('second', i.onboarded_at)
   AND (t.event = ANY(%(whole)s)
        OR t.value ->> 'phone_number' IS NULL
           AND EXISTS (SELECT FROM inboxes o WHERE o.waba_id = i.waba_id AND o.id <> i.id)
        OR EXISTS (SELECT FROM inbox_timeline n
                    WHERE n.inbox_id = t.inbox_id AND n.field = t.field AND n.event = ANY(%(events)s)
                      AND n.event <> t.event
                      AND n.at BETWEEN t.at - %(near)s::interval AND t.at + %(near)s::interval))
 ORDER BY t.inbox_id
    ON CONFLICT (inbox_id) DO UPDATE SET since = EXCLUDED.since, next_at = EXCLUDED.next_at, attempts = 0
"""


async def question(conn: Connection, lines: Sequence[Line]) -> None:
    """Have Meta asked about the numbers of those lines that do not say for sure what became of them (G2)."""
    told = [line for line in lines if line.event in connection.PHONE_EVENTS]
    if not told:
        return
    now = clock.now()
    values = {
        "inbox_ids": sorted({line.inbox_id for line in told}),
        "times": sorted({line.at for line in told}),
        "events": list(connection.PHONE_EVENTS),
        "whole": list(WHOLE_ACCOUNT),
        "near": timedelta(seconds=NEAR_S),
        "now": now,
        "soon": now + timedelta(seconds=SOON_S),
    }
    await conn.execute(QUESTION, values)


@dataclass(frozen=True, slots=True)
class Question:
    """A number that Meta is being asked about. ``attempts`` includes this one."""

    inbox_id: int
    account_id: int
    phone_number_id: str
    is_coexistence: bool
    state: str
    since: datetime
    attempts: int


CLAIM_QUESTIONS: Final = """
UPDATE connection_questions q SET attempts = q.attempts + 1, next_at = %(again)s
  FROM inboxes i
 WHERE i.id = q.inbox_id
   AND q.inbox_id IN (SELECT inbox_id FROM connection_questions WHERE next_at <= %(now)s
                       ORDER BY next_at LIMIT %(count)s FOR UPDATE SKIP LOCKED)
RETURNING q.inbox_id, i.account_id, i.phone_number_id, i.is_coexistence, i.state::text, q.since, q.attempts
"""


async def claim_questions(conn: Connection, count: int, again: datetime) -> Sequence[Question]:
    """Return what Meta is to be asked now. Until it is settled, each is due again at ``again``."""
    async with conn.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(CLAIM_QUESTIONS, {"now": clock.now(), "again": again, "count": count})
        return await cursor.fetchall()


async def settle_question(conn: Connection, asked: Question, again: datetime | None) -> None:
    """Take an answered question away, or ask it once more at ``again``; one that came up meanwhile stays as it is."""
    ids = (asked.inbox_id, asked.since)
    if again is None:
        await conn.execute("DELETE FROM connection_questions WHERE inbox_id = %s AND since = %s", ids)
    else:
        await conn.execute(
            "UPDATE connection_questions SET next_at = %s WHERE inbox_id = %s AND since = %s", (again, *ids)
        )


# ── the token ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TokenWatch:
    """What is known of a number's access token. Without ``expires_at`` it never ends."""

    checked_at: datetime | None
    expires_at: datetime | None
    problem: str | None


async def token_watch(conn: Connection, inbox_id: int) -> TokenWatch | None:
    """Return what Meta told of a number's token; None before it was asked."""
    async with conn.cursor(row_factory=class_row(TokenWatch)) as cursor:
        await cursor.execute("SELECT checked_at, expires_at, problem FROM token_watch WHERE inbox_id = %s", (inbox_id,))
        return await cursor.fetchone()


# A token that was given since the last look is looked at now.
CLAIM_TOKENS: Final = """
INSERT INTO token_watch (inbox_id, asked_at, next_at)
SELECT i.id, %(now)s, %(again)s FROM inboxes i LEFT JOIN token_watch w ON w.inbox_id = i.id
 WHERE i.token IS NOT NULL AND i.state IN ('connected', 'offboarded', 'restricted')
   AND (w.next_at IS NULL OR w.next_at <= %(now)s
        OR EXISTS (SELECT FROM inbox_timeline t WHERE t.inbox_id = i.id AND t.field = 'coexist'
                      AND t.event IN ('CONNECTED', 'AUTHORISED') AND t.at > w.asked_at))
 ORDER BY i.id
 LIMIT %(count)s
    ON CONFLICT (inbox_id) DO UPDATE SET asked_at = EXCLUDED.asked_at, next_at = EXCLUDED.next_at
RETURNING inbox_id
"""


async def claim_tokens(conn: Connection, count: int, again: datetime) -> list[int]:
    """Return the inboxes whose token is to be looked at now. Until that is noted, each is due again at ``again``."""
    cursor = await conn.execute(CLAIM_TOKENS, {"now": clock.now(), "again": again, "count": count})
    return [int(row[0]) for row in await cursor.fetchall()]


async def note_token(conn: Connection, inbox_id: int, next_at: datetime, expires_at: datetime | None) -> None:
    """Keep what Meta told of a token."""
    await conn.execute(
        "UPDATE token_watch SET next_at = %s, checked_at = %s, expires_at = %s, problem = NULL WHERE inbox_id = %s",
        (next_at, clock.now(), expires_at, inbox_id),
    )


async def note_token_problem(conn: Connection, inbox_id: int, problem: str) -> None:
    """Keep why Meta could not be asked about a token; what was known stays."""
    await conn.execute("UPDATE token_watch SET problem = %s WHERE inbox_id = %s", (problem, inbox_id))


async def living(conn: Connection) -> Collection[tuple[int, int]]:
    """Return (account id, inbox id) of every connected number that has a phone or a token."""
    cursor = await conn.execute(
        "SELECT account_id, id FROM inboxes WHERE state IN ('connected', 'restricted', 'token_invalid') ORDER BY id"
    )
    return [(int(account_id), int(inbox_id)) for account_id, inbox_id in await cursor.fetchall()]
