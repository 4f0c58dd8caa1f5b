"""The pages for people, as one ASGI app to be mounted beside the webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import aiohttp
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from coexist.base import crypto, loops
from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.inbox import actions
from coexist.media.storage import open_storage
from coexist.meta.graph import graph_of
from coexist.web import (
    choices,
    choices_private,
    conversations,
    coverage,
    doctor,
    exported_chats,
    inboxes,
    life,
    media,
    messages,
    picker,
    quarantine,
    receipt,
    reports,
    sign_in,
    signup,
    signup_links,
    template_pages,
    undoing,
    webhooks,
)
from coexist.web.access import signed_in
from coexist.web.failures import FAILURES
from coexist.web.guard import Guard
from coexist.web.live import Hub
from coexist.web.render import STATIC, STATIC_VERSION, bubble_renderer, create_templates
from coexist.web.state import Replay, Web
from coexist.web.stream import open_stream
from coexist.webhooks import actions as outgoing

A_YEAR: Final = "public, max-age=31536000, immutable"
DECODER: Final = "js/voice-decoder.js"
DECODER_POLICY: Final = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"
"""A worker has a policy of its own: WebAssembly runs in the one that decodes voice notes, and nowhere else."""


def create_web(settings: Settings, pool: Pool, database_url: str, replay: Replay) -> Web:
    """Make what the pages need, inside a running loop. ``database_url`` is for the hub's own LISTEN connection."""
    templates = create_templates()
    hub = Hub(database_url, pool, bubble_renderer(templates))
    # A new connection for each call, as the worker has for what can be asked for only once: pages ask for syncs, too.
    graph = graph_of(settings, aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)))
    return Web(settings, pool, templates, hub, graph, crypto.open_keyring(settings), open_storage(settings), replay)


def create_pages(web: Web) -> Starlette:
    """The app of all pages. Its hub and its calls to Meta live inside ``running(web)``."""
    behind_proxy = Middleware(cast(Any, ProxyHeadersMiddleware), trusted_hosts=list(web.settings.trusted_proxies))
    guard = Middleware(Guard, settings=web.settings)
    pages = Starlette(routes=routes(), middleware=[behind_proxy, guard], exception_handlers=FAILURES)
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
        await loops.end([loop])
        if not loop.cancelled() and (error := loop.exception()) is not None:
            raise error
        await web.graph.session.close()
        await web.storage.aclose()


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
        Route("/messages/{message_id:int}/file", signed_in(media.fetch_file), methods=["POST"]),
        Route("/media/{message_id:int}", signed_in(media.show_file)),
        Route("/media/{message_id:int}/thumbnail", signed_in(media.show_thumbnail)),
        Route("/inboxes", signed_in(inboxes.show_inboxes)),
        Route("/inboxes/connect", signed_in(signup.show_beginning)),
        Route("/inboxes/connect/links", signed_in(signup_links.make_link), methods=["POST"]),
        Route("/inboxes/connect/links/{link_id:int}/revoke", signed_in(signup_links.revoke_link), methods=["POST"]),
        Route("/inboxes/connect/{signup_id:uuid}", signed_in(signup.show_signup)),
        Route("/inboxes/connect/{signup_id:uuid}/{step}", signed_in(signup.take_step), methods=["POST"]),
        Route("/connect/{token}", signup_links.show_beginning),
        Route("/connect/{token}/{signup_id:uuid}", signup_links.show_signup),
        Route("/connect/{token}/{signup_id:uuid}/{step}", signup_links.take_step, methods=["POST"]),
        *_choices(),
        *_life_routes(),
        *_template_routes(),
        Route("/inboxes/{inbox_id:int}/sync", signed_in(inboxes.show_sync)),
        Route("/inboxes/{inbox_id:int}/sync/check", signed_in(doctor.look_again), methods=["POST"]),
        Route("/inboxes/{inbox_id:int}/sync/again", signed_in(doctor.ask_again), methods=["POST"]),
        Route("/inboxes/{inbox_id:int}/sync/anyway", signed_in(doctor.ask_anyway), methods=["POST"]),
        Route("/inboxes/{inbox_id:int}/doctor", signed_in(doctor.show_doctor)),
        Route("/inboxes/{inbox_id:int}/doctor", signed_in(doctor.ask_meta), methods=["POST"]),
        Route("/inboxes/{inbox_id:int}/doctor/bundle", signed_in(doctor.give_bundle)),
        Route("/inboxes/{inbox_id:int}/coverage", signed_in(coverage.show_coverage)),
        *_receipt_routes(),
        Route("/inboxes/{inbox_id:int}/strip", signed_in(inboxes.show_strip)),
        Route("/reports", signed_in(reports.show_reports)),
        *_exported_chat_routes(),
        *_quarantine_routes(),
        *_webhook_routes(),
        Route("/live", signed_in(open_stream)),
        Mount(f"/static/{STATIC_VERSION}", _LastingFiles(directory=STATIC)),
    ]


def _life_routes() -> list[BaseRoute]:
    number = "/inboxes/{inbox_id:int}"
    return [
        Route(number, signed_in(life.show_life)),
        Route(f"{number}/notice", signed_in(life.show_notice)),
        Route("/conversations/standing", signed_in(life.show_standing)),
        Route(f"{number}/go-on", signed_in(doctor.go_on), methods=["POST"]),
    ]


def _template_routes() -> list[BaseRoute]:
    talk, number = "/conversations/{conversation_id:int}/templates", "/inboxes/{inbox_id:int}/templates"
    one, new = f"{talk}/{{template_id:int}}", f"{number}/new"
    copy = f"{number}/{{template_id:int}}/copy"
    return [
        Route(talk, signed_in(picker.show_templates)),
        Route(f"{talk}/ask", signed_in(picker.ask_meta), methods=["POST"]),
        Route(one, signed_in(picker.show_form)),
        Route(one, signed_in(picker.send), methods=["POST"]),
        Route(number, signed_in(template_pages.show_templates)),
        Route(f"{number}/ask", signed_in(template_pages.ask_meta), methods=["POST"]),
        Route(new, signed_in(template_pages.show_new)),
        Route(new, signed_in(template_pages.make), methods=["POST"]),
        Route(copy, signed_in(template_pages.show_new)),
        Route(copy, signed_in(template_pages.make), methods=["POST"]),
    ]


def _receipt_routes() -> list[BaseRoute]:
    paper = "/inboxes/{inbox_id:int}/receipt"
    return [
        Route(paper, signed_in(receipt.show_receipt)),
        Route(f"{paper}/undo", signed_in(undoing.show_plan)),
        Route(f"{paper}/undo", signed_in(undoing.undo), methods=["POST"]),
        Route(f"{paper}/reapply", signed_in(undoing.reapply), methods=["POST"]),
    ]


def _exported_chat_routes() -> list[BaseRoute]:
    chat = "/exported-chats/{chat_id:int}"
    return [
        Route("/exported-chats", signed_in(exported_chats.show_exported_chats)),
        Route("/exported-chats", signed_in(exported_chats.take_file), methods=["POST"]),
        Route(chat, signed_in(exported_chats.show_exported_chat)),
        Route(f"{chat}/start", signed_in(exported_chats.start), methods=["POST"]),
        Route(f"{chat}/retry", signed_in(exported_chats.retry), methods=["POST"]),
        Route(f"{chat}/undo", signed_in(exported_chats.undo), methods=["POST"]),
        Route(f"{chat}/discard", signed_in(exported_chats.discard), methods=["POST"]),
    ]


def _quarantine_routes() -> list[BaseRoute]:
    part = "/quarantine/{quarantine_id:int}"
    return [
        Route("/quarantine", signed_in(quarantine.show_quarantine)),
        Route("/quarantine/badge", signed_in(quarantine.show_badge)),
        Route("/quarantine/retry", signed_in(quarantine.retry_all), methods=["POST"]),
        Route(f"{part}/retry", signed_in(quarantine.retry_part), methods=["POST"]),
        Route(f"{part}/dismiss", signed_in(quarantine.dismiss_part), methods=["POST"]),
        Route(f"{part}/restore", signed_in(quarantine.restore_part), methods=["POST"]),
        Route("/quarantine/numbers/dismiss", signed_in(quarantine.dismiss_number), methods=["POST"]),
        Route("/quarantine/numbers/restore", signed_in(quarantine.restore_number), methods=["POST"]),
    ]


def _webhook_routes() -> list[BaseRoute]:
    one, decide = f"{webhooks.PATH}/{{webhook_id:int}}", webhooks.decide
    return [
        Route(webhooks.PATH, signed_in(webhooks.show_list)),
        Route(webhooks.PATH, signed_in(webhooks.add), methods=["POST"]),
        Route(one, signed_in(webhooks.show_webhook)),
        Route(f"{one}/secret", signed_in(webhooks.rotate), methods=["POST"]),
        Route(f"{one}/test", signed_in(decide(outgoing.test)), methods=["POST"]),
        Route(f"{one}/pause", signed_in(decide(outgoing.pause)), methods=["POST"]),
        Route(f"{one}/resume", signed_in(decide(outgoing.resume)), methods=["POST"]),
        Route(f"{one}/remove", signed_in(webhooks.remove), methods=["POST"]),
    ]


def _choices() -> list[BaseRoute]:
    listed = f"{choices_private.PATH}/{{number_id:int}}"
    return [
        *(
            route
            for path in ("/inboxes/choices", "/inboxes/{inbox_id:int}/choices")
            for route in (
                Route(path, signed_in(choices.show_choices)),
                Route(f"{path}/switch", signed_in(choices.throw_switch), methods=["POST"]),
                Route(f"{path}/open", signed_in(choices.keep_open), methods=["POST"]),
            )
        ),
        Route("/inboxes/{inbox_id:int}/choices/echoes", signed_in(choices.choose_echo_effect), methods=["POST"]),
        Route(choices_private.PATH, signed_in(choices_private.show_list)),
        Route(choices_private.PATH, signed_in(choices_private.add), methods=["POST"]),
        Route(listed, signed_in(choices_private.show_number)),
        Route(f"{listed}/purge", signed_in(choices_private.purge), methods=["POST"]),
        Route(f"{listed}/remove", signed_in(choices_private.remove), methods=["POST"]),
    ]


class _LastingFiles(StaticFiles):
    """Files whose address changes with their content: a browser asks once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code < 400:
            response.headers["Cache-Control"] = A_YEAR
        if path == DECODER:
            response.headers["Content-Security-Policy"] = DECODER_POLICY
        return response
