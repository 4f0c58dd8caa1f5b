"""Pure decisions about sending: what an answer of Meta means for the message, its lane and its number."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from coexist.meta.errors import ErrorClass, explain

TEXT_CHARS_MAX: Final = 4_096
ATTEMPTS_MAX: Final = 12
"""Attempts that certainly did not reach Meta before a message counts as failed: some 20 minutes."""
UNKNOWN_ATTEMPTS_MAX: Final = 2
"""131000 may be tried once more (meta-protocol 1.5)."""
BACKOFF_MAX_S: Final = 300
PAIR_EXPONENT_MAX: Final = 6
"""4^6 s: longer than an hour nobody waits for a lane."""
PAUSE_MAX_S: Final = 4**PAIR_EXPONENT_MAX
"""The longest of all pauses: whoever seems to wait for longer was told so by a clock that was wrong."""
THROTTLED_MAX_S: Final = 60
MAINTENANCE_S: Final = 60

MAINTENANCE: Final = frozenset({131057, 2494100})
UNKNOWN_FAILURE: Final = 131000
PAIR_LIMIT: Final = 131056
WABA_LIMIT: Final = 80007
APP_LIMIT: Final = 4


class Step(StrEnum):
    """What to do with a message that Meta answered with an error."""

    AGAIN = "again"
    """Certainly not accepted: try again after a pause."""
    PAUSE_NUMBER = "pause_number"
    PAUSE_WABA = "pause_waba"
    PAUSE_ALL = "pause_all"
    STOP_NUMBER = "stop_number"
    """The token is refused: the queue waits until somebody authorises the number again."""
    UNCLEAR = "unclear"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and after which pause."""

    step: Step
    after: timedelta = timedelta(0)


def decide(code: int | None, attempts: int) -> Decision:
    """Return what follows from an error that Graph answered a send with. ``attempts`` includes this one.

    Only a parsed error envelope comes here: a message without any answer is unclear anyway. meta-protocol 1.5.
    """
    if code is None:
        return Decision(Step.UNCLEAR)
    match explain(code).kind:
        case ErrorClass.REAUTHORISE:
            return Decision(Step.STOP_NUMBER)
        case ErrorClass.LIMIT if code != PAIR_LIMIT:
            return _throttled(code)
        case ErrorClass.AMBIGUOUS if code == UNKNOWN_FAILURE and attempts < UNKNOWN_ATTEMPTS_MAX:
            return Decision(Step.AGAIN, backoff(attempts))
        case ErrorClass.AMBIGUOUS:
            return Decision(Step.UNCLEAR)
        case ErrorClass.TRANSIENT | ErrorClass.LIMIT if attempts < ATTEMPTS_MAX:
            return Decision(Step.AGAIN, _pause(code, attempts))
        case _:
            return Decision(Step.FAIL)


def _throttled(code: int) -> Decision:
    """The message waits, and with it everything that would run into the same limit."""
    if code == WABA_LIMIT:
        return Decision(Step.PAUSE_WABA, jittered(THROTTLED_MAX_S, 5 * THROTTLED_MAX_S))
    if code == APP_LIMIT:
        return Decision(Step.PAUSE_ALL, jittered(THROTTLED_MAX_S, 5 * THROTTLED_MAX_S))
    return Decision(Step.PAUSE_NUMBER, jittered(1, THROTTLED_MAX_S))


def _pause(code: int, attempts: int) -> timedelta:
    if code == PAIR_LIMIT:
        return timedelta(seconds=4 ** min(attempts - 1, PAIR_EXPONENT_MAX))
    return timedelta(seconds=MAINTENANCE_S) if code in MAINTENANCE else backoff(attempts)


def decide_not_sent(attempts: int) -> Decision:
    """Return what follows when not one byte reached Meta."""
    return Decision(Step.AGAIN, backoff(attempts)) if attempts < ATTEMPTS_MAX else Decision(Step.FAIL)


def backoff(attempts: int) -> timedelta:
    """Return the pause before the next attempt: doubling from a second, with jitter."""
    longest = min(2.0 ** (attempts - 1), BACKOFF_MAX_S)
    return jittered(longest / 2, longest)


def jittered(low_s: float, high_s: float) -> timedelta:
    """Return a pause between the two, so that many who wait do not return at once."""
    return timedelta(seconds=random.uniform(low_s, high_s))  # noqa: S311
