"""Taking a whole file in: looked at, given its name, put into the storage, told.

The row names the file before it is put there (``store.name_it``), and whoever deletes files that nobody names takes
turns with that: so no file is deleted under a message that has just got the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, NotFound, Unavailable
from coexist.events import feed
from coexist.media import drafts, kinds, store, thumbnails
from coexist.media.model import Draft, Kept, Name, Wanted
from coexist.media.storage import Storage
from coexist.meta.model import FROM_HISTORY_MEDIA

BRING_LEASE_S: Final = 600
"""How long a file that we bring ourselves may take until it counts as lost."""
READ_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Keep:
    """Where files go. ``drawing`` is held while a thumbnail is drawn, so that an import does not take all of a host."""

    pool: Pool
    settings: Settings
    storage: Storage
    drawing: asyncio.Semaphore


def open_keep(pool: Pool, settings: Settings, storage: Storage) -> Keep:
    """Where files go, with one thumbnail drawn at a time."""
    return Keep(pool, settings, storage, asyncio.Semaphore(1))


async def keep(to: Keep, wanted: Wanted, draft: Draft) -> None:
    """Keep a draft as the wanted file. Raises Unavailable when that cannot be done now."""
    name = Name(wanted.account_id, draft.sha256)
    mime_type = kinds.safe_type(wanted.mime_type, draft.head)
    kept = Kept(draft.sha256, draft.size_bytes, mime_type)
    if kinds.plain(mime_type) == "audio/ogg":
        kept = replace(kept, duration_ms=await asyncio.to_thread(kinds.voice_duration_ms, draft.path))
    small = draft.path.with_suffix(".thumbnail")
    try:
        async with to.drawing:
            measured = await thumbnails.draw(draft.path, mime_type, small)
        if measured is not None:
            kept = replace(kept, width=measured.width, height=measured.height, thumbnail_bytes=measured.thumbnail_bytes)
        await _name(to, wanted, name)
        if kept.thumbnail_bytes:
            await to.storage.put(name.thumbnail, small)
        await to.storage.put(name, draft.path)
    finally:
        small.unlink(missing_ok=True)
    async with transaction(to.pool) as conn:
        events = await store.stored(conn, wanted, kept)
        await feed.append(conn, events or ())
    if events is None:  # forgotten, or told anew as another file, while it was put there
        await discard(to, name)


async def discard(to: Keep, name: Name, *, is_doomed: bool = False) -> bool:
    """Delete a file and its thumbnail unless somebody names it. ``is_doomed``: it is, by the caller.

    It is doomed in one transaction, deleted, and its doom lifted in another. Between the two nobody may name it
    (``store.name_it``), so that the same bytes, coming again at that very moment, are put there after the deletion.
    """
    async with transaction(to.pool) as conn:
        await store.lock_file(conn, name)
        if not await store.unnamed(conn, [name]):
            if is_doomed:
                await store.spare(conn, name)
            return False
        if not is_doomed and not await store.doom(conn, name):
            return False
    await to.storage.delete(name)
    await to.storage.delete(name.thumbnail)
    async with transaction(to.pool) as conn:
        await store.spare(conn, name)
    return True


async def keep_twin(to: Keep, wanted: Wanted) -> bool:
    """Take over what the account has already, if its content is what was announced: no byte is fetched twice."""
    if wanted.sha256 is None:
        return False
    name = Name(wanted.account_id, wanted.sha256)
    async with transaction(to.pool) as conn:
        if await store.twin(conn, name) is None:
            return False
    try:
        async with aclosing(to.storage.read(name, 0, drafts.HEAD_BYTES)) as pieces:
            head = b"".join([piece async for piece in pieces])
    except NotFound:
        return False  # it was lost: fetching it again brings it back for all
    async with transaction(to.pool) as conn:
        await store.lock_file(conn, name)
        known = await store.twin(conn, name)
        if known is None:
            return False
        kept = replace(known, mime_type=kinds.safe_type(wanted.mime_type, head))
        await feed.append(conn, await store.stored(conn, wanted, kept) or ())
    return True


async def bring(
    to: Keep,
    inbox_id: int,
    wamid: str,
    path: Path,
    *,
    mime_type: str | None,
    file_name: str | None,
    is_voice: bool = False,
    told_at: datetime,
) -> None:
    """Keep a file that does not come from Meta, such as one of an exported chat, as the file of a message.

    Raises Conflict when the message has a file already, TooLarge beyond COEXIST_MEDIA_MAX_BYTES, and Unavailable.
    """
    values = {
        "inbox_id": inbox_id, "wamid": wamid, "mime_type": mime_type, "file_name": file_name, "is_voice": is_voice,
        "content_rank": FROM_HISTORY_MEDIA, "told_at": told_at,
    }  # fmt: skip
    pieces, limit = _read(path), to.settings.media_max_bytes
    async with aclosing(pieces), drafts.drafted(to.settings.data_dir, pieces, max_bytes=limit) as draft:
        async with transaction(to.pool) as conn:
            wanted = await store.add(conn, values, BRING_LEASE_S)
        if wanted is None:
            raise Conflict("This message has a file already.")
        await keep(to, wanted, draft)


async def _name(to: Keep, wanted: Wanted, name: Name) -> None:
    async with transaction(to.pool) as conn:
        await store.lock_file(conn, name)
        if not await store.name_it(conn, wanted, name):
            raise Unavailable("A former copy of this file is being deleted.")


async def _read(path: Path) -> AsyncGenerator[bytes, None]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, READ_BYTES):
            yield piece
