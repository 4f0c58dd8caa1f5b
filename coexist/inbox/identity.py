"""Who is who: one person out of many ids, computed from evidence.

Pure. The evidence is a set, so the answer cannot depend on the order, duplication or batching of what Meta
delivered. Three kinds of evidence exist (meta-protocol 6):

- a *sighting*: from ``first_at`` on, a phone was seen together with a BSUID;
- a *change* of BSUID (rotation, or a parent id of the same person);
- a *move*: a person went from one phone to the next at a time.

A node is what can be somebody: ``b:<bsuid>``, ``p:<match key>`` (whoever has that phone), or
``f:<match key>@<seconds>`` (whoever had that phone until it moved). National variants of a phone share a match key,
hence a node.

A BSUID always names one person. A phone names, at a given time, the BSUID it was last seen with by then; a phone
that was seen with nobody is a person of its own. So a recycled number never joins two people: each message goes to
whoever had the phone when it was sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coexist.meta.phones import match_key

A_MOMENT = timedelta(seconds=1)  # the wire's granularity


@dataclass(frozen=True, slots=True)
class Sighting:
    """``phone`` was seen with ``bsuid`` at ``first_at`` for the first time."""

    phone: str
    bsuid: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One person under two ids. ``kind``: ``bsuid`` (rotation), ``parent``, or ``phone`` (moved at ``at``)."""

    kind: str
    previous: str
    current: str
    at: datetime


@dataclass(slots=True)
class Evidence:
    """All sightings and changes that touch the ids in question, and the answers they give."""

    sightings: Iterable[Sighting] = ()
    changes: Iterable[Change] = ()
    _by_phone: dict[str, list[Sighting]] = field(default_factory=dict, init=False)
    _by_key: dict[str, list[Sighting]] = field(default_factory=dict, init=False)
    _moved_at: dict[str, list[datetime]] = field(default_factory=dict, init=False)
    _parent: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        by_phone: dict[str, list[Sighting]] = defaultdict(list)
        by_key: dict[str, list[Sighting]] = defaultdict(list)
        moved_at: dict[str, set[datetime]] = defaultdict(set)
        for sighting in sorted(self.sightings, key=lambda s: (s.first_at, s.bsuid, s.phone)):
            by_phone[sighting.phone].append(sighting)
            by_key[match_key(sighting.phone)].append(sighting)
        moves = sorted((c for c in self.changes if c.kind == "phone"), key=lambda c: (c.at, c.previous, c.current))
        for change in self.changes:
            if change.kind != "phone":
                self._join(f"b:{change.previous}", f"b:{change.current}")
        for move in moves:
            # What is said at the very second of the move still comes from the old phone, and already from the new one.
            moved_at[match_key(move.previous)].add(move.at + A_MOMENT)
            moved_at[match_key(move.current)].add(move.at)
        self._by_phone, self._by_key = dict(by_phone), dict(by_key)
        self._moved_at = {key: sorted(times) for key, times in moved_at.items()}
        # BSUID changes are joined before phones are asked, because a variant's owner is a question about people.
        for move in moves:
            self._join(self.node_of_phone(move.previous, move.at), self.node_of_phone(move.current, move.at))

    def node_of_phone(self, phone: str, at: datetime) -> str:
        """Return the node that had ``phone`` (digits as received) at ``at``."""
        key = match_key(phone)
        moves = self._moved_at.get(key, [])
        era = bisect_right(moves, at)
        for seen in (self._by_phone.get(phone, ()), self._by_key.get(key, ())):
            within = [s for s in seen if bisect_right(moves, s.first_at) == era]
            if seen is not self._by_phone.get(phone) and len({self.person(f"b:{s.bsuid}") for s in within}) > 1:
                continue  # two people own national variants of this phone: neither may have this one
            if within:
                by_then = [s for s in within if s.first_at <= at]
                return f"b:{(by_then or within)[-1 if by_then else 0].bsuid}"
        return f"p:{key}" if era == len(moves) else f"f:{key}@{int(moves[era].timestamp())}"

    def is_contested(self, phone: str) -> bool:
        """Whether the owner of ``phone`` depends on the time one asks about."""
        key = match_key(phone)
        return key in self._moved_at or len({s.bsuid for s in self._by_key.get(key, ())}) > 1

    def person(self, node: str) -> str:
        """Return the representative of the person ``node`` is: the same for all nodes of one person."""
        while (parent := self._parent.get(node, node)) != node:
            node = parent
        return node

    def former_nodes(self) -> set[str]:
        """Return the ``f:`` nodes that the moves made."""
        return {f"f:{key}@{int(at.timestamp())}" for key, times in self._moved_at.items() for at in times}

    def _join(self, one: str, other: str) -> None:
        low, high = sorted((self.person(one), self.person(other)))
        self._parent[high] = low
