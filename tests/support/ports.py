"""Ports of this machine for servers whose address has to be known before they listen.

A port that the system hands out (0) and that is given back before the server binds may be taken by anybody meanwhile:
each connection to anywhere uses one. So these come from below what Linux gives to outgoing connections, and each is
kept for the process that asked, however often its server starts anew.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

FIRST, END = 12_000, 32_000
"""Linux gives 32,768 and more to outgoing connections (ip_local_port_range), browsers refuse some below 12,000."""
TRIES: Final = 2_000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, which no other process is given before this one ends."""
    for port in random.sample(range(FIRST, END), TRIES):
        if port not in _given() and _is_ours(port) and _is_free(port):
            _given().add(port)
            return port
    raise AssertionError(f"none of {TRIES} ports from {FIRST} to {END} is free")


@cache
def _given() -> set[int]:
    return set()


@cache
def _register() -> int:
    """A file in which whoever was given port n holds a lock on byte n; the system lets go of it when they end."""
    return os.open(Path(tempfile.gettempdir()) / f"coexist-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _is_ours(port: int) -> bool:
    with suppress(BlockingIOError, PermissionError):
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
