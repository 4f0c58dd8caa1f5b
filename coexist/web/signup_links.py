"""Links for clients: making them, taking them back, and the page of who follows one, without a user here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import transaction
from coexist.coexistence import signup_links as links
from coexist.coexistence import signup_store as store
from coexist.coexistence import signups
from coexist.coexistence.signup_model import Signup
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import whole
from coexist.web.guard import dialog_headers
from coexist.web.render import html
from coexist.web.signup import PATH, Desk, answer, desk_of, fields_of, part, step, told
from coexist.web.state import Web, web_of


async def make_link(request: Request, web: Web, viewer: Viewer) -> Response:
    """Make a link and show it, once: only its hash is kept."""
    desk_of(viewer)
    form = await request.form()
    made_for, days = str(form.get("made_for", "")), whole(str(form.get("days", ""))) or 0
    async with transaction(web.pool) as conn:
        token = await links.make(conn, viewer.member, made_for, days=days)
    address = f"{web.settings.base_url}/connect/{token}"
    return html(web, "connect_link.html", viewer=viewer, made_for=made_for, address=address, days=days)


async def revoke_link(request: Request, web: Web, viewer: Viewer) -> Response:
    """Take a link back."""
    desk_of(viewer)
    async with transaction(web.pool) as conn:
        await links.revoke(conn, viewer.member, request.path_params["link_id"])
    return redirect(f"{PATH}#links")


async def show_beginning(request: Request) -> Response:
    """What a client sees who follows a link: the explanation, or the attempt of theirs that went furthest."""
    desk = await _desk(request)
    assert desk.link is not None
    async with transaction(web_of(request).pool) as conn:
        tried = await store.of_link(conn, desk.link.id)
    furthest = next((one for one in tried if one.inbox_id), tried[0] if tried else None)
    return await _page(request, desk, furthest)


async def show_signup(request: Request) -> Response:
    """One attempt over a link."""
    desk = await _desk(request)
    async with transaction(web_of(request).pool) as conn:
        signup = await signups.find(conn, desk.party, request.path_params["signup_id"])
    return await part(web_of(request), desk, signup) if is_partial(request) else await _page(request, desk, signup)


async def take_step(request: Request) -> Response:
    """A step of an attempt over a link."""
    given = await fields_of(request)
    desk = await _desk(request, given.get("person", ""))
    signup = await step(request, web_of(request), desk, {**given, "renews": ""})
    return await answer(request, web_of(request), desk, signup)


async def _desk(request: Request, person: str = "") -> Desk:
    token: str = request.path_params["token"]
    async with transaction(web_of(request).pool) as conn:
        link = await links.find(conn, token)
    return Desk(links.party_of(link, person), f"/connect/{token}", link)


async def _page(request: Request, desk: Desk, signup: Signup | None) -> Response:
    web = web_of(request)
    response = html(web, "connect_client.html", **await told(web, desk, signup), renewed=None)
    response.headers.update(dialog_headers(web.settings))
    return response
