"""Fetching one file: from Meta's address to the storage, and what to do when that fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import psycopg

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError, TooLarge, Unavailable, UpstreamFailed
from coexist.events import feed
from coexist.inbox import credentials, refusals
from coexist.media import drafts, keeping, rules, store, wanted
from coexist.media.disk import NoRoom
from coexist.media.drafts import WrongHash
from coexist.media.keeping import Keep
from coexist.media.model import Reason, Wanted
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import DownloadRefused, Graph, GraphError, GraphNotSent, GraphUnclear

RENEW_EVERY_S: Final = store.LEASE_S / 3
DOWNLOAD_MAX_S: Final = 900
"""The longest that one file may take: 100 MB in that time are 1 Mbit/s. One that trickles gives its place back."""
HOST_AT_ONCE_COUNT: Final = 6
"""Files fetched at once from one host by one process: a host that stands still must not hold every place."""
MISSING_CODES: Final = frozenset({33, 100})
"""What Graph says of a media id that it does not know, or not any more."""
TOO_MANY: Final = 429
NOT_THERE: Final = frozenset({404, 410})
STALE: Final = NOT_THERE | {401, 403}
"""What an address says whose five minutes are over. Of a fresh one, 401 and 403 are about our access, not the file."""

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What fetching needs, one for the process. ``hosts`` counts the downloads under way from each host."""

    pool: Pool
    graph: Graph
    keyring: Keyring
    settings: Settings
    keep: Keep
    hosts: Counter[str] = field(default_factory=Counter)


class HostBusy(Exception):
    """Enough files are being fetched from that host."""


async def fetch(means: Means, file: Wanted) -> None:
    """Fetch a claimed file, or note why it is not here. Errors that are bugs are raised."""
    began_at = clock.now()
    async with _held(means.pool, file):
        try:
            async with asyncio.timeout(DOWNLOAD_MAX_S):
                await _fetch(means, file)
        except TimeoutError:
            await _later(means, file, Reason.UPSTREAM, f"It took longer than {DOWNLOAD_MAX_S // 60} minutes.")
        except (AppError, HostBusy, WrongHash) as error:
            await _failed(means, file, error, began_at)


@asynccontextmanager
async def _held(pool: Pool, file: Wanted) -> AsyncIterator[None]:
    """Keep the claim inside the block, however long the file takes to come."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(AppError, psycopg.Error):
                async with transaction(pool) as conn:
                    await store.renew(conn, file)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _fetch(means: Means, file: Wanted) -> None:
    async with transaction(means.pool) as conn:
        refusal = await wanted.refusal(conn, means.settings, means.keyring, file)
        token = await credentials.token_of(conn, means.keyring, file.inbox_id)
    if refusal is not None:
        await _end(means, file, "failed", Reason.UNWANTED, refusal)
    elif await keeping.keep_twin(means.keep, file):
        return
    elif file.media_id is None:
        await _end(means, file, "gone", Reason.NO_ID)
    elif token is None:
        await _later(means, file, Reason.TOKEN_REFUSED)
    else:
        await _ask(means, file, file.media_id, token)


async def _ask(means: Means, file: Wanted, media_id: str, token: str) -> None:
    """Ask Meta for the file. meta-protocol 7.5.

    The webhook's own address saves a call to Graph while it lives; after that, a fresh one is looked up.
    """
    await means.graph.usage.ease(token)  # the claim is held meanwhile
    is_fresh = file.attempts == 1 and clock.now() < file.known_at + rules.ADDRESS_LIFE
    if file.url and file.sha256 and is_fresh:
        try:
            await _take_in(means, file, token, file.url, file.sha256)
        except (GraphError, DownloadRefused) as error:
            if error.http_status not in STALE:
                raise
        except (GraphUnclear, GraphNotSent):
            raise
        except UpstreamFailed:
            logger.warning("address_not_allowed", media_id=file.id, host=urlsplit(file.url).hostname)
        else:
            return
    info = await meta.media_info(means.graph, media_id, token, file.phone_number_id)
    limit = means.settings.media_max_bytes
    if info.file_size is not None and info.file_size > limit:
        raise drafts.too_large(limit, info.file_size)
    await _take_in(means, file, token, info.url, file.sha256 or info.sha256)


async def _take_in(means: Means, file: Wanted, token: str, url: str, sha256: str | None) -> None:
    settings, limit = means.settings, means.settings.media_max_bytes
    chunks = meta.download(means.graph, url, token, allowed_hosts=settings.media_hosts, max_bytes=limit)
    pieces = _from_host(means, urlsplit(url).netloc.lower(), chunks)
    async with aclosing(pieces), drafts.drafted(settings.data_dir, pieces, max_bytes=limit, sha256=sha256) as draft:
        async with transaction(means.pool) as conn:
            # Somebody may have decided meanwhile.
            refusal = await wanted.refusal(conn, means.settings, means.keyring, file)
            await store.unthrottle(conn, file.inbox_id)
        if refusal is not None:
            await _end(means, file, "failed", Reason.UNWANTED, refusal)
        else:
            await keeping.keep(means.keep, file, draft)


async def _from_host(means: Means, host: str, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same bytes, counted as a download from that host until the last of them. Raises HostBusy."""
    async with aclosing(chunks):
        if means.hosts[host] >= HOST_AT_ONCE_COUNT:
            raise HostBusy
        means.hosts[host] += 1
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            means.hosts[host] -= 1


async def _failed(means: Means, file: Wanted, error: AppError | HostBusy | WrongHash, began_at: datetime) -> None:
    """What follows from a failure: later, or never; and for whom."""
    now = clock.now()
    match error:
        case GraphError():
            await _refused(means, file, error, began_at)
        case DownloadRefused(http_status=status) if status == TOO_MANY:
            await _throttle(means, file, str(error))
        case DownloadRefused(http_status=status) if status in NOT_THERE:
            await _missing(means, file, str(error))
        case TooLarge():
            await _end(means, file, "failed", Reason.TOO_LARGE, error.message)
        case WrongHash():
            logger.warning("file_damaged", media_id=file.id, error=str(error))
            if file.attempts >= rules.WRONG_ATTEMPTS_MAX:
                await _end(means, file, "failed", Reason.DAMAGED)
            else:
                await _later(means, file, Reason.DAMAGED)
        case HostBusy():
            await _put_off(means, file, now + rules.jittered(rules.BUSY_PAUSE_S), Reason.BUSY)
        case NoRoom():
            logger.error("disk_full", data_dir=str(means.settings.data_dir))
            await _put_off(means, file, now + rules.jittered(rules.ROOM_PAUSE_S), Reason.NO_ROOM)
        case Unavailable():
            logger.error("file_not_kept", media_id=file.id, error=str(error))
            await _put_off(means, file, now + rules.jittered(rules.KEEP_PAUSE_S), Reason.NOT_KEPT)
        case UpstreamFailed():
            await _later(means, file, Reason.UPSTREAM, str(error))
        case _:
            raise error


async def _refused(means: Means, file: Wanted, error: GraphError, began_at: datetime) -> None:
    """A file Meta does not know may only be late; a refused token waits for a person; the rest for better times."""
    if error.code not in MISSING_CODES:
        await refusals.heed_error(means.pool, file.inbox_id, error, asked_at=began_at)
    if error.meaning.kind is ErrorClass.LIMIT or error.http_status == TOO_MANY:
        await _throttle(means, file, str(error))
    elif error.code in MISSING_CODES or error.http_status in NOT_THERE:
        await _missing(means, file, str(error))
    elif error.meaning.kind is ErrorClass.REAUTHORISE:
        async with transaction(means.pool) as conn:
            reason, at = Reason.TOKEN_REFUSED, clock.now() + rules.pause(1)
            await feed.append(
                conn, await store.later(conn, file, at, reason, rules.SENTENCES[reason], is_counted=False)
            )
    else:
        await _later(means, file, Reason.UPSTREAM, str(error))


async def _missing(means: Means, file: Wanted, error: str) -> None:
    if file.attempts >= rules.MISSING_ATTEMPTS_MAX:
        await _end(means, file, "gone", Reason.UNKNOWN_TO_META)
    else:
        await _later(means, file, Reason.UPSTREAM, error)


async def _throttle(means: Means, file: Wanted, error: str) -> None:
    """Meta asks for fewer calls: the number's other files wait too, longer each time in a row."""
    async with transaction(means.pool) as conn:
        wait = rules.throttle(await store.throttle(conn, file.inbox_id))
        until = clock.now() + wait
        await store.throttle_until(conn, file.inbox_id, until)
        await feed.append(conn, await store.later(conn, file, until, Reason.THROTTLED, error, is_counted=False))
    logger.warning("files_throttled", inbox_id=file.inbox_id, wait_s=round(wait.total_seconds()), error=error)


async def _later(means: Means, file: Wanted, reason: Reason, error: str = "") -> None:
    at = rules.next_attempt(file.known_at, clock.now(), rules.pause(file.attempts))
    if at is None:
        await _end(means, file, "gone", Reason.EXPIRED)
        return
    async with transaction(means.pool) as conn:
        await feed.append(conn, await store.later(conn, file, at, reason, error or rules.SENTENCES[reason]))


async def _put_off(means: Means, file: Wanted, at: datetime, reason: Reason) -> None:
    """Wait for us, not for Meta: it does not count as an attempt."""
    async with transaction(means.pool) as conn:
        events = await store.later(conn, file, at, reason, rules.SENTENCES[reason], is_counted=False)
        await feed.append(conn, events)


async def _end(means: Means, file: Wanted, state: str, reason: Reason, error: str = "") -> None:
    async with transaction(means.pool) as conn:
        events = await store.ended(conn, file, state, reason, error or rules.SENTENCES[reason])
        await feed.append(conn, events)


async def give_back(means: Means, file: Wanted) -> None:
    """After a bug: try again later, and let no file be tried for ever."""
    await _later(means, file, Reason.NOT_KEPT)
