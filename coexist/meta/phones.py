"""Phone numbers: digits for storing, a key for matching, a form for people (meta-protocol 6.3).

Three things, never mixed. What is stored and sent to is always the form received; the key only answers "are these
two the same person?"; the pretty form is only shown.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

_PUNCTUATION: Final = re.compile(r"[\s()+./\-\u2010-\u2015\u00a0\u200e\u200f\u202a-\u202e]+")

_GROUP: Final = re.compile(r"[0-9]{5,}-[0-9]{9,}|[0-9]{16,}")
NUMBER_DIGITS_MAX: Final = 15
"""The longest that a number can be (ITU-T E.164)."""

CACHED_NUMBERS_COUNT: Final = 8192
"""A history chunk repeats a few hundred numbers thousands of times."""


@lru_cache(maxsize=CACHED_NUMBERS_COUNT)
def digits(text: str | int | None) -> str | None:
    """The digits of a number as Meta or a person wrote it: ``"+351 910 559 111"`` → ``"351910559111"``.

    None for nothing, for an empty text, and for what is no phone number (a group id, a name): an empty string must
    never become a key.
    """
    if text is None:
        return None
    bare = _PUNCTUATION.sub("", str(text))
    return bare if bare.isascii() and bare.isdigit() and len(bare) <= NUMBER_DIGITS_MAX else None


def is_group(text: object) -> bool:
    """Whether an id is a group's: with its suffix, or bare, as ``"351910559111-1520000000"`` or 16 digits and more."""
    return isinstance(text, str) and (text.endswith("@g.us") or _GROUP.fullmatch(text) is not None)


@lru_cache(maxsize=CACHED_NUMBERS_COUNT)
def match_key(number: str) -> str:
    """One key for all national forms of one person's number; for matching only, never to store or send to.

    - Brazil: ``55`` area ``9`` and 8 digits ⇔ without the 9, for mobiles alone (local part from 6 to 9): a landline
      with a 9 added is somebody else.
    - Mexico: ``521`` and 10 digits ⇔ ``52`` and 10 digits.
    - Argentina: ``549`` and 10 digits ⇔ ``54`` and 10 digits.
    """
    if number.startswith("55"):
        if len(number) == 13 and number[4] == "9" and number[5] in "6789":
            return number[:4] + number[5:]
    elif number.startswith("521") and len(number) == 13:
        return "52" + number[3:]
    elif number.startswith("549") and len(number) == 13:
        return "54" + number[3:]
    return number


def same_number(one: str | None, other: str | None) -> bool:
    """Whether two digit strings are one number, in whichever national form. Nothing equals nothing."""
    if not one or not other:
        return False
    return one == other or match_key(one) == match_key(other)


@lru_cache(maxsize=CACHED_NUMBERS_COUNT)
def pretty(number: str) -> str:
    """The international form for a screen: ``"351910559111"`` → ``"+351 910 559 111"``; ``+digits`` if unknown."""
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return f"+{number}"
    if not phonenumbers.is_possible_number(parsed):
        return f"+{number}"
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
