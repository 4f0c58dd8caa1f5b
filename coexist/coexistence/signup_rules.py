"""Pure decisions of signing up: what a token proves, which number is meant, what an error means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from coexist.coexistence.signup_model import Choice, Problem, Signup, Stopped, Way
from coexist.inbox.connection import State
from coexist.inbox.inboxes import Inbox
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import GraphError, GraphFailed, PhoneNumber, SecretRefused, TokenInfo
from coexist.meta.phones import digits

MANAGING: Final = "whatsapp_business_management"
MESSAGING: Final = "whatsapp_business_messaging"
"""The permissions without which a number is no use: all fields but messages, and messages (meta-protocol 2.1)."""
CLOCKS: Final = timedelta(minutes=5)
"""How far Meta's clock and ours may be apart, and how long before the first click somebody may have begun."""


def proven_wabas(info: TokenInfo, app_id: str, told: str | None, now: datetime) -> Sequence[str]:
    """Return the WABAs that a token gives our app access to; only ``told`` when a WABA was named.

    Raises Stopped when token, app and WABA do not belong together (meta-protocol 2.5, step 1). Without
    granular targets, as a system user's token has it, the WABA must be named, and Graph decides.
    """
    is_over = info.has_ended(now)
    if not info.is_valid or is_over:
        raise Stopped(Problem.TOKEN_REFUSED, "It has expired." if is_over else None)
    if info.app_id != app_id:
        raise Stopped(Problem.OTHER_APP, f"It is a token of app {info.app_id}; ours is {app_id}.")
    missing = [scope for scope in (MANAGING, MESSAGING) if scope not in info.scopes]
    if missing:
        raise Stopped(Problem.SCOPE_MISSING, f"Missing: {' and '.join(missing)}.")
    targets = {one.scope: one.target_ids for one in info.granular_scopes if one.target_ids}
    wabas = targets.get(MANAGING, [told] if told else [])
    if MESSAGING in targets:
        wabas = [waba_id for waba_id in wabas if waba_id in targets[MESSAGING]]
    if not wabas:
        raise Stopped(Problem.NO_ACCOUNT)
    if told and told not in wabas:
        raise Stopped(Problem.WRONG_ACCOUNT, f"WhatsApp account {told} is not among those that were shared.")
    return [told] if told else wabas


def chosen(
    signup: Signup, numbers: Sequence[tuple[str, PhoneNumber]], renewed_id: str | None
) -> tuple[str, PhoneNumber]:
    """Return the number that is meant among those of the WABAs, each with its WABA's id, or raise Stopped.

    ``renewed_id`` is the phone_number_id of the inbox whose access shall be renewed. What a person chose decides, then
    that; else the only number, or the only one that was onboarded just now. Through Meta's window only numbers
    of the phone app are connected (meta-protocol 2.5, step 3).
    """
    if not numbers:
        raise Stopped(Problem.NO_NUMBER)
    fitting = [one for one in numbers if one[1].is_coexistence or signup.way == Way.TOKEN]
    if not fitting:
        raise Stopped(Problem.NOT_IN_APP, ", ".join(one.display_phone_number or one.id for _, one in numbers))
    for wanted in (signup.chosen_id, renewed_id):
        named = [one for one in fitting if one[1].id == wanted]
        if named:
            return named[0]
    choices = [_choice(waba_id, number) for waba_id, number in fitting]
    if renewed_id is not None:
        raise Stopped(Problem.ANOTHER_NUMBER, choices=choices)
    if len(fitting) == 1:
        return fitting[0]
    fresh = [one for one in fitting if is_since(one[1], signup.began_at - CLOCKS)]
    if len(fresh) == 1:
        return fresh[0]
    raise Stopped(Problem.WHICH_NUMBER, choices=choices)


def is_since(number: PhoneNumber, at: datetime) -> bool:
    """Whether Meta says that the number was onboarded at ``at`` or later."""
    onboarded_at = onboarding_time(number.last_onboarded_time)
    return onboarded_at is not None and onboarded_at >= at


def onboarded_at(number: PhoneNumber, known: Inbox | None, now: datetime) -> datetime | None:
    """Return when Meta says that a number was onboarded, to be connected as the inbox that it is already, if any.

    One that was removed and is back can only have been onboarded since, whatever Meta's lists tell that lag behind:
    then it is ``now``, which no time that Meta tells later is after.
    """
    told = onboarding_time(number.last_onboarded_time)
    if known is None or known.state != State.REMOVED or not number.is_coexistence:
        return told
    return told if told is not None and told > known.state_at else now


def onboarding_time(raw: str | int | None) -> datetime | None:
    """``last_onboarded_time``: seconds, or ISO 8601 with or without a colon in the offset."""
    try:
        if isinstance(raw, int) or (raw and raw.isdecimal()):
            return datetime.fromtimestamp(int(raw), UTC)
        told = datetime.fromisoformat(raw) if raw else None
    except (ValueError, OverflowError, OSError):
        return None
    return told if told is None or told.tzinfo else told.replace(tzinfo=UTC)


def _choice(waba_id: str, number: PhoneNumber) -> Choice:
    return Choice(waba_id, number.id, digits(number.display_phone_number) or "", number.verified_name)


DEAD_TOKEN: Final = frozenset({0, 190})


def stopped_by(error: GraphFailed, problem: Problem | None = None) -> Stopped:
    """What a call to Meta that failed means for an attempt: ``problem`` if given, else by what Meta said."""
    if isinstance(error, SecretRefused):
        return Stopped(Problem.APP_SECRET, error.message)
    if not isinstance(error, GraphError):
        return Stopped(problem or Problem.UNREACHABLE, str(error))
    if problem is None:
        is_passing = error.meaning.kind in (ErrorClass.TRANSIENT, ErrorClass.LIMIT)
        refused = Problem.TOKEN_REFUSED if error.code in DEAD_TOKEN else Problem.META_REFUSED
        problem = Problem.UNREACHABLE if is_passing else refused
    code = None if error.code is None else str(error.code)
    return Stopped(problem, str(error), error=code, trace=error.fbtrace_id)


class Cause(StrEnum):
    """Why Meta refuses to sign a number up; ``signup_words`` has the way out of each (requirement A10)."""

    TOO_NEW = "too_new"
    APP_VERSION = "app_version"
    PREVIOUS_PROVIDER = "previous_provider"
    CREDIT_LINE = "credit_line"
    PAYMENT = "payment"
    COUNTRY = "country"
    ADVANCED_ACCESS = "advanced_access"
    OWN_PORTFOLIO = "own_portfolio"


NOT_ELIGIBLE: Final = (Cause.TOO_NEW, Cause.PREVIOUS_PROVIDER, Cause.COUNTRY)
BY_CODE: Final[dict[str, Sequence[Cause]]] = {
    # meta-protocol 1.5: neither is documented; providers describe both with the same causes
    "3441041": NOT_ELIGIBLE,
    "2655093": NOT_ELIGIBLE,
    "3": (Cause.ADVANCED_ACCESS,),
    "10": (Cause.ADVANCED_ACCESS,),
    "200": (Cause.ADVANCED_ACCESS,),
    "131042": (Cause.PAYMENT, Cause.CREDIT_LINE),
    "134011": (Cause.PAYMENT,),
}
BY_WORDS: Final[Sequence[tuple[re.Pattern[str], Cause]]] = tuple(
    (re.compile(words, re.IGNORECASE), cause)
    for words, cause in (
        (r"credit line|line of credit|allocation", Cause.CREDIT_LINE),
        (r"payment", Cause.PAYMENT),
        (r"countr|region", Cause.COUNTRY),
        (r"\bversion|\bupdate", Cause.APP_VERSION),
        (r"provider|partner|already (connected|registered|linked)", Cause.PREVIOUS_PROVIDER),
        (r"activ|\bnew\b|recent|eligib|more time", Cause.TOO_NEW),
        (r"advanced access|permission|app review|capability", Cause.ADVANCED_ACCESS),
        (r"can.?t onboard|owns", Cause.OWN_PORTFOLIO),
    )
)


def causes_of(error: str | None, sentence: str | None) -> Sequence[Cause]:
    """Return what an error of Meta's window comes from, by its code, else by Meta's sentence; nothing if unknown."""
    by_code = BY_CODE.get(error or "")
    if by_code:
        return by_code
    return [cause for words, cause in BY_WORDS if sentence and words.search(sentence)]
