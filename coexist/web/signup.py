"""Connecting a number in the browser: what will happen, Meta's window, a token, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.database import transaction
from coexist.base.errors import Forbidden, NotFound
from coexist.coexistence import signup_store as store
from coexist.coexistence import signups
from coexist.coexistence.checks_model import Level
from coexist.coexistence.signup_links import DAYS_USUAL
from coexist.coexistence.signup_model import Link, Party, Signup, State
from coexist.coexistence.signup_words import ending_of, link_state
from coexist.inbox import inboxes
from coexist.people.model import Role
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.conversations import shell
from coexist.web.guard import dialog_headers
from coexist.web.life import unasked
from coexist.web.render import html
from coexist.web.state import Web

PATH: Final = "/inboxes/connect"
SHOWN_COUNT: Final = 8
"""How many attempts, and how many links, the page remembers."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a number is being connected: by whom, under which path, and over which link if it is a client's."""

    party: Party
    path: str
    link: Link | None = None


def desk_of(viewer: Viewer) -> Desk:
    """The place of a member, or Forbidden: an agent answers customers, and connects nothing."""
    member = viewer.member
    if member.role == Role.AGENT:
        raise Forbidden(
            "Only owners and admins connect numbers.", next_step="Ask one of them; they see this page under Numbers."
        )
    return Desk(Party(member.account_id, member.name, user_id=member.user_id), PATH)


async def show_beginning(request: Request, web: Web, viewer: Viewer) -> Response:
    """The page that explains and opens Meta's window; ``?inbox=`` names one whose access shall be renewed."""
    desk = desk_of(viewer)
    asked = request.query_params.get("inbox", "")
    async with transaction(web.pool) as conn:
        renewed = await inboxes.get(conn, viewer.account_id, int(asked)) if asked.isdecimal() else None
        renewed = None if renewed and renewed.is_moved else renewed
        recent = await store.recent(conn, viewer.account_id, SHOWN_COUNT)
        numbers = {inbox.id: inbox for inbox in await inboxes.of_account(conn, viewer.account_id)}
        links = await store.links(conn, viewer.account_id, SHOWN_COUNT)
    return await _page(web, viewer, desk, None, renewed=renewed, recent=recent, numbers=numbers, links=links)


async def show_signup(request: Request, web: Web, viewer: Viewer) -> Response:
    """One attempt, to be gone on with; its part alone when htmx asks."""
    desk = desk_of(viewer)
    signup_id: UUID = request.path_params["signup_id"]
    async with transaction(web.pool) as conn:
        signup = await signups.find(conn, desk.party, signup_id)
        renewed = None
        if signup.renews_id is not None:
            renewed = await inboxes.get(conn, viewer.account_id, signup.renews_id)
            renewed = None if renewed.is_moved else renewed
    if is_partial(request):
        return await part(web, desk, signup)
    return await _page(web, viewer, desk, signup, renewed=renewed, recent=[], links=[])


async def take_step(request: Request, web: Web, viewer: Viewer) -> Response:
    """A step of an attempt, as the page's script or a form tells it."""
    desk = desk_of(viewer)
    signup = await step(request, web, desk, await fields_of(request))
    return await answer(request, web, desk, signup)


async def step(request: Request, web: Web, desk: Desk, given: Mapping[str, str]) -> Signup:
    """Take one step of the attempt named in the path, for a member or a client, and return the attempt.

    ``opened``, ``event``, ``closed`` and ``code`` come from Meta's window, ``token`` from the form, ``go`` and
    ``give-up`` from who comes back. Raises NotFound for any other.
    """
    party, signup_id, wanted = desk.party, request.path_params["signup_id"], request.path_params["step"]
    renews = given.get("renews", "")
    renews_id = int(renews) if renews.isdecimal() else None
    if wanted == "code":
        to_meta = (web.pool, web.graph, web.keyring, web.settings)
        await signups.take_code(*to_meta, party, signup_id, given.get("code", ""), renews_id=renews_id)
    async with transaction(web.pool) as conn:
        match wanted:
            case "opened":
                return await signups.begin(conn, party, signup_id, renews_id=renews_id)
            case "event" | "code":
                return await signups.hear(conn, party, signup_id, given.get("event", ""))
            case "closed":
                return await signups.close(conn, party, signup_id)
            case "token" if desk.link is None:
                token, waba_id = given.get("token", "").strip(), given.get("waba_id", "").strip() or None
                keys = (web.keyring, web.settings)
                await signups.take_token(conn, *keys, party, signup_id, token, waba_id=waba_id, renews_id=renews_id)
            case "give-up":
                return await signups.give_up(conn, party, signup_id)
            case "go":
                pass
            case _:
                raise NotFound("There is no such step.")
    return await _advance(web, party, signup_id, given.get("chosen") or None)


async def _advance(web: Web, party: Party, signup_id: UUID, chosen_id: str | None = None) -> Signup:
    tools = (web.pool, web.graph, web.keyring, web.settings)
    return await signups.advance(*tools, party, signup_id, chosen_id=chosen_id)


async def answer(request: Request, web: Web, desk: Desk, signup: Signup) -> Response:
    """Where the attempt stands now: its part of the page for a script, else its page.

    An attempt that has just been given access is finished after this answer, whether the page stays open or not.
    """
    if not is_partial(request):
        return redirect(desk.path if desk.link else f"{desk.path}/{signup.id}")
    response = await part(web, desk, signup)
    if signup.state == State.AUTHORISED and signup.problem is None:
        response.background = BackgroundTask(_advance, web, desk.party, signup.id)
    return response


async def part(web: Web, desk: Desk, signup: Signup | None) -> Response:
    """The part of a page that says where an attempt stands."""
    return html(web, "parts/signup.html", **await told(web, desk, signup))


async def told(web: Web, desk: Desk, signup: Signup | None) -> dict[str, Any]:
    """What the part needs. A click that opens Meta's window anew is a new attempt, unless this one is still open."""
    inbox, look, now = None, None, clock.now()
    has_app = bool(web.settings.app_id and web.settings.app_secrets)
    if signup is not None and signup.inbox_id is not None:
        async with transaction(web.pool) as conn:
            inbox = await inboxes.get(conn, desk.party.account_id, signup.inbox_id)
            look = await unasked(conn, inbox, now)
            look = look if look and look.level is not Level.GREEN else None
    return {
        "path": desk.path,
        "link": desk.link,
        "signup": signup,
        "ending": ending_of(signup, now, look) if signup else None,
        "inbox": inbox,
        "is_unasked": look is not None,
        "next_id": signup.id if signup and signup.state == State.OPENED else uuid4(),
        "settings": web.settings,
        "has_app": has_app,
        "is_ready": has_app and web.settings.signup_config_id is not None,
    }


async def _page(web: Web, viewer: Viewer, desk: Desk, signup: Signup | None, **context: Any) -> Response:
    now = clock.now()
    response = html(
        web,
        "connect.html",
        **shell(viewer),
        **await told(web, desk, signup),
        **context,
        token_id=uuid4(),
        ending_of=lambda one: ending_of(one, now),
        link_state=lambda one: link_state(one, now),
        days_usual=DAYS_USUAL,
    )
    response.headers.update(dialog_headers(web.settings))
    return response


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form."""
    return {name: str(value) for name, value in (await request.form()).items()}
