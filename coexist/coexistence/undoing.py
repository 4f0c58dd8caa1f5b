"""Undoing an import: what it made and nobody has touched since is removed, conversation by conversation.

A conversation goes whole or stays whole. Each step is a transaction of its own that looks again under locks, so that
breaking off anywhere leaves nothing half done, and beginning again goes on where it was. The journal stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import coverage, rules, store
from coexist.coexistence.model import SyncKind
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, inboxes, locks, purge, summary
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.meta.phones import digits, same_number

STEP_MESSAGES: Final = 5_000
"""Messages removed in one transaction, unless a single conversation has more."""
STEP_CONVERSATIONS: Final = 50
STEP_CONTACTS: Final = 1_000
LOOKED_COUNT: Final = 1_000
"""Conversations, or contacts, that one step looks at, however few of them go."""
REST_S: Final = 0.05
"""How long to rest between two steps: what waited for one finds its people changed, and asks again whom it is about."""
CONTACTS_FROM: Final = 5 * 10**17
"""Added to a contact's id in ``Step.last_id``: the conversations are done, and the contacts up to this one."""

UNDONE: Final = "IMPORT_UNDONE"
BROUGHT_BACK: Final = "IMPORT_BROUGHT_BACK"
"""What the number's timeline calls the two."""

REASONS: Final = {
    "live": "messages came or were written after connecting",
    "decided": "somebody has read, resolved, snoozed or assigned something there",
    "draft": "there is a draft",
    "noted": "somebody named the contact or took a note on them",
    "exported": "an exported chat was brought in there",
    "changed": "messages were edited, reacted to or told a status of after connecting",
}
"""Why a conversation stays, as ``Stay.reason`` names it."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Conversations of an import that are alike: ``reason`` is a key of REASONS, or None for what would be removed."""

    reason: str | None
    conversations: int
    messages: int
    stored_files: int

    def plus(self, conversations: int, messages: int, stored_files: int) -> Stay:
        """Return these with so many more."""
        sums = (self.conversations + conversations, self.messages + messages, self.stored_files + stored_files)
        return Stay(self.reason, *sums)


@dataclass(frozen=True, slots=True)
class Plan:
    """What undoing would do. ``contacts`` without a chat go as well, besides those whom only ``goes`` knew.

    ``journal_from`` is the oldest import delivery kept, ``came_at`` the import's first.
    """

    goes: Stay
    stays: Sequence[Stay]
    contacts: int
    came_at: datetime | None
    journal_from: datetime | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not self.goes.conversations and not self.contacts

    @property
    def can_come_back(self) -> bool:
        """Whether the journal still has the import from its beginning on."""
        return self.came_at is None or (self.journal_from is not None and self.journal_from <= self.came_at)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an import cannot be undone yet. ``until``: when that is over if nothing more comes, None if nobody knows."""

    what: str
    until: datetime | None
    next_step: str


@dataclass(slots=True)
class Step:
    """What one step removed. ``last_id`` leads on to the next, and is no id to be read; None when it was the last."""

    last_id: int | None = None
    conversations: int = 0
    messages: int = 0
    contacts: int = 0
    events: list[NewEvent] = field(default_factory=list)


# What happened before the number was first connected, only its history can have told; of what has no time (it stands
# at the beginning of all times) nobody knows.
REASON: Final = """
CASE WHEN EXISTS (SELECT FROM messages m WHERE m.conversation_id = c.id AND NOT m.imported) THEN 'live'
     WHEN c.set_state IS NOT NULL OR c.snoozed_until IS NOT NULL OR c.assignee_id IS NOT NULL
          OR c.read_at IS NOT NULL THEN 'decided'
     WHEN EXISTS (SELECT FROM drafts d WHERE d.conversation_id = c.id) THEN 'draft'
     WHEN EXISTS (SELECT FROM contacts k WHERE k.id = c.contact_id
                     AND (k.agent_name_at IS NOT NULL OR k.agent_name IS NOT NULL OR k.note IS NOT NULL)) THEN 'noted'
     WHEN EXISTS (SELECT FROM messages m JOIN exported_messages x ON x.inbox_id = m.inbox_id AND x.wamid = m.wamid
                   WHERE m.conversation_id = c.id) THEN 'exported'
     WHEN EXISTS (SELECT FROM messages m JOIN message_statuses s ON s.inbox_id = m.inbox_id AND s.wamid = m.wamid
                   WHERE m.conversation_id = c.id)
       OR EXISTS (SELECT FROM messages m JOIN message_changes h ON h.inbox_id = m.inbox_id AND h.target = m.wamid
                   WHERE m.conversation_id = c.id AND (h.at <= 'epoch' OR h.at >= (
                         SELECT min(onboarded_at) FROM syncs WHERE inbox_id = c.inbox_id))) THEN 'changed' END
"""

CONNECTED: Final = "(SELECT min(onboarded_at) FROM syncs WHERE inbox_id = %(inbox_id)s)"
SHARED: Final = """
(SELECT min(first_arrival_at) FROM syncs WHERE inbox_id = %(inbox_id)s AND kind = 'contacts')
"""

# Whom another number's address book names, or this one's as it has become since it was first shared, another number
# talks with, a change of number told of, who said whether they want marketing messages, or of whom a name or a pair of
# ids was told since (a status and an edit tell of those, and no import does again), is known without the import.
UNKNOWN: Final = f"""
       k.agent_name_at IS NULL AND k.agent_name IS NULL AND k.note IS NULL
   AND NOT EXISTS (SELECT FROM conversations c WHERE c.contact_id = k.id)
   AND NOT EXISTS (SELECT FROM identities i JOIN inboxes x ON x.scope_id = i.scope_id
                     JOIN address_book_entries e ON e.inbox_id = x.id AND e.kind = i.kind AND e.value = i.value
                    WHERE i.contact_id = k.id
                      AND (e.inbox_id <> %(inbox_id)s OR e.at <= 'epoch' OR e.at > coalesce({SHARED}, '-infinity')))
   AND NOT EXISTS (SELECT FROM identities i JOIN identity_changes h
                       ON h.scope_id = i.scope_id AND i.match_key IN (h.previous, h.current)
                    WHERE i.contact_id = k.id AND (h.kind <> 'parent' OR h.at >= {CONNECTED}))
   AND NOT EXISTS (SELECT FROM identities i JOIN identity_sightings s
                       ON s.scope_id = i.scope_id AND i.match_key IN (s.match_key, s.bsuid)
                    WHERE i.contact_id = k.id AND s.first_at >= greatest({CONNECTED}, {SHARED}))
   AND NOT EXISTS (SELECT FROM identities i WHERE i.contact_id = k.id
                      AND (i.marketing_wish IS NOT NULL OR i.marketing_rests_until IS NOT NULL
                           OR greatest(i.profile_name_at, i.username_at) >= {CONNECTED}))
"""
ONLY_THEY: Final = f"SELECT k.id FROM contacts k WHERE k.id = ANY(%(ids)s) AND {UNKNOWN} ORDER BY k.id"
WITHOUT_A_CHAT: Final = f"""
       EXISTS (SELECT FROM identities i JOIN address_book_entries e ON e.kind = i.kind AND e.value = i.value
                WHERE i.contact_id = k.id AND e.inbox_id = %(inbox_id)s)
   AND {UNKNOWN}
"""
COUNT_CONTACTS: Final = f"SELECT count(*) FROM contacts k WHERE k.id = ANY(%(ids)s) AND {WITHOUT_A_CHAT}"
LOOKED: Final = "SELECT id FROM contacts WHERE scope_id = %(scope_id)s AND id > %(after)s ORDER BY id LIMIT %(looked)s"
NEXT_CONTACTS: Final = f"""
SELECT k.id FROM contacts k
 WHERE k.id = ANY(%(ids)s) AND {WITHOUT_A_CHAT}
 ORDER BY k.id LIMIT {STEP_CONTACTS} FOR UPDATE OF k
"""

# Of a share at a time: an inbox has more messages than one statement may take.
PLAN: Final = f"""
SELECT t.reason, count(*)::int AS conversations, coalesce(sum(t.messages), 0)::int AS messages,
       coalesce(sum(t.files), 0)::int AS stored_files
  FROM (SELECT {REASON} AS reason, m.messages, m.files
          FROM conversations c,
               LATERAL (SELECT count(*) AS messages, count(f.id) AS files
                          FROM messages m
                          LEFT JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid AND f.state = 'stored'
                         WHERE m.conversation_id = c.id AND m.imported) m
         WHERE c.id = ANY(%(ids)s) AND m.messages > 0) t
 GROUP BY t.reason
"""

CAME_AT: Final = "SELECT min(first_arrival_at) FROM syncs WHERE inbox_id = %s AND kind = 'history'"
# Of a number that went to another account nothing is applied again.
JOURNAL_FROM: Final = """
SELECT j.received_at FROM inboxes i
  JOIN import_deliveries d ON d.phone_number_id IN (i.phone_number_id, '')
  JOIN journal j ON j.id = d.journal_id
 WHERE i.id = %(inbox_id)s AND i.moved_number IS NULL
 ORDER BY j.id LIMIT 1
"""


async def plan(conn: Connection, account_id: int, inbox_id: int) -> Plan:
    """Return what undoing a number's import would remove, and what stays and why. Changes nothing.

    Looks at every conversation of the number and every contact of its scope, a share at a time. Raises NotFound.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    goes, stays = Stay(None, 0, 0, 0), dict[str, Stay]()
    async for ids in _shares(conn, LOOKED_CONVERSATIONS, inbox):
        for reason, *counts in await (await conn.execute(PLAN, {"ids": ids})).fetchall():
            if reason is None:
                goes = goes.plus(*counts)
            else:
                stays[reason] = stays.get(reason, Stay(reason, 0, 0, 0)).plus(*counts)
    alone = 0
    async for ids in _shares(conn, LOOKED, inbox):
        row = await (await conn.execute(COUNT_CONTACTS, {"ids": ids, "inbox_id": inbox.id})).fetchone()
        alone += row[0] if row else 0
    came = await (await conn.execute(CAME_AT, (inbox_id,))).fetchone()
    kept = await (await conn.execute(JOURNAL_FROM, {"inbox_id": inbox_id})).fetchone()
    return Plan(
        goes, [stays[reason] for reason in sorted(stays)], alone, came[0] if came else None, kept[0] if kept else None
    )


async def _shares(conn: Connection, query: str, inbox: Inbox) -> AsyncIterator[list[int]]:
    after = 0
    while ids := await _ids(conn, query, inbox, after):
        yield ids
        after = ids[-1]


async def note(conn: Connection, inbox: Inbox, event: str, by: str) -> None:
    """Write into a number's timeline that ``by`` undoes its import, or brings it back."""
    await connection.record(conn, [Line(inbox.id, clock.now(), connection.OURS, event, {"by": by})])


async def connected_at(conn: Connection, inbox_id: int) -> datetime | None:
    """Return when a number was first connected: what its imports brought was received since."""
    row = await (await conn.execute("SELECT min(onboarded_at) FROM syncs WHERE inbox_id = %s", (inbox_id,))).fetchone()
    return row[0] if row else None


# Brought back, or replayed with everything: what a worker is about to make would be there again after the undoing.
# Whose a chunk is that nobody has applied yet is not known: it may be this number's if it came about when its last did.
IN_LINE: Final = """
SELECT FROM inboxes i, LATERAL (SELECT coalesce(i.moved_number, i.phone_number_id) AS number) n
  JOIN import_deliveries d ON d.phone_number_id IN (n.number, '')
  JOIN backlog b ON b.journal_id = d.journal_id AND b.only_for IN ('', n.number)
 WHERE i.id = %(id)s
 UNION ALL
SELECT FROM backlog b JOIN journal j ON j.id = b.journal_id
 WHERE b.lane = 1 AND j.lane = 1 AND NOT EXISTS (SELECT FROM import_deliveries d WHERE d.journal_id = j.id)
   AND j.received_at <= %(soon)s + (SELECT max(last_arrival_at) FROM syncs WHERE inbox_id = %(id)s)
 LIMIT 1
"""
OVERTAKEN: Final = timedelta(minutes=10)
"""How long after the last part of an import that was applied another may have come which still waits."""


async def check(conn: Connection, account_id: int, inbox_id: int, *, typed: str) -> Inbox:
    """Return the inbox whose import may be undone. ``typed`` is its number once more, by a person's hand.

    Raises Invalid when it is another one, Conflict while the import goes on or is brought back, NotFound.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    if not same_number(digits(typed.strip()), inbox.display_phone_number):
        raise Invalid("What you typed is not this number: nothing was removed.", next_step="Type the number in full.")
    if found := await hindrance(conn, inbox):
        raise Conflict(found.what, next_step=found.next_step)
    return inbox


async def hindrance(conn: Connection, inbox: Inbox) -> Hindrance | None:
    """Return what an undoing of a number's import has to wait for: what is still to come would be there afterwards."""
    now, syncs = clock.now(), await store.syncs(conn, inbox.id)
    for kind, what in ((SyncKind.HISTORY, "The history is"), (SyncKind.CONTACTS, "The contacts are")):
        coming = [sync for sync in syncs if sync.kind == kind and rules.is_coming_in(sync, now)]
        if coming:
            until = max(filter(None, map(rules.expected_until, coming)), default=None)
            return Hindrance(f"{what} still coming in.", until, "Wait until the sync has ended.")
    if (await conn.execute(IN_LINE, {"id": inbox.id, "soon": OVERTAKEN})).rowcount:
        return Hindrance("A part of this import is in line to be applied.", None, "Wait until that is done.")
    return None


LOOKED_CONVERSATIONS: Final = """
SELECT id FROM conversations WHERE inbox_id = %(inbox_id)s AND id > %(after)s ORDER BY id LIMIT %(looked)s
"""
CANDIDATES: Final = f"""
SELECT c.id, c.contact_id, (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id)
  FROM conversations c
 WHERE c.id = ANY(%(ids)s) AND {REASON} IS NULL
   AND EXISTS (SELECT FROM messages m WHERE m.conversation_id = c.id)
 ORDER BY c.id LIMIT {STEP_CONVERSATIONS}
"""

# Stronger than who reads or writes takes: nobody may begin a draft in a conversation that is about to go.
LOCK: Final = "SELECT id FROM conversations WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
LOCK_CONTACTS: Final = "SELECT id FROM contacts WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
STILL: Final = f"SELECT c.id, c.contact_id FROM conversations c WHERE c.id = ANY(%s) AND {REASON} IS NULL ORDER BY c.id"


async def undo_some(conn: Connection, inbox: Inbox, *, after: int = 0) -> Step:
    """Remove the next untouched conversations after a place, with contacts whom only they knew; then those without.

    Needs a transaction by the caller, who appends the events last and comes again with ``last_id`` until it is None.
    What one step looks at is as bounded as what it removes.
    """
    await locks.own_people(conn, inbox.scope_id)
    await locks.own_apply(conn, inbox.scope_id)
    if after >= CONTACTS_FROM:
        return await _remove_the_rest(conn, inbox, after - CONTACTS_FROM)
    looked = await _ids(conn, LOOKED_CONVERSATIONS, inbox, after)
    if not looked:
        return Step(CONTACTS_FROM)
    found = await (await conn.execute(CANDIDATES, {"ids": looked})).fetchall()
    if not found:
        return Step(looked[-1])
    chosen: list[int] = []
    room = STEP_MESSAGES
    for conversation_id, _, count in found:
        if chosen and count > room:
            break
        chosen.append(conversation_id)
        room -= count
    await conn.execute(LOCK, (chosen,))
    await conn.execute(LOCK_CONTACTS, ([contact_id for _, contact_id, _ in found],))
    still = await (await conn.execute(STILL, (chosen,))).fetchall()
    is_all = len(chosen) == len(found) < STEP_CONVERSATIONS
    step = Step(looked[-1] if is_all else chosen[-1], conversations=len(still))
    await _remove_conversations(conn, inbox, [row[0] for row in still], step)
    await _remove_contacts(conn, inbox, [row[1] for row in still], step)
    return step


NEXT_MESSAGES: Final = "SELECT id, wamid FROM messages WHERE conversation_id = ANY(%s) LIMIT %s"


async def _remove_conversations(conn: Connection, inbox: Inbox, ids: Sequence[int], step: Step) -> None:
    while rows := await (await conn.execute(NEXT_MESSAGES, (list(ids), STEP_MESSAGES))).fetchall():
        await purge.forget_named(conn, {inbox.id: [wamid for _, wamid in rows]})
        deleted = await conn.execute("DELETE FROM messages WHERE id = ANY(%s)", ([id_ for id_, _ in rows],))
        step.messages += deleted.rowcount
    await conn.execute("DELETE FROM conversations WHERE id = ANY(%s)", (list(ids),))
    if ids:  # whoever was about to write into one of them finds another, also where the contact stays
        await conn.execute("UPDATE contact_scopes SET version = version + 1 WHERE id = %s", (inbox.scope_id,))
    place = (inbox.account_id, Kind.CONVERSATION_CHANGED, inbox.id)
    step.events += [NewEvent(*place, id_, is_import=True) for id_ in ids]


async def _remove_the_rest(conn: Connection, inbox: Inbox, after: int) -> Step:
    """Remove contacts without a chat after an id; once there is none left, this was the last step."""
    looked = await _ids(conn, LOOKED, inbox, after)
    if not looked:
        await coverage.forget(conn, inbox.id)
        return Step(events=[NewEvent(inbox.account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox.id)])
    found = await (await conn.execute(NEXT_CONTACTS, {"ids": looked, "inbox_id": inbox.id})).fetchall()
    ids = [row[0] for row in found]
    step = Step(CONTACTS_FROM + (looked[-1] if len(ids) < STEP_CONTACTS else ids[-1]))
    if ids:
        await _remove_contacts(conn, inbox, ids, step)
    return step


async def _ids(conn: Connection, query: str, inbox: Inbox, after: int) -> list[int]:
    values = {"inbox_id": inbox.id, "scope_id": inbox.scope_id, "after": after, "looked": LOOKED_COUNT}
    return [row[0] for row in await (await conn.execute(query, values)).fetchall()]


async def _remove_contacts(conn: Connection, inbox: Inbox, ids: Sequence[int], step: Step) -> None:
    rows = await (await conn.execute(ONLY_THEY, {"ids": list(ids), "inbox_id": inbox.id})).fetchall()
    gone = [row[0] for row in rows]
    if gone:
        removed = await purge.remove_people(conn, inbox.account_id, inbox.scope_id, gone, ())
        step.events += [replace(event, is_import=True) for event in removed]
        step.contacts = len(gone)
    await summary.refresh(conn, (), set(ids) - set(gone))
