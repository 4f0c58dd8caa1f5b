"""The numbers of an account: their list, and what became of the one-shot sync of each."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import transaction
from coexist.coexistence import checks_store, lost_requests, overview, receipts
from coexist.coexistence import signup_store as signups
from coexist.coexistence.choices import choices_of
from coexist.coexistence.model import SyncState
from coexist.coexistence.words import PHASES, why, with_a_gap
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.inbox.switches import allowed
from coexist.people.model import Role
from coexist.web.access import Viewer
from coexist.web.conversations import shell
from coexist.web.doctor import LEVELS, gate_of, places_of
from coexist.web.life import LAST_CALL, Standing, life_of
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.strip import strip_of

SYNC_WORDS: Final[dict[SyncState, tuple[str, str]]] = {
    SyncState.NOT_REQUESTED: ("quiet", "Not requested"),
    SyncState.REQUESTING: ("busy", "Requested, answer unknown"),
    SyncState.REQUESTED: ("busy", "Requested"),
    SyncState.RECEIVING: ("busy", "Receiving"),
    SyncState.COMPLETED: ("good", "Completed"),
    SyncState.DECLINED: ("quiet", "Declined by the business"),
    SyncState.NOTHING_ARRIVED: ("bad", "Nothing arrived"),
    SyncState.FAILED: ("bad", "Failed"),
    SyncState.SWITCHED_OFF: ("quiet", "Switched off"),
}
"""Colour and word of a sync's state."""


async def show_inboxes(request: Request, web: Web, viewer: Viewer) -> Response:
    """The settings page: every number with its state in words. All else of a number is on its own pages."""
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        connected = await inboxes.of_account(conn, viewer.account_id)
        unfinished = [] if viewer.member.role == Role.AGENT else await signups.unfinished(conn, viewer.account_id)
        numbers = [Standing(one, await life_of(conn, one), await strip_of(conn, one.id)) for one in connected]
    return html(
        web,
        "inboxes.html",
        **shell(viewer),
        event_id=event_id,
        numbers=sorted(numbers, key=_urgency),
        unfinished=unfinished,
        sync_words=SYNC_WORDS,
        why=why,
    )


def _urgency(one: Standing) -> int:
    """Where a number stands in the list: what needs somebody comes first, and nothing else moves."""
    return 2 if not one.life.is_told else 1 if not one.life.is_red else 0


async def show_sync(request: Request, web: Web, viewer: Viewer) -> Response:
    """The sync panel of one number; only its changing part when htmx asks."""
    inbox_id: int = request.path_params["inbox_id"]
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, inbox_id)
        panel = await overview.sync_panel(conn, viewer.account_id, inbox_id) if inbox.is_coexistence else None
        gate = await gate_of(conn, inbox, viewer)
        chosen = await choices_of(conn, allowed(web.settings), viewer.account_id, inbox_id)
        look = await checks_store.preflight(conn, inbox_id)
        lost = await lost_requests.find(conn, inbox_id) if viewer.member.role != Role.AGENT else ()
        is_over = panel is not None and panel.is_over
        parts = await receipts.phases_of(conn, inbox_id, inbox.onboarded_at) if is_over else ()
    template = "parts/sync.html" if request.headers.get("HX-Target") == "div#sync" else "sync.html"
    return html(
        web,
        template,
        **shell(viewer),
        inbox=inbox,
        panel=panel,
        gate=gate,
        last_call=LAST_CALL,
        lost=lost,
        places=places_of(inbox, lost, ()) if viewer.member.role != Role.AGENT else {},
        checked=look if look and look.checks and look.onboarded_at == inbox.onboarded_at and not gate else None,
        missing_count=sum(len(phase.missing) for phase in parts),
        with_a_gap=with_a_gap,
        off={choice.switch: choice.words for choice in chosen.switches},
        levels=LEVELS,
        event_id=event_id,
        sync_words=SYNC_WORDS,
        phase_words=PHASES,
    )


async def show_strip(request: Request, web: Web, viewer: Viewer) -> Response:
    """The line under a conversation's header while history is coming in; its end for a page that saw it ``?moving``."""
    inbox_id: int = request.path_params["inbox_id"]
    async with transaction(web.pool) as conn:
        await inboxes.get(conn, viewer.account_id, inbox_id)
        strip = await strip_of(conn, inbox_id)
    if strip and not strip.is_moving and "moving" not in request.query_params:
        strip = None
    return html(web, "parts/strip.html", strip=strip, inbox_id=inbox_id)
