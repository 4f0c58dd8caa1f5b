"""The past that the business shares once: field ``history`` (meta-protocol 5.4).

Chunks of threads in any order; the late detail of files under the same field; the refusal to share.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from coexist.meta import wire
from coexist.meta.decode import read
from coexist.meta.inbound import counterpart, recipient
from coexist.meta.messages import (
    IMPORTED,
    IMPORTED_LATE,
    INBOUND,
    OUTBOUND,
    tell,
    tell_group_message,
)
from coexist.meta.model import (
    Direction,
    HistoryDeclined,
    HistoryFailed,
    HistoryProgressed,
    MessageTold,
    Person,
    ProfileSeen,
)
from coexist.meta.persons import NOBODY, Contacts, ids_of
from coexist.meta.phones import digits, is_group, same_number
from coexist.meta.reading import Change

DECLINED_CODE: Final = 2593109
LAST_PHASE: Final = 2
DONE_PERCENT: Final = 100
LARGEST_CHUNK_ORDER: Final = 2**31 - 1


def read_history(change: Change) -> None:
    """Everything under field ``history``; ``messages[]`` here is late media, never a live message (C5)."""
    value = read(change.value, wire.HistoryValue)
    if not change.belongs_to(value.metadata):
        return
    change.flaw(change.part, value)
    for place, error in enumerate(value.errors):
        _tell_error(change, error, f"{change.part}.errors[{place}]")
    for place, chunk in enumerate(value.history):
        _read_chunk(change, chunk, f"{change.part}.history[{place}]")
    _read_late_media(change, value)
    if not (value.errors or value.history or value.messages or value.message_echoes or value.flaw):
        change.ignore()


def _read_chunk(change: Change, chunk: wire.Chunk, part: str) -> None:
    change.flaw(part, chunk)
    for place, error in enumerate(chunk.errors):
        _tell_error(change, error, f"{part}.errors[{place}]")
    if chunk.metadata is None and not chunk.threads and (chunk.errors or chunk.flaw):
        return
    metadata = chunk.metadata or wire.ChunkMetadata()
    change.flaw(f"{part}.metadata", metadata)
    message_count = 0
    for place, raw in enumerate(chunk.threads):
        thread = read(raw, wire.Thread)
        message_count += len(thread.messages)
        _read_thread(change, thread, f"{part}.threads[{place}]")
    change.tell(
        HistoryProgressed(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            phase=whole_number(metadata.phase, LAST_PHASE),
            chunk_order=whole_number(metadata.chunk_order, LARGEST_CHUNK_ORDER),
            progress=whole_number(metadata.progress, DONE_PERCENT),
            thread_count=len(chunk.threads),
            message_count=message_count,
            made_at=change.made_at,
        )
    )


def whole_number(value: object, largest: int) -> int | None:
    """An integer from 0 to `largest`, also when a relay made it a string; None for anything else."""
    try:
        number = int(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= largest else None


def _tell_error(change: Change, error: wire.ErrorObject, part: str) -> None:
    change.flaw(part, error)
    details = (error.error_data.details if error.error_data else None) or error.details or error.message
    code = whole_number(error.code, 2**31 - 1)
    if code == DECLINED_CODE:
        change.tell(
            HistoryDeclined(
                journal_id=change.journal_id,
                part=part,
                phone_number_id=change.phone_number_id,
                at=change.entry_at,
                details=details or error.title,
            )
        )
    else:
        change.tell(
            HistoryFailed(
                journal_id=change.journal_id,
                part=part,
                phone_number_id=change.phone_number_id,
                at=change.entry_at,
                code=code,
                details=details or error.title,
            )
        )


# --- threads -------------------------------------------------------------------------------------------------------


def _read_thread(change: Change, thread: wire.Thread, part: str) -> None:
    change.flaw(part, thread)
    other = OtherSide(thread, change.own)
    told_before = len(change.reading.facts)
    for place, message in enumerate(thread.messages):
        message_part = f"{part}.messages[{place}]"
        if other.is_group:
            tell_group_message(change, message, message_part)
        else:
            direction, person = other.of(message)
            tell(change, message, message_part, direction, person, IMPORTED)
    _tell_profile(change, thread, other.known, f"{part}.context", told_before)


def _tell_profile(change: Change, thread: wire.Thread, person: Person, part: str, told_before: int) -> None:
    """The name and username in a thread's context, dated like the newest message of the thread."""
    context = thread.context
    if context is None:
        return
    change.flaw(part, context)
    name = (context.profile.name or "").strip() or None if context.profile is not None else None
    if person.is_known and (name or person.username):
        told = [fact for fact in change.reading.facts[told_before:] if isinstance(fact, MessageTold)]
        at = max((fact.sent_at for fact in told if not fact.is_time_doubtful), default=change.reading.received_at)
        change.tell(
            ProfileSeen(
                journal_id=change.journal_id,
                part=part,
                phone_number_id=change.phone_number_id,
                person=person,
                at=at,
                is_time_doubtful=change.reading.is_doubtful(at),
                name=name,
            )
        )


class OtherSide:
    """The contact of one thread, and so the direction of each of its messages.

    A thread has thousands of messages between the same two: what follows from their ids is worked out once.
    """

    __slots__ = ("_own", "_seen", "is_group", "known")

    def __init__(self, thread: wire.Thread, own: str | None) -> None:
        self._own = own
        self._seen: dict[tuple[object, ...], tuple[Direction, Person]] = {}
        self.is_group = is_group(thread.id)
        context = ids_of(thread.context) if thread.context is not None else NOBODY
        self.known = context if context.phone else replace(context, phone=digits(thread.id))

    def of(self, message: wire.Message) -> tuple[Direction, Person]:
        """Which way a message of this thread went, and its contact, completed by the ids that the message carries."""
        context = message.history_context
        from_me = context.from_me if context is not None else None
        ids = (
            from_me, message.from_, message.from_user_id, message.from_parent_user_id,
            message.to, message.to_user_id, message.to_parent_user_id,
        )  # fmt: skip
        seen = self._seen.get(ids)
        if seen is None:
            direction = self._direction(message, from_me)
            seen = self._seen[ids] = (direction, self._person(message, direction))
        return seen

    def _direction(self, message: wire.Message, from_me: bool | None) -> Direction:
        """``from_me`` if it is told; else outbound from our own number, inbound from the contact, else outbound."""
        if from_me is not None:
            return OUTBOUND if from_me else INBOUND
        sender, known = digits(message.from_), self.known
        if self._own is not None and same_number(sender, self._own):
            return OUTBOUND
        if sender is None and known.bsuid is None:  # who has a hidden phone is the contact
            is_contact = bool(message.from_user_id)
        elif known.is_known:
            is_contact = same_number(sender, known.phone) or (
                known.bsuid is not None and message.from_user_id == known.bsuid
            )
        else:
            is_contact = bool(sender or message.from_user_id)
        return INBOUND if is_contact else OUTBOUND

    def _person(self, message: wire.Message, direction: Direction) -> Person:
        """The thread's contact; `NOBODY` if neither thread nor message names any."""
        if direction is INBOUND:
            ids = (message.from_, message.from_user_id, message.from_parent_user_id)
        else:
            ids = (message.to, message.to_user_id, message.to_parent_user_id)
        person = self._completed(*ids, is_wa_id=direction is INBOUND)
        return person if person.is_known else NOBODY

    def _completed(
        self, number: str | int | None, bsuid: str | None, parent_bsuid: str | None, *, is_wa_id: bool
    ) -> Person:
        known, phone = self.known, digits(number)
        if (known.bsuid and bsuid and known.bsuid != bsuid) or (
            known.phone and phone and not same_number(known.phone, phone)
        ):
            return known  # the message names somebody else: the thread decides
        if is_wa_id and not known.is_wa_id and phone:
            known = replace(known, phone=phone, is_wa_id=True)
        return replace(
            known,
            bsuid=known.bsuid or bsuid or None,
            parent_bsuid=known.parent_bsuid or parent_bsuid or None,
            phone=known.phone or phone,
        )


# --- late media ----------------------------------------------------------------------------------------------------


def _read_late_media(change: Change, value: wire.HistoryValue) -> None:
    """Files that a placeholder announced, or will announce: the array tells the direction."""
    contacts = Contacts(value.contacts, change.own)
    for place, message in enumerate(value.messages):
        at, _ = change.reading.moment(message.timestamp)
        direction, person = counterpart(change, message, contacts, at)
        tell(change, message, f"{change.part}.messages[{place}]", direction, person, IMPORTED_LATE)
    for place, message in enumerate(value.message_echoes):
        at, _ = change.reading.moment(message.timestamp)
        person = recipient(message, contacts, at)
        tell(change, message, f"{change.part}.message_echoes[{place}]", OUTBOUND, person, IMPORTED_LATE)
    for profile in contacts.profiles(change):
        change.tell(profile)
