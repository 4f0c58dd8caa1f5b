"""All chance comes from one seed: named streams of it, and ids made from it.

Ids also take the world's `epoch`, so that a world begun again never gives an id of the one before to something else.
"""

import base64
import hashlib
import random


def stream(seed: int, *names: object) -> random.Random:
    """A random stream of its own for each name, the same in every process with the same seed."""
    return random.Random(":".join(str(part) for part in (seed, *names)))


def _digest(epoch: str, kind: str, number: int) -> bytes:
    return hashlib.sha256(f"{epoch}:{kind}:{number}".encode()).digest()


def wamid(epoch: str, number: int) -> str:
    """The message id of that running number: opaque, base64 with padding, like Meta's."""
    return "wamid." + base64.b64encode(b"\x1c\x18\r" + _digest(epoch, "wamid", number)[:25]).decode()


def digits(epoch: str, kind: str, number: int, length: int = 16) -> str:
    """A decimal id as a string that never begins with a zero."""
    value = int.from_bytes(_digest(epoch, kind, number), "big") % 10 ** (length - 1)
    return str(10 ** (length - 1) + value)


def secret(epoch: str, kind: str, number: int, prefix: str) -> str:
    """A token or a code: letters and digits behind the prefix Meta uses."""
    return prefix + _digest(epoch, kind, number).hex()


def trace(epoch: str, number: int) -> str:
    """An `fbtrace_id`."""
    return "A" + base64.urlsafe_b64encode(_digest(epoch, "trace", number)[:16]).decode().rstrip("=")
