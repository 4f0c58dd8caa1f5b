"""The customer service window: the 24 hours in which the API may send free-form messages (meta-protocol 7.3).

Only a message that came in live after the number was connected opens it: never an import, never an echo (E9, D7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

WINDOW = timedelta(hours=24)


class Why(StrEnum):
    """Why the window is as it is, as a sentence."""

    OPEN = "The customer wrote in the last 24 hours."
    EXPIRED = "More than 24 hours have passed since the customer's last message."
    REFUSED = "WhatsApp says that more than 24 hours have passed since the customer's last message."
    NEVER = "The customer has not written since this number was connected. Imported messages do not count."


@dataclass(frozen=True, slots=True)
class Window:
    """``opened_at`` is the sending time of the message that opened it last, ``expires_at`` 24 hours later."""

    is_open: bool
    why: Why
    opened_at: datetime | None = None
    expires_at: datetime | None = None


IS_OPEN: Final = f"""(
    c.window_opened_at > %(now)s - interval '{WINDOW.total_seconds():.0f} seconds'
    AND c.window_opened_at >= coalesce(c.window_refused_at, '-infinity'))"""
"""`window_of(...).is_open` for statements over conversations c, with now as a value."""


def window_of(opened_at: datetime | None, now: datetime, refused_at: datetime | None = None) -> Window:
    """The window at ``now`` of a conversation whose newest opening message was sent at ``opened_at``.

    WhatsApp overrules us: what it refused at ``refused_at`` stays closed until the customer writes again (7.3).
    """
    if opened_at is None:
        return Window(False, Why.NEVER)
    expires_at = opened_at + WINDOW
    if refused_at is not None and opened_at < refused_at:
        return Window(False, Why.REFUSED, opened_at, min(expires_at, refused_at))
    is_open = now < expires_at
    return Window(is_open, Why.OPEN if is_open else Why.EXPIRED, opened_at, expires_at)
