"""Any order, duplication, batching and concurrency of the same deliveries ends in the same tables."""

import asyncio
import os
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.invariants import vocabulary
from tests.invariants.copies import Copies, Copy, assert_same
from tests.invariants.vocabulary import Telling

SCHEDULES_COUNT = int(os.environ.get("SCHEDULES", "2530"))
"""Schedules in which worlds are told, about 30 ms of processor time each: with those of `test_schedules` 3,000 in less
than two minutes. A long run, by hand: ``SCHEDULES=100000 .venv/bin/pytest -s tests/invariants/test_any_order.py``."""
SCHEDULES_PER_WORLD = 23

worlds = vocabulary.casts().flatmap(lambda cast: vocabulary.several(cast.tellings(), 2, 9))


def posts_of(copy: Copy, world: Sequence[Telling], chance: random.Random) -> list[tuple[Copy, list[Telling]]]:
    """Shuffle, repeat, merge and split a world into POSTs."""
    items = [*world, *(telling for telling in world if chance.random() < 0.3)]
    chance.shuffle(items)
    found = []
    while items:
        found.append((copy, [items.pop() for _ in range(min(len(items), chance.randint(1, 3)))]))
    return found


async def tell(lab: Copies, world: Sequence[Telling], seed: int) -> None:
    """Tell a world plainly to one copy and in other ways to others, all at once, in a few rounds; compare."""
    chance = random.Random(seed)
    made = await lab.make(1 + SCHEDULES_PER_WORLD)
    plain, others = made[0], made[1:]
    await lab.connect(made[: SCHEDULES_PER_WORLD // 2])  # the others have a number that is connected at the end
    posts = [posts_of(copy, world, chance) for copy in others]
    rounds = chance.choice([1, 1, 2, 3])
    for n in range(rounds):
        now = [(plain, [telling]) for telling in world[n::rounds]]
        now += [post for each in posts for post in each[n::rounds]]
        await lab.deliver(now)
        await lab.work(batch=chance.choice([10, 60, 400]), workers=chance.choice([1, 1, 2, 3]))
    await lab.connect(made)
    assert_same(made, await lab.tables(made, ()))


@pytest.mark.requirement("D1", "D12", "D14", "C3", "F1")
@settings(
    max_examples=-(-SCHEDULES_COUNT // SCHEDULES_PER_WORLD),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(world=worlds, seed=st.integers(0, 2**32))
def test_any_schedule_gives_the_same_tables(
    runner: asyncio.Runner, copies: Copies, world: list[Telling], seed: int
) -> None:
    runner.run(tell(copies, world, seed))
