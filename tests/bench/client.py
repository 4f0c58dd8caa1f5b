"""A client that costs little: prepared requests over keep-alive connections, one in flight on each."""

import asyncio
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

SECRET: Final = "bench-secret"
ANSWER_OK: Final = b"HTTP/1.1 200"


def signed(body: bytes) -> dict[str, str]:
    """The headers of a delivery as Meta signs it."""
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def prepared(bodies: Iterable[bytes]) -> list[bytes]:
    """Whole signed requests, ready to be written."""
    requests = []
    for body in bodies:
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **signed(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        requests.append(f"POST /webhook HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return requests


class Line(asyncio.Protocol):
    """One connection. ``is_free`` is called when it can take a request: at the start, and after each answer."""

    def __init__(self, latencies: list[float], is_free: Callable[["Line"], None]) -> None:
        self._latencies, self._is_free, self._is_calling = latencies, is_free, False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer itself."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._is_free(self)

    def call(self, request: bytes, begin: float) -> None:
        """Write a request whose latency counts from ``begin``, in the time of ``perf_counter``."""
        self._begin, self._is_calling = begin, True
        self._transport.write(request)

    def hang_up(self) -> None:
        """End the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """The answers are small and arrive whole."""
        if not data.startswith(ANSWER_OK):
            self.ended.set_exception(RuntimeError(f"not 200: {data[:60]!r}"))
            self._transport.close()
            return
        self._latencies.append(time.perf_counter() - self._begin)
        self._is_calling = False
        self._is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, which with a request in flight is a failure."""
        if not self.ended.done():
            if exc or self._is_calling:
                self.ended.set_exception(exc or RuntimeError("the server hung up on a request"))
            else:
                self.ended.set_result(None)


async def _connect(address: str, count: int, make: Callable[[], Line]) -> list[Line]:
    url = urlsplit(address)
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(make, url.hostname or "", url.port or 80))[1] for _ in range(count)]


# ── as fast as the server answers ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answered:
    """What calling as fast as the server answers came to."""

    seconds: float
    latencies: list[float]  # in s

    @property
    def rate(self) -> float:
        """Answers/s."""
        return len(self.latencies) / self.seconds


def for_seconds(requests: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    """The requests over and over, until so long after the first was asked for."""
    until = time.perf_counter() + seconds
    for request in cycle(requests):
        if time.perf_counter() > until:
            return
        yield request


async def call(address: str, requests: Iterator[bytes], connections: int) -> Answered:
    """Make every request once, the next one on a connection as soon as it has the answer to the last."""
    latencies: list[float] = []

    def go_on(line: Line) -> None:
        request = next(requests, None)
        if request is None:
            line.hang_up()
        else:
            line.call(request, time.perf_counter())

    begin = time.perf_counter()
    lines = await _connect(address, connections, lambda: Line(latencies, go_on))
    await asyncio.gather(*(line.ended for line in lines))
    return Answered(time.perf_counter() - begin, latencies)


# ── at a fixed rate ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Paced:
    """What calling at a fixed rate came to, in s. Latencies count from when a request was due, sent then or not."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)  # of our own clock: how long after it was due we looked

    @property
    def rate(self) -> float:
        """Answers/s."""
        return len(self.latencies) / self.seconds


async def call_at(address: str, requests: Sequence[bytes], connections: int, *, rate: float, begin: float) -> Paced:
    """Make request n at ``begin + n / rate``, in the time of ``perf_counter``, however slow the answers are.

    A request that finds no connection free waits for one, and its waiting is part of its latency: a server that stops
    for a second is charged for all that came in that second, not for one request of each connection.
    """
    latencies: list[float] = []
    lateness: list[float] = []
    free: deque[Line] = deque()
    waiting: deque[tuple[bytes, float]] = deque()

    def go_on(line: Line) -> None:
        if waiting:
            line.call(*waiting.popleft())
        else:
            free.append(line)

    lines = await _connect(address, connections, lambda: Line(latencies, go_on))
    for n, request in enumerate(requests):
        due = begin + n / rate
        while (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        lateness.append(-wait)
        if free:
            free.popleft().call(request, due)
        else:
            waiting.append((request, due))
            if n % connections == 0:  # when we are behind nothing above waits, and answers must be read all the same
                await asyncio.sleep(0)
    while len(latencies) < len(requests) and not any(line.ended.done() for line in lines):
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - begin
    for line in lines:
        line.hang_up()
    await asyncio.gather(*(line.ended for line in lines))
    if len(latencies) < len(requests):
        raise RuntimeError(f"{len(requests) - len(latencies)} requests were not answered: the server hung up")
    return Paced(seconds, latencies, lateness)
