"""`memory`: the resident size of the web process and the worker, idle and at its highest while a history comes in.

Idle is after a page was shown and a delivery applied, so that what is loaded late is loaded. The limit is the resident
size of a server of the same kind that does nothing.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from coexist.base import database
from tests.bench import importing, machine, usage
from tests.bench.acknowledging import webhooks
from tests.bench.client import signed
from tests.bench.machine import Running, Server
from tests.bench.results import Result, Target
from tests.bench.usage import Memory, Spent

KINDS: Final = ("web", "worker")
SETTLE_S: Final = 2.0
LOOK_EVERY_S: Final = 0.25
IDLE_MB: Final = 120
IMPORTING_MB: Final = 250


@dataclass
class Highest:
    """The largest process of each kind, in MB."""

    rss_mb: dict[str, float] = field(default_factory=dict)
    pss_mb: dict[str, float] = field(default_factory=dict)

    def see(self, kind: str, found: Iterable[Memory]) -> None:
        """Keep what is higher than before."""
        for one in found:
            self.rss_mb[kind] = max(self.rss_mb.get(kind, 0), one.rss_mb)
            self.pss_mb[kind] = max(self.pss_mb.get(kind, 0), one.pss_mb)


async def run(server: Server, *, messages: int = 500_000, threads: int = 20_000, workers: int = 2) -> Result:
    """Measure and report the largest resident size in MB."""
    bodies = list(importing.chunks(messages, range(threads)))
    spent, idle, importing_ = Spent(), Highest(), Highest()
    async with machine.connected(server) as ours:
        async with machine.product(ours, workers=workers) as running:
            await _wake(running)
            await asyncio.sleep(SETTLE_S)
            _look(idle)
            pids = [pid for kind in KINDS for pid in usage.processes()[kind]]
            for pid in pids:
                usage.reset_peak(pid)
            looking = asyncio.create_task(_keep_looking(importing_))
            await importing.through(running, bodies, messages, spent)
            looking.cancel()
            for kind in KINDS:
                peaks = [usage.peak_rss_mb(pid) for pid in usage.processes()[kind]]
                importing_.rss_mb[kind] = max(importing_.rss_mb[kind], *peaks)
            assert {pid for kind in KINDS for pid in usage.processes()[kind]} == set(pids), "a process was replaced"
        async with machine.bare("noop"):
            limit = max(usage.memory(pid).rss_mb for pid in usage.processes()["bare"])
    largest = max(importing_.rss_mb.values())
    return Result(
        "memory",
        largest,
        "MB, the largest process while importing",
        limit,
        "a server of the same kind that does nothing",
        limit / largest,
        targets={
            **{f"{kind}, idle, MB": Target(idle.rss_mb[kind], at_most=IDLE_MB) for kind in KINDS},
            **{f"{kind}, importing, MB": Target(importing_.rss_mb[kind], at_most=IMPORTING_MB) for kind in KINDS},
        },
        spent=spent,
        sizes={"messages": messages, "threads": threads, "workers": workers},
        machine=server.facts,
        further={
            **{f"{kind}_idle_pss_mb": idle.pss_mb[kind] for kind in KINDS},
            **{f"{kind}_importing_pss_mb": importing_.pss_mb[kind] for kind in KINDS},
        },
    )


async def _wake(running: Running) -> None:
    """Show a page and apply a delivery."""
    (body,) = webhooks(1)
    async with aiohttp.ClientSession() as session:
        async with session.get(running.address) as response:
            assert response.status == 200, response.status
        async with session.post(f"{running.address}/webhook", data=body, headers=signed(body)) as response:
            assert response.status == 200, response.status
    async with await database.connect(running.database_url, application="bench") as conn:
        await machine.until_queryable(conn)


def _look(highest: Highest) -> None:
    found = usage.processes()
    for kind in KINDS:
        highest.see(kind, map(usage.memory, found[kind]))


async def _keep_looking(highest: Highest) -> None:
    while True:
        _look(highest)
        await asyncio.sleep(LOOK_EVERY_S)
