"""Files in a folder of the data folder, the default."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from coexist.base.errors import NotFound, Unavailable
from coexist.media.model import Name

FOLDER: Final = "media"
READ_BYTES: Final = 256 * 1024
"""The most that a reader of a stored file holds at once."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoom(Unavailable):
    """The disk is full."""


class Disk:
    """Files below ``data_dir``/media/accounts. See ``storage.Storage``."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def path(self, name: Name) -> Path:
        """Where the file is, if it is there."""
        return self._folder / name.key

    async def put(self, name: Name, source: Path) -> None:
        """Make the bytes durable, then the name: a crash leaves a whole file or none."""
        try:
            await asyncio.to_thread(_place, source, self.path(name), self._folder)
        except OSError as error:
            raise failed(error) from error

    async def read(self, name: Name, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes, piece by piece; never more than one piece in memory."""
        try:
            with _in_words():
                file = await asyncio.to_thread(self.path(name).open, "rb", buffering=0)
        except FileNotFoundError as error:
            raise NotFound("This file is not here.", next_step="It may still be on the phone.") from error
        try:
            left = length
            await asyncio.to_thread(file.seek, start)
            while left is None or left > 0:
                with _in_words():
                    piece = await asyncio.to_thread(file.read, READ_BYTES if left is None else min(READ_BYTES, left))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece
        finally:
            file.close()

    async def size(self, name: Name) -> int | None:
        """Its size in bytes, None when it is not there."""
        with suppress(FileNotFoundError), _in_words():
            return (await asyncio.to_thread(self.path(name).stat)).st_size
        return None

    async def delete(self, name: Name) -> None:
        """Take it away, if it is there."""
        with _in_words():
            await asyncio.to_thread(self.path(name).unlink, missing_ok=True)

    async def names(self) -> AsyncIterator[Name]:
        """Everything that is kept, folder by folder."""
        for account in await asyncio.to_thread(_listed, self._folder / "accounts"):
            for shelf in await asyncio.to_thread(_listed, account):
                for path in await asyncio.to_thread(_listed, shelf):
                    if name := Name.of_key(path.relative_to(self._folder).as_posix()):
                        yield name

    async def aclose(self) -> None:
        """Nothing is held open."""


def failed(error: OSError) -> Unavailable:
    """A disk's refusal, in words."""
    if error.errno in FULL:
        return NoRoom("The server's disk is full.", next_step="Make room; the files that wait are fetched then.")
    return Unavailable(f"The data folder cannot be used: {error.strerror}.")


def free_bytes(data_dir: Path) -> int:
    """How much room is left where the data folder is, or will be: a new host has none yet. Raises Unavailable."""
    with _in_words():
        data_dir.mkdir(parents=True, exist_ok=True)
        found = os.statvfs(data_dir)
    return found.f_bavail * found.f_frsize


@contextmanager
def _in_words() -> Iterator[None]:
    """What a disk refuses (one that is gone, or broken), as an error for people; what is missing stays so."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise failed(error) from error


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _place(source: Path, place: Path, top: Path) -> None:
    with source.open("rb") as file:
        os.fsync(file.fileno())
    place.parent.mkdir(parents=True, exist_ok=True)
    source.replace(place)
    for folder in _up_to(place.parent, top):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _up_to(folder: Path, top: Path) -> Iterator[Path]:
    while True:
        yield folder
        if folder == top:
            return
        folder = folder.parent
