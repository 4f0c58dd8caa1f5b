"""Loops end when they are told to, also those that miss it the first time."""

from __future__ import annotations

import asyncio

from coexist.base import loops
from tests.support.waiting import PATIENCE_S


async def test_a_loop_whose_cancellation_was_lost_is_cancelled_again() -> None:
    begun, cancelled = asyncio.Event(), 0

    async def deaf_once() -> None:
        nonlocal cancelled
        begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > 1:
                    raise

    loop = asyncio.create_task(deaf_once())
    await begun.wait()
    async with asyncio.timeout(PATIENCE_S):
        await loops.end([loop], again_s=0.01)
    assert loop.cancelled()
    assert cancelled == 2


async def test_what_a_loop_still_has_to_finish_is_waited_for() -> None:
    begun, finished = asyncio.Event(), False

    async def finishes() -> None:
        nonlocal finished
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            finished = True

    loop = asyncio.create_task(finishes())
    await begun.wait()
    await loops.end([loop])
    assert finished


async def test_loops_that_ended_before_or_failed_hold_nothing_up() -> None:
    async def fails() -> None:
        raise ValueError("as scripted")

    failed = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await loops.end([failed])
    assert isinstance(failed.exception(), ValueError)
    await loops.end([])
