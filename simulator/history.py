"""The one-shot sync: the address book and 180 days of chats as webhook values (meta-protocol.md 5.4, 5.5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from simulator import files, payloads
from simulator.config import DAY_S, HISTORY_DAYS, MEDIA_DETAIL_DAYS, MEDIA_LIFE_S, Business
from simulator.world import Json, Message, Person, Reaction, World

CONTACTS_PER_WEBHOOK = 10
CHUNKS_AIMED_AT = 20
SMALLEST_CHUNK = 40
LARGEST_CHUNK = 2_000
PHASE_DAYS = (1, 90, HISTORY_DAYS)

REVOKED = "deleted on the phone before the history was shared"
TOO_OLD = f"older than {HISTORY_DAYS} days"


@dataclass(frozen=True)
class Chunk:
    """One `history` value, and the values with media details that belong to its placeholders."""

    value: Json
    details: tuple[Json, ...]


@dataclass(frozen=True)
class _Line:
    """One item of a thread: a message, or a reaction to one."""

    at: int
    person: Person
    message: Message
    side: str | None = None

    @property
    def inbound(self) -> bool:
        return self.message.inbound if self.side is None else self.side == "contact"


def contact_values(world: World, business: Business) -> Iterator[Json]:
    """The whole address book, some contacts a webhook."""
    book = [payloads.book_entry(person, "add") for person in world.people.values() if person.book_name]
    for start in range(0, len(book), CONTACTS_PER_WEBHOOK):
        yield payloads.state_sync_value(business, book[start : start + CONTACTS_PER_WEBHOOK])


def declined_value(business: Business) -> Json:
    """The answer when the business chose not to share."""
    details = "The business has turned off history sharing in the phone app."
    refusal = payloads.error(2593109, "History sharing is turned off", details)
    return {**payloads.channel(business), "history": [{"errors": [refusal]}]}


def chunks(
    world: World, business: Business, now: int, *, from_variant: bool = False, missing_end: bool = False
) -> Iterator[Chunk]:
    """All chunks, newest phase first; the threads of a phase are cut where a chunk is full.

    Marks every message with how the platform hears of it. `from_variant` writes the shop's own number without its
    ninth digit in `from`, as seen in Brazil. `missing_end` never tells progress 100.
    """
    lines = list(_lines(world, now))
    size = min(max(len(lines) // CHUNKS_AIMED_AT, SMALLEST_CHUNK), LARGEST_CHUNK)
    own = business.digits[:4] + business.digits[5:] if from_variant else business.digits
    told = 0
    for phase, (newest, oldest) in enumerate(zip((0, *PHASE_DAYS), PHASE_DAYS, strict=False)):
        within = [line for line in lines if newest * DAY_S <= now - line.at < oldest * DAY_S]
        for order, start in enumerate(range(0, len(within), size), start=1):
            part = within[start : start + size]
            told += len(part)
            progress = min(max(1, told * 100 // len(lines)), 99 if missing_end else 100)
            value = _chunk_value(world, business, part, own, (phase, order, progress))
            yield Chunk(value, tuple(_details(world, business, part, now, own)))


def _lines(world: World, now: int) -> Iterator[_Line]:
    """Everything the phone shares, chat by chat and in time order within a chat."""
    for key, person in world.people.items():
        found: list[_Line] = []
        for message in world.chat_messages(key):
            if message.revoked_at:
                message.not_told_why = message.not_told_why or REVOKED
            elif now - message.at >= HISTORY_DAYS * DAY_S:
                message.not_told_why = message.not_told_why or TOO_OLD
            else:
                found.append(_Line(message.at, person, message))
                message.told, message.not_told_why = message.told or "history", None
                found += (
                    _Line(made.at, person, message, side) for side, made in message.reactions.items() if made.emoji
                )
            world.changed(message)
        yield from sorted(found, key=lambda line: line.at)


def _chunk_value(world: World, business: Business, part: list[_Line], own: str, place: tuple[int, int, int]) -> Json:
    threads = []
    for person, lines in _by_person(part):
        ids = payloads.identity(person) | ({"username": person.username} if person.username else {})
        thread = {"id": person.shown_phone} if person.shown_phone else {}
        items = [_item(world, line, own) for line in lines]
        threads.append({**thread, "context": ids, "messages": items})
    phase, order, progress = place
    metadata = {"phase": phase, "chunk_order": order, "progress": progress}
    return {**payloads.channel(business), "history": [{"metadata": metadata, "threads": threads}]}


def _by_person(part: list[_Line]) -> Iterator[tuple[Person, list[_Line]]]:
    for _, lines in groupby(part, key=lambda line: line.person.key):
        kept = list(lines)
        yield kept[0].person, kept


def _head(line: _Line, own: str) -> Json:
    message = line.message
    wamid = message.reactions[line.side].wamid if line.side else message.wamid
    ids = {"id": wamid, "timestamp": str(line.at)}
    if line.inbound:
        return payloads.sender(line.person) | ids
    to = {"to": line.person.shown_phone} if line.person.shown_phone else {}
    return {"from": own, **to, **ids}


def _item(world: World, line: _Line, own: str) -> Json:
    """One message of a thread: its final text, a placeholder for media, or a reaction with a wamid of its own."""
    head, message = _head(line, own), line.message
    shared = {"history_context": {"status": message.status.upper() if message.status != "failed" else "ERROR"}}
    if line.side:
        made: Reaction = message.reactions[line.side]
        return payloads.reaction(head, message, made) | shared
    if message.unavailable:
        return {**head, "type": "unsupported", "errors": [payloads.unavailable_error()], **shared}
    if message.file:
        return {**head, "type": "media_placeholder", **shared}
    quoted = world.messages.get(message.reply_to or "")
    author = None
    if quoted:
        author = line.person.shown_phone if quoted.inbound else own
    return {**head, **payloads.context(message, author), **payloads.typed(message), **shared}


def _details(world: World, business: Business, part: list[_Line], now: int, own: str) -> Iterator[Json]:
    """The second piece of each placeholder, for media of the last 14 days (5.4)."""
    for line in part:
        message = line.message
        if line.side or not message.file or message.unavailable or now - message.at > MEDIA_DETAIL_DAYS * DAY_S:
            continue
        handle = world.handle_for(message, files.mime_type(world, message.file), now + MEDIA_LIFE_S)
        message.media_told = True
        world.changed(message)
        fields = payloads.media_fields(handle, files.find(world, message.file).sha256)
        head = _head(line, own)
        if not line.inbound:
            head["to_user_id"] = line.person.bsuid
        array = "messages" if line.inbound else "message_echoes"
        people = {"contacts": [payloads.identity(line.person)]}
        yield {**payloads.channel(business), **people, array: [{**head, **payloads.typed(message, fields)}]}
