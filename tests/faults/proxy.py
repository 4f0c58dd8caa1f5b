"""A line that we can hold: TCP in, PostgreSQL's socket or Graph's port behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port

PIECE_BYTES = 64 * 1024
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """Passes bytes on, both ways, unless told otherwise. It listens on 127.0.0.1 at a port of its own."""

    target: Path | int
    """A Unix socket, or a port of 127.0.0.1."""
    port: int = field(default_factory=free_port)
    answer_delay_s: float = 0.0
    """How long each piece of an answer takes longer."""
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _swallows: bool = False
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        """Take connections, from now on or again."""
        self._flows.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def refuse(self) -> None:
        """Nobody is at the port any more, and whoever was connected is cut off."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at once, with a reset, wherever it is."""
        for writer in list(self._writers):
            writer.transport.abort()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Connections are taken and nothing moves, in neither direction; afterwards everything goes on."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        """What is asked arrives and is done; no answer comes back, and in the end every connection is cut."""
        self._swallows = True
        try:
            yield
        finally:
            self.cut()
            self._swallows = False

    async def close(self) -> None:
        """Stop for good."""
        await self.refuse()
        self._flows.set()
        while self._tasks:
            self.cut()
            await asyncio.wait(set(self._tasks), timeout=0.1)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            far_reader, far = await self._reach()
            self._writers.add(far)
            ways = (self._pump(reader, far), self._pump(far_reader, writer, answers=True))
            async with asyncio.TaskGroup() as both:
                for way in ways:
                    both.create_task(way)
        except* OSError:
            pass  # either side is gone, and then so is the other
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()
                    self._writers.discard(end)
            self._tasks.discard(task)

    async def _reach(self) -> Ends:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(str(self.target))
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while piece := await reader.read(PIECE_BYTES):
            if answers and self.answer_delay_s:
                await asyncio.sleep(self.answer_delay_s)
            await self._flows.wait()
            if not (answers and self._swallows):
                writer.write(piece)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof()
            await writer.drain()


@asynccontextmanager
async def in_front_of(target: Path | int) -> AsyncIterator[Proxy]:
    """A proxy inside the block."""
    proxy = Proxy(target)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
