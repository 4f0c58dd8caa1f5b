"""All that Meta's deliveries left in the tables, without surrogate ids: what no schedule may change."""

from typing import Any, Final

from coexist.base.database import Connection

# A contact is named by its identities, a conversation by its number and its contact, a message by number and wamid.
PEOPLE: Final = """
WITH who AS (
    SELECT contact_id, string_agg(kind || ':' || value, ' ' ORDER BY kind, value) AS ids
      FROM identities GROUP BY contact_id)
"""

QUERIES: Final = {
    "contacts": PEOPLE
    + """
SELECT s.portfolio_id, who.ids, k.display_name, k.address_book_name, k.profile_name, k.username, k.phone,
       k.is_in_address_book, k.first_seen_at
  FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id LEFT JOIN who ON who.contact_id = k.id
 WHERE k.first_seen_at IS NOT NULL OR EXISTS (SELECT FROM identities WHERE contact_id = k.id AND kind <> 'former_phone')
 ORDER BY 1, 2""",
    "identities": """
SELECT scope_id, kind, value, match_key, is_wa_id, is_parent, is_contested, profile_name, profile_name_at,
       username, username_at
  FROM identities WHERE kind <> 'former_phone' ORDER BY 1, 2, 3""",
    "sightings": "SELECT scope_id, phone, match_key, bsuid, first_at FROM identity_sightings ORDER BY 1, 2, 4",
    "identity_changes": "SELECT * FROM identity_changes ORDER BY 1, 2, 3, 4",
    "address_book": "SELECT * FROM address_book_entries ORDER BY 1, 2, 3",
    "conversations": PEOPLE
    + """
SELECT i.phone_number_id, who.ids, c.state, c.first_message_at, c.last_message_at, c.window_opened_at,
       c.waiting_since, c.unread_count
  FROM conversations c JOIN inboxes i ON i.id = c.inbox_id LEFT JOIN who ON who.contact_id = c.contact_id
 WHERE c.last_message_at IS NOT NULL ORDER BY 1, 2""",
    "messages": PEOPLE
    + """
SELECT i.phone_number_id, m.wamid, who.ids, m.peer, m.direction, m.origin, m.imported, m.opens_window,
       m.is_time_doubtful, m.content_rank, m.direction_rank, m.forwarded, m.status, m.type, m.sent_at, m.text,
       m.content, m.reply_to, m.errors, m.edited_at, m.edited_text, m.revoked_at, m.reactions
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id JOIN conversations c ON c.id = m.conversation_id
  LEFT JOIN who ON who.contact_id = c.contact_id ORDER BY 1, 2""",
    "changes": "SELECT inbox_id, wamid, target, kind, by, at, text, is_waiting FROM message_changes ORDER BY 1, 2",
    "statuses": """
SELECT inbox_id, wamid, status, at, our_ref, pricing, errors, is_waiting FROM message_statuses ORDER BY 1, 2, 3""",
    "media": """
SELECT inbox_id, wamid, media_id, mime_type, sha256, file_name, is_voice, is_animated, content_rank, told_at
  FROM media ORDER BY 1, 2""",
    "history": """
SELECT inbox_id, phase, chunk_order, progress, thread_count, message_count FROM history_chunks ORDER BY 1, 2, 3""",
    "quarantine": "SELECT part, phone_number_id, error FROM quarantine ORDER BY 1, 2, 3",
    "inboxes": "SELECT phone_number_id, state, state_reason, state_initiated_by, state_at FROM inboxes ORDER BY 1",
    "timeline": "SELECT inbox_id, at, field, event, value FROM inbox_timeline ORDER BY 1, 2, 3, 4, 5",
}

Snapshot = dict[str, list[tuple[Any, ...]]]


async def take(conn: Connection) -> Snapshot:
    """Return every table's rows by natural keys, sorted."""
    return {name: await (await conn.execute(query)).fetchall() for name, query in QUERIES.items()}
