"""What is taken in of a number, and how far back its conversations stay open: the page where admins choose."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.base.errors import Forbidden, Invalid
from coexist.coexistence import switches
from coexist.coexistence.choices import choices_of
from coexist.events import feed
from coexist.inbox import private
from coexist.inbox.echoes import EchoEffect, choose
from coexist.inbox.switches import Level, Switch, allowed
from coexist.people.model import Role
from coexist.web.access import Viewer, redirect
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web


def check_may_choose(viewer: Viewer) -> None:
    """Raise Forbidden for an agent: what the account keeps is for its owner and admins to say."""
    if viewer.member.role == Role.AGENT:
        raise Forbidden("Only owners and admins choose what is kept.", next_step="Ask one of them.")


async def show_choices(request: Request, web: Web, viewer: Viewer) -> Response:
    """The choices for one number, or for the account: what its next number begins with."""
    check_may_choose(viewer)
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        choices = await choices_of(conn, allowed(web.settings), viewer.account_id, _inbox_id(request))
        private_count = await private.count(conn, viewer.account_id)
    return html(
        web,
        "choices.html",
        **shell(viewer),
        event_id=event_id,
        choices=choices,
        path=_path(_inbox_id(request)),
        private_count=private_count,
        days_max=switches.KEEP_OPEN_DAYS_MAX,
    )


async def throw_switch(request: Request, web: Web, viewer: Viewer) -> Response:
    """Switch one thing on or off, for the number or for the whole account."""
    check_may_choose(viewer)
    form = await request.form()
    inbox_id, level, turn = _inbox_id(request), str(form.get("level", "")), str(form.get("turn", ""))
    if (
        level not in (Level.ACCOUNT, Level.INBOX)
        or turn not in ("on", "off")
        or (level == Level.INBOX and not inbox_id)
    ):
        raise Invalid("There is no such switch.")
    try:
        switch = Switch(str(form.get("switch", "")))
    except ValueError as error:
        raise Invalid("There is no such switch.") from error

    async def act(conn: Connection) -> None:
        await switches.throw(
            conn,
            viewer.member.name,
            viewer.account_id,
            inbox_id if level == Level.INBOX else None,
            switch,
            is_on=turn == "on",
            installation=allowed(web.settings),
        )

    await in_transaction(web.pool, act)
    return redirect(f"{_path(inbox_id)}#{switch}")


async def keep_open(request: Request, web: Web, viewer: Viewer) -> Response:
    """Choose how far back conversations stay open."""
    check_may_choose(viewer)
    raw = str((await request.form()).get("days", "")).strip()
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 6):
        raise Invalid("Say a number of days.")
    ids = viewer.member.name, viewer.account_id, _inbox_id(request)
    await in_transaction(web.pool, lambda conn: switches.keep_open(conn, *ids, int(raw)))
    return redirect(f"{_path(_inbox_id(request))}#open")


async def choose_echo_effect(request: Request, web: Web, viewer: Viewer) -> Response:
    """Choose what a message that is written on the phone does to its conversation."""
    check_may_choose(viewer)
    try:
        effect = EchoEffect(str((await request.form()).get("effect", "")))
    except ValueError as error:
        raise Invalid("Choose one of the three.") from error
    ids = viewer.member.name, viewer.account_id, request.path_params["inbox_id"]
    await in_transaction(web.pool, lambda conn: choose(conn, *ids, effect))
    return redirect(f"{_path(_inbox_id(request))}#echoes")


def _inbox_id(request: Request) -> int | None:
    inbox_id: int | None = request.path_params.get("inbox_id")
    return inbox_id


def _path(inbox_id: int | None) -> str:
    return "/inboxes/choices" if inbox_id is None else f"/inboxes/{inbox_id}/choices"
