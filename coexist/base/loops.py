"""Ending loops that run beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from coexist.base import log

CANCEL_AGAIN_S: Final = 17.0
"""When a loop that was cancelled is cancelled once more: later than any of them may take to finish what it does (the
sender waits 15 seconds for answers to its calls), and before whoever started us kills us (20 seconds)."""

logger = log.get(__name__)


async def end(loops: Iterable[asyncio.Task[Any]], *, again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel loops and wait until all have ended, however they do.

    Python 3.11 can lose a cancellation: one that comes in the moment in which ``asyncio.wait_for`` gets what it waits
    for, as the pool of connections does (gh-86296). The loop then goes on for ever, with nobody there to end it.
    """
    left = set(loops)
    while left:
        for loop in left:
            loop.cancel()
        _, left = await asyncio.wait(left, timeout=again_s)
        if left:
            logger.warning("loops_cancelled_again", count=len(left), waited_s=again_s)
