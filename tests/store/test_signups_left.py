"""Sign-ups whose process died, and to which nobody comes back: a worker finishes them, for the 24 hours run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import checks_rules, checks_watch, signup_links, signup_store, signups
from coexist.coexistence.signup_model import Problem, State
from tests.store.test_signing_up import DEATHS, Died
from tests.support.signup import KEYRING, Desk, open_desk


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
    lived: Callable[..., Awaitable[Any]] = getattr(module, name)

    async def dies(*arguments: Any, **named: Any) -> None:
        if is_after:
            await lived(*arguments, **named)
        raise Died

    signup_id = uuid4()
    await desk.take_code(signup_id)
    monkeypatch.setattr(module, name, dies)
    with pytest.raises(Died):
        await desk.advance(signup_id)
    monkeypatch.setattr(module, name, lived)
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


@pytest.mark.requirement("B3")
async def test_a_worker_looks_for_them(desk: Desk) -> None:
    await desk.take_code(uuid4())
    later = clock.now() + timedelta(minutes=2)
    with clock.reading(lambda: later):
        task = asyncio.create_task(checks_watch.run_looks(desk.pool, desk.graph, KEYRING, desk.settings))
        async with asyncio.timeout(20):
            while await desk.ask("SELECT state::text FROM signups") != [("connected",)]:
                await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
