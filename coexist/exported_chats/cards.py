"""Contact cards (vCard files) as Meta's ``contacts`` has them, so that they show like any other. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from coexist.meta.phones import digits

CARD_BYTES_MAX: Final = 256 * 1024
"""A card with a picture in it; a larger file is kept as a document."""
CARDS_COUNT_MAX: Final = 50
PHONES_COUNT_MAX: Final = 20
VALUE_CHARS_MAX: Final = 200

_LINE: Final = re.compile(r"^(?:[\w-]+\.)?(?P<name>[A-Z-]+)(?P<options>(?:;[^:]*)?):(?P<value>.*)$", re.IGNORECASE)
_WA_ID: Final = re.compile(r"waid=(\d{6,20})", re.IGNORECASE)


def contacts_of(card_file: bytes) -> tuple[str, bytes] | None:
    """Return the names on the cards and their content for ``MessageTold``; None when no card can be read.

    Numbers are kept as written, with the WhatsApp id beside them where the card has it.
    """
    found: list[dict[str, Any]] = []
    for line in re.sub(r"\r?\n[ \t]", "", card_file.decode(errors="replace")).splitlines():
        if line.strip().upper() == "BEGIN:VCARD":
            found.append({"name": {}, "phones": []})
        elif found and (read := _LINE.match(line.replace("\0", ""))):
            _take(found[-1], read["name"].upper(), read["options"], _unescaped(read["value"]))
    cards = [card for card in found[:CARDS_COUNT_MAX] if card["name"] or card["phones"]]
    if not cards:
        return None
    said = ", ".join(card["name"].get("formatted_name") or card["phones"][0]["phone"] for card in cards)
    return said, msgspec.json.encode({"contacts": cards})


def _take(card: dict[str, Any], name: str, options: str, value: str) -> None:
    if name == "FN" and value:
        card["name"] = {"formatted_name": value}
    elif name == "TEL" and digits(value) and len(card["phones"]) < PHONES_COUNT_MAX:
        wa_id = _WA_ID.search(options)
        card["phones"].append({"phone": value} | ({"wa_id": wa_id[1]} if wa_id else {}))


def _unescaped(value: str) -> str:
    return re.sub(r"\\([,;\\])", r"\1", value).strip()[:VALUE_CHARS_MAX]
