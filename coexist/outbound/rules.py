"""Pure decisions about sending: what becomes of a message that Meta refused."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from coexist.meta.errors import MARKETING_RESTS_HOURS, NEVER_AGAIN, Action, ErrorMeaning, action_of, explain

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
SLOWED_MAX_S: Final = 60
MAINTENANCE_S: Final = 60
WAIT_S: Final = 60
"""When what waits is tried although nobody said that it goes on: Meta's times and ours, which say so, may disagree."""
ASKED_ATTEMPTS_MAX: Final = 3
"""How often a message is tried while Meta says that its number is there all the same."""
ASKED_PAUSE_S: Final = 30
"""The time after which Meta's answer about a number can be another."""
ASKED_REST_S: Final = 420
"""The longest that Meta's answer about a number is waited for: a minute for each question, and its calls."""


HELD_BACK: Final = {
    "held_for_quality_assessment": "WhatsApp has taken it and holds it back while it looks at how people take this "
    "template. It goes out, or fails, when that is over.",
    "paused": "WhatsApp has taken it and holds it back: the template is paused. It goes out, or fails, when that ends.",
}
"""``message_status`` of a template that does not go out at once."""


class Step(StrEnum):
    """What becomes of a message that Meta answered with an error."""

    AGAIN = "again"
    """Back in line, at its old place."""
    UNCLEAR = "unclear"
    """It may have arrived: a person decides."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and after which pause. ``is_counted``: as an attempt; what waits for others is none.

    ``number_rests``: how long all that is for the number waits. ``is_asked``: until Meta has said whether the number
    is still there, if that is sooner.
    """

    step: Step
    after: timedelta = timedelta(0)
    is_counted: bool = True
    number_rests: timedelta = timedelta(0)
    is_asked: bool = False


FAIL: Final = Decision(Step.FAIL)
WAIT: Final = Decision(Step.AGAIN, timedelta(seconds=WAIT_S), is_counted=False)
"""Until whatever the code stopped goes on: see `inbox.refusals`."""
HOLD: Final = Decision(Step.AGAIN, is_counted=False)
"""Back in line, where `holding` keeps it: its template was paused between its claim and its call."""
NO_TOKEN: Final = Decision(Step.AGAIN, is_counted=False, number_rests=timedelta(seconds=WAIT_S))
ASK: Final = Decision(
    Step.AGAIN,
    timedelta(seconds=ASKED_PAUSE_S),
    is_counted=False,
    number_rests=timedelta(seconds=ASKED_REST_S),
    is_asked=True,
)


def decide(
    code: int | None, attempts: int, *, asked_attempts: int = 0, is_template: bool = False, has_window: bool = True
) -> Decision:
    """Return what becomes of a message that Graph answered with an error. ``attempts`` includes this one.

    ``asked_attempts`` before it made us ask Meta whether the number is still there. Only a parsed error envelope comes
    here: a message without any answer is unclear anyway. meta-protocol 1.5.
    """
    match action_of(code):
        case Action.LEAVE_UNCLEAR:
            return Decision(Step.UNCLEAR)
        case Action.AGAIN_ONCE:
            return (
                Decision(Step.AGAIN, backoff(attempts)) if attempts < UNKNOWN_ATTEMPTS_MAX else Decision(Step.UNCLEAR)
            )
        case Action.RENEW_ACCESS | Action.STOP_ACCOUNT | Action.PAUSE_ALL:
            return WAIT
        case Action.HOLD_PAID if is_template:
            return WAIT
        case Action.HOLD_BUSINESS_INITIATED if is_template and not has_window:
            return WAIT
        case Action.SLOW_NUMBER:
            pause = jittered(1, SLOWED_MAX_S)
            return Decision(Step.AGAIN, pause, is_counted=False, number_rests=pause)
        case Action.ASK_META if asked_attempts + 1 < ASKED_ATTEMPTS_MAX:
            return ASK
        case Action.AGAIN | Action.PAUSE_ACCOUNT if attempts < ATTEMPTS_MAX:
            return Decision(Step.AGAIN, backoff(attempts))
        case Action.AGAIN_IN_A_MINUTE if attempts < ATTEMPTS_MAX:
            return Decision(Step.AGAIN, timedelta(seconds=MAINTENANCE_S))
        case Action.SLOW_PERSON if attempts < ATTEMPTS_MAX:
            return Decision(Step.AGAIN, timedelta(seconds=4 ** min(attempts - 1, PAIR_EXPONENT_MAX)))
        case _:
            return FAIL


def why_not_again(
    codes: Collection[int], failed_at: datetime | None, now: datetime, *, wants_marketing: bool = False
) -> ErrorMeaning | None:
    """Return the code for which not even a person may send again what failed with these; None when they may.

    ``wants_marketing``: whom it is for has resumed it, whatever Meta said when it failed.
    """
    for code in codes:
        action = action_of(code)
        rests = action is Action.REST_MARKETING and failed_at is not None
        stopped = action is Action.STOP_MARKETING and not wants_marketing
        if (
            code in NEVER_AGAIN
            or stopped
            or (rests and failed_at and now < failed_at + timedelta(hours=MARKETING_RESTS_HOURS))
        ):
            return explain(code)
    return None


def accepted(message_status: str | None) -> str | None:
    """Return what people are told of a template that Meta took but keeps for now; None when it goes out (7.1)."""
    return HELD_BACK.get(message_status or "")


def decide_not_sent(attempts: int) -> Decision:
    """Return what follows when not one byte reached Meta."""
    return Decision(Step.AGAIN, backoff(attempts)) if attempts < ATTEMPTS_MAX else FAIL


def backoff(attempts: int) -> timedelta:
    """Return the pause before the next attempt: doubling from a second, with jitter."""
    longest = min(2.0 ** (attempts - 1), BACKOFF_MAX_S)
    return jittered(longest / 2, longest)


def jittered(low_s: float, high_s: float) -> timedelta:
    """Return a pause between the two, so that many who wait do not return at once."""
    return timedelta(seconds=random.uniform(low_s, high_s))  # noqa: S311
