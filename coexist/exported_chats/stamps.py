"""The time that begins each message of an exported chat, in whatever shape the phone's language gives it. Pure.

Android writes ``12/31/21, 10:15 PM - Name: text``, iOS ``[31.12.2021, 22:15:03] Name: text``; both with the digits, the
words for morning and afternoon, the spaces and the invisible direction marks of the phone's language. Which of the
numbers is the day is nowhere said: ``DateEvidence`` finds it out from the whole file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

HEAD_CHARS: Final = 72
"""How much of a line is looked at for its stamp; the longest known has 40 signs."""
FIRST_YEAR: Final = 2009
"""WhatsApp did not exist before."""
BUDDHIST_YEARS: Final = range(2400, 2700)
BUDDHIST_LEAD_YEARS: Final = 543
CENTURY: Final = 2000
SLIPS_ALLOWED: Final = 50
"""One impossible date in so many may be a chat that somebody pasted into a message."""

MARKS: Final = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Signs without a look: they turn the direction of writing, and mark what WhatsApp itself wrote."""
_SPACES: Final = "\u00a0\u1680\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u3000"
_UNMARKED: Final[dict[int, str | None]] = {
    **{ord(sign): " " for sign in _SPACES},
    **{ord(sign): None for sign in MARKS},
}
_DIGITS: Final = {
    code: str(unicodedata.decimal(chr(code)))
    for code in range(0x0660, 0xFF20)
    if unicodedata.category(chr(code)) == "Nd"
}
_PLAIN: Final[dict[int, str | None]] = _UNMARKED | _DIGITS | {ord("،"): ",", ord("״"): '"'}
_HAS_MARKS: Final = re.compile(f"[{MARKS}{_SPACES}]")
_IS_NOT_PLAIN: Final = re.compile(f"[{MARKS}{_SPACES}،״]|(?![0-9])\\d")

MORNING: Final = (
    *("π.μ.", "ص", "ق.ظ.", "ق.ظ", 'לפנה"צ', "पूर्वाह्न", "午前", "上午", "凌晨", "清晨", "早上", "오전", "öö", "дп"),
    *("vorm.", "de.", "fm", "ap.", "sa", "ก่อนเที่ยง", "da manhã", "da madrugada", "pg", "vm.", "f.h.", "paradite"),
    *("пр.об.", "претпл.", "முற்பகல்", "म.पू.", "早晨"),
)
AFTERNOON: Final = (
    *("μ.μ.", "م", "ب.ظ.", "ب.ظ", 'אחה"צ', "अपराह्न", "午後", "下午", "中午", "傍晚", "晚上", "오후", "ös", "пп"),
    *("nachm.", "du.", "em", "ip.", "ch", "หลังเที่ยง", "da tarde", "da noite", "ptg", "nm.", "e.h.", "pasdite"),
    *("сл.об.", "попл.", "பிற்பகல்", "म.उ."),
)
_HALF: Final = "|".join([r"[ap]\.?\s?m\.?", *(re.escape(word) for word in sorted(MORNING + AFTERNOON, key=len)[::-1])])

_STAMP: Final = re.compile(
    rf"""(?P<open>\[)?
    (?P<a>\d{{1,4}})\s?(?P<separator>[./\-年년])\s?(?P<b>\d{{1,2}})\s?[./\-月월]\s?(?P<c>\d{{1,4}})[.日일]?
    (?:,\s?|\s)(?:[^\W\d]{{1,5}}\.?\s){{0,2}}?  # "," or "às", "kl.", "a las" … and the time
    (?:(?P<before>{_HALF})\s?)?
    (?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}}))?
    (?:\s?(?P<after>{_HALF}))?
    (?P<end>\]\ ?|\s[-–]\s?|:\ )""",
    re.VERBOSE | re.IGNORECASE,
)


class DateOrder(StrEnum):
    """Which of a date's three numbers is what."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"
    YEAR_FIRST = "ymd"


class Numbers(NamedTuple):
    """A date as it is printed, in the order of writing."""

    a: int
    b: int
    c: int


class Stamp(NamedTuple):
    """The time of one message as printed. ``second`` is None where the phone writes minutes only."""

    numbers: Numbers
    separator: str
    hour: int
    minute: int
    second: int | None
    is_bracketed: bool

    def local(self, order: DateOrder) -> datetime | None:
        """Return the time on the phone's clock, None when there is no such date in that order."""
        day = date_of(self.numbers, order)
        if day is None:
            return None
        return datetime(day.year, day.month, day.day, self.hour, self.minute, self.second or 0)  # noqa: DTZ001


def unmarked(text: str) -> str:
    """Return ``text`` without marks, and with one kind of space."""
    return (
        text.translate(_UNMARKED) if _HAS_MARKS.search(text) else text
    )  # looking is ten times faster than translating


def read_stamp(line: str) -> tuple[Stamp, str] | None:
    """Return the stamp that ``line`` begins with and what follows it, or None: the line goes on with a message."""
    head = line[:HEAD_CHARS]
    plain = head.translate(_PLAIN) if _IS_NOT_PLAIN.search(head) else head
    if not plain or not (plain[0] == "[" or plain[0].isdecimal()):
        return None
    found = _STAMP.match(plain)
    if found is None or (found["open"] is None) == found["end"].startswith("]"):
        return None
    hour = _hour(int(found["hour"]), found["before"] or found["after"])
    minute, second = int(found["minute"]), None if found["second"] is None else int(found["second"])
    if hour is None or minute > 59 or (second or 0) > 59:
        return None
    numbers = Numbers(int(found["a"]), int(found["b"]), int(found["c"]))
    stamp = Stamp(numbers, found["separator"], hour, minute, second, found["open"] is not None)
    return stamp, line[found.end() if plain is head else _place_in(head, found.end()) :]


def _place_in(head: str, count: int) -> int:
    """Where in ``head`` its first ``count`` signs end that are no marks."""
    place = 0
    while count:
        count -= head[place] not in MARKS
        place += 1
    return place


def _hour(hour: int, half: str | None) -> int | None:
    if half is None:
        return hour if hour < 24 else None
    if not 1 <= hour <= 12:
        return hour if 12 < hour < 24 else 0 if hour == 0 else None  # "14:05 PM": said twice
    word = half.lower()
    is_morning = word in MORNING or (word.startswith("a") and word not in AFTERNOON)
    return hour % 12 if is_morning else hour % 12 + 12


def date_of(numbers: Numbers, order: DateOrder) -> date | None:
    """Return the date that ``numbers`` mean in ``order``, None when there is none."""
    a, b, c = numbers
    match order:
        case DateOrder.DAY_FIRST:
            day, month, year, other = a, b, c, a
        case DateOrder.MONTH_FIRST:
            month, day, year, other = a, b, c, a
        case DateOrder.YEAR_FIRST:
            year, month, day, other = a, b, c, c
    if other > 99:
        return None
    if year < 100:
        year += CENTURY
    elif year in BUDDHIST_YEARS:
        year -= BUDDHIST_LEAD_YEARS
    try:
        return date(year, month, day)
    except ValueError:
        return None


@dataclass(slots=True)
class DateEvidence:
    """What a whole file tells about the order of its dates."""

    days: list[Numbers] = field(default_factory=list)  # each change of the printed date, in the file's order
    separators: set[str] = field(default_factory=set)
    dated_files: list[tuple[Numbers, date]] = field(default_factory=list)

    def add(self, stamp: Stamp) -> None:
        """Take in the next message's stamp."""
        if not self.days or self.days[-1] != stamp.numbers:
            self.days.append(stamp.numbers)
            self.separators.add(stamp.separator)

    def add_file(self, stamp: Stamp, day: date) -> None:
        """Take in that a message with this stamp has a file whose name tells its date."""
        self.dated_files.append((stamp.numbers, day))

    def orders(self, latest: date) -> Sequence[DateOrder]:
        """Return the orders in which the file makes sense, the best first; several when nothing decides.

        ``latest`` is a date after which no message can have been written. Evidence, the strongest first: dates that
        do not exist or lie in the future; the dates in names of files; the order of messages; the separator.
        """
        possible = [order for order in DateOrder if self._slips(order, latest) * SLIPS_ALLOWED <= len(self.days)]
        # Hardly a phone writes a year of two digits first: only believed where it makes the chat shorter.
        if len(possible) > 1 and min(possible, key=self._span) is not DateOrder.YEAR_FIRST:
            possible = [order for order in possible if order is not DateOrder.YEAR_FIRST]
        if len(possible) < 2 or self._are_same(possible):
            return possible[:1]
        for count in (self._misdated_files, self._steps_back):
            counts = {order: count(order) for order in possible}
            best = [order for order in possible if counts[order] == min(counts.values())]
            if len(best) == 1:
                return best
        if self.separators <= {".", "-"} and DateOrder.DAY_FIRST in possible:
            return [DateOrder.DAY_FIRST]  # only languages with slashes write the month first
        return possible

    def _slips(self, order: DateOrder, latest: date) -> int:
        days = (date_of(numbers, order) for numbers in self.days)
        return sum(day is None or day.year < FIRST_YEAR or day > latest for day in days)

    def _are_same(self, orders: Collection[DateOrder]) -> bool:
        return all(len({date_of(numbers, order) for order in orders}) == 1 for numbers in self.days)

    def _span(self, order: DateOrder) -> timedelta:
        days = [day for numbers in self.days if (day := date_of(numbers, order))]
        return max(days) - min(days)

    def _misdated_files(self, order: DateOrder) -> int:
        return sum(date_of(numbers, order) != day for numbers, day in self.dated_files)

    def _steps_back(self, order: DateOrder) -> int:
        days = [day for numbers in self.days if (day := date_of(numbers, order))]
        return sum(after < before - timedelta(days=1) for before, after in pairwise(days))
