"""From the lines of an exported chat to its entries. Pure, and streaming: one message is held at a time."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from coexist.base.errors import Invalid, TooLarge
from coexist.exported_chats import phrases
from coexist.exported_chats.model import FILES, SKIPPED, Entry, Kind, Sample, Survey
from coexist.exported_chats.stamps import DateEvidence, DateOrder, Stamp, read_stamp, unmarked

MESSAGES_COUNT_MAX: Final = 250_000
"""Messages in one file; WhatsApp exports 40,000 at most, 10,000 with files."""
TEXT_CHARS_MAX: Final = 70_000
"""Characters of one message; WhatsApp lets nobody write more than 65,536."""
PREAMBLE_LINES_MAX: Final = 20
"""Lines before the first message after which a file is no chat."""
NAME_CHARS_MAX: Final = 120
LEAD_CHARS: Final = 48
"""Where a notice of WhatsApp's is told by how it begins."""
SAMPLES_COUNT: Final = 400
"""Texts kept to recognise the thread and the time zone by; the last ones, for they are what Meta may know, too."""
SAMPLE_CHARS: Final = range(12, 500)
PEOPLE_COUNT: Final = 2
COLON_NAME_COUNT: Final = 3
"""Messages after which a colon that follows each of somebody's names is believed to be part of the name."""

_EDITED: Final = re.compile(r"\s*[\u200e\u200f]*<([^<>\n]{4,60})>\s*$")
_IOS_FILE: Final = re.compile(
    r"[\u200e\u200f]*<(?:(?P<word>[^<>:：\n]{1,40}?)\s?[:：]\s?)?(?P<file>[^<>/\\\n]{1,255}\.\w{1,10})(?:\s(?P<after>\w{2,12}))?>"
)
_IOS_NAME: Final = re.compile(r"\d{8}-")
_ANDROID_FILE: Final = re.compile(
    r"[\u200e\u200f]*(?P<file>[^\n<>/\\]{1,255}\.\w{1,10}) \((?P<word>[^()\n]{3,60})\)(?=\n|$)"
)
_DOCUMENT_LEAD: Final = re.compile(r"^[^\n]{1,255}\.\w{1,10}(?: • [^\n]{1,60})?$")
ONCE_WORDS: Final = "This could be seen once. It is in no exported chat."
LIVE_WORDS: Final = "A live location was shared here. It is in no exported chat."
MAPS: Final = "https://maps.google.com/"
_PLACE: Final = re.compile(r"^[^\n:]{0,40}:?\s?https://maps\.google\.com/\?q=(-?\d{1,2}\.?\d*),(-?\d{1,3}\.?\d*)\s*$")
_DATED_NAME: Final = re.compile(
    r"^(?:\d{8}-\w+-(\d{4})-(\d{2})-(\d{2})-|(?:IMG|VID|AUD|PTT|STK|DOC)-(\d{4})(\d\d)(\d\d)-WA)"
)

SUFFIXES: Final[dict[str, Kind]] = {
    suffix: kind
    for kind, suffixes in (
        (Kind.IMAGE, "jpg jpeg png heic gif"),
        (Kind.STICKER, "webp"),
        (Kind.VIDEO, "mp4 3gp mov mkv webm m4v"),
        (Kind.AUDIO, "opus ogg oga m4a mp3 aac amr wav"),
        (Kind.CONTACTS, "vcf"),
    )
    for suffix in suffixes.split()
}


class Content(NamedTuple):
    """What somebody wrote, understood."""

    kind: Kind
    text: str | None = None
    file: str | None = None
    place: tuple[float, float] | None = None
    is_edited: bool = False


@dataclass(slots=True)
class _Block:
    """A stamped line and the lines that go on with it."""

    line: int
    stamp: Stamp
    rest: str
    more: list[str] = field(default_factory=list)
    chars: int = 0

    def add(self, line: str) -> None:
        self.more.append(line)
        self.chars += len(line)
        if self.chars > TEXT_CHARS_MAX:
            raise TooLarge(
                f"The message at line {self.line:,} has more than {TEXT_CHARS_MAX:,} signs; WhatsApp allows 65,536.",
                next_step="Export the chat again, and give the file as it is.",
            )


def kind_of_file(name: str) -> Kind:
    """Return what kind of message a file of this name makes."""
    if name.startswith("STK-") or "-STICKER-" in name:
        return Kind.STICKER
    return SUFFIXES.get(name.rpartition(".")[2].lower(), Kind.DOCUMENT)


def entries(
    lines: Iterable[str], files: Collection[str], order: DateOrder | None = None, colon_names: Collection[str] = ()
) -> Iterator[Entry]:
    """Yield what the chat holds, in its order.

    ``lines`` have no line ends; ``files`` are the names of the package's files, composed (NFC). With ``order``, a line
    whose date does not exist in it goes on with the message before. ``colon_names`` are names with a colon in them.
    Raises Invalid for what is no chat, and TooLarge above MESSAGES_COUNT_MAX or TEXT_CHARS_MAX.
    """
    for count, block in enumerate(_blocks(lines, order)):
        if count >= MESSAGES_COUNT_MAX:
            raise TooLarge(f"The file has more than {MESSAGES_COUNT_MAX:,} messages; WhatsApp exports 40,000 at most.")
        yield _entry(block, files, colon_names)


def no_chat() -> Invalid:
    """The error for a file that is something else."""
    return Invalid(
        "This is not a chat that WhatsApp exported.",
        next_step="On the phone, open the chat, then its menu: More, Export chat. Give the file here as it is.",
    )


def _blocks(lines: Iterable[str], order: DateOrder | None) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in enumerate(lines, 1):
        found = read_stamp(line)
        if found is not None and (order is None or found[0].local(order) is not None):
            if block is not None:
                yield block
            block = _Block(number, *found, chars=len(line))
        elif block is not None:
            block.add(line)
        elif number > PREAMBLE_LINES_MAX:
            raise no_chat()
    if block is None:
        raise no_chat()
    yield block


def _entry(block: _Block, files: Collection[str], colon_names: Collection[str]) -> Entry:
    rest = block.rest
    full = next((name for name in colon_names if unmarked(rest).strip().startswith(f"{name}:")), None)
    start = rest.index(":", len(full)) if full else rest.find(": ")
    if start < 0 and rest.rstrip().endswith(":"):
        start = len(rest.rstrip()) - 1  # an empty message, its last space lost
    sender = name_of(rest[:start]) if start > 0 else ""
    if not sender or len(sender) > NAME_CHARS_MAX or _is_encryption_notice(rest):
        return Entry(block.line, block.stamp, None, Kind.NOTICE, "\n".join([rest, *block.more]))
    content = content_of("\n".join([rest[start + 2 :], *block.more]), files)
    return Entry(block.line, block.stamp, sender, *content)


@lru_cache(maxsize=256)
def name_of(raw: str) -> str:
    """Return a name without marks, and without the wave before people who are not in the address book."""
    return unmarked(raw).strip().removeprefix("~").strip()


def core(text: str) -> str:
    """Return ``text`` as the tables of ``phrases`` have it: no marks, angle brackets, final stop, capitals."""
    return unmarked(text).strip().strip("<>").strip().rstrip(".。").strip().casefold()


def _is_encryption_notice(text: str) -> bool:
    begins = core(text[:LEAD_CHARS]).startswith(phrases.ENCRYPTED)
    return begins and any(word in text.casefold() for word in phrases.ENCRYPTION)


# ── what somebody wrote ───────────────────────────────────────────────────────────────────────────────────


def content_of(body: str, files: Collection[str]) -> Content:
    """Return what the text after a name means: a text, a file, or words of WhatsApp's own.

    ``files`` are the names of the package's files. What is not recognised is a text: nothing is lost.
    """
    is_edited = False
    edited = _EDITED.search(body) if ">" in body[-4:] else None
    if edited and core(edited[1]) in phrases.EDITED:
        body, is_edited = body[: edited.start()], True
    first, _, after = body.partition("\n")
    said = core(first)
    is_marked = body.startswith(("\u200e", "\u200f"))
    content = _file(body, files) if "<" in body or ")" in first else None
    content = content or _omitted(first, said, after)
    if content is None and not after:
        content = _place(body) or _own_words(said, is_marked=is_marked, has_mark="\u200e" in body)
    if content is None:
        text = body.replace("\0", "").strip()
        content = Content(Kind.TEXT, text.removeprefix("\u200e")) if said or core(text) else Content(Kind.EMPTY)
    return content._replace(is_edited=is_edited)


def _own_words(said: str, *, is_marked: bool, has_mark: bool) -> Content | None:
    if not said or said == "null":
        return Content(Kind.EMPTY)
    if said in phrases.DELETED:
        return Content(Kind.DELETED)
    if said in phrases.ONCE or said.startswith(tuple(f"{phrase}. " for phrase in phrases.ONCE)):
        return Content(Kind.PHONE_ONLY, ONCE_WORDS)
    if said in phrases.LIVE_LOCATION:
        return Content(Kind.PHONE_ONLY, LIVE_WORDS)
    if said in phrases.MISSED_CALLS or (
        has_mark and re.split(r"[,.]", said)[0] in phrases.MISSED_CALLS | phrases.CALLS
    ):
        return Content(Kind.CALL)
    if _is_encryption_notice(said) or (is_marked and any(word in said for word in phrases.NOTICES)):
        return Content(Kind.NOTICE, said)
    return None


def _file(body: str, files: Collection[str]) -> Content | None:
    """``caption <attached: name>`` of iOS, or ``name (file attached)`` of Android with the caption on the next line."""
    found = _ANDROID_FILE.match(body) or _IOS_FILE.search(body)
    if found is None:
        return None
    given = unicodedata.normalize("NFC", unmarked(found["file"]).strip())
    words = core(found["word"] or found.groupdict().get("after") or "")
    if given not in files and words not in phrases.ATTACHED and not (words and _IOS_NAME.match(given)):
        return None
    kind = kind_of_file(given)
    before, after = body[: found.start()].strip(), body[found.end() :].strip()
    if kind is Kind.DOCUMENT and _DOCUMENT_LEAD.match(unmarked(before)):
        before = ""  # iOS: the document's name and pages once more
    caption = "\n".join(part for part in (before, after) if part).replace("\0", "") or None
    return Content(kind if given in files else Kind.OMITTED, caption, given)


def _omitted(first: str, said: str, after: str) -> Content | None:
    """``<Media omitted>`` of Android, with caption or file name on the next line; ``‎image omitted`` of iOS."""
    lead, _, last = first.rpartition("\u200e")
    if said not in phrases.OMITTED and not (lead and core(last) in phrases.OMITTED):
        return None
    caption = "" if _DOCUMENT_LEAD.match(unmarked(lead).strip()) else unmarked(lead).strip()
    name = after.strip() if _DOCUMENT_LEAD.match(after.strip()) else None
    text = caption or (after.strip() if name is None else "")
    return Content(Kind.OMITTED, text.replace("\0", "") or None, name)


def _place(body: str) -> Content | None:
    found = _PLACE.match(unmarked(body)) if MAPS in body else None
    if found is None:
        return None
    latitude, longitude = float(found[1]), float(found[2])
    return (
        Content(Kind.LOCATION, place=(latitude, longitude)) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
    )


# ── the whole file ────────────────────────────────────────────────────────────────────────────────────────


def survey(read: Callable[[], Iterable[str]], files: Collection[str], latest: date) -> Survey:
    """Read the whole chat once and tell what it is. ``read`` begins its lines anew; ``latest`` is tomorrow.

    Raises Invalid for what is no chat with one person: another file, a group, dates that make no sense.
    """
    tally = _Tally()
    for entry in entries(read(), files):
        tally.add(entry, files)
    if colon_names := tally.colon_names():
        tally = _Tally()
        for entry in entries(read(), files, colon_names=colon_names):
            tally.add(entry, files)
    return tally.survey(latest)


@dataclass(slots=True)
class _Tally:
    """What a survey counts while it reads."""

    dates: DateEvidence = field(default_factory=DateEvidence)
    names: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    samples: dict[str, Sample] = field(default_factory=dict)
    second_names: dict[str, str | None] = field(default_factory=dict)
    first: Stamp | None = None
    last: Stamp | None = None
    message_count: int = 0
    file_count: int = 0
    missing_count: int = 0
    is_group: bool = False

    def add(self, entry: Entry, files: Collection[str]) -> None:
        self.dates.add(entry.stamp)
        self.kinds[entry.kind] += 1
        if entry.kind is Kind.NOTICE:
            said = core(entry.text or "")
            self.is_group |= not _is_encryption_notice(entry.text or "") and any(
                word in said for word in phrases.GROUPS
            )
        if entry.sender is None or entry.kind is Kind.NOTICE:
            return
        self.names[entry.sender] += 1
        if entry.kind in SKIPPED:
            return
        self.message_count += 1
        self.first, self.last = self.first or entry.stamp, entry.stamp
        self._look_for_colon(entry)
        if entry.kind in FILES - {Kind.CONTACTS}:
            self.file_count += 1
        elif entry.kind is Kind.OMITTED:
            self.missing_count += 1
        if entry.file and (dated := _DATED_NAME.match(entry.file)):
            year, month, day = (int(part) for part in dated.groups() if part is not None)
            with suppress(ValueError):
                self.dates.add_file(entry.stamp, date(year, month, day))
        if entry.kind is Kind.TEXT and len(entry.text or "") in SAMPLE_CHARS:
            self._keep(Sample(entry.sender, entry.text or "", entry.stamp))

    def _keep(self, sample: Sample) -> None:
        self.samples.pop(sample.text, None)  # what is said again is told by its last time
        self.samples[sample.text] = sample
        if len(self.samples) > SAMPLES_COUNT:
            del self.samples[next(iter(self.samples))]

    def _look_for_colon(self, entry: Entry) -> None:
        assert entry.sender is not None
        second, colon, _ = (entry.text or "").partition("\n")[0].partition(": ")
        found = second if colon and len(second) < NAME_CHARS_MAX else None
        if self.second_names.setdefault(entry.sender, found) != found:
            self.second_names[entry.sender] = None

    def colon_names(self) -> list[str]:
        """Names in which a colon stands: every message of theirs seems to begin with the same word and a colon."""
        return [
            f"{name}: {second}"
            for name, second in self.second_names.items()
            if second and self.names[name] >= COLON_NAME_COUNT
        ]

    def survey(self, latest: date) -> Survey:
        if self.is_group or len(self.names) > PEOPLE_COUNT:
            raise Invalid(
                f"This is the chat of a group: {len(self.names):,} people wrote in it. Groups are not brought in.",
                next_step="Export a chat with one customer.",
            )
        if self.first is None or self.last is None:
            raise Invalid("There is no message in this chat, only notices of WhatsApp.")
        orders = self.dates.orders(latest)
        if not orders:
            raise Invalid(
                "The dates in this file make no sense: they lie in the future, or are of another calendar.",
                next_step="Set the phone's calendar to Gregorian and its date right, and export the chat again.",
            )
        return Survey(
            is_ios=self.first.is_bracketed,
            has_seconds=self.first.second is not None,
            message_count=self.message_count,
            names=self.names,
            kinds=self.kinds,
            orders=orders,
            first=self.first,
            last=self.last,
            file_count=self.file_count,
            missing_count=self.missing_count,
            samples=list(self.samples.values()),
        )
