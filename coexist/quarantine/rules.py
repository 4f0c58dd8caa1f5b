"""Who may look after the quarantine, and what an error means to a person. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import psycopg

from coexist.base.errors import Invalid, NotFound
from coexist.people.model import Member, Role
from coexist.quarantine.model import Keeper

WHY_CHARS_MAX: Final = 500
"""The longest reason for a dismissal."""

_RAISED: Final = re.compile(r"([A-Z]\w+)(?:: |$)")
"""The type of an exception, as ``intake.worker`` writes it before the exception's words."""

_SHAPE: Final = re.compile(
    r"Expected `|JSON is malformed|Input data was truncated|Object missing|Invalid UTF-8|: empty$"
)
"""What the JSON decoder says of what it cannot read."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a part waits, for a person, and what can be done about it."""

    sentence: str
    next_step: str


def may_keep(member: Member) -> bool:
    """Whether somebody looks after the quarantine of their account."""
    return member.role in (Role.ADMIN, Role.OWNER)


def keeper_of(member: Member) -> Keeper:
    """The keeper that a member is. Raises NotFound for who is none: the quarantine does not exist for them."""
    if not may_keep(member):
        raise NotFound("This page does not exist.", next_step="Go back to the inbox.")
    return Keeper(member.name, member.account_id)


def reason_for(error: str) -> Reason:
    """What an error of the quarantine means: a fault in what came, one of ours, or one of time."""
    if _SHAPE.search(error):
        return Reason(
            "WhatsApp sent it in a shape that this version does not understand.",
            "Retry it after the next update. It is kept as it came.",
        )
    raised = _RAISED.match(error)
    if raised is None:
        return Reason(
            f"Something in it is missing or contradicts itself: {error}.",
            "If it stays so after a retry, look into the phone app, and dismiss it here.",
        )
    if raised[1] == "Damaged":
        return Reason(
            "What the journal holds of it is damaged.",
            "Look at the disk and its backups. The phone app still shows what it was: then dismiss it here.",
        )
    if raised[1] == "QueryCanceled":
        return Reason("Storing it took too long.", "Retry it when the database is less busy.")
    if hasattr(psycopg.errors, raised[1]):
        return Reason("The database refused it.", "This is a fault of ours: retry it after the next update.")
    return Reason("Our own software failed on it.", "Retry it after the next update.")


def checked_why(why: str) -> str:
    """The reason of a dismissal, on one line. Raises Invalid for none, and for one that is too long."""
    words = " ".join(why.replace("\0", "").split())
    if not words or len(words) > WHY_CHARS_MAX:
        raise Invalid(
            f"A dismissal needs its reason, of {WHY_CHARS_MAX} characters at most.",
            next_step="Say why it need not be applied, for whoever asks later.",
        )
    return words
