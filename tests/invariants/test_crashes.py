"""A crash after any statement, a kill at any time, an empty database and a replay: the same tables."""

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psycopg
import pytest

from coexist.base.database import Pool, open_pool, transaction
from coexist.intake.sealing import unseal
from coexist.intake.worker import DELIVERIES_COUNT, LIVE_LANE
from tests.invariants.scenario import ANA, BODIES
from tests.support import databases, intake, snapshot, wire
from tests.support.intake import BRANCH, SHOP, Number
from tests.support.waiting import PATIENCE_S

ELSEWHERE = Number("555100020003009", "351210559000", "701122334455999", "880011223344999")
"""A number of another account, to which the same happens."""
BOTH = [
    body
    for one in BODIES
    for body in (
        one,
        one.replace(SHOP.phone_number_id.encode(), ELSEWHERE.phone_number_id.encode())
        .replace(SHOP.waba_id.encode(), ELSEWHERE.waba_id.encode())
        .replace(SHOP.display.encode(), ELSEWHERE.display.encode()),
    )
]
KILLS_COUNT = 3
CROWD = (2 * KILLS_COUNT + 2) * DELIVERIES_COUNT[LIVE_LANE]


is_worker: ContextVar[bool] = ContextVar("is_worker", default=False)
"""In the task that applies, and in those it starts; not in a pool's."""


class Crash(BaseException):
    """The process ends here: nothing after it runs, nothing uncommitted survives."""


@asynccontextmanager
async def connected(server_url: str, template_name: str) -> AsyncIterator[tuple[str, Pool]]:
    """A database with the numbers connected, and a pool on it."""
    async with databases.clone(server_url, template_name) as url, open_pool(url, max_size=8) as pool:
        async with transaction(pool) as conn:
            await intake.connect(conn, SHOP, BRANCH)
            await intake.connect(conn, ELSEWHERE, account="Casa Branca")
        yield url, pool


async def tables(pool: Pool) -> snapshot.Snapshot:
    """What is in the tables, and that nothing waits."""
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM backlog")).fetchone()
        assert row == (0,)
        return await snapshot.take(conn)


async def undisturbed_tables(server_url: str, template_name: str, bodies: Sequence[bytes]) -> snapshot.Snapshot:
    """The tables after each was delivered and applied, one by one."""
    async with connected(server_url, template_name) as (_, pool):
        await intake.deliver(pool, bodies, batch=1)
        return await tables(pool)


@pytest.fixture
async def expected(server_url: str, template_name: str) -> snapshot.Snapshot:
    """The tables after an undisturbed run."""
    found = await undisturbed_tables(server_url, template_name, BODIES)
    assert len(found["messages"]) == 14, [row[1] for row in found["messages"]]
    assert len(found["quarantine"]) <= 1
    return found


def crash_at(number: int, execute: Callable[..., Any]) -> Callable[..., Any]:
    """An ``execute`` that crashes after the worker's ``number``-th statement was done; pools go on by themselves."""
    done = 0

    async def crashing(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        answer = await execute(self, *args, **kwargs)
        if is_worker.get():
            done += 1
            if done == number:
                raise Crash
        return answer

    return crashing


@pytest.mark.requirement("C3", "C4")
@pytest.mark.parametrize(
    ("bodies", "step"),
    [pytest.param(BODIES, 3, id="one_scope"), pytest.param(BOTH, 41, id="two_scopes_side_by_side")],
)
async def test_crash_after_any_statement(
    server_url: str, template_name: str, monkeypatch: pytest.MonkeyPatch, bodies: list[bytes], step: int
) -> None:
    expected = await undisturbed_tables(server_url, template_name, bodies)
    execute = psycopg.AsyncConnection.execute
    statement = 1
    while True:
        async with connected(server_url, template_name) as (_, pool):
            await intake.journal(pool, bodies)
            this_is_the_worker = is_worker.set(True)
            with monkeypatch.context() as patch:
                patch.setattr(psycopg.AsyncConnection, "execute", crash_at(statement, execute))
                try:
                    await intake.apply_all(pool, batch=9)
                    has_crashed = False
                except Crash:
                    has_crashed = True
            is_worker.reset(this_is_the_worker)
            await intake.apply_all(pool, batch=9)
            assert await tables(pool) == expected, f"crashed after statement {statement}"
        if not has_crashed:
            break
        statement += step
    assert statement > 40, "the crashes did not reach far into a batch"


@pytest.mark.requirement("C3")
async def test_kill_9_of_the_worker(server_url: str, template_name: str, tmp_path: Path) -> None:
    bodies = [*BODIES, *(intake.body_of(wire.message(f"wamid.k{n}", n, wire.text("Oi"), **ANA)) for n in range(CROWD))]
    async with connected(server_url, template_name) as (_, pool):
        await intake.deliver(pool, bodies)
        undisturbed = await tables(pool)
    async with connected(server_url, template_name) as (url, pool):
        await intake.journal(pool, bodies, at_once=True)
        environment = os.environ | {
            "COEXIST_DATABASE_URL": url,
            "COEXIST_DATA_DIR": str(tmp_path),
            "COEXIST_SECRET_KEY": base64.b64encode(intake.KEY).decode(),
        }
        for _ in range(KILLS_COUNT):
            before = await waiting(pool)
            worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "coexist", "work", env=environment)
            async with asyncio.timeout(PATIENCE_S):
                while await waiting(pool) == before:  # the first batch commits: the second is under way
                    await asyncio.sleep(0.005)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        assert await waiting(pool), "the worker was done before it could be killed"
        await intake.apply_all(pool)
        assert await tables(pool) == undisturbed


async def waiting(pool: Pool) -> int:
    """How many deliveries are still to be applied."""
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM backlog")).fetchone()
    assert row is not None
    return int(row[0])


async def test_replay_into_an_empty_database(server_url: str, template_name: str, expected: snapshot.Snapshot) -> None:
    async with connected(server_url, template_name) as (_, first), connected(server_url, template_name) as (_, second):
        await intake.deliver(first, BODIES, batch=4)
        async with first.connection() as conn:
            kept = await (await conn.execute("SELECT received_at, body FROM journal ORDER BY id")).fetchall()
        for received_at, body in kept:
            await intake.journal(second, [unseal(intake.KEYRING, bytes(body))], received_at=received_at)
        await intake.apply_all(second, batch=100)
        assert await tables(first) == expected
        assert await tables(second) == expected


@pytest.mark.requirement("C4")
async def test_a_poison_part_stops_nothing_behind_it(server_url: str, template_name: str) -> None:
    async with connected(server_url, template_name) as (_, pool):
        async with pool.connection() as conn:  # the database refuses one message whatever it is asked
            await conn.execute("ALTER TABLE messages ADD CONSTRAINT poison CHECK (text IS DISTINCT FROM 'Quero três')")
        await intake.deliver(pool, BODIES, batch=100)
        found = await tables(pool)
        assert "wamid.m2" not in {row[1] for row in found["messages"]}
        assert len(found["messages"]) == 13
        poisoned = [row for row in found["quarantine"] if "poison" in row[2]]
        assert [row[0] for row in poisoned] == ["entry[0].changes[0].messages[0]"]
