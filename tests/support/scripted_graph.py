"""A Graph API on loopback that answers as a test scripts it, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from coexist.meta.graph import Graph


@dataclass(frozen=True)
class Asked:
    """One request: ``method path``, its JSON body, its bearer token."""

    what: str
    body: Any
    token: str


def error(code: int, details: str = "as scripted", status: int = 400) -> web.Response:
    """Meta's error envelope."""
    envelope = {"message": f"(#{code})", "code": code, "error_data": {"details": details}, "fbtrace_id": "AbTrace"}
    return web.json_response({"error": envelope}, status=status)


FILE_BYTES_MAX = 100 * 1024 * 1024
Answer = web.StreamResponse | Exception | Callable[[Asked], Any]


@dataclass
class ScriptedGraph:
    """``answers`` are given one after the other, then the usual ones. An exception breaks the connection."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    files: dict[str, tuple[dict[str, Any], bytes]] = field(default_factory=dict)
    delay_s: float = 0.0
    webhook: Callable[[bytes, str | None], Awaitable[int]] | None = None
    """Our own webhook at the same address, where a test has one: takes a body and its signature, gives a status."""
    under_way: int = 0
    most_at_once: int = 0

    def of(self, end: str) -> list[Asked]:
        """What was asked whose path ends so."""
        return [asked for asked in self.asked if asked.what.endswith(end)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.path == "/webhook" and self.webhook:
            signature = request.headers.get("X-Hub-Signature-256")
            return web.Response(status=await self.webhook(await request.read(), signature))
        body = await _read(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = Asked(f"{request.method} {request.path}", body, token)
        self.asked.append(asked)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(self.delay_s)
            return await self._answer(asked, request)
        finally:
            self.under_way -= 1

    async def _answer(self, asked: Asked, request: web.Request) -> web.StreamResponse:
        answer = self.answers.popleft() if self.answers else self._usual(asked)
        if callable(answer):
            answer = answer(asked)
            if asyncio.iscoroutine(answer):
                answer = await answer
        if isinstance(answer, Exception):
            assert request.transport is not None
            request.transport.close()
            raise answer
        assert isinstance(answer, web.StreamResponse)
        return answer

    def _usual(self, asked: Asked) -> web.StreamResponse:
        last = asked.what.rsplit("/", 1)[-1]
        if last == "messages":
            wamid = f"wamid.OUT{len(self.asked)}"
            return web.json_response({"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": wamid}]})
        if last == "smb_app_data":
            return web.json_response({"request_id": f"req-{len(self.asked)}"})
        if last == "subscribed_apps" and not asked.what.startswith("GET"):
            return web.json_response({"success": True})
        if asked.what.startswith("GET /bytes/") and last in self.files:
            return web.Response(body=self.files[last][1], content_type="application/octet-stream")
        if last in self.files:
            return web.json_response({"url": f"{self.address}/bytes/{last}", "id": last, **self.files[last][0]})
        return error(100, "Unsupported get request. Object does not exist", 400)


async def _read(request: web.Request) -> Any:
    """The JSON of a body, or the fields of a form; of a file its bytes."""
    if request.content_type == "multipart/form-data":
        form = await request.post()
        return {k: v.file.read() if isinstance(v, web.FileField) else v for k, v in form.items()}
    return await request.json() if request.can_read_body else None


@asynccontextmanager
async def scripted_graph() -> AsyncIterator[tuple[ScriptedGraph, Graph]]:
    """A scripted Graph on a port of its own, and the client that speaks to it."""
    scripted = ScriptedGraph()
    app = web.Application(client_max_size=FILE_BYTES_MAX)
    app.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    scripted.address = f"http://{host}:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            yield scripted, Graph(session, scripted.address, "v25.0", "app-secret")
    finally:
        await runner.cleanup()
