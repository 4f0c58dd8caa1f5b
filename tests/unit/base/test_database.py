"""Connections: what they are set to, how they fail, and how a lost race is run again."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from coexist.base import database
from coexist.base.errors import Unavailable
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.filterwarnings("ignore:.*error connecting in.*")


async def one(connection: database.Connection, query: str) -> object:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row[0]


async def test_a_connection_is_set_up(pool: database.Pool) -> None:
    async with database.transaction(pool) as connection:
        moment = await one(connection, "select '2026-01-02 03:04:05+02'::timestamptz")
        assert moment == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
        assert await one(connection, 'select \'{"a": [1, "é"]}\'::jsonb') == {"a": [1, "é"]}
        for setting, value in (
            ("application_name", "test"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("client_connection_check_interval", "1s"),
        ):
            assert await one(connection, f"show {setting}") == value


async def test_an_exception_rolls_back(pool: database.Pool) -> None:
    async with database.transaction(pool) as connection:
        await connection.execute("create table kept (n int)")
    with pytest.raises(RuntimeError):
        async with database.transaction(pool) as connection:
            await connection.execute("insert into kept values (1)")
            raise RuntimeError("no")
    async with database.transaction(pool) as connection:
        assert await one(connection, "select count(*) from kept") == 0


async def test_no_database_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 1)
    with pytest.raises(Unavailable):
        async with database.open_pool("postgresql://nobody@127.0.0.1:1/none"):
            pytest.fail("it connected")
    with pytest.raises(Unavailable):
        async with database.connect_listen("postgresql://nobody@127.0.0.1:1/none"):
            pytest.fail("it connected")


async def test_a_session_that_the_server_ends_is_unavailable_once(pool: database.Pool) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction(pool) as connection:
            pid = connection.info.backend_pid
            async with pool.connection() as other:
                await other.execute("select pg_terminate_backend(%s)", (pid,))
            await connection.execute("select pg_sleep(5)")
    async with database.transaction(pool) as connection:
        assert await one(connection, "select 1") == 1


async def test_sessions_that_ended_while_idle_cost_nobody_an_error(pool: database.Pool, server_url: str) -> None:
    async with database.transaction(pool) as connection:
        pid = connection.info.backend_pid
    async with await psycopg.AsyncConnection.connect(server_url, autocommit=True) as other:
        await other.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    async with database.transaction(pool) as connection:
        assert await one(connection, "select 1") == 1


async def test_a_wrong_statement_is_not_unavailable(pool: database.Pool) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with database.transaction(pool) as connection:
            await connection.execute("set local statement_timeout = 10")
            await connection.execute("select pg_sleep(5)")


async def test_a_lost_deadlock_is_run_again(pool: database.Pool) -> None:
    async with database.transaction(pool) as connection:
        await connection.execute("create table pair (id int primary key, n int)")
        await connection.execute("insert into pair values (1, 0), (2, 0)")
    both_hold_one = asyncio.Barrier(2)
    is_done = {1: asyncio.Event(), 2: asyncio.Event()}
    attempts = 0

    async def add_to_both(first: int, second: int) -> None:
        met = False

        async def work(connection: database.Connection) -> None:
            nonlocal attempts, met
            attempts += 1
            if met:  # the one that lost, again: not before the other has both
                await is_done[second].wait()
            await connection.execute("update pair set n = n + 1 where id = %s", (first,))
            if not met:
                met = True
                await both_hold_one.wait()
            await connection.execute("update pair set n = n + 1 where id = %s", (second,))

        await database.in_transaction(pool, work)
        is_done[first].set()

    await asyncio.gather(add_to_both(1, 2), add_to_both(2, 1))
    assert attempts == 3
    async with database.transaction(pool) as connection:
        assert await one(connection, "select array_agg(n) from pair") == [2, 2]


async def test_a_race_that_is_lost_every_time_is_told(pool: database.Pool) -> None:
    attempts = 0

    async def work(_connection: database.Connection) -> None:
        nonlocal attempts
        attempts += 1
        raise psycopg.errors.SerializationFailure

    with pytest.raises(psycopg.errors.SerializationFailure):
        await database.in_transaction(pool, work)
    assert attempts == database.ATTEMPTS


async def test_a_listener_hears_what_is_committed(database_url: str, pool: database.Pool) -> None:
    async with database.connect_listen(database_url, "events", "a channel") as listener:
        async with database.transaction(pool) as connection:
            await connection.execute("select pg_notify('events', 'one'), pg_notify('a channel', 'two')")
        heard = [
            (notice.channel, notice.payload) async for notice in listener.notifies(timeout=PATIENCE_S, stop_after=2)
        ]
    assert sorted(heard) == [("a channel", "two"), ("events", "one")]
