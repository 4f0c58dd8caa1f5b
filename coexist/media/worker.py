"""The loops of files: fetching them while Meta has them, and deleting those that nobody names any more."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

import psycopg

from coexist.base import clock, log
from coexist.base.database import transaction
from coexist.base.errors import AppError
from coexist.events import feed
from coexist.media import disk, rules, store
from coexist.media.adopt import adopt
from coexist.media.fetch import Means, fetch, give_back
from coexist.media.keeping import Keep
from coexist.media.model import Reason
from coexist.media.sweep import sweep

POLL_S: Final = 4.0
PAUSE_AFTER_ERROR_S: Final = 2.0
SWEEP_EVERY_S: Final = 6 * 3600
FIRST_SWEEP_S: Final = 300
ADOPT_AGAIN_S: Final = 60.0

logger = log.get(__name__)


async def run(means: Means, *, wake: asyncio.Event) -> None:
    """Fetch for ever, several files side by side: one that stands still holds its own place alone.

    ``wake`` is set when files may have been told of.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_adopt(means.keep))
        for _ in range(means.settings.media_at_once):
            group.create_task(_fetch_for_ever(means, wake))


async def _fetch_for_ever(means: Means, wake: asyncio.Event) -> None:
    while True:
        wake.clear()
        try:
            if await fetch_next(means):
                continue
        except (AppError, psycopg.Error) as error:
            logger.error("files_not_fetched", error=str(error), error_type=type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S * random.uniform(0.7, 1.3)):  # noqa: S311
                await wake.wait()


async def fetch_next(means: Means) -> bool:
    """Fetch the next file that may be fetched now; False when there is none."""
    settings = means.settings
    if await asyncio.to_thread(disk.free_bytes, settings.data_dir) < settings.media_min_free_bytes:
        await _wait_for_room(means)
        return False
    async with transaction(means.pool) as conn:
        claimed = await store.claim(
            conn, at_once_per_number=settings.media_at_once_per_number, per_hour=settings.media_per_hour
        )
    if claimed is None:
        return False
    try:
        await fetch(means, claimed)
    except Exception:
        # One file never stops the others. Without a database its claim runs out.
        logger.exception("file_not_fetched", media_id=claimed.id)
        with suppress(AppError, psycopg.Error):
            await give_back(means, claimed)
    return True


async def _wait_for_room(means: Means) -> None:
    """Say on every file that is due why it is not fetched; they are due again in a minute."""
    until = clock.now() + rules.jittered(rules.ROOM_PAUSE_S)
    async with transaction(means.pool) as conn:
        events = await store.put_off_all(conn, until, Reason.NO_ROOM, rules.SENTENCES[Reason.NO_ROOM])
        await feed.append(conn, events)
    if events:
        logger.error("disk_nearly_full", data_dir=str(means.settings.data_dir), next_step="Make room.")


async def run_sweeps(keep: Keep, *, wake: asyncio.Event) -> None:
    """Sweep for ever: soon after the start, a few times a day, and when ``wake`` says that rows were deleted."""
    due_at = asyncio.get_running_loop().time() + FIRST_SWEEP_S
    while True:
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due_at - now)):
                await wake.wait()
        wake.clear()
        is_due = asyncio.get_running_loop().time() >= due_at
        if is_due:
            due_at += SWEEP_EVERY_S * random.uniform(0.8, 1.2)  # noqa: S311
        try:
            await sweep(keep, is_thorough=is_due)
        except (AppError, psycopg.Error, OSError) as error:
            logger.error("files_not_swept", error=str(error), error_type=type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)


async def _adopt(keep: Keep) -> None:
    while True:
        try:
            await adopt(keep)
            return
        except (AppError, psycopg.Error, OSError) as error:
            logger.error("files_not_adopted", error=str(error), error_type=type(error).__name__)
            await asyncio.sleep(ADOPT_AGAIN_S)
