"""The templates of a number as its pages show them: how each stands, and making one or a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.base.errors import AppError, Conflict, Forbidden, NotFound, UpstreamFailed
from coexist.coexistence import template_copies, template_lists
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.meta import new_templates
from coexist.meta.new_templates import NewTemplate
from coexist.meta.templates import NotFilled
from coexist.people.model import Role
from coexist.templates import store
from coexist.templates.model import Template
from coexist.web.access import Viewer, redirect
from coexist.web.conversations import shell
from coexist.web.languages import LANGUAGES, language_words
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.template_choices import META_PAGE, SEARCH_CHARS_MAX, Choice, choices_of, stands
from coexist.web.template_words import category_of, examples_of, preview_of, quality_words, status_words

MANY: Final = 8
"""From how many templates on there is something to search with."""
EXAMPLE: Final = "example."
"""What the names of the inputs for examples begin with; the place follows, as in ``body.1``."""
NUMBERED: Final = re.compile(r"(.*?)_?(\d{1,6})")


async def show_templates(request: Request, web: Web, viewer: Viewer) -> Response:
    """Every template of a number's WhatsApp account: how it stands, why, and what to do."""
    asked = " ".join(request.query_params.get("q", "").replace("\0", "").split())[:SEARCH_CHARS_MAX]
    status = request.query_params.get("status", "")
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, request.path_params["inbox_id"])
        choices = await choices_of(conn, inbox)
        known = await stands(conn, inbox)
    path = f"/inboxes/{inbox.id}/templates"
    asked_for = {name: value for name, value in (("q", asked), ("status", status)) if value}
    return html(
        web,
        "templates.html",
        **shell(viewer),
        event_id=event_id,
        inbox=inbox,
        path=path,
        address=f"{path}?{urlencode(asked_for)}" if asked_for else path,
        words=asked,
        chosen_status=status,
        statuses=_statuses(choices),
        choices=[each for each in choices if each.has(asked) and status in ("", each.template.status)],
        all_count=len(choices),
        is_many=len(choices) >= MANY or bool(asked_for),
        stands=known,
        meta_page=META_PAGE,
        made=request.query_params.get("made", ""),
        may_make=viewer.member.role != Role.AGENT and known.can_ask,
        can_copy=new_templates.can_copy,
        **WORDS,
    )


WORDS: Final[Mapping[str, Any]] = {
    "status_words": status_words,
    "quality_words": quality_words,
    "category_of": category_of,
    "language_words": language_words,
    "preview_of": preview_of,
    "examples_of": examples_of,
}


def _statuses(choices: Sequence[Choice]) -> Sequence[tuple[str, str, int]]:
    """The statuses that there are, each with its words and how many have it; the ready ones first."""
    found: dict[str, int] = {}
    for each in choices:
        found[each.template.status] = found.get(each.template.status, 0) + 1
    ordered = sorted(found, key=lambda status: (status != "APPROVED", status_words(status)[2]))
    return [(status, status_words(status)[2], found[status]) for status in ordered]


async def ask_meta(request: Request, web: Web, viewer: Viewer) -> Response:
    """Have Meta asked for the templates now."""
    inbox_id: int = request.path_params["inbox_id"]
    await in_transaction(web.pool, lambda conn: template_lists.ask_soon(conn, viewer.member, inbox_id))
    return redirect(f"/inboxes/{inbox_id}/templates")


async def show_new(request: Request, web: Web, viewer: Viewer) -> Response:
    """The form for a new template; for a copy with what its original says."""
    _check_may_make(viewer)
    async with transaction(web.pool) as conn:
        inbox, original = await _original(conn, request, viewer)
    new = NewTemplate("", "", "", "", examples={})
    if original is not None:
        form = original.form
        category = original.category if original.category in new_templates.CATEGORIES else ""
        name = next_name(original.name)
        told = (form.header, form.footer, examples_of(form))
        new = NewTemplate(name, original.language, category or "", form.body, *told)
    return _form(web, viewer, inbox, original, new)


async def make(request: Request, web: Web, viewer: Viewer) -> Response:
    """Give a new template to WhatsApp; what it does not take stands at its field, with what was typed."""
    _check_may_make(viewer)
    async with transaction(web.pool) as conn:
        inbox, original = await _original(conn, request, viewer)
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    typed = {name: form.get(name, "").replace("\r\n", "\n").replace("\0", "").strip() for name in FIELDS}
    examples = {name.removeprefix(EXAMPLE): value for name, value in form.items() if name.startswith(EXAMPLE)}
    new = NewTemplate(**typed, examples=examples)
    copy_of = original.id if original else None
    try:
        await template_copies.create(web.pool, web.graph, web.keyring, viewer.member, inbox.id, new, copy_of)
    except (NotFilled, Conflict, UpstreamFailed) as error:
        return _form(web, viewer, inbox, original, new, error)
    return redirect(f"/inboxes/{inbox.id}/templates?{urlencode({'made': new.name})}")


FIELDS: Final = ("name", "language", "category", "body", "header", "footer")


def next_name(name: str) -> str:
    """A free-looking name for a copy: ``order_ready_2`` of ``order_ready``, ``order_ready_3`` of that."""
    numbered = NUMBERED.fullmatch(name)
    return f"{numbered[1]}_{int(numbered[2]) + 1}" if numbered else f"{name}_2"


def _check_may_make(viewer: Viewer) -> None:
    if viewer.member.role == Role.AGENT:
        raise Forbidden("Only owners and admins make templates.", next_step="Ask one of them.")


async def _original(conn: Connection, request: Request, viewer: Viewer) -> tuple[Inbox, Template | None]:
    """The number, and the template to copy where the path names one. Raises NotFound."""
    inbox = await inboxes.get(conn, viewer.account_id, request.path_params["inbox_id"])
    template_id = request.path_params.get("template_id")
    if template_id is None:
        return inbox, None
    original = await store.get(conn, viewer.account_id, inbox.waba_id, template_id)
    if original is None:
        raise NotFound("The template to copy is not there any more.", next_step="Go back to the number's templates.")
    if why_not := new_templates.can_copy(original.category, original.components):
        raise Conflict(why_not)
    return inbox, original


def _form(
    web: Web, viewer: Viewer, inbox: Inbox, original: Template | None, new: NewTemplate, error: AppError | None = None
) -> Response:
    problems = error.problems if isinstance(error, NotFilled) else {}
    places = [f"{part}.{name}" for part in ("header", "body") for name in new_templates.places(getattr(new, part))]
    return html(
        web,
        "template_new.html",
        status=error.status if error else 200,
        **shell(viewer),
        inbox=inbox,
        original=original,
        new=new,
        places=places,
        examples=new.examples or {},
        problems=problems,
        error="" if error is None or problems else str(error),
        languages=LANGUAGES,
        categories=new_templates.CATEGORIES,
        buttons=preview_of(original.form, {}).buttons if original else (),
        meta_page=META_PAGE,
        **WORDS,
    )
