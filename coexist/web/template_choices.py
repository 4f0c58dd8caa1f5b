"""A number's templates as choices: which can be sent to whom, why not the others, and how well they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Conflict
from coexist.inbox import inboxes, window
from coexist.inbox import store as inbox_store
from coexist.inbox.connection import State
from coexist.inbox.inboxes import Inbox
from coexist.inbox.model import Contact, Conversation
from coexist.meta.errors import Action, explain
from coexist.meta.templates import Form
from coexist.outbound import store as outbox
from coexist.outbound import templates as sending
from coexist.templates import rules, store
from coexist.templates.model import Listing, Template
from coexist.web.access import Viewer
from coexist.web.languages import language_words
from coexist.web.state import Web

META_PAGE: Final = "https://business.facebook.com/latest/whatsapp_manager/message_templates"
"""Where templates are made at Meta."""
ASKED_SOON: Final = timedelta(seconds=60)
"""How long before its time a question to Meta may be under way already."""
SEARCH_CHARS_MAX: Final = 200
USABLE: Final = frozenset({State.CONNECTED, State.OFFBOARDED, State.RESTRICTED})
"""States of a number through which Meta can be asked for its templates."""

OFFBOARDED: Final = "The number is disconnected for now: what you send waits until it is back."
BEGINS_HELD: Final = "WhatsApp does not let this number begin conversations now: what you send waits until it does."
UTILITY_HELD: Final = "WhatsApp does not let this number send utility templates now: they wait until it does."

FIRST_NAMES: Final = frozenset(
    {"name", "first_name", "firstname", "customer_name", "client_name", "contact_name", "nome", "nombre", "vorname"}
)
FULL_NAMES: Final = frozenset({"full_name", "fullname", "customer_full_name", "nome_completo", "nombre_completo"})
"""Names of places in which a customer's name is meant."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A template in one language with why it cannot be sent now, empty when it can; ``reason`` is Meta's own word."""

    template: Template
    form: Form
    why_not: str
    next_step: str
    reason: str

    def has(self, words: str) -> bool:
        """Whether every one of these words is in it."""
        one = self.template
        names = (one.name, one.name.replace("_", " "), one.language, language_words(one.language), one.category or "")
        text = "\n".join((*names, self.form.header, self.form.body, self.form.footer)).casefold()
        return all(word in text for word in words.casefold().split())


Groups = Sequence[tuple[str, Sequence[Choice]]]
"""Names, each with its languages."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A conversation in which a template is to be sent. ``shut`` is why nothing can be; ``waits`` why it will wait."""

    conversation: Conversation
    inbox: Inbox
    person: sending.Person | None
    shut: str
    waits: Sequence[str]


@dataclass(frozen=True, slots=True)
class ListStands:
    """How well a number's list is known. ``is_asking``: Meta is being asked for it; ``can_ask``: that is possible."""

    listed_at: datetime | None
    next_at: datetime | None
    problem: str
    is_asking: bool
    can_ask: bool


async def desk_of(conn: Connection, web: Web, viewer: Viewer, conversation_id: int) -> Desk:
    """Read what decides about sending in a conversation. Raises NotFound."""
    member = viewer.member
    conversation = await inbox_store.conversation(conn, member.account_id, member.user_id, conversation_id)
    inbox = await inboxes.get(conn, member.account_id, conversation.inbox_id)
    try:
        person, shut = await sending.whom(conn, web.keyring, member, conversation_id), ""
    except Conflict as error:
        person, shut = None, str(error)
    return Desk(conversation, inbox, person, shut, _waits(conversation, inbox))


def _waits(conversation: Conversation, inbox: Inbox) -> Sequence[str]:
    now = clock.now()
    has_window = window.window_of(conversation.window_opened_at, now, conversation.window_refused_at).is_open
    waits = [OFFBOARDED] if inbox.state == State.OFFBOARDED else []
    if not has_window and inbox.begins_held_until is not None and inbox.begins_held_until > now:
        waits.append(BEGINS_HELD)
    if inbox.utility_held_until is not None and inbox.utility_held_until > now:
        waits.append(UTILITY_HELD)
    for code in inbox.standing_codes:
        trouble = explain(code)
        if trouble.action is Action.HOLD_PAID or (trouble.action is Action.HOLD_BUSINESS_INITIATED and not has_window):
            waits.append(f"{trouble.what} What you send waits until that is over.")
    return waits


async def choices_of(conn: Connection, inbox: Inbox, person: sending.Person | None = None) -> Sequence[Choice]:
    """Return the templates of a number by name, for ``person`` or for anybody."""
    return [choice_of(each, person) for each in await store.of_waba(conn, inbox.account_id, inbox.waba_id)]


async def for_conversation(conn: Connection, desk: Desk) -> Sequence[Choice]:
    """Return the templates of a conversation's number, for who it is with; those it was written with last first."""
    place = {key: place for place, key in enumerate(await outbox.chosen_last(conn, desk.inbox.id))}
    choices = await choices_of(conn, desk.inbox, desk.person)
    of_name: dict[str, int] = {}
    for name, _ in place:
        of_name.setdefault(name, len(of_name))
    last = len(place)

    def order(choice: Choice) -> tuple[int, str, int]:
        one = choice.template
        return of_name.get(one.name, last), one.name, place.get((one.name, one.language), last)

    return sorted(choices, key=order)


def choice_of(template: Template, person: sending.Person | None = None) -> Choice:
    """Return a template as a choice, for ``person`` or for anybody."""
    sentence, next_step = sending.why_not(template, person or sending.ANYBODY)
    reason = ""
    if not rules.is_sendable(template.status):
        reason = _sentence(template.told_reason or (template.rejected_reason or "").replace("_", " ").lower())
    return Choice(template, template.form, sentence, next_step, reason)


def _sentence(reason: str) -> str:
    return f"{reason}." if reason and reason[-1].isalnum() else reason


def grouped(choices: Sequence[Choice]) -> Groups:
    """Put the languages of one name together."""
    return [(name, list(of_name)) for name, of_name in groupby(choices, key=lambda each: each.template.name)]


async def stands(conn: Connection, inbox: Inbox) -> ListStands:
    """Return how well a number's list is known."""
    listing = await store.listing(conn, inbox.account_id, inbox.waba_id)
    can_ask = inbox.state in USABLE and not inbox.is_moved
    return _stands(listing, clock.now(), can_ask=can_ask)


def _stands(listing: Listing | None, now: datetime, *, can_ask: bool) -> ListStands:
    if listing is None:
        return ListStands(None, None, "", can_ask, can_ask)
    is_due = listing.next_at <= now + (timedelta(0) if listing.problem else ASKED_SOON)
    return ListStands(listing.listed_at, listing.next_at, listing.problem or "", can_ask and is_due, can_ask)


def suggested(form: Form, contact: Contact) -> Mapping[str, str]:
    """Return the contact's name for the places in which a name is meant. People see it before anything is sent."""
    name = (contact.agent_name or contact.address_book_name or contact.profile_name or "").split()
    if not name:
        return {}
    known = dict.fromkeys(FIRST_NAMES, name[0]) | dict.fromkeys(FULL_NAMES, " ".join(name))
    return {each.key: known[each.name.lower()] for each in form.fields if each.name.lower() in known}
