"""Taking private people out of a delivery: before anything is made of it, and without looking at anybody else's words.

An item goes as a whole as soon as any id in it is private: a message, a status, an address-book entry, a chat of the
history, one of ``contacts[]``, an element of an array that nobody has documented. Every string and number in it counts
that has the form of a phone or a BSUID, under whichever name (meta-protocol 6): a card with a private number goes with
the message that shows it. What is left is, byte for byte, as Meta sent it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import msgspec
from msgspec import Raw

from coexist.meta.decode import clean, members, unwrapped
from coexist.meta.phones import digits, match_key, same_number

IsPrivate = Callable[[str], bool]
"""Whether an id is on the list: a phone as digits, in any national form, or a BSUID."""

ListOf = Callable[[str], IsPrivate | None]
"""The list that counts for a business phone number, by its phone_number_id, or for a WABA; None where there is none."""

PHONE_DIGITS: Final = range(7, 16)
_BSUID: Final = re.compile(r"[A-Z]{2}\.[\w.-]{1,128}")
_JID: Final = re.compile(r"(\d+)(?::\d+)?@(?:s\.whatsapp\.net|c\.us|lid)")

_TEXTS: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(?<![\w.])(\d{7,15})(?![\w.])')
"""The texts and the whole numbers of a JSON."""

ITEMS: Final = (
    "contacts", "messages", "message_echoes", "statuses", "state_sync", "user_id_update", "user_preferences", "calls",
    "groups", "errors",
)  # fmt: skip
"""The arrays of a change whose elements are about one person each."""

PERSONAL: Final = frozenset(ITEMS) - {"contacts", "errors"}
"""Those of which an item without any id is about the contact beside it."""

AROUND: Final = frozenset({"messaging_product", "metadata", "contacts"})
"""Members without which a change still says something: when nothing but these is left, it goes as a whole."""

SIDES: Final = (
    ("from", "from_user_id", "from_parent_user_id"),
    ("to", "to_user_id", "to_parent_user_id"),
    ("recipient_id", "recipient_user_id", "recipient_parent_user_id", "parent_recipient_user_id", "parent_user_id"),
    ("recipient_participant_id", "participant_recipient_id", "recipient_participant_user_id"),
    ("wa_id", "new_wa_id", "phone_number", "user_id", "parent_user_id"),
    ("previous", "current"),
)
"""Names that belong together in one object: what stands under them are ids of one person."""

ANYBODY: Final = frozenset(name for side in SIDES for name in side)
OWN_CARD: Final = "contact_request"
LEARNING_ROUNDS: Final = 8
"""How long a chain of ids in one delivery may be: phone, BSUID, next BSUID, …"""


@dataclass(slots=True)
class Redaction:
    """What became of a delivery. ``body`` is None when nothing is left.

    ``learned`` are (phone_number_id, id on the list, id of the same person that may not be). ``wamids`` are
    (phone_number_id, message id) of what was taken out: whatever else names those is about them.
    """

    body: bytes | None
    removed_count: int = 0
    learned: set[tuple[str, str, str]] = field(default_factory=set)
    wamids: set[tuple[str, str]] = field(default_factory=set)


def redact(body: bytes, list_of: ListOf) -> Redaction:
    """Take out of a delivery whatever names a private person. Never raises; an untouched body comes back as it is.

    BSUIDs (and, where Meta says that the person moved, phones) that stand beside a private id are private as well from
    here on, within the delivery at once.
    """
    found = Redaction(body)
    bodies = unwrapped(clean(body))
    kept = [_body(raw, list_of, found) for raw in bodies]
    if not found.removed_count:
        return found
    left = [raw for raw in kept if raw is not None]
    if not left:
        found.body = None
    elif len(bodies) > 1:
        found.body = msgspec.json.encode(left)
    else:
        found.body = bytes(left[0])
    return found


def names(value: object, is_private: IsPrivate) -> bool:
    """Whether a decoded piece of a delivery names somebody private, under any id."""
    return any(is_private(key) for key in _keys(value))


def _body(raw: Raw, list_of: ListOf, found: Redaction) -> Raw | None:
    body, before = members(raw), found.removed_count
    if "entry" not in body:
        return _change(raw, list_of, found)
    entries = [_entry(entry, list_of, found) for entry in members(body["entry"]).values()]
    return _kept(raw, body, "entry", entries) if found.removed_count > before else raw


def _entry(raw: Raw, list_of: ListOf, found: Redaction) -> Raw | None:
    entry, before = members(raw), found.removed_count
    if "changes" not in entry:
        return _change(raw, list_of, found)
    entry_id = _decoded(entry.get("id"))
    changes = [_change(change, list_of, found, entry_id) for change in members(entry["changes"]).values()]
    return _kept(raw, entry, "changes", changes) if found.removed_count > before else raw


def _kept(raw: Raw, parts: dict[Any, Raw], name: str, items: Iterable[Raw | None]) -> Raw | None:
    """An object with what is left of one of its arrays; nothing when that is nothing."""
    left = [item for item in items if item is not None]
    return Raw(msgspec.json.encode(parts | {name: left})) if left else None


def _change(raw: Raw, list_of: ListOf, found: Redaction, entry_id: object = None) -> Raw | None:
    """A change, or a bare value. One that names no number goes as a whole when it names somebody private."""
    change = members(raw)
    is_bare = "value" not in change
    value = change if is_bare else members(change["value"])
    metadata = _decoded(value.get("metadata"))
    named = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
    if named in (None, ""):
        is_private = list_of(str(entry_id)) if entry_id else None
        if is_private is None or not names(_decoded(raw), is_private):
            return raw
        found.removed_count += 1
        return None
    is_private = list_of(str(named))
    if is_private is None:
        return raw
    sieve = Sieve(str(named), digits(metadata.get("display_phone_number")), is_private, found)
    left = sieve.value(value)
    if left is value:
        return raw
    if left is None:
        return None
    return Raw(msgspec.json.encode(left if is_bare else change | {"value": left}))


class Sieve:
    """One change on its way through: its number's list, and whom it has told of so far."""

    __slots__ = ("_found", "_is_private", "_learned", "_number", "_own", "_seen")

    def __init__(self, number: str, own: str | None, is_private: IsPrivate, found: Redaction) -> None:
        self._number, self._own, self._is_private, self._found = number, own, is_private, found
        self._learned = {key: known for phone_number_id, known, key in found.learned if phone_number_id == number}
        self._seen: dict[str, bool] = {}

    def value(self, value: dict[Any, Raw]) -> dict[Any, Raw] | None:
        """The change's value without private people: itself if there are none, None if nothing is left."""
        arrays = {name: list(members(value[name]).values()) for name in ITEMS if name in value}
        decoded = {name: [_decoded(item) for item in items] for name, items in arrays.items()}
        chunks = list(members(value["history"]).values()) if "history" in value else []
        self._learn([*(item for items in decoded.values() for item in items), *_threads(chunks)])
        hides = any(self._names(contact) for contact in decoded.get("contacts", ()))
        left: dict[Any, Raw] = {}
        for name, items in arrays.items():
            kept = [item for item, tree in zip(items, decoded[name], strict=True) if self._stays(name, tree, hides)]
            if len(kept) < len(items):
                left[name] = Raw(msgspec.json.encode(kept))
        history = [self._chunk(chunk) for chunk in chunks]
        if any(one is not chunk for one, chunk in zip(history, chunks, strict=True)):
            left["history"] = Raw(msgspec.json.encode(history))
        unknown = {name: raw for name, raw in value.items() if name not in (*ITEMS, *AROUND, "history")}
        left |= {name: other for name, raw in unknown.items() if (other := self._unknown(raw)) is not raw}
        if not left:
            return value
        rest = value | left
        return rest if any(members(raw) for name, raw in rest.items() if name not in AROUND) else None

    def _unknown(self, raw: Raw) -> Raw:
        """A member that nobody has documented: an array without the elements that name somebody private, or nothing."""
        if not self._names(_decoded(raw)):
            return raw
        items = members(raw) if bytes(raw).lstrip().startswith(b"[") else {}
        kept = [item for item in items.values() if not self._names(_decoded(item))]
        self._found.removed_count += max(1, len(items) - len(kept))
        return Raw(msgspec.json.encode(kept)) if items else Raw(b"null")

    def _stays(self, name: str, tree: Any, hides: bool) -> bool:
        """Whether an item is nobody private's. One without any id is given to the contact beside it: ``hides``."""
        if not self._names(tree) and not (hides and name in PERSONAL and not self._names_anybody(tree)):
            return True
        self._found.removed_count += 1
        self._note(tree)
        return False

    def _note(self, tree: Any) -> None:
        if isinstance(tree, dict) and isinstance(tree.get("id"), str):
            self._found.wamids.add((self._number, tree["id"]))

    def _chunk(self, raw: Raw) -> Raw:
        """A chunk of the history without private people's chats; its progress stays."""
        chunk = members(raw)
        threads = list(members(chunk["threads"]).values()) if "threads" in chunk else []
        kept = [left for thread in threads if (left := self._thread(thread)) is not None]
        if len(kept) == len(threads) and all(one is thread for one, thread in zip(kept, threads, strict=True)):
            return raw
        return Raw(msgspec.json.encode(chunk | {"threads": kept}))

    def _thread(self, raw: Raw) -> Raw | None:
        """A chat: gone if it is with somebody private, else without the messages that name somebody private."""
        thread = members(raw)
        messages = list(members(thread["messages"]).values()) if "messages" in thread else []
        trees = [_decoded(message) for message in messages]
        head = {name: _decoded(part) for name, part in thread.items() if name != "messages"}
        is_theirs = self._names(head)
        goes = [is_theirs or self._names(tree) for tree in trees]
        if not is_theirs and not any(goes):
            return raw
        self._found.removed_count += max(1, sum(goes))
        for tree in compress(trees, goes):
            self._note(tree)
        kept = [message for message, is_gone in zip(messages, goes, strict=True) if not is_gone]
        return Raw(msgspec.json.encode(thread | {"messages": kept})) if kept else None

    # ── who is named ──────────────────────────────────────────────────────────────────────────────────────

    def _names(self, tree: Any) -> bool:
        """Whether any id in it is private."""
        return names(tree, self._is)

    def _is(self, key: str) -> bool:
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = not same_number(key, self._own) and self._is_private(key)
        return known or key in self._learned

    def _names_anybody(self, tree: Any) -> bool:
        """Whether it names somebody other than the business itself."""
        if not isinstance(tree, dict):
            return False
        ids = [str(tree[name]) for name in ANYBODY if isinstance(tree.get(name), str | int)]
        return any(key and not same_number(digits(key), self._own) for key in ids)

    # ── who is learned ────────────────────────────────────────────────────────────────────────────────────

    def _learn(self, trees: list[Any]) -> None:
        """Take the ids that stand beside private ones for private, until that leads to no more."""
        groups = [group for tree in trees for group in _groups(tree)]
        for _ in range(LEARNING_ROUNDS):
            before = len(self._learned)
            for ids, next_ids in groups:
                known = next((key for key in ids if self._is(key)), None)
                if known is None:
                    continue
                for key in ids:
                    is_theirs = "." in key or (key in next_ids and known not in next_ids)
                    if is_theirs and not self._is(key) and not same_number(key, self._own):
                        root = self._learned[key] = self._learned.get(known, known)
                        self._found.learned.add((self._number, root, key))
            if len(self._learned) == before:
                return


def _threads(chunks: list[Raw]) -> Iterator[Any]:
    for chunk in chunks:
        for thread in members(members(chunk).get("threads", Raw(b""))).values():
            yield _decoded(thread)


Group = tuple[list[str], list[str]]


def _groups(tree: Any) -> Iterator[Group]:
    """Ids that are one person's because they stand together; and those of them to which the person moved.

    A BSUID names one person for good. A phone beside it may be somebody else's tomorrow: only where Meta tells that a
    person moved is the next one theirs as well.
    """
    if isinstance(tree, list):
        for one in tree:
            yield from _groups(one)
        return
    if not isinstance(tree, dict):
        return
    for side in SIDES:
        # an update names the ids of one person under several names: {"wa_id": …, "user_id": {"previous": …}}
        ids = [key for name in side for key in _keys(tree.get(name))]
        if len(ids) > 1:
            yield ids, []
    sender = [key for name in SIDES[0] for key in _keys(tree.get(name))]
    if isinstance(system := tree.get("system"), dict):
        moved_to = [key for name in SIDES[4] for key in _keys(system.get(name))]
        yield [*sender, *moved_to], moved_to
    if "messages" in tree and isinstance(context := tree.get("context"), dict):
        yield [*_keys(tree.get("id")), *(key for name in SIDES[4] for key in _keys(context.get(name)))], []
    yield [*sender, *_own_card(tree)], []
    for part in tree.values():
        if isinstance(part, dict | list):
            yield from _groups(part)


def _own_card(message: dict[str, Any]) -> Iterator[str]:
    """The phone of a card that is the sender's own: it answers our request for contact details."""
    cards = message.get("contacts")
    for card in cards if isinstance(cards, list) else ():
        if isinstance(card, dict) and OWN_CARD in (card.get("origin"), message.get("origin")):
            yield from _keys(card.get("phones"))


def _keys(tree: Any) -> Iterator[str]:
    """Everything in it that has the form of an id: phones as match keys, and BSUIDs."""
    if isinstance(tree, str):
        key = _key(tree)
        if key is not None:
            yield key
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from _keys(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _keys(part)
    elif isinstance(tree, int) and not isinstance(tree, bool):
        yield from _keys(str(tree))


def _key(text: str) -> str | None:
    if len(text) > 160:
        return None
    if (jid := _JID.fullmatch(text)) is not None:
        text = jid[1]
    if _BSUID.fullmatch(text):
        return text
    number = digits(text)
    return match_key(number) if number is not None and len(number) in PHONE_DIGITS else None


def _decoded(raw: Raw | None) -> Any:
    """A piece of a delivery. Of one that cannot be decoded (1e999 is valid JSON) the texts: they name people."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return [text or number for text, number in _TEXTS.findall(bytes(raw).decode(errors="replace"))]
