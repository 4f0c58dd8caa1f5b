"""Pure decisions about fetching files."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

ATTEMPTS_MAX: Final = 20
"""With the pauses below some 6.5 days: Meta keeps a file for 7 (meta-protocol 7.5)."""
MISSING_ATTEMPTS_MAX: Final = 4
"""How often Meta may say that it has no such file before we believe it."""
WRONG_ATTEMPTS_MAX: Final = 3
"""How often a file may come with another hash than announced."""
FIRST_PAUSE_S: Final = 10
PAUSE_MAX_S: Final = 12 * 3600

GONE: Final = "WhatsApp no longer has this file. It may still be on the phone."
NEVER_TOLD: Final = "WhatsApp told of this file without saying where it is. It is on the phone."
EXPIRED: Final = "The file could not be fetched in the seven days that WhatsApp keeps it. It is on the phone."
DAMAGED: Final = "What WhatsApp sent is not the file it had announced. It is on the phone."


def pause(attempts: int) -> timedelta:
    """Return the wait after so many attempts: three times as long each time, with jitter."""
    longest = min(FIRST_PAUSE_S * 3.0 ** (attempts - 1), PAUSE_MAX_S)
    return timedelta(seconds=random.uniform(0.8 * longest, longest))  # noqa: S311
