"""Tells open phone pages what changed, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator

from simulator.delivery import Delivery
from simulator.world import (
    App,
    Connection,
    Counters,
    Grant,
    Json,
    MediaHandle,
    Message,
    Person,
    Template,
    Thing,
    Upload,
)

KEEP_ALIVE_S = 15.0
GATHER_S = 0.04
LIMIT = 2_000


class Watchers:
    """Open pages. A page that reads too slowly is told to load afresh."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[tuple[str, Json] | None]] = set()

    def changed(self, thing: Thing | Delivery) -> None:
        """Announce which thing changed; the page asks for what it shows."""
        match thing:
            case Message():
                self.tell("message", {"chat": thing.chat, "wamid": thing.wamid})
            case Person():
                self.tell("chat", {"chat": thing.key})
            case Template():
                self.tell("template", {"template": thing.id})
            case Delivery():
                self.tell("delivery", {"number": thing.number})
            case Connection() | App():
                self.tell("connection", {})
            case Counters() | Grant() | MediaHandle() | Upload():
                pass

    def tell(self, kind: str, data: Json) -> None:
        for queue in list(self._queues):
            if queue.qsize() >= LIMIT:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(("reset", {}))
            queue.put_nowait((kind, data))

    def close(self) -> None:
        for queue in self._queues:
            queue.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Events for one page. Changes that come close together are gathered, each thing once."""
        queue: asyncio.Queue[tuple[str, Json] | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield b"retry: 1000\n\n"
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        first = await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                await asyncio.sleep(GATHER_S)
                gathered = [first]
                while not queue.empty():
                    gathered.append(queue.get_nowait())
                lines = dict.fromkeys(_line(*event) for event in gathered if event)
                yield b"".join(lines)
                if None in gathered:
                    return
        finally:
            self._queues.discard(queue)


def _line(kind: str, data: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
