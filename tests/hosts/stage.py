"""Two hosts of the product over one PostgreSQL, a load balancer in front of them, and the phone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import psycopg

from simulator import Config, create_app
from tests.flows.shop import LIVELY, Shop
from tests.hosts.cables import Address, Cable, in_turn, laid
from tests.hosts.cluster import open_cluster
from tests.hosts.network import DATABASE, HOSTS, Namespaces
from tests.support.ports import free_port
from tests.support.product import APP_ID, APP_SECRET, VERIFY_TOKEN, Phone, Product
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import until

WEB_PORT: Final = 8400
DATABASE_PORT: Final = 5432
STOP_WAIT_S: Final = 8.0


class Network(Protocol):
    """Where hosts are, and what can happen to them."""

    def command(self, host: str, *words: str) -> list[str]:
        """The command line that runs ``words`` on a host."""

    def vanish(self, host: str) -> None:
        """Not one packet more of that host, and nobody is told."""

    def come_back(self, host: str) -> None:
        """It is there again, as it was."""


@dataclass
class Loopback:
    """Two sets of processes on one machine: each one's way to the database and to Meta can be cut.

    The cut ends the sessions at the server at once. How long a server takes to notice by itself that a host is
    gone, only a network shows that loses packets.
    """

    cables: Mapping[str, tuple[Cable, Cable]]

    def command(self, host: str, *words: str) -> list[str]:
        """The same machine for every host."""
        return list(words)

    def vanish(self, host: str) -> None:
        """No way to the database or to Meta any more."""
        for cable in self.cables[host]:
            cable.cut()

    def come_back(self, host: str) -> None:
        """Both ways are open again."""
        for cable in self.cables[host]:
            cable.mend()


@dataclass(frozen=True)
class Place:
    """How a host reaches the others, and where it listens: what its settings name."""

    database_url: str
    graph_url: str
    web: Address

    @property
    def url(self) -> str:
        """The host's own pages, past the load balancer."""
        return "http://{}:{}".format(*self.web)


@dataclass
class Stage:
    """What a test of several hosts plays on."""

    network: Network
    shop: Shop
    places: Mapping[str, Place]
    conn: psycopg.AsyncConnection[Any]
    """To look into the tables, past the product."""
    running: dict[str, list[asyncio.subprocess.Process]] = field(default_factory=dict)

    async def start(self, *hosts: str) -> None:
        """Start one web process and one worker on each of these hosts, all at once; wait until they are ready."""
        for host in hosts:
            self.running[host] = [await self._start(host, *words) for words in (("serve", "--no-worker"), ("work",))]
        for host in hosts:
            await self.until_ready(host)

    async def until_ready(self, host: str) -> None:
        """Wait until a host answers, and its worker works."""

        async def is_ready() -> bool:
            return await self._is_ready(host)

        await until(is_ready, f"host {host} is ready")

    async def _start(self, host: str, *words: str) -> asyncio.subprocess.Process:
        place = self.places[host]
        settings = {
            "COEXIST_DATABASE_URL": place.database_url,
            "COEXIST_GRAPH_URL": place.graph_url,
            "COEXIST_HOST": place.web[0],
            "COEXIST_PORT": str(place.web[1]),
        }
        command = self.network.command(host, sys.executable, "-m", "coexist", *words)
        return await asyncio.create_subprocess_exec(
            *command, env=self.shop.product.environment | settings, stdin=asyncio.subprocess.DEVNULL
        )

    async def _is_ready(self, host: str) -> bool:
        ended = [process.returncode for process in self.running[host] if process.returncode is not None]
        assert not ended, f"a process of host {host} ended with {ended}; it said why above"
        with suppress(aiohttp.ClientError, OSError):
            async with self.shop.phone.session.get(f"{self.places[host].url}/readyz") as response:
                if response.status == 200:
                    return await self.count(LISTENING, host) > 0
        return False

    def worker(self, host: str) -> asyncio.subprocess.Process:
        """The worker process of a host."""
        return self.running[host][1]

    async def kill(self, host: str) -> None:
        """``kill -9`` of every process of a host, at once."""
        processes = self.running.pop(host)
        for process in processes:
            process.kill()
        for process in processes:
            await process.wait()

    async def stop(self) -> None:
        """Stop what runs as an operator does; what does not stop within STOP_WAIT_S is killed."""
        processes = [process for some in self.running.values() for process in some if process.returncode is None]
        self.running.clear()
        for process in processes:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                await asyncio.wait_for(process.wait(), STOP_WAIT_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def count(self, query: str, *values: Any) -> int:
        """The number a query answers."""
        row = await (await self.conn.execute(query.encode(), values)).fetchone()
        assert row is not None
        return int(row[0])


# Each host signs in to the database under its own name.
LISTENING: Final = """
SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name = 'coexist work listen'
"""


@asynccontextmanager
async def in_namespaces(network: Namespaces, folder: Path, **config: Any) -> AsyncIterator[Stage]:
    """The stage on three hosts of a network. The phone and the load balancer are outside."""

    def at_database(*words: str) -> list[str]:
        return network.command(DATABASE, *words)

    server = (network.address(DATABASE), DATABASE_PORT)
    web = {host: (network.address(host), WEB_PORT) for host in HOSTS}
    async with (
        open_cluster(folder / "cluster", *server, at_database, HOSTS),
        laid(in_turn(list(web.values())), network.outside) as balancer,
        _open_phone(balancer.address, config) as phone,
    ):
        places = {host: Place(_database_url(host, server), phone.address, web[host]) for host in HOSTS}
        async with _played(network, _shop(folder, balancer, phone, server), places) as stage:
            yield stage


@asynccontextmanager
async def on_loopback(folder: Path, **config: Any) -> AsyncIterator[Stage]:
    """The stage on one machine, with forwarders in each host's way that can be cut."""
    server = ("127.0.0.1", free_port())
    web = {host: ("127.0.0.1", free_port()) for host in HOSTS}
    async with (
        open_cluster(folder / "cluster", *server, lambda *words: list(words), HOSTS),
        laid(in_turn(list(web.values()))) as balancer,
        _open_phone(balancer.address, config) as phone,
    ):
        meta = ("127.0.0.1", phone.port)
        async with (
            laid(lambda: [server]) as a_database,
            laid(lambda: [meta]) as a_meta,
            laid(lambda: [server]) as b_database,
            laid(lambda: [meta]) as b_meta,
        ):
            cables = {"a": (a_database, a_meta), "b": (b_database, b_meta)}
            places = {
                host: Place(
                    _database_url(host, to_database.address),
                    "http://{}:{}".format(*to_meta.address),
                    web[host],
                )
                for host, (to_database, to_meta) in cables.items()
            }
            async with _played(Loopback(cables), _shop(folder, balancer, phone, server), places) as stage:
                yield stage


@asynccontextmanager
async def _played(network: Network, shop: Shop, places: Mapping[str, Place]) -> AsyncIterator[Stage]:
    async with await psycopg.AsyncConnection.connect(shop.database_url, autocommit=True) as conn:
        stage = Stage(network, shop, places, conn)
        try:
            yield stage
        finally:
            for host in HOSTS:
                network.come_back(host)
            await stage.stop()


def _shop(folder: Path, balancer: Cable, phone: Phone, server: Address) -> Shop:
    """The product as the outside sees it: at the load balancer; commands run here, beside the hosts."""
    base_url = "http://{}:{}".format(*balancer.address)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")}
    settings = {
        "COEXIST_DATABASE_URL": _database_url("postgres", server),
        "COEXIST_DATA_DIR": str(folder / "shared"),
        "COEXIST_BASE_URL": base_url,
        "COEXIST_APP_ID": APP_ID,
        "COEXIST_APP_SECRET": APP_SECRET,
        "COEXIST_VERIFY_TOKEN": VERIFY_TOKEN,
        "COEXIST_GRAPH_URL": phone.address,
        "COEXIST_LOG_LEVEL": "error",
    }
    return _Shop(Product(inherited | settings, balancer.address[1]), phone, folder)


class _Shop(Shop):
    @property
    def url(self) -> str:
        """Where the hosts and everybody else find the product: the load balancer."""
        return self.product.environment["COEXIST_BASE_URL"]


def _database_url(role: str, server: Address) -> str:
    return "postgresql://{}@{}:{}/coexist".format(role, *server)


@asynccontextmanager
async def _open_phone(product: Address, config: Mapping[str, Any]) -> AsyncIterator[Phone]:
    """The phone, at the same address as the load balancer."""
    simulated = create_app(
        Config(
            app_id=APP_ID,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            webhook_url="http://{}:{}/webhook".format(*product),
            **{"pace": LIVELY, **config},
        )
    )
    listening = bound(product[0])
    async with serving(simulated, listening), aiohttp.ClientSession() as session:
        yield Phone(address_of(listening), session)
