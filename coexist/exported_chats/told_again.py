"""What WhatsApp tells after an export was brought in: each message of it is here once, whichever came first.

A history can come later than the export: after the number was connected anew, or when an import that was taken back
is brought back. Then the export's own copies go, and what it filled in stands where WhatsApp tells of it, as if the
history had been there before. Which of WhatsApp's messages a copy went for is noted, so that none is taken for two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.rows import dict_row

from coexist.base import clock, log
from coexist.base.database import Connection, Pool, transaction
from coexist.coexistence import coverage
from coexist.events import feed
from coexist.events.feed import Kind as EventKind
from coexist.events.feed import NewEvent
from coexist.exported_chats import matching
from coexist.exported_chats.matching import Known, Told, key_of
from coexist.exported_chats.model import Kind, Verdict
from coexist.exported_chats.planning import MINUTE_S, SECOND_S
from coexist.inbox import locks, purge, summary
from coexist.meta.model import FROM_EXPORT, FROM_HISTORY

QUIET: Final = timedelta(seconds=15)
"""So long nothing more must have come of the past: a history is compared once, not with each of its chunks."""
PAIRS_COUNT: Final = 1_000
"""Messages that give way in one transaction."""

logger = log.get(__name__)

COMPARED_TO: Final = """
UPDATE exported_chats SET compared_to = coalesce(compared_to, (SELECT coalesce(max(id), 0) FROM messages))
 WHERE id = %s RETURNING compared_to
"""
BEGIN: Final = "UPDATE exported_chats SET compare_wanted_at = %s WHERE id = %s"


async def compared_to(conn: Connection, chat_id: int, scope_id: int) -> int:
    """Return the last message with which an import compares itself: the newest there was when it was first begun.

    Waits for whoever is writing messages at this moment: theirs may have earlier ids, and nobody sees them yet.
    """
    await locks.own_apply(conn, scope_id)
    row = await (await conn.execute(COMPARED_TO, (chat_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def begin(conn: Connection, chat_id: int, scope_id: int) -> None:
    """Have a chat compared with what came while it was brought in, from the commit that says it was.

    Waits for whoever is writing messages at this moment: they do not know that there is something to compare.
    """
    await locks.own_apply(conn, scope_id)
    await conn.execute(BEGIN, (clock.now(), chat_id))


WANTED: Final = """
SELECT e.id, e.account_id, e.inbox_id, i.scope_id, e.compare_wanted_at, e.compared_to
  FROM exported_chats e JOIN inboxes i ON i.id = e.inbox_id
 WHERE e.state = 'applied' AND e.compare_wanted_at <= %s
 ORDER BY e.id LIMIT 1
"""
DONE: Final = "UPDATE exported_chats SET compare_wanted_at = NULL WHERE id = %s AND compare_wanted_at = %s"

# What the import made, as the export told it.
OURS: Final = """
SELECT m.wamid, m.direction::text, m.type, m.text, extract(epoch FROM m.sent_at)::float8, m.conversation_id, m.id
  FROM exported_messages x JOIN messages m ON m.inbox_id = x.inbox_id AND m.wamid = x.wamid
 WHERE x.exported_chat_id = %s AND x.replaced IS NULL
 ORDER BY m.sent_at, m.id
"""

# What came since the import was begun. What was here before, it has compared itself.
THEIRS: Final = """
SELECT m.wamid, m.direction::text, m.type, coalesce(m.edited_text, m.text), extract(epoch FROM m.sent_at)::float8,
       m.content_rank
  FROM messages m
 WHERE m.conversation_id = ANY(%(conversations)s) AND m.id > %(after)s
   AND m.sent_at BETWEEN to_timestamp(%(first)s) AND to_timestamp(%(last)s)
   AND m.wamid IS NOT NULL AND m.wamid NOT LIKE 'exported:%%'
   AND NOT EXISTS (SELECT FROM exported_messages x WHERE x.inbox_id = m.inbox_id AND x.wamid = m.wamid)
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chat that is to be compared, with when somebody last wanted that."""

    id: int
    account_id: int
    inbox_id: int
    scope_id: int
    wanted_at: datetime
    compared_to: int | None


class Pair(NamedTuple):
    """A message of the export, and WhatsApp's telling of it. ``fills``: that tells only that there was one."""

    ours: str
    theirs: str
    fills: bool


async def compare_next(pool: Pool, *, quiet: timedelta | None = None) -> bool:
    """Compare the next chat into whose conversation more of the past came, ``quiet`` ago; False when there is none."""
    async with transaction(pool) as conn:
        row = await (await conn.execute(WANTED, (clock.now() - (QUIET if quiet is None else quiet),))).fetchone()
        if row is None:
            return False
        chat = Wanted(*row)
        told, known = await _both(conn, chat)
    pairs = await asyncio.to_thread(_pairs, told, known)
    gone = 0
    for start in range(0, len(pairs), PAIRS_COUNT):
        gone += await _give_way(pool, chat, pairs[start : start + PAIRS_COUNT])
    async with transaction(pool) as conn:
        await conn.execute(DONE, (chat.id, chat.wanted_at))
    if gone:
        logger.info("exported_chat_told_again", chat=chat.id, messages=gone)
    return True


async def _both(conn: Connection, chat: Wanted) -> tuple[list[Told], list[Known]]:
    ours = await (await conn.execute(OURS, (chat.id,))).fetchall()
    if not ours:
        return [], []
    told = [
        Told(wamid, direction, _kind(type_), key_of(_kind(type_), text), int(at), None)
        for wamid, direction, type_, text, at, *_ in ours
    ]
    slack = matching.SLACK_S + MINUTE_S
    values = {
        "conversations": list({row[5] for row in ours}),
        "after": max(row[6] for row in ours) if chat.compared_to is None else chat.compared_to,
        "first": told[0].at - slack,
        "last": told[-1].at + slack,
    }
    theirs = await (await conn.execute(THEIRS, values)).fetchall()
    known = [
        Known(wamid, direction, type_, key_of(type_, text), at, rank)
        for wamid, direction, type_, text, at, rank in theirs
    ]
    return told, known


def _kind(type_: str) -> Kind:
    """What the import told a message as, by its type here."""
    return {"media_placeholder": Kind.OMITTED, "unsupported": Kind.PHONE_ONLY}.get(type_) or Kind(type_)


def _pairs(told: Sequence[Told], known: Sequence[Known]) -> list[Pair]:
    if not told or not known:
        return []
    span_s = SECOND_S if any(message.at % MINUTE_S for message in told) else MINUTE_S
    decisions = matching.decide(told, known, span_s=span_s)
    return [
        Pair(message.wamid, decision.wamid, decision.verdict is Verdict.FILL)
        for message, decision in zip(told, decisions, strict=True)
        if decision.verdict in (Verdict.HERE, Verdict.FILL)
    ]


STILL: Final = f"""
SELECT p.ours, p.theirs, p.fills, o.id AS our_id, t.id AS their_id,
       ARRAY[o.conversation_id, t.conversation_id] AS conversation_ids
  FROM json_to_recordset(%(pairs)s::json) AS p (ours text, theirs text, fills boolean)
  JOIN exported_messages x ON x.inbox_id = %(inbox_id)s AND x.wamid = p.ours AND x.exported_chat_id = %(chat_id)s
  JOIN messages o ON o.inbox_id = x.inbox_id AND o.wamid = p.ours
  JOIN messages t ON t.inbox_id = x.inbox_id AND t.wamid = p.theirs
 WHERE NOT (p.fills AND t.content_rank >= {FROM_HISTORY})
   AND NOT EXISTS (SELECT FROM exported_messages other WHERE other.inbox_id = x.inbox_id AND other.wamid = p.theirs)
   AND NOT EXISTS (SELECT FROM message_changes c WHERE c.inbox_id = x.inbox_id AND c.target = p.ours)
"""
PAIRS: Final = """
json_to_recordset(%(pairs)s::json) AS p (ours text, theirs text, fills boolean, our_id bigint, their_id bigint)
"""

# As the import would have done it, had it come second: the file goes to whoever has none, the words to a placeholder.
GIVE_WAY: Final = (
    f"""
UPDATE exported_messages x
   SET wamid = p.theirs, replaced = CASE WHEN p.fills THEN jsonb_build_object(
           'type', t.type, 'text', t.text, 'content', t.content, 'content_rank', t.content_rank) ELSE '{{}}' END
  FROM {PAIRS} JOIN messages t ON t.id = p.their_id
 WHERE x.inbox_id = %(inbox_id)s AND x.wamid = p.ours AND x.exported_chat_id = %(chat_id)s
""",
    f"""
UPDATE messages t SET type = o.type, text = o.text, content = o.content, content_rank = {FROM_EXPORT}
  FROM {PAIRS} JOIN messages o ON o.id = p.our_id WHERE t.id = p.their_id AND p.fills
""",
    f"""
UPDATE media t SET state = 'stored', stored_sha256 = o.stored_sha256, bytes = o.bytes, width = o.width,
       height = o.height, duration_ms = o.duration_ms, thumbnail_bytes = o.thumbnail_bytes, mime_type = o.mime_type,
       claimed_until = NULL, reason = NULL, error = NULL
  FROM {PAIRS} JOIN media o ON o.inbox_id = %(inbox_id)s AND o.wamid = p.ours AND o.state = 'stored'
 WHERE t.inbox_id = %(inbox_id)s AND t.wamid = p.theirs AND t.state <> 'stored'
""",
    f"""
UPDATE media o SET wamid = p.theirs FROM {PAIRS}
 WHERE o.inbox_id = %(inbox_id)s AND o.wamid = p.ours AND p.fills
   AND NOT EXISTS (SELECT FROM media t WHERE t.inbox_id = %(inbox_id)s AND t.wamid = p.theirs)
""",
)


async def _give_way(pool: Pool, chat: Wanted, pairs: Sequence[Pair]) -> int:
    """Let the export's copies give way, as far as both are still here and as they were; return how many did."""
    async with transaction(pool) as conn:
        await locks.own_apply(conn, chat.scope_id)
        values = {"inbox_id": chat.inbox_id, "chat_id": chat.id}
        async with conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(STILL, {**values, "pairs": _json([pair._asdict() for pair in pairs])})
            still = await cursor.fetchall()
        if not still:
            return 0
        conversation_ids = sorted({id_ for row in still for id_ in row["conversation_ids"]})
        await summary.lock(conn, conversation_ids)
        for statement in GIVE_WAY:
            await conn.execute(statement, {**values, "pairs": _json(still)})
        await purge.forget_named(conn, {chat.inbox_id: [row["ours"] for row in still]})
        await conn.execute("DELETE FROM messages WHERE id = ANY(%s)", ([row["our_id"] for row in still],))
        await summary.refresh(conn, conversation_ids)
        await coverage.forget(conn, chat.inbox_id)
        place = (chat.account_id, EventKind.CONVERSATION_CHANGED, chat.inbox_id)
        await feed.append(conn, [NewEvent(*place, id_, is_import=True) for id_ in conversation_ids])
    return len(still)


def _json(rows: Sequence[Any]) -> str:
    return msgspec.json.encode(rows).decode()
