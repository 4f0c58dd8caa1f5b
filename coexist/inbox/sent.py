"""Our own messages learn their wamid: from the API's answer, or from a status that carries our reference.

Whichever comes first. If an echo with that wamid was faster still, its row is folded into ours, so that there is one
message per wamid (D1, D2) and it stays "ours".
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import changes, locks, summary

OF_MESSAGE = """
SELECT i.account_id, i.scope_id, m.inbox_id, m.conversation_id, m.wamid
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id
 WHERE m.id = %s
"""

DROP_ECHO = """
DELETE FROM messages WHERE inbox_id = %s AND wamid = %s AND id <> %s RETURNING conversation_id, id
"""

# Handed to Meta: no longer queued. Whatever statuses wait for the wamid are shown right after.
SET_WAMID = "UPDATE messages SET wamid = %s, status = greatest(status, 1::smallint) WHERE id = %s AND wamid IS NULL"


async def learn_wamid(conn: Connection, message_id: int, wamid: str) -> list[NewEvent]:
    """Give our message ``message_id`` the ``wamid`` Meta gave it. Returns the events to append. Safe to repeat."""
    row = await (await conn.execute(OF_MESSAGE, (message_id,))).fetchone()
    if row is None:
        return []
    account_id, scope_id, inbox_id, conversation_id, _ = row
    await locks.own_apply(conn, scope_id)
    return await _fold(conn, account_id, inbox_id, conversation_id, message_id, wamid)


async def _fold(
    conn: Connection, account_id: int, inbox_id: int, conversation_id: int, message_id: int, wamid: str
) -> list[NewEvent]:
    echo = await (await conn.execute(DROP_ECHO, (inbox_id, wamid, message_id))).fetchone()
    await conn.execute(SET_WAMID, (wamid, message_id))
    await changes.wake(conn, [(inbox_id, wamid)])  # what was shown on the echo's row is now shown on ours
    await changes.settle(conn, [(inbox_id, wamid)])
    touched = {conversation_id}
    events = [NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, conversation_id, message_id)]
    if echo is not None:
        touched.add(echo[0])
        events.append(NewEvent(account_id, Kind.MESSAGE_REMOVED, inbox_id, echo[0], echo[1]))
    await summary.refresh(conn, touched)
    events += [NewEvent(account_id, Kind.CONVERSATION_CHANGED, inbox_id, id_) for id_ in sorted(touched)]
    return events


UNNAMED = """
SELECT i.account_id, m.inbox_id, m.conversation_id, m.id, s.wamid
  FROM message_statuses s
  JOIN messages m ON m.our_ref = s.our_ref AND m.inbox_id = s.inbox_id
  JOIN inboxes i ON i.id = m.inbox_id
 WHERE s.our_ref = ANY(%s) AND m.wamid IS NULL
 ORDER BY m.id
"""


async def name_by_reference(conn: Connection, our_refs: Sequence[UUID]) -> list[NewEvent]:
    """Give wamids to messages whose statuses carried our reference before the API answered (D2).

    The caller holds the scope's apply lock exclusively and has kept those statuses. Returns the events to append.
    """
    events: list[NewEvent] = []
    if our_refs:
        for row in await (await conn.execute(UNNAMED, (list(our_refs),))).fetchall():
            events += await _fold(conn, *row)
    return events
