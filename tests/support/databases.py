"""Databases for tests: one embedded server a session, one migrated template, a clone of it for each test."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from coexist.base import migrate, postgres

_TEMPLATE_LOCK: Final = 0x74656D70  # "temp": the workers of a session make the template once


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """The URL of the server of a test session; the workers that share the folder share it."""
    with asyncio.Runner() as runner:
        running = postgres.running(data_dir)
        url = runner.run(running.__aenter__())
        try:
            yield url
        finally:
            runner.run(running.__aexit__(None, None, None))


def template(server_url: str) -> str:
    """The name of a database with every migration applied, made by the first who asks."""
    digest = hashlib.sha256()
    for file in sorted(migrate.FOLDER.glob("*.sql")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    name = f"template_{digest.hexdigest()[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_TEMPLATE_LOCK,))
        found = connection.execute("select from pg_database where datname = %s", (name,))
        if not found.rowcount:
            draft = f"{name}_draft"
            for statement in ("drop database if exists {}", "create database {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(draft)))
            asyncio.run(migrate.apply_pending(_url_of(server_url, draft)))
            connection.execute(
                sql.SQL("alter database {} rename to {}").format(sql.Identifier(draft), sql.Identifier(name))
            )
    return name


END_SESSIONS: Final = """
    select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and usename = current_user
"""


@asynccontextmanager
async def clone(server_url: str, template_name: str) -> AsyncIterator[str]:
    """The URL of a fresh copy of the template (some 60 ms), dropped at the end with its connections."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as connection:
        await connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template_name)
            )
        )
        try:
            yield _url_of(server_url, name)
        finally:
            # Whoever has lost a session tries to have another, in between the two statements as well.
            await connection.execute(
                sql.SQL("alter database {} with allow_connections false").format(sql.Identifier(name))
            )
            # Not WITH (FORCE): it gives up when autovacuum, which runs as somebody else, is there. Without it
            # PostgreSQL sends autovacuum away by itself and waits for sessions that are just ending.
            await connection.execute(END_SESSIONS, (name,))
            await connection.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))


def _url_of(server_url: str, database: str) -> str:
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{database}"))
