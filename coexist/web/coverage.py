"""The coverage map as a page: a strip of days a month, each month in words as well."""

from __future__ import annotations

from calendar import month_name, monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.counts import counted
from coexist.base.database import transaction
from coexist.coexistence import coverage
from coexist.coexistence.coverage import CoverageMap, Day, Talk
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.web.access import Viewer
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.history import REASONS
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.strip import strip_of

MONTHS_SHOWN: Final = 24
"""Older ones are told as one sum."""
MARKS: Final = {
    "held": "Messages",
    "partial": "Some only on the phone",
    "exported": "From exported chats",
    "silent": "No sign",
    "beyond": "Beyond reach",
}
"""What the mark of a day means."""


@dataclass(frozen=True, slots=True)
class Month:
    """One line of the map: a mark for each day, and the same in words.

    Months in a row that WhatsApp never shares, and of which nothing is here, are one line without marks.
    """

    begins: date
    title: str
    marks: Sequence[tuple[int, str]]
    words: str


def months_of(found: CoverageMap, today: date) -> Sequence[Month]:
    """The months with messages or within Meta's reach, newest first, at most MONTHS_SHOWN, and what lies between."""
    days = {each.day: each for each in found.days}
    first = min([found.reach_from, *days]).replace(day=1)
    held = {each.replace(day=1) for each in days}
    months: list[Month] = []
    shown, begins, void = 0, today.replace(day=1), list[date]()
    while shown < MONTHS_SHOWN:
        if begins in held or _next(begins) > found.reach_from:
            months += [_void(void)] if void else []
            months.append(_month(begins, days, found.reach_from, today))
            shown, void = shown + 1, []
        else:
            void.append(begins)
        if begins <= first:
            break
        begins = (begins - timedelta(days=1)).replace(day=1)
    return months


def older_of(found: CoverageMap, months: Sequence[Month]) -> int:
    """How many messages are older than the months shown."""
    return sum(each.message_count for each in found.days if each.day < months[-1].begins)


def _next(begins: date) -> date:
    return (begins + timedelta(days=31)).replace(day=1)


def _void(months: Sequence[date]) -> Month:
    """Months, the newest first, of which nothing can be here but from exported chats."""
    last, first = (f"{month_name[each.month]} {each.year}" for each in (months[0], months[-1]))
    title = first if len(months) == 1 else f"{first} to {last}"
    return Month(months[-1], title, (), "Beyond WhatsApp's reach, and nothing from exported chats.")


def _month(begins: date, days: Mapping[date, Day], reach_from: date, today: date) -> Month:
    year, month = begins.year, begins.month
    every = [date(year, month, number) for number in range(1, monthrange(year, month)[1] + 1)]
    held = [days[each] for each in every if each in days]
    marks = [(each.day, _mark(days.get(each), each, reach_from, today)) for each in every]
    return Month(begins, f"{month_name[month]} {year}", marks, _words(held, marks))


def _mark(day: Day | None, on: date, reach_from: date, today: date) -> str:
    if day is not None:
        if day.exported == day.message_count:
            return "exported"
        return "partial" if day.placeholders else "held"
    if on > today:
        return "future"
    return "beyond" if on < reach_from else "silent"


def _words(held: Sequence[Day], marks: Sequence[tuple[int, str]]) -> str:
    kinds = [mark for _, mark in marks]
    parts = []
    if held:
        messages = counted(sum(day.message_count for day in held), "message")
        parts.append(f"{messages} on {counted(len(held), 'day')}")
        placeholders, exported = sum(day.placeholders for day in held), sum(day.exported for day in held)
        parts += [f"{placeholders:,} with content on the phone only"] if placeholders else []
        parts += [f"{exported:,} from exported chats"] if exported else []
    if silent := kinds.count("silent"):
        parts.append(f"{counted(silent, 'day')} without a sign")
    if beyond := kinds.count("beyond"):
        parts.append(f"{counted(beyond, 'day')} beyond WhatsApp's reach")
    return ", ".join(parts) + "." if parts else ""


async def show_coverage(request: Request, web: Web, viewer: Viewer) -> Response:
    """The map of a number; with ``?conversation=`` that of one conversation."""
    inbox_id: int = request.path_params["inbox_id"]
    asked = request.query_params.get("conversation", "")
    conversation_id = id_of(asked, back_to="the numbers") if asked else None
    talk: Talk | None = None
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, inbox_id)
        if conversation_id is not None:
            talk, found = await coverage.of_conversation(conn, viewer.account_id, inbox_id, conversation_id)
        else:
            found = await coverage.of_inbox(conn, viewer.account_id, inbox_id)
        talks = [] if talk else await coverage.talks(conn, viewer.account_id, inbox_id)
        strip = await strip_of(conn, inbox_id) if inbox.is_coexistence else None
    today = clock.now().astimezone(UTC).date()
    months = months_of(found, today)
    return html(
        web,
        "coverage.html",
        **shell(viewer),
        inbox=inbox,
        event_id=event_id,
        found=found,
        months=months,
        marks=MARKS,
        older=older_of(found, months),
        talk=talk,
        talks=talks,
        talks_shown=coverage.TALKS_SHOWN,
        reason=REASONS[strip.state] if strip else None,
    )
