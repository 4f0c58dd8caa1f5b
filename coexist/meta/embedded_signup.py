"""What Meta's sign-up window tells the page that opened it (meta-protocol 2.3).

Nobody signs it, and any page could have made it: what it names is proven by the token, never by this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

TYPE: Final = "WA_EMBEDDED_SIGNUP"
TEXT_CHARS: Final = 500
ID: Final = re.compile(r"[0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class Finished:
    """The window was gone through to its end. A coexistence sign-up names the WABA alone, so that is all we take."""

    waba_id: str | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The window was left at a step, such as PHONE_NUMBER_SETUP."""

    step: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The window met an error. Meta's support asks for ``session_id``."""

    error: str | None
    message: str | None
    session_id: str | None
    step: str | None


SessionEvent = Finished | Cancelled | Failed


def parse_event(raw: str) -> SessionEvent | None:
    """Return what ``event.data`` of the window tells, None when it is nothing of a sign-up.

    CANCEL with an error is a failure; error_id and error_code are two names of one thing, ERROR a third way
    to say so.
    """
    try:
        told = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if not isinstance(told, dict) or told.get("type") != TYPE:
        return None
    data, event = told.get("data"), told.get("event")
    data = data if isinstance(data, dict) else {}
    if isinstance(event, str) and event.startswith("FINISH"):
        waba_id = str(data.get("waba_id", ""))
        return Finished(waba_id if ID.fullmatch(waba_id) else None)
    error, message = _text(data, "error_id", "error_code"), _text(data, "error_message")
    if event == "ERROR" or (event == "CANCEL" and (error or message)):
        return Failed(error, message, _text(data, "session_id"), _text(data, "current_step"))
    return Cancelled(_text(data, "current_step")) if event == "CANCEL" else None


def _text(data: Mapping[str, Any], *names: str) -> str | None:
    """The first of the fields that is a text or a number, cleaned for a database and short enough for a page."""
    found = next((data[name] for name in names if isinstance(data.get(name), str | int)), "")
    return "".join(sign for sign in str(found) if sign.isprintable())[:TEXT_CHARS].strip() or None
