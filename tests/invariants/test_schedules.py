"""A machine that plays Meta, the network, our workers and the people who write here, step by step, in random order.

Whatever happens on the way (orders, redeliveries, merged and split POSTs, several workers, a number connected late, a
part the database refuses for a while, answers that race their echoes), at the end all copies are alike. A failure shows
the steps that lead to it, shrunk to the fewest, and the rows that differ.

By hand, for hours: ``SCHEDULES=20000 .venv/bin/pytest tests/invariants/test_schedules.py -s``.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.invariants import vocabulary
from tests.invariants.copies import Copies, Copy, assert_same
from tests.invariants.vocabulary import Cast, Telling, Writing, several

RUNS_COUNT = int(os.environ.get("SCHEDULES", "60"))
STEPS_COUNT = 25
DISTURBED_COUNT = 3
"""Copies whose schedule the machine plays; one more is told everything in order, at the end."""
WRITINGS_COUNT = 2

T = TypeVar("T")
places = st.integers(1, DISTURBED_COUNT)


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

    @initialize(cast=vocabulary.casts())
    def begin(self, cast: Cast) -> None:
        self.cast = cast

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
        self._told(data.draw(several(vocabulary.tellings_of(self.cast, writing), 1, 3)))

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data())
    def meta_answers(self, data: st.DataObject) -> None:
        self._answer(data.draw(st.integers(0, len(self.unanswered) - 1)))

    @rule(place=places, data=st.data())
    def deliver(self, place: int, data: st.DataObject) -> None:
        """A few POSTs, each with a few of what is still to be told or was told before."""
        copy = self.made[place]
        if known := [*copy.waiting, *copy.delivered]:
            posts = data.draw(several(several(st.sampled_from(known), 1, 4), 1, 3))
            self._run(self.lab.deliver([(copy, post) for post in posts]))

    @rule(batch=st.sampled_from([1, 3, 100]), workers=st.integers(1, 3))
    def work(self, batch: int, workers: int) -> None:
        self._run(self.lab.work(batch=batch, workers=workers))

    @rule(place=places, data=st.data())
    def trouble(self, place: int, data: st.DataObject) -> None:
        """The database refuses a text for a while; or the number elsewhere is connected at last."""
        copy, number = self.made[place], data.draw(st.sampled_from([*self.cast.numbers, None]))
        if number is None:
            self._run(self.lab.connect([copy]))
        else:
            self._run(self.lab.poison(copy, number))

    @rule()
    def repair(self) -> None:
        self._run(self.lab.heal())

    def teardown(self) -> None:
        """Deliver what is left, to the first copy in order and one by one, and compare."""
        self._run(self.lab.heal())
        self._run(self.lab.connect(self.made))
        for copy in self.made:
            self._run(self.lab.deliver([(copy, [telling]) for telling in [*copy.waiting]]))
        while self.unanswered:
            self._answer(0)
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
def test_all_schedules_end_alike(runner: asyncio.Runner, copies: Copies) -> None:
    class Bound(Schedules):
        pass

    Bound.runner, Bound.lab = runner, copies
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=RUNS_COUNT,
            stateful_step_count=STEPS_COUNT,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
