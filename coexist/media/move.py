"""Moving files between the disk and a bucket: every copy is read back and compared before the original goes."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from coexist.base.errors import UpstreamFailed
from coexist.media import drafts
from coexist.media.model import Name
from coexist.media.storage import Storage


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of the files: copied now, there already, and damaged before (left where they are)."""

    copied_count: int
    present_count: int
    damaged: tuple[Name, ...]
    copied_bytes: int


async def move(data_dir: Path, source: Storage, target: Storage, *, deletes: bool) -> Moved:
    """Copy every file of ``source`` to ``target``; with ``deletes``, take away each original whose copy is proven.

    Can be run again at any time and goes on where it stopped. Raises Unavailable when a place cannot be reached, and
    UpstreamFailed when the target gives back other bytes than it was given.
    """
    copied = present = copied_bytes = 0
    damaged: list[Name] = []
    async for name in source.names():
        size, digest = await _digest(source, name)
        if not name.is_thumbnail and digest != name.sha256:
            damaged.append(name)
            continue
        if await target.size(name) == size and (await _digest(target, name))[1] == digest:
            present += 1
        else:
            pieces = source.read(name)
            async with aclosing(pieces), drafts.drafted(data_dir, pieces, max_bytes=size, sha256=digest) as draft:
                await target.put(name, draft.path)
            if await _digest(target, name) != (size, digest):
                raise UpstreamFailed(f"{name.key} came back with other bytes than were sent. It was not deleted.")
            copied += 1
            copied_bytes += size
        if deletes:
            await source.delete(name)
    return Moved(copied, present, tuple(damaged), copied_bytes)


async def _digest(storage: Storage, name: Name) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    async with aclosing(storage.read(name)) as pieces:
        async for piece in pieces:
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
