"""Templates: what may be written outside of an open window, as Meta has approved it (meta-protocol 7.2, 7.3, 9.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, NotFound, Unavailable
from coexist.inbox import private
from coexist.meta import templates as forms
from coexist.meta.errors import explain
from coexist.meta.filled_templates import values_of
from coexist.outbound import payload, store, writing
from coexist.outbound.model import Draft, Known, Sent, SentFile, Target
from coexist.people.model import Member
from coexist.templates import rules
from coexist.templates import store as templates
from coexist.templates.model import Template

TYPE: Final = "template"
WANTS_NO_MARKETING: Final = 131050
MARKETING_RESTS: Final = 131049
NEEDS_A_PHONE: Final = 131062
FILES_KEPT: Final = timedelta(days=30)
"""How long Meta keeps a file that it was given (meta-protocol 7.5)."""
FILE_GONE: Final = "WhatsApp keeps a file for 30 days, and this one was given to it before: nothing was sent."
NOT_THERE: Final = "This template is not in the WhatsApp account that the number is in now: nothing was sent."
UNREAD: Final = "The templates of the number's WhatsApp account are being read: until then nobody knows what this says."
CHANGED: Final = "This template was changed at WhatsApp since this was written: nothing was sent."


async def send_template(
    conn: Connection,
    keyring: Keyring,
    member: Member,
    conversation_id: int,
    template_id: int,
    values: Mapping[str, str],
    *,
    our_ref: UUID,
    revision: str,
    file: SentFile | None = None,
) -> int:
    """Fill in a template and put it in line, whether the window is open or not; return the message's id.

    ``template_id`` is ours (``Template.id``); ``values`` are those of its form's fields, by key; ``file`` is what Meta
    got for its header (``template_files.upload``); ``revision`` is the template's when its form was shown. The same
    ``our_ref`` again returns the same message and sends nothing; with other values it is a Conflict. While the number
    is offboarded the message waits.

    Raises NotFilled for values that do not fit; Conflict where the template, the number, the person or their wishes do
    not allow it, or the template has changed since; NotFound. Needs a transaction.
    """
    target, written = await writing.begin(conn, keyring, member, conversation_id, our_ref)
    template = await templates.get(conn, target.account_id, target.waba_id, template_id)
    if written is not None:
        return writing.check_same(written, is_same=_says(written, template, values))
    if template is None:
        raise NotFound("This template does not exist in the WhatsApp account of this number.")
    peer = writing.check_open(target, needs_window=False)
    await check_allowed(conn, target, template)
    if template.revision != revision:
        raise Conflict(CHANGED, next_step="Look at its new text, fill it in and send it.")
    form = template.form
    of_file = {each.key: file.media_id for each in form.fields if file and each.takes.is_file}
    typed = {each.key: values.get(each.key, "") for each in form.fields if not each.takes.is_file}
    filled = forms.check(form, typed | of_file)
    components = forms.fill(form, filled, file.file_name if file else "")
    part = payload.template(template.name, template.language, components)
    shown: dict[str, Any] = {"name": template.name, "language": template.language, "category": template.category}
    shown |= {"buttons": forms.buttons_said(form, filled), "wording": template.wording}
    if place := forms.place(form, filled):
        shown["place"] = place
    if file and of_file:
        shown["file"] = asdict(file) | {"given_at": clock.now().isoformat()}
    content = {"template": shown}
    draft = Draft(TYPE, forms.said(form, filled), part, content)
    return await writing.put_in_line(conn, keyring, member, target, peer, draft, our_ref)


def _says(written: Known, template: Template | None, values: Mapping[str, str]) -> bool:
    """Whether a message says what a form asks for; True where its template, or its body, is not known any more."""
    part = written.part(TYPE)
    if part is None or template is None:
        return True
    is_it = (part.get("name"), part.get("language", {}).get("code")) == (template.name, template.language)
    form = template.form
    return is_it and values_of(form, part.get("components")) == forms.as_sent(form, values)


@dataclass(frozen=True, slots=True)
class Person:
    """What decides which templates somebody may be sent: whether their phone is known, and marketing."""

    has_phone: bool
    wants_no_marketing: bool
    marketing_rests: bool


ANYBODY: Final = Person(has_phone=True, wants_no_marketing=False, marketing_rests=False)
"""Whom every template may be sent that may be sent at all."""


async def person_of(conn: Connection, conversation_id: int, *, has_phone: bool = True) -> Person:
    """Return what is known of whom a conversation is with."""
    wish, rests_until = await store.marketing(conn, conversation_id)
    return Person(has_phone, wish == "stop", rests_until is not None and rests_until > clock.now())


async def _whom(conn: Connection, target: Target) -> Person:
    has_phone = bool(target.phone) or (target.peer or "").isdigit()
    return await person_of(conn, target.conversation_id, has_phone=has_phone)


async def whom(conn: Connection, keyring: Keyring, member: Member, conversation_id: int) -> Person:
    """Return whom a template would go to, to show what may be sent to them. Locks nothing.

    Raises Conflict where nothing can be sent, NotFound for a conversation of another account.
    """
    target = await store.target(conn, member.account_id, conversation_id, is_locked=False)
    if target is None:
        raise NotFound(writing.NO_CONVERSATION)
    await private.check_may_write(conn, keyring, member.account_id, conversation_id)
    writing.check_open(target, needs_window=False)
    return await _whom(conn, target)


def why_not(template: Template, person: Person) -> tuple[str, str]:
    """Why this template may not be sent to this person now, and what to do: two sentences, both empty when it may."""
    sentence, next_step = rules.why_not(template.status)
    if sentence:
        return sentence, next_step
    if template.form.why_not:
        return template.form.why_not, ""
    if template.category == forms.AUTHENTICATION and not person.has_phone:
        return explain(NEEDS_A_PHONE).what, "Choose another template."
    if template.category == forms.MARKETING and person.wants_no_marketing:
        return explain(WANTS_NO_MARKETING).what, "Choose a template that is not marketing."
    if template.category == forms.MARKETING and person.marketing_rests:
        resting = explain(MARKETING_RESTS)
        return resting.what, resting.next_step
    return "", ""


async def check_allowed(conn: Connection, target: Target, template: Template) -> None:
    """Raise Conflict when this template may not be sent to this person now."""
    _raise(why_not(template, await _whom(conn, target)))


async def check_wishes(conn: Connection, conversation_id: int, template: Template) -> None:
    """Raise Conflict when the person of a conversation is to get no such template now: marketing (131050, 131049)."""
    if template.category == forms.MARKETING:
        _raise(why_not(template, await person_of(conn, conversation_id)))


def check_wording(template: Template, wording: str | None) -> None:
    """Raise Conflict when a message that was written with this ``wording`` would say something else now.

    Raises Unavailable while Meta's list, which tells the words, does not have the template.
    """
    if not template.is_listed:
        raise Unavailable(UNREAD)
    if wording is not None and wording != template.wording:
        raise Conflict(CHANGED, next_step="Choose the template again, fill it in and send it.")


def check_file(given_at: datetime | None) -> None:
    """Raise Conflict when Meta has no longer the file at a message's head, which it got then."""
    if given_at is not None and clock.now() > given_at + FILES_KEPT:
        raise Conflict(FILE_GONE, next_step="Choose the template again, with its file, and send it.")


def check_sendable(template: Template) -> None:
    """Raise Conflict when Meta takes no message with this template."""
    _raise(rules.why_not(template.status))


def _raise(why: tuple[str, str]) -> None:
    sentence, next_step = why
    if sentence:
        raise Conflict(sentence, next_step=next_step or None)


async def known(conn: Connection, account_id: int, waba_id: str, body: Mapping[str, Any]) -> Template:
    """Return the template that a message is sent with, as the WhatsApp account has it that the number is in now.

    That can be another account than when it was written, where the name stands for other words. Raises Conflict where
    it has no such template, Unavailable while its list was not read.
    """
    part = body[TYPE]
    template = await templates.by_name(conn, account_id, waba_id, part["name"], part["language"]["code"])
    if template is not None:
        return template
    listing = await templates.listing(conn, account_id, waba_id)
    if listing is None or listing.listed_at is None:
        raise Unavailable(UNREAD)
    raise Conflict(NOT_THERE, next_step="Choose another template.")


async def check_again(conn: Connection, target: Target, message: Sent) -> None:
    """Raise Conflict when a template message cannot go again as it was filled in.

    Its template is not there, may not be sent, or is another now; or Meta has no longer the file at its head. Raises
    Unavailable while nobody knows that.
    """
    if message.type != TYPE:
        return
    template = await known(conn, target.account_id, target.waba_id, message.payload)
    await check_allowed(conn, target, template)
    shown = (message.content or {}).get(TYPE, {})
    check_wording(template, shown.get("wording"))
    given_at = shown.get("file", {}).get("given_at")
    check_file(datetime.fromisoformat(given_at) if given_at else None)


async def chosen(
    conn: Connection, account_id: int, waba_id: str, conversation_id: int, message_id: int
) -> tuple[Template, dict[str, str]] | None:
    """Return the template of a message of the conversation, and the values it was filled in with, as far as they fit.

    None for other messages, and for a template that is not known any more.
    """
    found = await store.payload_of(conn, account_id, message_id)
    if found is None or found[0] != conversation_id:
        return None
    part = found[1].get(TYPE)
    if part is None:
        return None
    template = await templates.by_name(conn, account_id, waba_id, part["name"], part["language"]["code"])
    return None if template is None else (template, values_of(template.form, part.get("components")))
