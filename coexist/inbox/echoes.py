"""What an echo, a message that was written on the phone, makes of its conversation: a choice for each number.

The state of a conversation is computed from its messages and this choice (``inbox.summary``), by the echo's own time:
so the order of deliveries does not matter, and a history, which has no echoes, changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, inboxes, locks, summary
from coexist.inbox.connection import Line

ECHO_EFFECT_CHANGED: Final = "ECHO_EFFECT_CHANGED"
REFRESHED_COUNT: Final = 1_000
"""Conversations computed anew in one statement."""


class EchoEffect(StrEnum):
    """What an echo does to a conversation that it does not begin; one that it begins is open, but for ``RESOLVE``."""

    LEAVE = "leave"
    REOPEN = "reopen"
    RESOLVE = "resolve"


SET: Final = """
UPDATE inboxes i SET echo_effect = %(effect)s::echo_effect, echo_effect_at = %(now)s
  FROM inboxes before
 WHERE i.id = %(inbox_id)s AND before.id = i.id
RETURNING before.echo_effect_at
"""

# What an echo did by the choice of before is undone with it; nothing else can change at once.
SINCE: Final = "SELECT id FROM conversations WHERE inbox_id = %s AND last_message_at >= %s ORDER BY id"


async def choose(conn: Connection, by: str, account_id: int, inbox_id: int, effect: EchoEffect) -> bool:
    """Choose what echoes of a number do from now on; False when it was so already.

    ``by`` is shown on the number's timeline. Needs a transaction by the caller; appends the events last. Raises
    NotFound for another account's number.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    if inbox.echo_effect == effect:
        return False
    await locks.own_apply(conn, inbox.scope_id)
    now = clock.now()
    row = await (await conn.execute(SET, {"effect": effect, "now": now, "inbox_id": inbox_id})).fetchone()
    assert row is not None
    told = {"effect": effect, "before": inbox.echo_effect, "by": by}
    await connection.record(conn, [Line(inbox_id, now, connection.OURS, ECHO_EFFECT_CHANGED, told)])
    if row[0] is not None:
        await _refresh(conn, inbox_id, row[0])
    await feed.append(conn, [NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id=inbox_id)])
    return True


async def _refresh(conn: Connection, inbox_id: int, since: datetime) -> None:
    ids = [int(row[0]) for row in await (await conn.execute(SINCE, (inbox_id, since))).fetchall()]
    for start in range(0, len(ids), REFRESHED_COUNT):
        await summary.refresh(conn, ids[start : start + REFRESHED_COUNT])
