"""Taking an import back and bringing it back, for owners and admins: what would go, the number typed once more, done.

Removing takes as long as there is to remove, so a request does some and its answer asks for the next. Leaving the page
breaks it off between two steps; coming back goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, transaction
from coexist.base.errors import Forbidden
from coexist.coexistence import undoing
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.people.model import Role
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import whole
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web

AT_ONCE_S: Final = 1.0
"""How long one request removes before it answers how far it is."""


async def show_plan(request: Request, web: Web, viewer: Viewer) -> Response:
    """What undoing the number's import would remove, what stays and why, and the ways to undo and to bring back.

    While more of it is to come, only that and until when: what would be removed is not counted yet.
    """
    inbox_id = _inbox_id(request, viewer)
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, inbox_id)
        waits_for = await undoing.hindrance(conn, inbox)
        plan = None if waits_for else await undoing.plan(conn, viewer.account_id, inbox_id)
    context: dict[str, Any] = {"inbox": inbox, "plan": plan, "reasons": undoing.REASONS, "event_id": event_id}
    context["waits_for"] = waits_for
    returned = request.query_params.get("returned", "")
    return html(web, "undo.html", **shell(viewer), **context, returned=whole(returned))


async def undo(request: Request, web: Web, viewer: Viewer) -> Response:
    """Remove some of an import. For the page's script: how far it is, and the next step unless it was the last."""
    inbox_id = _inbox_id(request, viewer)
    form = await request.form()
    given = {name: str(value) for name, value in form.items()}
    async with transaction(web.pool) as conn:
        inbox = await undoing.check(conn, viewer.account_id, inbox_id, typed=given.get("typed", ""))
    before = _count(given, "removed"), _count(given, "contacts")
    some, last_id = await _some(web, inbox, _count(given, "after"), None if any(before) else viewer.member.name)
    removed, contacts = before[0] + some.conversations, before[1] + some.contacts
    if not is_partial(request):
        return redirect(f"/inboxes/{inbox_id}/receipt/undo")
    context: dict[str, Any] = {"inbox": inbox, "typed": given.get("typed", ""), "after": last_id}
    context |= {"removed": removed, "contacts": contacts, "total": max(removed, _count(given, "total"))}
    return html(web, "parts/undoing.html", **shell(viewer), **context)


async def reapply(request: Request, web: Web, viewer: Viewer) -> Response:
    """Have the number's import applied again from the journal. Meta is asked for nothing."""
    inbox_id = _inbox_id(request, viewer)
    async with transaction(web.pool) as conn:
        inbox = await inboxes.get(conn, viewer.account_id, inbox_id)
        since = await undoing.connected_at(conn, inbox_id)
        count = await web.replay(conn, inbox.phone_number_id, since, viewer.member.name)
        if count:
            await undoing.note(conn, inbox, undoing.BROUGHT_BACK, viewer.member.name)
    return redirect(f"/inboxes/{inbox_id}/receipt/undo?returned={count}")


async def _some(web: Web, inbox: Inbox, after: int, by: str | None) -> tuple[undoing.Step, int | None]:
    """Remove for AT_ONCE_S: how much that was, and after which id it goes on.

    With the first that goes it is noted ``by`` whom, unless that was done already.
    """
    began = time.monotonic()
    some = undoing.Step()
    last_id: int | None = after
    while last_id is not None and time.monotonic() - began < AT_ONCE_S:
        async with transaction(web.pool) as conn:
            step = await _step(conn, inbox, last_id, by)
        by = None if step.conversations or step.contacts else by
        some.conversations, some.contacts = some.conversations + step.conversations, some.contacts + step.contacts
        last_id = step.last_id
        await asyncio.sleep(undoing.REST_S)
    return some, last_id


async def _step(conn: Connection, inbox: Inbox, after: int, by: str | None) -> undoing.Step:
    step = await undoing.undo_some(conn, inbox, after=after)
    if by and (step.conversations or step.contacts):
        await undoing.note(conn, inbox, undoing.UNDONE, by)
    await feed.append(conn, step.events)
    return step


def _count(given: Mapping[str, str], name: str) -> int:
    return whole(given.get(name, "")) or 0


def _inbox_id(request: Request, viewer: Viewer) -> int:
    if viewer.member.role == Role.AGENT:
        raise Forbidden("Only owners and admins undo an import.", next_step="Ask one of them.")
    inbox_id: int = request.path_params["inbox_id"]
    return inbox_id
