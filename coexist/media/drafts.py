"""Files on their way in: on this host's disk, without a name until all of them is here and checked."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from coexist.base.errors import TooLarge
from coexist.media import disk
from coexist.media.model import Draft

INCOMING: Final = "incoming"
HEAD_BYTES: Final = 4_096
"""How much of a file is looked at to tell what it is."""
LIFE_S: Final = 24 * 3600
"""An older draft was left by a process that died."""


class WrongHash(Exception):
    """What came is not what was announced."""


@asynccontextmanager
async def drafted(
    data_dir: Path, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: str | None = None
) -> AsyncIterator[Draft]:
    """A file written as it comes; what is left of it goes away at the end of the block.

    Raises TooLarge above ``max_bytes``, WrongHash when it is not the announced ``sha256``, NoRoom on a full disk.
    """
    path = await asyncio.to_thread(new_path, data_dir)
    try:
        yield await _written(path, chunks, max_bytes, sha256)
    finally:
        path.unlink(missing_ok=True)


def new_path(data_dir: Path) -> Path:
    """A path for a new draft."""
    folder = data_dir / disk.FOLDER / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    return folder / uuid.uuid4().hex


def too_large(max_bytes: int, size_bytes: int | None = None) -> TooLarge:
    """The refusal of a file beyond the limit."""
    has = "is larger than that" if size_bytes is None else f"has {size_bytes / 1e6:,.1f} MB"
    return TooLarge(f"At most {max_bytes / 1e6:,.1f} MB are taken in here, and this file {has}.")


async def _written(path: Path, chunks: AsyncIterator[bytes], max_bytes: int, sha256: str | None) -> Draft:
    digest, size, head = hashlib.sha256(), 0, b""
    file = await asyncio.to_thread(path.open, "xb")
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            head += chunk[: HEAD_BYTES - len(head)]
            digest.update(chunk)
            try:
                await asyncio.to_thread(file.write, chunk)
            except OSError as error:
                raise disk.failed(error) from error
        try:
            await asyncio.to_thread(file.flush)
        except OSError as error:
            raise disk.failed(error) from error
    finally:
        with suppress(OSError):  # a full disk refuses what is still to be written a second time
            file.close()
    found = digest.hexdigest()
    if sha256 is not None and found != sha256:
        raise WrongHash(f"announced {sha256}, came {found}")
    return Draft(path, found, size, head)


def sweep(data_dir: Path) -> int:
    """Delete the drafts that a process which died left behind; returns how many."""
    count = 0
    for path in (data_dir / disk.FOLDER / INCOMING).glob("*"):
        try:
            if time.time() - path.stat().st_mtime > LIFE_S:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue
    return count
