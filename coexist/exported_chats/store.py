"""All SQL of the imports themselves: taken in, in line, under way, done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from psycopg.rows import dict_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.events.feed import Kind as EventKind
from coexist.events.feed import NewEvent
from coexist.exported_chats.model import Chat, Choices, Report, State

CHANNEL: Final = "coexist_exported_chats"
"""Told when an import is to be done, or undone."""
LEASE_S: Final = 30
"""How long a claim lasts without a sign of life."""
LIST_ROWS: Final = 50

CHATS: Final = """
SELECT e.id, e.account_id, e.inbox_id, i.name AS inbox_name, c.id AS conversation_id,
       coalesce(nullif(k.display_name, ''), '@' || k.username, '+' || k.phone) AS contact_name, e.file_name,
       e.file_bytes, e.state::text, e.choices, e.total_count, e.done_count, e.report, e.error, u.name AS by,
       e.uploaded_at, e.started_at, e.finished_at, e.undone_at
  FROM exported_chats e
  LEFT JOIN inboxes i ON i.id = e.inbox_id
  LEFT JOIN conversations c ON c.id = e.conversation_id
  LEFT JOIN contacts k ON k.id = c.contact_id
  LEFT JOIN users u ON u.id = e.uploaded_by
"""


async def chats(conn: Connection, account_id: int) -> Sequence[Chat]:
    """Return the account's newest LIST_ROWS imports, newest first."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{CHATS} WHERE e.account_id = %s ORDER BY e.id DESC LIMIT %s", (account_id, LIST_ROWS))
        return [_chat(row) for row in await cursor.fetchall()]


async def chat(conn: Connection, account_id: int, chat_id: int) -> Chat:
    """Return one import of the account. Raises NotFound."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{CHATS} WHERE e.account_id = %s AND e.id = %s", (account_id, chat_id))
        row = await cursor.fetchone()
    if row is None:
        raise NotFound("This import does not exist, or it belongs to another account.")
    return _chat(row)


def _chat(row: Mapping[str, Any]) -> Chat:
    return msgspec.convert(row, Chat)


INSERT: Final = """
INSERT INTO exported_chats (account_id, file_name, file_bytes, total_count, uploaded_by, uploaded_at)
VALUES (%(account_id)s, %(file_name)s, %(file_bytes)s, %(total_count)s, %(user_id)s, %(now)s)
RETURNING id
"""


async def insert(
    conn: Connection, account_id: int, user_id: int | None, *, file_name: str, file_bytes: int, total_count: int
) -> int:
    """Note an export that came, and return the import's id."""
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "file_name": file_name,
        "file_bytes": file_bytes,
        "total_count": total_count,
        "now": clock.now(),
    }
    row = await (await conn.execute(INSERT, values)).fetchone()
    assert row is not None
    return int(row[0])


async def delete_uploaded(conn: Connection, account_id: int, chat_id: int) -> bool:
    """Forget an import that was never begun, or failed before it made anything."""
    cursor = await conn.execute(
        "DELETE FROM exported_chats e WHERE account_id = %s AND id = %s AND state IN ('uploaded', 'failed')"
        " AND NOT EXISTS (SELECT FROM exported_messages WHERE exported_chat_id = e.id)",
        (account_id, chat_id),
    )
    return cursor.rowcount > 0


START: Final = """
UPDATE exported_chats
   SET state = 'applying', choices = %(choices)s, inbox_id = %(inbox_id)s, started_at = %(now)s
 WHERE account_id = %(account_id)s AND id = %(id)s AND state = 'uploaded'
"""


async def start(conn: Connection, account_id: int, chat_id: int, choices: Choices) -> bool:
    """Put an import in line; False when somebody did before."""
    values = {
        "account_id": account_id,
        "id": chat_id,
        "choices": msgspec.json.encode(choices).decode(),
        "inbox_id": choices.inbox_id,
        "now": clock.now(),
    }
    return await _told(conn, START, values)


RESTART: Final = """
UPDATE exported_chats SET state = 'applying', started_at = %(now)s, error = NULL, finished_at = NULL
 WHERE account_id = %(account_id)s AND id = %(id)s AND state = 'failed'
"""


async def restart(conn: Connection, account_id: int, chat_id: int) -> bool:
    """Put an import in line again that failed, as it was decided; False when it did not."""
    return await _told(conn, RESTART, {"account_id": account_id, "id": chat_id, "now": clock.now()})


UNDO: Final = """
UPDATE exported_chats SET state = 'undoing', started_at = %(now)s, error = NULL
 WHERE account_id = %(account_id)s AND id = %(id)s AND state IN ('applied', 'failed')
"""


async def start_undoing(conn: Connection, account_id: int, chat_id: int) -> bool:
    """Put the undoing of an import in line; False when there is nothing to undo."""
    return await _told(conn, UNDO, {"account_id": account_id, "id": chat_id, "now": clock.now()})


async def _told(conn: Connection, statement: str, values: Mapping[str, Any]) -> bool:
    if (await conn.execute(statement, values)).rowcount == 0:
        return False
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return True


BUSY: Final = """
SELECT id FROM exported_chats
 WHERE state IN ('applying', 'undoing') AND (claimed_until IS NULL OR claimed_until <= %s) ORDER BY id
"""


async def waiting(conn: Connection) -> list[int]:
    """Return the imports that nobody is at, oldest first."""
    return [row[0] for row in await (await conn.execute(BUSY, (clock.now(),))).fetchall()]


CLAIM: Final = """
UPDATE exported_chats SET claimed_until = %(until)s
 WHERE id = %(id)s AND state IN ('applying', 'undoing') AND (claimed_until IS NULL OR claimed_until <= %(now)s)
RETURNING account_id
"""


async def claim(conn: Connection, chat_id: int) -> Chat | None:
    """Take an import for LEASE_S; None when somebody else has it."""
    now = clock.now()
    values = {"id": chat_id, "now": now, "until": now + timedelta(seconds=LEASE_S)}
    row = await (await conn.execute(CLAIM, values)).fetchone()
    return None if row is None else await chat(conn, row[0], chat_id)


async def release(conn: Connection, chat_id: int) -> None:
    """Give an import back that this host cannot do."""
    await conn.execute("UPDATE exported_chats SET claimed_until = NULL WHERE id = %s", (chat_id,))


async def renew(conn: Connection, chat_id: int) -> None:
    """Give a sign of life: the claim lasts LEASE_S from now."""
    until = clock.now() + timedelta(seconds=LEASE_S)
    await conn.execute("UPDATE exported_chats SET claimed_until = %s WHERE id = %s", (until, chat_id))


async def progress(conn: Connection, of: Chat, done_count: int) -> NewEvent:
    """Note how far an import is; return the event to append."""
    await conn.execute("UPDATE exported_chats SET done_count = %s WHERE id = %s", (done_count, of.id))
    return NewEvent(of.account_id, EventKind.SYNC_PROGRESSED, inbox_id=of.inbox_id)


FINISH: Final = """
UPDATE exported_chats
   SET state = %(state)s::exported_chat_state, claimed_until = NULL, error = %(error)s,
       report = coalesce(%(report)s::jsonb, report), conversation_id = coalesce(%(conversation_id)s, conversation_id),
       finished_at = CASE WHEN %(state)s = 'undone' THEN finished_at ELSE %(now)s END,
       undone_at = CASE WHEN %(state)s = 'undone' THEN %(now)s END
 WHERE id = %(id)s AND state IN ('applying', 'undoing')
"""


async def finish(
    conn: Connection,
    of: Chat,
    state: State,
    *,
    report: Report | None = None,
    conversation_id: int | None = None,
    error: str | None = None,
) -> NewEvent:
    """Note how an import, or its undoing, ended; return the event to append."""
    values = {
        "id": of.id,
        "state": state,
        "report": msgspec.json.encode(report).decode() if report else None,
        "conversation_id": conversation_id,
        "error": error,
        "now": clock.now(),
    }
    await conn.execute(FINISH, values)
    return NewEvent(of.account_id, EventKind.SYNC_PROGRESSED, inbox_id=of.inbox_id)


async def forget_person(conn: Connection, chat_id: int) -> None:
    """Forget whose chat it was: what was decided about it, and the file's name, which names them."""
    await conn.execute("UPDATE exported_chats SET choices = NULL, file_name = 'chat' WHERE id = %s", (chat_id,))


async def forgotten(conn: Connection, before: datetime) -> list[int]:
    """Delete uploads that nobody decided about since then; return their ids."""
    cursor = await conn.execute(
        "DELETE FROM exported_chats WHERE state = 'uploaded' AND uploaded_at < %s RETURNING id", (before,)
    )
    return [row[0] for row in await cursor.fetchall()]


WITH_FILE: Final = """
SELECT id FROM exported_chats
 WHERE id = ANY(%s) AND (state IN ('uploaded', 'applying') OR (state = 'failed' AND finished_at > %s))
"""


async def with_file(conn: Connection, ids: Collection[int], since: datetime) -> set[int]:
    """Return those of the imports whose file is still needed; of failed ones, if they failed after ``since``."""
    return {row[0] for row in await (await conn.execute(WITH_FILE, (list(ids), since))).fetchall()}
