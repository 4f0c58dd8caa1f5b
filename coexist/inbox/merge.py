"""Messages into the table, as sets.

What is new is inserted; what is there already is merged. Every column's rule commutes, so any order, duplication or
batching of the same facts ends in the same rows:

- content (type, text, file, time, quote) comes from the highest ``content_rank``, equal ranks from the greater row; a
  time that Meta told beats the time of a receipt, the first receipt a later one;
- direction and origin likewise from ``direction_rank``: the array that a late file stood in is the weakest witness;
- status is the highest rank; ``imported`` holds while only history told it; the window opens if any copy opens it;
- ``peer`` prefers a BSUID (letters sort above digits), of equal ones the better telling as for the content; the
  conversation follows it and, as the owner of a phone can depend on the time, the time of that telling. Where it is not
  the one that the content is from, ``peer_rank`` and ``peer_at`` keep how good it was, and its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase
from typing import Final

import msgspec

from coexist.base.database import Connection

TYPES: Final[Mapping[str, str]] = {
    "inbox_id": "int", "wamid": "text", "conversation_id": "bigint", "peer": "text", "direction": "message_direction",
    "origin": "message_origin", "imported": "boolean", "opens_window": "boolean", "is_time_doubtful": "boolean",
    "content_rank": "smallint", "direction_rank": "smallint", "forwarded": "smallint", "status": "smallint",
    "type": "text", "sent_at": "timestamptz", "text": "text", "content": "jsonb", "reply_to": "text",
}  # fmt: skip
"""The columns that Meta's word decides about, and their SQL types, in the order of ``MessageRow``."""

LETTERS: Final = dict(zip(TYPES, ascii_lowercase, strict=False))
"""What a column is called on its way: names are half of such a document, and PostgreSQL reads each of them anew."""


class MessageRow(msgspec.Struct, frozen=True, gc=False, rename=LETTERS, omit_defaults=True):
    """A row of ``messages`` as it goes to the database, in JSON."""

    inbox_id: int
    wamid: str
    conversation_id: int
    peer: str
    direction: str
    origin: str
    imported: bool
    opens_window: bool
    is_time_doubtful: bool
    content_rank: int
    direction_rank: int
    forwarded: int
    status: int | None
    type: str
    sent_at: datetime
    text: str | None = None
    content: msgspec.Raw | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the rows: live ones by id, and every conversation whose summary may have changed."""

    added: Sequence[tuple[int, int, int]]  # (inbox id, conversation id, message id), live messages only
    changed: Sequence[tuple[int, int, int]]
    conversation_ids: frozenset[int]
    is_merged: bool = False  # whether some of the messages were there already


COLUMNS: Final = ", ".join(TYPES)
_TOLD: Final = ", ".join(f"{LETTERS[name]} {type_}" for name, type_ in TYPES.items())
_NAMED: Final = ", ".join(f"{letter} AS {name}" for name, letter in LETTERS.items())
ROWS: Final = f"(SELECT {_NAMED} FROM json_to_recordset(%s::json) AS told ({_TOLD})) r"

# Sorted, so that two batches with messages in common wait for each other in one direction only. Of an import only
# the count comes back: thousands of ids would cost more than they tell.
INSERT = f"""
WITH inserted AS (
    INSERT INTO messages ({COLUMNS})
    SELECT {COLUMNS} FROM {ROWS} ORDER BY inbox_id, wamid
        ON CONFLICT (inbox_id, wamid) DO NOTHING
    RETURNING id, inbox_id, conversation_id, imported)
SELECT inbox_id, conversation_id, id, (SELECT count(*) FROM inserted) FROM inserted WHERE NOT imported
UNION ALL
SELECT 0, 0, 0, (SELECT count(*) FROM inserted)
"""


def peer_rank(row: str) -> str:
    """SQL: how good a witness of the time with which it names its peer the row's telling is."""
    return f"({row}.content_rank * 2 + (NOT {row}.is_time_doubtful)::int)"


def place(peer: str, rank: str, at: str) -> str:
    """SQL: what decides about the conversation; the greatest wins. A time that Meta told beats that of a receipt."""
    epoch = f"extract(epoch FROM {at})"
    return f"""({peer} COLLATE "C", {rank}, CASE WHEN mod({rank}, 2) = 1 THEN {epoch} ELSE -{epoch} END)"""


PLACE = place("m.peer", f"coalesce(m.peer_rank, {peer_rank('m')})", "coalesce(m.peer_at, m.sent_at)")

MERGE = f"""
WITH told AS (
    SELECT m.id, m.conversation_id AS old_conversation_id, r.*,
           (r.content_rank, NOT r.is_time_doubtful,
            CASE WHEN r.is_time_doubtful THEN -extract(epoch FROM r.sent_at) ELSE extract(epoch FROM r.sent_at) END,
            r.type, coalesce(r.text, ''), coalesce(r.content::text, ''), coalesce(r.reply_to, ''), r.forwarded)
         > (m.content_rank, NOT m.is_time_doubtful,
            CASE WHEN m.is_time_doubtful THEN -extract(epoch FROM m.sent_at) ELSE extract(epoch FROM m.sent_at) END,
            m.type, coalesce(m.text, ''), coalesce(m.content::text, ''), coalesce(m.reply_to, ''), m.forwarded)
           AS has_content,
           (r.direction_rank, r.direction, r.origin) > (m.direction_rank, m.direction, m.origin) AS has_direction,
           {place("r.peer", peer_rank("r"), "r.sent_at")} > {PLACE} AS has_peer, {peer_rank("r")} AS peer_rank
      FROM {ROWS} JOIN messages m ON m.inbox_id = r.inbox_id AND m.wamid = r.wamid
     ORDER BY m.inbox_id, m.wamid
       FOR NO KEY UPDATE OF m)
UPDATE messages m
   SET content_rank = CASE WHEN t.has_content THEN t.content_rank ELSE m.content_rank END,
       type = CASE WHEN t.has_content THEN t.type ELSE m.type END,
       text = CASE WHEN t.has_content THEN t.text ELSE m.text END,
       content = CASE WHEN t.has_content THEN t.content ELSE m.content END,
       reply_to = CASE WHEN t.has_content THEN t.reply_to ELSE m.reply_to END,
       forwarded = CASE WHEN t.has_content THEN t.forwarded ELSE m.forwarded END,
       sent_at = CASE WHEN t.has_content THEN t.sent_at ELSE m.sent_at END,
       is_time_doubtful = CASE WHEN t.has_content THEN t.is_time_doubtful ELSE m.is_time_doubtful END,
       direction_rank = CASE WHEN t.has_direction THEN t.direction_rank ELSE m.direction_rank END,
       direction = CASE WHEN t.has_direction THEN t.direction ELSE m.direction END,
       origin = CASE WHEN t.has_direction THEN t.origin ELSE m.origin END,
       peer = CASE WHEN t.has_peer THEN t.peer ELSE m.peer END,
       peer_rank = CASE WHEN t.has_peer AND t.has_content THEN NULL WHEN t.has_peer THEN t.peer_rank
                        WHEN t.has_content THEN coalesce(m.peer_rank, {peer_rank("m")}) ELSE m.peer_rank END,
       peer_at = CASE WHEN t.has_peer AND t.has_content THEN NULL WHEN t.has_peer THEN t.sent_at
                      WHEN t.has_content THEN coalesce(m.peer_at, m.sent_at) ELSE m.peer_at END,
       conversation_id = CASE WHEN t.has_peer THEN t.conversation_id ELSE m.conversation_id END,
       status = greatest(m.status, t.status),
       imported = m.imported AND t.imported,
       opens_window = m.opens_window OR t.opens_window
  FROM told t
 WHERE m.id = t.id
   AND (t.has_content OR t.has_direction OR t.has_peer OR t.status > coalesce(m.status, -1)
        OR (m.imported AND NOT t.imported) OR (t.opens_window AND NOT m.opens_window))
RETURNING m.inbox_id, m.conversation_id, m.id, m.imported, t.old_conversation_id
"""


async def merge(conn: Connection, rows: Sequence[MessageRow]) -> Merged:
    """Insert or merge ``rows``; the same wamid may occur more than once."""
    document = msgspec.json.encode(rows).decode()
    answers = await (await conn.execute(INSERT, (document,))).fetchall()
    added = [(inbox_id, conversation_id, id_) for inbox_id, conversation_id, id_, _ in answers if id_]
    touched = {row.conversation_id for row in rows}
    changed: dict[int, tuple[int, int, int]] = {}
    is_merged = answers[-1][3] < len(rows)
    if is_merged:  # some were there already, or twice among these
        for round_ in _rounds(rows):
            document = msgspec.json.encode(round_).decode()
            for inbox_id, conversation_id, id_, imported, old in await (
                await conn.execute(MERGE, (document,))
            ).fetchall():
                touched |= {conversation_id, old}
                if not imported:
                    changed[id_] = (inbox_id, conversation_id, id_)
    return Merged(added, list(changed.values()), frozenset(touched), is_merged)


def _rounds(rows: Sequence[MessageRow]) -> list[list[MessageRow]]:
    """Split so that no round names a message twice: one statement may change a row only once."""
    rounds: list[list[MessageRow]] = []
    seen: dict[tuple[int, str], int] = {}
    for row in rows:
        number = seen.get((row.inbox_id, row.wamid), 0)
        seen[row.inbox_id, row.wamid] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(row)
    return rounds
