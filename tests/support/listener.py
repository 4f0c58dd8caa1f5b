"""A customer's program on loopback: it takes webhooks, as the test says, and remembers them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Heard:
    """One POST: its headers, its bytes, and with what it was answered."""

    headers: Mapping[str, str]
    body: bytes
    answered: int

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(json.loads(self.body)["events"])


@dataclass
class Listener:
    """The program. ``answers`` are its next statuses, 200 once they are used up; ``hold`` keeps it from answering."""

    url: str = ""
    posts: list[Heard] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it took, in the order in which it came."""
        return [event for post in self.posts if post.answered < 300 for event in post.events]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.answers.popleft() if self.answers else 200
        self.posts.append(Heard(dict(request.headers), body, status))
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=status, headers=self.headers, text="taken")


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A program that listens inside the block."""
    listener = Listener()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", listener.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    listener.url = f"http://127.0.0.1:{port}/coexist"
    try:
        yield listener
    finally:
        await runner.cleanup()
