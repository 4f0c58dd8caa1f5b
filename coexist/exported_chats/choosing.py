"""What somebody must decide before a chat is brought in: proposed from evidence, asked where nothing tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import phonenumbers
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import Forbidden, Invalid, NotFound
from coexist.exported_chats import actions, planning, threads
from coexist.exported_chats.model import Chat, Choices, Contact, Survey
from coexist.exported_chats.planning import Plan
from coexist.exported_chats.stamps import DateOrder
from coexist.exported_chats.zones import Proposal
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import Person
from coexist.meta.phones import digits


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody has said so far. What is None, or empty, is to be proposed.

    ``words`` look for a contact; ``phone`` names one by number, as people write it.
    """

    contact_id: int | None = None
    phone: str = ""
    words: str = ""
    own_name: str | None = None
    time_zone: str = ""
    order: DateOrder | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What is proposed, or was said, and what it would come to.

    ``choices`` and ``plan`` are None while something is missing; ``missing`` says what, in sentences.
    """

    survey: Survey
    contacts: Sequence[Contact]
    contact: Contact | None
    phone: str
    own_name: str | None
    zone: Proposal
    order: DateOrder
    is_order_asked: bool
    missing: Sequence[str]
    choices: Choices | None
    plan: Plan | None


async def offer(
    pool: Pool, settings: Settings, keyring: Keyring, chat: Chat, inbox: Inbox, given: Given, *, own_zone: str
) -> Offer:
    """Propose what ``given`` leaves open, and work out what it would come to. Writes nothing.

    ``own_zone`` is the zone of whoever asks. Raises NotFound when the file is gone.
    """
    path = actions.file_of(settings, chat)
    found, chat_name = await asyncio.to_thread(planning.survey, path)
    file_name = f"{chat_name} {PurePath(chat.file_name).stem}"
    contacts = await planning.candidates(pool, inbox, found, file_name)
    missing: list[str] = []
    contact, person = await _contact(pool, keyring, inbox, contacts, given, missing)
    if given.words:
        async with transaction(pool) as conn:
            contacts = await threads.contacts_like(conn, inbox.scope_id, given.words, digits(given.words) or "")
    if contact is not None and contact.id not in {one.id for one in contacts}:
        contacts = [contact, *contacts]
    order = given.order or found.orders[0]
    known = await planning.evidence(pool, inbox, contact, found, order)
    zone = planning.propose_zone(known, [*_zones_of(inbox, own_zone), own_zone], has_seconds=found.has_seconds)
    if given.time_zone and given.time_zone != zone.name:
        try:
            zone = planning.propose_zone(known, [given.time_zone], has_seconds=found.has_seconds, only=True)
        except Invalid as error:
            missing.append(str(error))
    own_name = given.own_name if given.own_name in {*found.names, ""} else None
    if own_name is None:
        names = [inbox.name, inbox.verified_name or ""]
        own_name = planning.propose_own_name(found, contact, known, file_name=file_name, our_names=names)
    if own_name is None:
        missing.append("Say which of the names is us.")
    is_order_asked = len(found.orders) > 1
    if is_order_asked and given.order is None:
        missing.append("Say how the dates are to be read: the file does not tell.")
    choices = plan = None
    if person is not None and own_name is not None and not missing:
        choices = Choices(inbox.id, person, list(found.names), own_name, zone.name, order)
        contact_id = contact.id if contact else None
        plan = await planning.plan(pool, path, chat.id, inbox, contact_id, choices, has_seconds=found.has_seconds)
    return Offer(found, contacts, contact, given.phone, own_name, zone, order, is_order_asked, missing, choices, plan)


async def _contact(
    pool: Pool, keyring: Keyring, inbox: Inbox, likely: Sequence[Contact], given: Given, missing: list[str]
) -> tuple[Contact | None, Person | None]:
    """The contact that was named, else the likeliest one; a sentence into ``missing`` when there is neither."""
    contact_id = given.contact_id
    if contact_id is None and not given.phone:
        usable = [contact for contact in likely if contact.person is not None]
        is_clear = len(usable) == 1 or (len(usable) > 1 and usable[0].shared_count > usable[1].shared_count)
        contact_id = usable[0].id if is_clear else None
    try:
        async with transaction(pool) as conn:
            contact, person = await actions.chosen_contact(conn, inbox, contact_id=contact_id, phone=given.phone)
            await actions.check_public(conn, keyring, inbox, person)
            return contact, person
    except (Invalid, NotFound, Forbidden) as error:
        missing.append(str(error))
        return None, None


def _zones_of(inbox: Inbox, own_zone: str) -> Sequence[str]:
    """The zones of our number's country, or region, the own one first where it is among them."""
    try:
        zones = time_zones_for_number(phonenumbers.parse(f"+{inbox.display_phone_number}"))
    except phonenumbers.NumberParseException:
        return []
    return sorted((zone for zone in zones if zone != UNKNOWN_TIMEZONE), key=lambda zone: zone != own_zone)
