"""The hub: one LISTEN per process; what the feed says goes, rendered once, to every browser it concerns.

A stream of one browser gets two kinds of frames: bubbles (HTML to put in place) and signals (a word; the page
fetches that part again). Both carry the feed's id, so a browser that comes back is served from there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

import psycopg

from coexist.base import database, log
from coexist.base.database import Pool
from coexist.base.errors import Unavailable
from coexist.events import feed
from coexist.events.feed import Event, Kind
from coexist.inbox import store
from coexist.inbox.model import Message

GAP_EVENTS_MAX: Final = feed.PAGE_ROWS
"""A browser that missed more than this, or anything that the feed no longer has, loads its page anew instead."""

BURST_BUBBLES_MAX: Final = 100
"""Bubbles of one conversation that are sent at once; above it, the page is loaded anew."""

STREAM_BYTES_MAX: Final = 512 * 1024
"""What waits for one slow browser at most; above it, the stream ends and the browser loads its page anew."""

RECONNECT_S: Final = 1.0
"""Pause before listening again when the database went away."""

RELOAD: Final = "reload"
SIGNALS: Final[dict[str, tuple[str, ...]]] = {
    Kind.MESSAGE_ADDED: ("list",),
    Kind.MESSAGE_CHANGED: ("list",),
    Kind.MESSAGE_REMOVED: ("list",),
    Kind.CONVERSATION_CHANGED: ("list",),
    Kind.CONTACT_CHANGED: ("list",),
    Kind.INBOX_CHANGED: ("list", "inbox", "conversation"),
    Kind.SYNC_PROGRESSED: ("list", "sync"),
    Kind.QUARANTINE_CHANGED: ("quarantine",),
}
"""What an event makes every open page of the account fetch again."""

Render = Callable[[Message, tzinfo, int], str]


def frame(name: str, data: str, event_id: int) -> bytes:
    """One server-sent event. An empty ``name`` is the unnamed kind; ``data`` may have lines."""
    head = f"event: {name}\n" if name else ""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or ["-"])
    return f"{head}id: {event_id}\n{lines}\n".encode()


@dataclass(eq=False)
class Stream:
    """What waits to be sent to one browser, never more than STREAM_BYTES_MAX."""

    account_id: int
    zone: tzinfo
    conversation_id: int | None
    contact_id: int | None
    position: int = 0
    is_closed: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _frames: deque[bytes] = field(default_factory=deque)
    _bytes: int = 0
    _signals: dict[str, None] = field(default_factory=dict)

    def push(self, data: str, event_id: int) -> None:
        """Queue HTML; a browser that is too slow for it is told to load its page anew, and its stream ends."""
        if self.is_closed:
            return
        ready = frame("", data, event_id)
        if self._bytes + len(ready) > STREAM_BYTES_MAX:
            self.reload(event_id)
            return
        self._frames.append(ready)
        self._bytes += len(ready)
        self.position = max(self.position, event_id)
        self.wake.set()

    def signal(self, name: str, event_id: int) -> None:
        """Queue a signal; the same one waiting already is enough."""
        self._signals[name] = None
        self.position = max(self.position, event_id)
        self.wake.set()

    def reload(self, event_id: int) -> None:
        """Drop what waits and end the stream with one word: load the page anew."""
        self._frames.clear()
        self._bytes = 0
        self._signals = {RELOAD: None}
        self.position = max(self.position, event_id)
        self.close()

    def close(self) -> None:
        """End the stream after what waits has been sent."""
        self.is_closed = True
        self.wake.set()

    def take(self) -> bytes:
        """Return and forget what waits: bubbles first, so that a signal never overtakes them."""
        self.wake.clear()
        ready = [*self._frames, *(frame(name, "", self.position) for name in self._signals)]
        self._frames.clear()
        self._bytes = 0
        self._signals.clear()
        if self.is_closed:
            self.wake.set()
        return b"".join(ready)


@dataclass(eq=False)
class _Followed:
    """An account with open streams, and how far its feed has been read."""

    cursor: int
    streams: set[Stream] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from reading bubbles until they are queued: what was read earlier is not told after what was read later."""
    task: asyncio.Task[None] | None = None


class Hub:
    """Follows the feeds of the accounts which have open streams. ``run`` is its one loop."""

    def __init__(self, database_url: str, pool: Pool, render: Render) -> None:
        self._database_url = database_url
        self._pool = pool
        self._render = render
        self._followed: dict[int, _Followed] = {}
        self._is_closed = False
        self._log = log.get("coexist.web.live")

    async def run(self) -> None:
        """Listen until cancelled; when the database comes back, look for what was missed."""
        while True:
            try:
                async with database.connect_listen(self._database_url, feed.CHANNEL) as connection:
                    for followed in self._followed.values():
                        followed.wake.set()
                    async for notice in connection.notifies():
                        account_id, _, _ = notice.payload.partition(":")
                        if account_id.isdecimal() and (found := self._followed.get(int(account_id))):
                            found.wake.set()
            except (Unavailable, psycopg.OperationalError) as error:
                self._log.warning("listen_lost", error=str(error))
            await asyncio.sleep(RECONNECT_S)

    async def open(self, stream: Stream, after: int) -> None:
        """Begin to serve a stream, first with what happened after the event ``after``."""
        async with database.transaction(self._pool) as conn:
            followed = self._followed.get(stream.account_id)
            if followed is None:
                cursor = await feed.last_id(conn, stream.account_id)
                # Another browser of the account may have come first while we asked.
                followed = self._followed.setdefault(stream.account_id, _Followed(cursor))
                followed.wake.set()  # for what was told between reading the cursor and following
            followed.streams.add(stream)
            if self._is_closed:
                stream.close()
            if followed.task is None:
                followed.task = asyncio.create_task(self._follow(stream.account_id, followed))
            stream.position = min(after, followed.cursor)
            is_gone = await feed.is_pruned_after(conn, stream.account_id, after)
            missed = await feed.since(conn, stream.account_id, after, limit=GAP_EVENTS_MAX)
        if is_gone or len(missed) == GAP_EVENTS_MAX:
            stream.reload(followed.cursor)
        else:
            await self._deliver(stream.account_id, followed, missed, {stream})

    def shut(self, stream: Stream) -> None:
        """Stop serving a stream."""
        stream.close()
        followed = self._followed.get(stream.account_id)
        if followed is not None:
            followed.streams.discard(stream)
            if not followed.streams:
                del self._followed[stream.account_id]
                if followed.task is not None:
                    followed.task.cancel()

    def close(self) -> None:
        """End every stream and take no new ones: the process is about to stop."""
        self._is_closed = True
        for followed in list(self._followed.values()):
            for stream in list(followed.streams):
                stream.close()

    async def _follow(self, account_id: int, followed: _Followed) -> None:
        while True:
            await followed.wake.wait()
            followed.wake.clear()
            try:
                async with database.transaction(self._pool) as conn:
                    events = await feed.since(conn, account_id, followed.cursor)
                if events:
                    followed.cursor = events[-1].id
                    await self._deliver(account_id, followed, events, set(followed.streams))
                if len(events) == feed.PAGE_ROWS:
                    followed.wake.set()
            except Exception:
                # A loop's edge: whatever went wrong, open pages must not fall behind in silence.
                self._log.exception("feed_not_delivered", account_id=account_id)
                for stream in list(followed.streams):
                    stream.reload(followed.cursor)
                await asyncio.sleep(RECONNECT_S)

    async def _deliver(
        self, account_id: int, followed: _Followed, events: Sequence[Event], streams: Collection[Stream]
    ) -> None:
        watched = {stream.conversation_id for stream in streams} - {None}
        changed: dict[int, dict[int, int]] = {}
        for event in events:
            if event.conversation_id in watched and event.message_id is not None:
                changed.setdefault(event.conversation_id or 0, {})[event.message_id] = event.id
        async with followed.telling:
            found = await self._messages(account_id, changed)
            rendered: dict[tuple[int, tzinfo], str] = {}
            for stream in streams:
                of_stream = changed.get(stream.conversation_id or 0, {})
                if len(of_stream) > BURST_BUBBLES_MAX:
                    stream.reload(events[-1].id)
                    continue
                for message_id, event_id in of_stream.items():
                    key = (message_id, stream.zone)
                    if key not in rendered:
                        rendered[key] = self._partial(found.get(message_id), message_id, stream, event_id)
                    stream.push(rendered[key], event_id)
                _signal(stream, events)

    async def _messages(self, account_id: int, changed: dict[int, dict[int, int]]) -> dict[int, Message]:
        ids = [id for of_one in changed.values() if len(of_one) <= BURST_BUBBLES_MAX for id in of_one]
        if not ids:
            return {}
        async with database.transaction(self._pool) as conn:
            return {message.id: message for message in await store.messages(conn, account_id, ids)}

    def _partial(self, message: Message | None, message_id: int, stream: Stream, event_id: int) -> str:
        """The bubble to put in place, or the order to take one away that was removed or moved elsewhere."""
        if message is None or message.conversation_id != stream.conversation_id:
            return f'<hx-partial hx-target="#message-{message_id}" hx-swap="delete"></hx-partial>'
        bubble = self._render(message, stream.zone, event_id)
        return f'<hx-partial hx-target="#messages" hx-swap="place">{bubble}</hx-partial>'


def _signal(stream: Stream, events: Iterable[Event]) -> None:
    for event in events:
        for name in SIGNALS.get(event.kind, ()):
            stream.signal(name, event.id)
        if stream.conversation_id is None:
            continue
        concerns_it = event.kind == Kind.CONVERSATION_CHANGED and event.conversation_id == stream.conversation_id
        concerns_contact = event.payload.get("contact_id") == stream.contact_id
        if concerns_it or (event.kind == Kind.CONTACT_CHANGED and concerns_contact):
            stream.signal("conversation", event.id)
