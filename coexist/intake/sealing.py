"""A delivery's body as it lies in the journal: compressed where that pays, and encrypted.

What people write to each other stands nowhere else as Meta sent it, so it never reaches a disk in the clear, neither in
the table nor in the database's write-ahead log.
"""

from __future__ import annotations

from typing import Final

import zstandard

from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.errors import AppError

COMPRESSED_FROM_BYTES: Final = 4096
"""A message alone is shorter than this and gains nothing; a history chunk shrinks to an eighth."""

COMPRESSION_LEVEL: Final = 1

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""What a compressed body may unfold to at most: far more than any delivery that is ever accepted."""

_WHOLE: Final = b"w"
_COMPRESSED: Final = b"z"
_ROW: Final = "journal"


class Damaged(AppError):
    """The key is here, but the body is not as it was sealed: the disk, or somebody, has changed it."""


def seal(keyring: Keyring, body: bytes) -> bytes:
    """Return ``body`` as the journal keeps it. A large one takes milliseconds: call it in a thread."""
    if len(body) < COMPRESSED_FROM_BYTES:
        return _WHOLE + keyring.encrypt(body, row=_ROW)
    return _COMPRESSED + keyring.encrypt(zstandard.ZstdCompressor(COMPRESSION_LEVEL).compress(body), row=_ROW)


def unseal(keyring: Keyring, stored: bytes) -> bytes:
    """Return the body that Meta sent. Raises ``SecretUnreadable`` when its key is not here, ``Damaged``.

    What begins like neither kind was journaled by a version that did not seal, and is the body itself.
    """
    kind = stored[:1]
    if kind not in (_WHOLE, _COMPRESSED):
        return stored
    try:
        content = keyring.decrypt(stored[1:], row=_ROW)
        return content if kind == _WHOLE else _decompressed(content)
    except (SecretUnreadable, zstandard.ZstdError) as error:
        if not keyring.knows(stored[1:]):
            raise
        raise Damaged("This delivery is damaged: the journal does not hold it as it came.") from error


def _decompressed(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_BODY_BYTES)
