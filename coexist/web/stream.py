"""``GET /live``: one browser's stream of server-sent events, until it leaves, is too slow, or may no longer see."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coexist.base import log
from coexist.base.database import transaction
from coexist.base.errors import AppError
from coexist.inbox import store
from coexist.web.access import Viewer, viewer_of
from coexist.web.asked import id_of
from coexist.web.live import Stream, frame
from coexist.web.state import Web

BEAT_S: Final = 15.0
"""Between two beats that tell a browser the line is alive; it connects again when two are missing."""

SESSION_CHECK_S: Final = 60.0
"""How long a stream may go on before it is asked again whether its viewer is still signed in."""

SEND_S: Final = 20.0
"""A browser that takes nothing for this long is dropped."""

RETRY_MS: Final = 1000

logger = log.get(__name__)


async def open_stream(request: Request, web: Web, viewer: Viewer) -> Response:
    """Follow the account, and one conversation if named. Resumes after ``Last-Event-ID``, else after ``after``."""
    query = request.query_params
    after = id_of(request.headers.get("last-event-id") or query.get("after", "0"), back_to="the inbox")
    stream = Stream(viewer.account_id, viewer.zone, None, None)
    if "conversation" in query:
        id_ = id_of(query["conversation"], back_to="the inbox")
        async with transaction(web.pool) as conn:
            id_ = await store.kept_conversation(conn, viewer.account_id, id_) or id_
            conversation = await store.conversation(conn, viewer.account_id, viewer.member.user_id, id_)
        stream.conversation_id, stream.contact_id = conversation.id, conversation.contact_id
    return EventStream(request, web, stream, after)


class EventStream(Response):
    """The response that goes on until its stream is closed, by us or by the browser."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, web: Web, stream: Stream, after: int) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._web = web
        self._stream = stream
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what waits, and beats in between, while watching for the browser's goodbye."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._serve(send))
                watcher = tasks.create_task(_until_gone(receive))
                await asyncio.wait({sender, watcher}, return_when=asyncio.FIRST_COMPLETED)
                sender.cancel()
                watcher.cancel()
        except* (TimeoutError, OSError):
            pass  # the browser took nothing for too long, or is gone
        except* (AppError, psycopg.Error) as errors:
            # The head is out, and there is no status any more: the line ends, and the browser comes back.
            logger.warning("stream_ended", error="; ".join(map(str, errors.exceptions)))
        finally:
            self._web.hub.shut(self._stream)

    async def _serve(self, send: Send) -> None:
        stream = self._stream
        await _send(send, f"retry: {RETRY_MS}\n\n".encode() + frame("ready", "", self._after))
        await self._web.hub.open(stream, self._after)
        checked_at = time.monotonic()
        while not stream.is_closed:
            try:
                async with asyncio.timeout(BEAT_S):
                    await stream.wake.wait()
            except TimeoutError:
                await _send(send, frame("beat", "", stream.position))
            if ready := stream.take():
                await _send(send, ready)
            if time.monotonic() - checked_at >= SESSION_CHECK_S:
                checked_at = time.monotonic()
                viewer = await viewer_of(self._request)
                if viewer is None or viewer.account_id != stream.account_id:
                    stream.reload(stream.position)
        await _send(send, stream.take(), more=False)


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
