"""Our own messages learn their wamid: from the API's answer, or from a status that carries our reference.

Whichever comes first. If an echo with that wamid was faster still, its row is folded into ours, so that there is one
message per wamid (D1, D2) and it stays "ours".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import changes, files, locks, refusals, summary
from coexist.inbox.files import FileRow
from coexist.inbox.merge import PLACE, peer_rank, place
from coexist.meta.model import SENT_BY_US, MediaFile

OF_MESSAGE = """
SELECT i.account_id, i.scope_id, m.inbox_id
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id
 WHERE m.id = %s
"""

# Ours goes by one wamid for good: a second attempt that Meta took as well is another message to the customer.
LOCK = "SELECT conversation_id, wamid FROM messages WHERE id = %s FOR NO KEY UPDATE"

DROP_ECHO = f"""
DELETE FROM messages WHERE inbox_id = %s AND wamid = %s AND id <> %s
RETURNING conversation_id, id, peer, coalesce(peer_rank, {peer_rank("messages")}), coalesce(peer_at, sent_at), status
"""

# Handed to Meta: no longer queued. Whatever statuses wait for the wamid are shown right after; one that a history told
# stands on the echo's row alone, and outlives it. The peer and with it the
# conversation are the echo's by the rule of merge, so that it makes no difference which came first.
TAKE_WAMID = f"""
WITH told AS (
    SELECT id, {place("%(peer)s::text", "%(peer_rank)s::int", "%(peer_at)s::timestamptz")} > {PLACE} AS has_peer
      FROM messages m WHERE id = %(id)s)
UPDATE messages m
   SET wamid = %(wamid)s, status = greatest(m.status, 1::smallint, %(status)s::smallint),
       conversation_id = CASE WHEN t.has_peer THEN %(conversation_id)s ELSE m.conversation_id END,
       peer = CASE WHEN t.has_peer THEN %(peer)s::text ELSE m.peer END,
       peer_rank = CASE WHEN t.has_peer THEN %(peer_rank)s::smallint ELSE m.peer_rank END,
       peer_at = CASE WHEN t.has_peer THEN %(peer_at)s::timestamptz ELSE m.peer_at END
  FROM told t
 WHERE m.id = t.id
RETURNING m.conversation_id, m.content -> 'template' -> 'file'
"""


async def learn_wamid(conn: Connection, message_id: int, wamid: str) -> list[NewEvent]:
    """Give our message ``message_id`` the ``wamid`` Meta gave it. Returns the events to append. Safe to repeat."""
    row = await (await conn.execute(OF_MESSAGE, (message_id,))).fetchone()
    if row is None:
        return []
    account_id, scope_id, inbox_id = row
    await locks.own_apply(conn, scope_id)
    return await _fold(conn, account_id, inbox_id, message_id, wamid)


async def _fold(conn: Connection, account_id: int, inbox_id: int, message_id: int, wamid: str) -> list[NewEvent]:
    row = await (await conn.execute(LOCK, (message_id,))).fetchone()
    if row is None or row[1] not in (None, wamid):
        return []
    before = row[0]
    echo = await (await conn.execute(DROP_ECHO, (inbox_id, wamid, message_id))).fetchone()
    echo_place, echo_id, peer, rank, peer_at, status = echo or (before, None, None, None, None, None)
    given = {"wamid": wamid, "id": message_id, "conversation_id": echo_place, "status": status}
    given |= {"peer": peer, "peer_rank": rank, "peer_at": peer_at}
    taken = await (await conn.execute(TAKE_WAMID, given)).fetchone()
    assert taken is not None
    if isinstance(taken[1], dict):  # the file at a template's head, which Meta keeps for us as it keeps a customer's
        await files.store_files(conn, [_file(inbox_id, wamid, taken[1])])
    await changes.wake(conn, [(inbox_id, wamid)])  # what was shown on the echo's row is now shown on ours
    shown = await changes.settle(conn, [(inbox_id, wamid)])
    events = [NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, taken[0], message_id)]
    if echo_id is not None:
        events.append(NewEvent(account_id, Kind.MESSAGE_REMOVED, inbox_id, echo_place, echo_id))
    touched = {before, echo_place, taken[0]}
    await summary.refresh(conn, touched)
    events += [NewEvent(account_id, Kind.CONVERSATION_CHANGED, inbox_id, id_) for id_ in sorted(touched)]
    return events + (await refusals.heed_messages(conn, account_id, [message_id]) if shown else [])


def _file(inbox_id: int, wamid: str, sent: Mapping[str, str]) -> FileRow:
    told = MediaFile(sent["media_id"], mime_type=sent["mime_type"], file_name=sent["file_name"])
    return FileRow.of(inbox_id, wamid, told, SENT_BY_US, clock.now())


UNNAMED = """
SELECT i.account_id, m.inbox_id, m.id, r.wamid
  FROM unnest(%s::int[], %s::uuid[], %s::text[]) AS r (inbox_id, our_ref, wamid)
  JOIN messages m ON m.our_ref = r.our_ref AND m.inbox_id = r.inbox_id
  JOIN inboxes i ON i.id = m.inbox_id
 WHERE m.wamid IS NULL
 ORDER BY m.id, r.wamid COLLATE "C"
"""


async def name_by_reference(conn: Connection, refs: Collection[tuple[int, UUID, str]]) -> list[NewEvent]:
    """Give wamids to messages whose statuses carried our reference before the API answered (D2).

    ``refs`` are (inbox id, our reference, wamid). The caller holds the scope's apply lock exclusively. Returns the
    events to append.
    """
    events: list[NewEvent] = []
    if refs:
        inbox_ids, our_refs, wamids = (list(column) for column in zip(*set(refs), strict=True))
        for row in await (await conn.execute(UNNAMED, (inbox_ids, our_refs, wamids))).fetchall():
            events += await _fold(conn, *row)
    return events
