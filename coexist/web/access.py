"""Who is asking: the cookie, the viewer and their zone, and whether a form came from our own pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from coexist.base.config import Settings
from coexist.base.database import transaction
from coexist.base.errors import NotFound
from coexist.inbox import store
from coexist.people import sessions
from coexist.people.model import Member
from coexist.quarantine.rules import may_keep
from coexist.web import words
from coexist.web.state import Web, web_of

SESSION_COOKIE: Final = "coexist_session"
ZONE_COOKIE: Final = "coexist_zone"
COOKIE_DAYS: Final = 180


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page, and in which time zone: the browser's, else the one of the user's settings."""

    member: Member
    zone: tzinfo

    @property
    def account_id(self) -> int:
        """The one account whose things this viewer may see."""
        return self.member.account_id

    @property
    def keeps_quarantine(self) -> bool:
        """Whether this viewer looks after what could not be applied."""
        return may_keep(self.member)


Page = Callable[[Request, Web, Viewer], Awaitable[Response]]


async def viewer_of(request: Request) -> Viewer | None:
    """Return who is signed in, None for nobody."""
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        return None
    async with transaction(web_of(request).pool) as conn:
        member = await sessions.user_of(conn, cookie)
    if member is None:
        return None
    return Viewer(member, words.zone_of(request.cookies.get(ZONE_COOKIE), member.time_zone))


def signed_in(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that gives ``page`` its viewer, or sends whoever is not signed in to do that first."""

    async def endpoint(request: Request) -> Response:
        viewer = await viewer_of(request)
        if viewer is not None:
            return await _or_where_it_went(request, web_of(request), viewer, page)
        if is_partial(request):
            return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
        if request.method != "GET" or request.url.path in ("/", "/live"):
            return Response(status_code=401) if request.url.path == "/live" else redirect("/sign-in")
        return redirect(f"/sign-in?next={quote(request.url.path)}")

    return endpoint


async def _or_where_it_went(request: Request, web: Web, viewer: Viewer, page: Page) -> Response:
    """The page; of a conversation that was folded into another, the same page of that one, with all that was sent.

    A part of a page that is asked for again has the browser load the whole page of the one that stays.
    """
    try:
        return await page(request, web, viewer)
    except NotFound:
        folded_id = request.path_params.get("conversation_id")
        if folded_id is None:
            raise
        async with transaction(web.pool) as conn:
            kept_id = await store.kept_conversation(conn, viewer.account_id, folded_id)
        if kept_id is None:
            raise
        if is_partial(request) and request.method == "GET":
            return Response(headers={"HX-Redirect": f"/conversations/{kept_id}"})
        there = request.url.path.replace(f"/conversations/{folded_id}", f"/conversations/{kept_id}", 1)
        return RedirectResponse(f"{there}?{request.url.query}".rstrip("?"), status_code=307)


def is_partial(request: Request) -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def redirect(path: str) -> Response:
    """See the page at ``path`` next, by GET."""
    return RedirectResponse(path, status_code=303)


def own_path(path: str | None) -> str:
    """``path`` if it is a page of ours, else the first page: a link never leads elsewhere after signing in."""
    is_ours = path is not None and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if path is not None and is_ours and path.isprintable() else "/"


def keep_session(response: Response, settings: Settings, token: str) -> Response:
    """Put the session's cookie on a response. Not readable by scripts, not sent along from other sites' forms."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=COOKIE_DAYS * 86_400,
        httponly=True,
        samesite="lax",
        secure=settings.base_url.startswith("https://"),
    )
    return response


def comes_from_us(headers: Headers, settings: Settings) -> bool:
    """Whether an unsafe request was made by a page of ours, as browsers tell it and no page can forge.

    A browser without Sec-Fetch-Site sends Origin; whoever sends neither has no cookie that another site could abuse.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return headers.get("cookie") is None
    named = urlsplit(origin)
    return origin == settings.base_url or named.netloc == headers.get("host")
