"""`ack`: how many signed webhooks a second are durable and answered, beside a raw ASGI no-op.

The two take turns, several rounds, so that a machine whose speed drifts is the same for both. No worker applies
meanwhile: `live` measures the whole way.
"""

import asyncio
import socket
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from coexist.base import database
from tests.bench import client, machine
from tests.support import intake, wire

ROUNDS_COUNT: Final = 3
BODIES_COUNT: Final = 1_000


def webhooks(count: int) -> list[bytes]:
    """Single-message deliveries of about 0.65 KB, from different people."""
    return [
        intake.body_of(
            wire.message(
                f"wamid.HBgNNTUxMTk4NTUwMDEwMRUCABIYFDNB{n:012X}",
                n % 5000,
                wire.text("Bom dia! Queria saber se ainda tem a jiboia grande da foto, obrigada"),
                phone=f"55119{80_000_000 + n % 400}",
                bsuid=f"BR.{10**15 + n % 400}",
                name=f"Cliente {n % 400}",
            )
        )
        for n in range(count)
    ]


async def run(seconds: float, connections: int) -> None:
    """Measure both and report deliveries/s."""
    requests = client.prepared(webhooks(BODIES_COUNT))
    rates, limits, latencies = [], [], []
    async with (
        machine.server() as (url, template),
        machine.connected(url, template) as ours,
        machine.product(ours, workers=0) as running,
        _noop() as limit,
        await database.connect(ours, application="bench") as conn,
    ):
        for _ in range(ROUNDS_COUNT):
            rate, times = await client.call_for(running.address, requests, connections, seconds)
            rates.append(rate)
            latencies += times
            limits.append((await client.call_for(limit, requests, connections, seconds))[0])
        journaled = await machine.count(conn, "SELECT count(*) FROM journal")
        assert journaled == len(latencies), (journaled, len(latencies))
    machine.report(
        "ack",
        statistics.median(rates),
        statistics.median(limits),
        statistics.median(rate / limit for rate, limit in zip(rates, limits, strict=True)),
        0.6,
        unit="deliveries/s",
        connections=connections,
        body_bytes=round(statistics.mean(map(len, webhooks(10)))),
        p50_ms=round(machine.percentile(latencies, 0.5) * 1000, 2),
        p99_ms=round(machine.percentile(latencies, 0.99) * 1000, 2),
    )


@asynccontextmanager
async def _noop() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.noop", str(port))
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        await child.wait()
