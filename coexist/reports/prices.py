"""What was sent, and what of it Meta charges for: from the phone nothing, through the API by category (G10).

Amounts are not known here: Meta tells whether a message is charged and as what, and its price list says the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from psycopg.rows import class_row

from coexist.base.database import Connection
from coexist.meta.model import STATUS_RANK


class Charge(StrEnum):
    """Whether a message costs something."""

    FREE_PHONE = "free_phone"
    """Sent from the phone app, which is always free."""
    FREE = "free"
    CHARGED = "charged"
    NOT_TOLD = "not_told"
    """Sent through the API, and no status has told the price yet."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How many messages were sent that Meta charges alike. ``category`` is Meta's word, empty where it told none."""

    charge: Charge
    category: str
    count: int


SENT: Final = f"""
SELECT CASE WHEN m.origin = 'app' THEN 'free_phone'
            WHEN p.pricing ->> 'billable' = 'true' THEN 'charged'
            WHEN p.pricing ->> 'billable' = 'false' THEN 'free'
            ELSE 'not_told' END AS charge,
       coalesce(p.pricing ->> 'category', '') AS category, count(*)
  FROM conversations c
  JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %(account_id)s
  JOIN messages m ON m.conversation_id = c.id AND m.direction = 'outbound' AND NOT m.imported
                 AND m.sent_at >= %(since)s
  LEFT JOIN LATERAL (SELECT s.pricing FROM message_statuses s
                      WHERE s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.pricing IS NOT NULL
                      ORDER BY s.status DESC LIMIT 1) p ON m.origin = 'api'
 WHERE i.id = ANY(%(inbox_ids)s) AND c.last_message_at >= %(since)s
   AND (m.origin <> 'api' OR m.errors IS NULL AND m.status > {STATUS_RANK["queued"]})
   AND m.status IS DISTINCT FROM {STATUS_RANK["failed"]}
 GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""


async def sent(conn: Connection, account_id: int, inbox_ids: Collection[int], since: datetime) -> Sequence[Sent]:
    """Return what was sent since a time from these inboxes of the account, failed messages left out."""
    async with conn.cursor(row_factory=class_row(Sent)) as cursor:
        await cursor.execute(SENT, {"account_id": account_id, "inbox_ids": list(inbox_ids), "since": since})
        return await cursor.fetchall()
