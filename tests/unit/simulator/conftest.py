"""A stand-in on a port of its own, and a small receiver for its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulator import Config, Pace, create_app
from simulator.simulation import Simulation
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import PATIENCE_S

Json = dict[str, Any]

APP_ID = "1900100200300"
SECRET = "the secret of the app"
VERIFY_TOKEN = "the verify token"
WABA = "701122334455667"
NUMBER = "555100020003000"
STARTED_AT = 1_795_000_000


class Clock:
    """The time of the stand-in, moved by tests."""

    def __init__(self) -> None:
        self.now = float(STARTED_AT)

    def __call__(self) -> float:
        return self.now


@dataclass
class Receiver:
    """Takes webhooks. `answers` are given first, one a POST; after that 200, but for what has in it what it refuses."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    refuses: str | None = None
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    async def post(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.signatures.append(request.headers["X-Hub-Signature-256"])
        self.bodies.append(body)
        usual = 500 if self.refuses and self.refuses in body.decode() else 200
        return web.Response(status=self.answers.pop(0) if self.answers else usual)

    async def verify(self, request: web.Request) -> web.Response:
        honest = request.query["hub.verify_token"] == VERIFY_TOKEN
        return web.Response(text=request.query["hub.challenge"], status=200 if honest else 403)

    def changes(self, name: str) -> list[Json]:
        """The values that came for a field, in order of arrival."""
        entries = [entry for body in self.bodies for entry in json.loads(body)["entry"]]
        return [change["value"] for entry in entries for change in entry["changes"] if change["field"] == name]


@dataclass
class StandIn:
    """A running stand-in and how to talk to it."""

    url: str
    sim: Simulation
    session: aiohttp.ClientSession
    token: str = ""

    async def control(self, act: str, **asked: Any) -> Json:
        async with self.session.post(f"{self.url}/control/{act}", json=asked) as answer:
            body: Json = await answer.json()
            assert answer.status == 200, body
            return body

    async def refused(self, act: str, **asked: Any) -> str:
        """The sentence with which a control is refused."""
        async with self.session.post(f"{self.url}/control/{act}", json=asked) as answer:
            assert answer.status in (400, 404)
            return str((await answer.json())["error"])

    async def get(self, path: str) -> Json:
        async with self.session.get(f"{self.url}{path}") as answer:
            body: Json = await answer.json()
            return body

    async def graph(self, method: str, path: str, body: Json | None = None, **query: str) -> tuple[int, Json]:
        """A Graph call with the business token; HTTP status and JSON."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = f"{self.url}/v25.0/{path}"
        async with self.session.request(method, address, json=body, params=query, headers=headers) as answer:
            return answer.status, await answer.json()

    async def connect(self) -> None:
        """Onboard, take the token, subscribe the WABA."""
        self.token = (await self.control("onboard"))["token"]
        status, answer = await self.graph("POST", f"{WABA}/subscribed_apps")
        assert (status, answer) == (200, {"success": True})

    async def sync(self, sync_type: str) -> tuple[int, Json]:
        body = {"messaging_product": "whatsapp", "sync_type": sync_type}
        return await self.graph("POST", f"{NUMBER}/smb_app_data", body)

    async def send(self, **body: Any) -> tuple[int, Json]:
        return await self.graph("POST", f"{NUMBER}/messages", {"messaging_product": "whatsapp", **body})

    async def settle(self) -> None:
        assert (await self.control("settle"))["settled"]


Start = Callable[..., Awaitable[StandIn]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application(client_max_size=8_000_000)
    app.router.add_post("/webhook", found.post)
    app.router.add_get("/webhook", found.verify)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    yield found
    await runner.cleanup()


@pytest.fixture
async def start(receiver: Receiver) -> AsyncIterator[Start]:
    """Starts stand-ins that end with the test: `await start(message_count=200)`."""
    async with AsyncExitStack() as stack:

        async def begin(
            message_count: int = 120, state: Path | None = None, webhook_url: str | None = None, **more: Any
        ) -> StandIn:
            config = Config(
                app_id=APP_ID,
                app_secret=SECRET,
                verify_token=VERIFY_TOKEN,
                webhook_url=webhook_url or receiver.url,
                message_count=message_count,
                state=state,
                pace=Pace(delivered_ms=10, read_ms=(10, 20)),
                **more,
            )
            app = create_app(config)
            listening = bound()
            session = await stack.enter_async_context(aiohttp.ClientSession())
            await stack.enter_async_context(serving(app, listening))
            return StandIn(address_of(listening), app.state.sim, session)

        yield begin


@pytest.fixture
async def stand_in(start: Start) -> StandIn:
    """A connected stand-in with a short history."""
    made = await start()
    await made.connect()
    return made
