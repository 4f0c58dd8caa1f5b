"""From entries of an export to messages as the inbox's own apply takes them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from coexist.exported_chats import matching, zones
from coexist.exported_chats.matching import Told
from coexist.exported_chats.model import SKIPPED, Choices, Entry, Kind
from coexist.inbox.model import EXPORTED_PREFIX
from coexist.meta.model import FROM_EXPORT, PLACEHOLDER, UNAVAILABLE, Direction, MessageTold, Origin

ID_BYTES: Final = 16

MIME_TYPES: Final = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "heic": "image/heic",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "3gp": "video/3gpp",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "opus": "audio/ogg; codecs=opus",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "wav": "audio/wav",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "zip": "application/zip",
    "vcf": "text/vcard",
}
"""What a file is by its name's end; its bytes are asked when it is stored."""


class Message(NamedTuple):
    """An entry that is a message, with its time and its id here."""

    entry: Entry
    direction: Direction
    at: datetime
    told: Told


@dataclass(slots=True)
class Teller:
    """Gives the entries of one chat their times, directions and ids, in the chat's order."""

    choices: Choices
    _previous: datetime | None = None
    _counts: Counter[tuple[datetime, str, bytes]] = field(default_factory=Counter)

    def messages(self, entries: Iterable[Entry]) -> Iterator[Message]:
        """Yield the entries that are messages. ``entries`` were read in the order of dates that was chosen."""
        where = zones.zone(self.choices.time_zone)
        for entry in entries:
            if entry.kind in SKIPPED or entry.sender is None:
                continue
            local = entry.stamp.local(self.choices.order)
            assert local is not None, "entries with impossible dates go on with the one before"
            at, other = zones.instant(local, where, self._previous)
            self._previous = at
            is_ours = entry.sender == self.choices.own_name
            direction = Direction.OUTBOUND if is_ours else Direction.INBOUND
            key = matching.key_of(entry.kind, entry.text)
            wamid = self._id(local, direction, key)
            told = Told(wamid, direction, entry.kind, key, at.timestamp(), other.timestamp() if other else None)
            yield Message(entry, direction, at, told)

    def _id(self, local: datetime, direction: str, key: bytes) -> str:
        """An id from what the file says alone: the same message of the same chat has it in every export.

        The same words of one side in the same minute are told apart by their order.
        """
        same = (local, direction, key)
        ordinal = self._counts[same]
        self._counts[same] += 1
        person = self.choices.person
        named = (person.bsuid or person.phone, local.isoformat(), direction, key.hex(), ordinal)
        return EXPORTED_PREFIX + blake2b(repr(named).encode(), digest_size=ID_BYTES).hexdigest()


def told(message: Message, choices: Choices, phone_number_id: str, card: tuple[str, bytes] | None) -> MessageTold:
    """Return the message for the inbox's apply, silent like every import.

    ``card`` are the names and the content of a contact card that could be read. Files are added once they are stored.
    """
    entry = message.entry
    kind, rank, text, content = entry.kind.value, FROM_EXPORT, entry.text, None
    if entry.kind is Kind.OMITTED:
        kind, rank = "media_placeholder", PLACEHOLDER
    elif entry.kind is Kind.PHONE_ONLY:
        kind, rank = "unsupported", UNAVAILABLE
    elif entry.kind is Kind.LOCATION and entry.place is not None:
        latitude, longitude = entry.place
        text = f"{latitude}, {longitude}"
        content = msgspec.json.encode({"location": {"latitude": latitude, "longitude": longitude}})
    elif entry.kind is Kind.CONTACTS:
        kind, (text, content) = (kind, card) if card else ("document", (text, None))
    return MessageTold(
        part=f"line {entry.line}",
        phone_number_id=phone_number_id,
        wamid=message.told.wamid,
        person=choices.person,
        direction=message.direction,
        origin=Origin.APP if message.direction is Direction.OUTBOUND else Origin.CONTACT,
        imported=True,
        content_rank=rank,
        type=kind,
        sent_at=message.at,
        text=text,
        content=content,
    )


def mime_type(name: str) -> str | None:
    """Return what a file is by its name, None for what we do not know."""
    return MIME_TYPES.get(name.rpartition(".")[2].lower())
