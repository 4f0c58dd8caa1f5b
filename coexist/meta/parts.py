"""One part of a delivery, found again by its path: its JSON as it came, and in a few words what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from coexist.meta.decode import clean, members, unwrapped

_STEP: Final = re.compile(r"(\w+)|\[(\d+)\]")
"""A step of a path: a name, or a place in an array."""

_NOUNS: Final = {
    "changes": "change",
    "messages": "message",
    "message_echoes": "message",
    "statuses": "status",
    "contacts": "profile",
    "history": "chunk",
    "threads": "chat",
    "context": "chat's contact",
    "metadata": "chunk's head",
    "errors": "error",
    "state_sync": "address book entry",
    "contact": "address book entry",
    "user_id_update": "change of a user id",
    "groups": "group",
}
"""What one item of an array is called; anything else goes by its own name."""

_WORD: Final = re.compile(r"[\w.-]{1,60}")
_TYPED: Final = frozenset({"messages", "message_echoes"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a delivery: ``kind`` such as ``text message`` or ``chat in history``, and its JSON, untouched.

    ``field`` is the webhook field that it stands under; None where none can be told.
    """

    kind: str
    field: str | None
    json: bytes


def part_at(body: bytes, path: str) -> Part:
    """Return the part of a delivery that a `Problem` or a fact names.

    A path that leads nowhere (the body is broken above it) gives what it led to: the delivery as a whole at the worst.
    Never raises.
    """
    bodies = unwrapped(clean(body))
    steps: list[str | int] = [step[1] or int(step[2]) for step in _STEP.finditer(path.removesuffix("body"))]
    place = steps.pop(0) if steps and isinstance(steps[0], int) else 0
    found = bodies[int(place)] if len(bodies) > int(place) and path else Raw(body)
    is_bare_history = steps[:1] == ["value"] and "history" in members(found)  # a declined one, see ``parse``
    field, noun, name = "history" if is_bare_history else "", "", ""
    for step in steps:
        inside = members(found)
        field = _word(inside, "field") or field
        below = _below(found, inside, step)
        if below is None:
            break
        found = below
        if isinstance(step, str):
            name = step
        noun = _NOUNS.get(name, name)
        if name in _TYPED and isinstance(step, int) and (type_ := _word(members(found), "type")):
            noun = f"{type_} {noun}"
    field = _word(members(found), "field") or field
    return Part(_in_words(field, noun), field or None, bytes(found))


def _below(found: Raw, inside: dict[Any, Raw], step: str | int) -> Raw | None:
    """One step down. The items of a change stand in its ``value``; a bare value has no member of that name."""
    if step in inside:
        return inside[step]
    if step == "value":
        return found
    return members(inside["value"]).get(step) if "value" in inside else None


def _word(inside: dict[Any, Raw], name: str) -> str:
    """A short word that stands under ``name``, such as the type of a message; nothing for anything else."""
    try:
        word = msgspec.json.decode(inside.get(name, b'""'), type=str)
    except (ValueError, RecursionError):
        return ""
    return word if _WORD.fullmatch(word) else ""


def _in_words(field: str, noun: str) -> str:
    if noun in ("", "entry", "change", "value"):
        return f"all of {field}" if field else "whole delivery"
    return noun if field in ("", "messages") else f"{noun} in {field}"
