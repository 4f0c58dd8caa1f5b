"""All that Meta's deliveries left in the tables, without surrogate ids: what no schedule may change."""

from collections.abc import Sequence
from typing import Any, Final

from coexist.base.database import Connection

# A contact is named by its identities, a conversation by its number and its contact, a message by number and wamid.
# The first column is the account that a row belongs to.
PEOPLE: Final = """
WITH who AS (
    SELECT contact_id, string_agg(kind || ':' || value, ' ' ORDER BY kind, value) AS ids
      FROM identities GROUP BY contact_id)
"""

QUERIES: Final = {
    "contacts": PEOPLE
    + """
SELECT s.account_id, s.portfolio_id, who.ids, k.display_name, k.address_book_name, k.profile_name, k.username, k.phone,
       k.is_in_address_book, k.first_seen_at
  FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id LEFT JOIN who ON who.contact_id = k.id
 WHERE k.first_seen_at IS NOT NULL OR EXISTS (SELECT FROM identities WHERE contact_id = k.id AND kind <> 'former_phone')
 ORDER BY 1, 2, 3""",
    "identities": """
SELECT s.account_id, s.portfolio_id, kind, value, match_key, is_wa_id, is_parent, is_contested, profile_name,
       profile_name_at, username, username_at, marketing_wish, marketing_wish_at, marketing_rests_until
  FROM identities JOIN contact_scopes s ON s.id = scope_id WHERE kind <> 'former_phone' ORDER BY 1, 2, 3, 4""",
    "sightings": """
SELECT s.account_id, s.portfolio_id, phone, match_key, bsuid, first_at
  FROM identity_sightings JOIN contact_scopes s ON s.id = scope_id ORDER BY 1, 2, 3, 5""",
    "identity_changes": """
SELECT s.account_id, s.portfolio_id, kind, previous, current, at
  FROM identity_changes JOIN contact_scopes s ON s.id = scope_id ORDER BY 1, 2, 3, 4, 5""",
    "address_book": """
SELECT i.account_id, i.phone_number_id, kind, value, full_name, first_name, is_removed, at
  FROM address_book_entries JOIN inboxes i ON i.id = inbox_id ORDER BY 1, 2, 3, 4""",
    "conversations": PEOPLE
    + """
SELECT i.account_id, i.phone_number_id, who.ids, c.state, c.first_message_at, c.last_message_at, c.window_opened_at,
       c.window_refused_at, c.waiting_since, c.unread_count
  FROM conversations c JOIN inboxes i ON i.id = c.inbox_id LEFT JOIN who ON who.contact_id = c.contact_id
 WHERE c.last_message_at IS NOT NULL ORDER BY 1, 2, 3""",
    "messages": PEOPLE
    + """
SELECT i.account_id, i.phone_number_id, m.wamid, who.ids, m.peer, m.direction, m.origin, m.imported, m.opens_window,
       m.is_time_doubtful, m.content_rank, m.direction_rank, m.forwarded, m.status, m.type, m.sent_at, m.text,
       m.content, m.reply_to, m.errors, m.edited_at, m.edited_text, m.revoked_at, m.reactions
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id JOIN conversations c ON c.id = m.conversation_id
  LEFT JOIN who ON who.contact_id = c.contact_id ORDER BY 1, 2, 3""",
    "changes": """
SELECT i.account_id, i.phone_number_id, wamid, target, kind, by, at, text, is_waiting
  FROM message_changes JOIN inboxes i ON i.id = inbox_id ORDER BY 1, 2, 3""",
    "statuses": """
SELECT i.account_id, i.phone_number_id, wamid, status, at, our_ref, pricing, errors, refused_at, is_waiting
  FROM message_statuses JOIN inboxes i ON i.id = inbox_id ORDER BY 1, 2, 3, 4""",
    "media": """
SELECT i.account_id, i.phone_number_id, wamid, media_id, mime_type, sha256, file_name, is_voice, is_animated,
       content_rank, told_at
  FROM media JOIN inboxes i ON i.id = inbox_id ORDER BY 1, 2, 3""",
    "outbox": """
SELECT i.account_id, i.phone_number_id, o.our_ref, o.state
  FROM outbox o JOIN inboxes i ON i.id = o.inbox_id ORDER BY 1, 2, 3""",
    "history": """
SELECT i.account_id, i.phone_number_id, phase, chunk_order, progress, thread_count, message_count
  FROM history_chunks JOIN inboxes i ON i.id = inbox_id ORDER BY 1, 2, 3, 4""",
    "syncs": """
SELECT i.account_id, i.phone_number_id, s.kind, s.state, s.declined_at, s.error_code, s.error, s.error_at
  FROM syncs s JOIN inboxes i ON i.id = s.inbox_id ORDER BY 1, 2, 3""",
    "inboxes": """
SELECT account_id, phone_number_id, state, state_reason, state_initiated_by, state_at, standing_codes,
       begins_held_until, replies_held_until, utility_held_until
  FROM inboxes ORDER BY 1, 2""",
    # What Meta lists is asked for; what it tells is here.
    "templates": """
SELECT account_id, name, language, told_status, told_at, told_id, told_reason FROM templates ORDER BY 1, 2, 3""",
    # That a phone has been quiet for long is told by the clock.
    "timeline": """
SELECT i.account_id, i.phone_number_id, at, field, event, value
  FROM inbox_timeline JOIN inboxes i ON i.id = inbox_id WHERE event <> 'PHONE_QUIET' ORDER BY 1, 2, 3, 4, 5, 6""",
    "quarantine": """
SELECT i.account_id, q.part, q.phone_number_id, q.error
  FROM quarantine q LEFT JOIN inboxes i USING (phone_number_id) ORDER BY 1, 2, 3, 4""",
}

Snapshot = dict[str, list[tuple[Any, ...]]]


async def take(conn: Connection) -> Snapshot:
    """Return every table's rows by natural keys, sorted. For a database of one account."""
    return {name: [row[1:] for row in await _rows(conn, query)] for name, query in QUERIES.items()}


async def take_each(conn: Connection, account_ids: Sequence[int]) -> dict[int, Snapshot]:
    """Return the same for each of these accounts, by its id."""
    taken: dict[int, Snapshot] = {id_: {name: [] for name in QUERIES} for id_ in account_ids}
    for name, query in QUERIES.items():
        cursor = await conn.execute(f"SELECT * FROM ({query}) AS row WHERE account_id = ANY(%s)", (account_ids,))
        for row in await cursor.fetchall():
            taken[row[0]][name].append(row[1:])
    return taken


async def _rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await conn.execute(query)).fetchall()
