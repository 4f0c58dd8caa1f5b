"""From the ids on the wire to contacts and conversations.

Most of what arrives names people we know: three indexed reads answer it. Anything new (an id, a pairing, a change)
goes through ``evidence.learn``, in a transaction of its own that commits before the messages do: knowing a person
early does no harm, and it keeps the lock on making people short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from psycopg.errors import ForeignKeyViolation, SerializationFailure

from coexist.base.database import Connection, Pool, in_transaction
from coexist.base.errors import Unavailable
from coexist.events import feed
from coexist.events.feed import NewEvent
from coexist.inbox import evidence
from coexist.inbox.identity import Change, Evidence, Sighting
from coexist.meta.model import Person
from coexist.meta.phones import match_key

NO_NAMES: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody was named at ``at``; with ``inbox_id``, a conversation in that inbox is needed too."""

    person: Person
    at: datetime
    inbox_id: int | None = None


@dataclass(slots=True)
class Wanted:
    """What a batch says about people of one scope, folded: each id, pairing and change once."""

    bsuids: dict[str, bool] = field(default_factory=dict)  # value → whether it is a parent BSUID
    phones: dict[str, bool] = field(default_factory=dict)  # value → whether WhatsApp itself used it
    sightings: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (phone, bsuid) → first time
    changes: dict[tuple[str, str, str], datetime] = field(
        default_factory=dict
    )  # (kind, previous, current) → first time

    @classmethod
    def of(cls, mentions: Iterable[Mention], changes: Iterable[Change]) -> Wanted:
        """Fold ``mentions`` and ``changes``. People without any id must have been left out before."""
        wanted = cls()
        for mention in mentions:
            wanted._add_person(mention.person, mention.at)
        for change in changes:
            if change.kind == "phone":
                wanted.phones |= {change.previous: True, change.current: True}
                previous, current = match_key(change.previous), match_key(change.current)
            else:
                wanted.bsuids.setdefault(change.previous, False)
                wanted.bsuids.setdefault(change.current, False)
                previous, current = change.previous, change.current
            if previous != current:
                wanted._add_change(change.kind, previous, current, change.at)
        return wanted

    def _add_person(self, person: Person, at: datetime) -> None:
        if person.phone:
            self.phones[person.phone] = self.phones.get(person.phone, False) or person.is_wa_id
        own = person.any_bsuid
        if person.bsuid:
            self.bsuids[person.bsuid] = self.bsuids.get(person.bsuid, False)
        if person.parent_bsuid:
            self.bsuids[person.parent_bsuid] = True
        if person.bsuid and person.parent_bsuid:
            self._add_change("parent", person.parent_bsuid, person.bsuid, at)
        if person.phone and own:
            pair = (person.phone, own)
            self.sightings[pair] = min(at, self.sightings.get(pair, at))

    def _add_change(self, kind: str, previous: str, current: str, at: datetime) -> None:
        key = (kind, previous, current)
        self.changes[key] = min(at, self.changes.get(key, at))


@dataclass(frozen=True, slots=True)
class People:
    """The answer: who is meant by an id at a time, valid while the scope's ``version`` stays the same."""

    scope_id: int
    version: int
    by_id: Mapping[str, int]  # BSUID, or phone whose owner never changed → contact id
    contested: Mapping[str, Evidence]  # phone whose owner depends on the time → its evidence
    by_node: Mapping[str, int]  # node of a contested phone → contact id
    conversations: Mapping[tuple[int, int], int]  # (inbox id, contact id) → conversation id

    def contact_id(self, person: Person, at: datetime) -> int:
        """Return the contact that ``person`` is at ``at``. The person must have been mentioned."""
        bsuid = person.any_bsuid
        if bsuid:
            return self.by_id[bsuid]
        if node := self._contested_node(person, at):
            return self.by_node[node]
        assert person.phone is not None, "only people with an id are mentioned"
        return self.by_id[person.phone]

    def unknown_former(self, mentions: Iterable[Mention]) -> set[tuple[str, datetime]]:
        """Return nothing if all is known whom ``mentions`` name by a contested phone alone; else all these, and when.

        All of them, because who is not asked for, and has no message yet, is forgotten when somebody else is learned.
        """
        asked: set[tuple[str, datetime]] = set()
        is_unknown = False
        for mention in mentions:
            if node := self._contested_node(mention.person, mention.at):
                asked.add((mention.person.phone or "", mention.at))
                is_unknown = is_unknown or node not in self.by_node
        return asked if is_unknown else set()

    def _contested_node(self, person: Person, at: datetime) -> str | None:
        if person.any_bsuid or person.phone is None or person.phone not in self.contested:
            return None
        return self.contested[person.phone].node_of_phone(person.phone, at)

    def conversation_id(self, inbox_id: int, person: Person, at: datetime) -> int:
        """Return the conversation of ``person`` in the inbox. It must have been mentioned with that inbox."""
        return self.conversations[inbox_id, self.contact_id(person, at)]


VERSION = "SELECT version FROM contact_scopes WHERE id = %s"

AS_KNOWN = """
SELECT version, NOT EXISTS (SELECT FROM unnest(%(ids)s::int[], %(names)s::text[]) AS k (id, name)
                              LEFT JOIN inboxes i ON i.id = k.id AND i.phone_number_id = k.name
                             WHERE i.id IS NULL)
  FROM contact_scopes WHERE id = %(scope_id)s
"""


async def as_known(conn: Connection, scope_id: int, inboxes: Mapping[str, int]) -> tuple[int, bool]:
    """Return the scope's version, and whether these inboxes, ids by phone_number_id, still have their numbers."""
    values = {"scope_id": scope_id, "ids": list(inboxes.values()), "names": list(inboxes)}
    row = await (await conn.execute(AS_KNOWN, values)).fetchone()
    assert row is not None
    return int(row[0]), bool(row[1])


def moved_away() -> Unavailable:
    """The error for facts whose inbox has lost its number since they were given it: try them all again."""
    return Unavailable("A number moved to another account under a batch.")


async def version_of(conn: Connection, scope_id: int) -> int:
    """Return how often existing identities of the scope have changed hands."""
    row = await (await conn.execute(VERSION, (scope_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def resolve(
    pool: Pool,
    scope_id: int,
    mentions: Collection[Mention],
    changes: Collection[Change] = (),
    *,
    names: Mapping[str, int] = NO_NAMES,
) -> People:
    """Return who is meant, making contacts and conversations for whoever is new. Commits on its own.

    Safe to repeat, and safe against others who resolve the same people at the same time. ``names`` are the inboxes for
    which it is done, ids by phone_number_id: raises Unavailable, and makes nobody, when one's number has gone to
    another account.
    """
    wanted = Wanted.of(mentions, changes)

    async def attempt(conn: Connection) -> People:
        events: list[NewEvent] = []
        is_new = False
        while True:  # at most three rounds: learn the ids, then who had a phone before, then all is known
            people, is_covered = await _people(conn, scope_id, wanted)
            former = people.unknown_former(mentions) if is_covered else set()
            if is_covered and not former:
                break
            is_new = True
            events += await evidence.learn(
                conn,
                scope_id,
                phones=wanted.phones,
                bsuids=wanted.bsuids,
                sightings=[Sighting(phone, bsuid, at) for (phone, bsuid), at in wanted.sightings.items()],
                changes=[Change(*key, at) for key, at in wanted.changes.items()],
                former=former,
            )
        pairs = {(m.inbox_id, people.contact_id(m.person, m.at)) for m in mentions if m.inbox_id is not None}
        conversations, is_made = await _conversations(conn, sorted(pairs))
        people = replace(people, conversations=conversations)
        # Whoever takes a number away waits for the lock on people, or for the conversations, that were made here.
        if names and (is_new or is_made) and not (await as_known(conn, scope_id, names))[1]:
            raise moved_away()
        await feed.append(conn, events)
        return people

    return await in_transaction(pool, attempt)


@dataclass(frozen=True, slots=True)
class _Known:
    by_id: Mapping[str, int]
    wa_ids: frozenset[str]
    parents: frozenset[str]
    contested: frozenset[str]
    sightings: Mapping[tuple[str, str], datetime]
    changes: Mapping[tuple[str, str, str], datetime]

    def covers(self, wanted: Wanted) -> bool:
        """Whether ``wanted`` says nothing new."""
        return (
            self.by_id.keys() >= wanted.bsuids.keys()
            and self.by_id.keys() >= wanted.phones.keys()
            and all(phone in self.wa_ids for phone, is_wa_id in wanted.phones.items() if is_wa_id)
            and all(bsuid in self.parents for bsuid, is_parent in wanted.bsuids.items() if is_parent)
            and all(key in self.sightings and self.sightings[key] <= at for key, at in wanted.sightings.items())
            and all(key in self.changes and self.changes[key] <= at for key, at in wanted.changes.items())
        )


# One index look-up for each value, whatever the planner thinks of a table that is just filling: OFFSET 0 keeps it from
# turning the look-ups into a scan.
IDENTITIES = """
SELECT i.value, i.contact_id, i.is_wa_id, i.is_parent, i.is_contested
  FROM unnest(%(phones)s::text[] || %(bsuids)s::text[]) WITH ORDINALITY AS w (value, n)
 CROSS JOIN LATERAL (
       SELECT * FROM identities
        WHERE scope_id = %(scope)s AND value = w.value
          AND kind = CASE WHEN n <= cardinality(%(phones)s::text[]) THEN 'phone' ELSE 'bsuid' END::identity_kind
       OFFSET 0) i
"""

SIGHTINGS = """
SELECT s.phone, s.bsuid, s.first_at
  FROM unnest(%(phones)s::text[]) AS w (phone)
 CROSS JOIN LATERAL (
       SELECT * FROM identity_sightings WHERE scope_id = %(scope)s AND phone = w.phone OFFSET 0) s
"""

CHANGES = "SELECT kind, previous, current, at FROM identity_changes WHERE scope_id = %s AND previous = ANY(%s)"


async def _known(conn: Connection, scope_id: int, wanted: Wanted) -> _Known:
    given = {"scope": scope_id, "phones": list(wanted.phones), "bsuids": list(wanted.bsuids)}
    identities = await (await conn.execute(IDENTITIES, given)).fetchall()
    sightings: dict[tuple[str, str], datetime] = {}
    if wanted.sightings:
        given = {"scope": scope_id, "phones": list({phone for phone, _ in wanted.sightings})}
        rows = await (await conn.execute(SIGHTINGS, given)).fetchall()
        sightings = {(phone, bsuid): at for phone, bsuid, at in rows}
    changes: dict[tuple[str, str, str], datetime] = {}
    if wanted.changes:
        rows = await (
            await conn.execute(CHANGES, (scope_id, [previous for _, previous, _ in wanted.changes]))
        ).fetchall()
        changes = {(kind, previous, current): at for kind, previous, current, at in rows}
    return _Known(
        by_id={value: contact_id for value, contact_id, _, _, _ in identities},
        wa_ids=frozenset(row[0] for row in identities if row[2]),
        parents=frozenset(row[0] for row in identities if row[3]),
        contested=frozenset(row[0] for row in identities if row[4]),
        sightings=sightings,
        changes=changes,
    )


async def _people(conn: Connection, scope_id: int, wanted: Wanted) -> tuple[People, bool]:
    """Return who is known so far, without conversations, and whether ``wanted`` says nothing new."""
    version = await version_of(conn, scope_id)  # first: a change after it makes the answer stale, not wrong
    known = await _known(conn, scope_id, wanted)
    people = People(scope_id, version, known.by_id, {}, {}, {})
    if known.contested:
        closure = await evidence.load_closure(conn, scope_id, known.contested)
        contested = dict.fromkeys(known.contested, closure.evidence)
        people = replace(people, contested=contested, by_node=closure.contact_by_node())
    return people, known.covers(wanted)


PAIRS = "unnest(%s::int[], %s::bigint[]) AS p (inbox_id, contact_id)"

FIND_CONVERSATIONS = f"""
SELECT inbox_id, contact_id, c.id
  FROM {PAIRS}
 CROSS JOIN LATERAL (
       SELECT id FROM conversations WHERE inbox_id = p.inbox_id AND contact_id = p.contact_id OFFSET 0) c
"""

# Two who make the same conversation at once: the second waits here, makes none, and finds the first one's.
MAKE_CONVERSATIONS = f"""
INSERT INTO conversations (inbox_id, contact_id)
SELECT inbox_id, contact_id FROM {PAIRS} ORDER BY inbox_id, contact_id
    ON CONFLICT DO NOTHING
"""


async def _conversations(conn: Connection, pairs: list[tuple[int, int]]) -> tuple[dict[tuple[int, int], int], bool]:
    """Return the conversations of these pairs, and whether one of them had to be made."""

    async def find(missing: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        rows = await (await conn.execute(FIND_CONVERSATIONS, _columns(missing))).fetchall()
        return {(inbox_id, contact_id): conversation_id for inbox_id, contact_id, conversation_id in rows}

    if not pairs:
        return {}, False
    found = await find(pairs)
    if missing := [pair for pair in pairs if pair not in found]:
        try:
            await conn.execute(MAKE_CONVERSATIONS, _columns(missing))
        except ForeignKeyViolation as error:
            if error.diag.constraint_name != "conversations_contact_id_fkey":
                raise
            # Somebody was joined with another contact, or removed, since they were read here: read again.
            raise SerializationFailure("A contact is no longer there.") from error
        found |= await find(missing)
    return found, bool(missing)


def _columns(pairs: Collection[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [inbox_id for inbox_id, _ in pairs], [contact_id for _, contact_id in pairs]
