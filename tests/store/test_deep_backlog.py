"""More than one batch of live deliveries waits: a second loop takes batches as well, and nothing is here twice."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg
import pytest

from coexist.base.database import Pool, transaction
from coexist.base.errors import Unavailable
from coexist.intake import worker
from coexist.intake.store import Guilty
from coexist.intake.worker import LIVE_LANE
from coexist.meta.model import Problem
from tests.support import intake, wire
from tests.support.intake import KEYRING, SHOP, body_of
from tests.support.waiting import PATIENCE_S, looping, until

DEEP: Final = 60
PHONE: Final = "351910559122"
WHOLE: Final = 8
MET_WHOLE: Final = 3
"""Once by the second loop, and twice by the first: half a batch may end just before it, and let the next be whole."""


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


@pytest.mark.requirement("C1", "D1")
@pytest.mark.parametrize("fails_once", [False, True])
async def test_while_more_than_a_batch_waits_two_batches_are_under_way_and_each_is_applied_once(
    shop: Pool, monkeypatch: pytest.MonkeyPatch, fails_once: bool
) -> None:
    under_way, at_once = 0, list[int]()
    lasting = worker._apply_or_halve

    async def watched(*given: Any, **further: Any) -> worker.Outcome:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        try:
            await asyncio.sleep(0.01)
            if fails_once and len(at_once) in (2, 3):
                raise Unavailable("The database is away for a moment.")
            return await lasting(*given, **further)
        finally:
            under_way -= 1

    monkeypatch.setattr(worker, "_apply_or_halve", watched)
    monkeypatch.setattr(worker, "PAUSE_AFTER_ERROR_S", 0.0)
    monkeypatch.setattr(worker, "STAND_BACK_S", 0.05)
    monkeypatch.setitem(worker.DELIVERIES_COUNT, LIVE_LANE, 3)
    told = [wire.message(f"wamid.{n:02}", n, wire.text(f"{n:02}"), phone=PHONE) for n in range(DEEP)]
    await intake.journal(shop, [body_of(message) for message in told])

    async def is_done() -> bool:
        return not await rows(shop, "SELECT FROM backlog")

    async with looping(worker.run(shop, KEYRING, LIVE_LANE, wake=asyncio.Event())):
        await until(is_done, "all of it is applied")
    assert await rows(shop, "SELECT text FROM messages ORDER BY 1") == [(f"{n:02}",) for n in range(DEEP)]
    added = await rows(shop, "SELECT message_id FROM events WHERE kind = 'message_added'")
    assert len(added) == len(set(added)) == DEEP
    assert await rows(shop, "SELECT unread_count FROM conversations") == [(DEEP,)]
    assert max(at_once) == 2


@pytest.mark.requirement("C4")
async def test_what_always_takes_too_long_is_found_although_more_and_more_waits_behind_it(
    shop: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in the middle times out in every batch: it must stand alone in quarantine before the backlog is done."""
    lasting, tries, found_after = worker._apply_or_halve, list[int](), list[int]()

    async def timing_out(conn: Any, pool: Any, known: Any, facts: Any, *, is_alone: bool) -> worker.Outcome:
        if any(getattr(fact, "wamid", "") == "wamid.30" for fact in facts):
            tries.append(len(facts))
            await asyncio.sleep(0.3)
            if not is_alone:
                raise psycopg.errors.QueryCanceled("it takes too long")
            found_after.append(len(await rows(shop, "SELECT FROM backlog")))
            error = Problem(part="entry[0]", error="it takes too long")
            return worker.Outcome(guilty=[Guilty(facts[0].journal_id, error)])
        return await lasting(conn, pool, known, facts, is_alone=is_alone)

    monkeypatch.setattr(worker, "_apply_or_halve", timing_out)
    monkeypatch.setattr(worker, "PAUSE_AFTER_ERROR_S", 0.01)
    monkeypatch.setattr(worker, "STAND_BACK_S", 30.0)
    monkeypatch.setitem(worker.DELIVERIES_COUNT, LIVE_LANE, WHOLE)
    told = [wire.message(f"wamid.{n:02}", n, wire.text(f"{n:02}"), phone=PHONE) for n in range(DEEP)]
    await intake.journal(shop, [body_of(message) for message in told])
    arriving = DEEP

    async with looping(worker.run(shop, KEYRING, LIVE_LANE, wake=asyncio.Event())), asyncio.timeout(PATIENCE_S):
        while not found_after:
            if len(await rows(shop, "SELECT FROM backlog")) < DEEP:  # it never gets shallow
                more = [
                    wire.message(f"wamid.{n:04}", n, wire.text("mais"), phone=PHONE)
                    for n in range(arriving, arriving + 30)
                ]
                await intake.journal(shop, [body_of(message) for message in more], at_once=True)
                arriving += 30
            await asyncio.sleep(0.005)
    assert found_after[0] > 0, "the backlog was still deep when it was found"
    whole = sum(count == WHOLE for count in tries)
    assert whole <= MET_WHOLE, f"it was met in batches of {tries}"
