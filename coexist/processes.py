"""Our own child processes: started with us, started again when they die, ended with us, even by kill -9.

A child is told its parent's process id and watches it: an orphan ends by itself within a second.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Final

import uvloop

from coexist.base import log

PARENT_VARIABLE: Final = "COEXIST_PARENT_PID"
WATCH_EVERY_S: Final = 1.0
RESTART_PAUSE_S: Final = 1.0
GC_THRESHOLD_COUNT: Final = 50_000
STOP_WAIT_S: Final = 20.0
"""How long a child may take to finish what it is doing before it is killed."""

logger = log.get(__name__)


def run_loop(main: Coroutine[None, None, None]) -> None:
    """Run a process's one coroutine to its end, on uvloop.

    What was imported stays until then, and what a delivery or a history chunk makes lives until it is answered or
    applied: looking through all of that for garbage, at the default rate, costs more than parsing it.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_COUNT, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def keep_running(module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> None:
    """Run ``python -m module arguments`` until cancelled, again whenever it ends."""
    environment = os.environ | {PARENT_VARIABLE: str(os.getpid())}
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, env=environment, pass_fds=pass_fds, start_new_session=True
        )
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _stop(child)
            raise
        logger.error("child_ended", module=module, exit_code=code, restart_in_s=RESTART_PAUSE_S)
        await asyncio.sleep(RESTART_PAUSE_S)


async def _stop(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), STOP_WAIT_S)
    except TimeoutError:
        logger.error("child_killed", pid=child.pid, waited_s=STOP_WAIT_S)
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def until_told_to_stop() -> None:
    """Return at the first SIGTERM or SIGINT, or when our parent, if we are a child, is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    orphaned = asyncio.create_task(until_orphaned())
    orphaned.add_done_callback(lambda _: stop.set())
    await stop.wait()
    orphaned.cancel()


async def until_orphaned() -> None:
    """Return when the process that started us as its child is gone; never, when nobody did."""
    parent = os.environ.get(PARENT_VARIABLE)
    while parent is None or str(os.getppid()) == parent:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(WATCH_EVERY_S)
    logger.warning("parent_gone", parent_pid=parent)
