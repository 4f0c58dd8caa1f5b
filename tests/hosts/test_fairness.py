"""Numbers beside each other: a busy one, and one that brings a long history, hold nobody else up for long."""

from __future__ import annotations

import asyncio
import base64
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from coexist.base.database import Connection, Pool, transaction
from coexist.inbox import locks
from coexist.intake.worker import BULK_LANE, DELIVERIES_COUNT, LIVE_LANE
from tests.support import intake, wire
from tests.support.intake import Number
from tests.support.product import environment
from tests.support.waiting import PATIENCE_S

BUSY: Final = intake.SHOP
QUIET: Final = Number("555100020003009", "351910559109", "701122334455999", "880011223344999")
"""Of another account: they share nothing but the machine."""

CHUNKS_COUNT: Final = 32
"""So many come at once, and as many again when they are nearly in."""
PROBES_COUNT: Final = 8
CHUNK_MESSAGES_COUNT: Final = 2_000
WORKERS_COUNT: Final = 2
CHUNKS_AHEAD_MAX: Final = 2 * WORKERS_COUNT * DELIVERIES_COUNT[BULK_LANE]
"""A live message may wait for what the workers have in their hands, and for what they take up in that moment."""


def texts(number: Number, count: int, *, first: int = 0) -> list[bytes]:
    """Deliveries with one message each, from a few people."""
    return [
        intake.body_of(
            wire.message(
                f"wamid.{number.phone_number_id}.{n}", n, wire.text(f"mensagem {n}"), phone=f"4477009001{n % 40:02}",
                number=number,
            ),
            waba_id=number.waba_id,
        )
        for n in range(first, first + count)
    ]  # fmt: skip


def chunks(first: int) -> list[bytes]:
    """A piece of a history of the busy number: each chunk 40 threads of 50 messages."""
    return [
        intake.body_of(
            wire.history(
                [
                    wire.thread(
                        phone := f"55119{80_000_000 + 40 * order + one}",
                        None,
                        [
                            wire.past(f"wamid.{phone}.{n}", n, wire.text("bom dia, queria saber"), phone=phone)
                            for n in range(CHUNK_MESSAGES_COUNT // 40)
                        ],
                    )
                    for one in range(40)
                ],
                order=order,
                progress=min(99, order),
            )
        )
        for order in range(first, first + CHUNKS_COUNT)
    ]


async def applied(pool: Pool, number: Number) -> int:
    """How many messages of a number can be queried."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT count(*) FROM messages m JOIN inboxes i ON i.id = m.inbox_id WHERE i.phone_number_id = %s",
            (number.phone_number_id,),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_nobody_waits_for_what_came_later(pool: Pool) -> None:
    """A number that floods us delays others by what it had sent before, and by nothing that it sends after."""
    async with transaction(pool) as conn:
        await intake.connect(conn, BUSY)
        await intake.connect(conn, QUIET, account="Casa Branca")
    ahead, behind = 2 * DELIVERIES_COUNT[LIVE_LANE] + 100, 2 * DELIVERIES_COUNT[LIVE_LANE]
    flood = texts(BUSY, ahead + behind)
    await intake.journal(pool, [*flood[:ahead], *texts(QUIET, 1), *flood[ahead:]], at_once=True)
    while not await applied(pool, QUIET):
        assert await intake.apply_next(pool, LIVE_LANE)
    assert await applied(pool, BUSY) <= ahead + DELIVERIES_COUNT[LIVE_LANE]
    await intake.apply_all(pool)
    assert await applied(pool, BUSY) == ahead + behind


async def test_a_number_whose_import_is_under_way_holds_up_no_other(pool: Pool) -> None:
    """A status of it waits until the import's batch is in; what another number was told in the same batch does not."""
    async with transaction(pool) as conn:
        await intake.connect(conn, BUSY)
        await intake.connect(conn, QUIET, account="Casa Branca")
    await intake.journal(pool, [*texts(BUSY, 1), status(0), *texts(QUIET, 1)], at_once=True)
    async with transaction(pool) as importing:
        await locks.share_apply(importing, await scope_of(importing, BUSY))
        batch = asyncio.create_task(intake.apply_next(pool, LIVE_LANE))
        async with asyncio.timeout(PATIENCE_S):
            while not await applied(pool, QUIET):
                assert not batch.done()
                await asyncio.sleep(0.01)
        assert not await applied(pool, BUSY)
    assert await batch == 3
    assert await applied(pool, BUSY) == await applied(pool, QUIET) == 1


async def scope_of(conn: Connection, number: Number) -> int:
    """The contact scope of a number."""
    cursor = await conn.execute("SELECT scope_id FROM inboxes WHERE phone_number_id = %s", (number.phone_number_id,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_history_on_one_number_leaves_live_messages_of_another_quick(
    database_url: str, pool: Pool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, BUSY)
        await intake.connect(conn, QUIET, account="Casa Branca")
        await note_chunks(conn)
    quiet = iter(texts(QUIET, 1_000))
    alone, beside, together = list[float](), list[float](), list[float]()
    journaled = 0
    async with workers(database_url, tmp_path):
        for n in range(20):
            seconds = await probe(pool, next(quiet))
            await noted(pool)
            if n >= 5:  # at first the workers start, who is new is made, caches get warm
                alone.append(seconds)
        while min(len(beside), len(together)) < PROBES_COUNT:
            if await waiting(pool) <= 2 * CHUNKS_AHEAD_MAX:
                await intake.journal(pool, chunks(journaled + 1), at_once=True)
                journaled += CHUNKS_COUNT
            for some, bodies in ((beside, [next(quiet)]), (together, [status(len(together)), next(quiet)])):
                seconds = await probe(pool, *bodies)
                ahead, left = await noted(pool)
                assert ahead - left <= CHUNKS_AHEAD_MAX
                if left > 0:  # else the history was in before it could be in anybody's way
                    some.append(seconds)
    for words, some in (
        ("alone", alone),
        ("beside the history of another number", beside),
        ("in one batch with a status of that number", together),
    ):
        middle, most = round(1000 * statistics.median(some)), round(1000 * max(some))
        record_property("measured", f"until a message is queryable, {words}: {middle} ms, {most} at most")


async def note_chunks(conn: Connection) -> None:
    """Have the database note how many chunks wait whenever a live delivery, or the quiet number's message, is there.

    It does so as it commits: who asks afterwards sees what was done meanwhile as well, and a busy machine lets us wait.
    """
    await conn.execute(b"CREATE TABLE noted (what text, chunks bigint)")
    await conn.execute(
        b"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        b" INSERT INTO noted SELECT TG_TABLE_NAME, count(*) FROM backlog WHERE lane = 1; RETURN NULL; END $$"
    )
    cursor = await conn.execute("SELECT id FROM inboxes WHERE phone_number_id = %s", (QUIET.phone_number_id,))
    (inbox_id,) = await cursor.fetchone() or (0,)
    for table, which in (("backlog", "NEW.lane = 0"), ("messages", f"NEW.inbox_id = {inbox_id}")):
        await conn.execute(
            f"CREATE CONSTRAINT TRIGGER note AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION note()".encode()
        )


async def noted(pool: Pool) -> tuple[int, int]:
    """How many chunks waited as the last probe was journaled, and as it was applied."""
    query = (
        "SELECT max(chunks) FILTER (WHERE what = 'backlog'), min(chunks) FILTER (WHERE what = 'messages') FROM noted"
    )
    async with transaction(pool) as conn:
        row = await (await conn.execute(query.encode())).fetchone()
        await conn.execute("DELETE FROM noted")
    assert row is not None
    return int(row[0]), int(row[1])


def status(n: int) -> bytes:
    """A status of the busy number: it rewrites rows, so it needs the number's contacts for itself for a moment."""
    return intake.body_of(wire.status(f"wamid.sent.{n}", n, "delivered", phone="447700900100"))


async def probe(pool: Pool, *bodies: bytes) -> float:
    """Journal these in one commit; return the seconds until the quiet number's message among them is queryable."""
    before = await applied(pool, QUIET)
    begin = time.monotonic()
    await intake.journal(pool, bodies, at_once=True)
    while await applied(pool, QUIET) == before:
        assert time.monotonic() - begin < PATIENCE_S, "it never came"
        await asyncio.sleep(0.005)
    return time.monotonic() - begin


async def waiting(pool: Pool) -> int:
    """How many chunks of history are still to be applied."""
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM backlog WHERE lane = 1")).fetchone()
    assert row is not None
    return int(row[0])


@asynccontextmanager
async def workers(database_url: str, folder: Path) -> AsyncIterator[None]:
    """Worker processes over the database of the test."""
    key = base64.b64encode(b"k" * 32).decode()
    settings = environment(database_url, folder, 1, 9) | {"COEXIST_SECRET_KEY": key}
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "coexist", "work", env=settings)
        for _ in range(WORKERS_COUNT)
    ]
    try:
        yield
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
