"""The SQL of the outbox as people see it: what they write, and what they decide. `attempts` is the sender's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.inbox.model import EXPORTED_PREFIX
from coexist.meta.errors import Action, codes_of
from coexist.meta.model import SENT_BY_US, STATUS_RANK
from coexist.outbound.model import Known, Sent, Target

CHANNEL: Final = "coexist_outbox"
"""PostgreSQL's notification channel for "there is something to send"; the payload is the inbox's id."""

QUEUED, FAILED = STATUS_RANK["queued"], STATUS_RANK["failed"]

# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────

SCOPE: Final = """
SELECT i.scope_id FROM conversations c JOIN inboxes i ON i.id = c.inbox_id
 WHERE c.id = %s AND i.account_id = %s
"""


async def scope_of(conn: Connection, account_id: int, conversation_id: int) -> int | None:
    """Return the contact scope of a conversation of the account."""
    row = await (await conn.execute(SCOPE, (conversation_id, account_id))).fetchone()
    return None if row is None else int(row[0])


# An id of a contact, from identities i, at which they can be written to: not a phone that they left, nor one that
# several people had, by their BSUIDs, which is nobody's for certain. Somebody's old and new BSUID are one person's.
USABLE: Final = """(
        i.kind = 'bsuid'
        OR i.kind = 'phone' AND (NOT i.is_contested OR 2 > (
           SELECT count(DISTINCT coalesce(b.contact_id::text, s.bsuid)) FROM identity_sightings s
             LEFT JOIN identities b ON (b.scope_id, b.kind, b.value) = (s.scope_id, 'bsuid', s.bsuid)
            WHERE s.scope_id = i.scope_id AND s.match_key = i.match_key)))"""

# A reply goes to an id of this contact exactly as WhatsApp told it, never to a match key (requirement F4). Of those the
# newest that is known counts: the id the person wrote with last, or the one that they moved to since (F5). Our own
# messages say nothing about where the person is.
TARGET: Final = f"""
WITH place AS (
    SELECT i.account_id, c.id AS conversation_id, i.id AS inbox_id, i.state::text AS inbox_state, i.waba_id, i.scope_id,
           c.window_opened_at, c.contact_id, c.window_refused_at, i.display_phone_number
      FROM conversations c JOIN inboxes i ON i.id = c.inbox_id
     WHERE c.id = %(conversation_id)s AND i.account_id = %(account_id)s {{lock}}),
usable AS (
    SELECT i.id, i.scope_id, i.kind::text, i.value, i.match_key, i.is_wa_id, i.is_parent
      FROM place p JOIN identities i ON i.contact_id = p.contact_id
     WHERE {USABLE}),
wrote AS (
    SELECT m.peer, m.sent_at FROM messages m JOIN usable u ON u.value = m.peer
     WHERE m.conversation_id = %(conversation_id)s AND m.direction = 'inbound'
     ORDER BY m.sent_at DESC, m.id DESC LIMIT 1),
newest AS (
    SELECT u.value
      FROM usable u
      LEFT JOIN wrote w ON w.peer = u.value
      LEFT JOIN LATERAL (
           SELECT max(g.at) AS at FROM identity_changes g
            WHERE g.scope_id = u.scope_id AND g.kind = u.kind AND g.current = u.match_key) moved ON true
     ORDER BY greatest(w.sent_at, moved.at) DESC NULLS LAST, moved.at DESC NULLS LAST,
              u.kind = 'bsuid' DESC, u.is_parent, u.is_wa_id DESC, u.id DESC
     LIMIT 1)
SELECT p.account_id, p.conversation_id, p.inbox_id, p.inbox_state, p.waba_id, p.scope_id, p.window_opened_at,
       p.window_refused_at, p.display_phone_number, e.value AS peer, n.phone
  FROM place p
  LEFT JOIN newest e ON true
  LEFT JOIN LATERAL (
       SELECT s.phone FROM identity_sightings s
         JOIN usable u ON u.kind = 'phone' AND u.value = s.phone AND u.is_wa_id
        WHERE s.scope_id = p.scope_id AND s.bsuid = e.value
        ORDER BY s.first_at DESC, s.phone COLLATE "C" DESC LIMIT 1) n ON true
"""


async def target(conn: Connection, account_id: int, conversation_id: int, *, is_locked: bool = True) -> Target | None:
    """Return, and lock unless it is only to be looked at, the conversation to write in, if it is the account's."""
    statement = TARGET.format(lock="FOR NO KEY UPDATE OF c" if is_locked else "")
    async with conn.cursor(row_factory=class_row(Target)) as cursor:
        await cursor.execute(statement, {"conversation_id": conversation_id, "account_id": account_id})
        return await cursor.fetchone()


# A message m of outbox o that what was learned of a phone since has parted from the person it was written to.
IS_ANOTHERS: Final = """EXISTS (
    SELECT FROM messages a WHERE a.id = o.written_after AND a.conversation_id <> m.conversation_id)"""
IS_THEIRS: Final = f"""
SELECT EXISTS (SELECT FROM outbox o JOIN messages m ON m.id = o.message_id
                 JOIN conversations c ON c.id = m.conversation_id JOIN identities i ON i.contact_id = c.contact_id
                WHERE o.our_ref = %s AND i.value = %s AND {USABLE} AND NOT {IS_ANOTHERS})
"""


async def is_theirs(conn: Connection, our_ref: UUID, id_: str) -> bool:
    """Whether the id that a message goes to is, as far as is known now, one of the person it was written to."""
    row = await (await conn.execute(IS_THEIRS, (our_ref, id_))).fetchone()
    return row == (True,)


async def is_anothers(conn: Connection, our_ref: UUID) -> bool:
    """Whether a message belongs to somebody else, as far as is known now, than it was written to."""
    statement = f"SELECT {IS_ANOTHERS} FROM outbox o JOIN messages m ON m.id = o.message_id WHERE o.our_ref = %s"
    return await (await conn.execute(statement, (our_ref,))).fetchone() == (True,)


BY_REF: Final = """
SELECT m.id AS message_id, o.payload
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id LEFT JOIN outbox o ON o.our_ref = m.our_ref
 WHERE m.our_ref = %s AND i.account_id = %s AND m.conversation_id = %s
"""


async def message_of(conn: Connection, account_id: int, conversation_id: int, our_ref: UUID) -> Known | None:
    """Return the message that was written with this reference before."""
    async with conn.cursor(row_factory=class_row(Known)) as cursor:
        await cursor.execute(BY_REF, (our_ref, account_id, conversation_id))
        return await cursor.fetchone()


async def wamid_of(conn: Connection, conversation_id: int, message_id: int) -> str | None:
    """Return Meta's id of a message of the conversation, None if it has none or is elsewhere."""
    cursor = await conn.execute(
        "SELECT wamid FROM messages WHERE id = %s AND conversation_id = %s AND NOT starts_with(wamid, %s)",
        (message_id, conversation_id, EXPORTED_PREFIX),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


INSERT_MESSAGE: Final = """
INSERT INTO messages (inbox_id, conversation_id, peer, direction, origin, imported, opens_window, is_time_doubtful,
                      content_rank, direction_rank, forwarded, status, type, sent_at, text, content, reply_to,
                      author_id, our_ref)
VALUES (%(inbox_id)s, %(conversation_id)s, %(peer)s, 'outbound', 'api', false, false, false,
        %(rank)s, %(rank)s, 0, %(status)s, %(type)s, %(sent_at)s, %(text)s, %(content)s::jsonb, %(reply_to)s,
        %(author_id)s, %(our_ref)s)
    ON CONFLICT (our_ref) WHERE our_ref IS NOT NULL DO NOTHING
RETURNING id
"""


async def insert_message(
    conn: Connection, values: Mapping[str, Any], content: Mapping[str, Any] | None = None
) -> int | None:
    """Insert a message of ours; None when its reference was used before."""
    structure = None if content is None else msgspec.json.encode(content).decode()
    all_values = {**values, "content": structure, "rank": SENT_BY_US, "status": QUEUED}
    row = await (await conn.execute(INSERT_MESSAGE, all_values)).fetchone()
    return None if row is None else int(row[0])


INSERT_ROW: Final = """
INSERT INTO outbox (our_ref, inbox_id, message_id, peer, payload, next_attempt_at, created_at, written_after)
SELECT %(our_ref)s, %(inbox_id)s, m.id, m.peer, %(payload)s::json, %(now)s, %(now)s, (
       SELECT a.id FROM messages a WHERE a.conversation_id = m.conversation_id AND a.direction = 'inbound'
        ORDER BY a.sent_at DESC, a.id DESC LIMIT 1)
  FROM messages m WHERE m.id = %(message_id)s
"""


async def enqueue(conn: Connection, inbox_id: int, message_id: int, our_ref: UUID, payload: Mapping[str, Any]) -> None:
    """Put a message in line and wake the sender."""
    body = msgspec.json.encode(payload).decode()
    values = {"our_ref": our_ref, "inbox_id": inbox_id, "message_id": message_id, "payload": body, "now": clock.now()}
    await conn.execute(INSERT_ROW, values)
    await wake(conn, inbox_id)


async def wake(conn: Connection, inbox_id: int) -> None:
    """Tell the sender, at commit, that there is something to send."""
    await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(inbox_id)))


MARKETING: Final = """
SELECT (array_agg(d.marketing_wish ORDER BY d.marketing_wish_at DESC, d.marketing_wish DESC)
          FILTER (WHERE d.marketing_wish_at IS NOT NULL))[1],
       max(d.marketing_rests_until)
  FROM conversations c JOIN identities d ON d.contact_id = c.contact_id
 WHERE c.id = %s
"""


async def marketing(conn: Connection, conversation_id: int) -> tuple[str | None, datetime | None]:
    """Return whether the person wants marketing (``stop``, ``resume``, None: never said), and until when it rests."""
    row = await (await conn.execute(MARKETING, (conversation_id,))).fetchone()
    return (None, None) if row is None else (row[0], row[1])


CHOSEN_COUNT: Final = 100
"""How many of the newest messages with a template tell which ones are in use."""
CHOSEN: Final = f"""
SELECT name, language
  FROM (SELECT id, content -> 'template' ->> 'name' AS name, content -> 'template' ->> 'language' AS language
          FROM messages WHERE inbox_id = %s AND type = 'template' AND our_ref IS NOT NULL
         ORDER BY id DESC LIMIT {CHOSEN_COUNT}) newest
 GROUP BY name, language ORDER BY max(id) DESC
"""


async def chosen_last(conn: Connection, inbox_id: int) -> Sequence[tuple[str, str]]:
    """Return name and language of the templates that a number was written with here, the newest first."""
    return await (await conn.execute(CHOSEN, (inbox_id,))).fetchall()


PAYLOAD: Final = """
SELECT m.conversation_id, o.payload FROM messages m
  JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %s
  JOIN outbox o ON o.message_id = m.id
 WHERE m.id = %s ORDER BY o.created_at DESC LIMIT 1
"""


async def payload_of(conn: Connection, account_id: int, message_id: int) -> tuple[int, Mapping[str, Any]] | None:
    """Return the conversation and the body of a message that was written here; None for any other."""
    row = await (await conn.execute(PAYLOAD, (account_id, message_id))).fetchone()
    return None if row is None else (int(row[0]), row[1])


# ── a person decides ──────────────────────────────────────────────────────────────────────────────────────

SENT: Final = f"""
SELECT m.id AS message_id, m.inbox_id, m.conversation_id, m.our_ref, m.wamid, m.status, m.type, m.text, m.content,
       m.reply_to, o.payload, o.state::text, o.given_up_at IS NOT NULL AS is_given_up, o.is_doubtful, m.errors,
       {IS_ANOTHERS} AS is_anothers,
       coalesce((SELECT s.at FROM message_statuses s
                  WHERE s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.status = %(failed)s),
                o.settled_at) AS failed_at,
       EXISTS (SELECT FROM identities d WHERE d.scope_id = i.scope_id AND d.kind <> 'former_phone' AND d.value = m.peer
                  AND d.marketing_wish = 'resume') AS wants_marketing
  FROM messages m
  JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %(account_id)s
  JOIN outbox o ON o.message_id = m.id
 WHERE m.id = %(message_id)s
   FOR UPDATE OF o
"""


async def sent(conn: Connection, account_id: int, message_id: int) -> Sent | None:
    """Return, and lock, a message that was written here."""
    async with conn.cursor(row_factory=class_row(Sent)) as cursor:
        await cursor.execute(SENT, {"account_id": account_id, "message_id": message_id, "failed": FAILED})
        return await cursor.fetchone()


REQUEUE: Final = """
WITH again AS (
    UPDATE messages SET peer = %(peer)s, status = %(status)s, errors = NULL, sent_at = %(now)s
     WHERE id = %(message_id)s AND wamid IS NULL RETURNING id)
UPDATE outbox o
   SET state = 'queued', peer = %(peer)s, payload = %(payload)s::json, created_at = %(now)s, next_attempt_at = %(now)s,
       attempts = 0, asked_attempts = 0, sending_at = NULL, settled_at = NULL,
       error_code = NULL, error = NULL, fbtrace_id = NULL
  FROM again WHERE o.message_id = again.id
"""


async def requeue(conn: Connection, message_id: int, peer: str, payload: Mapping[str, Any]) -> bool:
    """Put a message that certainly never reached Meta in line again, as of now; False if it just got its wamid."""
    body = msgspec.json.encode(payload).decode()
    values = {"message_id": message_id, "peer": peer, "payload": body, "now": clock.now(), "status": QUEUED}
    return (await conn.execute(REQUEUE, values)).rowcount > 0


# That WhatsApp called the window closed stays known (see `inbox.summary`).
DELETE_MESSAGE: Final = """
WITH gone AS (
    DELETE FROM messages WHERE id = %(message_id)s AND wamid IS NULL RETURNING id, conversation_id),
refused AS (
    UPDATE conversations c
       SET discarded_refusal_at = greatest(c.discarded_refusal_at, date_trunc('second', o.sending_at))
      FROM gone g, outbox o
     WHERE c.id = g.conversation_id AND o.message_id = g.id AND o.state = 'failed' AND o.error_code = ANY(%(closing)s))
SELECT id FROM gone
"""


async def delete_message(conn: Connection, message_id: int) -> bool:
    """Forget a message of ours that never reached Meta, with its outbox row; False if it just got its wamid."""
    values = {"message_id": message_id, "closing": codes_of(Action.CLOSE_WINDOW)}
    return (await conn.execute(DELETE_MESSAGE, values)).rowcount > 0


GIVE_UP: Final = """
UPDATE outbox SET state = 'failed', error = %(error)s, settled_at = %(now)s, given_up_at = %(now)s
 WHERE message_id = %(message_id)s AND (state = 'unclear' OR state = 'queued' AND is_doubtful)
"""


async def give_up(conn: Connection, message_id: int, error: str) -> None:
    """Let a message of unknown outcome rest. A status that comes after all still settles it."""
    await conn.execute(GIVE_UP, {"error": error, "now": clock.now(), "message_id": message_id})
