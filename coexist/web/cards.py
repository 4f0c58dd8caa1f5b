"""What has more structure than text, as cards: locations, contacts, orders, answers to forms, ad clicks.

The content is Meta's JSON as a customer's phone wrote it: anything in it may be missing or of another type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coexist.web import words

LINES_MAX: Final = 100
"""Lines a card shows at most; an order or a contact card can be of any length."""


@dataclass(frozen=True, slots=True)
class Card:
    """A titled box: lines of (label, value), and one link out. ``tells_all``: the message's sentence adds nothing."""

    icon: str
    title: str
    lines: Sequence[tuple[str, str]] = ()
    link: str = ""
    link_words: str = ""
    tells_all: bool = True


def cards_of(content: Mapping[str, Any] | None) -> Sequence[Card]:
    """The cards of a message's content, in the order in which they are read."""
    return tuple(_cards(content)) if isinstance(content, Mapping) else ()


def _cards(content: Mapping[str, Any]) -> Iterator[Card]:
    if isinstance(referral := content.get("referral"), Mapping):
        yield _referral(referral)
    if isinstance(location := content.get("location"), Mapping):
        yield _location(location)
    contacts = content.get("contacts")
    for contact in contacts[:LINES_MAX] if isinstance(contacts, list) else ():
        if isinstance(contact, Mapping):
            yield _contact(contact)
    if isinstance(order := content.get("order"), Mapping):
        yield _order(order)
    interactive = content.get("interactive")
    reply = interactive.get("nfm_reply") if isinstance(interactive, Mapping) else None
    if isinstance(reply, Mapping) and (form := _form(reply)):
        yield form


def _location(location: Mapping[str, Any]) -> Card:
    latitude, longitude = _number(location.get("latitude")), _number(location.get("longitude"))
    lines = [("", _text(location.get("address")))] if location.get("address") else []
    link = ""
    if latitude is not None and longitude is not None:
        lines.append(("", f"{latitude:.5f}, {longitude:.5f}"))
        link = (
            f"https://www.openstreetmap.org/?mlat={latitude:.6f}&mlon={longitude:.6f}"
            f"#map=16/{latitude:.6f}/{longitude:.6f}"
        )
    return Card("map-pin", _text(location.get("name")) or "Location", lines, link, "Open the map")


def _contact(contact: Mapping[str, Any]) -> Card:
    name = contact.get("name")
    title = _text(name.get("formatted_name")) if isinstance(name, Mapping) else ""
    lines = [
        (
            _text(phone.get("type")).capitalize() or "Phone",
            _phone(_text(phone.get("phone")) or f"+{_text(phone.get('wa_id'))}"),
        )
        for phone in _rows(contact, "phones")
    ]
    lines += [("E-mail", _text(email.get("email"))) for email in _rows(contact, "emails")]
    lines += [("Web", _text(url.get("url"))) for url in _rows(contact, "urls")]
    if isinstance(org := contact.get("org"), Mapping) and org.get("company"):
        lines.insert(0, ("Company", _text(org["company"])))
    return Card("contact-round", title or "Contact", lines)


def _order(order: Mapping[str, Any]) -> Card:
    lines: list[tuple[str, str]] = []
    total: dict[str, float] = {}
    for item in _rows(order, "product_items"):
        quantity, price = _number(item.get("quantity")) or 0, _number(item.get("item_price"))
        currency, product = _text(item.get("currency")), _text(item.get("product_retailer_id"))
        amount = None if price is None else quantity * price
        each = f" at {price:,.2f}" if price is not None and quantity != 1 else ""
        lines.append((f"{quantity:g} × {product}{each}", _money(amount, currency)))
        total[currency] = total.get(currency, 0) + (amount or 0)
    lines += [("Total", _money(amount, currency)) for currency, amount in total.items()]
    if order.get("text"):
        lines.append(("", _text(order["text"])))
    return Card("shopping-cart", "Order", lines)


def _form(reply: Mapping[str, Any]) -> Card | None:
    """The answers to a form, which come as JSON in a string and sometimes as none."""
    try:
        answers = json.loads(_text(reply.get("response_json")))
    except (ValueError, RecursionError):
        return None
    lines = [
        (label.replace("_", " ").capitalize(), _text(value) or json.dumps(value, ensure_ascii=False))
        for label, value in (answers.items() if isinstance(answers, dict) else ())
        if label != "flow_token"
    ]
    return Card("list-checks", "Form answers", lines[:LINES_MAX]) if lines else None


def _referral(referral: Mapping[str, Any]) -> Card:
    link = _text(referral.get("source_url"))
    return Card(
        "external-link",
        _text(referral.get("headline")) or "Came from an ad",
        [("", _text(referral.get("body")))] if referral.get("body") else (),
        link if link.startswith(("https://", "http://")) else "",
        "Open the ad",
        tells_all=False,
    )


def _rows(owner: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    rows = owner.get(name)
    return [row for row in rows[:LINES_MAX] if isinstance(row, Mapping)] if isinstance(rows, list) else ()


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _phone(written: str) -> str:
    """A bare number as numbers are written everywhere here; what a person wrote otherwise stays."""
    return words.phone(written) if written.startswith("+") and written[1:].isdigit() else written


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e15 else None


def _money(amount: float | None, currency: str) -> str:
    return "" if amount is None else f"{currency} {amount:,.2f}".strip()
