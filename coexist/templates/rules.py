"""Pure decisions about templates: what a status allows, and when Meta is asked again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from coexist.meta.errors import TEMPLATE_COPY, Action, codes_of

APPROVED: Final = "APPROVED"
PAUSED: Final = "PAUSED"
DISABLED: Final = "DISABLED"
MISSING: Final = "MISSING"
"""Meta refused a message because it knows no such template, or has not approved it (132001)."""
GONE: Final = "GONE"
"""Meta does not list it any more."""

LAG: Final = timedelta(minutes=10)
"""Meta's list lags: within this time after a webhook or a refusal it is not believed where it says otherwise."""
AHEAD: Final = timedelta(hours=1)
"""What was told or listed so much later than now was so by a wrong clock."""
REST: Final = timedelta(milliseconds=20)
"""How long a list rests for each template in it, whatever is told of them: two minutes for the 6,000 of the largest."""
LIST_EVERY: Final = timedelta(hours=6)
LIST_PAUSED_EVERY: Final = timedelta(minutes=15)
"""How often Meta is asked while a template is paused: its webhook of the end may be lost."""

OF_EVENT: Final = {
    "APPROVED": APPROVED,
    "REINSTATED": APPROVED,
    "UNARCHIVED": APPROVED,
    **{
        event: event
        for event in (
            "ARCHIVED", "DELETED", DISABLED, "IN_APPEAL", "LIMIT_EXCEEDED", "LOCKED", PAUSED, "PENDING",
            "PENDING_DELETION", "REJECTED",
        )
    },
}  # fmt: skip
"""Which status follows from an event of a template (meta-protocol 5.9); of others the list is asked."""
OF_CODE: Final = {
    **dict.fromkeys(codes_of(Action.HOLD_TEMPLATE), PAUSED),
    **dict.fromkeys(codes_of(Action.BLOCK_TEMPLATE), MISSING),
    132016: DISABLED,
}
"""Which status follows from the refusal of a message (meta-protocol 1.5)."""

WHY_NOT: Final = {
    PAUSED: "WhatsApp has paused this template because people reported it.",
    DISABLED: "WhatsApp has disabled this template for good.",
    MISSING: "WhatsApp refused this template: it does not know it in this language, or has not approved it.",
    GONE: "This template is not in the WhatsApp account any more.",
    "DELETED": "This template was deleted.",
    "PENDING_DELETION": "This template is being deleted.",
    "PENDING": "WhatsApp is still reviewing this template.",
    "IN_APPEAL": "WhatsApp is reviewing this template once more.",
    "REJECTED": "WhatsApp did not approve this template.",
    "ARCHIVED": "This template is archived in WhatsApp Manager.",
    "LOCKED": "WhatsApp has locked this template.",
    "LIMIT_EXCEEDED": "The WhatsApp account has more templates than it may have.",
}
NEXT_STEP: Final = {
    PAUSED: "Use another until it is resumed; that shows here by itself.",
    DISABLED: TEMPLATE_COPY,
    MISSING: "It is checked with Meta by itself; look at it in WhatsApp Manager if it stays so.",
    "PENDING": "That takes minutes as a rule, and up to a day.",
    "IN_APPEAL": "Use another until then.",
    "REJECTED": TEMPLATE_COPY,
    "ARCHIVED": "Take it out of the archive in WhatsApp Manager.",
}


def is_sendable(status: str) -> bool:
    """Whether Meta takes messages with a template of this status."""
    return status == APPROVED


def why_not(status: str) -> tuple[str, str]:
    """Why a template of this status is not sent, and what to do: two sentences, the second may be empty."""
    if is_sendable(status):
        return "", ""
    sentence = WHY_NOT.get(status, f"WhatsApp does not let this template be sent now ({status}).")
    return sentence, NEXT_STEP.get(status, "Choose another template.")


def status_of(value: Mapping[str, Any], event: str | None) -> str | None:
    """Return the status that a ``message_template_status_update`` tells; None when the list has to be asked."""
    other = value.get("other_info")
    title = other.get("title") if isinstance(other, Mapping) else None
    return APPROVED if title == "UNPAUSE" else OF_EVENT.get(event or "")


def reason_of(value: Mapping[str, Any]) -> str | None:
    """Why, in Meta's words: its description, its recommendation, or its bare reason."""
    other, rejection = value.get("other_info"), value.get("rejection_info")
    said = [
        other.get("description") if isinstance(other, Mapping) else None,
        rejection.get("reason") if isinstance(rejection, Mapping) else None,
        rejection.get("recommendation") if isinstance(rejection, Mapping) else None,
        value.get("reason"),
    ]
    words = [word for word in said if isinstance(word, str) and word not in ("", "NONE")]
    return " ".join(dict.fromkeys(words)) or None


def next_at(asked_at: datetime, *, has_paused: bool, last_told_at: datetime | None) -> datetime:
    """Return when Meta is asked for the list again: soon after what it told otherwise, else now and then."""
    usual = asked_at + (LIST_PAUSED_EVERY if has_paused else LIST_EVERY)
    if last_told_at is not None and last_told_at + LAG >= asked_at:
        return min(usual, last_told_at + LAG + timedelta(seconds=1))
    return usual
