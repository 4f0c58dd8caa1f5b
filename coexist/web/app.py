"""The pages for people, as one ASGI app to be mounted beside the webhook."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.inbox import actions
from coexist.web import conversations, inboxes, media, messages, sign_in
from coexist.web.access import signed_in
from coexist.web.failures import FAILURES
from coexist.web.guard import Guard
from coexist.web.live import Hub
from coexist.web.render import STATIC, STATIC_VERSION, bubble_renderer, create_templates
from coexist.web.state import Web
from coexist.web.stream import open_stream

A_YEAR: Final = "public, max-age=31536000, immutable"


def create_web(settings: Settings, pool: Pool, database_url: str) -> Web:
    """Make what the pages need. ``database_url`` is for the hub's own LISTEN connection."""
    templates = create_templates()
    return Web(settings, pool, templates, Hub(database_url, pool, bubble_renderer(templates)))


def create_pages(web: Web) -> Starlette:
    """The app of all pages. Its hub runs inside ``running(web)``."""
    pages = Starlette(
        routes=routes(), middleware=[Middleware(Guard, settings=web.settings)], exception_handlers=FAILURES
    )
    pages.state.web = web
    return pages


@asynccontextmanager
async def running(web: Web) -> AsyncIterator[None]:
    """Follow the feed inside the block; at its end, end every open stream.

    A server waits for its responses before this block ends, and a stream is a response that does not: call
    ``web.hub.close()`` as soon as the server is asked to stop.
    """
    loop = asyncio.create_task(web.hub.run())
    try:
        yield
    finally:
        web.hub.close()
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


def routes() -> list[BaseRoute]:
    """Every page and every form, by subject."""
    talk = "/conversations/{conversation_id:int}"
    decide = messages.decide
    return [
        Route("/", sign_in.show_first_page),
        Route("/first-run", sign_in.show_first_run),
        Route("/first-run", sign_in.make_owner, methods=["POST"]),
        Route("/sign-in", sign_in.show_sign_in),
        Route("/sign-in", sign_in.sign_in, methods=["POST"]),
        Route("/sign-in/link/{token}", sign_in.show_link),
        Route("/sign-in/link/{token}", sign_in.use_link, methods=["POST"]),
        Route("/sign-out", signed_in(sign_in.sign_out), methods=["POST"]),
        Route("/conversations", signed_in(conversations.show_list)),
        Route("/conversations/list", signed_in(conversations.show_list_part)),
        Route(talk, signed_in(conversations.show_conversation)),
        Route(f"{talk}/around", signed_in(conversations.show_changes)),
        Route(f"{talk}/messages", signed_in(conversations.show_messages)),
        Route(f"{talk}/messages", signed_in(messages.send_message), methods=["POST"]),
        Route(f"{talk}/draft", signed_in(messages.save_draft), methods=["PUT"]),
        Route(f"{talk}/resolve", signed_in(decide(actions.resolve)), methods=["POST"]),
        Route(f"{talk}/reopen", signed_in(decide(actions.reopen)), methods=["POST"]),
        Route(f"{talk}/read", signed_in(messages.mark_read), methods=["POST"]),
        Route(f"{talk}/assign", signed_in(decide(messages.assign_to_me)), methods=["POST"]),
        Route(f"{talk}/unassign", signed_in(decide(messages.unassign)), methods=["POST"]),
        Route("/messages/{message_id:int}/retry", signed_in(messages.retry_message), methods=["POST"]),
        Route("/messages/{message_id:int}/discard", signed_in(messages.discard_message), methods=["POST"]),
        Route("/contacts/{contact_id:int}", signed_in(messages.change_contact), methods=["POST"]),
        Route("/media/{message_id:int}", signed_in(media.show_file)),
        Route("/inboxes", signed_in(inboxes.show_inboxes)),
        Route("/inboxes/{inbox_id:int}/sync", signed_in(inboxes.show_sync)),
        Route("/inboxes/{inbox_id:int}/strip", signed_in(inboxes.show_strip)),
        Route("/live", signed_in(open_stream)),
        Mount(f"/static/{STATIC_VERSION}", _LastingFiles(directory=STATIC)),
    ]


class _LastingFiles(StaticFiles):
    """Files whose address changes with their content: a browser asks once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code < 400:
            response.headers["Cache-Control"] = A_YEAR
        return response
