"""Pure decisions about a connection's life: a phone that falls silent, a token that ends, what Meta's answer means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from coexist.coexistence.signup_rules import MANAGING, MESSAGING
from coexist.inbox.connection import State
from coexist.meta.graph import Health, PhoneNumber, TokenInfo

INACTIVITY: Final = timedelta(days=14)
"""WhatsApp disconnects a number whose phone app was not opened for so long (meta-protocol 8.3)."""
PHONE_AMBER: Final = timedelta(days=7)
PHONE_RED: Final = timedelta(days=11)
TOKEN_AMBER: Final = timedelta(days=7)
"""How long before its end an access token is worth a word."""
TOKEN_RED: Final = timedelta(days=1)

ON_STATUSES: Final = frozenset({"CONNECTED", "FLAGGED", "RATE_LIMITED", "RESTRICTED"})
OFF_STATUSES: Final = frozenset({"OFFLINE", "DISCONNECTED"})
AVAILABLE: Final = "AVAILABLE"
HEALTH_LAGS: Final = timedelta(minutes=10)
"""How long after a refusal a good health status may be that of before."""
CLOUD_API: Final = "CLOUD_API"


class Stage(StrEnum):
    """How pressing it is."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sign:
    """The newest thing that the phone certainly did: when, and what it was (see ``life_store.SIGN``)."""

    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """When something ends if nothing happens. ``ends_at`` is None when nobody knows, or when it never does."""

    stage: Stage
    ends_at: datetime | None = None


UNKNOWN: Final = Forecast(Stage.UNKNOWN)


def phone_forecast(state: str, sign: Sign | None, now: datetime) -> Forecast:
    """Return when WhatsApp will disconnect the number if its phone stays as silent as since the last sign of life.

    We never see that the app was merely opened, so this is the earliest time it can be. Unknown without a sign, and
    for a number that is disconnected already. A sign from the future is one of now: clocks differ.
    """
    if sign is None or state in (State.OFFBOARDED, State.REMOVED):
        return UNKNOWN
    last = min(sign.at, now)
    silence = now - last
    stage = Stage.RED if silence >= PHONE_RED else Stage.AMBER if silence >= PHONE_AMBER else Stage.GREEN
    return Forecast(stage, last + INACTIVITY)


def token_forecast(checked_at: datetime | None, expires_at: datetime | None, now: datetime) -> Forecast:
    """Return when the access token ends, as Meta told; one without an end is green and has no ``ends_at``."""
    if checked_at is None:
        return UNKNOWN
    if expires_at is None:
        return Forecast(Stage.GREEN)
    left = expires_at - now
    stage = Stage.RED if left <= TOKEN_RED else Stage.AMBER if left <= TOKEN_AMBER else Stage.GREEN
    return Forecast(stage, expires_at)


def goes_on(health: Health, since: datetime, now: datetime) -> bool:
    """Whether what stood against sending ``since`` then is over: Meta says so, and has had the time to notice."""
    return health.can_send_message == AVAILABLE and now - since >= HEALTH_LAGS


def token_evidence(info: TokenInfo, now: datetime) -> dict[str, Any]:
    """Return what Meta says of a token that was refused, for the timeline: whether it is valid, and what it may do.

    One whose end has come is not valid, and ``ended_at`` says since when.
    """
    missing = [scope for scope in (MESSAGING, MANAGING) if scope not in info.scopes]
    if info.ends_at is not None and info.has_ended(now):
        return {"is_valid": False, "missing": missing, "ended_at": info.ends_at.isoformat()}
    return {"is_valid": info.is_valid, "missing": missing}


def state_of(number: PhoneNumber, *, is_coexistence: bool) -> State | None:
    """Return what Meta's answer about a number says of its connection; None when it says nothing of it.

    A number that is not at the Cloud API any more is removed; one whose phone is away is offboarded.
    meta-protocol 2.5, 5.7.
    """
    if number.platform_type is None:
        return None
    if number.platform_type != CLOUD_API:
        return State.REMOVED
    if number.status in OFF_STATUSES or (is_coexistence and number.is_on_biz_app is False):
        return State.OFFBOARDED
    return State.CONNECTED if number.status in ON_STATUSES else None
