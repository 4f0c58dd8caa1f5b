"""Read by every Python process that runs under libfaketime: a sleep that its version 0.9.10 does not break.

It takes the absolute moment that ``clock_nanosleep`` is given on the monotonic clock for one of the clock that it
moves, and refuses it.
"""

import select
import time
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex, /) -> None:
    """``time.sleep`` without ``clock_nanosleep``."""
    select.select([], [], [], max(0.0, float(seconds)))


time.sleep = sleep
