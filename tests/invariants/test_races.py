"""Schedules that once ended differently, each in the fewest steps: kept so that they never do again."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.invariants.copies import Copies, Copy, assert_same
from tests.invariants.vocabulary import Telling, Writing, told
from tests.support import wire
from tests.support.intake import SHOP

RUI: dict[str, Any] = {"phone": "351910559122"}
SOON = {"timestamp": "soon"}
"""No time at all: the delivery's time of receipt stands in."""
WRITTEN = Writing(ours=0, number=SHOP, peer="351910559122", at=21, text="Resposta")


def in_history(word: str) -> Telling:
    """The message of ours as a history tells it."""
    item = wire.past(WRITTEN.wamid, 17, wire.text(WRITTEN.text), outbound=True, word=word, phone=WRITTEN.peer)
    return told(SHOP, wire.history([wire.thread(WRITTEN.peer, None, [item])]), of_ours=0)


@pytest.mark.requirement("D2", "D13")
def test_a_status_that_a_history_told_of_our_message_outlives_the_answer(
    runner: asyncio.Runner, copies: Copies
) -> None:
    """Unclear, then connected anew: the history says READ before we learn which wamid was ours."""

    async def race() -> None:
        answered_first, told_first = made = await copies.make(2)
        for copy in made:
            await copies.write(copy, WRITTEN)
        await copies.answer(answered_first, WRITTEN)
        await _deliver(copies, made)
        await copies.answer(told_first, WRITTEN)
        assert_same(made, await copies.tables(made, [WRITTEN]))

    async def _deliver(lab: Copies, made: list[Copy]) -> None:
        await lab.deliver([(copy, [in_history("READ")]) for copy in made])
        await lab.work(batch=100, workers=1)

    runner.run(race())


async def outcomes(lab: Copies, *schedules: Sequence[Telling]) -> None:
    """Tell one copy for each schedule, each delivery applied before the next one comes; fail if they differ."""
    made = await lab.make(len(schedules))
    for copy, schedule in zip(made, schedules, strict=True):
        for telling in schedule:
            await lab.deliver([(copy, [telling])])
            await lab.work(batch=100, workers=1)
    await lab.connect(made)
    assert_same(made, await lab.tables(made, []))


def imported(wamid: str, *, outbound: bool) -> Telling:
    """A message of the past; both are of the same second."""
    item = wire.past(wamid, 100, wire.text("Oi"), outbound=outbound, phone=RUI["phone"])
    return told(SHOP, wire.history([wire.thread(RUI["phone"], None, [item])], order=1 + outbound))


@pytest.mark.requirement("D6", "D8")
def test_who_had_the_last_word_of_one_second_does_not_depend_on_who_came_first(
    runner: asyncio.Runner, copies: Copies
) -> None:
    """Meta's times are whole seconds: a question and its automatic answer often share one."""
    both = [imported("wamid.1", outbound=False), imported("wamid.2", outbound=True)]
    runner.run(outcomes(copies, both, both[::-1]))


def live(wamid: str, what: dict[str, Any], name: str | None = None) -> Telling:
    return told(SHOP, wire.message(wamid, 1, what, name=name, **RUI))


@pytest.mark.requirement("C3", "C8")
@pytest.mark.parametrize(
    "world",
    [
        pytest.param([live("wamid.1", wire.image("8801") | SOON)], id="file"),
        pytest.param(
            [
                live("wamid.1", wire.text("velho")),
                live("wamid.c1", wire.edit("wamid.1", "novo") | SOON),
                live("wamid.c2", wire.edit("wamid.1", "mais novo") | SOON),
            ],
            id="edit",
        ),
        pytest.param(
            [live("wamid.1", wire.text("a") | SOON, "Rui"), live("wamid.2", wire.text("b") | SOON, "Rui Costa")],
            id="profile",
        ),
    ],
)
def test_what_has_no_time_is_as_old_as_its_first_receipt(
    runner: asyncio.Runner, copies: Copies, world: list[Telling]
) -> None:
    """Delivered again an hour later, each of them, in the same order: nothing may look newer than it was."""
    runner.run(outcomes(copies, world, [*world, *world[:-1], world[0]]))
