"""Which messages of an exported chat are here already. Pure.

An export tells neither ids nor, on Android, seconds. So two tellings are of one message when they went the same way, at
the same time as far as the export tells it, and say the same; the same words said twice in a minute are matched by
count. Meta's tellings and earlier imports are treated alike, so a longer or overlapping export adds only what is new.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from coexist.exported_chats.model import FILES, Decision, Kind, Verdict
from coexist.exported_chats.stamps import MARKS
from coexist.meta.model import FROM_HISTORY, PLACEHOLDER

SLACK_S: Final = 120.0
"""How far the phone's clock may be from Meta's, for messages that have no better counterpart."""
KEY_BYTES: Final = 12
_FILE_TYPES: Final = frozenset(kind.value for kind in FILES if kind is not Kind.CONTACTS)
_APART: Final = _FILE_TYPES | {Kind.OMITTED.value, Kind.PHONE_ONLY.value}
"""Types that the same words do not make a text."""
_LOOKLESS: Final = {ord(sign): None for sign in (*MARKS, "\ufe0f", "\u200c", "\u200d", "\u00ad")}


class Told(NamedTuple):
    """A message of the export. Times are seconds since 1970; ``other`` is for an hour that came twice.

    ``wamid`` is the id it has, or gets, here when it is not known under another.
    """

    wamid: str
    direction: str
    kind: Kind
    key: bytes
    at: float
    other: float | None


class Known(NamedTuple):
    """A message that is here."""

    wamid: str
    direction: str
    type: str
    key: bytes
    at: float
    content_rank: int


def key_of(kind: str, text: str | None) -> bytes:
    """Return what two tellings of one message have in common: kind and words, without what exporting changes."""
    if kind in (Kind.LOCATION, Kind.CONTACTS):
        said = ""
    else:
        plain = unicodedata.normalize("NFC", text or "").translate(_LOOKLESS)
        said = " ".join(plain.split()).casefold()
    family = kind if kind in _APART or not said else Kind.TEXT
    return blake2b(f"{family}\0{said}".encode(errors="replace"), digest_size=KEY_BYTES).digest()


def decide(told: Sequence[Told], known: Sequence[Known], *, span_s: float, taken: Iterable[str] = ()) -> list[Decision]:
    """Return for each message of the export, in order, what to do with it.

    ``span_s`` is how long a printed time lasts: 1 s or 60 s. ``taken`` are ids of the export's messages that are
    here with other times.
    """
    table = _Table(told, known, span_s)
    real = range(FROM_HISTORY, 1_000)
    for slack in (0.0, SLACK_S):
        table.pair(_by_key, _by_key, Verdict.HERE, slack, ranks=real)
    table.pair(_by_key, _by_key, Verdict.HERE, 0.0, ranks=real, is_other=True)
    for slack in (0.0, SLACK_S):
        table.pair(_by_file, _by_type, Verdict.HERE, slack, ranks=real)
        table.pair(_by_omission, _by_having_file, Verdict.HERE, slack, ranks=real)
    for slack in (0.0, SLACK_S):  # what Meta only said there was: the file, or the message itself, takes its place
        table.pair(_by_omission, _by_way, Verdict.HERE, slack, ranks=range(PLACEHOLDER, PLACEHOLDER + 1))
        table.pair(_by_any_file, _by_way, Verdict.FILL, slack, ranks=range(PLACEHOLDER, PLACEHOLDER + 1))
        table.pair(_by_phone_only, _by_way, Verdict.HERE, slack, ranks=range(PLACEHOLDER + 1, FROM_HISTORY))
        table.pair(_by_content, _by_way, Verdict.FILL, slack, ranks=range(PLACEHOLDER + 1, FROM_HISTORY))
    moved = set(taken)
    return [
        table.found.get(place) or Decision(Verdict.MOVED if message.wamid in moved else Verdict.NEW, message.wamid)
        for place, message in enumerate(told)
    ]


class _Table:
    """Both sides, and which of them have found each other. Each pass pairs what the passes before have left."""

    def __init__(self, told: Sequence[Told], known: Sequence[Known], span_s: float) -> None:
        self._told, self._known, self._span_s = told, known, span_s
        self._is_used = [False] * len(known)
        self.found: dict[int, Decision] = {}

    def pair(
        self,
        told_group: Callable[[Told], Hashable],
        known_group: Callable[[Known], Hashable],
        verdict: Verdict,
        slack_s: float,
        *,
        ranks: range,
        is_other: bool = False,
    ) -> None:
        """Pair what is of one group and of one time; within a group in the order of time, so that counts are kept."""
        known: dict[Hashable, list[tuple[float, int]]] = defaultdict(list)
        for place, candidate in enumerate(self._known):
            if not self._is_used[place] and candidate.content_rank in ranks:
                known[known_group(candidate)].append((candidate.at, place))
        if not known:
            return
        groups: dict[Hashable, list[tuple[float, int]]] = defaultdict(list)
        for place, message in enumerate(self._told):
            at = message.other if is_other else message.at
            if at is not None and place not in self.found and (group := told_group(message)) in known:
                groups[group].append((at, place))
        for group, messages in groups.items():
            self._walk(sorted(messages), sorted(known[group]), verdict, slack_s)

    def _walk(
        self, told: list[tuple[float, int]], known: list[tuple[float, int]], verdict: Verdict, slack_s: float
    ) -> None:
        i = j = 0
        while i < len(told) and j < len(known):
            (at, place), (known_at, known_place) = told[i], known[j]
            if known_at < at - slack_s:
                j += 1
            elif known_at >= at + self._span_s + slack_s:
                i += 1
            else:
                self.found[place] = Decision(verdict, self._known[known_place].wamid, known_at)
                self._is_used[known_place] = True
                i, j = i + 1, j + 1


NOWHERE: Final = "nowhere"
"""The group of what is in none: None on the side of the export, this on ours, so that they never meet."""


def _by_key(message: Told | Known) -> Hashable:
    return message.direction, message.key


def _by_file(message: Told) -> Hashable:
    return (message.direction, message.kind.value) if message.kind in _FILE_TYPES else None


def _by_type(message: Known) -> Hashable:
    return message.direction, message.type


def _by_omission(message: Told) -> Hashable:
    return message.direction if message.kind is Kind.OMITTED else None


def _by_phone_only(message: Told) -> Hashable:
    return message.direction if message.kind is Kind.PHONE_ONLY else None


def _by_having_file(message: Known) -> Hashable:
    return message.direction if message.type in _FILE_TYPES or message.type == Kind.CONTACTS else NOWHERE


def _by_any_file(message: Told) -> Hashable:
    return message.direction if message.kind in FILES else None


def _by_content(message: Told) -> Hashable:
    return message.direction if message.kind not in (Kind.OMITTED, Kind.PHONE_ONLY) else None


def _by_way(message: Known) -> Hashable:
    return message.direction
