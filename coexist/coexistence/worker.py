"""The loop beside the one-shot sync: asks for what is wanted, and lets silence and deadlines take effect."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import psycopg

from coexist.base import log
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import oneshot, signup_store, store, switches
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox.switches import EVERYTHING, Switch
from coexist.meta.graph import Graph

POLL_S: Final = 15.0
"""How late a deadline can take effect, or a lost notification be noticed."""

logger = log.get(__name__)


async def run(
    pool: Pool, graph: Graph, keyring: Keyring, *, installation: frozenset[Switch], wake: asyncio.Event
) -> None:
    """Ask and sweep for ever. ``wake`` is set when somebody may want a sync; ``installation`` is what may be asked."""
    while True:
        wake.clear()
        try:
            await step(pool, graph, keyring, installation=installation)
        except (AppError, psycopg.Error) as error:
            logger.error("syncs_not_moved", error=str(error), error_type=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await wake.wait()


async def step(pool: Pool, graph: Graph, keyring: Keyring, *, installation: frozenset[Switch] = EVERYTHING) -> None:
    """Ask for every sync that is wanted, then move on what time has decided. One number's trouble stops no other."""
    async with transaction(pool) as conn:
        switched = await switches.reconcile(conn, installation)
        wanted = await store.wanted_inboxes(conn)
        await feed.append(
            conn, [NewEvent(account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox_id) for account_id, inbox_id in switched]
        )
    for inbox_id in wanted:
        try:
            await oneshot.ask(pool, graph, keyring, inbox_id)
        except (AppError, psycopg.Error) as error:
            logger.error("sync_not_asked_for", inbox_id=inbox_id, error=str(error), error_type=type(error).__name__)
    async with transaction(pool) as conn:
        moved = await store.sweep(conn)
        await signup_store.forget_tokens(conn)
        await feed.append(
            conn, [NewEvent(account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox_id) for account_id, inbox_id in moved]
        )
