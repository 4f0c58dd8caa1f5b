"""Deleting: files that no message names, drafts of processes that died, hopes that have expired."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coexist.base import log
from coexist.base.database import transaction
from coexist.events import feed
from coexist.media import drafts, rules, store
from coexist.media.keeping import Keep, discard
from coexist.media.model import Name, Reason

BATCH_FILES: Final = 500
UNFINISHED_AFTER: Final = timedelta(minutes=10)
"""A deletion that takes longer was left by a process that died."""

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep took away."""

    file_count: int
    draft_count: int
    expired_count: int


async def sweep(keep: Keep, *, is_thorough: bool = True) -> Swept:
    """Finish deletions that were asked for; if thorough, also look through everything that is kept."""
    async with transaction(keep.pool) as conn:
        unfinished = await store.take_doomed(conn, UNFINISHED_AFTER)
    files = sum([await discard(keep, name, is_doomed=True) for name in unfinished])
    if not is_thorough:
        return Swept(files, 0, 0)
    async with transaction(keep.pool) as conn:
        expired = await store.expire(conn, rules.SENTENCES[Reason.EXPIRED])
        await feed.append(conn, expired)
    left = await asyncio.to_thread(drafts.sweep, keep.settings.data_dir)
    batch: list[Name] = []
    async for name in keep.storage.names():
        batch.append(Name(name.account_id, name.sha256))
        if len(batch) == BATCH_FILES:
            files += await _delete_unnamed(keep, batch)
            batch.clear()
    files += await _delete_unnamed(keep, batch)
    if files or left or expired:
        logger.info("files_swept", files=files, drafts=left, expired=len(expired))
    return Swept(files, left, len(expired))


async def _delete_unnamed(keep: Keep, names: Sequence[Name]) -> int:
    if not names:
        return 0
    async with transaction(keep.pool) as conn:
        candidates = await store.unnamed(conn, list(dict.fromkeys(names)))
    return sum([await discard(keep, name) for name in candidates])
