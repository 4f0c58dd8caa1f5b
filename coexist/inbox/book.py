"""Names as Meta tells them: profile names on identities, and the phone's address book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from psycopg.rows import TupleRow

from coexist.base.database import Connection
from coexist.inbox.summary import ProfileName


class ProfileRow(msgspec.Struct, frozen=True, gc=False):
    """A profile name and username as they were at ``at``; either may be missing, which says nothing about it."""

    scope_id: int
    kind: str
    value: str
    name: str | None
    username: str | None
    at: datetime


class EntryRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of the phone's address book, added, edited or removed at ``at``."""

    inbox_id: int
    kind: str
    value: str
    full_name: str | None
    first_name: str | None
    is_removed: bool
    at: datetime


class WishRow(msgspec.Struct, frozen=True, gc=False):
    """Whether a person wants marketing messages, as they told at ``at``: ``stop`` or ``resume``."""

    scope_id: int
    kind: str
    value: str
    wish: str
    at: datetime


# The newest wins, equal times by value; the name and the username each have a time of their own.
STORE_PROFILES = """
WITH told AS (
    SELECT * FROM json_to_recordset(%s::json) AS p (scope_id int, kind identity_kind, value text, name text,
                                                    username text, at timestamptz)),
named AS (
    SELECT DISTINCT ON (scope_id, kind, value) scope_id, kind, value, name, at FROM told WHERE name IS NOT NULL
     ORDER BY scope_id, kind, value, at DESC, name COLLATE "C" DESC),
called AS (
    SELECT DISTINCT ON (scope_id, kind, value) scope_id, kind, value, username, at FROM told WHERE username IS NOT NULL
     ORDER BY scope_id, kind, value, at DESC, username COLLATE "C" DESC),
newest AS (
    SELECT scope_id, kind, value, n.name, n.at AS name_at, c.username, c.at AS username_at
      FROM named n FULL JOIN called c USING (scope_id, kind, value)),
newer AS (
    SELECT i.id,
           n.name IS NOT NULL AND (i.profile_name_at IS NULL OR (n.name_at, n.name COLLATE "C")
                                   > (i.profile_name_at, i.profile_name COLLATE "C")) AS has_name,
           n.username IS NOT NULL AND (i.username_at IS NULL OR (n.username_at, n.username COLLATE "C")
                                       > (i.username_at, i.username COLLATE "C")) AS has_username,
           n.name, n.name_at, n.username, n.username_at
      FROM newest n JOIN identities i USING (scope_id, kind, value)
     ORDER BY i.id
       FOR NO KEY UPDATE OF i)
UPDATE identities i
   SET profile_name = CASE WHEN n.has_name THEN n.name ELSE i.profile_name END,
       profile_name_at = CASE WHEN n.has_name THEN n.name_at ELSE i.profile_name_at END,
       username = CASE WHEN n.has_username THEN n.username ELSE i.username END,
       username_at = CASE WHEN n.has_username THEN n.username_at ELSE i.username_at END
  FROM newer n
 WHERE i.id = n.id AND (n.has_name OR n.has_username)
RETURNING i.contact_id, i.profile_name, i.username
"""

STORE_ENTRIES = """
WITH told AS (
    SELECT DISTINCT ON (inbox_id, kind, value) *
      FROM json_to_recordset(%s::json) AS e (inbox_id int, kind identity_kind, value text, full_name text,
                                             first_name text, is_removed boolean, at timestamptz)
     ORDER BY inbox_id, kind, value, at DESC, is_removed DESC, full_name COLLATE "C" DESC NULLS LAST,
              first_name COLLATE "C" DESC NULLS LAST),
stored AS (
    INSERT INTO address_book_entries AS old (inbox_id, kind, value, full_name, first_name, is_removed, at)
    SELECT inbox_id, kind, value, full_name, first_name, is_removed, at FROM told
        ON CONFLICT (inbox_id, kind, value) DO UPDATE
       SET full_name = excluded.full_name, first_name = excluded.first_name,
           is_removed = excluded.is_removed, at = excluded.at
     WHERE (excluded.at, excluded.is_removed, coalesce(excluded.full_name, '') COLLATE "C",
            coalesce(excluded.first_name, '') COLLATE "C")
         > (old.at, old.is_removed, coalesce(old.full_name, '') COLLATE "C", coalesce(old.first_name, '') COLLATE "C")
    RETURNING inbox_id, kind, value)
SELECT i.contact_id
  FROM stored s JOIN inboxes x ON x.id = s.inbox_id
  JOIN identities i ON i.scope_id = x.scope_id AND i.kind = s.kind AND i.value = s.value
"""


# The newest counts; of one moment, the wish to stop. `refusals` writes the same columns when Meta refuses a message.
STORE_WISHES = """
WITH told AS (
    SELECT DISTINCT ON (scope_id, kind, value) *
      FROM json_to_recordset(%s::json) AS w (scope_id int, kind identity_kind, value text, wish text, at timestamptz)
     ORDER BY scope_id, kind, value, at DESC, wish DESC)
UPDATE identities i SET marketing_wish = t.wish, marketing_wish_at = t.at
  FROM told t
 WHERE i.scope_id = t.scope_id AND i.kind = t.kind AND i.value = t.value
   AND (t.at, t.wish) > (coalesce(i.marketing_wish_at, '-infinity'), coalesce(i.marketing_wish, ''))
RETURNING i.contact_id
"""


async def store_wishes(conn: Connection, rows: Sequence[WishRow]) -> set[int]:
    """Keep the newest wish of each identity about marketing messages. Returns the contacts concerned."""
    return {contact_id for (contact_id,) in await _store(conn, STORE_WISHES, rows)}


async def store_profiles(conn: Connection, rows: Sequence[ProfileRow]) -> dict[int, set[ProfileName]]:
    """Keep the newest profile name and username of each identity. Returns those of each contact concerned."""
    named: dict[int, set[ProfileName]] = defaultdict(set)
    for contact_id, profile_name, username in await _store(conn, STORE_PROFILES, _told_once(rows)):
        named[contact_id].add((profile_name, username))
    return named


def _told_once(rows: Sequence[ProfileRow]) -> Sequence[ProfileRow]:
    """The same names of the same identity once, as of the last time: every message of a batch tells them again."""
    newest: dict[tuple[object, ...], ProfileRow] = {}
    for row in rows:
        told = (row.scope_id, row.kind, row.value, row.name, row.username)
        known = newest.get(told)
        if known is None or row.at > known.at:
            newest[told] = row
    return list(newest.values())


async def store_entries(conn: Connection, rows: Sequence[EntryRow]) -> set[int]:
    """Keep the newest state of each address-book entry. Returns the contacts concerned.

    A removal stays as a tombstone: an older addition that comes later cannot undo it (F8).
    """
    return {contact_id for (contact_id,) in await _store(conn, STORE_ENTRIES, rows)}


async def _store(conn: Connection, statement: str, rows: Sequence[msgspec.Struct]) -> list[TupleRow]:
    if not rows:
        return []
    return await (await conn.execute(statement, (msgspec.json.encode(rows).decode(),))).fetchall()
