"""What the page of a number shows of its sync, cheaply enough to be read twice a second while it comes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence import rules, store, words
from coexist.coexistence.model import Phase, SyncCounts, SyncPanel, SyncReport, SyncState
from coexist.inbox import inboxes
from coexist.meta.model import FROM_HISTORY

COUNTED: Final = 100_000
"""While a history comes in, rows are counted up to here."""

COUNTS: Final = """
SELECT (SELECT count(*) FROM contacts c WHERE c.scope_id = i.scope_id) AS contacts,
       (SELECT count(*) FROM conversations c WHERE c.inbox_id = i.id) AS conversations,
       m.imported_messages, m.placeholders, f.media_waiting, f.media_stored, f.media_gone
  FROM inboxes i,
       LATERAL (SELECT count(*) FILTER (WHERE imported) AS imported_messages,
                       count(*) FILTER (WHERE content_rank < %(content)s) AS placeholders
                  FROM messages WHERE inbox_id = i.id) m,
       LATERAL (SELECT count(*) FILTER (WHERE state = 'waiting') AS media_waiting,
                       count(*) FILTER (WHERE state = 'stored') AS media_stored,
                       count(*) FILTER (WHERE state IN ('gone', 'failed')) AS media_gone
                  FROM media WHERE inbox_id = i.id) f
 WHERE i.id = %(inbox_id)s
"""


# Every count of all messages takes as long as there are messages. Meta's chunks have told their numbers already.
MOVING_COUNTS: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM contacts c WHERE c.scope_id = i.scope_id LIMIT %(most)s) c) AS contacts,
       (SELECT count(*) FROM (SELECT FROM conversations c WHERE c.inbox_id = i.id LIMIT %(most)s) c) AS conversations,
       %(told)s::bigint AS imported_messages, NULL AS placeholders, NULL AS media_waiting, NULL AS media_stored,
       NULL AS media_gone
  FROM inboxes i WHERE i.id = %(inbox_id)s
"""


async def counts(conn: Connection, inbox_id: int) -> SyncCounts:
    """Return what an inbox holds, counted row by row: seconds, where there are millions."""
    async with conn.cursor(row_factory=class_row(SyncCounts)) as cursor:
        await cursor.execute(COUNTS, {"inbox_id": inbox_id, "content": FROM_HISTORY})
        found = await cursor.fetchone()
    assert found is not None
    return found


async def moving_counts(conn: Connection, inbox_id: int, received: Sequence[Phase]) -> SyncCounts:
    """Return what has come of a history that is coming in: messages as its chunks told them, the rest up to a limit."""
    told = sum(phase.message_count for phase in received)
    async with conn.cursor(row_factory=class_row(SyncCounts)) as cursor:
        await cursor.execute(MOVING_COUNTS, {"inbox_id": inbox_id, "told": told, "most": COUNTED})
        found = await cursor.fetchone()
    assert found is not None
    return found


async def sync_panel(conn: Connection, account_id: int, inbox_id: int) -> SyncPanel:
    """Return all that the page of a number shows of its sync, or raise NotFound."""
    inbox = await inboxes.get(conn, account_id, inbox_id)
    synced = await store.syncs(conn, inbox_id)
    contacts, history = [SyncReport(sync, words.sentence(sync, clock.now())) for sync in synced]
    received = await store.phases(conn, inbox_id)
    progress, _ = rules.progress_of({phase.phase: phase.progress for phase in received})
    is_moving = history.sync.state == SyncState.RECEIVING
    return SyncPanel(
        inbox_id=inbox_id,
        contacts=contacts,
        history=history,
        phases=received,
        progress=progress,
        counts=await (moving_counts(conn, inbox_id, received) if is_moving else counts(conn, inbox_id)),
        deadline_at=rules.deadline(inbox.onboarded_at),
    )
