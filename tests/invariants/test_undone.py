"""Imports are taken back at any moment of any schedule and brought back: in the end nobody could tell.

What Meta told otherwise (live messages, echoes, statuses, who is who, what a person wishes) is here all the time.

By hand, for hours: ``SCHEDULES=100000 .venv/bin/pytest -s tests/invariants/test_undone.py``.
"""

import asyncio
import os
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coexist.base.database import transaction
from coexist.coexistence import undoing
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.intake.replay import replay_import
from tests.invariants import vocabulary
from tests.invariants.copies import Copies, Copy, assert_same
from tests.invariants.test_any_order import posts_of
from tests.invariants.vocabulary import NUMBERS, Telling
from tests.support.intake import Number
from tests.support.wire import EPOCH

SCHEDULES_COUNT = int(os.environ.get("SCHEDULES", "230"))
SCHEDULES_PER_WORLD = 23

# An import is what this is about, so there is always some.
worlds = vocabulary.casts().flatmap(
    lambda cast: st.tuples(
        vocabulary.several(cast.tellings(), 2, 7),
        vocabulary.several(
            st.one_of(vocabulary.pasts(cast), vocabulary.late_files(cast), vocabulary.entries(cast)), 1, 4
        ),
    ).map(lambda both: [*both[0], *both[1]])
)

ONBOARD = """
WITH theirs AS (
    UPDATE inboxes SET onboarded_at = to_timestamp(%(at)s) WHERE account_id = ANY(%(accounts)s) RETURNING id)
UPDATE syncs s SET onboarded_at = to_timestamp(%(at)s) FROM theirs t WHERE s.inbox_id = t.id
"""


async def onboard(lab: Copies, copies: Sequence[Copy]) -> None:
    """The numbers were connected at EPOCH, so that what the phone shares of its past lies before."""
    accounts = [account for copy in copies for account in copy.accounts]
    async with transaction(lab.pool) as conn:
        await conn.execute(ONBOARD, {"at": EPOCH, "accounts": accounts})


async def undo(lab: Copies, copy: Copy, number: Number) -> None:
    """Take back what is here of a number's import."""
    async with lab.pool.connection() as conn:
        known = await inboxes.by_phone_number_ids(conn, [copy.number(number).phone_number_id])
    for inbox in known.values():
        after: int | None = 0
        while after is not None:
            async with transaction(lab.pool) as conn:
                step = await undoing.undo_some(conn, inbox, after=after)
                await feed.append(conn, step.events)
            after = step.last_id
        copy.schedule.append(f"undo the import of {number.phone_number_id}")


async def bring_back(lab: Copies, copies: Sequence[Copy]) -> None:
    for copy in copies:
        async with transaction(lab.pool) as conn:
            for number in NUMBERS:
                await replay_import(conn, copy.number(number).phone_number_id, None, "Inês")


async def tell(lab: Copies, world: Sequence[Telling], seed: int) -> None:
    chance = random.Random(seed)
    made = await lab.make(1 + SCHEDULES_PER_WORLD)
    await lab.connect(made)
    await onboard(lab, made)
    plain, others = made[0], made[1:]
    posts = [posts_of(copy, world, chance) for copy in others]
    rounds = chance.choice([2, 3, 4])
    for n in range(rounds):
        now = [(plain, [telling]) for telling in world[n::rounds]]
        now += [post for each in posts for post in each[n::rounds]]
        await lab.deliver(now)
        undoes = [(copy, chance.choice(NUMBERS)) for copy in others if chance.random() < 0.3]
        working = lab.work(batch=chance.choice([10, 60, 400]), workers=chance.choice([1, 1, 2, 3]))
        if chance.random() < 0.3:
            await asyncio.gather(working, *(undo(lab, *one) for one in undoes))
        else:
            await working
            for one in undoes:
                await undo(lab, *one)
    await lab.work(batch=100, workers=1)
    await bring_back(lab, others)
    await lab.work(batch=100, workers=2)
    assert_same(made, await lab.tables(made, ()))


@pytest.mark.requirement("C3", "D1", "F1")
@settings(
    max_examples=-(-SCHEDULES_COUNT // SCHEDULES_PER_WORLD),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(world=worlds, seed=st.integers(0, 2**32))
def test_whatever_is_taken_back_and_brought_back_ends_in_the_same_tables(
    runner: asyncio.Runner, copies: Copies, world: list[Telling], seed: int
) -> None:
    runner.run(tell(copies, world, seed))
