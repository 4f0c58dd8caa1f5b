"""`live`: single-message webhooks through the whole product, until each can be queried.

First at a fixed rate, open loop, with the time of the answer and the lag until queryable; then as many a second as the
machine can do, beside the same no-op as `ack`, taking turns with it.
"""

import asyncio
import gc
import statistics
import time
from dataclasses import dataclass
from typing import Final

from coexist.base import database
from tests.bench import client, machine
from tests.bench.acknowledging import PEOPLE, ROUNDS_COUNT, wamid, webhooks
from tests.bench.client import Paced
from tests.bench.machine import Running, Server
from tests.bench.results import Result, Target, milliseconds
from tests.bench.usage import Spent
from tests.support import intake

WARM_UP_COUNT: Final = 2_000
PROBES_EVERY: Final = 100
"""Of so many deliveries one is looked for until it can be queried."""

LOOK_EVERY_S: Final = 0.02

LEAD_S: Final = 0.5
"""For connecting, before the first request is due."""

HELD_SHARE: Final = 0.99
"""The last answer comes a little after the last request was due."""

BARE_S: Final = 10.0
PATIENCE_S: Final = 120.0


@dataclass(frozen=True)
class Held:
    """What a fixed rate came to."""

    answers: Paced
    lags: list[float]  # in s, from when a delivery was due until it could be queried, to within LOOK_EVERY_S
    drained_after_s: float  # from the last answer until nothing waited


async def run(
    server: Server,
    *,
    messages: int = 50_000,
    rate: float = 3_300,
    seconds: float = 60,
    connections: int = 128,
    workers: int = 1,
) -> Result:
    """Measure both and report messages/s. ``messages`` are those of one round."""
    paced_count = int(rate * seconds)
    requests = client.prepared(webhooks(WARM_UP_COUNT + paced_count + ROUNDS_COUNT * messages))
    paced = requests[WARM_UP_COUNT:][:paced_count]
    rounds = [requests[WARM_UP_COUNT + paced_count + n * messages :][:messages] for n in range(ROUNDS_COUNT)]
    holding, racing = Spent(), Spent()
    rates, limits = [], []
    async with (
        machine.connected(server) as ours,
        machine.product(ours, workers=workers) as running,
        machine.bare("noop") as noop,
    ):
        await through(running, requests[:WARM_UP_COUNT], connections)
        with holding:
            held = await hold(running, paced, connections, rate=rate, first=WARM_UP_COUNT)
        begin = time.perf_counter() + LEAD_S
        bare = await client.call_at(noop, paced[: int(rate * BARE_S)], connections, rate=rate, begin=begin)
        for given in rounds:
            with racing:
                rates.append(messages / await through(running, given, connections))
            limits.append((await client.call(noop, iter(given), connections)).rate)
    ratio = statistics.median(rate / limit for rate, limit in zip(rates, limits, strict=True))
    latencies = held.answers.latencies
    return Result(
        "live",
        statistics.median(rates),
        "messages/s",
        statistics.median(limits),
        "an ASGI app that answers 200 and does nothing",
        ratio,
        targets={
            "ratio": Target(ratio, at_least=0.3),
            f"webhooks/s held for {seconds:g} s": Target(held.answers.rate, at_least=round(rate * HELD_SHARE)),
            "p50 of the answer, ms": Target(milliseconds(latencies, 0.5), at_most=10),
            "p99 of the answer, ms": Target(milliseconds(latencies, 0.99), at_most=50),
        },
        spent=racing,
        sizes={"messages": messages * ROUNDS_COUNT, "rate": rate, "seconds": seconds, "connections": connections,
               "workers": workers, "people": len(PEOPLE)},
        machine=server.facts,
        further=_further(held, bare, holding),
    )  # fmt: skip


def _further(held: Held, bare: Paced, holding: Spent) -> dict[str, float]:
    return {
        "max_ms": max(held.answers.latencies) * 1000,
        "lag_p50_ms": milliseconds(held.lags, 0.5),
        "lag_p99_ms": milliseconds(held.lags, 0.99),
        "drained_after_ms": held.drained_after_s * 1000,
        "limit_p50_ms": milliseconds(bare.latencies, 0.5),
        "limit_p99_ms": milliseconds(bare.latencies, 0.99),
        "client_late_p50_ms": milliseconds(held.answers.lateness, 0.5),
        "client_late_p99_ms": milliseconds(held.answers.lateness, 0.99),
        **{f"held_{kind}_cpu_s": spent for kind, spent in sorted(holding.cpu_seconds.items()) if kind != "bare"},
    }


async def through(running: Running, requests: list[bytes], connections: int) -> float:
    """Post each as fast as it is answered; return the seconds until all can be queried."""
    async with await database.connect(running.database_url, application="bench") as conn:
        there = await machine.count(conn, "SELECT count(*) FROM messages")
        begin = time.perf_counter()
        await client.call(running.address, iter(requests), connections)
        await machine.until_queryable(conn)
        seconds = time.perf_counter() - begin
        assert await machine.count(conn, "SELECT count(*) FROM messages") == there + len(requests)
        return seconds


async def hold(running: Running, requests: list[bytes], connections: int, *, rate: float, first: int) -> Held:
    """Post at a fixed rate; the first request carries live message ``first``."""
    gc.collect()
    gc.freeze()  # else our own collections, over all that was prepared, would be the slowest answers
    async with await database.connect(running.database_url, application="bench") as conn:
        begin = time.perf_counter() + LEAD_S
        probes = {wamid(first + n): begin + n / rate for n in range(0, len(requests), PROBES_EVERY)}
        looking = asyncio.create_task(_lags(conn, probes))
        answers = await client.call_at(running.address, requests, connections, rate=rate, begin=begin)
        ended = time.perf_counter()
        lags = await looking
        await machine.until_queryable(conn)
        return Held(answers, lags, time.perf_counter() - ended)


QUERYABLE: Final = """
SELECT wamid FROM messages
 WHERE inbox_id = (SELECT id FROM inboxes WHERE phone_number_id = %s) AND wamid = ANY(%s)
"""


async def _lags(conn: database.Connection, probes: dict[str, float]) -> list[float]:
    """How long after it was due each of these messages could be queried, in s."""
    lags = []
    missing = dict(probes)
    while missing:
        now = time.perf_counter()
        due = [name for name, at in missing.items() if at <= now]
        if due:
            assert now - missing[due[0]] < PATIENCE_S, f"{due[0]} cannot be queried"
            found = await (await conn.execute(QUERYABLE, (intake.SHOP.phone_number_id, due))).fetchall()
            now = time.perf_counter()
            lags += [now - missing.pop(name) for (name,) in found]
        await asyncio.sleep(LOOK_EVERY_S)
    return lags
