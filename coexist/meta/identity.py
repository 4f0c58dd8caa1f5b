"""One person goes on under another id: ``user_id_update`` and system messages (meta-protocol 5.1, 5.10, 6.4)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from coexist.meta import wire
from coexist.meta.decode import given, read, read_list
from coexist.meta.model import IdentityChanged, Person, ProfileSeen
from coexist.meta.persons import Contacts
from coexist.meta.phones import digits
from coexist.meta.reading import Change
from coexist.meta.wording import OwnCard, System


def read_user_id_updates(change: Change) -> None:
    """Field ``user_id_update``: old and new BSUID of a person, and their parent BSUIDs where portfolios are linked."""
    value = read(change.value, wire.UserIdUpdateValue)
    change.flaw(change.part, value)
    if not change.belongs_to(value.metadata):
        return
    if not value.user_id_update and value.flaw is None:
        change.ignore()
    contacts = Contacts(value.contacts, change.own)
    for place, update in enumerate(value.user_id_update):
        part = f"{change.part}.user_id_update[{place}]"
        change.flaw(part, update)
        at, _ = change.reading.moment(update.timestamp)
        told = _tell(change, part, "bsuid", update.user_id, at)
        told |= _tell(change, part, "bsuid", update.parent_user_id, at)
        if not told and update.flaw is None:
            change.problem(part, "an update that does not name both ids, previous and current")
        current = update.user_id.current if update.user_id is not None else None
        contacts.person(digits(update.wa_id), current, None, at, is_wa_id=True)
        _tell_pair(change, part, digits(update.wa_id), current, at)
    for profile in contacts.profiles(change, names_only=True):
        change.tell(profile)


def _tell(change: Change, part: str, kind: str, ids: wire.PreviousAndCurrent | None, at: datetime) -> bool:
    if ids is None or not ids.previous or not ids.current:
        return False
    change.tell(
        IdentityChanged(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            kind=kind,
            previous=ids.previous,
            current=ids.current,
            at=at,
        )
    )
    return True


def _tell_pair(change: Change, part: str, phone: str | None, bsuid: str | None, at: datetime) -> None:
    """Phone and BSUID named together are one person's, whatever else the item says."""
    if phone and bsuid:
        person = Person(bsuid=bsuid, phone=phone, is_wa_id=True)
        change.tell(
            ProfileSeen(
                journal_id=change.journal_id, part=part, phone_number_id=change.phone_number_id, person=person, at=at
            )
        )


def tell_system_change(change: Change, message: wire.Message, part: str, at: datetime) -> None:
    """The change that a live system message tells of; the message itself is told as a line of the chat.

    ``from`` and ``from_user_id`` are the old ids, the ``system`` object has the new ones: told as a change where old
    and new are named, as a pair where both new ones are.
    """
    if not given(message.system):
        return
    system = read(message.system, System)
    number = digits(system.wa_id) or digits(system.new_wa_id)
    for kind, previous, current in (
        ("phone", digits(message.from_), number),
        ("bsuid", message.from_user_id, system.user_id),
        ("bsuid", message.from_parent_user_id, system.parent_user_id),
    ):
        if previous != current:
            _tell(change, part, kind, wire.PreviousAndCurrent(previous=previous, current=current), at)
    _tell_pair(change, part, number, system.user_id, at)


OWN_CARD: Final = "contact_request"
"""``origin`` of a card that answers our request for contact details: it is the sender's own (5.1, 6.2)."""


def tell_own_phone(change: Change, message: wire.Message, part: str, person: Person, at: datetime) -> None:
    """The phone that a person without one gave us themselves; any other card is about somebody else."""
    if person.phone is not None or not given(message.contacts):
        return
    beside = read(b'{"origin":%s}' % bytes(message.origin or b"null"), OwnCard).origin
    cards = [card for card in read_list(message.contacts, OwnCard) if OWN_CARD in (card.origin, beside)]
    phones = [phone for card in cards for phone in card.phones]
    if len(cards) == 1 and len(phones) == 1:
        wa_id = digits(phones[0].wa_id)
        phone = wa_id or digits(phones[0].phone)
        change.tell(
            ProfileSeen(
                journal_id=change.journal_id,
                part=f"{part}.contacts",
                phone_number_id=change.phone_number_id,
                person=replace(person, phone=phone, is_wa_id=wa_id is not None),
                at=at,
            )
        )
