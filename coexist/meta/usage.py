"""How much of what Meta allows is used, as the headers of its answers tell, and how long a call should wait for that
(meta-protocol 1.4). Kept by each process for itself: the headers count the calls of all.

Who waits first is what can: files, look-ups, checks, syncs. A message waits last, and shortly.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from coexist.base import log

WAIT_MAX_MINUTES: Final = 60
"""Meta counts calls by the moving hour: after one, at the latest, it is worth asking again."""
FULL: Final = 100.0
EASE_FROM: Final = 80.0
"""Per cent from which what can wait does."""
EASE_SENDS_FROM: Final = 95.0
EASE_MAX_S: Final = 10.0
"""The longest that a call waits which can; it begins with a tenth of that."""
EASE_SENDS_MAX_S: Final = 2.0
TOLD_S: Final = 300.0
"""How long what was told counts when no newer answer tells anything: it is a share of a moving hour."""
LOG_EVERY_S: Final = 60.0
TOKENS_COUNT: Final = 10_000
"""Tokens whose share is remembered: beyond it, all begins anew."""
APP: Final = b""
"""Stands for the app itself, whose share concerns every call."""

logger = log.get(__name__)
T = TypeVar("T")


class _Usage(msgspec.Struct):
    call_count: float = 0
    total_time: float = 0
    total_cputime: float = 0
    estimated_time_to_regain_access: float = 0

    @property
    def share(self) -> float:
        """The largest of its shares, in per cent; all of it when there is a time to wait."""
        if self.estimated_time_to_regain_access > 0:
            return FULL
        return max(self.call_count, self.total_time, self.total_cputime)


@dataclass(slots=True)
class Usage:
    """The shares that were told last, of the app and of each token: one customer's share slows nobody else down."""

    _told: dict[bytes, tuple[float, float]] = field(default_factory=dict)
    _logged_at: float = -math.inf

    def hear(self, token: str | None, headers: Mapping[str, str]) -> None:
        """Note what an answer to a call with ``token`` tells of the shares; nothing changes when it tells nothing."""
        app = _header(headers, "X-App-Usage", _Usage)
        uses = _header(headers, "X-Business-Use-Case-Usage", dict[str, list[_Usage]])
        if app is not None:
            self._told[APP] = (app.share, time.monotonic())
        if uses is not None and token:
            share = max((use.share for of_one in uses.values() for use in of_one), default=0.0)
            if len(self._told) > TOKENS_COUNT:
                self._told.clear()
            self._told[_key(token)] = (share, time.monotonic())

    def share(self, token: str | None = None) -> float:
        """The share that concerns a call with ``token``, in per cent."""
        now = time.monotonic()
        told = [self._told.get(key) for key in (APP, _key(token) if token else APP)]
        return max((share for share, at in filter(None, told) if now - at < TOLD_S), default=0.0)

    def pause_s(self, token: str | None = None, *, is_send: bool = False) -> float:
        """How long a call with ``token`` should wait, in seconds: the longer, the nearer the limit; never for long."""
        begins, longest = (EASE_SENDS_FROM, EASE_SENDS_MAX_S) if is_send else (EASE_FROM, EASE_MAX_S)
        share = self.share(token)
        if share < begins:
            return 0.0
        return longest * (0.1 + 0.9 * min(1.0, (share - begins) / (FULL - begins)))

    @property
    def is_near(self) -> bool:
        """Whether anything that was told lately makes messages wait, whichever token it concerns."""
        now = time.monotonic()
        return any(share >= EASE_SENDS_FROM and now - at < TOLD_S for share, at in self._told.values())

    def slowed_s(self, token: str | None = None, *, is_send: bool = False) -> float:
        """``pause_s``, for who heeds it: the log says that calls are slowed down, once a minute at most."""
        pause_s = self.pause_s(token, is_send=is_send)
        if pause_s > 0 and time.monotonic() - self._logged_at >= LOG_EVERY_S:
            self._logged_at = time.monotonic()
            logger.warning(
                "calls_slowed", share_percent=round(self.share(token)), pause_s=round(pause_s, 1), is_send=is_send,
                next_step="Meta counts calls by the hour. If this stays, give files fewer (COEXIST_MEDIA_PER_HOUR).",
            )  # fmt: skip
        return pause_s

    async def ease(self, token: str | None = None) -> None:
        """Wait before a call with ``token`` that can, where Meta's limits are near."""
        if (pause_s := self.slowed_s(token)) > 0:
            await asyncio.sleep(pause_s)


def usage_wait(headers: Mapping[str, str]) -> timedelta:
    """How long Meta's usage headers ask us to wait after a refusal; zero when they do not.

    ``X-Business-Use-Case-Usage`` names the minutes. ``X-App-Usage`` tells shares of a moving hour in per cent: what is
    beyond 100 has to grow old first.
    """
    app = _header(headers, "X-App-Usage", _Usage) or _Usage()
    over = max(app.call_count, app.total_time, app.total_cputime) - FULL
    uses = _header(headers, "X-Business-Use-Case-Usage", dict[str, list[_Usage]]) or {}
    minutes = [use.estimated_time_to_regain_access for of_one in uses.values() for use in of_one]
    return timedelta(minutes=min(max(0.0, over / FULL * 60, *minutes), WAIT_MAX_MINUTES))


def _key(token: str) -> bytes:
    """What stands for a token: a process's memory has no more copies of it than it needs."""
    return sha256(token.encode()).digest()


def _header(headers: Mapping[str, str], name: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(headers.get(name, ""), type=kind)
    except msgspec.DecodeError:
        return None
