"""Everything of an account as JSON Lines: what a person takes away, and what programs check us with.

Each line is one of the structs below, ``kind`` first; docs/export.md documents every field, and a test compares the
two. Ids are functions of the content, so two databases that got the same deliveries export the same lines.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from psycopg.rows import DictRow, dict_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence import rules
from coexist.inbox.window import window_of
from coexist.meta.model import FROM_HISTORY, STATUS_RANK

FETCH_ROWS: Final = 1_000
"""Rows that the server sends at a time: an account of millions of messages needs no more memory than these."""

STATUS_WORDS: Final = {rank: word for word, rank in STATUS_RANK.items()}
JSON: Final = msgspec.json.Encoder()


class Sync(Struct):
    """One sync of the inbox's present onboarding."""

    state: str
    requested_at: datetime | None
    request_id: str | None
    first_arrival_at: datetime | None
    completed_at: datetime | None
    error_code: int | None
    error: str | None
    progress: int | UnsetType = UNSET


class Syncs(Struct):
    """The two syncs."""

    contacts: Sync
    history: Sync


class Counts(Struct):
    """How many lines of this export belong to the inbox, and how its files stand."""

    contacts: int
    conversations: int
    messages: int
    imported_messages: int
    placeholders: int
    media_waiting: int
    media_stored: int
    media_gone: int


class InboxLine(Struct, tag_field="kind", tag="inbox"):
    """One connected business phone number."""

    phone_number_id: str
    waba_id: str
    portfolio_id: str
    display_phone_number: str
    name: str
    is_coexistence: bool
    onboarded_at: datetime
    state: str
    state_reason: str | None
    state_initiated_by: str | None
    sync: Syncs
    counts: Counts


class Names(Struct):
    """A contact's names by source."""

    agent: str | None
    address_book: str | None
    profile: str | None


class Identity(Struct):
    """An id under which Meta or the phone names the contact."""

    type: str
    value: str


class ContactLine(Struct, tag_field="kind", tag="contact"):
    """One person."""

    id: str
    names: Names
    identities: Sequence[Identity]
    in_address_book: bool


class Window(Struct):
    """The customer service window at the time of the export."""

    open: bool
    expires_at: datetime | None
    why: str


class ConversationLine(Struct, tag_field="kind", tag="conversation"):
    """All messages with one contact in one inbox."""

    id: str
    phone_number_id: str
    contact: str
    status: str
    unread_count: int
    last_message_at: datetime
    window: Window


class Reaction(Struct):
    """The reaction that one side has on the message."""

    by: str
    emoji: str
    at: datetime


class Edited(Struct):
    """That the text was edited, and what it said before."""

    at: datetime
    previous_texts: Sequence[str | None]


class Media(Struct):
    """The message's file."""

    mime_type: str | None
    sha256: str | None
    bytes: int | None
    state: str
    file_name: str | None
    voice: bool


class MessageLine(Struct, tag_field="kind", tag="message"):
    """One message."""

    wamid: str | None
    conversation: str
    phone_number_id: str
    direction: str
    origin: str
    type: str
    text: str | None
    status: str | None
    sent_at: datetime
    imported: bool
    reply_to: str | None
    forwarded: bool
    reactions: Sequence[Reaction]
    edited: Edited | None
    revoked_at: datetime | None
    placeholder: bool
    media: Media | None
    location: Any
    cards: Any
    order: Any
    form: Any
    template: Any
    referral: Any
    errors: Any


class QuarantinedLine(Struct, tag_field="kind", tag="quarantined"):
    """A part of a delivery that could not be applied; it is kept and can be replayed."""

    phone_number_id: str | None
    received_at: datetime
    delivery_sha256: str
    part: str
    error: str


LINES: Final = (InboxLine, ContactLine, ConversationLine, MessageLine, QuarantinedLine)

# A contact is named after the smallest of its ids within its portfolio: the same in every database.
CONTACT_ID: Final = """
SELECT i.contact_id, 'c_' || left(encode(sha256(convert_to(
       s.portfolio_id || ' ' || min(i.kind::text || ':' || i.value COLLATE "C"), 'UTF8')), 'hex'), 16) AS id
  FROM identities i JOIN contact_scopes s ON s.id = i.scope_id
 WHERE s.account_id = %(account_id)s
 GROUP BY i.contact_id, s.portfolio_id
"""

# Whoever has the number now that a contact of ours left behind is nobody yet: no message, no name, no entry.
IS_SOMEBODY: Final = """
(k.first_seen_at IS NOT NULL OR k.display_name <> '' OR EXISTS (
 SELECT FROM identities d WHERE d.contact_id = k.id AND (d.kind = 'bsuid' OR EXISTS (
 SELECT FROM address_book_entries e JOIN inboxes x ON x.id = e.inbox_id
  WHERE x.scope_id = d.scope_id AND e.kind = d.kind AND e.value = d.value))))
"""

INBOXES: Final = f"""
SELECT i.phone_number_id, i.waba_id, s.portfolio_id, i.display_phone_number, i.name, i.is_coexistence, i.onboarded_at,
       i.state::text, i.state_reason, i.state_initiated_by,
       (SELECT jsonb_object_agg(y.kind, to_jsonb(y)) FROM syncs y
         WHERE y.inbox_id = i.id AND y.onboarded_at = i.onboarded_at) AS syncs,
       (SELECT jsonb_object_agg(phase, progress) FROM (
        SELECT phase, max(progress) AS progress FROM history_chunks h
         WHERE h.inbox_id = i.id AND h.onboarded_at = i.onboarded_at GROUP BY phase) p) AS phases,
       jsonb_build_object(
           'contacts', (SELECT count(*) FROM contacts k WHERE k.scope_id = i.scope_id AND {IS_SOMEBODY}
                           AND EXISTS (SELECT FROM identities WHERE contact_id = k.id)),
           'conversations', (SELECT count(*) FROM conversations c
                              WHERE c.inbox_id = i.id AND c.last_message_at IS NOT NULL)) || m.counts || f.counts
       AS counts
  FROM inboxes i JOIN contact_scopes s ON s.id = i.scope_id,
       LATERAL (SELECT jsonb_build_object(
                'messages', count(*), 'imported_messages', count(*) FILTER (WHERE imported),
                'placeholders', count(*) FILTER (WHERE content_rank < %(content)s)) AS counts
                  FROM messages WHERE inbox_id = i.id) m,
       LATERAL (SELECT jsonb_build_object(
                'media_waiting', count(*) FILTER (WHERE state = 'waiting'),
                'media_stored', count(*) FILTER (WHERE state = 'stored'),
                'media_gone', count(*) FILTER (WHERE state IN ('gone', 'failed'))) AS counts
                  FROM media WHERE inbox_id = i.id) f
 WHERE i.account_id = %(account_id)s
 ORDER BY i.phone_number_id
"""


def _inbox(row: DictRow) -> InboxLine:
    progress, _ = rules.progress_of({int(phase): done for phase, done in (row.pop("phases") or {}).items()})
    syncs = msgspec.convert(row.pop("syncs"), Syncs)
    syncs.history.progress = progress
    return InboxLine(sync=syncs, counts=Counts(**row.pop("counts")), **row)


CONTACTS: Final = f"""
WITH named AS ({CONTACT_ID})
SELECT n.id, k.agent_name AS agent, k.address_book_name AS address_book, k.profile_name AS profile,
       k.is_in_address_book AS in_address_book, ids.identities
  FROM named n JOIN contacts k ON k.id = n.contact_id,
       LATERAL (SELECT jsonb_agg(DISTINCT jsonb_build_object('type', t.type, 'value', t.value)) AS identities
                  FROM identities i,
                       LATERAL (VALUES (CASE WHEN i.is_parent THEN 'parent_bsuid' ELSE i.kind::text END,
                                        split_part(i.value, '@', 1)),
                                       (CASE WHEN i.is_wa_id THEN 'wa_id' END, i.value),
                                       (CASE WHEN i.username IS NOT NULL THEN 'username' END, i.username)
                       ) t (type, value)
                 WHERE i.contact_id = n.contact_id AND t.type IS NOT NULL) ids
 WHERE {IS_SOMEBODY}
 ORDER BY n.id COLLATE "C"
"""


def _contact(row: DictRow) -> ContactLine:
    identities = [Identity(**identity) for identity in row["identities"]]
    return ContactLine(
        id=row["id"],
        names=Names(row["agent"], row["address_book"], row["profile"]),
        identities=sorted(identities, key=lambda identity: (identity.type, identity.value)),
        in_address_book=row["in_address_book"],
    )


CONVERSATIONS: Final = f"""
WITH named AS ({CONTACT_ID})
SELECT i.phone_number_id || ':' || n.id AS id, i.phone_number_id, n.id AS contact, c.state::text AS status,
       c.unread_count, c.last_message_at, c.window_opened_at
  FROM conversations c
  JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %(account_id)s
  JOIN named n ON n.contact_id = c.contact_id
 WHERE c.last_message_at IS NOT NULL
 ORDER BY i.phone_number_id COLLATE "C", n.id COLLATE "C"
"""


def _conversation(row: DictRow) -> ConversationLine:
    window = window_of(row.pop("window_opened_at"), clock.now())
    return ConversationLine(window=Window(window.is_open, window.expires_at, window.why.name.lower()), **row)


# What history tells is the text after its edits, so it is no previous text.
MESSAGES: Final = f"""
WITH named AS ({CONTACT_ID})
SELECT m.wamid, i.phone_number_id || ':' || n.id AS conversation, i.phone_number_id, m.direction::text, m.origin::text,
       m.type, m.text, m.status, m.sent_at, m.imported, m.reply_to, m.forwarded > 0 AS forwarded, m.reactions,
       m.edited_at, m.edited_text, m.revoked_at, m.content_rank < %(content)s AS placeholder, m.content, m.errors,
       CASE WHEN m.edited_at IS NOT NULL THEN
            CASE WHEN m.content_rank = %(content)s AND m.text = m.edited_text THEN '{{}}' ELSE ARRAY[m.text] END
            || ARRAY(SELECT e.text FROM message_changes e
                      WHERE e.inbox_id = m.inbox_id AND e.target = m.wamid AND e.kind = 'edit' AND e.by = m.direction
                        AND (e.at, coalesce(e.text, '') COLLATE "C")
                          < (m.edited_at, coalesce(m.edited_text, '') COLLATE "C")
                      ORDER BY e.at, e.text COLLATE "C") END AS previous_texts,
       f.id AS media_id, f.mime_type, coalesce(f.stored_sha256, f.sha256) AS sha256, f.bytes,
       f.state::text AS media_state, f.file_name, f.is_voice
  FROM messages m
  JOIN inboxes i ON i.id = m.inbox_id AND i.account_id = %(account_id)s
  JOIN conversations c ON c.id = m.conversation_id
  JOIN named n ON n.contact_id = c.contact_id
  LEFT JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid
 ORDER BY m.sent_at, m.wamid COLLATE "C", i.phone_number_id COLLATE "C", m.our_ref
"""
SIDES: Final = {"inbound": "contact", "outbound": "business"}


def _message(row: DictRow) -> MessageLine:
    content = row["content"] if isinstance(row["content"], dict) else {}
    media = Media(row["mime_type"], row["sha256"], row["bytes"], row["media_state"], row["file_name"], row["is_voice"])
    reactions = [
        Reaction(SIDES[told["by"]], told["emoji"], datetime.fromisoformat(told["at"]))
        for told in row["reactions"] or ()
    ]
    interactive = content.get("interactive")
    return MessageLine(
        wamid=row["wamid"],
        conversation=row["conversation"],
        phone_number_id=row["phone_number_id"],
        direction=row["direction"],
        origin=row["origin"],
        type=row["type"],
        text=row["edited_text"] if row["edited_at"] else row["text"],
        status=None if row["status"] is None else STATUS_WORDS[row["status"]],
        sent_at=row["sent_at"],
        imported=row["imported"],
        reply_to=row["reply_to"],
        forwarded=row["forwarded"],
        reactions=reactions,
        edited=Edited(row["edited_at"], row["previous_texts"]) if row["edited_at"] else None,
        revoked_at=row["revoked_at"],
        placeholder=row["placeholder"],
        media=media if row["media_id"] else None,
        location=content.get("location"),
        cards=content.get("contacts"),
        order=content.get("order"),
        form=interactive.get("nfm_reply") if isinstance(interactive, dict) else None,
        template=content.get("template"),
        referral=content.get("referral"),
        errors=row["errors"] or content.get("errors"),
    )


# A part that names no number belongs to an account only where there is no other.
QUARANTINED: Final = """
SELECT q.phone_number_id, j.received_at, encode(sha256(j.body), 'hex') AS delivery_sha256, q.part, q.error
  FROM quarantine q JOIN journal j ON j.id = q.journal_id
  LEFT JOIN inboxes i ON i.phone_number_id = q.phone_number_id
 WHERE i.account_id = %(account_id)s
    OR q.phone_number_id IS NULL AND NOT EXISTS (SELECT FROM accounts a WHERE a.id <> %(account_id)s)
 ORDER BY j.received_at, delivery_sha256, q.part COLLATE "C"
"""


def _quarantined(row: DictRow) -> QuarantinedLine:
    return QuarantinedLine(**row)


KINDS: Final[Sequence[tuple[str, Callable[[DictRow], Struct]]]] = (
    (INBOXES, _inbox),
    (CONTACTS, _contact),
    (CONVERSATIONS, _conversation),
    (MESSAGES, _message),
    (QUARANTINED, _quarantined),
)


async def lines(conn: Connection, account_id: int) -> AsyncIterator[bytes]:
    """Yield the account as JSON objects, one a line with its newline: everything as it was at one moment.

    Reads in one repeatable-read, read-only transaction by server-side cursors; ``conn`` must be outside of a
    transaction, and no statement timeout may be too short for a whole account.
    """
    values: Mapping[str, Any] = {"account_id": account_id, "content": FROM_HISTORY}
    async with conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # whoever reads may be slow
        for statement, line_of in KINDS:
            async with conn.cursor(name=f"export_{uuid.uuid4().hex}", row_factory=dict_row) as cursor:
                cursor.itersize = FETCH_ROWS
                await cursor.execute(statement, values)
                async for row in cursor:
                    yield JSON.encode(line_of(row)) + b"\n"
