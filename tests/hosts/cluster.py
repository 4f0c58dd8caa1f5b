"""A PostgreSQL that listens on TCP: what hosts share. The embedded one's binaries with PostgreSQL's own defaults."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from coexist.base import postgres, postgres_server
from tests.support.waiting import PATIENCE_S

STOP_WAIT_S: Final = 10.0

# A test's database is thrown away: it need not survive the machine.
OPTIONS: Final = ("fsync=off", "max_connections=100", "log_min_messages=fatal", "unix_socket_directories=")
LOCALE: Final = ("--encoding=UTF8", "--locale=C.UTF-8")
FOLLOWING: Final = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")

Command = Callable[..., list[str]]


@asynccontextmanager
async def open_cluster(
    folder: Path, address: str, port: int, command: Command, roles: Sequence[str]
) -> AsyncIterator[None]:
    """A server with an empty database "coexist", and these roles which may do all with it.

    ``command`` makes a command line run where the server shall be.
    """
    as_owner, cluster = await asyncio.to_thread(_initialise, folder)
    async with _running(command(*as_owner), cluster, address, port) as url:
        async with await psycopg.AsyncConnection.connect(f"{url}/postgres", autocommit=True) as connection:
            await connection.execute("CREATE DATABASE coexist")
            for role in roles:
                await connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(role)))
        yield


@asynccontextmanager
async def open_replica(folder: Path, primary: str, port: int) -> AsyncIterator[str]:
    """The URL of a server on loopback that follows the one at ``primary`` and takes no writes."""
    as_owner, cluster = await asyncio.to_thread(_copy, folder, primary)
    async with _running(as_owner, cluster, "127.0.0.1", port) as url:
        yield url


@asynccontextmanager
async def _running(words: list[str], cluster: Path, address: str, port: int) -> AsyncIterator[str]:
    options = (*OPTIONS, f"listen_addresses={address}", f"port={port}")
    server = await asyncio.create_subprocess_exec(
        *words, str(postgres_server.PROGRAMS / "postgres"), "-D", str(cluster),
        *(word for option in options for word in ("-c", option)),
    )  # fmt: skip
    url = f"postgresql://postgres@{address}:{port}"
    try:
        await _until_ready(f"{url}/postgres", server)
        yield url
    finally:
        if server.returncode is None:
            server.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(server.wait(), STOP_WAIT_S)
            except TimeoutError:
                server.kill()
                await server.wait()


def _initialise(folder: Path) -> tuple[list[str], Path]:
    """(what makes a command run as the owner, the cluster): PostgreSQL refuses root."""
    as_owner, cluster = _place(folder)
    _run(as_owner, "initdb", f"--pgdata={cluster}", "--username=postgres", "--no-sync", *LOCALE, "--auth=trust")
    with (cluster / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet trust\nhost replication all samenet trust\n")
    return as_owner, cluster


def _copy(folder: Path, primary: str) -> tuple[list[str], Path]:
    as_owner, cluster = _place(folder)
    _run(as_owner, "pg_basebackup", f"--pgdata={cluster}", f"--dbname={primary}", *FOLLOWING)
    return as_owner, cluster


def _place(folder: Path) -> tuple[list[str], Path]:
    files = postgres.Places(folder)
    folder.mkdir(mode=0o711)
    owner = postgres_server._owner(files)
    postgres_server._own_folder(files.cluster, owner)
    return postgres_server._as_owner(owner, folder), files.cluster


def _run(as_owner: list[str], program: str, *words: str) -> None:
    command = [*as_owner, str(postgres_server.PROGRAMS / program), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def _until_ready(url: str, server: asyncio.subprocess.Process) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            await (await psycopg.AsyncConnection.connect(url, connect_timeout=2)).close()
            return
        except psycopg.OperationalError:
            assert server.returncode is None, f"PostgreSQL ended with {server.returncode}; it said why above"
            assert asyncio.get_running_loop().time() < deadline, f"PostgreSQL was not ready within {PATIENCE_S:.0f} s"
            await asyncio.sleep(0.05)
