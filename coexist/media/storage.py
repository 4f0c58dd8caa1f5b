"""Where files are kept: one small protocol, and the choice between a folder and a bucket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Protocol

from coexist.base.config import Settings
from coexist.media.disk import Disk
from coexist.media.model import Name


class Storage(Protocol):
    """Whole files by name. Every call raises Unavailable when the place cannot be reached or is full."""

    async def put(self, name: Name, source: Path) -> None:
        """Keep the file at ``source`` under ``name``, durably, all of it or nothing. It may be moved away."""

    def read(self, name: Name, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` on, ``length`` of them or all, piece by piece. Raises NotFound."""

    async def size(self, name: Name) -> int | None:
        """Its size in bytes, None when it is not there."""

    async def delete(self, name: Name) -> None:
        """Take it away, if it is there."""

    def names(self) -> AsyncIterator[Name]:
        """Everything that is kept."""

    async def aclose(self) -> None:
        """Let go of connections."""


def open_storage(settings: Settings, kind: str | None = None) -> Storage:
    """The place that the settings choose, or the one named: ``disk`` or ``s3``."""
    if (kind or settings.media_store) == "disk":
        return Disk(settings.data_dir)
    from coexist.media.s3 import S3  # half a second and 30 MB that a disk does not need

    return S3(settings)
