"""Field ``messages``: what contacts write, what became of ours, errors of the number (meta-protocol 5.1 to 5.3)."""

from __future__ import annotations

from datetime import datetime

from coexist.meta import wire
from coexist.meta.decode import read
from coexist.meta.messages import INBOUND, NOW, OUTBOUND, tell
from coexist.meta.model import Direction, Person
from coexist.meta.notices import tell_item
from coexist.meta.persons import NOBODY, Contacts
from coexist.meta.phones import digits, same_number
from coexist.meta.reading import Change
from coexist.meta.statuses import tell_status


def read_messages(change: Change) -> None:
    """Everything under field ``messages``: inbound messages, statuses of ours, errors of the number."""
    value = read(change.value, wire.MessagesValue)
    change.name_number(value.metadata)
    change.flaw(change.part, value)
    for place, error in enumerate(value.errors):
        tell_item(change, error, f"{change.part}.errors[{place}]")
    if not (value.messages or value.statuses):
        if not value.errors and value.flaw is None:
            change.ignore()
        return
    if not change.belongs_to(value.metadata):
        return
    contacts = Contacts(value.contacts, change.own)
    for place, message in enumerate(value.messages):
        at, _ = change.reading.moment(message.timestamp)
        direction, person = counterpart(change, message, contacts, at)
        tell(change, message, f"{change.part}.messages[{place}]", direction, person, NOW)
    for place, status in enumerate(value.statuses):
        tell_status(change, status, f"{change.part}.statuses[{place}]", contacts)
    for profile in contacts.profiles(change, names_only=not value.messages):
        change.tell(profile)


def counterpart(change: Change, message: wire.Message, contacts: Contacts, at: datetime) -> tuple[Direction, Person]:
    """Who is on the other side of a message that stands in ``messages[]``, and who wrote it.

    The contact, unless its ``from`` is the business's own number: then the business wrote it, ``to`` them (D5).
    """
    sender = digits(message.from_)
    if change.own and same_number(sender, change.own):
        return OUTBOUND, recipient(message, contacts, at)
    return INBOUND, contacts.person(sender, message.from_user_id, message.from_parent_user_id, at, is_wa_id=True)


def recipient(message: wire.Message, contacts: Contacts, at: datetime) -> Person:
    """Whom the business wrote to: ``to``, the BSUID, or the only contact (E2).

    A ``to`` that is no phone number, such as a group's id, is nobody: the only contact may be any member.
    """
    if message.to and not message.to_user_id and digits(message.to) is None:
        return NOBODY
    return contacts.person(digits(message.to), message.to_user_id, message.to_parent_user_id, at, is_wa_id=False)
