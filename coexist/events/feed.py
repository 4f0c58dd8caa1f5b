"""The feed: what changed, for whoever shows or reacts to it.

Rows of one account commit in the order of their ids: ``append`` takes the account's feed lock and is the last
thing a transaction does, so a reader that asks for ``id > last`` never skips a row that commits late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

CHANNEL = "coexist_events"
"""PostgreSQL's notification channel; the payload is ``account_id:last_event_id``."""

PAGE_ROWS = 500
"""Rows ``since`` returns at most in one call."""

KEPT_DAYS = 7
"""How long an event can be asked for. Whoever comes back later loads the page anew, which costs one request; a browser
that slept over a long weekend, and a program that was down as long, goes on where it was."""


class Kind(StrEnum):
    """What an event says. The payload holds ids and counts, never message text."""

    MESSAGE_ADDED = "message_added"
    MESSAGE_CHANGED = "message_changed"
    MESSAGE_REMOVED = "message_removed"
    CONVERSATION_CHANGED = "conversation_changed"
    CONTACT_CHANGED = "contact_changed"  # payload: contact_id
    INBOX_CHANGED = "inbox_changed"
    SYNC_PROGRESSED = "sync_progressed"
    QUARANTINE_CHANGED = "quarantine_changed"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has an id. Equal ones in one transaction are told once.

    ``is_import``: an import did it, or what follows from one, such as its files. Open pages show it, nobody else hears.
    ``is_ours``: a member of the team did it, whatever comes in meanwhile.
    """

    account_id: int
    kind: Kind
    inbox_id: int | None = None
    conversation_id: int | None = None
    message_id: int | None = None
    contact_id: int | None = None
    is_import: bool = False
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the feed."""

    id: int
    account_id: int
    inbox_id: int | None
    conversation_id: int | None
    message_id: int | None
    kind: str
    at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)


# Two keys name the feed lock of one account, apart from every other advisory lock of ours.
LOCK_CLASS = 0x46454544  # "FEED"

APPEND = f"""
WITH added AS (
    INSERT INTO events (account_id, inbox_id, conversation_id, message_id, kind, payload)
    SELECT account_id, inbox_id, conversation_id, message_id, kind,
           CASE WHEN contact_id IS NULL THEN '{{}}' ELSE jsonb_build_object('contact_id', contact_id) END
           || CASE WHEN is_import THEN '{{"is_import": true}}'::jsonb ELSE '{{}}' END
           || CASE WHEN is_ours THEN '{{"is_ours": true}}'::jsonb ELSE '{{}}' END
      FROM ROWS FROM (json_to_recordset(%s::json) AS (
           account_id int, kind text, inbox_id int, conversation_id bigint, message_id bigint, contact_id bigint,
           is_import boolean, is_ours boolean))
           WITH ORDINALITY AS e (account_id, kind, inbox_id, conversation_id, message_id, contact_id, is_import,
                                 is_ours, n)
     ORDER BY n
    RETURNING account_id, id)
SELECT pg_notify('{CHANNEL}', account_id || ':' || max(id)) FROM added GROUP BY account_id
"""


async def append(conn: AsyncConnection[Any], events: Iterable[NewEvent]) -> None:
    """Append ``events``, each distinct one once, and tell every listener. Must be the transaction's last statements."""
    distinct = sorted(dict.fromkeys(events), key=lambda event: event.account_id)
    for account_id, group in groupby(distinct, key=lambda event: event.account_id):
        await conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, account_id))
        await conn.execute(APPEND, (msgspec.json.encode(list(group)).decode(),))


SINCE = """
SELECT id, account_id, inbox_id, conversation_id, message_id, kind, at, payload
  FROM events
 WHERE account_id = %s AND id > %s
 ORDER BY id
 LIMIT %s
"""


async def since(
    conn: AsyncConnection[Any], account_id: int, last_id: int, *, limit: int = PAGE_ROWS
) -> Sequence[Event]:
    """Return the events of one account after ``last_id``, oldest first, ``limit`` rows at most."""
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(SINCE, (account_id, last_id, limit))
        return await cursor.fetchall()


LAST_ID = """
SELECT greatest(coalesce((SELECT max(id) FROM events WHERE account_id = %(account_id)s), 0),
                coalesce((SELECT pruned_to FROM feed_horizons WHERE account_id = %(account_id)s), 0))
"""


async def last_id(conn: AsyncConnection[Any], account_id: int) -> int:
    """Return the id of the newest event that the account has or had, 0 when there never was one."""
    row = await (await conn.execute(LAST_ID, {"account_id": account_id})).fetchone()
    assert row is not None
    return int(row[0])


async def is_pruned_after(conn: AsyncConnection[Any], account_id: int, last_id: int) -> bool:
    """Whether events after ``last_id`` are gone: then ``since`` cannot tell all, and its reader must begin anew."""
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM feed_horizons WHERE account_id = %s AND pruned_to > %s)", (account_id, last_id)
    )
    return await cursor.fetchone() == (True,)


PRUNE = """
WITH oldest AS (SELECT id, account_id, at FROM events ORDER BY id LIMIT %(limit)s),
gone AS (
    DELETE FROM events e USING oldest o WHERE e.id = o.id AND o.at < %(before)s
    RETURNING e.account_id, e.id),
horizon AS (
    INSERT INTO feed_horizons AS known (account_id, pruned_to)
    SELECT account_id, max(id) FROM gone GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET pruned_to = greatest(known.pruned_to, excluded.pruned_to))
SELECT count(*) FROM gone
"""


async def prune(conn: AsyncConnection[Any], before: datetime, limit: int) -> int:
    """Remove what was told before a time: of the ``limit`` oldest events those that are. Return how many."""
    row = await (await conn.execute(PRUNE, {"before": before, "limit": limit})).fetchone()
    assert row is not None
    return int(row[0])
