"""What an address or a form of ours carries, read with the care that anything from outside needs."""

from __future__ import annotations

from typing import Final

from coexist.base.errors import Invalid

DIGITS_MAX: Final = 18
"""What fits into the database's largest whole number."""


def whole(raw: str) -> int | None:
    """Return the whole number that ``raw`` is, such as an id or a count; None for anything else."""
    return int(raw) if raw.isdecimal() and len(raw) <= DIGITS_MAX else None


def id_of(raw: str, *, back_to: str) -> int:
    """Return the id that ``raw`` is. Raises Invalid, which leads back to ``back_to``, such as "the inbox"."""
    found = whole(raw)
    if found is None:
        raise Invalid("This link is not complete.", next_step=f"Go back to {back_to}.")
    return found
