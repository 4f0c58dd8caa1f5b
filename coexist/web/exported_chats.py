"""Chats that the phone exported: given here, looked at, brought into a thread, and taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, transaction
from coexist.base.errors import Conflict, Forbidden, Invalid, NotFound
from coexist.events import feed
from coexist.exported_chats import actions, store, threads, zones
from coexist.exported_chats.archive import MEBIBYTE, PACKAGE_BYTES_MAX
from coexist.exported_chats.choosing import Given, Offer, offer
from coexist.exported_chats.model import Kind, State
from coexist.exported_chats.stamps import DateOrder, date_of
from coexist.exported_chats.telling import Message
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.people.model import Role
from coexist.web import kinds, words
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import whole
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web

PATH: Final = "/exported-chats"
WORDS_CHARS_MAX: Final = 100
FILE_NAME_CHARS_MAX: Final = 500

STATES: Final[dict[State, tuple[str, str]]] = {
    State.UPLOADED: ("busy", "To be decided"),
    State.APPLYING: ("busy", "Coming in"),
    State.APPLIED: ("good", "Brought in"),
    State.FAILED: ("bad", "Not brought in"),
    State.UNDOING: ("busy", "Being taken back"),
    State.UNDONE: ("quiet", "Taken back"),
}
"""Colour and word of an import's state."""

SKIPPED: Final = {
    Kind.NOTICE: ("notice of WhatsApp's", "notices of WhatsApp's, such as the one about encryption"),
    Kind.CALL: ("call", "calls"),
    Kind.DELETED: ("deleted message, of which nothing is left", "deleted messages, of which nothing is left"),
    Kind.EMPTY: ("message exported without content", "messages exported without content"),
}
"""What is left out: one, and several."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of the preview."""

    side: str
    name: str
    time: str
    said: str
    is_words: bool


def _check(viewer: Viewer) -> None:
    """Raise Forbidden for an agent: a chat that is brought in writes into threads as if others had written."""
    if viewer.member.role == Role.AGENT:
        raise Forbidden("Only owners and admins bring in exported chats.", next_step="Ask one of them.")


async def show_exported_chats(request: Request, web: Web, viewer: Viewer) -> Response:
    """Where a file is given, and what came of the earlier ones. ``?conversation=`` names the thread it is for."""
    _check(viewer)
    asked = request.query_params.get("conversation", "")
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        chats = await store.chats(conn, viewer.account_id)
        connected = await inboxes.of_account(conn, viewer.account_id)
    return html(
        web,
        "exported_chats.html",
        **shell(viewer),
        path=PATH,
        event_id=event_id,
        chats=chats,
        inboxes=connected,
        states=STATES,
        conversation_id=whole(asked),
        max_bytes=PACKAGE_BYTES_MAX,
        max_words=f"{PACKAGE_BYTES_MAX // (1024 * MEBIBYTE)} GB",
    )


async def take_file(request: Request, web: Web, viewer: Viewer) -> Response:
    """Take in a file as it comes: the body is the file, and X-File-Name its name, percent-encoded."""
    _check(viewer)
    async with transaction(web.pool) as conn:
        if not await inboxes.of_account(conn, viewer.account_id):
            raise Conflict("There is no number yet that a chat could belong to.", next_step="Connect one first.")
    name = unquote(request.headers.get("x-file-name", ""))[:FILE_NAME_CHARS_MAX]
    member = viewer.member
    chat_id = await actions.receive(
        web.pool, web.settings, web.keyring, member.account_id, member.user_id, name, request.stream()
    )
    return Response(status_code=201, headers={"Location": f"{PATH}/{chat_id}"})


async def show_exported_chat(request: Request, web: Web, viewer: Viewer) -> Response:
    """One import: what is to be decided, how far it is, or what it came to; its part alone when htmx asks."""
    _check(viewer)
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        chat = await store.chat(conn, viewer.account_id, request.path_params["chat_id"])
        connected = await inboxes.of_account(conn, viewer.account_id)
    context = shell(viewer) | {"path": PATH, "event_id": event_id, "chat": chat, "states": STATES, "skipped": SKIPPED}
    part = "parts/exported_chat.html"
    if chat.state is State.UPLOADED:
        given, inbox = await _given(web, viewer, _changed(request.query_params), connected)
        offered = await offer(web.pool, web.settings, web.keyring, chat, inbox, given, own_zone=_zone_name(viewer))
        part = "parts/exported_plan.html"
        context |= {"inboxes": connected, "inbox": inbox, "given": given, "offer": offered}
        context |= {"report": offered.plan.report() if offered.plan else None, "orders": _orders(offered, viewer)}
        context |= {"sample": _sample(offered, viewer), "zone_names": zones.names()}
    if is_partial(request):
        return html(web, part, **context)
    return html(web, "exported_chat.html", part=part, **context)


async def start(request: Request, web: Web, viewer: Viewer) -> Response:
    """Bring the chat in, as the form says."""
    _check(viewer)
    chat_id = request.path_params["chat_id"]
    async with transaction(web.pool) as conn:
        chat = await store.chat(conn, viewer.account_id, chat_id)
        connected = await inboxes.of_account(conn, viewer.account_id)
    if chat.state is State.UPLOADED:  # else somebody, or a double click, was faster
        given, inbox = await _given(web, viewer, _said(await request.form()), connected)
        offered = await offer(web.pool, web.settings, web.keyring, chat, inbox, given, own_zone=_zone_name(viewer))
        if offered.choices is None:
            raise Invalid(" ".join(offered.missing), next_step="Go back, and decide it there.")
        async with transaction(web.pool) as conn:
            await actions.start(conn, web.settings, viewer.account_id, chat_id, inbox, offered.choices)
    return redirect(f"{PATH}/{chat_id}")


async def retry(request: Request, web: Web, viewer: Viewer) -> Response:
    """Go on with an import that failed."""
    _check(viewer)
    async with transaction(web.pool) as conn:
        await actions.retry(conn, web.settings, viewer.account_id, request.path_params["chat_id"])
    return redirect(f"{PATH}/{request.path_params['chat_id']}")


async def undo(request: Request, web: Web, viewer: Viewer) -> Response:
    """Take an import back."""
    _check(viewer)
    async with transaction(web.pool) as conn:
        await actions.undo(conn, viewer.account_id, request.path_params["chat_id"])
    return redirect(f"{PATH}/{request.path_params['chat_id']}")


async def discard(request: Request, web: Web, viewer: Viewer) -> Response:
    """Throw a file away that was not brought in."""
    _check(viewer)
    async with transaction(web.pool) as conn:
        await actions.discard(conn, web.settings, viewer.account_id, request.path_params["chat_id"])
    return redirect(PATH)


# ── what is decided ───────────────────────────────────────────────────────────────────────────────────────


def _said(form: FormData | QueryParams) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _changed(form: QueryParams) -> dict[str, str]:
    """What the form says, without what was only proposed for another number or contact than it names by now."""
    said = _said(form)
    inbox_before, _, contact_before = said.get("for", "").partition(":")
    if inbox_before and said.get("inbox") != inbox_before:
        return {"inbox": said.get("inbox", "")}
    if contact_before and said.get("contact", "") != contact_before:
        return {name: value for name, value in said.items() if name not in ("own", "zone")}
    return said


async def _given(web: Web, viewer: Viewer, said: Mapping[str, str], connected: Sequence[Inbox]) -> tuple[Given, Inbox]:
    """What the form says so far, and the inbox it is about: the one named, else the first."""
    contact_id = whole(said.get("contact", ""))
    inbox_id = whole(said.get("inbox", ""))
    conversation_id = whole(said.get("conversation", ""))
    if conversation_id is not None and contact_id is None:
        async with transaction(web.pool) as conn:
            inbox_id, contact_id = await _thread(conn, viewer, conversation_id, inbox_id)
    inbox = next((one for one in connected if inbox_id in (None, one.id)), None)
    if inbox is None:
        raise NotFound("This number does not exist, or it belongs to another account.")
    order = said.get("order", "")
    given = Given(
        contact_id=contact_id,
        phone=said.get("phone", "").strip() if said.get("contact") == "new" else "",
        words=" ".join(said.get("words", "").replace("\0", "").split())[:WORDS_CHARS_MAX],
        own_name=said["own"][1:] if said.get("own", "").startswith("=") else None,
        time_zone=said.get("zone", "").strip(),
        order=DateOrder(order) if order in list(DateOrder) else None,
    )
    return given, inbox


async def _thread(
    conn: Connection, viewer: Viewer, conversation_id: int, inbox_id: int | None
) -> tuple[int | None, int | None]:
    found = await threads.contact_of_conversation(conn, viewer.account_id, conversation_id)
    return found or (inbox_id, None)


def _zone_name(viewer: Viewer) -> str:
    return str(getattr(viewer.zone, "key", "UTC"))


def _orders(offered: Offer, viewer: Viewer) -> Sequence[tuple[str, str]]:
    """How the first date may be read: (order, date in words)."""
    first = offered.survey.first.numbers
    days = [(order, date_of(first, order)) for order in offered.survey.orders]
    return [(order.value, words.plain_date(day, viewer.zone)) for order, day in days if day is not None]


def _sample(offered: Offer, viewer: Viewer) -> Sequence[Sequence[Shown]]:
    """The first and the last messages of the file, in two groups where something is between them."""
    if offered.plan is None:
        return []
    first, last = list(offered.plan.first), list(offered.plan.last)
    shown = [[_shown(message, viewer) for message in part] for part in (first, last) if part]
    between = len(offered.plan.told) > len(first) + len(last)
    return shown if between else [[one for part in shown for one in part]]


def _shown(message: Message, viewer: Viewer) -> Shown:
    entry = message.entry
    kind = kinds.kind_of(entry.kind.value) if entry.kind not in (Kind.OMITTED, Kind.PHONE_ONLY) else kinds.ON_THE_PHONE
    return Shown(
        side="in" if message.direction == "inbound" else "out",
        name=entry.sender or "",
        time=f"{words.plain_date(message.at, viewer.zone)}, {words.clock_time(message.at, viewer.zone)}",
        said=entry.text or kind.word or "Message",
        is_words=bool(entry.text),
    )
