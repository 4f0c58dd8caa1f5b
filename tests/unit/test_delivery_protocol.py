"""Deliveries on a real connection, byte by byte if need be, before a journal that commits when the test says so."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import uvicorn

from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.errors import Unavailable
from coexist.intake.endpoint import AT_ONCE_BYTES, Webhook
from coexist.intake.protocol import DeliveryProtocol
from coexist.intake.sealing import unseal
from tests.support.waiting import PATIENCE_S

SECRET = b"of-the-app"
KEYRING = Keyring([b"k" * 32])
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Line:
    """Stands for the journal: what is in line, until ``commit`` or ``fail``."""

    waiting: list[tuple[bytes, asyncio.Future[None]]] = field(default_factory=list)
    is_full: bool = False

    def put(self, stored: bytes, *, lane: int) -> asyncio.Future[None]:
        if self.is_full:
            raise Unavailable("There is no room.")
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((unseal(KEYRING, stored), committed))
        return committed

    async def append(self, stored: bytes, *, lane: int) -> None:
        await self.put(stored, lane=lane)

    async def holds(self, *bodies: bytes) -> None:
        """Wait until just these are in line."""
        async with asyncio.timeout(PATIENCE_S):
            while [body for body, _ in self.waiting] != list(bodies):
                await asyncio.sleep(0.005)

    def commit(self, error: Exception | None = None) -> None:
        for _, committed in self.waiting:
            committed.set_exception(error) if error else committed.set_result(None)
        self.waiting.clear()


@dataclass
class Peer:
    """Whoever posts, over one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.01)

    async def answer(self) -> bytes:
        """The next answer, head and body; an interim one before it is passed over."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 100 "):
                head = await self.reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self.reader.readexactly(size)

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.reader.read(1)


@dataclass
class Desk:
    line: Line
    server: uvicorn.Server
    port: int

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    line: Any = Line()

    async def verified() -> None:
        pass

    webhook = Webhook(Settings(app_secrets=(SECRET,), verify_token="word"), KEYRING, line, verified, verified)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/webhook":
            await webhook(scope, receive, send)
        else:
            headers = [(b"content-length", b"4")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"page"})

    protocol: Any = partial(DeliveryProtocol, webhook, b"/webhook")
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=3, port=0)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # without taking the signals of whoever runs the tests
    async with asyncio.timeout(PATIENCE_S):
        while not server.started:
            await asyncio.sleep(0.005)
    yield Desk(line, server, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    line.commit()
    await running


def request(body: bytes, *headers: str, secret: bytes = SECRET, size: str | None = None) -> bytes:
    lines = [
        "POST /webhook HTTP/1.1",
        "Host: inbox.example.com",
        f"Content-Length: {len(body) if size is None else size}",
        f"X-Hub-Signature-256: sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.requirement("C1", "C4")
async def test_200_comes_after_the_commit_and_never_before(desk: Desk) -> None:
    async with desk.peer() as meta:
        for body in (b'{"a":1}', b'{"b":2}'):
            await meta.write(request(body))
            await desk.line.holds(body)
            await meta.hears_nothing()
            desk.line.commit()
            assert await meta.answer() == OK


async def test_a_delivery_may_come_in_any_pieces(desk: Desk) -> None:
    body = b'{"piece":"by piece"}'
    whole = request(body)
    async with desk.peer() as meta:
        for cuts in ([3], [len(whole) - len(body)], [20, 60, len(whole) - 5], [len(whole) - 1]):
            ends = [0, *cuts, len(whole)]
            await meta.write(*(whole[a:b] for a, b in pairwise(ends)))
            await desk.line.holds(body)
            desk.line.commit()
            assert await meta.answer() == OK


@pytest.mark.requirement("C4")
async def test_what_could_not_be_committed_is_refused_and_the_connection_goes_on(desk: Desk) -> None:
    async with desk.peer() as meta:
        await meta.write(request(b"{}"))
        await desk.line.holds(b"{}")
        desk.line.commit(Unavailable("The delivery could not be stored; it is not acknowledged."))
        answer = await meta.answer()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5\r\n" in answer
        assert answer.endswith(b"\r\n\r\nThe delivery could not be stored; it is not acknowledged.")
        await meta.write(request(b'{"again":1}'))
        await desk.line.holds(b'{"again":1}')
        desk.line.commit()
        assert await meta.answer() == OK


@pytest.mark.requirement("C4")
async def test_without_room_it_is_refused_at_once(desk: Desk) -> None:
    desk.line.is_full = True
    async with desk.peer() as meta:
        await meta.write(request(b"{}"))
        assert (await meta.answer()).startswith(b"HTTP/1.1 503 ")


async def test_requests_in_one_packet_are_answered_in_their_order(desk: Desk) -> None:
    page = b"GET /page HTTP/1.1\r\nHost: inbox.example.com\r\n\r\n"
    async with desk.peer() as meta:
        await meta.write(request(b'{"first":1}') + page + request(b'{"second":2}') + page)
        await desk.line.holds(b'{"first":1}')
        await meta.hears_nothing()
        desk.line.commit()
        assert await meta.answer() == OK
        assert (await meta.answer()).endswith(b"page")
        await desk.line.holds(b'{"second":2}')
        desk.line.commit()
        assert (await meta.answer()).startswith(b"HTTP/1.1 200 ")
        assert (await meta.answer()).endswith(b"page")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"{}", secret=b"another"), b"401"),
        (request(b"{}").replace(b"X-Hub-Signature-256", b"X-Other"), b"401"),
        (request(b"{}").replace(b"POST /webhook", b"PUT /webhook"), b"405"),
        (b"GET /webhook?hub.mode=subscribe&hub.verify_token=no HTTP/1.1\r\nHost: x\r\n\r\n", b"403"),
        (request(b"{}").replace(b"\r\n\r\n{}", b"\r\nContent-Length: 3\r\n\r\n{}"), b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
async def test_what_is_not_a_delivery_is_answered_in_words(desk: Desk, sent: bytes, status: bytes) -> None:
    async with desk.peer() as meta:
        await meta.write(sent)
        answer = await meta.reader.read(4096)
        assert answer.split(b" ")[1] == status, answer
        assert not desk.line.waiting


@pytest.mark.requirement("C4")
async def test_nonsense_behind_a_delivery_does_not_overtake_its_answer(desk: Desk) -> None:
    async with desk.peer() as meta:
        await meta.write(request(b"{}") + b"nonsense\r\n\r\n")
        await desk.line.holds(b"{}")
        await meta.write(b"and more of it\r\n\r\n")
        desk.line.commit()
        answer = await meta.reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1") == 1


CHUNKED = (
    request(b"{}")
    .replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
    .replace(b"\r\n\r\n{}", b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
)
LARGE = b'"' + b"x" * AT_ONCE_BYTES + b'"'


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (request(LARGE), LARGE),
        (request(LARGE[: AT_ONCE_BYTES - 1]), LARGE[: AT_ONCE_BYTES - 1]),
        (request(b"{}", size="02"), b"{}"),
        (request(b"{}", "Connection: keep-alive"), b"{}"),
        (request(b"{}", "Expect: 100-continue"), b"{}"),
        (CHUNKED, b"{}"),
        (request(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"), b"{}"),
    ],
)
async def test_deliveries_of_every_other_form_are_taken_in_as_well(desk: Desk, sent: bytes, body: bytes) -> None:
    async with desk.peer() as meta:
        await meta.write(sent)
        await desk.line.holds(body)
        desk.line.commit()
        assert b" 200 OK" in await meta.answer()


async def test_who_hangs_up_before_the_commit_disturbs_nobody(desk: Desk) -> None:
    async with desk.peer() as gone, desk.peer() as other:
        await gone.write(request(b'{"gone":1}'))
        await desk.line.holds(b'{"gone":1}')
        await other.write(request(b'{"other":1}'))
        await desk.line.holds(b'{"gone":1}', b'{"other":1}')
        gone.writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while len(desk.server.server_state.connections) > 1:
                await asyncio.sleep(0.005)
        desk.line.commit()
        assert await other.answer() == OK


@pytest.mark.requirement("C4")
async def test_a_server_that_stops_answers_what_waits(desk: Desk) -> None:
    async with desk.peer() as meta:
        await meta.write(request(b"{}"))
        await desk.line.holds(b"{}")
        desk.server.should_exit = True
        await asyncio.sleep(0.3)
        desk.line.commit()
        answer = await meta.answer()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close\r\n" in answer
        assert await meta.reader.read() == b""
