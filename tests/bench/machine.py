"""What a figure needs beside it: a server on a real disk, our processes, and a line that says on what it was taken."""

import asyncio
import json
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from coexist.base import database, postgres
from tests.support import databases, intake

SECRET: Final = "bench-secret"
START_WAIT_S: Final = 60.0


@dataclass(frozen=True)
class Running:
    """The product under test: its database, its address, and the process ids of what was started."""

    database_url: str
    address: str
    pids: list[int]


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, str]]:
    """(URL, template name) of a PostgreSQL on disk, fsync and synchronous_commit on, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="coexist-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    try:
        async with postgres.running(folder) as url:
            yield url, await asyncio.to_thread(databases.template, url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def product(database_url: str, *, workers: int) -> AsyncIterator[Running]:
    """`serve` (which keeps one worker) and further workers; with ``workers`` 0 what answers HTTP, alone."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening, tempfile.TemporaryDirectory() as folder:
        port, descriptor = listening.getsockname()[1], listening.fileno()
        environment = os.environ | {
            "COEXIST_DATABASE_URL": database_url,
            "COEXIST_DATA_DIR": folder,
            "COEXIST_PORT": str(port),
            "COEXIST_APP_SECRET": SECRET,
            "COEXIST_VERIFY_TOKEN": "bench-verify",
            "COEXIST_GRAPH_URL": "http://127.0.0.1:9",
            "COEXIST_LOG_LEVEL": "warning",
        }
        if workers:
            listening.close()
            commands = [("coexist", "serve"), *[("coexist", "work")] * (workers - 1)]
        else:
            commands = [("coexist.app", str(descriptor))]
        children = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", *command, env=environment, pass_fds=() if workers else (descriptor,)
            )
            for command in commands
        ]
        address = f"http://127.0.0.1:{port}"
        try:
            await _until_ready(address)
            yield Running(database_url, address, [child.pid for child in children])
        finally:
            for child in children:
                child.send_signal(signal.SIGTERM)
            await asyncio.gather(*(child.wait() for child in children))


async def _until_ready(address: str) -> None:
    deadline = time.monotonic() + START_WAIT_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(address + "/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise RuntimeError(f"{address} was not ready within {START_WAIT_S} s")


@asynccontextmanager
async def connected(server_url: str, template_name: str) -> AsyncIterator[str]:
    """A fresh database with the tests' numbers connected."""
    async with databases.clone(server_url, template_name) as url:
        async with database.open_pool(url) as pool, database.transaction(pool) as conn:
            await intake.connect(conn, intake.SHOP, intake.BRANCH)
        yield url


async def count(conn: database.Connection, query: str, *given: Any) -> int:
    """The one number a query answers."""
    row = await (await conn.execute(query, given)).fetchone()
    assert row is not None
    return int(row[0])


def report(name: str, figure: float, limit: float, ratio: float, target: float, **more: Any) -> None:
    """Print one JSON line: the figure, the limit it was taken beside, their ratio, and the machine."""
    line = {
        "bench": name,
        "figure": round(figure, 1),
        "limit": round(limit, 1),
        "ratio": round(ratio, 3),
        "target": target,
        **more,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
