"""TCP forwarders in the test's own process: a load balancer, and a cable that can be cut where nothing else can."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

CONNECT_S: Final = 1.0
"""How long the balancer gives a host to take a connection before it asks the other."""
SILENT_S: Final = 3.0
"""How long a host may leave what was sent to it unacknowledged before its connections are dropped."""
BLOCK_BYTES: Final = 256 * 1024

Address = tuple[str, int]
_TCP_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", 18)


@dataclass
class Cable:
    """What comes to ``address`` goes to the first of ``choose()`` that takes it. Cut, it is silent to whoever calls."""

    choose: Callable[[], Sequence[Address]]
    address: Address = ("", 0)
    is_cut: bool = False
    _far_ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _plugged: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """The far end loses its connections at once; the near end hears nothing, neither then nor when it calls."""
        self.is_cut = True
        self._plugged.clear()
        for writer in self._far_ends:
            writer.transport.abort()

    def mend(self) -> None:
        """Forward again; what was open before is gone."""
        self.is_cut = False
        self._plugged.set()

    async def serve(self, near: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Forward one connection until either end closes it."""
        reader, writer = near
        try:
            far = None if self.is_cut else await _first(self.choose())
            if far is not None:
                self._far_ends.add(far[1])
                done = [asyncio.create_task(_pipe(reader, far[1])), asyncio.create_task(_pipe(far[0], writer))]
                try:
                    await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.wait(done, timeout=0.2)
                finally:
                    for task in done:
                        task.cancel()
                    self._far_ends.discard(far[1])
                    far[1].transport.abort()
            if self.is_cut:
                await self._plugged.wait()
        finally:
            writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What asyncio calls for each new connection."""
        task = asyncio.get_running_loop().create_task(self.serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _first(addresses: Sequence[Address]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for host, port in addresses:
        with suppress(OSError, TimeoutError):
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_S)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(SILENT_S * 1000))
            return reader, writer
    return None


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()


@asynccontextmanager
async def laid(choose: Callable[[], Sequence[Address]], host: str = "127.0.0.1") -> AsyncIterator[Cable]:
    """A cable on a free port of ``host`` for as long as the block lasts."""
    cable = Cable(choose)
    server = await asyncio.start_server(cable.accept, host, 0)
    cable.address = server.sockets[0].getsockname()
    try:
        yield cable
    finally:
        server.close()
        await cable.close()


def in_turn(addresses: Sequence[Address]) -> Callable[[], Sequence[Address]]:
    """Every address, beginning with another one each time: each connection goes to the next host that takes it."""
    turn = count()

    def choose() -> Sequence[Address]:
        first = next(turn) % len(addresses)
        return [*addresses[first:], *addresses[:first]]

    return choose
