"""A number that goes from one account of the installation to another, and which of them is meant by what is told of it.

Who had the number when something happened, or when its delivery came, is whose it is; of what the phone shares of its
past, the delivery decides alone. The former inbox keeps its chats under names that Meta does not know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Unavailable
from coexist.coexistence.switches import change_of
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import changes, files, locks, purge, summary
from coexist.inbox.apply import our_ref_of
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import (
    STATUS_RANK,
    AddressBookChanged,
    Fact,
    HistoryDeclined,
    HistoryFailed,
    HistoryProgressed,
    MessageTold,
    Problem,
    StatusTold,
)

CLOCKS: Final = timedelta(minutes=10)
"""How far Meta's clock, the phone's and ours may differ."""
NOT_SENT: Final = "The number was connected to another account before this was sent, so it was not."
NOT_FETCHED: Final = "The number was connected to another account before this file could be fetched."
MOVED: Final = "moved"
"""``media.reason`` of a file that will not come any more for that."""
TAKEN_OUT_COUNT: Final = 5_000
"""Messages taken out in one statement: the former inbox may have got more than the statement timeout allows for."""
NEWEST_COUNT: Final = 100_000
"""The newest contacts of the installation, among which those are that a batch is making at this moment."""
OF_THE_PAST: Final = (HistoryProgressed, HistoryDeclined, HistoryFailed, AddressBookChanged)


@dataclass(frozen=True, slots=True)
class Tenure:
    """The time in which an inbox had its number: deliveries and moments from one to the other; None is open."""

    journal_from: int
    owned_from: datetime | None
    moved_to: int | None
    moved_at: datetime | None

    def covers(self, journal_id: int, at: datetime | None = None) -> bool:
        """Whether what came with a delivery, and happened ``at`` if that is known, is of this time."""
        is_begun = journal_id > self.journal_from and not _is_before(at, self.owned_from)
        return is_begun and (self.moved_to is None or journal_id <= self.moved_to or _is_before(at, self.moved_at))


def _is_before(at: datetime | None, limit: datetime | None) -> bool:
    return at is not None and limit is not None and at < limit.replace(microsecond=0)  # the wire knows whole seconds


@dataclass(frozen=True, slots=True)
class Owner:
    """An inbox that has, or had, a number that moved. ``has_private_list``: its account has one."""

    inbox_id: int
    number: str
    phone_number_id: str
    tenure: Tenure
    has_private_list: bool


OWNERS: Final = """
SELECT i.id, coalesce(i.moved_number, i.phone_number_id), i.phone_number_id, i.journal_from, i.owned_from, i.moved_to,
       i.moved_at, EXISTS (SELECT FROM private_ids p WHERE p.account_id = i.account_id)
  FROM inboxes m
  JOIN inboxes i ON i.moved_number = m.moved_number OR i.phone_number_id = m.moved_number
 WHERE m.moved_number = ANY(%s)
"""


async def _owners(conn: Connection, numbers: Collection[str]) -> Mapping[str, Sequence[Owner]]:
    rows = await (await conn.execute(OWNERS, (list(numbers),))).fetchall()
    found = {Owner(row[0], row[1], row[2], Tenure(*row[3:7]), row[7]) for row in rows}
    owners: dict[str, list[Owner]] = defaultdict(list)
    for owner in sorted(found, key=lambda each: each.tenure.journal_from):
        owners[owner.number].append(owner)
    return owners


async def owned(conn: Connection, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts, each under the name of the inbox whose it is. Costs one look-up while no number has moved.

    What came late for an account that has a list of private numbers goes to nobody: its delivery was searched with the
    list of the one that has the number now.
    """
    owners = await _owners(conn, {fact.phone_number_id for fact in facts if fact.phone_number_id})
    if not owners:
        return list(facts)
    shared = {change_of(fact) for fact in facts if _is_of_the_past(fact)}
    sent = await _sent_by_formers(conn, owners, facts)
    told: list[Fact] = []
    for fact in facts:
        of_number = owners.get(fact.phone_number_id or "")
        if of_number is None:
            told.append(fact)
            continue
        at = None if change_of(fact) in shared else _happened_at(fact)
        owner = next((each for each in of_number if each.tenure.covers(fact.journal_id, at)), None)
        sender = None
        if isinstance(fact, StatusTold):
            names = {fact.wamid, str(our_ref_of(fact.our_ref))}
            sender = next((each for each in of_number if any((each.inbox_id, name) in sent for name in names)), None)
        owner = sender or owner
        is_late = owner is not None and sender is None and not owner.tenure.covers(fact.journal_id)
        if owner is not None and not (is_late and owner.has_private_list):
            told.append(msgspec.structs.replace(fact, phone_number_id=owner.phone_number_id))
    return told


def check_owned(facts: Sequence[Fact], known: Mapping[str, Inbox]) -> None:
    """Raise Unavailable when a number has moved between ``owned`` and the look for its inbox: try it all again."""
    for fact in facts:
        inbox = known.get(fact.phone_number_id or "")
        if inbox is not None and fact.journal_id <= inbox.journal_from:
            raise Unavailable("A number went to another account meanwhile.")


def _is_of_the_past(fact: Fact) -> bool:
    return isinstance(fact, OF_THE_PAST) or (isinstance(fact, MessageTold) and fact.imported)


def _happened_at(fact: Fact) -> datetime | None:
    at = getattr(fact, "sent_at", None) or getattr(fact, "at", None)
    return at if isinstance(at, datetime) else None


SENT: Final = """
SELECT inbox_id, wamid, our_ref::text FROM messages
 WHERE inbox_id = ANY(%s) AND origin = 'api' AND (wamid = ANY(%s) OR our_ref = ANY(%s))
"""


async def _sent_by_formers(
    conn: Connection, owners: Mapping[str, Sequence[Owner]], facts: Sequence[Fact]
) -> set[tuple[int, str]]:
    """Which inbox sent a message, by its wamid and by our reference, before its number moved: what statuses are of."""
    statuses = [fact for fact in facts if isinstance(fact, StatusTold) and fact.phone_number_id in owners]
    wamids = [fact.wamid for fact in statuses]
    refs = [ref for fact in statuses if (ref := our_ref_of(fact.our_ref))]
    formers = [each.inbox_id for of_one in owners.values() for each in of_one if each.tenure.moved_to is not None]
    if not wamids or not formers:
        return set()
    rows = await (await conn.execute(SENT, (formers, wamids, refs))).fetchall()
    return {(inbox_id, name) for inbox_id, *names in rows for name in names if name}


async def of_owners(conn: Connection, problems: Sequence[tuple[int, Problem]]) -> list[tuple[int, Problem]]:
    """Return what could not be read, with its journal id, each under the name of the inbox whose delivery it was."""
    owners = await _owners(conn, {one.phone_number_id for _, one in problems if one.phone_number_id})
    told = []
    for journal_id, problem in problems:
        of_number = owners.get(problem.phone_number_id or "", ())
        owner = next((each for each in of_number if each.tenure.covers(journal_id)), None)
        named = msgspec.structs.replace(problem, phone_number_id=owner.phone_number_id) if owner else problem
        told.append((journal_id, named))
    return told


FORMER_WABAS: Final = "SELECT DISTINCT moved_waba FROM inboxes WHERE moved_waba = ANY(%s)"


async def former_wabas(conn: Connection, waba_ids: Collection[str]) -> set[str]:
    """Return which of these WhatsApp accounts had a number that moved from there."""
    return {row[0] for row in await (await conn.execute(FORMER_WABAS, (list(waba_ids),))).fetchall()}


# ── the move ──────────────────────────────────────────────────────────────────────────────────────────────

# The last delivery before the first that came since the move. One that a host with a slow clock took in later counts
# for nothing then; what one with a fast clock took in before is whose it was when it happened, where that is told.
MOVE: Final = """
UPDATE inboxes
   SET moved_number = phone_number_id, moved_waba = waba_id, moved_at = %(since)s, token = NULL,
       phone_number_id = phone_number_id || '-' || id, waba_id = waba_id || '-' || id,
       moved_to = coalesce(
           (SELECT min(id) - 1 FROM journal
             WHERE received_at >= %(since)s
               AND id > coalesce((SELECT id FROM journal WHERE received_at < %(a_little_before)s
                                   ORDER BY id DESC LIMIT 1), 0)),
           (SELECT max(id) FROM journal), 0)
 WHERE id = %(id)s
RETURNING moved_to, moved_number, phone_number_id, account_id, scope_id
"""

QUARANTINED: Final = (
    "UPDATE quarantine SET phone_number_id = %(own)s WHERE phone_number_id = %(number)s AND journal_id <= %(moved_to)s",
    "UPDATE quarantine_settled SET phone_number_id = %(own)s"
    " WHERE phone_number_id = %(number)s AND journal_id <= %(moved_to)s",
)

# What came since the number was signed up anew was taken for the former inbox. What was told a little before by some
# clock is applied again, too: it may have been taken from there with the rest. It stands in line under names that no
# claim has yet: one that is under way takes its own off the line when it ends, whatever was taken out meanwhile.
REQUEUE_SINCE: Final = """
INSERT INTO backlog (lane, journal_id, only_for)
SELECT 1, id, CASE lane WHEN 1 THEN %(number)s ELSE '' END FROM journal
 WHERE id > coalesce((SELECT id FROM journal WHERE received_at < %(a_little_before)s ORDER BY id DESC LIMIT 1), 0)
    ON CONFLICT DO NOTHING
"""

# By the conversations that had a message since: everybody waits meanwhile, and the inbox may have millions.
NOT_THEIRS: Final = """
SELECT m.wamid
  FROM conversations c
  JOIN messages m ON m.conversation_id = c.id AND m.sent_at >= date_trunc('second', %(since)s::timestamptz)
 WHERE c.inbox_id = %(id)s AND c.last_message_at >= date_trunc('second', %(since)s::timestamptz)
   AND m.origin <> 'api' AND NOT m.imported AND m.wamid IS NOT NULL
"""
CHANGES_NOT_THEIRS: Final = """
DELETE FROM message_changes WHERE inbox_id = %(id)s AND at >= date_trunc('second', %(since)s::timestamptz)
RETURNING target
"""
LINES_NOT_THEIRS: Final = """
DELETE FROM inbox_timeline
 WHERE inbox_id = %(id)s AND field <> 'coexist' AND at >= date_trunc('second', %(since)s::timestamptz)
"""
ENTRIES_NOT_THEIRS: Final = """
DELETE FROM address_book_entries e
 WHERE e.inbox_id = %(id)s AND e.at >= date_trunc('second', %(since)s::timestamptz)
RETURNING (SELECT i.contact_id FROM identities i
            WHERE i.scope_id = %(scope_id)s AND i.kind = e.kind AND i.value = e.value LIMIT 1)
"""

# Who was made for a delivery that is being applied at this moment, and that comes to nothing here: it will be applied
# for whose it is. Nothing is known of them but an id, and they are among the newest. Without a conversation they were
# made for an address book.
MADE_FOR_NOTHING: Final = """
SELECT k.id FROM contacts k
 WHERE k.scope_id = %(scope_id)s AND k.id > (SELECT max(id) - %(newest)s FROM contacts)
   AND k.first_seen_at IS NULL AND NOT k.is_in_address_book AND k.profile_name IS NULL
   AND NOT EXISTS (SELECT FROM conversations c
                    WHERE c.contact_id = k.id
                      AND (c.inbox_id <> %(id)s OR c.set_state IS NOT NULL OR c.snoozed_until IS NOT NULL
                           OR c.assignee_id IS NOT NULL OR c.read_at IS NOT NULL
                           OR EXISTS (SELECT FROM drafts d WHERE d.conversation_id = c.id)))
   AND NOT EXISTS (SELECT FROM identities i
                    WHERE i.contact_id = k.id
                      AND (i.marketing_wish IS NOT NULL OR i.marketing_rests_until IS NOT NULL OR EXISTS (
                           SELECT FROM identity_changes h
                            WHERE h.scope_id = i.scope_id AND i.match_key IN (h.previous, h.current)
                              AND h.kind <> 'parent')))
   AND (EXISTS (SELECT FROM conversations c WHERE c.contact_id = k.id)
        OR NOT EXISTS (SELECT FROM identities i JOIN identity_sightings s
                           ON s.scope_id = i.scope_id AND i.match_key IN (s.match_key, s.bsuid)
                        WHERE i.contact_id = k.id))
"""

# Nobody has met them here but by what was not for here: no message, no entry, nothing that the team wrote.
STRANGERS: Final = """
SELECT k.id FROM contacts k
 WHERE k.scope_id = %(scope_id)s AND (k.id = ANY(%(met)s))
   AND k.agent_name IS NULL AND k.note IS NULL
   AND NOT EXISTS (SELECT FROM conversations c JOIN messages m ON m.conversation_id = c.id WHERE c.contact_id = k.id)
   AND NOT EXISTS (SELECT FROM identities i JOIN address_book_entries e ON e.kind = i.kind AND e.value = i.value
                     JOIN inboxes x ON x.id = e.inbox_id AND x.scope_id = k.scope_id
                    WHERE i.contact_id = k.id)
"""
MET: Final = """
SELECT DISTINCT c.contact_id FROM messages m JOIN conversations c ON c.id = m.conversation_id
 WHERE m.inbox_id = %s AND m.wamid = ANY(%s)
"""

# It will never be sent from there. What Meta may have is left to a status, or to a person.
GIVE_UP: Final = f"""
WITH given_up AS (
    UPDATE outbox SET state = CASE WHEN is_doubtful THEN 'unclear' ELSE 'failed' END::outbox_state,
                      error = CASE WHEN NOT is_doubtful THEN %(error)s::text END, error_code = NULL,
                      settled_at = %(now)s
     WHERE inbox_id = %(id)s AND state = 'queued'
    RETURNING message_id, state)
UPDATE messages m
   SET status = CASE WHEN g.state = 'failed' THEN {STATUS_RANK["failed"]} ELSE m.status END,
       errors = CASE WHEN g.state = 'failed' THEN jsonb_build_array(jsonb_build_object('title', %(error)s::text))
                     ELSE m.errors END
  FROM given_up g
 WHERE m.id = g.message_id
RETURNING m.conversation_id, m.id
"""


async def lock_all(conn: Connection, scope_id: int) -> None:
    """Wait until nobody writes people or messages of the scope."""
    await locks.own_people(conn, scope_id)
    await locks.own_apply(conn, scope_id)


async def move_away(conn: Connection, inbox_id: int, since: datetime) -> tuple[int, list[NewEvent]]:
    """Take the number from an inbox, which keeps its chats; return the last delivery that is its own, and the events.

    ``since`` is when the number was onboarded for somebody else: whatever was told of it from then on leaves the former
    inbox, and is applied again for whose it is. Needs ``lock_all`` of its scope.
    """
    values = {"id": inbox_id, "since": since, "a_little_before": since - CLOCKS}
    row = await (await conn.execute(MOVE, values)).fetchone()
    assert row is not None
    moved_to, number, own, account_id, scope_id = row
    named = {"own": own, "number": number, "moved_to": moved_to}
    for statement in QUARANTINED:
        await conn.execute(statement, named)
    events = await _give_up(conn, account_id, inbox_id)
    events += await _take_out(conn, values | {"scope_id": scope_id}, account_id)
    await conn.execute("DELETE FROM connection_questions WHERE inbox_id = %s", (inbox_id,))
    await conn.execute(REQUEUE_SINCE, values | {"number": number})
    return moved_to, events


async def _take_out(conn: Connection, values: Mapping[str, object], account_id: int) -> list[NewEvent]:
    """Remove what was applied here although it was told of the number after it had gone."""
    inbox_id, scope_id = int(str(values["id"])), int(str(values["scope_id"]))
    wamids = [row[0] for row in await (await conn.execute(NOT_THEIRS, values)).fetchall()]
    made = await (await conn.execute(MADE_FOR_NOTHING, {**values, "newest": NEWEST_COUNT})).fetchall()
    met = {row[0] for row in made}
    events: list[NewEvent] = []
    for start in range(0, len(wamids), TAKEN_OUT_COUNT):
        some = wamids[start : start + TAKEN_OUT_COUNT]
        met |= {row[0] for row in await (await conn.execute(MET, (inbox_id, some))).fetchall()}
        events += (await purge.purge_messages(conn, account_id, (), {inbox_id: some})).events
    targets = {row[0] for row in await (await conn.execute(CHANGES_NOT_THEIRS, values)).fetchall()}
    await conn.execute(LINES_NOT_THEIRS, values)
    entries = await (await conn.execute(ENTRIES_NOT_THEIRS, values)).fetchall()
    met |= {row[0] for row in entries if row[0] is not None}
    shown = await changes.show_without(conn, {(inbox_id, target) for target in targets})
    found = await conn.execute(STRANGERS, {"scope_id": scope_id, "met": sorted(met)})
    strangers = [row[0] for row in await found.fetchall()]
    events += [NewEvent(account_id, Kind.MESSAGE_CHANGED, *ids) for ids in shown]
    if strangers:
        events += await purge.remove_people(conn, account_id, scope_id, strangers, ())
    left = sorted(met - set(strangers))
    refreshed = await summary.refresh(conn, sorted({ids[1] for ids in shown}), left)
    return events + [NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=id_) for id_ in refreshed.contact_ids]


async def _give_up(conn: Connection, account_id: int, inbox_id: int) -> list[NewEvent]:
    """Say of what waits in the former inbox, to be sent or to be fetched, that it will not be."""
    values = {"id": inbox_id, "error": NOT_SENT, "now": clock.now()}
    sent = await (await conn.execute(GIVE_UP, values)).fetchall()
    fetched = await files.give_up(conn, inbox_id, MOVED, NOT_FETCHED)
    await summary.refresh(conn, sorted({conversation_id for conversation_id, _ in sent}))
    return [NewEvent(account_id, Kind.MESSAGE_CHANGED, inbox_id, *ids) for ids in [*sent, *fetched]]
