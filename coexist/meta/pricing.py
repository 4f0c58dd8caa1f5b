"""What Meta charges for a message, as its status tells (meta-protocol 5.3)."""

from __future__ import annotations

from typing import Final

CATEGORIES: Final = {
    "authentication": "authentication",
    "authentication-international": "international authentication",
    "authentication_international": "international authentication",
    "marketing": "marketing",
    "marketing_lite": "marketing",
    "referral_conversion": "answer to an advertisement",
    "service": "service",
    "utility": "utility",
}
"""Meta's categories in our words; others are shown as Meta calls them."""


def category_words(category: str | None) -> str:
    """Return a category of Meta's ``pricing`` in words, empty when it told none."""
    return CATEGORIES.get(category or "", (category or "").replace("_", " "))
