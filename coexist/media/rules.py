"""Pure decisions about fetching files."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from coexist.media.model import Reason

ID_LIFE: Final = timedelta(days=7)
"""How long Meta keeps a file for who was told its id (meta-protocol 7.5)."""
ADDRESS_LIFE: Final = timedelta(minutes=4)
"""How long the address in a webhook is tried before a fresh one is asked for: it lives five minutes."""
LAST_ATTEMPT_BEFORE: Final = timedelta(hours=1)
"""The last attempt is made this long before Meta's time is up."""
FORGOTTEN_AFTER: Final = ID_LIFE + timedelta(days=1)
"""What nobody could ask for until now, because its number was not connected, is given up."""

MISSING_ATTEMPTS_MAX: Final = 4
"""How often Meta may say that it has no such file before we believe it."""
WRONG_ATTEMPTS_MAX: Final = 3
"""How often a file may come with another hash than announced."""
FIRST_PAUSE_S: Final = 10
PAUSE_MAX_S: Final = 12 * 3600
THROTTLE_FIRST_S: Final = 60
THROTTLE_MAX_S: Final = 3600
"""Meta counts calls by the hour."""
ROOM_PAUSE_S: Final = 60
KEEP_PAUSE_S: Final = 15
"""Where files are kept, or the database, is away for a moment: a restart lasts seconds."""
BUSY_PAUSE_S: Final = 5

SENTENCES: Final[dict[Reason, str]] = {
    Reason.NO_ID: "WhatsApp told of this file without saying where it is.",
    Reason.UNKNOWN_TO_META: "WhatsApp no longer has this file.",
    Reason.EXPIRED: "The file could not be fetched in the seven days that WhatsApp keeps it.",
    Reason.DAMAGED: "What WhatsApp sent is not the file it had announced.",
    Reason.UNWANTED: "Files of this conversation are not taken in here.",
    Reason.BUSY: "Other files are being fetched first.",
    Reason.TOKEN_REFUSED: "WhatsApp no longer accepts this number's access token.",
    Reason.NO_ROOM: "The server's disk is nearly full.",
    Reason.NOT_KEPT: "The file came, but could not be stored here.",
    Reason.MOVED: "The number was connected to another account before this file could be fetched.",
}
STATES: Final = {
    "stored": "Fetched",
    "waiting": "On their way",
    "failed": "Could not be fetched",
    "gone": "WhatsApp has them no longer",
}
"""What a file's state means, where no reason says more."""
FETCHABLE: Final = frozenset({Reason.UNKNOWN_TO_META, Reason.DAMAGED, Reason.TOO_LARGE, Reason.UNWANTED})
"""Why a file was given up although asking again may bring it, while Meta has it."""


def sentence_of(reason: str | None) -> str:
    """Return why a file stands as it does; empty where the reason has no sentence of its own."""
    return SENTENCES.get(Reason(reason), "") if reason in list(Reason) else ""


def pause(attempts: int) -> timedelta:
    """Return the wait after so many attempts: three times as long each time, with jitter."""
    return jittered(min(FIRST_PAUSE_S * 3.0 ** min(attempts - 1, 20), PAUSE_MAX_S))


def throttle(refusals: int) -> timedelta:
    """Return how long a number's files wait after Meta asked so many times in a row for fewer calls."""
    return jittered(min(THROTTLE_FIRST_S * 2.0 ** min(refusals - 1, 20), THROTTLE_MAX_S))


def jittered(longest_s: float) -> timedelta:
    """Return a pause of up to ``longest_s``, so that many who wait do not return at once."""
    return timedelta(seconds=random.uniform(0.8 * longest_s, longest_s))  # noqa: S311


def next_attempt(known_at: datetime, now: datetime, wait: timedelta) -> datetime | None:
    """Return when to try again: after ``wait``, but once more before Meta's time is up; None when it is."""
    last = known_at + ID_LIFE - LAST_ATTEMPT_BEFORE
    return None if now >= last else min(now + wait, last)


def can_ask_again(state: str | None, reason: str | None, known_at: datetime | None, now: datetime) -> bool:
    """Whether a person's "try again" makes sense: Meta may still have the file, and asking could change something."""
    if known_at is None or now >= known_at + ID_LIFE:
        return False
    return state == "waiting" or (state in ("failed", "gone") and (reason is None or reason in FETCHABLE))
