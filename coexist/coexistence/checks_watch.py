"""The loops beside the checks: a worker's sign of life, and another look at numbers whose syncs wait for one."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import psycopg

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import checks_store as store
from coexist.coexistence import onboarding, signups
from coexist.inbox import inboxes
from coexist.meta.graph import Graph

BEAT_EVERY_S: Final = 20.0
PROBE_EVERY_S: Final = 300.0
PROBE_S: Final = 10.0
"""How long the place for files may take: what came from Meta is applied without it."""
LOOK_EVERY_S: Final = 5.0
AGAIN_LEAST: Final = timedelta(seconds=10)
AGAIN_MOST: Final = timedelta(minutes=10)
"""How soon, and how late, a number that waits is looked at again."""

Probe = Callable[[], Awaitable[int | None]]
"""Writes a file where files are kept and takes it away again; the free bytes there, None if nobody knows them."""

logger = log.get(__name__)


class Heart:
    """A worker's sign of life: which one it is, and whether it can keep files."""

    def __init__(self, pool: Pool, probe: Probe) -> None:
        self._pool = pool
        self._probe = probe
        self._worker, self._started_at = uuid4(), clock.now()
        self._free_bytes: int | None = None
        self._problem: str | None = None
        self._probed_at = -math.inf

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            await self.beat()

    async def beat(self) -> None:
        """Tell once. The first time belongs before all work: a self-test that is applied must have had a worker."""
        if self._problem or time.monotonic() - self._probed_at > PROBE_EVERY_S:
            try:
                async with asyncio.timeout(PROBE_S):
                    self._free_bytes, self._problem = await self._probe(), None
                self._probed_at = time.monotonic()
            except (AppError, OSError) as error:
                self._problem = str(error) or f"No file could be written within {PROBE_S:.0f} seconds."
                logger.error("files_not_writable", error=self._problem)
        host, released = socket.gethostname(), version("coexist")
        try:
            async with transaction(self._pool) as conn:
                await store.beat(conn, self._worker, host, released, self._started_at, self._free_bytes, self._problem)
        except (AppError, psycopg.Error) as error:
            logger.error("no_beat", error=str(error), error_type=type(error).__name__)


async def run_looks(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> None:
    """Look again, for ever, at numbers whose syncs wait: a trouble that passes must not cost the 24 hours.

    Before that, finish sign-ups whose process has died.
    """
    while True:
        try:
            await signups.go_on_with_left(pool, graph, keyring, settings)
            await look_again(pool, graph, keyring, settings)
        except (AppError, psycopg.Error) as error:
            logger.error("not_looked_again", error=str(error), error_type=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)


async def look_again(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> None:
    """Look at every number that is due, and ask for its syncs when all is in order. One's trouble stops no other."""
    async with transaction(pool) as conn:
        due = await store.due(conn, AGAIN_LEAST, AGAIN_MOST)
    for account_id, inbox_id in due:
        try:
            async with transaction(pool) as conn:
                inbox = await inboxes.get(conn, account_id, inbox_id)
            await graph.usage.ease()
            await onboarding.begin_syncs(pool, graph, keyring, settings, inbox, by_itself=True)
        except AppError as error:
            logger.warning("not_looked_at", inbox_id=inbox_id, error=str(error))
