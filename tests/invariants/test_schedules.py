"""A machine that plays Meta, the network, our workers and the people who write here, step by step, in random order.

Whatever happens on the way (orders, redeliveries, merged and split POSTs, several workers, a number connected late, a
part the database refuses for a while, answers that race their echoes), at the end all copies are alike. A failure shows
the steps that lead to it, shrunk to the fewest, and the rows that differ.

By hand, for hours: ``SCHEDULES=100000 .venv/bin/pytest -s tests/invariants/test_schedules.py``.
"""

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.invariants import vocabulary
from tests.invariants.copies import Copies, Copy, assert_same
from tests.invariants.vocabulary import POISON, Cast, Telling, Writing, several
from tests.support import wire

SCHEDULES_COUNT = int(os.environ.get("SCHEDULES", "540"))
"""Schedules that are played, about 70 ms of processor time each; `test_any_order` plays many more of a simpler kind."""
STEPS_COUNT = 25
DISTURBED_COUNT = 12
"""Copies for which the machine plays a schedule each; one more is told everything in order, at the end."""
WRITINGS_COUNT = 2

T = TypeVar("T")
seeds = st.integers(0, 2**32)


class Schedules(RuleBasedStateMachine):
    """Copy 0 waits; the others live through the steps."""

    runner: ClassVar[asyncio.Runner]
    lab: ClassVar[Copies]
    cast: Cast

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Copy] = self._run(self.lab.make(1 + DISTURBED_COUNT))
        self.writings: list[Writing] = []
        self.unanswered: list[tuple[Copy, Writing]] = []
        self.named: set[int] = set()  # messages of ours of which a status told with our reference

    @initialize(cast=vocabulary.casts())
    def begin(self, cast: Cast) -> None:
        """A third of the copies begin with a database that refuses a text, which is among what is told."""
        self.cast, number = cast, cast.numbers[0]
        refused = wire.message("wamid.refused", 3, wire.text(POISON), number=number, phone=cast.phones[0])
        self._told([vocabulary.told(number, refused)])
        for copy in self.made[1::3]:
            self._run(self.lab.poison(copy, number))

    @rule(data=st.data())
    def meta_tells(self, data: st.DataObject) -> None:
        self._told(data.draw(several(self.cast.tellings(), 1, 5)))

    @precondition(lambda self: len(self.writings) < WRITINGS_COUNT)
    @rule(data=st.data())
    def we_write(self, data: st.DataObject) -> None:
        writing = data.draw(vocabulary.writings(self.cast, len(self.writings)))
        if writing.number is vocabulary.ELSEWHERE:
            self._run(self.lab.connect(self.made))
        self.writings.append(writing)
        for copy in self.made:
            self._run(self.lab.write(copy, writing))
            self.unanswered.append((copy, writing))

    @precondition(lambda self: self.writings)
    @rule(data=st.data())
    def meta_tells_of_ours(self, data: st.DataObject) -> None:
        writing = data.draw(st.sampled_from(self.writings))
        tellings = data.draw(several(vocabulary.tellings_of(self.cast, writing), 1, 3))
        self.named |= {writing.ours for telling in tellings if vocabulary.reference(writing.ours) in str(telling)}
        self._told(tellings)

    @precondition(lambda self: self.unanswered)
    @rule(seed=seeds)
    def meta_answers(self, seed: int) -> None:
        """In about a third of the copies."""
        random.Random(seed).shuffle(self.unanswered)
        for _ in range(1 + len(self.unanswered) // 3):
            self._answer(0)

    @rule(seed=seeds)
    def deliver(self, seed: int) -> None:
        """To each copy a few POSTs of its own, each with a few of what is still to be told or was told before."""
        chance = random.Random(seed)
        posts = []
        for copy in self.made[1:]:
            if known := [*copy.waiting, *copy.delivered]:
                posts += [(copy, chance.choices(known, k=chance.randint(1, 4))) for _ in range(chance.randint(0, 3))]
        self._run(self.lab.deliver(posts))

    @rule(batch=st.sampled_from([1, 10, 100]), workers=st.integers(1, 3))
    def work(self, batch: int, workers: int) -> None:
        self._run(self.lab.work(batch=batch, workers=workers))

    @rule(seed=seeds, data=st.data())
    def trouble(self, seed: int, data: st.DataObject) -> None:
        """In half of the copies the database refuses a text for a while; or the number elsewhere is connected."""
        some = random.Random(seed).sample(self.made[1:], DISTURBED_COUNT // 2)
        number = data.draw(st.sampled_from([*self.cast.numbers, None]))
        if number is None:
            self._run(self.lab.connect(some))
        else:
            for copy in some:
                self._run(self.lab.poison(copy, number))

    @rule()
    def repair(self) -> None:
        self._run(self.lab.heal())

    def teardown(self) -> None:
        """Deliver what is left, to the first copy in order and one by one, and compare."""
        self._run(self.lab.connect(self.made))
        for copy in self.made:
            self._run(self.lab.deliver([(copy, [telling]) for telling in [*copy.waiting]]))
        self.unanswered = [one for one in self.unanswered if one[1].ours not in self.named]  # those answers are lost
        while self.unanswered:
            self._answer(0)
        self._run(self.lab.work(batch=100, workers=2))
        self._run(self.lab.heal())
        self._run(self.lab.work(batch=100, workers=2))
        assert_same(self.made, self._run(self.lab.tables(self.made, self.writings)))

    def _told(self, tellings: list[Telling]) -> None:
        for copy in self.made:
            copy.waiting += tellings

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def _answer(self, n: int) -> None:
        self._run(self.lab.answer(*self.unanswered.pop(n)))


@pytest.mark.requirement("C3", "C4", "D1", "D2", "D13", "D14", "F1", "F2", "F3", "F5")
def test_all_schedules_end_alike(
    runner: asyncio.Runner, copies: Copies, record_property: Callable[[str, object], None]
) -> None:
    class Bound(Schedules):
        pass

    Bound.runner, Bound.lab = runner, copies
    before = copies.made_count
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=-(-SCHEDULES_COUNT // DISTURBED_COUNT),
            stateful_step_count=STEPS_COUNT,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    played = copies.made_count - before
    record_property("measured", f"schedules played step by step: {played * DISTURBED_COUNT // (DISTURBED_COUNT + 1)}")
