"""Sign-ups whose process died, and to which nobody comes back: a worker finishes them, for the 24 hours run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import checks_rules, checks_watch, signup_links, signup_store, signups
from coexist.coexistence.signup_model import Problem, State
from tests.store.test_signing_up import DEATHS, crash
from tests.support.scripted_graph import error
from tests.support.signup import KEYRING, Desk, open_desk
from tests.support.waiting import looping, until


@pytest.fixture
async def desk(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(signups, "LAG_PAUSE_S", 0.01)
    monkeypatch.setattr(checks_rules, "CLOCK_WARNING_S", 2 * signup_store.BUSY_S)  # the database's clock stays behind
    async with open_desk(pool) as opened:
        yield opened


async def work(desk: Desk, *, later: float = 0) -> None:
    at = clock.now() + timedelta(seconds=later)
    with clock.reading(lambda: at):
        await signups.go_on_with_left(desk.pool, desk.graph, KEYRING, desk.settings)


@pytest.mark.requirement("B3")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("module", "name"), DEATHS, ids=[name for _, name in DEATHS])
async def test_a_crash_anywhere_is_gone_on_from_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, is_after: bool
) -> None:
    await crash(desk, monkeypatch, module, name, is_after=is_after)
    await work(desk, later=signup_store.BUSY_S + 1)
    assert await desk.ask("SELECT state::text, problem FROM signups") == [("connected", None)]
    assert await desk.wanted() == 2
    before = len(desk.meta.asked)
    await work(desk, later=2 * signup_store.BUSY_S)
    assert len(desk.meta.asked) == before, "and then it is done"


@pytest.mark.requirement("A5", "B3")
async def test_a_process_that_died_with_the_access_alone_is_followed_and_a_person_is_left_to_decide(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
    desk.party = signup_links.party_of(link, "Teresa")
    signup_id = uuid4()
    await desk.take_code(signup_id)
    asked = len(desk.meta.asked)
    await work(desk)
    assert len(desk.meta.asked) == asked, "whoever took the code is about to go on"
    numbers = desk.meta.files["phone_numbers"][0]["data"]
    numbers.append({**numbers[0], "id": "555", "display_phone_number": "+351 21 055 9001"})
    await work(desk, later=61)
    async with transaction(desk.pool) as conn:
        stopped = await signups.find(conn, desk.party, signup_id)
    assert (stopped.state, stopped.problem) == (State.AUTHORISED, Problem.WHICH_NUMBER)
    asked = len(desk.meta.asked)
    await work(desk, later=600)
    assert len(desk.meta.asked) == asked, "nobody but a person can say which"


@pytest.mark.requirement("A5", "B3")
@pytest.mark.parametrize("trouble", ["no answer", "not let listen", "lists lag"])
async def test_what_passes_by_itself_costs_no_chance(desk: Desk, trouble: str) -> None:
    listed = desk.meta.files["phone_numbers"]
    problem = {
        "no answer": Problem.UNREACHABLE,
        "not let listen": Problem.NOT_SUBSCRIBED,
        "lists lag": Problem.NO_NUMBER,
    }
    signup_id = uuid4()
    await desk.take_code(signup_id)
    if trouble == "lists lag":
        desk.meta.files["phone_numbers"] = ({"data": []}, b"")
    elif trouble == "not let listen":
        desk.meta.answers.extend([desk.meta._usual] * 3 + [error(2)])
    else:
        desk.meta.answers.extend(error(2) for _ in range(9))
    assert (await desk.advance(signup_id)).problem == problem[trouble]
    desk.meta.answers.clear()
    desk.meta.files["phone_numbers"] = listed
    asked = len(desk.meta.asked)
    await work(desk, later=50)
    assert len(desk.meta.asked) == asked, "not in a loop"
    await work(desk, later=70)
    assert await desk.ask("SELECT state::text, problem FROM signups") == [("connected", None)]
    assert await desk.wanted() == 2


async def test_what_does_not_pass_is_tried_more_and_more_rarely_and_not_for_ever(desk: Desk) -> None:
    desk.meta.files["phone_numbers"] = ({"data": []}, b"")
    assert (await desk.sign_up()).problem == Problem.NO_NUMBER
    tries, before = 0, len(desk.meta.asked)
    for minute in range(1, 180):
        await work(desk, later=60 * minute)
        tries, before = tries + (len(desk.meta.asked) > before), len(desk.meta.asked)
    assert 10 < tries < 20
    await desk.sign_up()
    before = len(desk.meta.asked)
    await desk.sign_up()
    once = len(desk.meta.asked) - before
    before = len(desk.meta.asked)
    await work(desk, later=70)
    assert len(desk.meta.asked) - before < once, "who tries again and again is followed once"


@pytest.mark.requirement("B3")
async def test_a_worker_looks_for_them(desk: Desk) -> None:
    await desk.take_code(uuid4())
    later = clock.now() + timedelta(minutes=2)

    async def is_connected() -> bool:
        return bool(await desk.ask("SELECT state::text FROM signups") == [("connected",)])

    with clock.reading(lambda: later):
        async with looping(checks_watch.run_looks(desk.pool, desk.graph, KEYRING, desk.settings)):
            await until(is_connected, "the number is connected")
