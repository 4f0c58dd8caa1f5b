"""The loop that asks Meta for the templates of every WhatsApp account: after anything was told, and now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg
from psycopg.rows import class_row

from coexist.base import clock, log
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_transaction, transaction
from coexist.base.errors import AppError
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import credentials, inboxes, refusals, waiting
from coexist.inbox.pauses import ACCOUNT_GOES_ON
from coexist.meta import graph as meta
from coexist.meta.graph import Graph, GraphError
from coexist.people.model import Member
from coexist.templates import rules, store

STEP_S: Final = 2.0
CLAIMED_COUNT: Final = 5
WANTED_REST: Final = timedelta(seconds=10)
ASK_AGAIN_S: Final = (60, 3_600)
"""When Meta is asked again that did not answer: after a minute, then twice as long each time, an hour at most."""
NOT_KEPT: Final = "Meta's answer could not be kept here; the log says why."

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A list that Meta is being asked for, with the token of one of its numbers. ``attempts`` includes this one."""

    account_id: int
    waba_id: str
    since: datetime
    attempts: int
    inbox_id: int


async def run(pool: Pool, graph: Graph, keyring: Keyring) -> None:
    """Ask for ever."""
    while True:
        try:
            await ask_due(pool, graph, keyring)
        except (AppError, psycopg.Error) as error:
            logger.error("templates_not_asked_for", error=str(error), error_type=type(error).__name__)
        await asyncio.sleep(STEP_S)


async def ask_due(pool: Pool, graph: Graph, keyring: Keyring) -> int:
    """Ask for every list that is due; one account's trouble stops no other. Returns how many were asked for."""
    async with transaction(pool) as conn:
        due = await claim(conn)
    await asyncio.gather(*(_ask_or_put_off(pool, graph, keyring, question) for question in due))
    return len(due)


async def _ask_or_put_off(pool: Pool, graph: Graph, keyring: Keyring, question: Question) -> None:
    try:
        await _ask(pool, graph, keyring, question)
    except (AppError, psycopg.Error) as error:
        logger.warning("templates_not_listed", waba_id=question.waba_id, error=str(error))
        await _put_off(pool, question, str(error) if isinstance(error, AppError) else NOT_KEPT)


async def _ask(pool: Pool, graph: Graph, keyring: Keyring, question: Question) -> None:
    asked_at = clock.now()
    async with pool.connection() as conn:
        token = await credentials.token_of(conn, keyring, question.inbox_id)
    if token is None:
        return
    await graph.usage.ease(token)
    try:
        listed = await meta.message_templates(graph, question.waba_id, token)
    except GraphError as error:
        await refusals.heed_error(pool, question.inbox_id, error, asked_at=asked_at)
        raise
    key = (question.account_id, question.waba_id)

    async def work(conn: Connection) -> None:
        before = await store.of_waba(conn, *key)
        has_paused, told_at = await store.keep_list(conn, key, listed, asked_at)
        again = rules.next_at(asked_at, has_paused=has_paused, last_told_at=told_at)
        values = {"account_id": key[0], "waba_id": key[1], "since": question.since, "at": asked_at, "again": again}
        await conn.execute(SETTLE, values)
        after = await store.of_waba(conn, *key)
        if before != after:
            was = {each.key: each.status for each in before}
            changed = {each.key for each in after if was.get(each.key, each.status) != each.status}
            await _tell(conn, question, await waiting.of_templates(conn, changed))

    await in_transaction(pool, work)
    logger.info("templates_listed", waba_id=question.waba_id, count=len(listed))


async def _put_off(pool: Pool, question: Question, problem: str) -> None:
    least, most = ASK_AGAIN_S
    again = clock.now() + timedelta(seconds=min(most, least * 2 ** min(question.attempts - 1, 10)))
    values = {"account_id": question.account_id, "waba_id": question.waba_id, "since": question.since}

    async def work(conn: Connection) -> None:
        await conn.execute(PUT_OFF, values | {"problem": problem, "again": again})
        await _tell(conn, question)

    await in_transaction(pool, work)


async def _tell(conn: Connection, question: Question, bubbles: Sequence[NewEvent] = ()) -> None:
    """Open pages of these numbers show their templates anew, and ``bubbles`` of messages that wait for one."""
    numbers = await inboxes.of_wabas(conn, [question.waba_id])
    told = [NewEvent(each.account_id, Kind.INBOX_CHANGED, each.id) for each in numbers]
    await feed.append(conn, [*bubbles, *(event for event in told if event.account_id == question.account_id)])


async def ask_soon(conn: Connection, member: Member, inbox_id: int) -> None:
    """Have Meta asked for a number's templates, because a person wants to see them. Raises NotFound.

    However often they want to: ten seconds after Meta's last answer at the earliest.
    """
    inbox = await inboxes.get(conn, member.account_id, inbox_id)
    known, now = await store.listing(conn, inbox.account_id, inbox.waba_id), clock.now()
    rested = known.listed_at + WANTED_REST if known and known.listed_at else now
    await store.doubt(conn, [(inbox.account_id, inbox.waba_id)], max(now, rested), rest=timedelta(0))


# ── SQL ───────────────────────────────────────────────────────────────────────────────────────────────────

# Clocks jump: a time further ahead than any pause is no reason to wait.
NEVER: Final = rules.LIST_EVERY + timedelta(minutes=1)

# Through which numbers a list can be asked for.
USABLE: Final = "i.token IS NOT NULL AND i.state IN ('connected', 'offboarded', 'restricted') AND i.waba_id <> ''"
NEW: Final = f"""
INSERT INTO template_lists (account_id, waba_id, since, next_at)
SELECT DISTINCT i.account_id, i.waba_id, %(now)s::timestamptz, %(now)s::timestamptz
  FROM inboxes i
 WHERE {USABLE}
   AND NOT EXISTS (SELECT FROM template_lists l WHERE l.account_id = i.account_id AND l.waba_id = i.waba_id)
    ON CONFLICT DO NOTHING
"""
CLAIM: Final = f"""
UPDATE template_lists l SET attempts = l.attempts + 1, next_at = %(again)s
  FROM (SELECT due.account_id, due.waba_id, through.inbox_id
          FROM template_lists due
          JOIN LATERAL (SELECT i.id AS inbox_id FROM inboxes i
                         WHERE i.account_id = due.account_id AND i.waba_id = due.waba_id
                           AND {USABLE} AND {ACCOUNT_GOES_ON}
                         ORDER BY i.id LIMIT 1) through ON true
         WHERE (due.next_at <= %(now)s OR due.next_at > %(never)s)
         ORDER BY due.next_at LIMIT %(count)s FOR UPDATE OF due SKIP LOCKED) c
 WHERE l.account_id = c.account_id AND l.waba_id = c.waba_id
RETURNING l.account_id, l.waba_id, l.since, l.attempts, c.inbox_id
"""
SETTLE: Final = """
UPDATE template_lists
   SET listed_at = %(at)s, problem = NULL,
       next_at = CASE WHEN since = %(since)s THEN %(again)s ELSE next_at END,
       attempts = CASE WHEN since = %(since)s THEN 0 ELSE attempts END
 WHERE account_id = %(account_id)s AND waba_id = %(waba_id)s
"""
PUT_OFF: Final = """
UPDATE template_lists
   SET problem = %(problem)s, next_at = CASE WHEN since = %(since)s THEN %(again)s ELSE next_at END
 WHERE account_id = %(account_id)s AND waba_id = %(waba_id)s
"""


async def claim(conn: Connection) -> Sequence[Question]:
    """Return the lists to ask for now. Until one is settled, it is due again in a minute: whoever asks may die."""
    now = clock.now()
    await conn.execute(NEW, {"now": now})
    async with conn.cursor(row_factory=class_row(Question)) as cursor:
        again = now + timedelta(seconds=ASK_AGAIN_S[0])
        await cursor.execute(CLAIM, {"now": now, "never": now + NEVER, "again": again, "count": CLAIMED_COUNT})
        return await cursor.fetchall()
