"""Brings the database to the shape of the SQL files in `migrations/`, with yoyo.

Each file runs in one transaction together with the row that remembers it; a file that starts with
`-- transactional: false` runs statement by statement (for `create index concurrently`).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import yoyo
from psycopg import conninfo
from yoyo import internalmigrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import Migration, MigrationList, default_migration_table

from coexist.base.database import connect_blocking
from coexist.base.errors import Conflict

FOLDER: Final = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_MS: Final = 30_000  # rather fail, and be started again, than make every query wait behind us
LOCK_WAIT_S: Final = 600
LOCK_POLL_S: Final = 0.1
_LOCK_KEY: Final = 0x636F6578697374  # "coexist": one migration at a time in a database


@dataclass(frozen=True)
class _Address:
    url: str
    database: str


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    def connect(self, address: _Address) -> psycopg.Connection[Any]:
        connection = _connect(address.url)
        connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT_MS}ms'".encode())
        return connection

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # yoyo's signature
        # yoyo locks with a row, which a killed process leaves behind: `_locked` does it better.
        yield


async def apply_pending(database_url: str, *, folder: Path = FOLDER) -> list[str]:
    """Run what has not run yet, in order of file names; returns the names, without `.sql`.

    Safe when many processes start at once: one migrates, the others wait for it, LOCK_WAIT_S at most.
    Raises `Unavailable` without a database, and the database's own error when a file is wrong: that file
    then left nothing behind.
    """
    return await asyncio.to_thread(_apply_pending, database_url, folder)


async def pending(database_url: str, *, folder: Path = FOLDER) -> list[str]:
    """The names of the files that have not run yet, without `.sql`. Changes nothing."""
    return await asyncio.to_thread(_pending, database_url, folder)


def _apply_pending(database_url: str, folder: Path) -> list[str]:
    applied: list[str] = []
    with _locked(database_url), _open(database_url) as backend:
        backend.ensure_internal_schema_updated()
        for migration in backend.to_apply(_files(folder)):
            _apply(backend, migration)
            applied.append(migration.id)
    return applied


def _apply(backend: _Backend, migration: Migration) -> None:
    # yoyo's `apply_one` remembers a migration in a second transaction: killed in between, it would run the
    # file again. Here both are one.
    migration.load()
    if migration.use_transactions:
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration)
    else:
        migration.process_steps(backend, "apply")
        with backend.transaction():
            backend.mark_one(migration)


def _pending(database_url: str, folder: Path) -> list[str]:
    files = _files(folder)
    with _open(database_url) as backend:
        if internalmigrations.needs_upgrading(backend):
            return [migration.id for migration in files]
        return [migration.id for migration in backend.to_apply(files)]


def _files(folder: Path) -> MigrationList:
    return yoyo.read_migrations(str(folder))


def _open(database_url: str) -> _Backend:
    database = conninfo.conninfo_to_dict(database_url).get("dbname", "")
    return _Backend(_Address(database_url, str(database)), default_migration_table)


@contextmanager
def _locked(database_url: str) -> Iterator[None]:
    """Hold the advisory lock; the server frees it by itself when this process dies, or its host is gone.

    It is polled, because a session that waits inside `pg_advisory_lock` holds a snapshot, and a
    `create index concurrently` of the one that migrates would wait for it in turn.
    """
    deadline = time.monotonic() + LOCK_WAIT_S
    with _connect(database_url) as connection:
        while True:
            row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
            if row == (True,):
                break
            if time.monotonic() > deadline:
                raise Conflict(
                    f"Another process has been migrating this database for {LOCK_WAIT_S} seconds.",
                    next_step="Wait for it to end, or end it, then start again.",
                )
            time.sleep(LOCK_POLL_S)
        yield


def _connect(database_url: str) -> psycopg.Connection[Any]:
    return connect_blocking(database_url, application="coexist migrate")
