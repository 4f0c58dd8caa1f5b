"""What people do in a conversation: write, keep a draft, resolve, assign, retry, rename, note."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.base.errors import Invalid
from coexist.events import feed
from coexist.inbox import actions, store
from coexist.inbox.model import Message
from coexist.outbound import actions as sending
from coexist.people.model import Member
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import id_of
from coexist.web.render import bubble_renderer
from coexist.web.state import Web

Act = Callable[[Connection, Member, int], Awaitable[None]]


async def send_message(request: Request, web: Web, viewer: Viewer) -> Response:
    """Send the composer's text. The same ``our_ref`` again answers with the same bubble and sends nothing."""
    conversation_id: int = request.path_params["conversation_id"]
    form = await request.form()
    text, our_ref = str(form.get("text", "")), reference_of(str(form.get("our_ref", "")))
    reply_to = _optional_id(str(form.get("reply_to", "")))

    async def act(conn: Connection) -> int:
        await actions.clear_draft(conn, viewer.member, conversation_id)
        given = (web.keyring, viewer.member, conversation_id, text)
        return await sending.send_text(conn, *given, reply_to=reply_to, our_ref=our_ref)

    message_id = await in_transaction(web.pool, act)
    return await bubble_answer(request, web, viewer, message_id)


async def retry_message(request: Request, web: Web, viewer: Viewer) -> Response:
    """Send a message again that did not go out, or may not have: a person has decided."""
    message_id: int = request.path_params["message_id"]
    on_its_way = await in_transaction(
        web.pool, lambda conn: sending.retry(conn, web.keyring, viewer.member, message_id)
    )
    return await bubble_answer(request, web, viewer, on_its_way)


async def discard_message(request: Request, web: Web, viewer: Viewer) -> Response:
    """Give up a message that did not go out."""
    message_id: int = request.path_params["message_id"]
    async with transaction(web.pool) as conn:
        conversation_id = (await store.message(conn, viewer.account_id, message_id)).conversation_id
    await in_transaction(web.pool, lambda conn: sending.discard(conn, viewer.member, message_id))
    async with transaction(web.pool) as conn:
        as_of = await feed.last_id(conn, viewer.account_id)
        left = await store.messages(conn, viewer.account_id, [message_id])
    if left:
        return _bubble(request, web, viewer, left[0], as_of)
    if is_partial(request):
        return Response(
            f'<hx-partial hx-target="#message-{message_id}" hx-swap="delete"></hx-partial>', media_type="text/html"
        )
    return redirect(f"/conversations/{conversation_id}")


async def bubble_answer(request: Request, web: Web, viewer: Viewer, message_id: int) -> Response:
    """Answer with a message's bubble, to be put in place; with the conversation for a browser without scripts."""
    async with transaction(web.pool) as conn:
        as_of = await feed.last_id(conn, viewer.account_id)
        message = await store.message(conn, viewer.account_id, message_id)
    return _bubble(request, web, viewer, message, as_of)


def _bubble(request: Request, web: Web, viewer: Viewer, message: Message, as_of: int) -> Response:
    """The bubble to be put in place; a page for a browser without scripts.

    ``as_of`` is the newest event before the message was read: what was told of it since is not taken back.
    """
    if is_partial(request):
        return Response(bubble_renderer(web.templates)(message, viewer.zone, as_of), media_type="text/html")
    return redirect(f"/conversations/{message.conversation_id}")


async def save_draft(request: Request, web: Web, viewer: Viewer) -> Response:
    """Keep what is being written."""
    conversation_id: int = request.path_params["conversation_id"]
    text = str((await request.form()).get("text", ""))
    async with transaction(web.pool) as conn:
        await actions.save_draft(conn, web.keyring, viewer.member, conversation_id, text)
    return Response(status_code=204)


async def mark_read(request: Request, web: Web, viewer: Viewer) -> Response:
    """Note what the viewer has on the screen: everything up to the newest message there."""
    conversation_id: int = request.path_params["conversation_id"]
    up_to = _optional_id(str((await request.form()).get("up_to", "")))
    if up_to is not None:
        await in_transaction(web.pool, lambda conn: actions.mark_read(conn, viewer.member, conversation_id, up_to))
    return Response(status_code=204)


def decide(act: Act) -> Callable[[Request, Web, Viewer], Awaitable[Response]]:
    """The endpoint for an action that needs nothing but its conversation; its effect comes by the stream."""

    async def endpoint(request: Request, web: Web, viewer: Viewer) -> Response:
        conversation_id: int = request.path_params["conversation_id"]
        await in_transaction(web.pool, lambda conn: act(conn, viewer.member, conversation_id))
        if is_partial(request):
            return Response(status_code=204)
        return redirect(f"/conversations/{conversation_id}")

    return endpoint


async def assign_to_me(conn: Connection, member: Member, conversation_id: int) -> None:
    """Take a conversation."""
    await actions.assign(conn, member, conversation_id, member.user_id)


async def unassign(conn: Connection, member: Member, conversation_id: int) -> None:
    """Give a conversation back to everybody."""
    await actions.assign(conn, member, conversation_id, None)


async def change_contact(request: Request, web: Web, viewer: Viewer) -> Response:
    """Rename a contact, or write the team's note about it: whichever field the form has."""
    contact_id: int = request.path_params["contact_id"]
    form = await request.form()

    async def act(conn: Connection) -> None:
        if "name" in form:
            await actions.rename_contact(conn, viewer.member, contact_id, str(form["name"]))
        if "note" in form:
            await actions.write_note(conn, web.keyring, viewer.member, contact_id, str(form["note"]))

    await in_transaction(web.pool, act)
    return Response(status_code=204) if is_partial(request) else redirect("/conversations")


def reference_of(raw: str) -> UUID:
    """The reference under which a form sends once. Raises Invalid."""
    try:
        return UUID(raw)
    except ValueError as error:
        raise Invalid("This form is incomplete.", next_step="Load the page again, then send.") from error


def _optional_id(raw: str) -> int | None:
    if not raw:
        return None
    return id_of(raw, back_to="the conversation")
