"""The time, aware and in UTC. Everything reads it here, so that a test can choose it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

REREAD_S: Final = 0.2
"""How late a change of a clock file can be noticed."""


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system
_ahead: Callable[[], timedelta] = timedelta


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _source() + _ahead()


def of_host() -> datetime:
    """What this host's own clock says, to be compared with other hosts': `now()` without what a clock file adds."""
    return _source()


@contextmanager
def reading(source: Callable[[], datetime]) -> Iterator[None]:
    """Inside the block, `now()` answers `source()`, in every task and thread of this process."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


def run_ahead(file: Path) -> None:
    """From now on, `now()` is ahead of the host by as many seconds as the file says; by none while there is no file.

    For trying out what takes days. Monotonic time and the database's own clock stay what they are.
    """
    global _ahead
    ahead, read_at = timedelta(), float("-inf")

    def read() -> timedelta:
        nonlocal ahead, read_at
        if time.monotonic() - read_at > REREAD_S:
            read_at = time.monotonic()
            ahead = timedelta(seconds=int(file.read_text("utf-8"))) if file.exists() else timedelta()
        return ahead

    _ahead = read
