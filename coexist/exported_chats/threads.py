"""Whose thread an exported chat belongs to, and what is in that thread already: read-only SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.exported_chats.matching import Known, key_of
from coexist.exported_chats.model import Contact
from coexist.meta.model import Person
from coexist.meta.phones import match_key

CONTACTS_COUNT: Final = 6
FETCH_ROWS: Final = 2_000
IDS_COUNT: Final = 10_000
NAME_CHARS_MIN: Final = 3
"""A shorter name inside a file's name is chance."""

# ── whose chat it may be ──────────────────────────────────────────────────────────────────────────────────

NAME: Final = "coalesce(nullif(k.display_name, ''), '@' || k.username, '+' || k.phone, '')"

# An id of their own before one of a parent; a phone that WhatsApp itself used before one of an address book.
CONTACTS: Final = f"""
SELECT k.id, {NAME} AS name, n.value AS phone, d.kind::text, d.value, d.is_wa_id, d.is_parent
  FROM contacts k
  LEFT JOIN LATERAL (
       SELECT kind, value, is_wa_id, is_parent FROM identities
        WHERE contact_id = k.id AND kind IN ('bsuid', 'phone')
        ORDER BY kind = 'phone', is_parent, is_wa_id DESC, id LIMIT 1) d ON true
  LEFT JOIN LATERAL (
       SELECT value FROM identities
        WHERE contact_id = k.id AND kind = 'phone' AND match_key = (
              SELECT match_key FROM identities
               WHERE scope_id = k.scope_id AND kind = 'phone' AND value = k.phone LIMIT 1)
        ORDER BY length(value) DESC, id LIMIT 1) n ON true
 WHERE k.scope_id = %(scope_id)s AND {{which}}
 ORDER BY k.first_seen_at IS NULL, k.id
 LIMIT {CONTACTS_COUNT}
"""
NAMED: Final = f"""
(lower(k.display_name) = ANY(%(names)s) OR lower(k.profile_name) = ANY(%(names)s)
 OR lower(k.address_book_name) = ANY(%(names)s)
 OR (length(k.display_name) >= {NAME_CHARS_MIN} AND position(lower(k.display_name) IN %(file_name)s) > 0)
 OR EXISTS (SELECT FROM identities d WHERE d.contact_id = k.id AND d.kind = 'phone' AND d.match_key = ANY(%(phones)s)))
"""
FOUND: Final = """
(k.display_name ILIKE %(like)s OR k.username ILIKE %(like)s OR k.profile_name ILIKE %(like)s
 OR (%(digits)s <> '' AND EXISTS (
     SELECT FROM identities
      WHERE contact_id = k.id AND kind = 'phone' AND value LIKE '%%' || %(digits)s || '%%')))
"""


async def contacts_named(
    conn: Connection, scope_id: int, *, names: Collection[str], file_name: str, phones: Collection[str]
) -> list[Contact]:
    """Return contacts with one of ``names`` or ``phones`` (digits), or whose name stands in the file's name."""
    values = {
        "scope_id": scope_id,
        "names": [name.lower() for name in names],
        "file_name": file_name.lower(),
        "phones": [match_key(phone) for phone in phones],
    }
    return await _contacts(conn, NAMED, values)


async def contacts_like(conn: Connection, scope_id: int, words: str, digits: str) -> list[Contact]:
    """Return contacts whose name contains ``words``, or whose number contains ``digits``."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await _contacts(conn, FOUND, {"scope_id": scope_id, "like": f"%{escaped}%", "digits": digits})


async def contact(conn: Connection, scope_id: int, contact_id: int) -> Contact:
    """Return one contact of the scope. Raises NotFound."""
    found = await _contacts(conn, "k.id = %(id)s", {"scope_id": scope_id, "id": contact_id})
    if not found:
        raise NotFound("This contact does not exist, or it belongs to another account.")
    return found[0]


async def contact_of_conversation(conn: Connection, account_id: int, conversation_id: int) -> tuple[int, int] | None:
    """Return (inbox id, contact id) of a conversation of the account."""
    cursor = await conn.execute(
        "SELECT c.inbox_id, c.contact_id FROM conversations c JOIN inboxes i ON i.id = c.inbox_id"
        " WHERE i.account_id = %s AND c.id = %s",
        (account_id, conversation_id),
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])


async def _contacts(conn: Connection, which: str, values: Mapping[str, Any]) -> list[Contact]:
    rows = await (await conn.execute(CONTACTS.format(which=which), values)).fetchall()
    return [
        Contact(id_, name, phone, _person(kind, value, is_wa_id=is_wa_id, is_parent=is_parent))
        for id_, name, phone, kind, value, is_wa_id, is_parent in rows
    ]


def _person(kind: str | None, value: str | None, *, is_wa_id: bool, is_parent: bool) -> Person | None:
    if kind == "phone":
        return Person(phone=value, is_wa_id=is_wa_id)
    if kind == "bsuid":
        return Person(parent_bsuid=value) if is_parent else Person(bsuid=value)
    return None


# ── what is here already ──────────────────────────────────────────────────────────────────────────────────

# What this very import has made is left out, and what it has filled in is told as it was before: an import that was
# broken off decides the same again.
KNOWN: Final = """
SELECT coalesce(m.wamid, ''), m.direction::text, coalesce(x.replaced ->> 'type', m.type),
       CASE WHEN x.replaced IS NULL THEN coalesce(m.edited_text, m.text) END, extract(epoch FROM m.sent_at)::float8,
       coalesce((x.replaced ->> 'content_rank')::smallint, m.content_rank)
  FROM conversations c
  JOIN messages m ON m.conversation_id = c.id AND m.sent_at BETWEEN %(first_at)s AND %(last_at)s
       AND (%(to)s::bigint IS NULL OR m.id <= %(to)s OR m.wamid LIKE 'exported:%%')
  LEFT JOIN exported_messages x
    ON x.inbox_id = m.inbox_id AND x.wamid = m.wamid AND x.exported_chat_id = %(chat_id)s
 WHERE c.inbox_id = %(inbox_id)s AND c.contact_id = %(contact_id)s AND (x.wamid IS NULL OR x.replaced IS NOT NULL)
"""


async def known(
    conn: Connection,
    chat_id: int,
    inbox_id: int,
    contact_id: int,
    first_at: datetime,
    last_at: datetime,
    *,
    to: int | None,
) -> AsyncIterator[Known]:
    """Yield the messages of a thread in that time, whoever told of them but this import.

    Of WhatsApp's own only those up to the id ``to``, if one is given.
    """
    values = {
        "chat_id": chat_id,
        "inbox_id": inbox_id,
        "contact_id": contact_id,
        "first_at": first_at,
        "last_at": last_at,
        "to": to,
    }
    async with conn.cursor(name="exported_chats_known") as cursor:
        cursor.itersize = FETCH_ROWS
        await cursor.execute(KNOWN, values)
        async for wamid, direction, type_, text, at, content_rank in cursor:
            yield Known(wamid, direction, type_, key_of(type_, text), at, content_rank)


SHARED: Final = """
SELECT m.direction::text, coalesce(m.edited_text, m.text), min(m.sent_at), count(*)
  FROM conversations c JOIN messages m ON m.conversation_id = c.id
 WHERE c.inbox_id = %s AND c.contact_id = %s AND coalesce(m.edited_text, m.text) = ANY(%s)
   AND m.wamid NOT LIKE 'exported:%%'
 GROUP BY 1, 2
"""


async def shared_texts(
    conn: Connection, inbox_id: int, contact_id: int, texts: Collection[str]
) -> Sequence[tuple[str, str, datetime, int]]:
    """Return (direction, text, first time, count) of those texts that the thread has, as Meta told them."""
    return await (await conn.execute(SHARED, (inbox_id, contact_id, list(texts)))).fetchall()


TAKEN: Final = """
SELECT m.wamid FROM unnest(%s::text[]) AS w (wamid)
  JOIN messages m ON m.inbox_id = %s AND m.wamid = w.wamid
 WHERE NOT EXISTS (SELECT FROM exported_messages x WHERE x.inbox_id = m.inbox_id AND x.wamid = m.wamid
                      AND x.exported_chat_id = %s)
"""


async def taken(conn: Connection, chat_id: int, inbox_id: int, wamids: Sequence[str]) -> set[str]:
    """Return those ids under which another import has brought a message in."""
    found: set[str] = set()
    for first in range(0, len(wamids), IDS_COUNT):
        values = (list(wamids[first : first + IDS_COUNT]), inbox_id, chat_id)
        found |= {row[0] for row in await (await conn.execute(TAKEN, values)).fetchall()}
    return found
