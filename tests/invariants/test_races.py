"""Schedules that once ended differently, each in the fewest steps: kept so that they never do again."""

import asyncio
from collections.abc import Sequence
from itertools import permutations
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


@pytest.mark.requirement("C3")
def test_whom_a_refusal_was_for_does_not_depend_on_when_their_user_id_is_learned(
    runner: asyncio.Runner, copies: Copies
) -> None:
    """Written to a phone; a history tells the same message of a user id. Its person wants no marketing (131050)."""
    item = wire.past(WRITTEN.wamid, 17, wire.text(WRITTEN.text), outbound=True, phone=WRITTEN.peer)
    past = told(SHOP, wire.history([wire.thread(WRITTEN.peer, "PT.2002", [item])]), of_ours=0)
    failed = told(SHOP, wire.status(WRITTEN.wamid, 30, "failed", errors=[{"code": 131050}], **RUI), of_ours=0)

    async def race() -> None:
        made = await copies.make(2)
        for copy, tellings in zip(made, ([failed, past], [past, failed]), strict=True):
            await copies.write(copy, WRITTEN)
            await copies.answer(copy, WRITTEN)
            for telling in tellings:
                await copies.deliver([(copy, [telling])])
                await copies.work(batch=100, workers=1)
        assert_same(made, await copies.tables(made, [WRITTEN]))

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


@pytest.mark.requirement("C3")
@pytest.mark.parametrize("kind", ["audio", "sticker"])
def test_a_file_that_is_told_in_two_ways_is_the_same_whichever_comes_first(
    runner: asyncio.Runner, copies: Copies, kind: str
) -> None:
    """As a voice note or an animation, and as none."""
    file = {"id": "8801", "mime_type": "audio/ogg", "sha256": "ab" * 32}
    both = [live("wamid.1", {"type": kind, kind: {**file, "voice": flag, "animated": flag}}) for flag in (True, False)]
    runner.run(outcomes(copies, both, both[::-1]))


@pytest.mark.requirement("D14")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(wire.edit("wamid.1", "novo"), wire.edit("wamid.2", "novo"), id="edit"),
        pytest.param(wire.reaction("wamid.1", "👍"), wire.reaction("wamid.2", "👍"), id="reaction"),
        pytest.param(wire.revoke("wamid.1"), wire.revoke("wamid.2"), id="revoke"),
    ],
)
def test_a_change_that_is_told_again_of_another_message_leaves_the_one_it_named(
    runner: asyncio.Runner, copies: Copies, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Meta foresees no such thing; if it happens, the later telling counts, whichever comes first."""
    texts = [live("wamid.1", wire.text("a")), live("wamid.2", wire.text("b"))]
    tellings = [told(SHOP, wire.message("wamid.c", at, what, **RUI)) for at, what in ((5, first), (9, second))]
    runner.run(outcomes(copies, [*texts, *tellings], [*texts, *tellings[::-1]], [tellings[0], *texts, tellings[1]]))


@pytest.mark.requirement("F5")
def test_a_message_told_twice_with_two_times_and_two_phones_has_one_owner(
    runner: asyncio.Runner, copies: Copies
) -> None:
    """The phone changed hands between the two times, and the later telling names its sender by another phone."""
    moved = told(SHOP, wire.moved("wamid.m", "351910559133", "5511985500111", 27))
    world = [
        told(SHOP, wire.message("wamid.1", 0, wire.text("Oi"), phone="5511985500111")),
        told(SHOP, wire.message("wamid.1", 27, wire.text("Oi!"), phone="351910559133")),
        moved,
    ]
    runner.run(outcomes(copies, *([world[n] for n in order] for order in permutations(range(3)))))


@pytest.mark.requirement("F8")
def test_who_is_added_and_removed_in_one_second_has_left_the_address_book_in_any_order_and_batch(
    runner: asyncio.Runner, copies: Copies
) -> None:
    both = [told(SHOP, wire.entry(5, name="Rui", **RUI)), told(SHOP, wire.entry(5, **RUI))]

    async def race() -> None:
        made = await copies.make(4)
        for copy, posts in zip(
            made, ([both], [both[::-1]], [[each] for each in both], [both[1:], both[:1]]), strict=True
        ):
            for post in posts:
                await copies.deliver([(copy, post)])
                await copies.work(batch=100, workers=1)
        tables = await copies.tables(made, [])
        assert_same(made, tables)
        (entry,) = tables[0]["address_book"]
        assert '"Rui"' not in entry

    runner.run(race())


@pytest.mark.requirement("D13")
def test_a_status_never_goes_back_whichever_history_has_the_better_content(
    runner: asyncio.Runner, copies: Copies
) -> None:
    def past(word: str, text: str) -> Telling:
        item = wire.past("wamid.1", 17, wire.text(text), outbound=True, word=word, phone=RUI["phone"])
        return told(SHOP, wire.history([wire.thread(RUI["phone"], None, [item])]))

    both = [past("READ", "a"), past("DELIVERED", "b")]
    runner.run(outcomes(copies, both, both[::-1]))


def moved(old: str, new: str, at: int) -> Telling:
    return told(SHOP, wire.moved(f"wamid.moved.{at}", old, new, at))


def wished(phone: str, at: int) -> Telling:
    """Of a phone alone: it names who had it then, and leaves no message."""
    return told(SHOP, wire.wished("stop", at, phone=phone))


FIRST_PHONE, NEXT_PHONE, LAST_PHONE, OTHER_PHONE = "5511985500102", "351910559122", "5511985500111", "351910559133"


@pytest.mark.requirement("F1", "F5")
def test_who_left_every_phone_has_the_same_ids_whichever_was_asked_for_first(
    runner: asyncio.Runner, copies: Copies
) -> None:
    """They wrote from the first, went on to the next and the last, and that one was somebody else's in the end."""
    begun = [moved(FIRST_PHONE, NEXT_PHONE, 10), moved(OTHER_PHONE, LAST_PHONE, 28)]
    rest = [
        told(SHOP, wire.message("wamid.1", 3, wire.text("Oi"), phone=FIRST_PHONE)),
        wished(NEXT_PHONE, 15),
        moved(NEXT_PHONE, LAST_PHONE, 21),
    ]
    runner.run(outcomes(copies, *([*begun, *(rest[n] for n in order)] for order in permutations(range(3)))))


@pytest.mark.requirement("F5")
def test_two_who_left_their_phones_and_never_wrote_are_both_found(runner: asyncio.Runner, copies: Copies) -> None:
    """One is known already when both are named; whoever has no message is forgotten when others are learned."""
    moves = [moved(OTHER_PHONE, NEXT_PHONE, 10), moved(FIRST_PHONE, OTHER_PHONE, 3)]
    one, other = wished(NEXT_PHONE, 5), wished(OTHER_PHONE, 1)

    async def race() -> None:
        made = await copies.make(2)
        for copy, posts in zip(made, ([*moves, one], [*moves, other]), strict=True):
            for post in [*([each] for each in posts), [one, other]]:
                await copies.deliver([(copy, post)])
                async with asyncio.timeout(60):  # fails within it: without an end, it would hold the locks for ever
                    await copies.work(batch=100, workers=1)
        assert_same(made, await copies.tables(made, []))

    runner.run(race())
