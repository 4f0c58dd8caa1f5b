"""The fetcher: brings files from Meta to disk while Meta still has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError, TooLarge, UpstreamFailed
from coexist.events import feed
from coexist.inbox import connection, credentials
from coexist.inbox.connection import Line
from coexist.media import files, kinds, rules, store
from coexist.media.files import Stored, WrongHash
from coexist.media.store import Wanted
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import Graph, GraphError

POLL_S: Final = 2.0
PAUSE_AFTER_ERROR_S: Final = 2.0
RENEW_EVERY_S: Final = store.LEASE_S / 3
AT_ONCE_COUNT: Final = 4
"""Files fetched at once by one process: an import's thousands must not crowd out a photo that comes now."""
MISSING_CODES: Final = frozenset({33, 100})
"""What Graph says of a media id that it does not know, or not any more."""

logger = log.get(__name__)


async def run(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, *, wake: asyncio.Event) -> None:
    """Fetch for ever. ``wake`` is set when files may have been told of."""
    while True:
        wake.clear()
        try:
            if await fetch_next(pool, graph, keyring, settings):
                continue
        except (AppError, psycopg.Error) as error:
            logger.error("files_not_fetched", error=str(error), error_type=type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
            continue
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), POLL_S)


async def fetch_next(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> int:
    """Fetch the next few files. Returns how many were tried; 0 means that nothing waits."""
    async with transaction(pool) as conn:
        claimed = await store.claim(conn, AT_ONCE_COUNT)
    outcomes = await asyncio.gather(
        *(_fetch(pool, graph, keyring, settings, wanted) for wanted in claimed), return_exceptions=True
    )
    for wanted, outcome in zip(claimed, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            # One file never stops the others. Without a database its claim runs out.
            logger.error("file_not_fetched", media_id=wanted.id, exc_info=outcome)
            with suppress(AppError, psycopg.Error):
                await _later(pool, wanted, "The file could not be taken in.")
    return len(claimed)


async def _fetch(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, wanted: Wanted) -> None:
    known = await asyncio.to_thread(files.look_up, settings.data_dir, wanted.sha256) if wanted.sha256 else None
    if known is not None:
        await _keep(pool, wanted, known)
        return
    if wanted.media_id is None:
        await _end(pool, wanted, "gone", rules.NEVER_TOLD)
        return
    async with pool.connection() as conn:
        token = await credentials.token_of(conn, keyring, wanted.inbox_id)
    if token is None:
        await _later(pool, wanted, "There is no access token.")
        return
    try:
        async with _held(pool, wanted):
            stored = await _download(graph, token, settings, wanted, wanted.media_id)
    except GraphError as error:
        await _refused(pool, wanted, error)
    except TooLarge as error:
        await _end(pool, wanted, "failed", error.message)
    except WrongHash as error:
        logger.warning("file_damaged", media_id=wanted.id, error=str(error))
        await _wrong(pool, wanted)
    except UpstreamFailed as error:
        await _later(pool, wanted, str(error))
    else:
        await _keep(pool, wanted, stored)


@asynccontextmanager
async def _held(pool: Pool, wanted: Wanted) -> AsyncIterator[None]:
    """Keep the claim inside the block, however long the file takes to come."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(AppError, psycopg.Error):
                async with transaction(pool) as conn:
                    await store.renew(conn, wanted)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _download(graph: Graph, token: str, settings: Settings, wanted: Wanted, media_id: str) -> Stored:
    """Look the file up anew (its address lives five minutes) and stream it to disk. meta-protocol 7.5."""
    info = await meta.media_info(graph, media_id, token, wanted.phone_number_id)
    limit = settings.media_max_bytes
    if info.file_size is not None and info.file_size > limit:
        raise TooLarge(f"The file has {info.file_size:,} bytes, more than the {limit:,} that are taken in here.")
    chunks = meta.download(graph, info.url, token, allowed_hosts=settings.media_hosts, max_bytes=limit)
    announced = wanted.sha256 or info.sha256
    return await files.keep(settings.data_dir, chunks, max_bytes=limit, sha256=announced)


async def _keep(pool: Pool, wanted: Wanted, stored: Stored) -> None:
    mime_type = kinds.safe_type(wanted.mime_type, stored.head)
    size = await asyncio.to_thread(kinds.image_size, stored.path) if mime_type.startswith("image/") else None
    async with transaction(pool) as conn:
        events = await store.stored(
            conn,
            wanted,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            mime_type=mime_type,
            width=size.width if size else None,
            height=size.height if size else None,
        )
        await feed.append(conn, events)


async def _refused(pool: Pool, wanted: Wanted, error: GraphError) -> None:
    """A file Meta does not know may only be late; a refused token waits for a person; the rest for better times."""
    if error.code in MISSING_CODES or error.http_status in (404, 410):
        if wanted.attempts >= rules.MISSING_ATTEMPTS_MAX:
            await _end(pool, wanted, "gone", rules.GONE)
        else:
            await _later(pool, wanted, str(error))
    elif error.meaning.kind is ErrorClass.REAUTHORISE:
        line = Line(wanted.inbox_id, clock.now(), connection.OURS, connection.TOKEN_REFUSED, {"reason": str(error)})
        async with transaction(pool) as conn:
            await store.later(conn, wanted, clock.now(), str(error), is_counted=False)
            await connection.record(conn, [line])
            await feed.append(conn, await connection.refresh(conn, [wanted.inbox_id]))
    else:
        await _later(pool, wanted, str(error))


async def _wrong(pool: Pool, wanted: Wanted) -> None:
    if wanted.attempts >= rules.WRONG_ATTEMPTS_MAX:
        await _end(pool, wanted, "failed", rules.DAMAGED)
    else:
        await _later(pool, wanted, rules.DAMAGED)


async def _later(pool: Pool, wanted: Wanted, error: str) -> None:
    if wanted.attempts >= rules.ATTEMPTS_MAX:
        await _end(pool, wanted, "gone", rules.EXPIRED)
        return
    async with transaction(pool) as conn:
        await store.later(conn, wanted, clock.now() + rules.pause(wanted.attempts), error)


async def _end(pool: Pool, wanted: Wanted, state: str, error: str) -> None:
    async with transaction(pool) as conn:
        await feed.append(conn, await store.ended(conn, wanted, state, error))
