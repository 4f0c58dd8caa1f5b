"""What an import has made: kept beside the messages, so that it can be told, counted and undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from coexist.base.database import Connection
from coexist.inbox import files, locks, summary
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import FROM_EXPORT, FROM_HISTORY

UNDO_ROWS: Final = 1_000
"""Messages taken back in one transaction."""


@dataclass(frozen=True, slots=True)
class Original:
    """A message that Meta told of without its content, before an import fills it in."""

    wamid: str
    type: str
    text: str | None
    content: Any
    content_rank: int
    sent_at: datetime
    reply_to: str | None
    forwarded: int


# What this import has filled in already is told as it was; what Meta has told better since is not told.
ORIGINALS: Final = f"""
SELECT m.wamid, coalesce(x.replaced ->> 'type', m.type) AS type,
       CASE WHEN x.replaced IS NULL THEN m.text ELSE x.replaced ->> 'text' END AS text,
       CASE WHEN x.replaced IS NULL THEN m.content ELSE nullif(x.replaced -> 'content', 'null') END AS content,
       coalesce((x.replaced ->> 'content_rank')::smallint, m.content_rank) AS content_rank,
       m.sent_at, m.reply_to, m.forwarded
  FROM messages m
  LEFT JOIN exported_messages x ON x.inbox_id = m.inbox_id AND x.wamid = m.wamid AND x.exported_chat_id = %s
 WHERE m.inbox_id = %s AND m.wamid = ANY(%s)
   AND (m.content_rank < {FROM_HISTORY} OR (x.replaced IS NOT NULL AND m.content_rank = {FROM_EXPORT}))
"""


async def originals(conn: Connection, chat_id: int, inbox_id: int, wamids: Collection[str]) -> Mapping[str, Original]:
    """Return the messages that are to be filled in, as Meta told of them."""
    async with conn.cursor(row_factory=class_row(Original)) as cursor:
        await cursor.execute(ORIGINALS, (chat_id, inbox_id, list(wamids)))
        return {row.wamid: row for row in await cursor.fetchall()}


RECORD: Final = """
INSERT INTO exported_messages (inbox_id, wamid, exported_chat_id, replaced)
SELECT %(inbox_id)s, wamid, %(chat_id)s, replaced
  FROM json_to_recordset(%(rows)s::json) AS r (wamid text, replaced jsonb)
    ON CONFLICT DO NOTHING
"""


async def record(conn: Connection, chat_id: int, inbox_id: int, new: Sequence[str], filled: Sequence[Original]) -> None:
    """Note what the import makes in this transaction. Doing it twice does no harm."""
    rows: list[dict[str, Any]] = [{"wamid": wamid, "replaced": None} for wamid in new]
    for original in filled:
        replaced = {
            "type": original.type,
            "text": original.text,
            "content": original.content,
            "content_rank": original.content_rank,
        }
        rows.append({"wamid": original.wamid, "replaced": replaced})
    values = {"inbox_id": inbox_id, "chat_id": chat_id, "rows": msgspec.json.encode(rows).decode()}
    await conn.execute(RECORD, values)


async def has_file(conn: Connection, inbox_id: int, wamid: str) -> bool:
    """Whether a message has its file. What was begun and broken off is forgotten, so that it can be begun again."""
    cursor = await conn.execute(
        "SELECT FROM media WHERE inbox_id = %s AND wamid = %s AND state = 'stored'", (inbox_id, wamid)
    )
    if cursor.rowcount > 0:
        return True
    await files.forget_files(conn, inbox_id, [wamid])
    return False


COUNTS: Final = """
SELECT count(*) FILTER (WHERE x.replaced IS NULL), count(*) FILTER (WHERE x.replaced IS NOT NULL),
       count(*) FILTER (WHERE f.state = 'stored'), max(m.conversation_id)
  FROM exported_messages x
  JOIN messages m ON m.inbox_id = x.inbox_id AND m.wamid = x.wamid
  LEFT JOIN media f ON f.inbox_id = x.inbox_id AND f.wamid = x.wamid
 WHERE x.exported_chat_id = %s
"""


@dataclass(frozen=True, slots=True)
class Made:
    """How much of an import is here, counted."""

    new: int
    filled: int
    files: int
    conversation_id: int | None


async def counts(conn: Connection, chat_id: int) -> Made:
    """Count what the import made and is still here."""
    row = await (await conn.execute(COUNTS, (chat_id,))).fetchone()
    assert row is not None
    return Made(*row)


# What somebody edited, revoked or reacted to since is not the import's alone any more, nor what Meta has told better or
# another import has filled in. Of what Meta told as well, to which the import added no words, none are put back.
TAKE_BACK: Final = f"""
WITH part AS (
    SELECT inbox_id, wamid, replaced FROM exported_messages WHERE exported_chat_id = %(chat_id)s
     ORDER BY wamid LIMIT %(limit)s),
untouched AS (
    SELECT s.*, m.id FROM part s JOIN messages m ON m.inbox_id = s.inbox_id AND m.wamid = s.wamid
     WHERE NOT EXISTS (SELECT FROM message_changes c WHERE c.inbox_id = s.inbox_id AND c.target = s.wamid)
       AND (s.replaced IS NULL OR (s.replaced ? 'type' AND m.content_rank = {FROM_EXPORT}))
       AND NOT EXISTS (SELECT FROM exported_messages x WHERE x.inbox_id = s.inbox_id AND x.wamid = s.wamid
                          AND x.exported_chat_id > %(chat_id)s)),
gone AS (DELETE FROM messages m USING untouched u WHERE m.id = u.id AND u.replaced IS NULL RETURNING m.conversation_id),
restored AS (
    UPDATE messages m
       SET type = u.replaced ->> 'type', text = u.replaced ->> 'text',
           content = nullif(u.replaced -> 'content', 'null'::jsonb),
           content_rank = (u.replaced ->> 'content_rank')::smallint
      FROM untouched u WHERE m.id = u.id AND u.replaced IS NOT NULL
    RETURNING m.conversation_id),
forgotten AS (
    DELETE FROM exported_messages x USING part s
     WHERE x.inbox_id = s.inbox_id AND x.wamid = s.wamid AND x.exported_chat_id = %(chat_id)s RETURNING 1)
SELECT (SELECT count(*) FROM forgotten), (SELECT count(*) FROM untouched),
       ARRAY(SELECT conversation_id FROM gone UNION SELECT conversation_id FROM restored),
       ARRAY(SELECT s.wamid FROM part s WHERE EXISTS (SELECT FROM untouched u WHERE u.wamid = s.wamid)
                OR NOT EXISTS (SELECT FROM messages m WHERE m.inbox_id = s.inbox_id AND m.wamid = s.wamid))
"""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """One step of an undoing: how many messages were looked at, how many taken back, where, and whose files go."""

    count: int
    undone_count: int
    conversation_ids: Sequence[int]
    wamids: Sequence[str]


async def take_back(conn: Connection, chat_id: int, inbox: Inbox) -> TakenBack:
    """Take back up to UNDO_ROWS messages of an import that nobody has touched since; a count of 0 means all are.

    Their files go with them, unless another message has the same.
    """
    await locks.own_apply(conn, inbox.scope_id)
    row = await (await conn.execute(TAKE_BACK, {"chat_id": chat_id, "limit": UNDO_ROWS})).fetchone()
    assert row is not None
    taken = TakenBack(*row)
    await files.forget_files(conn, inbox.id, taken.wamids)
    await summary.refresh(conn, taken.conversation_ids)
    return taken
