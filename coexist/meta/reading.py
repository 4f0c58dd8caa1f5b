"""What a delivery has told so far, and where in it we are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Raw

from coexist.meta import wire
from coexist.meta.decode import Item, members
from coexist.meta.model import Fact, Parsed, Problem
from coexist.meta.phones import digits

DAY_SECONDS: Final = 86_400
EARLIEST_SECONDS: Final = 1_230_768_000
"""1 January 2009, the year WhatsApp began: an older timestamp is nonsense."""
MILLISECONDS_FROM: Final = 100_000_000_000
"""A larger number counts milliseconds: as seconds it would lie beyond the year 5138."""
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
"""A step of a part's path: ``.messages`` or ``[3]``."""


class Reading:
    """One delivery being read: everything told so far."""

    __slots__ = ("_problems", "facts", "ignored", "journal_id", "latest_seconds", "received_at", "seen")

    def __init__(self, received_at: datetime, journal_id: int) -> None:
        self.received_at = received_at
        self.journal_id = journal_id
        self.latest_seconds = received_at.timestamp() + DAY_SECONDS
        self.facts: list[Fact] = []
        self._problems: dict[str, Problem] = {}
        self.ignored: dict[str, int] = {}
        self.seen: set[tuple[str, str]] = set()

    def moment(self, timestamp: object) -> tuple[datetime, bool]:
        """A wire timestamp as a time, and whether it is doubtful.

        Strings and numbers, seconds and milliseconds. What is no number, older than WhatsApp or more than a day
        after the delivery came is replaced by the time of receipt, which a replay gives again (requirement C8).
        """
        try:
            number = int(timestamp) if type(timestamp) is str and timestamp.isdigit() else _number(timestamp)
            milliseconds = 0
            if number > MILLISECONDS_FROM:
                number, milliseconds = divmod(number, 1000)
            if EARLIEST_SECONDS <= number <= self.latest_seconds:
                told = datetime.fromtimestamp(number, UTC)
                return (told.replace(microsecond=milliseconds * 1000) if milliseconds else told), False
        except (ValueError, OverflowError):
            pass
        return self.received_at, True

    def is_doubtful(self, at: datetime) -> bool:
        """Whether ``at`` is the time of receipt, which `moment` gave because nobody told one."""
        return at is self.received_at

    def ignore(self, what: str) -> None:
        """Counts one item that stays in the journal on purpose."""
        self.ignored[what] = self.ignored.get(what, 0) + 1

    def problem(self, part: str, error: str, phone_number_id: str | None = None) -> None:
        """Tells what is wrong with a part; a second trouble of the same part joins the first."""
        known = self._problems.get(part)
        if known is not None:
            error = f"{known.error}; {error}"
        self._problems[part] = Problem(part=part, error=error, phone_number_id=phone_number_id)

    def parsed(self) -> Parsed:
        """All that was told."""
        return Parsed(
            facts=self.facts,
            problems=list(self._problems.values()),
            ignored=self.ignored,
            seen=frozenset(self.seen),
        )


def _number(timestamp: object) -> int:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float | str):
        raise ValueError("no time")
    return int(float(timestamp))


class Change:
    """One change being read: whom it concerns, and the delivery that its facts go to."""

    __slots__ = (
        "_members", "entry_at", "entry_id", "field", "journal_id", "made_at", "own", "part", "phone_number_id",
        "reading", "value",
    )  # fmt: skip

    def __init__(self, reading: Reading, field: str, part: str, value: Raw, entry: wire.Entry) -> None:
        self.reading = reading
        self.journal_id = reading.journal_id
        self.field = field
        self.part = part
        self.value = value
        self.entry_id = str(entry.id) if entry.id not in (None, "") else None
        self.entry_at = reading.received_at if entry.time is None else reading.moment(entry.time)[0]
        self.made_at = None if reading.is_doubtful(self.entry_at) else self.entry_at
        self.phone_number_id: str | None = None
        self.own: str | None = None
        self._members: dict[str, dict[Any, Raw]] = {}

    def belongs_to(self, metadata: wire.Metadata | None) -> bool:
        """Takes the business phone number from the value's metadata; False and a Problem if there is none."""
        self.name_number(metadata)
        if self.phone_number_id is None:
            self.problem(self.part, "value.metadata.phone_number_id is missing: nobody's messages")
        return self.phone_number_id is not None

    def name_number(self, metadata: wire.Metadata | None) -> None:
        """Takes the business phone number from the value's metadata, if it is there."""
        if metadata is not None:
            if metadata.phone_number_id not in (None, ""):
                self.phone_number_id = str(metadata.phone_number_id)
            self.own = digits(metadata.display_phone_number)

    def raw(self, part: str) -> Raw:
        """The JSON that stands at `part` of this change, for what the wire types do not know.

        Each level is taken apart once, so that thousands of items in one chunk cost no more than the chunk.
        """
        found, path = self.value, self.part
        for step in _STEP.finditer(part, len(self.part)):
            if path not in self._members:
                self._members[path] = members(found)
            found = self._members[path].get(step[1] or int(step[2] or 0), wire.NOTHING)
            path = part[: step.end()]
        return found

    def tell(self, fact: Fact) -> None:
        self.reading.facts.append(fact)

    def problem(self, part: str, error: str) -> None:
        self.reading.problem(part, error, self.phone_number_id)

    def flaw(self, part: str, item: Item) -> None:
        """Tells what of an item could not be read, if anything: the rest of it is used all the same."""
        if item.flaw is not None:
            self.problem(part, item.flaw)

    def ignore(self) -> None:
        """Counts one item of this field that stays in the journal on purpose."""
        self.reading.ignore(self.field)
