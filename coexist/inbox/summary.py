"""What a list shows of a conversation and a contact, computed from their rows.

A summary is a function of the tables and nothing else, so it cannot depend on the order in which they were filled:
everybody who changes messages or identities calls ``refresh`` afterwards, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from coexist.base.database import Connection
from coexist.meta.errors import Action, codes_of
from coexist.meta.model import STATUS_RANK


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The ids of what changed."""

    conversation_ids: frozenset[int]
    contact_ids: frozenset[int]


ProfileName: TypeAlias = tuple[str | None, str | None]
"""(profile name, username)"""

NOBODY: Final[Mapping[int, Collection[ProfileName]]] = MappingProxyType({})

UNREAD_LIMIT = 100
"""Messages counted as unread at most, per conversation: a badge says 99+ from here on, and each new one counts anew."""

LATEST_DAYS = 8
"""How late a live message can come: Meta redelivers for 7 days. What a person has read or resolved is told by message
ids, not by times, because a late message with an early time was not on their screen; the time bounds the search."""

CLOSING = ", ".join(f"""'[{{"code": {code}}}]'""" for code in codes_of(Action.CLOSE_WINDOW))
"""What is among the errors of a message of which WhatsApp said that its window is closed."""

LOCK = "SELECT id FROM conversations WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

OPENS = "m.opens_window AND m.sent_at >= date_trunc('second', i.onboarded_at)"
"""SQL: whether a live message of the customer's opens the customer service window of the number as connected now."""

# Live messages decide: an import opens, counts and awaits nothing (D7). A decision of a person holds until the customer
# writes. What an echo is chosen to do (inbox.echoes), it does by its own time: it undoes what was decided before it, or
# resolves while it is the last word. Without a live message or a decision, a conversation is open when the customer had
# the last word shortly before the number connected (D8). Meta's times are whole seconds: who wrote in the second of an
# echo, or of the last answer, may have written after it, and waits. Our own answer answers what was here when it was
# written, and nothing when it failed.
REFRESH = f"""
WITH summary AS (
    SELECT c.id, c.first_message_at IS DISTINCT FROM first.sent_at AS is_earlier_known,
           first.sent_at AS first_message_at, last.id AS last_message_id, last.sent_at AS last_message_at,
           win.id AS window_message_id, win.sent_at AS window_opened_at, wait.sent_at AS waiting_since,
           refused.at AS window_refused_at, coalesce(unread.count, 0) AS unread_count,
           CASE WHEN i.echo_effect = 'resolve' AND echo.sent_at >= i.echo_effect_at
                     AND echo.sent_at >= coalesce(c.set_state_at, '-infinity')
                     AND echo.sent_at >= coalesce(ours.sent_at, '-infinity')
                     AND NOT EXISTS (SELECT FROM messages
                                      WHERE conversation_id = c.id AND direction = 'inbound' AND NOT imported
                                        AND sent_at >= date_trunc('second', echo.sent_at)) THEN 'resolved'
                WHEN c.set_state IS NOT NULL AND heard.id IS NULL
                     AND (i.echo_effect <> 'reopen' OR echo.sent_at IS NULL OR echo.sent_at < c.set_state_at
                          OR echo.sent_at < i.echo_effect_at) THEN c.set_state
                WHEN heard.id IS NOT NULL OR echo.sent_at IS NOT NULL OR ours.id IS NOT NULL THEN 'open'
                WHEN last.sent_at >= i.onboarded_at - make_interval(days => i.keep_open_days)
                     AND EXISTS (SELECT FROM messages WHERE conversation_id = c.id AND sent_at = last.sent_at
                                    AND direction = 'inbound') THEN 'open'
                ELSE 'resolved' END AS state
      FROM conversations c
      JOIN inboxes i ON i.id = c.inbox_id
      LEFT JOIN LATERAL (SELECT sent_at FROM messages WHERE conversation_id = c.id
                          ORDER BY sent_at, id LIMIT 1) first ON true
      LEFT JOIN LATERAL (SELECT id, sent_at FROM messages WHERE conversation_id = c.id
                          ORDER BY sent_at DESC, id DESC LIMIT 1) last ON true
      LEFT JOIN LATERAL (SELECT id FROM messages
                          WHERE conversation_id = c.id AND direction = 'inbound' AND NOT imported
                            AND id > c.set_state_after
                            AND sent_at > coalesce(c.set_state_at - interval '{LATEST_DAYS} days', '-infinity')
                          ORDER BY sent_at DESC LIMIT 1) heard ON true
      LEFT JOIN LATERAL (SELECT sent_at FROM messages
                          WHERE conversation_id = c.id AND direction = 'outbound' AND NOT imported AND origin <> 'api'
                          ORDER BY sent_at DESC, id DESC LIMIT 1) echo ON true
      LEFT JOIN LATERAL (SELECT id, sent_at FROM messages
                          WHERE conversation_id = c.id AND direction = 'outbound' AND NOT imported AND origin = 'api'
                            AND status IS DISTINCT FROM {STATUS_RANK["failed"]} AND errors IS NULL
                          ORDER BY sent_at DESC, id DESC LIMIT 1) ours ON true
      LEFT JOIN LATERAL (SELECT id, sent_at FROM messages
                          WHERE conversation_id = c.id AND direction = 'inbound' AND NOT imported
                            AND opens_window AND sent_at >= date_trunc('second', i.onboarded_at)
                          ORDER BY sent_at DESC, id DESC LIMIT 1) win ON true
      LEFT JOIN LATERAL (SELECT greatest(max(coalesce(s.at, date_trunc('second', o.sending_at))),
                                         c.discarded_refusal_at) AS at
                           FROM messages m
                           LEFT JOIN message_statuses s ON s.inbox_id = m.inbox_id AND s.wamid = m.wamid
                                                       AND s.status = {STATUS_RANK["failed"]}
                           LEFT JOIN outbox o ON o.message_id = m.id
                          WHERE m.conversation_id = c.id AND m.origin = 'api' AND m.errors IS NOT NULL
                            AND m.errors @> ANY(ARRAY[{CLOSING}]::jsonb[])) refused ON win.id IS NOT NULL
      LEFT JOIN LATERAL (SELECT sent_at FROM messages
                          WHERE conversation_id = c.id AND direction = 'inbound' AND NOT imported
                            AND sent_at >= coalesce(date_trunc('second', echo.sent_at), '-infinity')
                            AND id > coalesce(ours.id, 0)
                          ORDER BY sent_at, id LIMIT 1) wait ON true
      LEFT JOIN LATERAL (SELECT count(*) FROM (
                           SELECT 1 FROM messages
                            WHERE conversation_id = c.id AND direction = 'inbound' AND NOT imported
                              AND id > greatest(c.read_up_to, ours.id)
                              AND sent_at > coalesce(c.read_at - interval '{LATEST_DAYS} days', '-infinity')
                              AND sent_at >= coalesce(date_trunc('second', echo.sent_at), '-infinity')
                            LIMIT {UNREAD_LIMIT}) counted) unread ON true
     WHERE c.id = ANY(%s))
UPDATE conversations c
   SET first_message_at = s.first_message_at, last_message_id = s.last_message_id,
       last_message_at = s.last_message_at, window_message_id = s.window_message_id,
       window_opened_at = s.window_opened_at, window_refused_at = s.window_refused_at,
       waiting_since = s.waiting_since, unread_count = s.unread_count, state = s.state
  FROM summary s
 WHERE c.id = s.id
   AND (c.first_message_at, c.last_message_id, c.last_message_at, c.window_message_id, c.window_opened_at,
        c.window_refused_at, c.waiting_since, c.unread_count, c.state)
       IS DISTINCT FROM
       (s.first_message_at, s.last_message_id, s.last_message_at, s.window_message_id, s.window_opened_at,
        s.window_refused_at, s.waiting_since, s.unread_count::int, s.state::conversation_state)
RETURNING c.id, c.contact_id, s.is_earlier_known
"""

# What REFRESH would come to where nothing else happened than that customers went on writing: these messages are later
# than any that was there, so they are the last ones, nobody has read or answered them, and they open the conversation.
# Where something else can matter (a decision of a few days ago, a first message, a refusal that the window now counts),
# nothing is changed here.
EXTEND = f"""
WITH added AS (
    SELECT m.conversation_id, count(*) AS count, min(m.id) AS first_id, min(m.sent_at) AS first_at,
           array_agg(m.id ORDER BY m.sent_at DESC, m.id DESC) AS ids, max(m.sent_at) AS last_at,
           array_agg(m.id ORDER BY m.sent_at DESC, m.id DESC) FILTER (WHERE {OPENS}) AS window_ids,
           max(m.sent_at) FILTER (WHERE {OPENS}) AS window_at
      FROM messages m JOIN inboxes i ON i.id = m.inbox_id
     WHERE m.id = ANY(%s)
     GROUP BY m.conversation_id
    HAVING bool_and(m.direction = 'inbound' AND NOT m.imported))
UPDATE conversations c
   SET last_message_id = a.ids[1], last_message_at = a.last_at,
       window_message_id = coalesce(a.window_ids[1], c.window_message_id),
       window_opened_at = coalesce(a.window_at, c.window_opened_at),
       waiting_since = coalesce(c.waiting_since, a.first_at), state = 'open',
       unread_count = least(c.unread_count + a.count, {UNREAD_LIMIT})
  FROM added a
 WHERE c.id = a.conversation_id AND a.first_at >= c.last_message_at AND a.first_id > c.last_message_id
   AND a.first_at > coalesce(greatest(c.set_state_at, c.read_at) - interval '{LATEST_DAYS} days', '-infinity')
   AND (a.window_ids IS NULL OR c.window_message_id IS NOT NULL)
RETURNING c.id
"""

# Names by source; what is shown is the first there is of: ours, the address book's, the profile's (F7). Per number
# only the newest entry of a person's counts, so a removal is not undone by the same entry under another id (F8). A
# contact was first seen when its first message was written, however late that message came to us (D9).
REFRESH_CONTACTS = """
WITH entry AS (
    SELECT DISTINCT ON (i.contact_id, e.inbox_id) i.contact_id, e.at, e.is_removed, e.inbox_id,
           coalesce(nullif(e.full_name, ''), nullif(e.first_name, '')) AS name
      FROM identities i
      JOIN inboxes x ON x.scope_id = i.scope_id
      JOIN address_book_entries e ON e.inbox_id = x.id AND e.kind = i.kind AND e.value = i.value
     WHERE i.contact_id = ANY(%(ids)s)
     ORDER BY i.contact_id, e.inbox_id, e.at DESC, e.is_removed, name COLLATE "C" DESC NULLS LAST),
book AS (
    SELECT DISTINCT ON (contact_id) contact_id, name FROM entry WHERE NOT is_removed
     ORDER BY contact_id, at DESC, name COLLATE "C" DESC NULLS LAST),
profile AS (
    SELECT DISTINCT ON (contact_id) contact_id, profile_name FROM identities
     WHERE contact_id = ANY(%(ids)s) AND profile_name IS NOT NULL
     ORDER BY contact_id, profile_name_at DESC, profile_name COLLATE "C" DESC),
handle AS (
    SELECT DISTINCT ON (contact_id) contact_id, username FROM identities
     WHERE contact_id = ANY(%(ids)s) AND username IS NOT NULL
     ORDER BY contact_id, username_at DESC, username COLLATE "C" DESC),
number AS (
    SELECT DISTINCT ON (contact_id) contact_id, value FROM identities
     WHERE contact_id = ANY(%(ids)s) AND kind = 'phone'
     ORDER BY contact_id, is_wa_id DESC, value COLLATE "C" DESC),
summary AS (
    SELECT k.id, b.name AS address_book_name, b.contact_id IS NOT NULL AS is_in_address_book, p.profile_name,
           h.username, n.value AS phone,
           coalesce(nullif(k.agent_name, ''), b.name, nullif(p.profile_name, ''), '@' || h.username, '')
               AS display_name,
           (SELECT min(first_message_at) FROM conversations WHERE contact_id = k.id) AS first_seen_at
      FROM contacts k
      LEFT JOIN book b ON b.contact_id = k.id
      LEFT JOIN profile p ON p.contact_id = k.id
      LEFT JOIN handle h ON h.contact_id = k.id
      LEFT JOIN number n ON n.contact_id = k.id
     WHERE k.id = ANY(%(ids)s))
UPDATE contacts k
   SET address_book_name = s.address_book_name, is_in_address_book = s.is_in_address_book,
       profile_name = s.profile_name, username = s.username, phone = s.phone, display_name = s.display_name,
       first_seen_at = s.first_seen_at
  FROM summary s
 WHERE k.id = s.id
   AND (k.address_book_name, k.is_in_address_book, k.profile_name, k.username, k.phone, k.display_name, k.first_seen_at)
       IS DISTINCT FROM
       (s.address_book_name, s.is_in_address_book, s.profile_name, s.username, s.phone, s.display_name, s.first_seen_at)
RETURNING k.id
"""

# Nearly all that a conversation's messages can change of its contact: an import asks for it for each person.
REFRESH_FIRST_SEEN = """
UPDATE contacts k SET first_seen_at = seen.at
  FROM (SELECT contact_id, min(first_message_at) AS at FROM conversations
         WHERE contact_id = ANY(%s) GROUP BY contact_id) seen
 WHERE k.id = seen.contact_id AND k.first_seen_at IS DISTINCT FROM seen.at
RETURNING k.id
"""

LOCK_CONTACTS = """
SELECT id, profile_name, username FROM contacts WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""


async def lock(conn: Connection, conversation_ids: Collection[int]) -> None:
    """Lock conversations before live messages are added to them.

    So that message ids are given in the order in which they become visible: whoever marks as read, resolves or answers
    takes the same lock, and "up to this id" then covers nothing that was not there.
    """
    if conversation_ids:
        await conn.execute(LOCK, (list(conversation_ids),))


async def extend(conn: Connection, message_ids: Collection[int]) -> set[int]:
    """Bring summaries up to these live messages, which are new. Returns the conversations for which that was enough.

    The others need ``refresh``, and so does every conversation of which anything else has changed in this transaction:
    leave its messages out. Needs ``lock``, taken before they were added.
    """
    if not message_ids:
        return set()
    return {id_ for (id_,) in await (await conn.execute(EXTEND, (list(message_ids),))).fetchall()}


async def refresh(
    conn: Connection,
    conversation_ids: Collection[int],
    contact_ids: Collection[int] = (),
    named: Mapping[int, Collection[ProfileName]] = NOBODY,
) -> Refreshed:
    """Compute the summaries anew of these conversations, of these contacts, and of the former's where that matters.

    ``named`` are contacts of whom nothing changed but that identities of theirs now have these profile names and
    usernames: nearly always those they have already, and then only the lock is needed, which lets whoever changes
    them at the same time see this transaction's.

    Rows are locked conversations first, then contacts, each in the order of their ids, so that two who refresh the same
    ones wait for rather than block each other: call this once in a transaction.
    """
    conversations = list(conversation_ids)
    rows: list[tuple[int, int, bool]] = []
    if conversations:
        await conn.execute(LOCK, (conversations,))
        rows = await (await conn.execute(REFRESH, (conversations,))).fetchall()
    contacts = set(contact_ids)
    seen = {contact_id for _, contact_id, is_earlier_known in rows if is_earlier_known}
    if concerned := sorted(contacts | seen | named.keys()):
        locked = await (await conn.execute(LOCK_CONTACTS, (concerned,))).fetchall()
        contacts |= {id_ for id_, *shown in locked if any(name != tuple(shown) for name in named.get(id_, ()))}
    changed: list[tuple[int]] = []
    if contacts:
        changed += await (await conn.execute(REFRESH_CONTACTS, {"ids": sorted(contacts)})).fetchall()
    seen -= contacts
    if seen:
        changed += await (await conn.execute(REFRESH_FIRST_SEEN, (sorted(seen),))).fetchall()
    return Refreshed(frozenset(row[0] for row in rows), frozenset(row[0] for row in changed))
