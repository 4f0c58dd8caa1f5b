"""What is measured and where: a server on a real disk, its databases, our processes and the limit's."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from coexist.base import database, postgres
from tests.bench import results, usage
from tests.bench.client import ANSWER_OK, SECRET
from tests.support import databases, intake
from tests.support.ports import free_port

START_WAIT_S: Final = 60.0
POLL_S: Final = 0.02
IDLE_S: Final = 0.5
IDLE_CPU_SHARE: Final = 0.04


@dataclass(frozen=True)
class Server:
    """A PostgreSQL, a migrated database in it to be cloned, and what the machine is."""

    url: str
    template: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Running:
    """The product under test: its database, its address, and the settings its commands need."""

    database_url: str
    address: str
    environment: dict[str, str]


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """A PostgreSQL on disk (BENCH_DIR, else /var/tmp), fsync and synchronous_commit on, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="coexist-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    try:
        async with postgres.running(folder) as url:
            template = await asyncio.to_thread(databases.template, url)
            yield Server(url, template, await results.machine_of(url, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[str]:
    """A fresh database with the tests' numbers connected."""
    async with databases.clone(server.url, server.template) as url:
        async with database.open_pool(url) as pool, database.transaction(pool) as conn:
            await intake.connect(conn, intake.SHOP, intake.BRANCH)
        yield url


@asynccontextmanager
async def copied(server: Server, original_url: str) -> AsyncIterator[str]:
    """A copy of a database that nobody uses meanwhile, file by file: the default way would log every row of it."""
    original, name = urlsplit(original_url).path[1:], f"copy_{uuid.uuid4().hex[:12]}"
    async with await database.connect(server.url, application="bench") as conn:
        await conn.execute(f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
        try:
            yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
        finally:
            await conn.execute(databases.END_SESSIONS, (name,))
            await conn.execute(f"DROP DATABASE {name}")


@asynccontextmanager
async def product(database_url: str, *, workers: int) -> AsyncIterator[Running]:
    """`serve`, with one worker beside it and further ones apart; with ``workers`` 0 what answers HTTP, alone."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")}
        environment = inherited | {
            "COEXIST_DATABASE_URL": database_url,
            "COEXIST_DATA_DIR": folder,
            "COEXIST_PORT": str(port),
            "COEXIST_APP_SECRET": SECRET,
            "COEXIST_VERIFY_TOKEN": "bench-verify",
            "COEXIST_GRAPH_URL": "http://127.0.0.1:9",
            "COEXIST_LOG_LEVEL": "warning",
        }
        serve = ("serve",) if workers else ("serve", "--no-worker")
        async with AsyncExitStack() as stack:
            for command in (serve, *[("work",)] * (workers - 1)):
                child = await stack.enter_async_context(_child("coexist", *command, environment=environment))
                if command is serve:  # the others find its key in the folder
                    await _until_answering(child, port)
            await _until_idle(workers)
            yield Running(database_url, f"http://127.0.0.1:{port}", environment)


@asynccontextmanager
async def bare(module: str) -> AsyncIterator[str]:
    """The address of a limit's own server, a module of this folder."""
    port = free_port()
    async with _child(f"tests.bench.{module}", str(port)) as child:
        await _until_answering(child, port)
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _child(*words: str, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", *words, env=environment)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


async def _until_answering(child: Process, port: int) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = await reader.read(12)
            writer.close()
            if answer == ANSWER_OK:
                return
        assert child.returncode is None, f"it ended at once with {child.returncode}; it said why above"
        await asyncio.sleep(0.05)
    raise RuntimeError(f"port {port} did not answer within {START_WAIT_S} s")


async def _until_idle(workers: int) -> None:
    """Wait until all processes have done what they do at their start, as their CPU time tells."""
    deadline = time.monotonic() + START_WAIT_S
    spent = float("-inf")
    while time.monotonic() < deadline:
        before, now = spent, usage.cpu_seconds()
        spent = now.get("web", 0.0) + now.get("worker", 0.0)
        if spent - before <= IDLE_CPU_SHARE * IDLE_S and len(usage.processes()["worker"]) == workers:
            return
        await asyncio.sleep(IDLE_S)
    raise RuntimeError(f"not {workers} idle workers within {START_WAIT_S} s of the start")


async def run_command(running: Running, *words: str) -> str:
    """Run a command of ours to its end and return what it printed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coexist", *words, env=running.environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, words
    return out.decode()


async def until_queryable(conn: database.Connection) -> None:
    """Wait until everything that was journaled is applied."""
    while await count(conn, "SELECT count(*) FROM (SELECT FROM backlog LIMIT 1) waiting"):
        await asyncio.sleep(POLL_S)


async def count(conn: database.Connection, query: str, *given: Any) -> int:
    """The one number a query answers."""
    row = await (await conn.execute(query, given)).fetchone()
    assert row is not None
    return int(row[0])
