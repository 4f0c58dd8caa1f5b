"""The worker: every loop that is not a request. Any number may run, on any number of hosts, over one database."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp
import psycopg

from coexist import processes
from coexist.base import crypto, database, log, migrate, postgres
from coexist.base.config import Settings
from coexist.base.errors import Unavailable
from coexist.coexistence import store as syncs
from coexist.coexistence import worker as syncing
from coexist.inbox import files
from coexist.intake import store as journal
from coexist.intake import worker as applying
from coexist.media import worker as fetching
from coexist.meta.graph import Graph
from coexist.outbound import store as outbox
from coexist.outbound import worker as sending

POOL_CONNECTIONS_COUNT: Final = 12
LISTEN_AGAIN_S: Final = 1.0
GC_THRESHOLD_COUNT: Final = 50_000

logger = log.get(__name__)


def work(settings: Settings) -> None:
    """Run the loops until SIGTERM or SIGINT; calls to Meta that are under way are finished first."""
    # A history chunk makes thousands of objects that live until it is applied: looking among them for garbage, at the
    # default rate, costs more than parsing them.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_COUNT, 20, 20)
    processes.run_loop(_work(settings))


@asynccontextmanager
async def database_url_of(settings: Settings) -> AsyncIterator[str]:
    """The URL of the database, migrated: the settings', or the embedded one's for as long as the block lasts."""
    if settings.database_url:
        await migrate.apply_pending(settings.database_url)
        yield settings.database_url
    else:
        async with postgres.running(settings.data_dir) as url:
            await migrate.apply_pending(url)
            yield url


def graph_of(settings: Settings, session: aiohttp.ClientSession) -> Graph:
    """Graph as the settings name it; the first secret signs our calls."""
    secret = settings.app_secrets[0].decode() if settings.app_secrets else None
    return Graph(session, settings.graph_url, settings.graph_version, secret)


async def _work(settings: Settings) -> None:
    keyring = crypto.open_keyring(settings)
    async with (
        database_url_of(settings) as url,
        database.open_pool(url, application="coexist work", max_size=POOL_CONNECTIONS_COUNT) as pool,
        aiohttp.ClientSession() as session,
    ):
        graph = graph_of(settings, session)
        live, bulk, to_send, to_fetch, to_sync = (asyncio.Event() for _ in range(5))
        wakes = {
            journal.BACKLOG_CHANNEL: (live, bulk),
            outbox.CHANNEL: (to_send,),
            files.CHANNEL: (to_fetch,),
            syncs.CHANNEL: (to_sync,),
        }
        per_second, sync_enabled = settings.sends_per_second, settings.sync_enabled
        loops = [
            applying.run(pool, applying.LIVE_LANE, sync_enabled=sync_enabled, wake=live),
            applying.run(pool, applying.BULK_LANE, sync_enabled=sync_enabled, wake=bulk),
            sending.run(pool, graph, keyring, sends_per_second=per_second, wake=to_send),
            fetching.run(pool, graph, keyring, settings, wake=to_fetch),
            syncing.run(pool, graph, keyring, wake=to_sync),
            _listen(url, wakes),
        ]
        async with asyncio.TaskGroup() as group:  # a loop that fails is a bug: all stop, and the process starts anew
            tasks = [group.create_task(loop) for loop in loops]
            logger.info("worker_ready")
            await processes.until_told_to_stop()
            for task in tasks:
                task.cancel()
    logger.info("worker_stopped")


async def _listen(database_url: str, wakes: dict[str, tuple[asyncio.Event, ...]]) -> None:
    """Set the events of each channel that is notified; after a break all of them: anything may have been missed."""
    while True:
        with suppress(Unavailable, psycopg.OperationalError):
            async with database.connect_listen(database_url, *wakes, application="coexist work listen") as connection:
                for events in wakes.values():
                    for event in events:
                        event.set()
                async for notice in connection.notifies():
                    for event in wakes[notice.channel]:
                        event.set()
        logger.warning("listen_lost", again_in_s=LISTEN_AGAIN_S)
        await asyncio.sleep(LISTEN_AGAIN_S)
