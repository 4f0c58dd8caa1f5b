"""`ack`: how many signed webhooks a second are durable and answered, beside a raw ASGI no-op.

The two take turns, several rounds, so that a machine whose speed drifts is the same for both. No worker applies
meanwhile: `live` measures the whole way.
"""

import statistics
from collections.abc import Sequence
from typing import Final

from coexist.base import database
from tests.bench import client, machine
from tests.bench.machine import Server
from tests.bench.results import Result, Target, milliseconds
from tests.bench.usage import Spent
from tests.support import intake, wire

ROUNDS_COUNT: Final = 3
BODIES_COUNT: Final = 1_000
PEOPLE: Final = range(400)
PER_SECOND_COUNT: Final = 1_000
"""Messages of one second by Meta's clock: people write one after the other."""


def wamid(n: int) -> str:
    """The id of live message ``n``."""
    return f"wamid.HBgNNTUxMTk4NTUwMDEwMRUCABIYFDNB{n:012X}"


def webhooks(count: int, *, first: int = 0, people: Sequence[int] = PEOPLE) -> list[bytes]:
    """Single-message deliveries of about 0.65 KB: messages ``first`` and following, of these people in turn."""
    return [
        intake.body_of(
            wire.message(
                wamid(n),
                n // PER_SECOND_COUNT,
                wire.text("Bom dia! Queria saber se ainda tem a jiboia grande da foto, obrigada"),
                phone=f"55119{80_000_000 + person}",
                bsuid=f"BR.{10**15 + person}",
                name=f"Cliente {person}",
            )
        )
        for n in range(first, first + count)
        for person in (people[n % len(people)],)
    ]


async def run(server: Server, *, seconds: float = 10, connections: int = 128) -> Result:
    """Measure both and report deliveries/s."""
    requests = client.prepared(webhooks(BODIES_COUNT))
    rates, limits, latencies = [], [], []
    spent = Spent()
    async with (
        machine.connected(server) as ours,
        machine.product(ours, workers=0) as running,
        machine.bare("noop") as noop,
        await database.connect(ours, application="bench") as conn,
    ):
        for _ in range(ROUNDS_COUNT):
            with spent:
                done = await client.call(running.address, client.for_seconds(requests, seconds), connections)
            rates.append(done.rate)
            latencies += done.latencies
            limits.append((await client.call(noop, client.for_seconds(requests, seconds), connections)).rate)
        journaled = await machine.count(conn, "SELECT count(*) FROM journal")
        assert journaled == len(latencies), (journaled, len(latencies))
    ratio = statistics.median(rate / limit for rate, limit in zip(rates, limits, strict=True))
    return Result(
        "ack",
        statistics.median(rates),
        "deliveries/s",
        statistics.median(limits),
        "an ASGI app that answers 200 and does nothing",
        ratio,
        targets={"ratio": Target(ratio, at_least=0.6)},
        spent=spent,
        sizes={"seconds": seconds * ROUNDS_COUNT, "connections": connections, "body_bytes": len(webhooks(1)[0])},
        machine=server.facts,
        further={"p50_ms": milliseconds(latencies, 0.5), "p99_ms": milliseconds(latencies, 0.99)},
    )
