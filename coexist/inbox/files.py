"""What is known of a message's file; ``media`` fetches the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from coexist.base import clock
from coexist.base.database import Connection
from coexist.meta.model import MediaFile

CHANNEL = "coexist_media"
"""Told when files are to be fetched."""
FORGET_CHANNEL = "coexist_media_forget"
"""Told when files are to be deleted."""


class FileRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``media`` as Meta told it."""

    inbox_id: int
    wamid: str
    media_id: str | None
    mime_type: str | None
    sha256: str | None
    file_name: str | None
    url: str | None
    is_voice: bool
    is_animated: bool
    content_rank: int
    told_at: datetime

    @classmethod
    def of(cls, inbox_id: int, wamid: str, file: MediaFile, content_rank: int, told_at: datetime) -> FileRow:
        """Return the row for ``file``, told with the message ``wamid``."""
        return cls(
            inbox_id,
            wamid,
            file.media_id,
            file.mime_type,
            file.sha256,
            file.file_name,
            file.url,
            file.is_voice,
            file.is_animated,
            content_rank,
            told_at,
        )


# The better told file wins, like the message's content. One that is stored already is fetched again only when the
# better telling is of another file.
STORE = """
WITH told AS (
    SELECT DISTINCT ON (inbox_id, wamid) *
      FROM json_to_recordset(%s::json) AS f (inbox_id int, wamid text, media_id text, mime_type text, sha256 text,
                                             file_name text, url text, is_voice boolean, is_animated boolean,
                                             content_rank smallint, told_at timestamptz)
     ORDER BY inbox_id, wamid, content_rank DESC, told_at DESC, coalesce(media_id, '') DESC, coalesce(sha256, '') DESC,
              coalesce(mime_type, '') DESC, coalesce(file_name, '') DESC, is_voice DESC, is_animated DESC)
INSERT INTO media AS old (inbox_id, wamid, media_id, mime_type, sha256, file_name, url, is_voice, is_animated,
                          content_rank, told_at)
SELECT inbox_id, wamid, media_id, mime_type, sha256, file_name, url, is_voice, is_animated, content_rank, told_at
  FROM told
    ON CONFLICT (inbox_id, wamid) DO UPDATE
   SET media_id = excluded.media_id, mime_type = excluded.mime_type, sha256 = excluded.sha256,
       file_name = excluded.file_name, url = excluded.url, is_voice = excluded.is_voice,
       is_animated = excluded.is_animated, content_rank = excluded.content_rank, told_at = excluded.told_at,
       state = CASE WHEN old.state = 'stored' AND old.stored_sha256 = excluded.sha256 THEN old.state ELSE 'waiting' END,
       attempts = 0, known_at = now(), next_attempt_at = now(), reason = NULL, error = NULL
 WHERE (excluded.content_rank, excluded.told_at, coalesce(excluded.media_id, ''), coalesce(excluded.sha256, ''),
        coalesce(excluded.mime_type, ''), coalesce(excluded.file_name, ''), excluded.is_voice, excluded.is_animated)
     > (old.content_rank, old.told_at, coalesce(old.media_id, ''), coalesce(old.sha256, ''),
        coalesce(old.mime_type, ''), coalesce(old.file_name, ''), old.is_voice, old.is_animated)
"""


async def store_files(conn: Connection, rows: Sequence[FileRow]) -> None:
    """Keep what is known of each file, put it in line to be fetched, and tell who fetches."""
    if rows:
        await conn.execute(STORE, (msgspec.json.encode(rows).decode(),))
        await conn.execute(f"NOTIFY {CHANNEL}")


# What is gone for another reason that nobody wanted it, such as a private number's, is no longer `failed`.
WANT_AGAIN = """
UPDATE media SET state = 'waiting', attempts = 0, next_attempt_at = now(), reason = NULL, error = NULL
 WHERE inbox_id = ANY(%s) AND state = 'failed' AND reason = 'unwanted'
"""


async def want_again(conn: Connection, inbox_ids: Sequence[int]) -> None:
    """Put in line what was left out because nobody wanted it; whether it is wanted now is asked again for each."""
    await conn.execute(WANT_AGAIN, (list(inbox_ids),))
    await conn.execute(f"NOTIFY {CHANNEL}")


FORGET = """
WITH gone AS (
    DELETE FROM media WHERE inbox_id = %s AND wamid = ANY(%s) RETURNING inbox_id, stored_sha256)
INSERT INTO media_doomed (account_id, sha256, since)
SELECT DISTINCT i.account_id, g.stored_sha256, '-infinity'::timestamptz
  FROM gone g JOIN inboxes i ON i.id = g.inbox_id
 WHERE g.stored_sha256 IS NOT NULL
    ON CONFLICT DO NOTHING
"""


async def forget_files(conn: Connection, inbox_id: int, wamids: Sequence[str]) -> None:
    """Forget the files of these messages. Their bytes are deleted at once, unless another message has the same."""
    if wamids:
        await conn.execute(FORGET, (inbox_id, list(wamids)))
        await conn.execute(f"NOTIFY {FORGET_CHANNEL}")


# One that is being fetched at this moment comes, or is given up by whoever fetches it.
GIVE_UP = """
WITH given_up AS (
    UPDATE media SET state = 'gone', reason = %(reason)s, error = %(error)s, claimed_until = NULL, stored_sha256 = NULL
     WHERE inbox_id = %(inbox_id)s AND state = 'waiting' AND (claimed_until IS NULL OR claimed_until <= %(now)s)
    RETURNING wamid)
SELECT m.conversation_id, m.id FROM given_up g JOIN messages m ON m.inbox_id = %(inbox_id)s AND m.wamid = g.wamid
"""


async def give_up(conn: Connection, inbox_id: int, reason: str, error: str) -> list[tuple[int, int]]:
    """Say of all files of an inbox that are still to be fetched that they will not come.

    Returns the ids of the conversations and messages that show it.
    """
    values = {"inbox_id": inbox_id, "reason": reason, "error": error, "now": clock.now()}
    return [(row[0], row[1]) for row in await (await conn.execute(GIVE_UP, values)).fetchall()]
