"""What the phone app or a linked device sent: ``smb_message_echoes`` (meta-protocol 5.6)."""

from __future__ import annotations

from coexist.meta import wire
from coexist.meta.decode import read
from coexist.meta.inbound import recipient
from coexist.meta.messages import NOW, OUTBOUND, tell
from coexist.meta.persons import Contacts
from coexist.meta.reading import Change


def read_echoes(change: Change) -> None:
    """Every echo is outgoing and from the app (E1); ``from`` is the business in whichever form, and not looked at."""
    value = read(change.value, wire.EchoesValue)
    change.name_number(value.metadata)
    change.flaw(change.part, value)
    if not value.message_echoes:
        if value.flaw is None:
            change.ignore()
        return
    if not change.belongs_to(value.metadata):
        return
    contacts = Contacts(value.contacts, change.own)
    for place, echo in enumerate(value.message_echoes):
        at, _ = change.reading.moment(echo.timestamp)
        part = f"{change.part}.message_echoes[{place}]"
        tell(change, echo, part, OUTBOUND, recipient(echo, contacts, at), NOW)
    for profile in contacts.profiles(change):
        change.tell(profile)
