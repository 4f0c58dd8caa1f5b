"""The SQL of attempts: which message may go now, and what became of each try."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox.pauses import HALVINGS, NUMBER_GOES_ON
from coexist.inbox.window import IS_OPEN
from coexist.meta.errors import Action, codes_of
from coexist.meta.model import STATUS_RANK
from coexist.outbound.holding import held
from coexist.outbound.model import NONE, OutboxState, Reason, Sending
from coexist.outbound.rules import PAUSE_MAX_S

CLOCKS_DIFFER_S: Final = 2
"""How far the clocks of two of our hosts may differ. What was begun later than that was begun by a wrong clock."""

CALL_LOST_S: Final = 60
"""An attempt without an outcome for twice as long as a call can last: its process died, and nobody knows more."""

STALE_S: Final = 15
"""How long after its claim an attempt may begin its call without a look at whether it is still the only one."""

STATUS_DAYS: Final = 8
"""How long after an attempt a status can still come: Meta delivers again for seven days."""

FAILED: Final = STATUS_RANK["failed"]

# Clocks jump: a time further ahead than any pause is no reason to wait.
IS_DUE: Final = f"""(
    o.next_attempt_at <= %(now)s OR o.next_attempt_at > %(now)s::timestamptz + interval '{PAUSE_MAX_S} seconds')"""

DUE: Final = f"""
SELECT DISTINCT o.inbox_id
  FROM outbox o JOIN inboxes i ON i.id = o.inbox_id
 WHERE o.state = 'queued' AND {IS_DUE} AND i.state = 'connected' AND {NUMBER_GOES_ON}
 ORDER BY o.inbox_id
"""


async def due_inboxes(conn: Connection) -> list[int]:
    """Return the connected inboxes that have something to send now. An offboarded one waits (requirement G3)."""
    cursor = await conn.execute(DUE, {"now": clock.now()})
    return [int(row[0]) for row in await cursor.fetchall()]


CLAIM_LOCK: Final = 0x53454E44  # "SEND": one claims for a number at a time, so that its rate is counted right

# The first of each conversation only: what was written later waits until its outcome is known, unless it waits for
# what is held itself.
CLAIM: Final = f"""
WITH allowed AS (
    SELECT greatest(0, least(%(count)s, greatest(1, %(per_second)s / (1 << {HALVINGS})) - (
               SELECT count(*) FROM outbox
                WHERE inbox_id = i.id
                  AND sending_at BETWEEN %(now)s::timestamptz - interval '1 second'
                                     AND %(now)s::timestamptz + interval '{CLOCKS_DIFFER_S} seconds')))::int AS n
      FROM inboxes i WHERE i.id = %(inbox_id)s),
first AS (
    SELECT o.our_ref
      FROM outbox o JOIN messages m ON m.id = o.message_id
      JOIN inboxes i ON i.id = o.inbox_id JOIN conversations c ON c.id = m.conversation_id
     WHERE o.inbox_id = %(inbox_id)s AND o.state = 'queued' AND {IS_DUE} AND m.wamid IS NULL
       AND NOT {held("o")}
       AND NOT EXISTS (
           SELECT FROM outbox e JOIN messages em ON em.id = e.message_id
            WHERE e.inbox_id = o.inbox_id AND em.conversation_id = m.conversation_id
              AND e.state IN ('queued', 'sending') AND (e.created_at, e.our_ref) < (o.created_at, o.our_ref)
              AND NOT (e.state = 'queued' AND {held("e")}))
     ORDER BY o.created_at, o.our_ref
     LIMIT (SELECT n FROM allowed)
       FOR UPDATE OF o SKIP LOCKED)
UPDATE outbox o SET state = 'sending', attempts = o.attempts + 1, sending_at = %(now)s
  FROM first f, messages m, inboxes i, conversations c
 WHERE o.our_ref = f.our_ref AND m.id = o.message_id AND i.id = o.inbox_id AND c.id = m.conversation_id
   AND i.state = 'connected' AND {NUMBER_GOES_ON}
RETURNING o.our_ref, o.inbox_id, i.account_id, o.message_id, m.conversation_id, i.waba_id, i.phone_number_id,
          o.attempts, o.asked_attempts, o.sending_at, o.payload, coalesce({IS_OPEN}, false) AS has_window,
          o.is_doubtful, m.content -> 'template' ->> 'wording' AS wording,
          (m.content -> 'template' -> 'file' ->> 'given_at')::timestamptz AS file_given_at
"""


async def claim(conn: Connection, inbox_id: int, per_second: int, count: int) -> Sequence[Sending]:
    """Mark what may be sent now for one number as being sent, ``count`` at most. Once committed, Graph may be called.

    Counts the attempts of the last second by every sender of every host, so a number keeps to its rate (G7).
    """
    cursor = await conn.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (CLAIM_LOCK, inbox_id))
    if await cursor.fetchone() != (True,):
        return []  # somebody else is claiming for this number
    values = {
        "inbox_id": inbox_id,
        "per_second": per_second,
        "count": count,
        "now": clock.now(),
        "paid": codes_of(Action.HOLD_PAID),
        "initiated": codes_of(Action.HOLD_BUSINESS_INITIATED),
    }
    async with conn.cursor(row_factory=class_row(Sending)) as rows:
        await rows.execute(CLAIM, values)
        return await rows.fetchall()


RENEW: Final = """
UPDATE outbox SET sending_at = %(now)s
 WHERE our_ref = %(our_ref)s AND state = 'sending' AND sending_at = %(sending_at)s
"""


async def renew(conn: Connection, sending: Sending) -> bool:
    """Whether an attempt may still make its call. One whose process stood still too long was given up: somebody may
    have sent its words again. From now on it counts as begun now.
    """
    now = clock.now()
    if abs(now - sending.sending_at) < timedelta(seconds=STALE_S):
        return True
    values = {"now": now, "our_ref": sending.our_ref, "sending_at": sending.sending_at}
    return (await conn.execute(RENEW, values)).rowcount > 0


# Nobody but the attempt itself puts a message back in line: once it counts as unclear, a person may have sent it again.
SETTLE: Final = """
UPDATE outbox
   SET state = %(state)s::outbox_state, settled_at = %(settled_at)s, error_code = %(code)s, error = %(error)s,
       fbtrace_id = %(fbtrace_id)s, next_attempt_at = coalesce(%(next_at)s, next_attempt_at),
       attempts = attempts - %(uncounted)s, asked_attempts = asked_attempts + %(asked)s,
       is_doubtful = is_doubtful OR %(is_doubtful)s
 WHERE our_ref = %(our_ref)s AND (state = 'sending' OR state = 'unclear' AND %(state)s <> 'queued')
"""


async def settle(
    conn: Connection,
    our_ref: UUID,
    state: OutboxState,
    reason: Reason = NONE,
    *,
    next_at: datetime | None = None,
    is_counted: bool = True,
    is_asked: bool = False,
    is_doubtful: bool = False,
) -> bool:
    """Write down what became of an attempt; False when it was settled otherwise meanwhile.

    ``is_asked``: Meta is asked about the number. ``is_doubtful``: the customer may have it, whatever becomes of it.
    """
    values = {
        "our_ref": our_ref,
        "state": state,
        "settled_at": None if state is OutboxState.QUEUED else clock.now(),
        "next_at": next_at,
        "uncounted": int(not is_counted),
        "asked": int(is_asked),
        "is_doubtful": is_doubtful,
    }
    values |= {"code": reason.code, "error": reason.error, "fbtrace_id": reason.fbtrace_id}
    return (await conn.execute(SETTLE, values)).rowcount > 0


async def mark_failed(conn: Connection, message_id: int, reason: Reason) -> None:
    """Show on a message that Meta did not take it."""
    errors = msgspec.json.encode([{"code": reason.code, "title": reason.error}]).decode()
    statement = "UPDATE messages SET status = %s, errors = %s::jsonb WHERE id = %s AND wamid IS NULL"
    await conn.execute(statement, (FAILED, errors, message_id))


# A status that named the wamid settles every doubt, also before the answer; an attempt nobody answers for is unclear.
# Each branch has its index: what failed long ago, and what was accepted, is not looked at.
SWEEP: Final = """
WITH decided AS (
    SELECT o.our_ref, o.state FROM outbox o JOIN messages m ON m.id = o.message_id
     WHERE o.state IN ('queued', 'sending', 'unclear')
       AND (m.wamid IS NOT NULL
            OR o.state = 'sending' AND NOT o.sending_at BETWEEN %(lost)s AND %(never)s)
     UNION ALL
    SELECT o.our_ref, o.state FROM outbox o JOIN messages m ON m.id = o.message_id
     WHERE o.state = 'failed' AND o.settled_at > %(settled)s AND m.wamid IS NOT NULL)
UPDATE outbox o
   SET state = CASE WHEN m.wamid IS NOT NULL THEN 'accepted' ELSE 'unclear' END::outbox_state,
       settled_at = %(now)s,
       error = CASE WHEN m.wamid IS NOT NULL THEN NULL ELSE o.error END,
       error_code = CASE WHEN m.wamid IS NOT NULL THEN NULL ELSE o.error_code END
  FROM decided d, messages m, inboxes i
 WHERE o.our_ref = d.our_ref AND o.state = d.state AND m.id = o.message_id AND i.id = o.inbox_id
RETURNING i.account_id, o.inbox_id, m.conversation_id, m.id AS message_id
"""


async def sweep(conn: Connection) -> list[NewEvent]:
    """Settle what time or a status has decided; return the events to append."""
    now = clock.now()
    values = {
        "now": now,
        "lost": now - timedelta(seconds=CALL_LOST_S),
        "never": now + timedelta(seconds=CALL_LOST_S),
        "settled": now - timedelta(days=STATUS_DAYS),
    }
    cursor = await conn.execute(SWEEP, values)
    return [changed(*row) for row in await cursor.fetchall()]


def changed(account_id: int, inbox_id: int, conversation_id: int, message_id: int) -> NewEvent:
    """Return the event for a bubble that looks different now."""
    return NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, conversation_id, message_id)
