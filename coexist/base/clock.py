"""The time, aware and in UTC. Everything reads it here, so that a test can choose it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system


def now() -> datetime:
    """The present moment, aware, in UTC."""
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
