"""The account's list of private numbers: adding, removing what is here, taking off."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.inbox import private
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.choices import check_may_choose
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web

PATH: Final = "/private-numbers"


async def show_list(request: Request, web: Web, viewer: Viewer) -> Response:
    """The list; its changing part alone when htmx asks, which it does while something is being removed."""
    check_may_choose(viewer)
    async with transaction(web.pool) as conn:
        numbers = await private.numbers(conn, web.keyring, viewer.account_id)
    template = "parts/private_numbers.html" if is_partial(request) else "private_numbers.html"
    return html(web, template, **shell(viewer), path=PATH, numbers=numbers)


async def show_number(request: Request, web: Web, viewer: Viewer) -> Response:
    """One number: what is here of it, and the way to remove that or to take it off the list."""
    check_may_choose(viewer)
    ids = viewer.account_id, request.path_params["number_id"]
    async with transaction(web.pool) as conn:
        number = await private.find(conn, web.keyring, *ids)
        here = await private.holdings(conn, web.keyring, *ids)
    return html(web, "private_number.html", **shell(viewer), path=PATH, number=number, here=here)


async def add(request: Request, web: Web, viewer: Viewer) -> Response:
    """Put a number on the list. Where something of it is here, the next page offers to remove it."""
    check_may_choose(viewer)
    raw = str((await request.form()).get("number", ""))
    by = viewer.member.name

    async def act(conn: Connection) -> tuple[int, private.Holdings]:
        number_id = await private.add(conn, web.keyring, by, viewer.account_id, raw)
        return number_id, await private.holdings(conn, web.keyring, viewer.account_id, number_id)

    number_id, here = await in_transaction(web.pool, act)
    return redirect(PATH if here.is_empty else f"{PATH}/{number_id}")


async def purge(request: Request, web: Web, viewer: Viewer) -> Response:
    """Have everything removed that is here of a number, once it was typed again."""
    check_may_choose(viewer)
    typed = str((await request.form()).get("typed", ""))
    ids = viewer.account_id, request.path_params["number_id"]
    await in_transaction(web.pool, lambda conn: private.want_purge(conn, web.keyring, *ids, typed=typed))
    return redirect(PATH)


async def remove(request: Request, web: Web, viewer: Viewer) -> Response:
    """Take a number off the list."""
    check_may_choose(viewer)
    ids = viewer.account_id, request.path_params["number_id"]
    await in_transaction(web.pool, lambda conn: private.remove(conn, *ids))
    return redirect(PATH)
