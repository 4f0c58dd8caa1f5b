"""The conversation list and one conversation: the pages people live in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.database import Connection, transaction
from coexist.base.errors import Invalid
from coexist.events import feed
from coexist.inbox import inboxes, store, window
from coexist.inbox.model import (
    Contact,
    Conversation,
    Counts,
    Coverage,
    Filter,
    Hit,
    ListRow,
    Message,
    Position,
)
from coexist.web.access import Viewer
from coexist.web.asked import id_of
from coexist.web.bubbles import Bubble, Preview, bubble_of, preview_of
from coexist.web.composer import Composer, composer_of
from coexist.web.history import Beginning, beginning_of
from coexist.web.render import Times, html, times_of
from coexist.web.richtext import marked
from coexist.web.state import Web
from coexist.web.strip import Strip, strip_of

SEARCH_CHARS_MAX: Final = 200
LIST_ROWS_MAX: Final = 500
"""Rows of the list that are fetched again at once when something changed."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ListPart:
    """One page of the conversation list, as asked for by a filter or by words."""

    shown: Filter
    words: str
    rows: Sequence[tuple[ListRow, Preview]]
    hits: Sequence[tuple[Hit, Any]]
    next: str
    counts: Counts

    def link(self, path: str, **changes: str) -> str:
        """``path`` with the filter and words of this list, so that they survive a click."""
        asked = {"filter": "" if self.shown is Filter.OPEN else self.shown.value, "q": self.words} | changes
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{query}" if query else path


async def list_part(conn: Connection, viewer: Viewer, request: Request) -> ListPart:
    """Read the part of the list that the request's filter, words and position ask for."""
    shown = _filter(request.query_params.get("filter"))
    asked = " ".join(request.query_params.get("q", "").replace("\0", "").split())[:SEARCH_CHARS_MAX]
    account_id, user_id = viewer.account_id, viewer.member.user_id
    counts = await store.counts(conn, account_id, user_id)
    if asked:
        found = await store.find_conversations(conn, account_id, asked)
        hits = await store.find_messages(conn, account_id, asked)
        return ListPart(
            shown,
            asked,
            [(row, preview_of(row)) for row in found],
            [(hit, marked(hit.text, asked)) for hit in hits],
            "",
            counts,
        )
    after = request.query_params.get("after")
    rows_wanted = request.query_params.get("rows", "")
    limit = min(int(rows_wanted), LIST_ROWS_MAX) if rows_wanted.isdecimal() and len(rows_wanted) < 6 else 0
    page, has_more = await store.list_page(
        conn,
        account_id,
        user_id,
        shown=shown,
        after=position_of(after) if after else None,
        limit=max(limit, store.LIST_ROWS),
    )
    following = written(page[-1].position) if has_more else ""
    return ListPart(shown, "", [(row, preview_of(row)) for row in page], [], following, counts)


async def show_list(request: Request, web: Web, viewer: Viewer) -> Response:
    """The page with the list and no conversation chosen."""
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        listed = await list_part(conn, viewer, request)
        connected = await inboxes.of_account(conn, viewer.account_id)
    return html(
        web, "conversations.html", **shell(viewer), listed=listed, inboxes=connected, event_id=event_id, talk=None
    )


async def show_list_part(request: Request, web: Web, viewer: Viewer) -> Response:
    """The list alone: the first rows again, or the rows after those that are there."""
    async with transaction(web.pool) as conn:
        listed = await list_part(conn, viewer, request)
        connected = await inboxes.of_account(conn, viewer.account_id)
    template = "parts/rows.html" if "after" in request.query_params else "parts/list.html"
    return html(web, template, **shell(viewer), listed=listed, inboxes=connected, talk=None)


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation as its page shows it: header, a run of bubbles, composer, contact panel."""

    conversation: Conversation
    bubbles: Sequence[tuple[Bubble, bool]]
    older: str
    newer: str
    beginning: Beginning | None
    target_id: int | None
    composer: Composer
    contact: Contact
    coverage: Coverage
    strip: Strip | None
    event_id: int


async def talk_of(conn: Connection, viewer: Viewer, conversation_id: int, at: int | None = None) -> Talk:
    """Read a conversation, its last messages or those around message ``at``. Raises NotFound."""
    account_id = viewer.account_id
    event_id = await feed.last_id(conn, account_id)  # before anything is read: what comes later is told again
    conversation = await store.conversation(conn, account_id, viewer.member.user_id, conversation_id)
    messages, has_older, has_newer = await _messages_around(conn, account_id, conversation_id, at)
    now = clock.now()
    strip = await strip_of(conn, conversation.inbox_id)
    return Talk(
        conversation=conversation,
        bubbles=run_of(messages, viewer, now),
        older=written(messages[0].position) if messages and has_older else "",
        newer=written(messages[-1].position) if messages and has_newer else "",
        beginning=None if has_older else beginning_of(conversation, strip, viewer.zone),
        target_id=at,
        composer=composer_of(
            conversation,
            window.window_of(conversation.window_opened_at, now, conversation.window_refused_at),
            viewer.zone,
            now,
        ),
        contact=await store.contact(conn, account_id, conversation.contact_id),
        coverage=await store.coverage(conn, account_id, conversation_id, now),
        strip=strip,
        event_id=event_id,
    )


async def _messages_around(
    conn: Connection, account_id: int, conversation_id: int, at: int | None
) -> tuple[Sequence[Message], bool, bool]:
    if at is None:
        messages, has_older = await store.message_page(conn, account_id, conversation_id)
        return messages, has_older, False
    target = await store.message(conn, account_id, at)
    half = store.MESSAGE_ROWS // 2
    place = Position(target.sent_at, target.id)
    older, has_older = await store.message_page(conn, account_id, conversation_id, before=place, limit=half)
    newer, has_newer = await store.message_page_after(conn, account_id, conversation_id, after=place, limit=half)
    return [*older, target, *newer], has_older, has_newer


def run_of(messages: Sequence[Message], viewer: Viewer, now: datetime) -> Sequence[tuple[Bubble, bool]]:
    """The bubbles of consecutive messages, each with whether a new day begins with it."""
    run: list[tuple[Bubble, bool]] = []
    for message in messages:
        bubble = bubble_of(message, viewer.zone, now)
        run.append((bubble, not run or run[-1][0].day_key != bubble.day_key))
    return run


async def show_conversation(request: Request, web: Web, viewer: Viewer) -> Response:
    """A conversation beside the list; alone when htmx asks for it with the list already there."""
    conversation_id: int = request.path_params["conversation_id"]
    at = request.query_params.get("at", "")
    async with transaction(web.pool) as conn:
        talk = await talk_of(conn, viewer, conversation_id, id_of(at, back_to="the inbox") if at else None)
        if request.headers.get("HX-Target") == "div#talk":
            return html(web, "parts/talk.html", **shell(viewer), talk=talk)
        listed = await list_part(conn, viewer, request)
        connected = await inboxes.of_account(conn, viewer.account_id)
    return html(
        web,
        "conversations.html",
        **shell(viewer),
        listed=listed,
        inboxes=connected,
        event_id=talk.event_id,
        talk=talk,
    )


async def show_changes(request: Request, web: Web, viewer: Viewer) -> Response:
    """What stands around the bubbles, again: header, composer and contact panel."""
    async with transaction(web.pool) as conn:
        talk = await talk_of(conn, viewer, request.path_params["conversation_id"])
    return html(web, "parts/around.html", **shell(viewer), talk=talk)


async def show_messages(request: Request, web: Web, viewer: Viewer) -> Response:
    """A run of messages before or after a position, with what leads on to the next run."""
    conversation_id: int = request.path_params["conversation_id"]
    before, after = request.query_params.get("before"), request.query_params.get("after")
    account_id = viewer.account_id
    async with transaction(web.pool) as conn:
        conversation = await store.conversation(conn, account_id, viewer.member.user_id, conversation_id)
        older = newer = ""
        beginning = None
        if after:
            page, has_more = await store.message_page_after(conn, account_id, conversation_id, after=position_of(after))
            newer = written(page[-1].position) if has_more else ""
        else:
            place = position_of(before) if before else None
            page, has_more = await store.message_page(conn, account_id, conversation_id, before=place)
            older = written(page[0].position) if has_more else ""
            if not has_more:
                strip = await strip_of(conn, conversation.inbox_id)
                beginning = beginning_of(conversation, strip, viewer.zone)
    return html(
        web,
        "parts/messages.html",
        **shell(viewer),
        bubbles=run_of(page, viewer, clock.now()),
        conversation_id=conversation_id,
        older=older,
        newer=newer,
        beginning=beginning,
        oldest=written(page[0].position) if page else before or "",
        target_id=None,
    )


def shell(viewer: Viewer) -> dict[str, Any]:
    """What every signed-in template needs."""
    times: Times = times_of(viewer.zone)
    return {"viewer": viewer, "times": times, "limit": store.COUNT_ROWS_MAX}


def written(position: Position) -> str:
    """A position as it stands in a link: microseconds and id."""
    return f"{(position.at - EPOCH) // timedelta(microseconds=1)}-{position.id}"


def position_of(raw: str) -> Position:
    """The position that ``written`` wrote. Raises Invalid."""
    at, _, id_ = raw.partition("-")
    if at.isdecimal() and id_.isdecimal() and len(at) <= 17 and len(id_) <= 18:
        return Position(EPOCH + timedelta(microseconds=int(at)), int(id_))
    raise Invalid("This link is not complete.", next_step="Go back to the inbox.")


def _filter(raw: str | None) -> Filter:
    return Filter(raw) if raw in list(Filter) else Filter.OPEN
