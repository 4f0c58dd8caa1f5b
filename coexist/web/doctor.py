"""What is wrong with a number, and what its syncs wait for: the doctor's page and the list of the pre-flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.database import Connection, in_transaction, transaction
from coexist.base.errors import Forbidden
from coexist.coexistence import (
    actions,
    checks,
    checks_bundle,
    checks_doctor,
    checks_store,
    lost_requests,
    onboarding,
    rules,
    store,
)
from coexist.coexistence.checks_model import Level, Name, Preflight
from coexist.coexistence.model import Sync, SyncKind, SyncState
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.inbox.connection import State
from coexist.inbox.inboxes import Inbox
from coexist.people.model import Role
from coexist.web.access import Viewer, redirect
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web

LEVELS: Final = {
    Level.GREEN: ("good", "check", "In order"),
    Level.AMBER: ("busy", "circle-help", "Look at it"),
    Level.RED: ("bad", "circle-alert", "Wrong"),
}
"""Colour, icon and word of a level."""
SYNC_CHECKS: Final = {SyncKind.HISTORY: Name.HISTORY, SyncKind.CONTACTS: Name.CONTACTS}


@dataclass(frozen=True, slots=True)
class Gate:
    """What stands between a number and its syncs. ``left`` is the time until Meta gives nothing any more.

    ``is_wanted``: they are asked for as soon as nothing does. ``refusal`` is what Meta said when it was asked last.
    """

    look: Preflight | None
    left: timedelta
    may_decide: bool
    is_wanted: bool
    refusal: str | None

    @property
    def hours_left(self) -> str:
        """The countdown, in words."""
        minutes = max(0, int(self.left.total_seconds() // 60))
        return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


async def gate_of(conn: Connection, inbox: Inbox, viewer: Viewer) -> Gate | None:
    """Return the list that a number's syncs wait for; None when there is nothing to ask for any more."""
    now, syncs = clock.now(), await store.syncs(conn, inbox.id)
    if not inbox.is_coexistence or not rules.can_be_asked(syncs, list(SyncKind), now):
        return None
    look = await checks_store.preflight(conn, inbox.id)
    is_of_now = look is not None and look.onboarded_at == inbox.onboarded_at and look.checks
    left = rules.deadline(inbox.onboarded_at) - now
    is_wanted = any(sync.wanted_at and not sync.requested_at for sync in syncs)
    refusal = next((sync.error for sync in syncs if sync.error and not sync.requested_at), None)
    return Gate(look if is_of_now else None, left, viewer.member.role != Role.AGENT, is_wanted, refusal)


async def look_again(request: Request, web: Web, viewer: Viewer) -> Response:
    """Check again, and ask for the syncs when all is in order."""
    inbox = await _inbox(request, web, viewer)
    await onboarding.begin_syncs(web.pool, web.graph, web.keyring, web.settings, inbox)
    return redirect(f"/inboxes/{inbox.id}/sync")


async def ask_anyway(request: Request, web: Web, viewer: Viewer) -> Response:
    """Ask for the syncs although something is amber; the reason stays in the timeline."""
    inbox = await _inbox(request, web, viewer)
    form = await request.form()
    async with transaction(web.pool) as conn:
        await onboarding.ask_anyway(
            conn, web.settings, inbox.account_id, inbox.id, viewer.member.name, str(form.get("reason", ""))
        )
    return redirect(f"/inboxes/{inbox.id}/sync")


async def ask_again(request: Request, web: Web, viewer: Viewer) -> Response:
    """Ask once more for what was asked for without an answer, when all is in order."""
    inbox = await _inbox(request, web, viewer)
    async with transaction(web.pool) as conn:
        is_second_click = await lost_requests.was_just_asked(conn, inbox.id)
    if not is_second_click:
        await onboarding.ask_again(web.pool, web.graph, web.keyring, web.settings, inbox, viewer.member.name)
    return redirect(f"/inboxes/{inbox.id}/sync")


async def go_on(request: Request, web: Web, viewer: Viewer) -> Response:
    """Try to send again, because somebody has settled what Meta had against it."""
    inbox = await _inbox(request, web, viewer)
    await in_transaction(web.pool, lambda conn: actions.go_on(conn, viewer.member.name, inbox.account_id, inbox.id))
    return redirect(f"/inboxes/{inbox.id}")


async def show_doctor(request: Request, web: Web, viewer: Viewer) -> Response:
    """The four questions about a number, answered from evidence."""
    inbox = await _inbox(request, web, viewer)
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        diagnosis = await checks_doctor.diagnose(conn, web.keyring, web.settings, inbox.account_id, inbox.id)
        lost, syncs = await lost_requests.find(conn, inbox.id), await store.syncs(conn, inbox.id)
    told: dict[str, Any] = {"inbox": inbox, "diagnosis": diagnosis, "levels": LEVELS, "event_id": event_id}
    told["places"] = {} if inbox.is_moved else places_of(inbox, lost, syncs)
    return html(web, "doctor.html", **shell(viewer), **told)


def places_of(inbox: Inbox, lost: Sequence[SyncKind], syncs: Sequence[Sync]) -> Mapping[str, tuple[str, str]]:
    """Where a check that is not in order leads to: the label and the address of the page with what helps."""
    here = f"/inboxes/{inbox.id}"
    renew = ("Connect again" if inbox.state == State.REMOVED else "Renew access", f"/inboxes/connect?inbox={inbox.id}")
    is_cut_off = inbox.state in (State.REMOVED, State.TOKEN_INVALID)
    return {
        Name.CONNECTION: renew if is_cut_off else ("The number", here),
        Name.ACCESS: renew,
        Name.TOKEN: renew,
        Name.HELD: ("The number", here),
        Name.QUARANTINE: ("Quarantine", "/quarantine"),
        **{
            SYNC_CHECKS[SyncKind(sync.kind)]: ("Receipt", f"{here}/receipt#parts-title")  # a gap is all that is left
            if sync.state == SyncState.COMPLETED
            else ("Ask once more" if sync.kind in lost else "Sync", f"{here}/sync#{sync.kind}")
            for sync in syncs
        },
    }


async def ask_meta(request: Request, web: Web, viewer: Viewer) -> Response:
    """Ask Meta, and send ourselves a self-test. Nothing is changed or asked for."""
    inbox = await _inbox(request, web, viewer)
    look = await checks.look(web.pool, web.graph, web.keyring, web.settings, inbox)
    async with transaction(web.pool) as conn:
        await checks_store.note_checks(conn, look)
    return redirect(f"/inboxes/{inbox.id}/doctor")


async def give_bundle(request: Request, web: Web, viewer: Viewer) -> Response:
    """The support bundle, as a file; with ``?show`` to be read and copied."""
    inbox = await _inbox(request, web, viewer)
    async with transaction(web.pool) as conn:
        told = await checks_bundle.bundle(conn, web.keyring, web.settings, [(inbox.account_id, inbox.id)])
    if "show" in request.query_params:
        return Response(told, media_type="text/plain; charset=utf-8")
    headers = {"Content-Disposition": f'attachment; filename="coexist-support-{inbox.id}.json"'}
    return Response(told, media_type="application/json", headers=headers)


async def _inbox(request: Request, web: Web, viewer: Viewer) -> Inbox:
    """The number that the path names, or Forbidden: an agent answers customers, and mends nothing."""
    if viewer.member.role == Role.AGENT:
        raise Forbidden("Only owners and admins look after numbers.", next_step="Ask one of them.")
    async with transaction(web.pool) as conn:
        return await inboxes.get(conn, viewer.account_id, request.path_params["inbox_id"])
