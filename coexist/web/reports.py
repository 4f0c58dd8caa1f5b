"""The reports: how soon customers were answered and by whom, and what of what was sent is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.database import transaction
from coexist.base.errors import Invalid
from coexist.inbox import inboxes
from coexist.meta.pricing import category_words
from coexist.reports import prices, replies
from coexist.reports.prices import Charge, Sent
from coexist.reports.replies import AnsweredBy, Waits
from coexist.web.access import Viewer
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web

SPANS_DAYS: Final = (7, 30, 90)

ANSWERED: Final = {
    AnsweredBy.PHONE: ("smartphone", "From the phone app"),
    AnsweredBy.TEAM: ("inbox", "By the team, here"),
    AnsweredBy.PROGRAM: ("send", "By a program"),
    AnsweredBy.NOBODY: ("clock", "Still waiting"),
}
CHARGES: Final = {
    Charge.FREE_PHONE: "Sent from the phone app: always free",
    Charge.FREE: "Sent from here: free",
    Charge.CHARGED: "Sent from here: charged by Meta",
    Charge.NOT_TOLD: "Sent from here: Meta has not told the price",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """One line of the report about answers."""

    icon: str
    said: str
    count: int
    half: str
    most: str


@dataclass(frozen=True, slots=True)
class Charged:
    """One line of the report about prices."""

    said: str
    category: str
    count: int


def answered_of(waits: Sequence[Waits]) -> Sequence[Answered]:
    """The waits in words; a program's only where there is one."""
    return [
        Answered(*ANSWERED[each.answered_by], each.count, waited(each.median_s), waited(each.slowest_tenth_s))
        for each in waits
        if each.count or each.answered_by is not AnsweredBy.PROGRAM
    ]


def charged_of(sent: Sequence[Sent]) -> Sequence[Charged]:
    """The prices in words, by kind and category."""
    return [Charged(CHARGES[each.charge], category_words(each.category), each.count) for each in sent]


def waited(seconds: float | None) -> str:
    """Return a time of waiting in its two largest units: ``40 s``, ``3 min``, ``2 h 10 min``, ``4 d 3 h``."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


async def show_reports(request: Request, web: Web, viewer: Viewer) -> Response:
    """The reports of ``?days=``, one of SPANS_DAYS, for all numbers or for ``?inbox=``."""
    days = _number(request, "days") or SPANS_DAYS[0]
    inbox_id = _number(request, "inbox")
    if days not in SPANS_DAYS:
        raise Invalid("Reports cover 7, 30 or 90 days.", next_step="Choose one of them.")
    since = clock.now() - timedelta(days=days)
    async with transaction(web.pool) as conn:
        numbers = await inboxes.of_account(conn, viewer.account_id)
        if inbox_id:
            await inboxes.get(conn, viewer.account_id, inbox_id)
        ids = [inbox_id] if inbox_id else [number.id for number in numbers]
        waits = await replies.waits(conn, viewer.account_id, ids, since)
        sent = await prices.sent(conn, viewer.account_id, ids, since)
    return html(
        web,
        "reports.html",
        **shell(viewer),
        numbers=numbers,
        inbox_id=inbox_id,
        days=days,
        spans=SPANS_DAYS,
        answered=answered_of(waits) if any(each.count for each in waits) else [],
        charged=charged_of(sent),
        automatic_s=replies.AUTOMATIC_S,
    )


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "")
    return id_of(given, back_to="the reports") if given else 0
