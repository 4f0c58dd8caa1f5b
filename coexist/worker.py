"""The worker: every loop that is not a request. Any number may run, on any number of hosts, over one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import aiohttp
import psycopg

from coexist import processes
from coexist.base import clock, crypto, database, log, migrate, postgres
from coexist.base import loops as ending
from coexist.base.config import Settings
from coexist.base.errors import Unavailable
from coexist.coexistence import checks_watch, life_watch, template_lists
from coexist.coexistence import store as syncs
from coexist.coexistence import worker as syncing
from coexist.exported_chats import store as exported_chats
from coexist.exported_chats import worker as importing
from coexist.inbox import credentials, files, private_lists, switches
from coexist.intake import purging, retention
from coexist.intake import store as journal
from coexist.intake import worker as applying
from coexist.media import room
from coexist.media import store as media
from coexist.media import worker as fetching
from coexist.media.fetch import Means
from coexist.media.keeping import open_keep
from coexist.media.model import Name
from coexist.media.storage import open_storage
from coexist.meta.graph import graph_of
from coexist.outbound import store as outbox
from coexist.outbound import worker as sending
from coexist.webhooks import worker as telling

POOL_CONNECTIONS_COUNT: Final = 18
LISTEN_AGAIN_S: Final = 1.0
CLOCK_DIFFERENCE_MAX_S: Final = 1.0
"""Claims of files last a few seconds and a number's sends are counted by the second, each by its host's own clock."""

logger = log.get(__name__)


def work(settings: Settings) -> None:
    """Run the loops until SIGTERM or SIGINT; calls to Meta that are under way are finished first."""
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


async def check_host(settings: Settings, pool: database.Pool) -> None:
    """Log what this host lacks of what all hosts over one database must have in common: time, key and files."""
    async with database.transaction(pool) as conn:
        before = clock.of_host()
        row = await (await conn.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None
        difference_s = max((before - row[0]).total_seconds(), (row[0] - clock.of_host()).total_seconds())
        sealed_elsewhere = await credentials.unreadable(conn, crypto.open_keyring(settings))
        newest_file = await media.newest_stored(conn)
    if difference_s > CLOCK_DIFFERENCE_MAX_S:
        logger.error("clock_differs", seconds=round(difference_s, 1), next_step="Let NTP set the clocks of all hosts.")
    if sealed_elsewhere:
        step = "Give all hosts the same COEXIST_SECRET_KEY, or one shared COEXIST_DATA_DIR."
        logger.error("secret_key_differs", inbox_ids=sealed_elsewhere, next_step=step)
    if newest_file is not None:
        await _check_files(settings, newest_file)


async def _check_files(settings: Settings, newest: Name) -> None:
    try:
        async with aclosing(open_storage(settings)) as storage:
            is_here = await storage.size(newest) is not None
    except Unavailable as error:
        logger.error("files_not_reached", error=str(error))
        return
    if not is_here:
        step = "Give all hosts one shared COEXIST_DATA_DIR, or keep files in a bucket (COEXIST_MEDIA_STORE)."
        logger.error("files_not_shared", data_dir=str(settings.data_dir), missing=newest.key, next_step=step)


async def _work(settings: Settings) -> None:
    keyring = crypto.open_keyring(settings)
    async with (
        database_url_of(settings) as url,
        database.open_pool(url, application="coexist work", max_size=POOL_CONNECTIONS_COUNT) as pool,
        aiohttp.ClientSession() as session,
        # A kept connection may have died unseen, and then nobody knows whether Meta got what was put on it. What can be
        # asked for only once goes over a new one: either it cannot be opened, or Meta has heard us.
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as unused,
        aclosing(open_storage(settings)) as storage,
    ):
        keep = open_keep(pool, settings, storage)
        await check_host(settings, pool)
        heart = checks_watch.Heart(pool, lambda: room.probe(settings, storage))
        await heart.beat()
        graph = graph_of(settings, session)
        graph_once = replace(graph, session=unused)
        live, bulk, to_send, to_fetch, to_sweep, to_sync, to_import, to_purge = (asyncio.Event() for _ in range(8))
        wakes = {
            journal.BACKLOG_CHANNEL: (live, bulk),
            outbox.CHANNEL: (to_send,),
            files.CHANNEL: (to_fetch,),
            files.FORGET_CHANNEL: (to_sweep,),
            syncs.CHANNEL: (to_sync,),
            exported_chats.CHANNEL: (to_import,),
            private_lists.CHANNEL: (to_purge,),
        }
        per_second, installation = settings.sends_per_second, switches.allowed(settings)
        loops = [
            applying.run(pool, keyring, applying.LIVE_LANE, installation=installation, wake=live),
            applying.run(pool, keyring, applying.BULK_LANE, installation=installation, wake=bulk),
            sending.run(pool, graph_once, keyring, sends_per_second=per_second, wake=to_send),
            fetching.run(Means(pool, graph, keyring, settings, keep), wake=to_fetch),
            fetching.run_sweeps(keep, wake=to_sweep),
            syncing.run(pool, graph_once, keyring, installation=installation, wake=to_sync),
            importing.run(pool, settings, keyring, keep, wake=to_import),
            purging.run(pool, keyring, wake=to_purge),
            retention.run(pool, retention.kept_of(settings)),
            heart.run(),
            checks_watch.run_looks(pool, graph_once, keyring, settings),
            life_watch.run(pool, graph, keyring, settings),
            template_lists.run(pool, graph, keyring),
            telling.run(pool, keyring, may_be_private=settings.webhooks_to_private),
            _listen(url, wakes),
        ]
        async with asyncio.TaskGroup() as group:  # a loop that fails is a bug: all stop, and the process starts anew
            tasks = [group.create_task(loop) for loop in loops]
            logger.info("worker_ready")
            await processes.until_told_to_stop()
            await ending.end(tasks)
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
