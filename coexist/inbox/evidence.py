"""Learning who is who: store new evidence, compute the people it touches anew, and give each a contact.

The rules are in ``identity``; this module loads the evidence they need and writes what they answer. When ids that
were already somebody's change hands, ``regroup`` moves the messages after them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from coexist.base.database import Connection
from coexist.events.feed import NewEvent
from coexist.inbox import locks, regroup, summary
from coexist.inbox.identity import Change, Evidence, Sighting
from coexist.meta.phones import match_key

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""Asking who has a phone at this time asks who has it now, for all we know."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A stored id: ``kind`` is bsuid, phone or former_phone (``<match key>@<seconds>``)."""

    id: int
    contact_id: int
    kind: str
    value: str
    is_contested: bool
    is_wa_id: bool
    is_parent: bool


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything that is connected with some ids: identities, and the evidence about them."""

    identities: Sequence[Identity]
    evidence: Evidence

    @property
    def contact_ids(self) -> list[int]:
        """The contacts of the closure, oldest first."""
        return sorted({identity.contact_id for identity in self.identities})

    def node(self, kind: str, value: str) -> str:
        """Return the identity-graph node that a stored id stands for now."""
        if kind == "bsuid":
            return f"b:{value}"
        if kind == "former_phone":
            return f"f:{value}"
        return self.evidence.node_of_phone(value, END_OF_TIME)

    def contact_by_node(self) -> dict[str, int]:
        """Return the contact of every node of the closure, including nodes that share a person with a stored id."""
        by_person = {self.evidence.person(self.node(i.kind, i.value)): i.contact_id for i in self.identities}
        nodes = {self.node(i.kind, i.value) for i in self.identities} | self.evidence.former_nodes()
        nodes |= {f"b:{s.bsuid}" for s in self.evidence.sightings}
        nodes |= {f"p:{match_key(i.value)}" for i in self.identities if i.kind == "phone"}
        return {node: by_person[person] for node in nodes if (person := self.evidence.person(node)) in by_person}


async def learn(
    conn: Connection,
    scope_id: int,
    *,
    phones: Mapping[str, bool],
    bsuids: Mapping[str, bool],
    sightings: Sequence[Sighting],
    changes: Sequence[Change],
    former: Collection[tuple[str, datetime]] = (),
) -> list[NewEvent]:
    """Store evidence and make every id somebody's. Returns what changed for those who look at it.

    ``phones`` maps digits to whether WhatsApp itself used them, ``bsuids`` to whether it is a parent BSUID;
    ``former`` are phones and times at which whoever had one is needed, also if it has moved since. Who that was is
    asked here, where nobody else can add to the evidence any more; whom it does not name may be forgotten.
    """
    await locks.own_people(conn, scope_id)
    is_new_evidence = await _store_evidence(conn, scope_id, sightings, changes)
    closure = await load_closure(conn, scope_id, [*phones, *bsuids])
    contested = {i.value for i in closure.identities if _is_contested(closure, i)}
    if contested:
        await locks.own_apply(conn, scope_id)
        former = [*former, *await regroup.written_from(conn, closure.contact_ids, contested)]
    wanted = _wanted_ids(closure, phones, bsuids, former)
    contacts = _assign(closure, wanted)
    unused = [i for i in closure.identities if (i.kind, i.value) not in wanted]
    is_moved = any(contacts.get(_person(closure, i.kind, i.value)) != i.contact_id for i in closure.identities)
    must_regroup = bool(unused) or is_moved or (is_new_evidence and bool(contested))
    if must_regroup:
        await locks.own_apply(conn, scope_id)
    contacts |= await _make_contacts(conn, scope_id, [person for person, id_ in contacts.items() if id_ == 0])
    await conn.execute("DELETE FROM identities WHERE id = ANY(%s)", ([i.id for i in unused],))
    await _store_identities(conn, scope_id, closure, wanted, contacts, phones, bsuids)
    if not must_regroup:
        await summary.refresh(conn, (), contacts.values())
        return []
    # Whoever was parted here is connected with the others no more, if what connected them was removed.
    parted = [i.value.partition("@")[0] if i.kind == "former_phone" else i.value for i in closure.identities]
    after = await load_closure(conn, scope_id, [*phones, *bsuids, *parted])
    return await regroup.follow(conn, scope_id, before=closure.identities, after=after)


# ── evidence ──────────────────────────────────────────────────────────────────────────────────────────────

ADD_SIGHTINGS = """
INSERT INTO identity_sightings AS old (scope_id, phone, match_key, bsuid, first_at)
SELECT %s, phone, match_key, bsuid, first_at
  FROM json_to_recordset(%s::json) AS s (phone text, match_key text, bsuid text, first_at timestamptz)
 ORDER BY phone, bsuid
    ON CONFLICT (scope_id, phone, bsuid) DO UPDATE SET first_at = excluded.first_at
 WHERE excluded.first_at < old.first_at
RETURNING 1
"""

ADD_CHANGES = """
INSERT INTO identity_changes AS old (scope_id, kind, previous, current, at)
SELECT %s, kind, previous, current, at
  FROM json_to_recordset(%s::json) AS c (kind text, previous text, current text, at timestamptz)
 ORDER BY kind, previous, current
    ON CONFLICT (scope_id, kind, previous, current) DO UPDATE SET at = excluded.at
 WHERE excluded.at < old.at
RETURNING 1
"""


async def _store_evidence(
    conn: Connection, scope_id: int, sightings: Iterable[Sighting], changes: Iterable[Change]
) -> bool:
    """Add to the sets of evidence. Returns whether anything was new (or seen earlier than known)."""
    seen = [
        {"phone": s.phone, "match_key": match_key(s.phone), "bsuid": s.bsuid, "first_at": s.first_at} for s in sightings
    ]
    changed = [{"kind": c.kind, "previous": c.previous, "current": c.current, "at": c.at} for c in changes]
    is_new = False
    for statement, rows in ((ADD_SIGHTINGS, seen), (ADD_CHANGES, changed)):
        if rows:
            cursor = await conn.execute(statement, (scope_id, msgspec.json.encode(rows).decode()))
            is_new = bool(await cursor.fetchall()) or is_new
    return is_new


# One index look-up for each id, as in ``resolution``: a scan of the scope for every chunk of a history would make an
# import slower the more people there are. An id's match key is its own value (BSUIDs) or what its variants share.
CONNECTED_IDENTITIES = """
SELECT i.id, i.contact_id, i.kind::text, i.value, i.is_contested, i.is_wa_id, i.is_parent, i.match_key
  FROM unnest(%(ids)s::text[]) AS w (key)
 CROSS JOIN LATERAL (SELECT * FROM identities WHERE scope_id = %(scope)s AND match_key = w.key OFFSET 0) i
 UNION
SELECT i.id, i.contact_id, i.kind::text, i.value, i.is_contested, i.is_wa_id, i.is_parent, i.match_key
  FROM unnest(%(contacts)s::bigint[]) AS w (contact_id)
 CROSS JOIN LATERAL (SELECT * FROM identities WHERE contact_id = w.contact_id OFFSET 0) i
"""

CONNECTED_SIGHTINGS = """
SELECT s.phone, s.bsuid, s.first_at, s.match_key
  FROM unnest(%(ids)s::text[]) AS w (key)
 CROSS JOIN LATERAL (SELECT * FROM identity_sightings WHERE scope_id = %(scope)s AND match_key = w.key OFFSET 0) s
 UNION
SELECT s.phone, s.bsuid, s.first_at, s.match_key
  FROM unnest(%(ids)s::text[]) AS w (key)
 CROSS JOIN LATERAL (SELECT * FROM identity_sightings WHERE scope_id = %(scope)s AND bsuid = w.key OFFSET 0) s
"""

CONNECTED_CHANGES = """
SELECT kind, previous, current, at
  FROM identity_changes
 WHERE scope_id = %(scope)s AND (previous = ANY(%(ids)s) OR current = ANY(%(ids)s))
"""


async def load_closure(conn: Connection, scope_id: int, ids: Collection[str]) -> Closure:
    """Load what is connected with ``ids`` (BSUIDs, phones as received), however many steps away."""
    reach = {*ids, *(match_key(value) for value in ids)}
    contacts: set[int] = set()
    while True:
        size = len(reach), len(contacts)
        given = {"scope": scope_id, "ids": list(reach), "contacts": list(contacts)}
        identities = await (await conn.execute(CONNECTED_IDENTITIES, given)).fetchall()
        sightings = await (await conn.execute(CONNECTED_SIGHTINGS, given)).fetchall()
        changes = await (await conn.execute(CONNECTED_CHANGES, given)).fetchall()
        contacts |= {row[1] for row in identities}
        reach |= {row[3] for row in identities} | {row[7] for row in identities}
        reach |= {value for phone, bsuid, _, key in sightings for value in (phone, bsuid, key)}
        reach |= {value for _, previous, current, _ in changes for value in (previous, current)}
        if size == (len(reach), len(contacts)):
            break
    return Closure(
        identities=[Identity(*row[:7]) for row in sorted(identities)],
        evidence=Evidence([Sighting(*row[:3]) for row in sightings], [Change(*row) for row in changes]),
    )


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────


def _person(closure: Closure, kind: str, value: str) -> str:
    return closure.evidence.person(closure.node(kind, value))


def _is_contested(closure: Closure, identity: Identity) -> bool:
    return identity.kind == "phone" and closure.evidence.is_contested(identity.value)


def _wanted_ids(
    closure: Closure, phones: Iterable[str], bsuids: Iterable[str], former: Iterable[tuple[str, datetime]]
) -> set[tuple[str, str]]:
    """Every id that must be somebody's: those asked for, and those that the evidence brings in.

    Who had a phone before it moved needs an id only while a message of theirs is known and they have no other:
    otherwise it would depend on the order of deliveries whether that person was ever thought of. Then they have every
    phone that they had and left: which of these was asked for first would depend on it as well.
    """
    wanted = {("phone", phone) for phone in phones} | {("bsuid", bsuid) for bsuid in bsuids}
    wanted |= {("bsuid", s.bsuid) for s in closure.evidence.sightings}
    wanted |= {("phone", s.phone) for s in closure.evidence.sightings}
    for change in closure.evidence.changes:
        if change.kind != "phone":
            wanted |= {("bsuid", change.previous), ("bsuid", change.current)}
    wanted |= {(i.kind, i.value) for i in closure.identities if i.kind != "former_phone"}
    people = {_person(closure, kind, value) for kind, value in wanted}
    evidence = closure.evidence
    nameless = {evidence.person(evidence.node_of_phone(phone, at)) for phone, at in former} - people
    left = {node for node in evidence.former_nodes() if evidence.person(node) in nameless}
    return wanted | {("former_phone", node.removeprefix("f:")) for node in left}


def _assign(closure: Closure, wanted: Collection[tuple[str, str]]) -> dict[str, int]:
    """Give each person a contact: the oldest of theirs that nobody older claims, or 0 for a new one."""
    contacts: dict[str, int] = {}
    taken: set[int] = set()
    people = {_person(closure, kind, value) for kind, value in wanted}
    for identity in closure.identities:  # oldest first
        person = _person(closure, identity.kind, identity.value)
        if person not in people:
            continue
        if person not in contacts and identity.contact_id not in taken:
            contacts[person] = identity.contact_id
            taken.add(identity.contact_id)
    for kind, value in sorted(wanted):
        contacts.setdefault(_person(closure, kind, value), 0)
    return contacts


MAKE_CONTACTS = "INSERT INTO contacts (scope_id) SELECT %s FROM generate_series(1, %s) RETURNING id"


async def _make_contacts(conn: Connection, scope_id: int, people: Sequence[str]) -> dict[str, int]:
    if not people:
        return {}
    rows = await (await conn.execute(MAKE_CONTACTS, (scope_id, len(people)))).fetchall()
    return dict(zip(people, (row[0] for row in rows), strict=True))


STORE_IDENTITIES = """
INSERT INTO identities AS old (scope_id, contact_id, kind, value, match_key, is_wa_id, is_parent, is_contested)
SELECT %s, contact_id, kind::identity_kind, value, match_key, is_wa_id, is_parent, is_contested
  FROM json_to_recordset(%s::json) AS i (contact_id bigint, kind text, value text, match_key text,
                                         is_wa_id boolean, is_parent boolean, is_contested boolean)
 ORDER BY kind, value
    ON CONFLICT (scope_id, kind, value) DO UPDATE
   SET contact_id = excluded.contact_id,
       is_wa_id = old.is_wa_id OR excluded.is_wa_id,
       is_parent = old.is_parent OR excluded.is_parent,
       is_contested = excluded.is_contested
"""


class IdentityRow(msgspec.Struct, frozen=True):
    """A row of ``identities`` as it goes to the database, in JSON."""

    contact_id: int
    kind: str
    value: str
    match_key: str
    is_wa_id: bool
    is_parent: bool
    is_contested: bool


async def _store_identities(
    conn: Connection,
    scope_id: int,
    closure: Closure,
    wanted: Iterable[tuple[str, str]],
    contacts: Mapping[str, int],
    phones: Mapping[str, bool],
    bsuids: Mapping[str, bool],
) -> None:
    """Write the identities that are new or changed; one that stays as it is must not be locked."""
    known = {(i.kind, i.value): i for i in closure.identities}
    rows = []
    for kind, value in sorted(wanted):
        contact_id = contacts[_person(closure, kind, value)]
        is_wa_id = kind == "phone" and phones.get(value, False)
        is_parent = kind == "bsuid" and bsuids.get(value, False)
        is_contested = kind == "phone" and closure.evidence.is_contested(value)
        old = known.get((kind, value))
        if old and (old.contact_id, old.is_contested, old.is_wa_id, old.is_parent) == (
            contact_id,
            is_contested,
            old.is_wa_id or is_wa_id,
            old.is_parent or is_parent,
        ):
            continue
        key = value if kind == "bsuid" else match_key(value.partition("@")[0])
        rows.append(IdentityRow(contact_id, kind, value, key, is_wa_id, is_parent, is_contested))
    if rows:
        await conn.execute(STORE_IDENTITIES, (scope_id, msgspec.json.encode(rows).decode()))
