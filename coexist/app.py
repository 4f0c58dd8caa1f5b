"""The HTTP app: the raw webhook endpoint beside the pages, in one or several processes on one socket."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import psycopg
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from coexist import processes
from coexist.base import config, crypto, database, log
from coexist.base.config import Settings
from coexist.base.errors import Invalid
from coexist.commands.opening import load_settings
from coexist.intake.endpoint import Webhook
from coexist.intake.journal import open_journal
from coexist.intake.protocol import DeliveryProtocol
from coexist.intake.replay import replay_import
from coexist.intake.sightings import note_refused, note_verification
from coexist.web.app import create_pages, create_web, running
from coexist.web.state import Web
from coexist.worker import check_host, database_url_of

WEBHOOK_PATH: Final = "/webhook"
POOL_CONNECTIONS_COUNT: Final = 12
SHUTDOWN_LIMIT_S: Final = 3
BACKLOG_CONNECTIONS_COUNT: Final = 2048

logger = log.get(__name__)


class App:
    """Which part answers a request: Meta's webhook, the health checks, or the pages."""

    def __init__(self, webhook: Webhook, pages: ASGIApp, pool: database.Pool) -> None:
        self._webhook, self._pages, self._pool = webhook, pages, pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path")
        if scope["type"] == "http" and path == WEBHOOK_PATH:
            await self._webhook(scope, receive, send)
        elif scope["type"] == "http" and path in ("/healthz", "/readyz"):
            await self._answer_health(send, asks_database=path == "/readyz")
        else:
            await self._pages(scope, receive, send)

    async def _answer_health(self, send: Send, *, asks_database: bool) -> None:
        status, body = 200, b"ok\n"
        if asks_database:
            try:
                async with self._pool.connection(timeout=2) as conn:
                    await conn.execute("SELECT 1")
            except (psycopg.Error, OSError):
                status, body = 503, b"The database cannot be reached.\n"
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    """Ends open streams as soon as it is told to stop: a server waits for its responses, and a stream has no end."""

    def __init__(self, app: ASGIApp, web: Web, webhook: Webhook) -> None:
        protocol: Any = partial(DeliveryProtocol, webhook, WEBHOOK_PATH.encode())
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=SHUTDOWN_LIMIT_S,
                proxy_headers=False,  # pages alone ask who calls, and look themselves
            )
        )
        self._web = web
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT. uvicorn's own way raises the signal again afterwards, which would end us."""
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            self._loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in signals:
                self._loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take no more connections, end the streams, and let what is being answered finish."""
        self._web.hub.close()
        self.should_exit = True


def serve(settings: Settings, *, keeps_worker: bool = True) -> None:
    """Run the webhook, the pages and, unless told otherwise, a worker until SIGTERM or SIGINT."""
    config.require(settings, "app_secrets", "verify_token")
    try:
        listening = socket.create_server(
            (settings.host, settings.port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
            backlog=BACKLOG_CONNECTIONS_COUNT,
        )
    except OSError as error:
        raise Invalid(
            f"COEXIST_HOST and COEXIST_PORT name {settings.host}:{settings.port}, where nothing can listen: "
            f"{error.strerror}.",
            next_step="Stop what uses the port, or choose another.",
        ) from error
    with listening:
        processes.run_loop(_serve(settings, listening, keeps_worker=keeps_worker))


async def _serve(settings: Settings, listening: socket.socket, *, keeps_worker: bool) -> None:
    """Answer in this process, and keep the worker and further answering processes running beside it."""
    async with database_url_of(settings) as url:
        descriptor = listening.fileno()
        children = [asyncio.create_task(processes.keep_running("coexist", "work"))] if keeps_worker else []
        for _ in range(settings.workers - 1):
            child = processes.keep_running("coexist.app", str(descriptor), pass_fds=(descriptor,))
            children.append(asyncio.create_task(child))
        logger.info("serving", address=settings.base_url, webhook=settings.base_url + WEBHOOK_PATH)
        try:
            await _answer(settings, url, listening)
        finally:
            for task in children:
                task.cancel()
            await asyncio.gather(*children, return_exceptions=True)


async def _answer(settings: Settings, database_url: str, listening: socket.socket) -> None:
    async with (
        database.open_pool(database_url, application="coexist web", max_size=POOL_CONNECTIONS_COUNT) as pool,
        open_journal(database_url) as journal,
    ):
        await check_host(settings, pool)
        noting = partial(note_verification, pool), partial(note_refused, pool)
        webhook = Webhook(settings, crypto.open_keyring(settings), journal, *noting)
        web = create_web(settings, pool, database_url, replay_import)
        async with running(web):
            server = Server(App(webhook, create_pages(web), pool), web, webhook)
            watch = asyncio.create_task(_stop_when_orphaned(server))
            await server.serve(sockets=[listening])
            watch.cancel()


async def _stop_when_orphaned(server: Server) -> None:
    await processes.until_orphaned()
    server.stop()


async def _answer_as_child(settings: Settings, descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as listening:
        async with database_url_of(settings) as url:
            await _answer(settings, url, listening)


if __name__ == "__main__":
    chosen = load_settings()
    processes.run_loop(_answer_as_child(chosen, int(sys.argv[1])))
