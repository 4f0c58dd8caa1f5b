"""Counts failures per key in this process, so that guessing passwords is slow.

Kept in memory: a failed sign-in rolls its transaction back, and a restart that forgives a few guesses does no
harm.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from coexist.base import clock


class Throttle:
    """At most ``limit`` failures per key within ``window``; of ``max_keys`` keys, the oldest go first."""

    def __init__(self, limit: int, window: timedelta, *, max_keys: int = 10_000) -> None:
        self._limit = limit
        self._window = window
        self._max_keys = max_keys
        self._failures: dict[str, deque[datetime]] = {}

    def is_closed(self, key: str) -> bool:
        """Whether the key has failed too often lately."""
        failures = self._failures.get(key)
        if failures is None:
            return False
        while failures and failures[0] <= clock.now() - self._window:
            failures.popleft()
        return len(failures) >= self._limit

    def failed(self, key: str) -> None:
        """Count one failure."""
        failures = self._failures.pop(key, None) or deque(maxlen=self._limit)
        failures.append(clock.now())
        self._failures[key] = failures
        if len(self._failures) > self._max_keys:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, key: str) -> None:
        """Forget the failures of the key."""
        self._failures.pop(key, None)
