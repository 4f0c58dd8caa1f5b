"""What one message tells, under whichever field it stands (meta-protocol 5.1).

`tell` turns any wire message into its facts. Its callers (``inbound``, ``echoes``, ``history``) know who wrote it to
whom and in which `Manner` it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from coexist.meta import wire
from coexist.meta.contents import Unreadable, content_of, stand_in, text_of_edit
from coexist.meta.decode import compact
from coexist.meta.identity import tell_own_phone, tell_system_change
from coexist.meta.model import (
    FROM_HISTORY,
    FROM_HISTORY_MEDIA,
    LIVE,
    STATUS_RANK,
    Direction,
    MessageEdited,
    MessageReacted,
    MessageRevoked,
    MessageTold,
    NoticeGiven,
    Origin,
    Person,
)
from coexist.meta.persons import NOBODY
from coexist.meta.reading import Change

INBOUND: Final = Direction.INBOUND
OUTBOUND: Final = Direction.OUTBOUND
FROM_CONTACT: Final = Origin.CONTACT
FROM_APP: Final = Origin.APP


class Manner(msgspec.Struct, frozen=True):
    """How a message reached us: what its content is worth, and whether it happens now or was imported."""

    rank: int
    imported: bool


NOW: Final = Manner(rank=LIVE, imported=False)
IMPORTED: Final = Manner(rank=FROM_HISTORY, imported=True)
IMPORTED_LATE: Final = Manner(rank=FROM_HISTORY_MEDIA, imported=True)

HISTORY_STATUS: Final = {"error": "failed"} | {name: name for name in STATUS_RANK if name != "queued"}
"""``history_context.status`` (``SENT``, ``READ``, … in either case) → ours; anything else is new to us (5.4)."""

KEEPS_WINDOW: Final = frozenset({"system"})
"""Messages that never open the customer service window (5.1, policy); what acts on another (`ACTING`) is none. Whether
``unsupported`` opens it is not documented; the contact did write, so it does: Meta refuses with 131047 if we are wrong,
whereas a window that we believe closed would keep people from answering the first message of an ad click (131060)."""

NO_REPLY_TARGET: Final = "M0"
"""What edits carry as ``context.id``: no message of that name exists."""


def tell(
    change: Change, message: wire.Message, part: str, direction: Direction, person: Person, manner: Manner
) -> None:
    """The facts of one message, or the Problem why there is none. What is flawed in it is told beside them."""
    if message.flaw is not None:
        change.problem(part, message.flaw)
    wamid, kind = message.id, message.type or "unknown"
    if is_of_group(message):
        tell_group_message(change, message, part)
    elif not wamid:
        change.problem(part, "a message without an id")
    elif kind in ACTING:
        ACTING[kind](change, message, wamid, part, direction, person, manner)
    elif person is NOBODY:
        change.problem(part, "nobody is named as the other side: no phone, no user id, no single contact")
    else:
        _tell_message(change, message, wamid, kind, part, direction, person, manner)


def is_of_group(message: wire.Message) -> bool:
    """Whether it belongs to a group chat, which must never be filed in somebody's private one (5.13)."""
    if message.group_id or message.recipient_type == "group":
        return True
    return message.context is not None and bool(message.context.group_id)


def tell_group_message(change: Change, message: wire.Message, part: str) -> None:
    """A line in the number's timeline, with the raw message: groups have no place in the inbox."""
    change.tell(
        NoticeGiven(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            field=change.field,
            event="group_message",
            waba_id=change.entry_id,
            display_phone_number=change.own,
            at=change.reading.moment(message.timestamp)[0],
            value=compact(change.raw(part)),
        )
    )


def _tell_message(
    change: Change,
    message: wire.Message,
    wamid: str,
    kind: str,
    part: str,
    direction: Direction,
    person: Person,
    manner: Manner,
) -> None:
    sent_at, is_time_doubtful = change.reading.moment(message.timestamp)
    try:
        told = content_of(kind, message) or stand_in(kind, change.raw(part), is_known=False)
    except Unreadable as error:
        change.problem(part, str(error))
        told = stand_in(kind, change.raw(part), is_known=True)
    rank = manner.rank if told.rank is None else told.rank
    reply_to, forwarded, status = None, 0, None
    if (context := message.context) is not None:
        reply_to = context.id if context.id != NO_REPLY_TARGET else None
        forwarded = 2 if context.frequently_forwarded else 1 if context.forwarded else 0
    is_inbound = direction is INBOUND
    origin = FROM_CONTACT if is_inbound else FROM_APP
    if (past := message.history_context) is not None and past.status:
        status = HISTORY_STATUS.get(past.status.lower())
    opens_window = is_inbound and not manner.imported and kind not in KEEPS_WINDOW
    # By position, in the order of the fields: a chunk has thousands, and names cost three times as much.
    fact = MessageTold(
        wamid, person, direction, origin, manner.imported, rank, kind, sent_at, told.text, told.structure, told.media,
        reply_to or None, forwarded, status, opens_window, is_time_doubtful,
        journal_id=change.journal_id, part=part, phone_number_id=change.phone_number_id,
    )  # fmt: skip
    change.reading.facts.append(fact)
    if kind == "system" and is_inbound and not manner.imported:
        tell_system_change(change, message, part, sent_at)
    elif kind == "contacts" and is_inbound:
        tell_own_phone(change, message, part, person, sent_at)


# --- types that act on another message -----------------------------------------------------------------------------


def _tell_reaction(
    change: Change, message: wire.Message, wamid: str, part: str, by: Direction, person: Person, manner: Manner
) -> None:
    reaction = message.reaction
    if reaction is None or not reaction.message_id:
        change.problem(part, "a reaction that names no message")
        return
    at, is_doubtful = change.reading.moment(message.timestamp)
    change.tell(
        MessageReacted(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            wamid=wamid,
            target=reaction.message_id,
            by=by,
            at=at,
            is_time_doubtful=is_doubtful,
            imported=manner.imported,
            emoji=reaction.emoji or None,
            person=person,
        )
    )


def _tell_edit(
    change: Change, message: wire.Message, wamid: str, part: str, by: Direction, _: Person, manner: Manner
) -> None:
    edit = message.edit
    if edit is None or not edit.original_message_id:
        change.problem(part, "an edit that names no message")
        return
    try:
        text = text_of_edit(message, edit)
    except Unreadable as error:
        change.problem(part, str(error))
        return
    at, is_doubtful = change.reading.moment(message.timestamp)
    change.tell(
        MessageEdited(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            wamid=wamid,
            target=edit.original_message_id,
            by=by,
            at=at,
            is_time_doubtful=is_doubtful,
            imported=manner.imported,
            text=text,
        )
    )


def _tell_revoke(
    change: Change, message: wire.Message, wamid: str, part: str, by: Direction, _: Person, manner: Manner
) -> None:
    revoke = message.revoke
    if revoke is None or not revoke.original_message_id:
        change.problem(part, "a revoke that names no message")
        return
    at, is_doubtful = change.reading.moment(message.timestamp)
    change.tell(
        MessageRevoked(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            wamid=wamid,
            target=revoke.original_message_id,
            by=by,
            at=at,
            is_time_doubtful=is_doubtful,
            imported=manner.imported,
        )
    )


ACTING: Final[dict[str, Callable[[Change, wire.Message, str, str, Direction, Person, Manner], None]]] = {
    "reaction": _tell_reaction,
    "edit": _tell_edit,
    "revoke": _tell_revoke,
}
