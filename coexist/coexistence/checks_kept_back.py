"""What could not be applied, held against what it can be the reason of: a chat in history hides no contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from coexist.base.counts import counted
from coexist.coexistence.checks_evidence import KeptBack
from coexist.coexistence.checks_model import Check, Level, Name

TITLE: Final = "Quarantine"
STEP: Final = "Open Quarantine: it has the reasons, and Retry."
NAMED_COUNT: Final = 3
"""Kinds of parts that are named."""

QUESTIONS: Final[Mapping[str, str]] = {
    "history": "history",
    "smb_app_state_sync": "contacts",
    "smb_message_echoes": "app_messages",
    "message_echoes": "app_messages",
}
"""The doctor's question that a webhook field answers, and no other."""
OF_EVERYTHING: Final = "account_update"
"""It says whether the number is connected at all, which everything rests on."""
OF_TEMPLATES: Final = ("message_template_", "template_")
"""What begins so says which templates may be sent."""


def is_of(question: str, part: KeptBack) -> bool:
    """Whether a part that could not be applied may be why somebody asks ``question``.

    One that names no field may be of anything. Under ``messages`` stands what customers write, which is nobody's
    question, beside what became of ours.
    """
    if part.field is None or part.field == OF_EVERYTHING:
        return True
    if question == "sending":
        return part.field.startswith(OF_TEMPLATES) or (part.field == "messages" and not part.is_written)
    return QUESTIONS.get(part.field) == question


def check(question: str, parts: Sequence[KeptBack], now: datetime) -> Check:
    """What could not be applied and may be why somebody asks ``question``, and what of it cannot be told."""
    blamed = [part for part in parts if is_of(question, part)]
    if not blamed:
        others = sum(part.count for part in parts)
        seen = "All that came could be applied."
        if others:
            seen = f"Nothing of this kind. Parts of other kinds that could not be applied: {others:,}."
        return Check(Name.QUARANTINE, Level.GREEN, TITLE, seen, now)
    count = counted(_sum(blamed), "part of a delivery", "parts of deliveries")
    kinds = list(dict.fromkeys(part.kind for part in blamed if part.kind))
    named = ", ".join(kinds[:NAMED_COUNT]) + (", …" if len(kinds) > NAMED_COUNT else "")
    last = f"{max(part.last_at for part in blamed):%Y-%m-%d %H:%M} UTC"
    told = [f"{count} could not be applied{f' ({named})' if named else ''}, the last at {last}."]
    if untold := _sum([part for part in blamed if part.field is None]):
        told.append(f"Parts that do not tell what they are of, and so may be of this: {untold:,}.")
    if unnamed := _sum([part for part in blamed if part.is_of_any_number]):
        told.append(f"Parts that name no number, and so may be of this one: {unnamed:,}.")
    return Check(Name.QUARANTINE, Level.AMBER, TITLE, " ".join(told), now, STEP)


def _sum(parts: Sequence[KeptBack]) -> int:
    return sum(part.count for part in parts)
