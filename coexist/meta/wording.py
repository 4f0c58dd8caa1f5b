"""The sentence that stands for a message which is no text: short, plain English (requirements D11, D15, D16)."""

# ruff: noqa: RUF012 (msgspec gives each struct an empty list of its own)

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw

from coexist.meta.decode import Item, K, clean, given, read, read_list
from coexist.meta.phones import digits, pretty

OPEN_THE_APP: Final = "Open the WhatsApp app to see it."
UNAVAILABLE: Final = f"This message is not available here. {OPEN_THE_APP}"
UNREADABLE: Final = f"This message could not be read here. {OPEN_THE_APP}"
OPENED_CHAT: Final = "Opened the chat"

PHONE_ONLY: Final = {
    "poll_creation": "A poll.",
    "poll_update": "A vote in a poll.",
    "event": "An event.",
    "event_response": "An answer to an event.",
    "group_invite": "An invitation to a group.",
    "pin": "A message was pinned.",
    "keep_in_chat": "A message was kept in the chat.",
    "view_once": "A photo or video that can be seen once.",
    "ephemeral": "A disappearing message.",
    "live_location": "A live location.",
    "gif": "A GIF.",
    "link_preview": "A link with a preview.",
    "product": "A product.",
    "order": "An order.",
    "list": "A list.",
    "list_reply": "An answer to a list.",
    "button": "A message with buttons.",
    "button_reply": "An answer to a button.",
    "interactive": "An interactive message.",
    "hsm": "A template.",
    "edit": "A message was edited.",
    "reaction": "A reaction.",
    "image": "A photo.",
    "video": "A video.",
    "audio": "A voice message.",
    "document": "A document.",
    "sticker": "A sticker.",
    "location": "A location.",
    "contacts": "A contact card.",
    "media_placeholder": "A photo, video or document.",
}
"""``unsupported.type`` → what it is: kinds that stay on the phone (5.1, table of 131051)."""

LARGEST_AMOUNT: Final = Decimal(10) ** 12
"""A quantity or price beyond is a mistake or a joke: the order is shown without its total."""
DEEPEST_ANSWER_LEVELS: Final = 4


class Senseless(Exception):
    """An object from which no sentence can be made."""


def _read(raw: Raw, kind: type[K]) -> K:
    part = read(raw, kind)
    if part.flaw is not None:
        raise Senseless(part.flaw)
    return part


def unknown(kind: str) -> str:
    """A type that came after this version."""
    return f"A message of a new kind ({kind}). {OPEN_THE_APP}"


class _Unsupported(Item):
    type: str | None = None


def unsupported(raw: Raw) -> str:
    """What the API cannot carry, named where the wire names it."""
    kind = read(raw, _Unsupported).type if given(raw) else None
    return f"{PHONE_ONLY.get(kind or '', 'A message that only the phone can show.')} {OPEN_THE_APP}"


class _Location(Item):
    latitude: Any = None
    longitude: Any = None
    name: str | None = None
    address: str | None = None


def location(raw: Raw) -> str:
    """Its name and address, else its coordinates: ``38.7223, -9.1393``."""
    place = _read(raw, _Location)
    if named := ", ".join(text for text in (place.name, place.address) if text):
        return named
    try:
        return f"{round(float(place.latitude), 6)}, {round(float(place.longitude), 6)}"
    except (TypeError, ValueError, OverflowError) as error:
        raise Senseless("neither a name nor coordinates") from error


class _CardName(Item):
    formatted_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class CardPhone(Item):
    phone: str | int | None = None
    wa_id: str | int | None = None


class OwnCard(Item):
    """What tells a person's own card from somebody else's."""

    origin: str | None = None
    phones: list[CardPhone] = []


class _CardOrg(Item):
    company: str | None = None


class _Card(Item):
    name: _CardName | None = None
    org: _CardOrg | None = None
    phones: list[CardPhone] = []


def cards(raw: Raw) -> str:
    """The names on contact cards: ``Ana Lima, Rui Costa``."""
    return ", ".join(_card(card) for card in read_list(raw, _Card)) or "An empty contact card"


def _card(card: _Card) -> str:
    if card.name is not None:
        parts = " ".join(part for part in (card.name.first_name, card.name.last_name) if part)
        if name := card.name.formatted_name or parts:
            return name
    if card.org is not None and card.org.company:
        return card.org.company
    numbers = (digits(phone.phone) or digits(phone.wa_id) for phone in card.phones)
    return next((pretty(number) for number in numbers if number), "A contact card")


class _Product(Item):
    quantity: Decimal | None = None
    item_price: Decimal | None = None
    currency: str | None = None


class _Order(Item):
    text: str | None = None
    product_items: list[_Product] = []


def order(raw: Raw) -> str:
    """``Order: 2 items, 59.80 BRL``, and what the customer wrote with it on a line of its own."""
    given_order = _read(raw, _Order)
    totals: dict[str, Decimal] = {}
    count = Decimal(0)
    for product in given_order.product_items:
        quantity, price = _amount(product.quantity) or Decimal(1), _amount(product.item_price)
        count += quantity
        if price is not None:
            currency = product.currency or ""
            totals[currency] = totals.get(currency, Decimal(0)) + quantity * price
    sums = [f"{_money(total)} {currency}".rstrip() for currency, total in totals.items()]
    items = f"{count:f} item" if count == 1 else f"{count:f} items"
    line = f"Order: {items}, {' + '.join(sums)}" if sums else f"Order: {items}"
    return f"{line}\n{given_order.text}" if given_order.text else line


def _amount(number: Decimal | None) -> Decimal | None:
    is_sensible = number is not None and number.is_finite() and 0 <= number < LARGEST_AMOUNT
    return number if is_sensible else None


def _money(total: Decimal) -> str:
    return f"{total:.2f}" if total != total.to_integral_value() else f"{total:.0f}"


class _Reply(Item):
    id: str | None = None
    title: str | None = None


class _FormReply(Item):
    name: str | None = None
    body: str | None = None
    response_json: Any = None


class _CallPermission(Item):
    response: str | None = None
    is_permanent: bool | None = None


class _Body(Item):
    text: str | None = None


class _Interactive(Item):
    type: str | None = None
    button_reply: _Reply | None = None
    list_reply: _Reply | None = None
    nfm_reply: _FormReply | None = None
    call_permission_reply: _CallPermission | None = None
    body: _Body | None = None


def interactive(raw: Raw) -> str:
    """A button's or row's title, a form's answers, a permission to call; the body of one that the business sent."""
    part = _read(raw, _Interactive)
    reply = part.button_reply or part.list_reply
    if reply is not None and (reply.title or reply.id):
        return reply.title or reply.id or ""
    if part.nfm_reply is not None:
        return _form(part.nfm_reply)
    if part.call_permission_reply is not None:
        return _call_permission(part.call_permission_reply)
    if part.body is not None and part.body.text:
        return part.body.text
    return f"An interactive message ({part.type or 'of an unknown kind'}). {OPEN_THE_APP}"


def _form(reply: _FormReply) -> str:
    answers = "; ".join(_answers(_parsed(reply.response_json)))
    return f"Form answered: {answers or reply.body or reply.name or 'no answers'}"


def _parsed(response: Any) -> Any:
    """``response_json`` is JSON inside a JSON string, and sometimes invalid."""
    if not isinstance(response, str):
        return response
    try:
        return msgspec.json.decode(clean(response.encode()))
    except (ValueError, RecursionError):
        return None


def _answers(value: Any, name: str = "", level: int = 0) -> Iterator[str]:
    if isinstance(value, dict) and level < DEEPEST_ANSWER_LEVELS:
        for key, inner in value.items():
            if key != "flow_token":
                yield from _answers(inner, str(key), level + 1)
    elif isinstance(value, list) and not any(isinstance(inner, dict | list) for inner in value):
        yield f"{name}: {', '.join(str(inner) for inner in value)}"
    elif value not in (None, ""):
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"{name}: {shown}" if name else shown


def _call_permission(reply: _CallPermission) -> str:
    if reply.response == "accept":
        return "Allowed calls, always" if reply.is_permanent else "Allowed calls, for some days"
    return "Refused calls" if reply.response == "reject" else "Answered the question about calls"


class _Button(Item):
    text: str | None = None
    payload: str | None = None


def button(raw: Raw) -> str:
    """The text on a template's quick reply button."""
    part = _read(raw, _Button)
    if not (part.text or part.payload):
        raise Senseless("a button without text")
    return part.text or part.payload or ""


class _Template(Item):
    name: str | None = None
    text: str | None = None
    body: Any = None


def template(raw: Raw) -> str:
    """A template that the business sent, seen in a history."""
    part = _read(raw, _Template)
    return part.text or (part.body if isinstance(part.body, str) else None) or f"Template: {part.name or 'no name'}"


class System(Item):
    """``system`` of a message: the person goes on under another number or user id (5.1)."""

    type: str | None = None
    body: str | None = None
    wa_id: str | int | None = None
    new_wa_id: str | int | None = None
    user_id: str | None = None
    parent_user_id: str | None = None


def system(raw: Raw) -> str:
    """What WhatsApp itself wrote into the chat."""
    part = _read(raw, System)
    if part.body:
        return part.body
    number = digits(part.wa_id) or digits(part.new_wa_id)
    if part.type == "user_changed_user_id":
        return "Changed their WhatsApp user id"
    return f"Changed their number to {pretty(number)}" if number else "A notice from WhatsApp"
