"""What could not be applied, for those who look after it: why, since when, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from coexist.base.database import Connection, transaction
from coexist.events import feed
from coexist.quarantine import actions, rules, store
from coexist.quarantine.model import Counts, Keeper, Quarantined, Settled, Unrouted
from coexist.web import words
from coexist.web.access import Viewer, is_partial, redirect
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.render import Times, html, times_of
from coexist.web.state import Web

BADGE_MAX: Final = 100
"""From here on the navigation says ``99+``."""


@dataclass(frozen=True, slots=True)
class Card:
    """A part as its card shows it: ``colour`` and ``state`` of its chip, and what was tried last in ``tried``."""

    part: Quarantined
    title: str
    colour: str
    state: str
    reason: rules.Reason
    tried: str
    size: str
    number: str


@dataclass(frozen=True, slots=True)
class Board:
    """All that waits: one page of parts, the numbers that are not connected, what was dismissed, and what went well."""

    counts: Counts
    cards: Sequence[Card]
    older: int | None
    numbers: Sequence[Unrouted]
    dismissed: Sequence[Card]
    dismissed_numbers: Sequence[Unrouted]
    settled: Sequence[Settled]
    event_id: int
    before: int | None


async def board_of(conn: Connection, viewer: Viewer, keeper: Keeper, before: int | None) -> Board:
    """Read what the viewer may see, from the parts before the id ``before`` on."""
    event_id = await feed.last_id(conn, viewer.account_id)
    parts, has_more = await store.page(conn, keeper, before=before)
    dismissed, _ = await store.page(conn, keeper, is_dismissed=True)
    numbers = await store.unrouted(conn, keeper)
    times = times_of(viewer.zone)
    return Board(
        counts=await store.counts(conn, keeper),
        cards=[card_of(part, times) for part in parts],
        older=parts[-1].id if has_more else None,
        numbers=[number for number in numbers if number.dismissed_at is None],
        dismissed=[card_of(part, times) for part in dismissed],
        dismissed_numbers=[number for number in numbers if number.dismissed_at is not None],
        settled=await store.settled(conn, keeper),
        event_id=event_id,
        before=before,
    )


def card_of(part: Quarantined, times: Times) -> Card:
    """A part in words."""
    colour, state, tried = "bad", "Not applied", ""
    if part.dismissed_at is not None:
        colour, state = "quiet", "Dismissed"
        tried = f"{part.dismissed_by}, {times.moment(part.dismissed_at)}: {part.dismissed_why}"
    elif part.retry_wanted_at is not None:
        colour, state = "busy", "In line"
        tried = f"{part.retry_wanted_by} wanted it tried again, {times.moment(part.retry_wanted_at)}."
    elif part.retried_at is not None:
        state = "Failed again"
        why = "the same reason" if part.previous_error is None else f"another reason. Before: {part.previous_error}"
        tried = f"Tried again {times.moment(part.retried_at)} for {part.retry_wanted_by}: it failed for {why}."
    kind = part.kind or "part of a delivery"
    return Card(
        part=part,
        title=kind[0].upper() + kind[1:],
        colour=colour,
        state=state,
        reason=rules.reason_for(part.error),
        tried=tried,
        size=words.size(part.part_bytes),
        number=_number(part),
    )


def _number(part: Quarantined) -> str:
    if part.inbox_name is None or part.display_phone_number is None:
        return part.phone_number_id or "names none"
    number = words.phone(part.display_phone_number)
    return number if part.inbox_name == number else f"{part.inbox_name} · {number}"


async def show_quarantine(request: Request, web: Web, viewer: Viewer) -> Response:
    """The page; only its changing part when htmx asks."""
    keeper = rules.keeper_of(viewer.member)
    before = request.query_params.get("before", "")
    async with transaction(web.pool) as conn:
        board = await board_of(conn, viewer, keeper, id_of(before, back_to="the quarantine") if before else None)
    return _answer(request, web, viewer, board)


async def show_badge(request: Request, web: Web, viewer: Viewer) -> Response:
    """How much waits, for the navigation; nothing when nothing does."""
    keeper = rules.keeper_of(viewer.member)
    async with transaction(web.pool) as conn:
        total = (await store.counts(conn, keeper)).total
    if not total:
        return HTMLResponse("")
    return html(web, "parts/badge.html", count=words.capped(total, BADGE_MAX))


async def retry_all(request: Request, web: Web, viewer: Viewer) -> Response:
    """Try everything again that is not dismissed."""
    keeper = rules.keeper_of(viewer.member)
    async with transaction(web.pool) as conn:
        await actions.retry(conn, keeper, None)
    return await _shown(request, web, viewer, keeper)


async def retry_part(request: Request, web: Web, viewer: Viewer) -> Response:
    """Try one part again, with its delivery."""
    keeper = rules.keeper_of(viewer.member)
    async with transaction(web.pool) as conn:
        await actions.retry(conn, keeper, [request.path_params["quarantine_id"]])
    return await _shown(request, web, viewer, keeper)


async def dismiss_part(request: Request, web: Web, viewer: Viewer) -> Response:
    """Let one part rest, with the reason that the form gives."""
    keeper = rules.keeper_of(viewer.member)
    why = _field(await request.form(), "why")
    async with transaction(web.pool) as conn:
        await actions.dismiss(conn, keeper, [request.path_params["quarantine_id"]], why=why)
    return await _shown(request, web, viewer, keeper)


async def restore_part(request: Request, web: Web, viewer: Viewer) -> Response:
    """Take a dismissal back."""
    keeper = rules.keeper_of(viewer.member)
    async with transaction(web.pool) as conn:
        await actions.restore(conn, keeper, [request.path_params["quarantine_id"]])
    return await _shown(request, web, viewer, keeper)


async def dismiss_number(request: Request, web: Web, viewer: Viewer) -> Response:
    """Let a number rest that is not connected here on purpose."""
    keeper = rules.keeper_of(viewer.member)
    form = await request.form()
    number, why = _field(form, "number"), _field(form, "why")
    async with transaction(web.pool) as conn:
        await actions.dismiss_number(conn, keeper, number, why=why)
    return await _shown(request, web, viewer, keeper)


async def restore_number(request: Request, web: Web, viewer: Viewer) -> Response:
    """List a number again."""
    keeper = rules.keeper_of(viewer.member)
    number = _field(await request.form(), "number")
    async with transaction(web.pool) as conn:
        await actions.restore_number(conn, keeper, number)
    return await _shown(request, web, viewer, keeper)


async def _shown(request: Request, web: Web, viewer: Viewer, keeper: Keeper) -> Response:
    """The board as it is now; the page for a browser without scripts."""
    if not is_partial(request):
        return redirect("/quarantine")
    async with transaction(web.pool) as conn:
        board = await board_of(conn, viewer, keeper, None)
    return _answer(request, web, viewer, board)


def _answer(request: Request, web: Web, viewer: Viewer, board: Board) -> Response:
    is_part = request.headers.get("HX-Target") == "div#quarantine"
    context: dict[str, Any] = shell(viewer) | {"board": board}
    return html(web, "parts/quarantine.html" if is_part else "quarantine.html", **context)


def _field(form: FormData, name: str) -> str:
    return str(form.get(name, "")).replace("\0", "")
