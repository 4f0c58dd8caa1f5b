"""The phone's address book: ``smb_app_state_sync`` (meta-protocol 5.5)."""

from __future__ import annotations

from typing import Final

from coexist.meta import wire
from coexist.meta.decode import read
from coexist.meta.model import AddressBookChanged, Person
from coexist.meta.persons import user_name
from coexist.meta.phones import digits
from coexist.meta.reading import Change

ACTIONS: Final = {"add": False, "edit": False, "update": False, "remove": True, "delete": True}
"""``action`` → whether the contact left the address book. Documented are ``add`` (added or edited) and ``remove``."""


def read_state_sync(change: Change) -> None:
    """Contacts added, edited or removed on the phone; the first sync can bring thousands in any order."""
    value = read(change.value, wire.StateSyncValue)
    if not change.belongs_to(value.metadata):
        return
    change.flaw(change.part, value)
    if not value.state_sync and value.flaw is None:
        change.ignore()
    for place, item in enumerate(value.state_sync):
        _tell_item(change, item, f"{change.part}.state_sync[{place}]")


def _tell_item(change: Change, item: wire.AddressBookItem, part: str) -> None:
    change.flaw(part, item)
    if item.type not in (None, "contact"):
        change.ignore()
        return
    is_removed = ACTIONS.get((item.action or "").lower())
    contact = item.contact or wire.AddressBookContact()
    change.flaw(f"{part}.contact", contact)
    person = Person(
        bsuid=contact.user_id or None,
        parent_bsuid=contact.parent_user_id or None,
        phone=digits(contact.phone_number),
        username=user_name(contact.username),
    )
    if is_removed is None:
        change.problem(part, f"an address book entry with the action {item.action!r}, neither add nor remove")
    elif not person.is_known:
        change.problem(part, "an address book entry with neither a phone number nor a user id")
    else:
        at, is_doubtful = change.reading.moment(item.metadata.timestamp if item.metadata else None)
        change.tell(
            AddressBookChanged(
                journal_id=change.journal_id,
                part=part,
                phone_number_id=change.phone_number_id,
                person=person,
                at=at,
                is_time_doubtful=is_doubtful,
                is_removed=is_removed,
                full_name=None if is_removed else _name(contact.full_name),
                first_name=None if is_removed else _name(contact.first_name),
                made_at=change.made_at,
            )
        )


def _name(text: str | None) -> str | None:
    return (text or "").strip() or None
