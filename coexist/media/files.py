"""Files on disk, named by the SHA-256 of their content: the same file is kept once, and a name never lies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from coexist.base.errors import NotFound, TooLarge

FOLDER: Final = "media"
INCOMING: Final = "incoming"
HEAD_BYTES: Final = 4_096
"""How much of a file is looked at to tell what it is."""
SHA256_HEX: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is safely on disk. ``head`` are its first HEAD_BYTES."""

    sha256: str
    size_bytes: int
    path: Path
    head: bytes


class WrongHash(Exception):
    """What came is not what was announced."""


def path_of(data_dir: Path, sha256: str) -> Path:
    """Return where the file with this hash (64 lower-case hex digits) is, if it is there."""
    if not SHA256_HEX.fullmatch(sha256):
        raise ValueError("a SHA-256 has 64 lower-case hex digits")
    return data_dir / FOLDER / sha256[:2] / sha256[2:4] / sha256


def size_of(data_dir: Path, sha256: str) -> int | None:
    """Return the size in bytes of a stored file, None when it is not there."""
    try:
        return path_of(data_dir, sha256).stat().st_size
    except FileNotFoundError:
        return None


def open_stored(data_dir: Path, sha256: str) -> IO[bytes]:
    """Open a stored file for reading, or raise NotFound. The caller closes it."""
    try:
        return path_of(data_dir, sha256).open("rb")
    except FileNotFoundError as error:
        raise NotFound("This file is not here.", next_step="It may still be on the phone.") from error


def look_up(data_dir: Path, sha256: str) -> Stored | None:
    """Return a file that is stored already."""
    path = path_of(data_dir, sha256)
    try:
        with path.open("rb") as file:
            return Stored(sha256, os.fstat(file.fileno()).st_size, path, file.read(HEAD_BYTES))
    except FileNotFoundError:
        return None


async def keep(data_dir: Path, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: str | None = None) -> Stored:
    """Write a file as it comes and give it its name once all of it is safe on disk.

    Raises TooLarge above ``max_bytes`` and WrongHash when it is not the announced ``sha256``; then nothing stays.
    """
    draft = data_dir / FOLDER / INCOMING / uuid.uuid4().hex
    await asyncio.to_thread(draft.parent.mkdir, parents=True, exist_ok=True)
    digest, size, head = hashlib.sha256(), 0, b""
    file = await asyncio.to_thread(draft.open, "xb")
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise TooLarge(f"The file is larger than the {max_bytes:,} bytes that are taken in here.")
            head += chunk[: HEAD_BYTES - len(head)]
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        found = digest.hexdigest()
        if sha256 is not None and found != sha256:
            raise WrongHash(f"announced {sha256}, came {found}")
        await asyncio.to_thread(_place, file, draft, path_of(data_dir, found))
    finally:
        file.close()
        draft.unlink(missing_ok=True)
    return Stored(found, size, path_of(data_dir, found), head)


def _place(file: IO[bytes], draft: Path, place: Path) -> None:
    """Make the bytes durable, then the name: a crash leaves a whole file or none."""
    file.flush()
    os.fsync(file.fileno())
    place.parent.mkdir(parents=True, exist_ok=True)
    draft.replace(place)
    for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
