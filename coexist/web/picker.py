"""Choosing a template in a conversation, filling it in, and sending it: in a dialog, or as pages without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.base.errors import AppError, Conflict, Invalid, NotFound, TooLarge, UpstreamFailed
from coexist.coexistence import template_lists
from coexist.inbox import store as inbox_store
from coexist.meta import templates as forms
from coexist.meta.templates import Field, NotFilled
from coexist.outbound import template_files
from coexist.outbound import templates as sending
from coexist.outbound.model import SentFile
from coexist.templates import store
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.languages import language_words
from coexist.web.messages import bubble_answer, reference_of
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.template_choices import (
    META_PAGE,
    SEARCH_CHARS_MAX,
    Choice,
    Desk,
    choice_of,
    desk_of,
    for_conversation,
    grouped,
    stands,
    suggested,
)
from coexist.web.template_words import category_of, preview_of, status_words

VALUE: Final = "value."
"""What the names of the form's inputs begin with; the field's key follows."""
FIELDS_MAX: Final = 200
IN_THE_FORM: Final = (Invalid, Conflict, TooLarge, UpstreamFailed)
"""What is told in the form, where it can be mended."""
CHOSEN: Final = "chosen"
NO_TEMPLATE: Final = "This template does not exist in the WhatsApp account of this number."


@dataclass(frozen=True, slots=True)
class Filling:
    """A form as it is shown: what stands in its places, and what is wrong with that."""

    values: Mapping[str, str]
    our_ref: UUID
    problems: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    suggested: Mapping[str, str] = field(default_factory=dict)


async def show_templates(request: Request, web: Web, viewer: Viewer) -> Response:
    """The templates to choose from; with ``?again=`` the form of a message that was not sent, as it was filled in."""
    conversation_id: int = request.path_params["conversation_id"]
    again = request.query_params.get("again", "")
    asked = " ".join(request.query_params.get("q", "").replace("\0", "").split())[:SEARCH_CHARS_MAX]
    async with transaction(web.pool) as conn:
        desk = await desk_of(conn, web, viewer, conversation_id)
        if again:
            message_id = id_of(again, back_to="the conversation")
            key = (viewer.account_id, desk.inbox.waba_id, conversation_id, message_id)
            if chosen := await sending.chosen(conn, *key):
                return _form(request, web, viewer, desk, choice_of(chosen[0], desk.person), Filling(chosen[1], uuid4()))
        return await _list(conn, request, web, viewer, desk, asked)


async def _list(conn: Connection, request: Request, web: Web, viewer: Viewer, desk: Desk, asked: str) -> Response:
    choices = await for_conversation(conn, desk)
    found = [each for each in choices if each.has(asked)]
    return _page(
        request,
        web,
        viewer,
        desk,
        part="parts/picker_list.html",
        address="",
        words=asked,
        ready=grouped([each for each in found if not each.why_not]),
        others=grouped([each for each in found if each.why_not]),
        is_empty=not choices,
        stands=await stands(conn, desk.inbox),
        meta_page=META_PAGE,
    )


async def show_form(request: Request, web: Web, viewer: Viewer) -> Response:
    """The form of one template, beside the message that it makes."""
    async with transaction(web.pool) as conn:
        desk = await desk_of(conn, web, viewer, request.path_params["conversation_id"])
        choice = await _choice(conn, viewer, desk, request.path_params["template_id"])
        contact = await inbox_store.contact(conn, viewer.account_id, desk.conversation.contact_id)
    known = suggested(choice.form, contact)
    return _form(request, web, viewer, desk, choice, Filling(known, uuid4(), suggested=known))


async def send(request: Request, web: Web, viewer: Viewer) -> Response:
    """Send a filled-in template. The same ``our_ref`` again answers with the same bubble and sends nothing."""
    conversation_id: int = request.path_params["conversation_id"]
    template_id: int = request.path_params["template_id"]
    async with request.form(max_files=1, max_fields=FIELDS_MAX) as form:
        values = {
            name.removeprefix(VALUE): value
            for name, value in form.multi_items()
            if name.startswith(VALUE) and isinstance(value, str)
        }
        our_ref, revision = reference_of(str(form.get("our_ref", ""))), str(form.get("revision", ""))
        try:
            file = await _give_file(web, viewer, (conversation_id, template_id), form, values, revision)

            async def act(conn: Connection) -> int:
                given = (web.keyring, viewer.member, conversation_id, template_id, values)
                return await sending.send_template(conn, *given, our_ref=our_ref, revision=revision, file=file)

            message_id = await in_transaction(web.pool, act)
        except IN_THE_FORM as error:
            return await _form_again(request, web, viewer, Filling(values, our_ref), error)
    return await bubble_answer(request, web, viewer, message_id)


async def _give_file(
    web: Web, viewer: Viewer, ids: tuple[int, int], form: FormData, values: Mapping[str, str], revision: str
) -> SentFile | None:
    """Give Meta the file of the form, if the template has one, and once all else in the form is right."""
    async with transaction(web.pool) as conn:
        desk = await desk_of(conn, web, viewer, ids[0])
        choice = await _choice(conn, viewer, desk, ids[1])
    place = _file_field(choice)
    file = form.get(f"{VALUE}{place.key}") if place else None
    if place is None or not isinstance(file, UploadFile) or choice.template.revision != revision or choice.why_not:
        return None
    forms.check(choice.form, dict(values) | ({place.key: CHOSEN} if file.filename else {}))
    try:
        return await template_files.upload(
            web.pool,
            web.graph,
            web.keyring,
            viewer.member,
            desk.inbox.id,
            place.takes,
            file.file,
            size_bytes=file.size or 0,
            mime_type=file.content_type or "",
            file_name=file.filename or "",
        )
    except (Invalid, TooLarge) as error:
        raise NotFilled({place.key: str(error)}) from error


def _file_field(choice: Choice) -> Field | None:
    return next((each for each in choice.form.fields if each.takes.is_file), None)


async def _choice(conn: Connection, viewer: Viewer, desk: Desk, template_id: int) -> Choice:
    template = await store.get(conn, viewer.account_id, desk.inbox.waba_id, template_id)
    if template is None:
        raise NotFound(NO_TEMPLATE, next_step="Choose another one.")
    return choice_of(template, desk.person)


async def _form_again(request: Request, web: Web, viewer: Viewer, filling: Filling, error: AppError) -> Response:
    """The form with what was typed, as the template is now, and what is wrong at its place."""
    async with transaction(web.pool) as conn:
        desk = await desk_of(conn, web, viewer, request.path_params["conversation_id"])
        choice = await _choice(conn, viewer, desk, request.path_params["template_id"])
    problems = error.problems if isinstance(error, NotFilled) else {}
    said = "Nothing was sent yet: some values do not fit." if problems else str(error)
    shown = Filling(filling.values, filling.our_ref, problems, said)
    return _form(request, web, viewer, desk, choice, shown, status=error.status)


def _form(
    request: Request, web: Web, viewer: Viewer, desk: Desk, choice: Choice, filling: Filling, status: int = 200
) -> Response:
    return _page(
        request,
        web,
        viewer,
        desk,
        status=status,
        part="parts/picker_form.html",
        choice=choice,
        filling=filling,
        preview=preview_of(choice.form, filling.values),
        accepts=template_files.TYPES,
        accept_words=template_files.WORDS,
    )


def _page(request: Request, web: Web, viewer: Viewer, desk: Desk, status: int = 200, **shown: Any) -> Response:
    """The picker's content for its dialog, or as a page. An error's body is never swapped in, so it goes as a part."""
    in_dialog = is_partial(request)
    context = {
        **shell(viewer),
        "desk": desk,
        "conversation": desk.conversation,
        "in_dialog": in_dialog,
        "is_refused": status >= 400,
        "status_words": status_words,
        "category_of": category_of,
        "language_words": language_words,
        "preview_of": preview_of,
        **shown,
    }
    return (
        html(web, "parts/picker.html", **context) if in_dialog else html(web, "picker.html", status=status, **context)
    )


async def ask_meta(request: Request, web: Web, viewer: Viewer) -> Response:
    """Have Meta asked for the templates, and show them as they are known until then."""
    conversation_id: int = request.path_params["conversation_id"]
    async with transaction(web.pool) as conn:
        desk = await desk_of(conn, web, viewer, conversation_id)
    await in_transaction(web.pool, lambda conn: template_lists.ask_soon(conn, viewer.member, desk.inbox.id))
    if not is_partial(request):
        return redirect(f"/conversations/{conversation_id}/templates")
    async with transaction(web.pool) as conn:
        return await _list(conn, request, web, viewer, desk, "")
