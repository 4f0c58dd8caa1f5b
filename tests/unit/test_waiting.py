"""Waiting in tests: a loop that failed ends the wait with its own error, and none outlives its block."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.waiting import looping, until


async def never() -> bool:
    return False


async def test_a_loop_that_fails_ends_the_wait_at_once_and_says_why() -> None:
    async def fails() -> None:
        raise ValueError("as scripted")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(60), looping(fails()):
            await until(never, "this")
    assert caught.group_contains(ValueError, match="as scripted")


async def test_a_loop_is_ended_with_its_block_and_may_finish_what_it_does() -> None:
    steps: list[str] = []

    async def works() -> None:
        steps.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("finished")

    async def has_begun() -> bool:
        return bool(steps)

    async with looping(works()):
        await until(has_begun, "it begins")
    assert steps == ["begun", "finished"]


async def test_what_was_waited_for_is_said() -> None:
    with pytest.raises(AssertionError, match="not within 0 s: the sun rises"):
        await until(never, "the sun rises", seconds=0.01)
