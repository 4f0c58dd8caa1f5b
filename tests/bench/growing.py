"""`growth`: what a message costs on a large database, beside what it costs on a small one.

Cost is the time of a message, imported or live, divided by the time in which raw COPY puts the same row into a copy of
the same database: a larger index costs everybody. What is ours is how that quotient grows.
"""

import random
import sys
from dataclasses import asdict, dataclass
from typing import Final

from tests.bench import client, importing, living, machine, multiplying
from tests.bench.acknowledging import webhooks
from tests.bench.machine import Server
from tests.bench.results import Result, Target
from tests.bench.usage import Spent

THREAD_MESSAGES_COUNT: Final = 25
SPACING: Final = 16
"""Those whose history is imported later have numbers between those who are there, as it is with real ones."""

CONNECTIONS_COUNT: Final = 128


@dataclass(frozen=True)
class Cost:
    """Time of a message divided by COPY's; that time, and the CPU time of our processes and PostgreSQL's, in µs."""

    quotient: float
    us: float
    cpu_us: float


async def run(
    server: Server,
    *,
    messages: int = 10_000_000,
    base: int = 100_000,
    imported: int = 100_000,
    delivered: int = 30_000,
    workers: int = 2,
) -> Result:
    """Fill to ``base`` and to ``messages``, and at each import and deliver so many more."""
    threads, times = base // THREAD_MESSAGES_COUNT, messages // base
    assert imported <= base * (SPACING - 1), "there are not enough numbers in between"
    async with machine.connected(server) as filled:
        people = range(0, threads * SPACING, SPACING)
        async with machine.product(filled, workers=workers) as running:
            await importing.through(running, list(importing.chunks(base, people)), base, Spent())
        small, _ = await _costs(server, filled, people, imported, delivered, workers)
        await multiplying.multiply(filled, times, people=threads * SPACING, say=_say)
        people = range(0, times * threads * SPACING, SPACING)
        large, spent = await _costs(server, filled, people, imported, delivered, workers)
    growth = {name: large[name].quotient / small[name].quotient for name in large}
    worst = max(growth, key=lambda name: growth[name])
    return Result(
        "growth",
        large[worst].quotient,
        f"times COPY's cost, {worst}",
        small[worst].quotient,
        f"the same at {base:,} messages",
        growth[worst],
        targets={f"growth of the cost, {name}": Target(value, at_most=1.3) for name, value in growth.items()},
        spent=spent,
        sizes={"messages": times * base, "base": base, "imported": imported, "delivered": delivered,
               "workers": workers},
        machine=server.facts,
        further={
            f"{name}_{size}_{figure}": value
            for size, costs in (("small", small), ("large", large))
            for name, cost in costs.items()
            for figure, value in asdict(cost).items()
        },
    )  # fmt: skip


async def _costs(
    server: Server, filled: str, people: range, imported: int, delivered: int, workers: int
) -> tuple[dict[str, Cost], Spent]:
    """What an imported message of new people and a live message of ``people`` cost on a copy of ``filled``."""
    chance = random.Random(11)
    between = (person for person in range(people.start, people.stop) if person % SPACING)
    strangers = chance.sample(list(between), imported // THREAD_MESSAGES_COUNT)
    history = list(importing.chunks(imported, strangers, phase=1))
    live = client.prepared(webhooks(delivered, people=[chance.choice(people) for _ in range(delivered)]))
    begin = await importing.newest_ids(filled)
    importing_, living_ = Spent(), Spent()
    async with machine.copied(server, filled) as ours:
        async with machine.product(ours, workers=workers) as running:
            import_s = await importing.through(running, history, imported, importing_)
            middle = await importing.newest_ids(ours)
            with living_:
                live_s = await living.through(running, live, CONNECTIONS_COUNT)
        history_rows = await importing.rows_after(ours, begin, middle)
        live_rows = await importing.rows_after(ours, middle)
    async with machine.copied(server, filled) as bare:
        import_limit_s = await importing.copy(history_rows, bare)
        live_limit_s = await importing.copy(live_rows, bare)
    costs = {
        "import": Cost(import_s / import_limit_s, import_s / imported * 1e6, _ours_us(importing_) / imported),
        "live": Cost(live_s / live_limit_s, live_s / delivered * 1e6, _ours_us(living_) / delivered),
    }
    return costs, importing_ + living_


def _ours_us(spent: Spent) -> float:
    return sum(spent.cpu_seconds[kind] for kind in ("web", "worker", "postgres")) * 1e6


def _say(said: str) -> None:
    sys.stderr.write(f"growth: {said}\n")
