"""How long customers waited, and who answered: answers from the phone are counted apart (requirement E5).

A wait begins with the first message of a customer that nobody has answered, and ends with the next message to them that
did not fail. What an import brought waits for nobody and answers nobody (D7).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from psycopg.rows import class_row

from coexist.base.database import Connection
from coexist.meta.model import STATUS_RANK


class AnsweredBy(StrEnum):
    """Who ended a wait. Meta does not tell which person holds the phone (meta-protocol 8.1)."""

    PHONE = "phone"
    TEAM = "team"
    PROGRAM = "program"
    NOBODY = "nobody"
    """Nobody yet: the customer waits."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits that one kind ended: how many, and within what time a half and nine tenths of them.

    Of those that nobody ended the times are None.
    """

    answered_by: AnsweredBy
    count: int
    median_s: float | None
    slowest_tenth_s: float | None


LOOK_BACK: Final = timedelta(days=7)
"""A wait that began before the span is not counted in it, and what was written so long before tells whether it did."""

AUTOMATIC_S: Final = 5
"""An answer from the phone this soon is the app's own greeting or away message, which answers nothing: nobody types
so fast, and Meta does not tell the two apart."""

# The turns are the messages at which the side changes, so a turn of the customer is followed by its answer.
WAITS: Final = f"""
WITH said AS (
    SELECT c.id AS conversation_id, m.id, m.sent_at, m.direction, m.origin, m.author_id,
           m.origin = 'app' AND lag(m.direction) OVER talk = 'inbound'
               AND m.sent_at < lag(m.sent_at) OVER talk + interval '{AUTOMATIC_S} seconds' AS is_automatic
      FROM conversations c
      JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %(account_id)s
      JOIN messages m ON m.conversation_id = c.id AND NOT m.imported AND m.sent_at >= %(from)s
     WHERE i.id = ANY(%(inbox_ids)s) AND c.last_message_at >= %(since)s
       AND (m.direction = 'inbound' OR m.status IS DISTINCT FROM {STATUS_RANK["failed"]})
       AND (m.origin <> 'api' OR m.errors IS NULL AND m.status > {STATUS_RANK["queued"]})
    WINDOW talk AS (PARTITION BY c.id ORDER BY m.sent_at, m.id)),
sided AS (
    SELECT *, direction IS DISTINCT FROM lag(direction) OVER (PARTITION BY conversation_id ORDER BY sent_at, id)
              AS is_turn
      FROM said WHERE is_automatic IS NOT TRUE),
turns AS (
    SELECT direction, sent_at AS since, lead(sent_at) OVER talk AS answered_at,
           CASE WHEN lead(origin) OVER talk = 'app' THEN 'phone'
                WHEN lead(author_id) OVER talk IS NOT NULL THEN 'team'
                WHEN lead(origin) OVER talk IS NOT NULL THEN 'program'
                ELSE 'nobody' END AS answered_by
      FROM sided WHERE is_turn
    WINDOW talk AS (PARTITION BY conversation_id ORDER BY sent_at, id))
SELECT answered_by, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS median_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY waited) AS slowest_tenth_s
  FROM (SELECT answered_by, extract(epoch FROM answered_at - since) AS waited
          FROM turns WHERE direction = 'inbound' AND since >= %(since)s) ended
 GROUP BY answered_by
"""


async def waits(conn: Connection, account_id: int, inbox_ids: Collection[int], since: datetime) -> Sequence[Waits]:
    """Return the waits that began since a time in these inboxes of the account: one entry per kind, in its order."""
    values = {"account_id": account_id, "inbox_ids": list(inbox_ids), "since": since, "from": since - LOOK_BACK}
    async with conn.cursor(row_factory=class_row(Waits)) as cursor:
        await cursor.execute(WAITS, values)
        found = {each.answered_by: each for each in await cursor.fetchall()}
    return [found.get(kind, Waits(kind, 0, None, None)) for kind in AnsweredBy]
