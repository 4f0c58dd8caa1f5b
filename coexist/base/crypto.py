"""Secrets at rest (AES-256-GCM bound to their row) and the signature of Meta's webhooks."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from coexist.base.config import Settings
from coexist.base.errors import AppError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_ID_BYTES: Final = 4
HEAD_BYTES: Final = 1 + KEY_ID_BYTES
_FORMAT: Final = b"\x01"
_PREFIX: Final = "sha256="


class SecretUnreadable(AppError):
    """A stored secret does not open: its key is gone, or the bytes belong to another row."""

    status = 500


class Keyring:
    """The keys in use. The first one encrypts; every one of them decrypts, so that keys can be rotated.

    A sealed secret is: format (1 byte), key id (4), nonce (12), ciphertext with its tag.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a keyring needs at least one key, each of {KEY_BYTES} bytes")
        self._keys = tuple(keys)
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._seal, self._head = self._ciphers[self._current].encrypt, _FORMAT + self._current

    def encrypt(self, plain: bytes, *, row: str) -> bytes:
        """Seal `plain` for one row, named like `inbox:17:token`: it opens nowhere else."""
        nonce = os.urandom(NONCE_BYTES)
        return self._head + nonce + self._seal(nonce, plain, row.encode())

    def decrypt(self, sealed: bytes, *, row: str) -> bytes:
        """Open what `encrypt` sealed for the same row; `SecretUnreadable` when that cannot be done."""
        key_id = sealed[1 : 1 + KEY_ID_BYTES]
        start = 1 + KEY_ID_BYTES
        cipher = self._ciphers.get(key_id)
        if sealed[:1] != _FORMAT or cipher is None:
            raise SecretUnreadable(
                f"The secret of {row} was encrypted with a key that is not here.",
                next_step="Put the former key back into COEXIST_SECRET_KEY, after the new one.",
            )
        try:
            return cipher.decrypt(sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :], row.encode())
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable(f"The secret of {row} is damaged or belongs to another row.") from error

    def fingerprints(self, plain: str, *, use: str) -> list[bytes]:
        """What stands for `plain` where it must be found again but not read: 32 bytes under each key, newest first.

        Who has no key can neither read it nor try values. `use` keeps fingerprints for different ends apart.
        """
        return [hmac.digest(_derived(key, use), plain.encode(), "sha256") for key in self._keys]

    def knows(self, sealed: bytes) -> bool:
        """Whether the key that sealed it is here."""
        return sealed[1 : 1 + KEY_ID_BYTES] in self._ciphers

    @property
    def head(self) -> bytes:
        """What everything begins with that the newest key sealed: HEAD_BYTES. The rest keeps former keys in use."""
        return _FORMAT + self._current

    def own(self, sealed: bytes) -> bytes:
        """Put what no key opens any more under the newest one: it then counts as damaged, not as of a key that went."""
        return self.head + sealed[HEAD_BYTES:]


def open_keyring(settings: Settings) -> Keyring:
    """The keys of COEXIST_SECRET_KEY, else the key file of the data folder, made at the first start."""
    return Keyring(settings.secret_keys or [_key_file(settings.data_dir / "secret.key")])


def verify_signature(secrets: Sequence[bytes], body: bytes, header: str | None) -> bool:
    """Whether `X-Hub-Signature-256` is the HMAC-SHA256 of the raw body under one of the app secrets.

    Constant time in the signature and in which secret fits. meta-protocol.md section 4.2.
    """
    if header is None or not header.startswith(_PREFIX):
        return False
    given = header.removeprefix(_PREFIX).lower().encode()
    fits = False
    for secret in secrets:
        mac = _keyed(secret).copy()  # taking the key in costs as much as half a kilobyte of body
        mac.update(body)
        fits |= hmac.compare_digest(mac.finalize().hex().encode(), given)
    return fits


@lru_cache(maxsize=8)
def _keyed(secret: bytes) -> HMAC:
    return HMAC(secret, SHA256())


@lru_cache(maxsize=32)
def _derived(key: bytes, use: str) -> bytes:
    """A key for one use, from which nobody finds the key it was made of."""
    return hmac.digest(key, f"coexist {use}".encode(), "sha256")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"coexist key id" + key).digest()[:KEY_ID_BYTES]


def _key_file(path: Path) -> bytes:
    """Read the key file. The first start writes it, whole or not at all, also when two start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # the other process was first: its key is the key
        finally:
            draft.unlink()
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretUnreadable(
            f"{path} does not hold {KEY_BYTES} bytes in base64.",
            next_step="Put the former file back from a backup: without it no stored token can be read.",
        )
    return key
