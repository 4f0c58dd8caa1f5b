"""A client that costs little: prepared requests over keep-alive connections, one in flight on each."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from tests.bench.importing import signed

ANSWER_OK = b"HTTP/1.1 200"


def prepared(bodies: Sequence[bytes]) -> list[bytes]:
    """Whole signed requests, ready to be written."""
    requests = []
    for body in bodies:
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **signed(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        requests.append(f"POST /webhook HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return requests


class Caller(asyncio.Protocol):
    """One connection: writes a request, waits for its 200, writes the next, until told to stop."""

    def __init__(self, requests: Sequence[bytes], first: int, latencies: list[float]) -> None:
        self._requests, self._next, self._latencies = requests, first, latencies
        self.is_stopping = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._call()

    def data_received(self, data: bytes) -> None:
        """The answers are small and arrive whole."""
        if not data.startswith(ANSWER_OK):
            self.done.set_exception(RuntimeError(f"not 200: {data[:60]!r}"))
            self._transport.close()
            return
        self._latencies.append(time.perf_counter() - self._begin)
        if self.is_stopping:
            self._transport.close()
        else:
            self._call()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        if not self.done.done():
            self.done.set_exception(exc) if exc else self.done.set_result(None)

    def _call(self) -> None:
        self._begin = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


async def call_for(
    address: str, requests: Sequence[bytes], connections: int, seconds: float
) -> tuple[float, list[float]]:
    """Call as fast as the server answers. Returns (answers/s, latencies in s)."""
    url = urlsplit(address)
    latencies: list[float] = []
    callers = [Caller(requests, n * 7919, latencies) for n in range(connections)]
    begin = time.perf_counter()
    for caller in callers:
        await asyncio.get_running_loop().create_connection(partial(_same, caller), url.hostname or "", url.port or 80)
    await asyncio.sleep(seconds)
    for caller in callers:
        caller.is_stopping = True
    await asyncio.gather(*(caller.done for caller in callers))
    return len(latencies) / (time.perf_counter() - begin), latencies


def _same(caller: Caller) -> Caller:
    return caller
