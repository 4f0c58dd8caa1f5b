"""The first run, signing in by password or by a one-time link, and signing out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import transaction
from coexist.base.errors import AppError
from coexist.people import actions, store
from coexist.web import words
from coexist.web.access import (
    SESSION_COOKIE,
    ZONE_COOKIE,
    Viewer,
    keep_session,
    own_path,
    redirect,
    viewer_of,
)
from coexist.web.render import html
from coexist.web.state import Web, web_of


async def show_first_page(request: Request) -> Response:
    """``/``: the inbox for who is signed in, signing in for others, the first run when there is no owner."""
    if await viewer_of(request) is not None:
        return redirect("/conversations")
    async with transaction(web_of(request).pool) as conn:
        has_owner = await store.has_owner(conn)
    return redirect("/sign-in" if has_owner else "/first-run")


async def show_first_run(request: Request) -> Response:
    """The form that makes the owner; afterwards, the way to sign in."""
    async with transaction(web_of(request).pool) as conn:
        if await store.has_owner(conn):
            return redirect("/sign-in")
    return html(web_of(request), "first_run.html", error=None, given={})


async def make_owner(request: Request) -> Response:
    """Make the account and its owner, and sign them in."""
    web = web_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    zone = request.cookies.get(ZONE_COOKIE)
    try:
        async with transaction(web.pool) as conn:
            await actions.create_owner(
                conn,
                account_name=form.get("account_name", ""),
                name=form.get("name", ""),
                email=form.get("email", ""),
                password=form.get("password", ""),
                time_zone=str(words.zone_of(zone)),
            )
            token = await actions.sign_in(
                conn, form.get("email", ""), form.get("password", ""), request.headers.get("user-agent")
            )
    except AppError as error:
        return html(web, "first_run.html", status=error.status, error=error, given=form)
    return keep_session(redirect("/conversations"), web.settings, token)


async def show_sign_in(request: Request) -> Response:
    """The form for e-mail and password."""
    if await viewer_of(request) is not None:
        return redirect(own_path(request.query_params.get("next")))
    async with transaction(web_of(request).pool) as conn:
        if not await store.has_owner(conn):
            return redirect("/first-run")
    next_path = own_path(request.query_params.get("next"))
    return html(web_of(request), "sign_in.html", error=None, email="", next=next_path)


async def sign_in(request: Request) -> Response:
    """Check the password; a wrong one shows the form again with the reason."""
    web = web_of(request)
    form = await request.form()
    email, next_path = str(form.get("email", "")), own_path(str(form.get("next", "/")))
    try:
        async with transaction(web.pool) as conn:
            token = await actions.sign_in(
                conn,
                email,
                str(form.get("password", "")),
                request.headers.get("user-agent"),
                address=request.client.host if request.client else None,
            )
    except AppError as error:
        return html(web, "sign_in.html", status=error.status, error=error, email=email, next=next_path)
    return keep_session(redirect(next_path), web.settings, token)


async def show_link(request: Request) -> Response:
    """A one-time link only offers to sign in: programs that look at links in advance must not use it up."""
    return html(web_of(request), "link.html", token=request.path_params["token"], error=None)


async def use_link(request: Request) -> Response:
    """Spend the link and sign in."""
    web = web_of(request)
    token: str = request.path_params["token"]
    try:
        async with transaction(web.pool) as conn:
            session = await actions.use_sign_in_link(conn, token, request.headers.get("user-agent"))
    except AppError as error:
        return html(web, "link.html", status=error.status, token=token, error=error)
    return keep_session(redirect("/conversations"), web.settings, session)


async def sign_out(request: Request, web: Web, viewer: Viewer) -> Response:
    """End this session, here and in the database."""
    async with transaction(web.pool) as conn:
        await actions.sign_out(conn, request.cookies[SESSION_COOKIE])
    response = redirect("/sign-in")
    response.delete_cookie(SESSION_COOKIE)
    return response
