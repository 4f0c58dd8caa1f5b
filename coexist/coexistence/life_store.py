"""The SQL of a connection's life: its timeline, signs of its phone, questions to Meta, its token's end, reminders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence.life_rules import INACTIVITY, Sign, Stage
from coexist.coexistence.rules import SILENCE_HOURS
from coexist.inbox import connection, restrictions
from coexist.inbox.connection import Line
from coexist.inbox.pauses import ACCOUNT_GOES_ON, APP_GOES_ON

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


# What a sync came to is told by its row: nobody writes a line of it.
SYNC_ENTRIES: Final = """
SELECT 0 AS id, told.at, 'coexist' AS field, told.event, jsonb_build_object('sync', s.kind, 'error', s.error) AS value
  FROM syncs s, LATERAL (VALUES
       (s.requested_at, 'SYNC_REQUESTED'), (s.completed_at, 'SYNC_COMPLETED'), (s.declined_at, 'SYNC_DECLINED'),
       (s.error_at, CASE WHEN s.state = 'failed' THEN 'SYNC_FAILED' END),
       (s.requested_at + %(silence)s::interval, CASE WHEN s.state = 'nothing_arrived' THEN 'SYNC_SILENT' END)
       ) told (at, event)
 WHERE s.inbox_id = %(inbox_id)s AND told.event IS NOT NULL AND told.at IS NOT NULL
   AND (%(after)s::timestamptz IS NULL OR told.at > %(after)s)
   AND (%(until)s::timestamptz IS NULL OR told.at <= %(until)s)
 ORDER BY told.at DESC, s.kind DESC
"""


async def sync_entries(
    conn: Connection, inbox_id: int, *, after: datetime | None, until: datetime | None
) -> Sequence[Entry]:
    """Return what became of a number's syncs between two moments, the second included, newest first; None is open."""
    values = {"inbox_id": inbox_id, "after": after, "until": until, "silence": timedelta(hours=SILENCE_HOURS)}
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(SYNC_ENTRIES, values)
        return await cursor.fetchall()


AT: Final = "SELECT at FROM inbox_timeline WHERE inbox_id = %s AND id = %s"


async def timeline(
    conn: Connection, inbox_id: int, count: int, before: int | None
) -> tuple[Sequence[Entry], int | None]:
    """Return a page of all that happened to a number, newest first, and the ``before`` of the next page, if any.

    A page has at most ``count`` lines of the timeline, and what became of the syncs between them.
    """
    found = await entries(conn, inbox_id, count + 1, before)
    has_older, shown = len(found) > count, found[:count]
    until = None
    if before is not None:
        row = await (await conn.execute(AT, (inbox_id, before))).fetchone()
        until = row[0] if row else None
    syncs = await sync_entries(conn, inbox_id, after=shown[-1].at if has_older else None, until=until)
    return sorted([*syncs, *shown], key=lambda entry: entry.at, reverse=True), shown[-1].id if has_older else None


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
          AND NOT EXISTS (SELECT FROM inboxes o WHERE o.waba_id = i.waba_id AND o.id <> i.id)
       UNION ALL
       SELECT i.onboarded_at, 'connected'
        WHERE NOT EXISTS (SELECT FROM inbox_timeline t
                           WHERE t.inbox_id = i.id AND t.field = 'coexist' AND t.event = 'CONNECTED'
                             AND t.at > i.onboarded_at + %(reach)s::interval)) known
 WHERE i.id = %(inbox_id)s AND i.is_coexistence
 ORDER BY known.at DESC
 LIMIT 1
"""


async def sign(conn: Connection, inbox_id: int) -> Sign | None:
    """Return the newest sign of life of a number's phone; None for a number without the phone app, or before any.

    A message written there (``message``), its contacts or history (``contacts``, ``history``), its return
    (``reconnected``), or its sign-up (``connected``). A sign-up from longer ago than WhatsApp lets a phone be silent,
    when the number was connected here by hand, tells nothing: its phone was opened since, and nobody here saw it.
    A return names a WhatsApp account: where that has several numbers, it may be another one's phone.
    """
    async with conn.cursor(row_factory=class_row(Sign)) as cursor:
        await cursor.execute(SIGN, {"inbox_id": inbox_id, "reach": INACTIVITY})
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

APP_TAKEN_OFF: Final = "PARTNER_APP_UNINSTALLED"

QUESTION: Final = """
INSERT INTO connection_questions (inbox_id, since, next_at)
SELECT DISTINCT t.inbox_id, %(now)s::timestamptz, %(soon)s::timestamptz
  FROM inbox_timeline t JOIN inboxes i ON i.id = t.inbox_id
 WHERE t.inbox_id = ANY(%(inbox_ids)s) AND t.at = ANY(%(times)s)
   AND t.field = 'account_update' AND t.event = ANY(%(events)s)
   AND t.at >= date_trunc('second', i.onboarded_at)
   AND (t.event = ANY(%(whole)s)
        OR t.value ->> 'phone_number' IS NULL
        OR EXISTS (SELECT FROM inbox_timeline n
                    WHERE n.inbox_id = t.inbox_id AND n.field = t.field AND n.event = ANY(%(events)s)
                      AND n.event <> t.event
                      AND n.at BETWEEN t.at - %(near)s::interval AND t.at + %(near)s::interval))
 ORDER BY t.inbox_id
    ON CONFLICT (inbox_id) DO UPDATE SET since = EXCLUDED.since, next_at = EXCLUDED.next_at, attempts = 0
"""


async def question(conn: Connection, lines: Sequence[Line]) -> None:
    """Have Meta asked about the numbers of those lines that do not say for sure what became of them (G2).

    And about those whose WhatsApp account was disabled, or restricted without an end: that it is over, nobody may tell.
    And when an app was taken off the account: if it is ours, Meta refuses the question, and that decides.
    """
    await connection.doubt(conn, {line.inbox_id for line in lines if _is_doubtful(line)})
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


def _is_doubtful(line: Line) -> bool:
    if line.event == APP_TAKEN_OFF:
        return True
    return connection.disables(line) or (line.event == restrictions.EVENT and restrictions.is_endless(line.value))


@dataclass(frozen=True, slots=True)
class Question:
    """A number that Meta is being asked about. ``attempts`` includes this one."""

    inbox_id: int
    account_id: int
    phone_number_id: str
    waba_id: str
    is_coexistence: bool
    state: str
    standing_codes: Sequence[int]
    is_held: bool
    since: datetime
    attempts: int

    @property
    def is_stopped(self) -> bool:
        """Whether Meta keeps it from sending, until its health status says that this is over."""
        return bool(self.standing_codes) or self.is_held or self.state == connection.State.RESTRICTED


CLAIM_QUESTIONS: Final = f"""
UPDATE connection_questions q SET attempts = q.attempts + 1, next_at = %(again)s
  FROM inboxes i
 WHERE i.id = q.inbox_id
   AND q.inbox_id IN (SELECT due.inbox_id FROM connection_questions due JOIN inboxes i ON i.id = due.inbox_id
                       WHERE due.next_at <= %(now)s AND {ACCOUNT_GOES_ON}
                       ORDER BY due.next_at LIMIT %(count)s FOR UPDATE OF due SKIP LOCKED)
RETURNING q.inbox_id, i.account_id, i.phone_number_id, i.waba_id, i.is_coexistence, i.state::text, i.standing_codes,
          coalesce(%(forever)s IN (i.begins_held_until, i.replies_held_until, i.utility_held_until), false) AS is_held,
          q.since, q.attempts
"""


async def claim_questions(conn: Connection, count: int, again: datetime) -> Sequence[Question]:
    """Return what Meta is to be asked now. Until it is settled, each is due again at ``again``."""
    async with conn.cursor(row_factory=class_row(Question)) as cursor:
        await cursor.execute(
            CLAIM_QUESTIONS, {"now": clock.now(), "again": again, "count": count, "forever": restrictions.FOREVER}
        )
        return await cursor.fetchall()


LAST_TOLD: Final = """
SELECT value FROM inbox_timeline WHERE inbox_id = %s AND field = 'coexist' AND event = 'META_TOLD'
 ORDER BY at DESC, id DESC LIMIT 1
"""


async def last_told(conn: Connection, inbox_id: int) -> Any:
    """Return what Meta answered last when it was asked about a number; None before the first time."""
    row = await (await conn.execute(LAST_TOLD, (inbox_id,))).fetchone()
    return None if row is None else row[0]


REJECTED_AT: Final = """
SELECT CASE WHEN event = 'REJECTED' THEN at END FROM inbox_timeline t
 WHERE inbox_id = %s AND field = 'account_review_update'
   AND at >= (SELECT date_trunc('second', onboarded_at) FROM inboxes i WHERE i.id = t.inbox_id)
 ORDER BY at DESC, id DESC LIMIT 1
"""


async def rejected_at(conn: Connection, inbox_id: int) -> datetime | None:
    """Return when Meta did not approve a number's WhatsApp account, if its last review since the onboarding says so."""
    row = await (await conn.execute(REJECTED_AT, (inbox_id,))).fetchone()
    return None if row is None else row[0]


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


# A token that was given since the last look is looked at now, and so is one that was refused since: Meta says why, and
# is asked again if it did not.
CLAIM_TOKENS: Final = f"""
INSERT INTO token_watch (inbox_id, asked_at, next_at)
SELECT i.id, %(now)s, %(again)s FROM inboxes i LEFT JOIN token_watch w ON w.inbox_id = i.id
 WHERE i.token IS NOT NULL AND {APP_GOES_ON}
   AND (i.state IN ('connected', 'offboarded', 'restricted')
            AND (w.next_at IS NULL OR w.next_at <= %(now)s
                 OR EXISTS (SELECT FROM inbox_timeline t WHERE t.inbox_id = i.id AND t.field = 'coexist'
                               AND t.event IN ('CONNECTED', 'AUTHORISED') AND t.at > w.asked_at))
        OR i.state = 'token_invalid' AND (w.asked_at IS NULL OR w.asked_at <= i.state_at
                                          OR w.problem IS NOT NULL AND w.next_at <= %(now)s))
 ORDER BY i.id
 LIMIT %(count)s
    ON CONFLICT (inbox_id) DO UPDATE SET asked_at = EXCLUDED.asked_at, next_at = EXCLUDED.next_at
RETURNING inbox_id
"""


async def claim_tokens(conn: Connection, count: int, now: datetime, again: datetime) -> list[int]:
    """Return the inboxes whose token is to be looked at ``now``. Until that is noted, each is due ``again``."""
    cursor = await conn.execute(CLAIM_TOKENS, {"now": now, "again": again, "count": count})
    return [int(row[0]) for row in await cursor.fetchall()]


NOTE: Final = """
UPDATE token_watch w SET next_at = %s, checked_at = %s, expires_at = %s, problem = NULL
  FROM inboxes i WHERE i.id = w.inbox_id AND w.inbox_id = %s
RETURNING i.account_id, i.state::text, i.state_at
"""


async def note_token(
    conn: Connection, inbox_id: int, next_at: datetime, expires_at: datetime | None
) -> tuple[int, str, datetime] | None:
    """Keep what Meta told of a token; return the number's account id, state and since when, None when it is gone."""
    row = await (await conn.execute(NOTE, (next_at, clock.now(), expires_at, inbox_id))).fetchone()
    return None if row is None else (row[0], row[1], row[2])


async def note_token_problem(conn: Connection, inbox_id: int, problem: str) -> None:
    """Keep why Meta could not be asked about a token; what was known stays."""
    await conn.execute("UPDATE token_watch SET problem = %s WHERE inbox_id = %s", (problem, inbox_id))


async def living(conn: Connection) -> Collection[tuple[int, int]]:
    """Return (account id, inbox id) of every connected number that has a phone or a token."""
    cursor = await conn.execute(
        "SELECT account_id, id FROM inboxes WHERE state IN ('connected', 'restricted', 'token_invalid') ORDER BY id"
    )
    return [(int(account_id), int(inbox_id)) for account_id, inbox_id in await cursor.fetchall()]
