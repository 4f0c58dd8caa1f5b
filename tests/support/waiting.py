"""Waiting: for what holds in the end, however slow the machine is, and for no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from coexist.base import loops

PATIENCE_S: Final = 240.0
"""After so long something will not come any more: many times what it takes on a busy machine. It times nothing."""
PATIENCE_MS: Final = 120_000
"""The same for one step in a browser, of which a test has many."""


async def until(holds: Callable[[], Any], what: str, *, seconds: float = PATIENCE_S, pause_s: float = 0.05) -> Any:
    """Wait until ``holds()`` (awaited) is true, and return its value."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        value = await holds()
        if value:
            return value
        await asyncio.sleep(pause_s)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@asynccontextmanager
async def looping(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Loops of a worker run inside the block and are ended after it, also when a cancellation was lost (gh-86296).

    One that fails ends the block at once, with its error.
    """
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each) for each in work]
        try:
            yield
        finally:
            await loops.end(running)
