"""A loop that is told to stop stops, also when it is woken in that very moment: else a worker would never end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest

from coexist.base.database import Pool
from coexist.coexistence import worker as syncing
from coexist.inbox.switches import EVERYTHING
from coexist.intake import worker as applying
from coexist.meta.graph import Graph
from coexist.outbound import worker as sending
from tests.support.intake import KEYRING
from tests.support.scripted_graph import scripted_graph
from tests.support.waiting import PATIENCE_S

Loop = Callable[[Pool, Graph, asyncio.Event], Coroutine[Any, Any, None]]

LOOPS: Final[dict[str, Loop]] = {
    "applying": lambda pool, _, wake: applying.run(pool, KEYRING, applying.LIVE_LANE, wake=wake),
    "sending": lambda pool, graph, wake: sending.run(pool, graph, KEYRING, sends_per_second=10, wake=wake),
    "syncing": lambda pool, graph, wake: syncing.run(pool, graph, KEYRING, installation=EVERYTHING, wake=wake),
}


@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_that_is_woken_and_told_to_stop_at_once_stops(pool: Pool, name: str) -> None:
    async with scripted_graph() as (_, graph):
        for _ in range(20):
            wake = asyncio.Event()
            loop = asyncio.create_task(LOOPS[name](pool, graph, wake))
            await asyncio.sleep(0.05)  # it has looked, and waits
            wake.set()
            loop.cancel()
            done, _ = await asyncio.wait({loop}, timeout=PATIENCE_S)
            assert done, "it goes on for ever"
