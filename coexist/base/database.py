"""Connections to PostgreSQL: a pool, a transaction, and a connection that listens."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected, DiskFull, SerializationFailure
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from coexist.base.arrays import ArrayDumper
from coexist.base.errors import Unavailable


class DatabaseAway(Unavailable):
    """The database does not answer, or was lost on the way."""


Connection: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]
T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10
STATEMENT_TIMEOUT_MS: Final = 30_000
LOCK_TIMEOUT_MS: Final = 10_000
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 60_000
ATTEMPTS: Final = 5
RETRY_PAUSE_S: Final = 0.02
LASTING_ATTEMPTS: Final = 30
LASTING_PAUSE_S: Final = 1.0

PEER_LOST_S: Final = 8
"""How long a host may be silent before the other end takes it for gone: the server then ends its session, and its locks
are free; a second later if it was in the middle of a statement. Sooner than others tire of waiting for those locks."""
_PROBES: Final = 3
_PROBE_EVERY_S: Final = PEER_LOST_S // (_PROBES + 1)
_LOOK_WHILE_BUSY_S: Final = 1

_CLIENT_SIDE: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives": 1,
    "keepalives_idle": _PROBE_EVERY_S,
    "keepalives_interval": _PROBE_EVERY_S,
    "keepalives_count": _PROBES,
    "tcp_user_timeout": PEER_LOST_S * 1000,
}
_SERVER_SIDE: Final = {
    "TimeZone": "UTC",
    "tcp_keepalives_idle": f"{_PROBE_EVERY_S}",
    "tcp_keepalives_interval": f"{_PROBE_EVERY_S}",
    "tcp_keepalives_count": f"{_PROBES}",
    "tcp_user_timeout": f"{PEER_LOST_S * 1000}",
    "client_connection_check_interval": f"{_LOOK_WHILE_BUSY_S}s",
}
_SET_ALL: Final = """
    select set_config(name, value, false)
    from unnest(%s::text[], %s::text[]) as wanted(name, value)
"""


@asynccontextmanager
async def open_pool(
    database_url: str,
    *,
    application: str = "coexist",
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> AsyncIterator[Pool]:
    """A pool of autocommit connections, closed at the end of the block. Times come back aware, in UTC.

    `application` is what `pg_stat_activity` shows. A statement ends after `statement_timeout_ms`, a wait
    for a lock after LOCK_TIMEOUT_MS. Raises `Unavailable` when no connection can be made.
    """
    limits = {
        "statement_timeout": f"{statement_timeout_ms}",
        "lock_timeout": f"{LOCK_TIMEOUT_MS}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_MS}",
    }

    async def configure(connection: Connection) -> None:
        await _prepare(connection, limits)

    pool: Pool = AsyncConnectionPool(
        database_url,
        kwargs=_CLIENT_SIDE | {"application_name": application, "autocommit": True},
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        configure=configure,
        check=AsyncConnectionPool.check_connection,  # a restarted database costs nobody an error
        open=False,
        name=application,
    )
    try:
        try:
            await pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)
        except PoolTimeout as error:
            raise unreachable() from error
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside one transaction: committed at the end of the block, rolled back by an exception.

    Raises `DatabaseAway` when the database cannot be reached or is lost on the way, `Unavailable` when its disk is
    full. A commit whose answer was lost may or may not have happened.
    """
    connection: Connection | None = None
    try:
        async with pool.connection() as connection, connection.transaction():
            yield connection
    except DiskFull as error:
        raise Unavailable(
            "The database's disk is full.", next_step="Make room where PostgreSQL keeps its data, then try again."
        ) from error
    except psycopg.Error as error:
        # Whatever a statement says of a connection that is gone (closed, idle for too long), it is gone.
        if is_connection_loss(error) or (connection is not None and connection.closed):
            raise unreachable() from error
        raise


async def in_transaction(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What `work` returns, run in a transaction, again from its start when it lost a deadlock or a race.

    `work` must do nothing outside of the database. After ATTEMPTS the database's error is raised.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with transaction(pool) as connection:
                return await work(connection)
        except (DeadlockDetected, SerializationFailure):
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(RETRY_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("unreachable: the last attempt returns or raises")


async def in_lasting_transaction(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Like `in_transaction`, but whatever the database says, again for LASTING_ATTEMPTS: for what only we know.

    `work` must be safe to repeat after a commit whose answer was lost. The last error is raised.
    """
    for attempt in range(1, LASTING_ATTEMPTS + 1):
        try:
            return await in_transaction(pool, work)
        except (Unavailable, psycopg.Error):
            if attempt == LASTING_ATTEMPTS:
                raise
            await asyncio.sleep(LASTING_PAUSE_S)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def connect(database_url: str, *, application: str, statement_timeout_ms: int = 0) -> Connection:
    """A connection of its own, in autocommit, for the caller to close. 0 is no time-out.

    Raises `Unavailable` when none can be made.
    """
    try:
        connection: Connection = await AsyncConnection.connect(
            database_url, autocommit=True, application_name=application, **_CLIENT_SIDE
        )
    except psycopg.OperationalError as error:
        raise unreachable() from error
    await _prepare(connection, {"statement_timeout": f"{statement_timeout_ms}"})
    return connection


def connect_blocking(database_url: str, *, application: str) -> psycopg.Connection[TupleRow]:
    """Like `connect`, for what must run in a thread."""
    try:
        connection = psycopg.connect(database_url, autocommit=True, application_name=application, **_CLIENT_SIDE)
    except psycopg.OperationalError as error:
        raise unreachable() from error
    connection.execute(_SET_ALL, (list(_SERVER_SIDE), list(_SERVER_SIDE.values())))
    return connection


@asynccontextmanager
async def connect_listen(
    database_url: str, *channels: str, application: str = "coexist listen"
) -> AsyncIterator[Connection]:
    """A connection of its own that listens to `channels`; read it with `connection.notifies()`.

    Raises `Unavailable` when no connection can be made. One that breaks later raises OperationalError in
    `notifies()`: connect again, and read what was missed from the tables.
    """
    async with await connect(database_url, application=application) as connection:
        for channel in channels:
            await connection.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(channel)))
        yield connection


def is_connection_loss(error: psycopg.Error) -> bool:
    """Whether the connection is gone, as against a statement that failed on a good one."""
    code = error.sqlstate
    return isinstance(error, psycopg.OperationalError) and (
        code is None or code.startswith(("08", "57P")) or code == "53300"
    )


async def _prepare(connection: Connection, limits: dict[str, str]) -> None:
    set_json_loads(msgspec.json.decode, connection)
    set_json_dumps(msgspec.json.encode, connection)
    connection.adapters.register_dumper(list, ArrayDumper)
    wanted = _SERVER_SIDE | limits
    await connection.execute(_SET_ALL, (list(wanted), list(wanted.values())))


def unreachable() -> DatabaseAway:
    """The error for a database that does not answer; chain the cause to it."""
    return DatabaseAway(
        "The database cannot be reached.",
        next_step="Check that PostgreSQL runs and COEXIST_DATABASE_URL is right.",
    )
