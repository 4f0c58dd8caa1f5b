"""Files: what is to be fetched, what a stored one is called, and why one is not here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

SHA256_HEX: Final = re.compile("[0-9a-f]{64}")
KEY: Final = re.compile(r"accounts/([0-9]{1,9})/[0-9a-f]{2}/([0-9a-f]{64})(\.thumbnail)?")


class Reason(StrEnum):
    """Why a file is not here, as ``media.reason`` holds it."""

    NO_ID = "no_id"
    """Meta told of it without an id to ask for."""
    UNKNOWN_TO_META = "unknown_to_meta"
    EXPIRED = "expired"
    """It could not be fetched in the days that Meta keeps it."""
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    UNWANTED = "unwanted"
    """Somebody decided that such files are not taken in."""
    THROTTLED = "throttled"
    """Meta asked for fewer calls."""
    BUSY = "busy"
    """Enough files are being fetched from its host."""
    TOKEN_REFUSED = "token_refused"  # noqa: S105  a name of a reason
    NO_ROOM = "no_room"
    """The disk is full."""
    NOT_KEPT = "not_kept"
    """It came, and our store did not take it."""
    MOVED = "moved"
    """Its number went to another account before it came."""
    UPSTREAM = "upstream"
    """Meta failed, or the way to it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch, claimed as long as the claim is renewed. ``attempts`` includes this one.

    ``url`` is the address that came with the webhook; it and the id expire a while after ``known_at``.
    """

    id: int
    inbox_id: int
    account_id: int
    phone_number_id: str
    wamid: str
    media_id: str | None
    mime_type: str | None
    sha256: str | None
    url: str | None
    known_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Name:
    """What a stored file is called: its account and the SHA-256 (64 lower-case hex digits) of its content.

    The same bytes are kept once in an account; another account has its own, so nobody gets at a file by its hash.
    """

    account_id: int
    sha256: str
    is_thumbnail: bool = False

    def __post_init__(self) -> None:
        if not SHA256_HEX.fullmatch(self.sha256):
            raise ValueError("a SHA-256 has 64 lower-case hex digits")

    @property
    def key(self) -> str:
        """``accounts/1/9f/9f86…``: its path below a folder or in a bucket."""
        return f"accounts/{self.account_id}/{self.sha256[:2]}/{self.sha256}{'.thumbnail' if self.is_thumbnail else ''}"

    @property
    def thumbnail(self) -> Name:
        """The name of its small picture."""
        return Name(self.account_id, self.sha256, is_thumbnail=True)

    @classmethod
    def of_key(cls, key: str) -> Name | None:
        """The name that has this key, None for a key of something else."""
        found = KEY.fullmatch(key)
        return cls(int(found[1]), found[2], bool(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that has come whole but has no name yet. ``head`` are its first bytes."""

    path: Path
    sha256: str
    size_bytes: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a stored file. Sizes are pixels as it is shown; ``mime_type`` was checked against its bytes."""

    sha256: str
    size_bytes: int
    mime_type: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    thumbnail_bytes: int | None = None
