"""The machine under test: a folder, two disks, a clock, PostgreSQL, the lines to it and to Graph, and `coexist serve`.

Who starts what again, as in production: ``serve`` its own processes, the product's PostgreSQL supervisor the database,
and the unit here (in the place of systemd) ``serve``. Nothing is started by hand.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import psycopg

from coexist.base import postgres
from simulator.config import Pace
from simulator.simulation import Simulation
from tests.faults import clocks, disks, proxy, unit
from tests.faults.clocks import Clock
from tests.faults.proxy import Proxy
from tests.faults.unit import Unit
from tests.flows.shop import Shop
from tests.support.ports import free_port
from tests.support.product import Product, environment, phone_for
from tests.support.waiting import PATIENCE_S

MEDIA_FOLDER: Final = "media"
FOLDER_PREFIX: Final = "coexist-faults-"
ORPHANS_WAIT_S: Final = 25.0
"""How long processes whose parent was killed may take to end by themselves: what they are doing is finished first."""
GRAPH_DELAY_S: Final = 0.15
"""Graph's answers take this long, so that a kill can come in the middle of a call."""


@dataclass
class Machine:
    """What faults are done to."""

    folder: Path
    unit: Unit
    database: Proxy
    graph: Proxy
    clock: Clock | None
    has_disks: bool
    shop: Shop
    meta: Simulation
    _sockets: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return postgres.places(self.database_disk).cluster

    @property
    def database_disk(self) -> Path:
        return self.folder / "database"

    @property
    def media_disk(self) -> Path:
        return self.folder / "data" / MEDIA_FOLDER

    async def connect(self, user: str = "postgres") -> psycopg.AsyncConnection[Any]:
        """A connection past the proxy, which is ours and not the product's."""
        return await psycopg.AsyncConnection.connect(
            host=str(self._sockets), user=user, dbname="coexist", autocommit=True, connect_timeout=5
        )

    async def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection of its own. OperationalError while there is no database."""
        async with await self.connect() as conn:
            cursor = await conn.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def patiently(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The same, waiting for a database that is just being started again."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(psycopg.OperationalError):
                    return await self.ask(query, *values)
                await asyncio.sleep(0.1)

    def postmaster(self) -> int | None:
        """The process id of PostgreSQL's first process, None between two."""
        with suppress(OSError, ValueError, IndexError):
            return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])
        return None

    def servers(self) -> list[int]:
        """Every process of the database server."""
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                with suppress(OSError):
                    if (place / "cwd").readlink() == self.cluster:
                        found.append(int(place.name))
        return found


@asynccontextmanager
async def machine(*, moves_clock: bool, fills_disks: bool, message_count: int, pace: Pace) -> AsyncIterator[Machine]:
    """A running machine beside the stand-in for Meta; afterwards nothing of it is left, mounts and processes included.

    Raises AssertionError when a process of the product outlives its parent.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder())
        data = folder / "data"
        clock = _clock(folder) if moves_clock else None
        if clock:
            stack.callback(clocks.sweep)
        if fills_disks:
            stack.enter_context(disks.disk(folder / "database"))
            stack.enter_context(disks.disk(data / MEDIA_FOLDER))
        with clocks.inherited(clock.environment() if clock else {}):
            url = await stack.enter_async_context(postgres.running(folder / "database"))
        (sockets,) = parse_qs(urlsplit(url).query)["host"]
        line = await stack.enter_async_context(proxy.in_front_of(Path(sockets) / ".s.PGSQL.5432"))
        product_port = free_port()
        meta, phone = await stack.enter_async_context(phone_for(product_port, message_count=message_count, pace=pace))
        graph = await stack.enter_async_context(proxy.in_front_of(phone.port))
        graph.answer_delay_s = GRAPH_DELAY_S
        variables = environment(
            f"postgresql://coexist@127.0.0.1:{line.port}/coexist", data, product_port, graph.port
        ) | {"COEXIST_WORKERS": "2"}
        variables |= clock.environment() if clock else {}
        stack.push_async_callback(_nobody_left, data)
        kept = await stack.enter_async_context(unit.running(variables, folder / "serve.log"))
        shop = Shop(Product(variables, product_port), phone, folder)
        yield Machine(folder, kept, line, graph, clock, fills_disks, shop, meta, Path(sockets))


def _clock(folder: Path) -> Clock:
    clock = Clock(folder / "clock")
    clock.jump(0)
    return clock


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder whose name tells whose it is; those of runs that were killed are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = re.fullmatch(rf"{FOLDER_PREFIX}(\d+)-\w+", old.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            for disk in (old / "database", old / "data" / MEDIA_FOLDER):
                subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    folder.chmod(0o711)  # PostgreSQL runs as somebody else when we are root
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _nobody_left(data: Path) -> None:
    """Orphans end by themselves; one that does not is killed here, and is a failure."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ORPHANS_WAIT_S):
            while unit.processes_of(data):
                await asyncio.sleep(0.2)
    left = {pid: unit.command_of(pid) for pid in unit.processes_of(data)}
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"{len(left)} processes of the product did not end with it: {', '.join(left.values())}"
