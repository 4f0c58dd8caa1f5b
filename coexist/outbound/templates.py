"""Templates: what may be written outside of an open window, as Meta has approved it (meta-protocol 7.2, 7.3, 9.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, NotFound
from coexist.meta import templates as forms
from coexist.meta.errors import explain
from coexist.outbound import payload, store, writing
from coexist.outbound.model import Draft, SentFile, Target
from coexist.people.model import Member
from coexist.templates import rules
from coexist.templates import store as templates
from coexist.templates.model import Template

TYPE: Final = "template"
WANTS_NO_MARKETING: Final = 131050
MARKETING_RESTS: Final = 131049
NEEDS_A_PHONE: Final = 131062
CHANGED: Final = "This template was changed at WhatsApp since the form was made: nothing was sent."


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
    ``our_ref`` again returns the same message and sends nothing. While the number is offboarded the message waits.

    Raises NotFilled for values that do not fit; Conflict where the template, the number, the person or their wishes do
    not allow it, or the template has changed since; NotFound. Needs a transaction.
    """
    target, known = await writing.begin(conn, keyring, member, conversation_id, our_ref)
    if known is not None:
        return known
    template = await templates.get(conn, target.account_id, target.waba_id, template_id)
    if template is None:
        raise NotFound("This template does not exist in the WhatsApp account of this number.")
    peer = writing.check_open(target, needs_window=False)
    await check_allowed(conn, target, template, peer)
    if template.revision != revision:
        raise Conflict(CHANGED, next_step="Look at its new text, fill it in and send it.")
    form = template.form
    of_file = {each.key: file.media_id for each in form.fields if file and each.takes.is_file}
    typed = {each.key: values.get(each.key, "") for each in form.fields if not each.takes.is_file}
    filled = forms.check(form, typed | of_file)
    components = forms.fill(form, filled, file.file_name if file else "")
    part = payload.template(template.name, template.language, components)
    shown: dict[str, Any] = {"name": template.name, "language": template.language, "category": template.category}
    shown["buttons"] = forms.buttons_said(form, filled)
    if file and of_file:
        shown["file"] = asdict(file)
    content = {"template": shown}
    draft = Draft(TYPE, forms.said(form, filled), part, content)
    return await writing.put_in_line(conn, member, target, peer, draft, our_ref)


async def check_allowed(conn: Connection, target: Target, template: Template, peer: str) -> None:
    """Raise Conflict when this template may not be sent to this person now."""
    check_sendable(template)
    form = template.form
    if form.why_not:
        raise Conflict(form.why_not)
    if template.category == forms.AUTHENTICATION and not (peer.isdigit() or target.phone):
        raise Conflict(explain(NEEDS_A_PHONE).what, next_step="Choose another template.")
    if template.category == forms.MARKETING:
        wish, rests_until = await store.marketing(conn, target.conversation_id)
        if wish == "stop":
            raise Conflict(explain(WANTS_NO_MARKETING).what, next_step="Choose a template that is not marketing.")
        if rests_until is not None and rests_until > clock.now():
            resting = explain(MARKETING_RESTS)
            raise Conflict(resting.what, next_step=resting.next_step)


def check_sendable(template: Template) -> None:
    """Raise Conflict when Meta takes no message with this template."""
    sentence, next_step = rules.why_not(template.status)
    if sentence:
        raise Conflict(sentence, next_step=next_step or None)


async def of_message(conn: Connection, account_id: int, waba_id: str, body: Mapping[str, Any]) -> Template | None:
    """Return the template that a message's body names; None for other messages, and where nothing is known of it."""
    part = body.get(TYPE)
    if body.get("type") != TYPE or not isinstance(part, Mapping):
        return None
    name, language = part.get("name"), part.get("language")
    code = language.get("code") if isinstance(language, Mapping) else None
    if not isinstance(name, str) or not isinstance(code, str):
        return None
    return await templates.by_name(conn, account_id, waba_id, name, code)


async def check_again(conn: Connection, target: Target, body: Mapping[str, Any], peer: str) -> None:
    """Raise Conflict when a template message cannot go again as it was filled in: it may not, or is another now."""
    template = await of_message(conn, target.account_id, target.waba_id, body)
    if template is None:
        return
    await check_allowed(conn, target, template, peer)
    if template.is_listed and not forms.fits(template.form, body[TYPE].get("components")):
        raise Conflict(CHANGED, next_step="Choose the template again, fill it in and send it.")
