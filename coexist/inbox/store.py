"""All SQL of the inbox's pages. Every statement names the reader's account: what belongs to another is not there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.inbox.model import (
    Contact,
    Conversation,
    Counts,
    Coverage,
    Filter,
    Hit,
    Identity,
    ListRow,
    Message,
    Position,
)
from coexist.templates.store import STATUS as TEMPLATE_STATUS

LIST_ROWS: Final = 50
"""Conversations in one page of the list."""

MESSAGE_ROWS: Final = 50
"""Messages in one page of a conversation."""

COUNT_ROWS_MAX: Final = 1000
"""Conversations counted at most for a filter: the page then says 999+."""

HIT_ROWS: Final = 30
"""Messages a search finds at most, the newest."""

COVERAGE_DAYS: Final = 182
"""The span of the coverage strip: what a history sync can bring, in whole weeks."""

# A contact without any name is called by what is known; the page formats a bare number.
NAME: Final = "coalesce(nullif(k.display_name, ''), '@' || k.username, '+' || k.phone, '')"

# Literals, so that the planner sees the partial indexes.
CONDITIONS: Final = {
    Filter.OPEN: "c.state = 'open'",
    Filter.MINE: "c.state = 'open' AND c.assignee_id = %(user_id)s",
    Filter.WAITING: "c.state = 'open' AND c.waiting_since IS NOT NULL",
    Filter.ALL: "true",
}

LIST: Final = f"""
SELECT c.id, c.contact_id, {NAME} AS name, c.inbox_name, c.state::text, c.assignee_id, c.unread_count,
       c.waiting_since, c.last_message_at, m.id AS message_id, m.origin::text, m.direction::text, m.type,
       left(coalesce(m.edited_text, m.text), 200) AS text, m.imported, m.status, m.content_rank,
       m.revoked_at IS NOT NULL AS is_revoked, coalesce(f.is_voice, false) AS is_voice, u.name AS author
  FROM (SELECT c.*, i.name AS inbox_name
          FROM inboxes i
         CROSS JOIN LATERAL (
               SELECT c.* FROM conversations c
                WHERE c.inbox_id = i.id AND c.last_message_id IS NOT NULL AND {{condition}} AND {{page}}
                ORDER BY c.last_message_at DESC, c.id DESC
                LIMIT %(limit)s) c
         WHERE i.account_id = %(account_id)s
         ORDER BY c.last_message_at DESC, c.id DESC
         LIMIT %(limit)s) c
  JOIN contacts k ON k.id = c.contact_id
  JOIN messages m ON m.id = c.last_message_id
  LEFT JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid
  LEFT JOIN users u ON u.id = m.author_id
 ORDER BY c.last_message_at DESC, c.id DESC
"""
AFTER: Final = "(c.last_message_at, c.id) < (%(at)s, %(position_id)s)"


async def list_page(
    conn: Connection,
    account_id: int,
    user_id: int,
    *,
    shown: Filter,
    after: Position | None = None,
    limit: int = LIST_ROWS,
) -> tuple[Sequence[ListRow], bool]:
    """Return one page of conversations, the newest message first, and whether there are more.

    ``after`` is the position of the last row of the page before.
    """
    sql = LIST.format(condition=CONDITIONS[shown], page=AFTER if after else "true")
    values = {"account_id": account_id, "user_id": user_id, "limit": limit + 1} | _position(after)
    async with conn.cursor(row_factory=class_row(ListRow)) as cursor:
        await cursor.execute(sql, values)
        rows = await cursor.fetchall()
    return rows[:limit], len(rows) > limit


FOUND: Final = """c.contact_id IN (
    SELECT k.id FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id
     WHERE s.account_id = %(account_id)s
       AND (k.display_name ILIKE %(like)s OR k.username ILIKE %(like)s OR k.profile_name ILIKE %(like)s
            OR %(digits)s <> '' AND k.id IN (
                SELECT contact_id FROM identities
                 WHERE kind = 'phone' AND value LIKE %(digits_like)s
                   AND scope_id IN (SELECT id FROM contact_scopes WHERE account_id = %(account_id)s))))"""
DIGITS_MIN: Final = 3


async def find_conversations(conn: Connection, account_id: int, words: str) -> Sequence[ListRow]:
    """Return the newest LIST_ROWS conversations whose contact's name, username or number contains ``words``."""
    digits = "".join(c for c in words if c in "0123456789")
    digits = digits if len(digits) >= DIGITS_MIN else ""
    values = {
        "account_id": account_id,
        "limit": LIST_ROWS,
        "like": _like(words.removeprefix("@")),
        "digits": digits,
        "digits_like": _like(digits),
    }
    async with conn.cursor(row_factory=class_row(ListRow)) as cursor:
        await cursor.execute(LIST.format(condition=FOUND, page="true"), values)
        return await cursor.fetchall()


FIND_MESSAGES: Final = f"""
WITH m AS MATERIALIZED (
    SELECT m.* FROM messages m JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %(account_id)s
     WHERE m.text ILIKE %(like)s AND m.revoked_at IS NULL AND coalesce(m.edited_text, m.text) ILIKE %(like)s
     ORDER BY m.sent_at DESC, m.id DESC
     LIMIT %(limit)s)
SELECT m.id AS message_id, m.conversation_id, k.id AS contact_id, {NAME} AS name, m.origin::text,
       u.name AS author, coalesce(m.edited_text, m.text) AS text, m.sent_at
  FROM m
  JOIN conversations c ON c.id = m.conversation_id
  JOIN contacts k ON k.id = c.contact_id
  LEFT JOIN users u ON u.id = m.author_id
 ORDER BY m.sent_at DESC, m.id DESC
"""


async def find_messages(conn: Connection, account_id: int, words: str) -> Sequence[Hit]:
    """Return the newest HIT_ROWS messages that contain ``words``. Deleted ones and former wordings are not found."""
    async with conn.cursor(row_factory=class_row(Hit)) as cursor:
        await cursor.execute(FIND_MESSAGES, {"account_id": account_id, "like": _like(words), "limit": HIT_ROWS})
        return await cursor.fetchall()


COUNTS: Final = """
SELECT count(*) AS open, count(*) FILTER (WHERE assignee_id = %(user_id)s) AS mine,
       count(*) FILTER (WHERE waiting_since IS NOT NULL) AS waiting
  FROM (SELECT c.assignee_id, c.waiting_since
          FROM conversations c JOIN inboxes i ON i.id = c.inbox_id
         WHERE i.account_id = %(account_id)s AND c.state = 'open' AND c.last_message_id IS NOT NULL
         LIMIT %(limit)s) c
"""


async def counts(conn: Connection, account_id: int, user_id: int) -> Counts:
    """Return how many open conversations each filter shows, counting COUNT_ROWS_MAX at most."""
    async with conn.cursor(row_factory=class_row(Counts)) as cursor:
        await cursor.execute(COUNTS, {"account_id": account_id, "user_id": user_id, "limit": COUNT_ROWS_MAX})
        row = await cursor.fetchone()
    assert row is not None
    return row


CONVERSATION: Final = f"""
SELECT c.id, c.inbox_id, c.contact_id, {NAME} AS name, c.state::text, c.assignee_id, u.name AS assignee,
       c.unread_count, c.waiting_since, c.first_message_at, c.last_message_at, c.window_message_id,
       c.window_opened_at, c.window_refused_at, coalesce(d.text, '') AS draft, i.name AS inbox_name,
       i.state::text AS inbox_state, i.state_reason AS inbox_state_reason, i.standing_codes AS inbox_standing_codes,
       i.replies_held_until AS inbox_replies_held_until, i.is_coexistence, i.onboarded_at,
       EXISTS (SELECT FROM identities WHERE contact_id = k.id AND kind = 'phone' AND value = i.display_phone_number)
           AS is_ourselves
  FROM conversations c
  JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %(account_id)s
  JOIN contacts k ON k.id = c.contact_id
  LEFT JOIN users u ON u.id = c.assignee_id
  LEFT JOIN drafts d ON d.conversation_id = c.id AND d.user_id = %(user_id)s
 WHERE c.id = %(id)s
"""


async def conversation(conn: Connection, account_id: int, user_id: int, conversation_id: int) -> Conversation:
    """Return a conversation with the reader's own draft. Raises NotFound."""
    async with conn.cursor(row_factory=class_row(Conversation)) as cursor:
        await cursor.execute(CONVERSATION, {"account_id": account_id, "user_id": user_id, "id": conversation_id})
        row = await cursor.fetchone()
    if row is None:
        raise NotFound("This conversation does not exist, or it belongs to another account.")
    return row


KEPT: Final = """
SELECT f.kept_id
  FROM folded_conversations f
  JOIN conversations c ON c.id = f.kept_id
  JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %(account_id)s
 WHERE f.id = %(id)s
"""


async def kept_conversation(conn: Connection, account_id: int, conversation_id: int) -> int | None:
    """Return the conversation that another one was folded into, when two people turned out to be one."""
    row = await (await conn.execute(KEPT, {"account_id": account_id, "id": conversation_id})).fetchone()
    return None if row is None else int(row[0])


# The messages are chosen first, and only then joined with what belongs to them. Names are subqueries: each relation
# less to join halves the planning, which takes longer than the reading.
MESSAGES: Final = f"""
WITH m AS MATERIALIZED ({{chosen}})
SELECT m.id, m.conversation_id, (SELECT {NAME} FROM contacts k WHERE k.id = c.contact_id) AS contact_name, m.inbox_id,
       i.onboarded_at, m.wamid, m.peer, m.direction::text, m.origin::text, m.imported, m.is_time_doubtful,
       m.content_rank, (SELECT name FROM users WHERE id = m.author_id) AS author, m.forwarded, m.status, m.type,
       m.sent_at, m.text,
       CASE WHEN m.origin = 'api' THEN (
            SELECT s.pricing FROM message_statuses s
             WHERE s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.pricing IS NOT NULL
             ORDER BY s.status DESC LIMIT 1) END AS pricing,
       m.content, m.errors, m.reply_to, m.edited_at, m.edited_text,
       CASE WHEN m.edited_at IS NULL THEN ARRAY[]::text[] ELSE array_prepend(m.text, ARRAY(
            SELECT e.text FROM message_changes e
             WHERE e.inbox_id = m.inbox_id AND e.target = m.wamid AND e.kind = 'edit' AND e.by = m.direction
               AND e.text IS DISTINCT FROM m.edited_text
             ORDER BY e.at, e.wamid)) END AS earlier_texts,
       m.revoked_at, m.reactions, f.state::text AS media_state, f.stored_sha256 AS media_sha256,
       f.mime_type AS media_mime_type, f.file_name AS media_file_name, coalesce(f.is_voice, false) AS media_is_voice,
       coalesce(f.is_animated, false) AS media_is_animated, f.bytes AS media_bytes, f.width AS media_width,
       f.height AS media_height, f.error AS media_error, f.reason AS media_reason, f.known_at AS media_known_at,
       f.next_attempt_at AS media_next_attempt_at, f.duration_ms AS media_duration_ms,
       f.thumbnail_bytes AS media_thumbnail_bytes, o.state AS outbox_state, o.error AS outbox_error,
       q.id AS quote_id, q.origin::text AS quote_origin, q.type AS quote_type,
       (SELECT name FROM users WHERE id = q.author_id) AS quote_author,
       left(coalesce(q.edited_text, q.text), 300) AS quote_text, q.revoked_at IS NOT NULL AS quote_is_revoked,
       CASE WHEN o.state = 'queued' AND m.type = 'template' THEN (
            SELECT {TEMPLATE_STATUS} FROM templates t
             WHERE t.account_id = i.account_id AND t.waba_id = i.waba_id
               AND t.name = m.content -> 'template' ->> 'name'
               AND t.language = m.content -> 'template' ->> 'language') END AS waits_for_template
  FROM m
  JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %(account_id)s
  JOIN conversations c ON c.id = m.conversation_id
  LEFT JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid
  LEFT JOIN LATERAL (SELECT o.state::text, o.error FROM outbox o WHERE o.message_id = m.id
                      ORDER BY o.created_at DESC LIMIT 1) o ON m.origin = 'api'
  LEFT JOIN messages q ON q.inbox_id = m.inbox_id AND q.wamid = m.reply_to AND q.conversation_id = m.conversation_id
 ORDER BY m.sent_at, m.id
"""
BY_ID: Final = "SELECT * FROM messages WHERE id = ANY(%(ids)s)"
PAGE: Final = """
SELECT * FROM messages WHERE conversation_id = %(conversation_id)s AND {place}
 ORDER BY sent_at {order}, id {order} LIMIT %(limit)s
"""
NEWEST: Final = PAGE.format(place="true", order="DESC")
BEFORE: Final = PAGE.format(place="(sent_at, id) < (%(at)s, %(position_id)s)", order="DESC")
FOLLOWING: Final = PAGE.format(place="(sent_at, id) > (%(at)s, %(position_id)s)", order="ASC")


async def message_page(
    conn: Connection,
    account_id: int,
    conversation_id: int,
    *,
    before: Position | None = None,
    limit: int = MESSAGE_ROWS,
) -> tuple[Sequence[Message], bool]:
    """Return the last ``limit`` messages (before a position), oldest first, and whether there are older ones."""
    chosen = BEFORE if before else NEWEST
    values = {"conversation_id": conversation_id, "limit": limit + 1} | _position(before)
    rows = await _messages(conn, account_id, chosen, values)
    return rows[-limit:], len(rows) > limit


async def message_page_after(
    conn: Connection, account_id: int, conversation_id: int, *, after: Position, limit: int = MESSAGE_ROWS
) -> tuple[Sequence[Message], bool]:
    """Return the first ``limit`` messages after a position, oldest first, and whether there are newer ones."""
    values = {"conversation_id": conversation_id, "limit": limit + 1} | _position(after)
    rows = await _messages(conn, account_id, FOLLOWING, values)
    return rows[:limit], len(rows) > limit


async def messages(conn: Connection, account_id: int, message_ids: Collection[int]) -> Sequence[Message]:
    """Return those of the messages that exist in the account, in the order of their time."""
    return await _messages(conn, account_id, BY_ID, {"ids": list(message_ids)})


async def _messages(conn: Connection, account_id: int, chosen: str, values: dict[str, Any]) -> Sequence[Message]:
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(MESSAGES.replace("{chosen}", chosen), {"account_id": account_id} | values)
        return await cursor.fetchall()


async def message(conn: Connection, account_id: int, message_id: int) -> Message:
    """Return one message. Raises NotFound."""
    found = await messages(conn, account_id, [message_id])
    if not found:
        raise NotFound("This message does not exist, or it belongs to another account.")
    return found[0]


CONTACT: Final = f"""
SELECT k.id, {NAME} AS name, k.agent_name, k.address_book_name, k.profile_name, k.username, k.phone,
       k.is_in_address_book, k.first_seen_at, k.note, '{{}}' AS identities,
       CASE WHEN w.wish = 'stop' THEN w.at END AS marketing_stopped_at,
       (SELECT max(marketing_rests_until) FROM identities WHERE contact_id = k.id) AS marketing_rests_until
  FROM contacts k
  JOIN contact_scopes s ON s.id = k.scope_id AND s.account_id = %(account_id)s
  LEFT JOIN LATERAL (SELECT marketing_wish AS wish, marketing_wish_at AS at FROM identities
                      WHERE contact_id = k.id AND marketing_wish IS NOT NULL
                      ORDER BY marketing_wish_at DESC, marketing_wish DESC LIMIT 1) w ON true
 WHERE k.id = %(id)s
"""
IDENTITIES: Final = """
SELECT kind, value, is_parent
  FROM (SELECT DISTINCT ON (kind, match_key) id, kind::text, value, is_parent FROM identities
         WHERE contact_id = %s ORDER BY kind, match_key, length(value) DESC, id) one_of_its_variants
 ORDER BY kind = 'former_phone', kind = 'bsuid', is_parent, id
"""


async def contact(conn: Connection, account_id: int, contact_id: int) -> Contact:
    """Return a contact with the ids it is known by, one for all national variants of a phone. Raises NotFound."""
    async with conn.cursor(row_factory=class_row(Contact)) as cursor:
        await cursor.execute(CONTACT, {"account_id": account_id, "id": contact_id})
        row = await cursor.fetchone()
    if row is None:
        raise NotFound("This contact does not exist, or it belongs to another account.")
    async with conn.cursor(row_factory=class_row(Identity)) as cursor:
        await cursor.execute(IDENTITIES, (contact_id,))
        return replace(row, identities=await cursor.fetchall())


COVERAGE: Final = """
SELECT floor(extract(epoch FROM m.sent_at - %(since)s) / 604800)::int AS week, count(*),
       count(*) FILTER (WHERE m.content_rank < 20)
  FROM messages m
  JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %(account_id)s
 WHERE m.conversation_id = %(conversation_id)s
 GROUP BY week
"""


async def coverage(conn: Connection, account_id: int, conversation_id: int, now: datetime) -> Coverage:
    """Return how many messages of each of the last COVERAGE_DAYS / 7 weeks we hold, and of all time."""
    since = now - timedelta(days=COVERAGE_DAYS)
    cursor = await conn.execute(
        COVERAGE, {"account_id": account_id, "conversation_id": conversation_id, "since": since}
    )
    rows: Sequence[tuple[Any, ...]] = await cursor.fetchall()
    by_week = {week: count for week, count, _ in rows}
    weeks: list[tuple[date, int]] = [
        ((since + timedelta(weeks=week)).date(), by_week.get(week, 0)) for week in range(COVERAGE_DAYS // 7)
    ]
    return Coverage(weeks, sum(row[1] for row in rows), sum(row[2] for row in rows))


def _position(position: Position | None) -> dict[str, Any]:
    return {"at": position.at, "position_id": position.id} if position else {}


def _like(words: str) -> str:
    """``words`` anywhere, with LIKE's own signs taken literally."""
    escaped = words.replace("\0", "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
