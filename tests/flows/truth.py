"""The closing assertion of every flow: what `coexist export` tells of the account is what the phone shows.

`differences` compares in both directions: what the platform was told and we lack or tell otherwise, and what we tell
and the phone does not show. What the platform was never told (``told`` is null on the phone) must not be here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tests.flows.expected import Json, expected, moment


@dataclass(frozen=True)
class Known:
    """What a flow knows and the phone does not show.

    ``takes_history``: what the history told is taken in here. ``takes_book``: the address book was told, and taken in;
    None for "as the phone remembers being asked". ``former`` names the ids, by chat, that somebody had before they
    moved to another number: each move is one notice in their conversation.
    """

    takes_history: bool = True
    takes_book: bool | None = None
    former: Mapping[str, frozenset[str]] = field(default_factory=dict)


AS_SHOWN: Final = Known()
"""Everything was told and taken in, nobody moved."""


def differences(lines: Sequence[Json], truth: Json, known: Known = AS_SHOWN) -> list[str]:
    """Return a sentence for each difference between the export's lines and ``/control/truth``; none when equal."""
    export = Export.of(lines)
    phone = Phone.of(truth, known)
    people = People(export, phone)
    return [
        *_inbox_differences(export, phone),
        *people.differences(),
        *_conversation_differences(export, phone, people),
        *_message_differences(export, phone, people),
        *(f"quarantined: {line['part']}: {line['error']}" for line in export.quarantined),
    ]


# ── the two sides ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Export:
    """The lines of an export by kind."""

    inboxes: Sequence[Json]
    contacts: Sequence[Json]
    conversations: Sequence[Json]
    messages: Sequence[Json]
    quarantined: Sequence[Json]

    @classmethod
    def of(cls, lines: Sequence[Json]) -> Export:
        kinds = ("inbox", "contact", "conversation", "message", "quarantined")
        return cls(*([line for line in lines if line["kind"] == kind] for kind in kinds))


@dataclass(frozen=True)
class Phone:
    """What the phone shows, as far as the platform was told of it."""

    truth: Json
    known: Known
    chats: Mapping[str, Json]
    told: Mapping[str, Sequence[Json]]

    @classmethod
    def of(cls, truth: Json, known: Known) -> Phone:
        chats = {chat["chat"]: chat for chat in truth["chats"]}
        told = {key: [one for one in chat["messages"] if _is_told(one, known)] for key, chat in chats.items()}
        return cls(truth, known, chats, told)

    @property
    def takes_book(self) -> bool:
        asked = "smb_app_state_sync" in self.truth["connection"]["requested"]
        return asked if self.known.takes_book is None else self.known.takes_book

    def is_expected(self, key: str) -> bool:
        """Whether the person of a chat must be among the contacts."""
        return bool(self.told[key]) or (self.takes_book and self.chats[key]["contact"]["in_address_book"])

    def ids(self, key: str) -> set[str]:
        """Every id under which the person may have been told, but for the username."""
        contact = self.chats[key]["contact"]
        own = {contact["bsuid"], contact["wa_id"], contact["book_phone"]} - {None}
        return own | self.known.former.get(key, frozenset())


def _is_told(message: Json, known: Known) -> bool:
    return message["told"] is not None and (known.takes_history or message["told"] != "history")


# ── the number ────────────────────────────────────────────────────────────────────────────────────────────


def _inbox_differences(export: Export, phone: Phone) -> Iterator[str]:
    if len(export.inboxes) != 1:
        yield f"{len(export.inboxes)} inboxes, the phone has one number"
        return
    (inbox,), number = export.inboxes, phone.truth["number"]
    media = Counter(line["media"]["state"] for line in export.messages if line["media"])
    wanted = {
        "phone_number_id": number["phone_number_id"],
        "waba_id": number["waba_id"],
        "display_phone_number": number["digits"],
        "state": phone.truth["connection"]["state"],
        "counts": {
            "contacts": len(export.contacts),
            "conversations": len(export.conversations),
            "messages": len(export.messages),
            "imported_messages": sum(line["imported"] for line in export.messages),
            "placeholders": sum(line["placeholder"] for line in export.messages),
            "media_waiting": media["waiting"],
            "media_stored": media["stored"],
            "media_gone": media["gone"] + media["failed"],
        },
    }
    yield from _fields("inbox", inbox, wanted)


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class People:
    """Which contact of ours is which person on the phone: they share an id."""

    export: Export
    phone: Phone
    chat_of: dict[str, str] = field(default_factory=dict)  # contact id → chat
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        owners: dict[str, str] = {}
        for key in self.phone.chats:
            owners |= dict.fromkeys(self.phone.ids(key), key)
        for contact in self.export.contacts:
            self._place(contact, owners)

    def _place(self, contact: Json, owners: Mapping[str, str]) -> None:
        values = {one["value"] for one in contact["identities"] if one["type"] != "username"}
        chats = {owners[value] for value in values if value in owners}
        name = f"contact {contact['id']} {contact['names']}"
        self.problems += [f"{name}: the phone knows no {value}" for value in sorted(values - owners.keys())]
        if len(chats) != 1:
            self.problems.append(f"{name} is {' and '.join(sorted(chats)) or 'nobody'} on the phone")
            return
        (chat,) = chats
        if chat in self.chat_of.values():
            self.problems.append(f"{name}: {chat} is a contact twice")
        self.chat_of[contact["id"]] = chat

    def differences(self) -> list[str]:
        """Return what is wrong with who is here, and with what is said of them."""
        found = list(self.problems)
        here = set(self.chat_of.values())
        for key in self.phone.chats:
            if self.phone.is_expected(key) != (key in here):
                found.append(f"contact {key} is {'missing' if key not in here else 'here, and was never told'}")
        for contact in self.export.contacts:
            if contact["id"] in self.chat_of:
                found += _contact_differences(contact, self.phone, self.chat_of[contact["id"]])
        return found


def _contact_differences(line: Json, phone: Phone, key: str) -> Iterator[str]:
    who, told, takes_book = phone.chats[key]["contact"], phone.told[key], phone.takes_book
    names, name = line["names"], f"contact {key}"
    ids: dict[str, set[str]] = {"bsuid": set(), "phone": set(), "wa_id": set(), "username": set()}
    for one in line["identities"]:
        ids.setdefault(one["type"], set()).add(one["value"])
    in_book = takes_book and who["in_address_book"]
    has_both_ids = who["phone_hidden"] or who["book_phone"] in (None, who["wa_id"])
    has_written = any(one["direction"] == "inbound" and one["told"] in ("live", "unavailable") for one in told)
    is_in_history = any(one["told"] == "history" for one in told)

    if names["agent"] is not None:
        yield f"{name}: nobody named them {names['agent']!r}"
    if takes_book or names["address_book"] is not None:
        yield from _fields(name, names, {"address_book": who["book_name"]})
        yield from _fields(name, line, {"in_address_book": who["in_address_book"]})
    if has_written or names["profile"] is not None:
        yield from _fields(name, names, {"profile": who["profile_name"] or None})
    wanted = {
        "bsuid": {who["bsuid"]} if told or (in_book and has_both_ids) else set(),
        "wa_id": {who["shown_phone"]} - {None} if told else set(),
        "username": {who["username"]} - {None} if has_written or is_in_history else set(),
        "phone": ({who["book_phone"]} if in_book and not who["phone_hidden"] else set()) - {None},
    }
    allowed = phone.ids(key) | {who["username"]}
    for kind, values in ids.items():
        missing, extra = wanted.get(kind, set()) - values, values - allowed
        if missing or extra:
            yield f"{name}: {kind} lacks {sorted(missing)} and has beyond the phone {sorted(extra)}"


# ── conversations ─────────────────────────────────────────────────────────────────────────────────────────


def _conversation_differences(export: Export, phone: Phone, people: People) -> Iterator[str]:
    here = Counter(people.chat_of.get(line["contact"], f"contact {line['contact']}") for line in export.conversations)
    wanted = {key for key, told in phone.told.items() if told}
    yield from (f"conversation with {key} is here {count} times" for key, count in here.items() if count > 1)
    yield from (f"conversation with {key} is missing" for key in sorted(wanted - here.keys()))
    yield from (f"conversation with {key} is here, and nothing of it was told" for key in sorted(here.keys() - wanted))
    number = phone.truth["number"]["phone_number_id"]
    for line in export.conversations:
        key = people.chat_of.get(line["contact"], "")
        if key not in wanted:
            continue
        name, until = f"conversation with {key}", phone.chats[key]["window_until"]
        own = [one["sent_at"] for one in export.messages if one["conversation"] == line["id"]]
        newest = max(own, key=datetime.fromisoformat, default=None)
        yield from _fields(name, line, {"id": f"{number}:{line['contact']}", "last_message_at": newest})
        yield from _fields(name, line, {"phone_number_id": number})
        window = {"open": until is not None, "why": is_why_open if until is not None else is_why_closed}
        yield from _fields(f"{name}: window", line["window"], window)
        if until is not None:
            yield from _fields(f"{name}: window", line["window"], {"expires_at": moment(until)})


def is_why_open(value: object) -> bool:
    return value == "open"


def is_why_closed(value: object) -> bool:
    return value in ("never", "expired")


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────


def _message_differences(export: Export, phone: Phone, people: People) -> Iterator[str]:
    chat_of = {line["id"]: people.chat_of.get(line["contact"], "") for line in export.conversations}
    notices = Counter(chat_of.get(line["conversation"], "") for line in export.messages if line["type"] == "system")
    if notices != Counter(phone.known.former.keys()):
        yield f"notices of WhatsApp in {dict(notices)}, expected one for each of {sorted(phone.known.former)}"
    lines = [line for line in export.messages if line["type"] != "system"]
    here = Counter(line["wamid"] for line in lines)
    wanted = {one["wamid"]: one for told in phone.told.values() for one in told}
    shown = {one["wamid"]: one for chat in phone.chats.values() for one in chat["messages"]}
    yield from (f"{_name(wanted[wamid])} is missing" for wamid in wanted if wamid not in here)
    for wamid, count in here.items():
        if count > 1:
            yield f"message {wamid} is here {count} times"
        if wamid not in wanted:
            why = "was never told" if wamid in shown else "is not on the phone"
            texts = [line["text"] for line in lines if line["wamid"] == wamid]
            yield f"message {wamid} {texts} is here, and {why}"
    number, started_at = phone.truth["number"]["phone_number_id"], phone.truth["started_at"]
    for line in lines:
        if line["wamid"] not in wanted:
            continue
        message = wanted[line["wamid"]]
        if chat_of.get(line["conversation"]) != message["chat"]:
            place = chat_of.get(line["conversation"]) or line["conversation"]
            yield f"{_name(message)} is in the conversation with {place}"
        yield from _fields(_name(message), line, {"phone_number_id": number} | expected(message, started_at))


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


def _fields(name: str, line: Json, wanted: Json) -> Iterator[str]:
    for key, value in wanted.items():
        is_right = value(line[key]) if callable(value) else line[key] == value
        if not is_right:
            shown = value.__qualname__.replace(".<locals>", "") if callable(value) else repr(value)
            yield f"{name}: {key} is {line[key]!r}, the phone says {shown}"


def _name(message: Json) -> str:
    return f"message {message['wamid']} ({message['chat']}, told {message['told']}, {str(message['text'])[:40]!r})"
