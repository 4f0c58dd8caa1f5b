"""The loop that tells programs what happened: each webhook is a place in the feed, and one POST at a time moves it on.

A turn is claimed, read, posted and settled, in short transactions with none open during the POST. A worker that dies
in between has moved nothing: after LEASE_S another tells the same events again. So every event is told at least once,
and those of an account in their order; a program that is slow or away keeps its own place alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import psycopg

from coexist.base import clock, log
from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import AppError
from coexist.webhooks import body, rules, store, telling
from coexist.webhooks.model import Outcome, Telling, Turn
from coexist.webhooks.posting import ATTEMPT_S, Post, open_post

POLL_S: Final = 0.5
"""How late a program hears of something at most. One look costs one small query, whatever happens in the feed."""
PAUSE_AFTER_ERROR_S: Final = 2.0
IN_FLIGHT_COUNT: Final = 100
"""POSTs under way at once in one process."""
CONNECTIONS_COUNT: Final = 3
"""Connections to the database that all of them share."""
DRAIN_S: Final = ATTEMPT_S + 2.0
"""How long stopping waits for POSTs under way, so that what was taken is not told again."""

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What telling needs, one for the process."""

    pool: Pool
    keyring: Keyring
    post: Post
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS_COUNT))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction, when one of the few connections is free: however many programs, other loops find one."""
        async with self.places, transaction(self.pool) as conn:
            yield conn


async def run(pool: Pool, keyring: Keyring, *, may_be_private: bool) -> None:
    """Tell for ever; when cancelled, POSTs under way are finished."""
    under_way: set[asyncio.Task[bool]] = set()
    wake = asyncio.Event()

    def ended(task: asyncio.Task[bool]) -> None:
        under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("webhook_failed", exc_info=error)  # its claim runs out
        elif not task.cancelled() and task.result():
            wake.set()

    async with open_post(may_be_private=may_be_private) as post:
        means = Means(pool, keyring, post)
        try:
            while True:
                wake.clear()
                pause = POLL_S * random.uniform(0.7, 1.0)  # noqa: S311
                try:
                    for turn in await claim(pool, IN_FLIGHT_COUNT - len(under_way)):
                        task = asyncio.create_task(tell(means, turn))
                        under_way.add(task)
                        task.add_done_callback(ended)
                except (AppError, psycopg.Error) as error:
                    logger.error("webhooks_not_read", error=str(error), error_type=type(error).__name__)
                    pause = PAUSE_AFTER_ERROR_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await wake.wait()
        finally:
            if under_way:
                await asyncio.wait(under_way, timeout=DRAIN_S)
            for task in under_way:
                task.cancel()


async def claim(pool: Pool, count: int) -> list[Turn]:
    """Take the turn of ``count`` webhooks at most that have something to tell."""
    if count <= 0:
        return []
    async with transaction(pool) as conn:
        return list(await store.claim(conn, count))


async def tell(means: Means, turn: Turn) -> bool:
    """Make one POST of a claimed webhook, and settle it; whether there is more to tell at once."""
    with log.context(webhook_id=turn.id):
        if turn.is_test_wanted:
            told = telling.test_telling(turn)
        else:
            async with means.transaction() as conn:
                told = await telling.next_telling(conn, means.keyring, turn)
        if not told.events:
            async with means.transaction() as conn:
                await store.taken(conn, turn, told)
            return told.is_more
        content = body.encoded(turn.id, turn.account_id, told.events)
        outcome = await _post(means, turn, content)
        await _settle(means, turn, told, outcome, body_bytes=len(content))
        return told.is_more and outcome.error is None


async def _post(means: Means, turn: Turn, content: bytes) -> Outcome:
    timestamp = int(clock.of_host().timestamp())  # programs compare it with their own clock
    try:
        secrets = [
            means.keyring.decrypt(sealed, row=store.row_name(turn.id))
            for sealed in (turn.secret, turn.former_secret)
            if sealed is not None
        ]
    except SecretUnreadable as error:
        return Outcome(None, f"Nothing was sent: {error}", 0)
    headers = {
        rules.TIMESTAMP_HEADER: str(timestamp),
        rules.SIGNATURE_HEADER: rules.signature(secrets, timestamp, content),
        rules.WEBHOOK_HEADER: str(turn.id),
    }
    return await means.post.send(turn.url, content, headers)


async def _settle(means: Means, turn: Turn, told: Telling, outcome: Outcome, *, body_bytes: int) -> None:
    now, failures = clock.now(), turn.failures + 1
    ends = not told.is_test and rules.gives_up(outcome.status, failures, turn.failing_since or now, now)
    async with means.transaction() as conn:
        if outcome.error is None:
            is_ours = await store.taken(conn, turn, told)
        else:
            next_at = None if told.is_test else now + rules.pause(failures)
            is_ours = await store.refused(conn, turn, is_test=told.is_test, next_at=next_at, ends=ends)
        if is_ours:
            await store.note(conn, turn, told, outcome, body_bytes=body_bytes)
    if outcome.error is not None:
        host = urlsplit(turn.url).hostname  # an address may have a key in it
        logger.warning("webhook_not_taken", host=host, status=outcome.status, error=outcome.error, failures=failures)
    if ends:
        logger.error("webhook_disabled", next_step="Somebody resumes it on the page Webhooks once its program is back.")
