"""What the API refuses in a message before it is accepted (meta-protocol.md 7.2)."""

from collections.abc import Callable
from typing import Any

from simulator.graph.errors import Refused, invalid, missing
from simulator.world import Json

TEXT_CHARS = 4_096
CAPTION_CHARS = 1_024
BODY_CHARS = 1_024
OPAQUE_CHARS = 512
BUTTONS, BUTTON_TITLE_CHARS, BUTTON_ID_CHARS = 3, 20, 256
LIST_ROWS, LIST_SECTIONS, ROW_TITLE_CHARS = 10, 10, 24
CONTACT_CARDS = 257
MEDIA = ("image", "video", "audio", "document", "sticker")


def check(given: Json) -> Json:
    """The object of the message's type, when it may be sent. Refused says which parameter is wrong."""
    if given.get("messaging_product") != "whatsapp":
        raise invalid("messaging_product must be whatsapp.")
    if not given.get("to") and not given.get("recipient"):
        raise missing("to or recipient")
    for name in ("to", "recipient"):
        if given.get(name) is not None and not isinstance(given[name], str):
            raise invalid(f"{name} must be a string.")
    if given.get("recipient_type", "individual") != "individual":
        raise invalid("recipient_type must be individual.")
    opaque = given.get("biz_opaque_callback_data", "")
    if not isinstance(opaque, str) or len(opaque) > OPAQUE_CHARS:
        raise invalid(f"biz_opaque_callback_data is a string of at most {OPAQUE_CHARS} characters.")
    kind = given.get("type", "text")
    checker = _CHECKERS.get(kind)
    if checker is None:
        raise Refused(131051, "Unsupported message type", f"{kind} cannot be sent.")
    if kind not in given:
        raise missing(kind)
    checker(given[kind])
    value = given[kind]
    return {"list": value} if kind == "contacts" else dict(value)


def _object(value: Any, name: str) -> Json:
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def _string(holder: Json, name: str, limit: int, place: str = "") -> str:
    value, label = holder.get(name), f"{place}{name}"
    if not value:
        raise missing(label)
    if not isinstance(value, str):
        raise invalid(f"{label} must be a string.")
    if len(value) > limit:
        raise invalid(f"{label} may have {limit} characters.")
    return value


def _text(value: Any) -> None:
    _string(_object(value, "text"), "body", TEXT_CHARS, "text.")


def _media(value: Any) -> None:
    media = _object(value, "media")
    if bool(media.get("id")) == bool(media.get("link")):
        raise invalid("A media message needs either id or link.")
    if media.get("caption"):
        _string(media, "caption", CAPTION_CHARS)


def _plain_media(value: Any) -> None:
    _media(value)
    if "caption" in value:
        raise invalid("This type has no caption.")


def _location(value: Any) -> None:
    location = _object(value, "location")
    for name, most in (("latitude", 90), ("longitude", 180)):
        if location.get(name) is None:
            raise missing(f"location.{name}")
        try:
            degrees = float(location[name])
        except (TypeError, ValueError) as error:
            raise invalid(f"location.{name} must be a number.") from error
        if abs(degrees) > most:
            raise invalid(f"location.{name} is out of range.")


def _contacts(value: Any) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= CONTACT_CARDS:
        raise invalid(f"contacts is a list of 1 to {CONTACT_CARDS} cards.")
    for card in value:
        name = _object(_object(card, "contact").get("name"), "contacts.name")
        _string(name, "formatted_name", CAPTION_CHARS, "contacts.name.")
        if not any(name.get(part) for part in ("first_name", "last_name", "middle_name", "prefix", "suffix")):
            raise missing("one more part of contacts.name")


def _reaction(value: Any) -> None:
    reaction = _object(value, "reaction")
    _string(reaction, "message_id", CAPTION_CHARS, "reaction.")
    if not isinstance(reaction.get("emoji"), str):
        raise missing("reaction.emoji")


def _interactive(value: Any) -> None:
    interactive = _object(value, "interactive")
    kind = interactive.get("type")
    if kind not in _INTERACTIVE:
        raise invalid(f"interactive.type {kind} is not known.")
    body = _object(interactive.get("body"), "interactive.body")
    _string(body, "text", TEXT_CHARS if kind == "list" else BODY_CHARS, "interactive.body.")
    _INTERACTIVE[kind](_object(interactive.get("action"), "interactive.action"))


def _buttons(action: Json) -> None:
    buttons = action.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= BUTTONS:
        raise invalid(f"A message has 1 to {BUTTONS} buttons.")
    for button in buttons:
        reply = _object(_object(button, "button").get("reply"), "button.reply")
        _string(reply, "id", BUTTON_ID_CHARS, "reply.")
        _string(reply, "title", BUTTON_TITLE_CHARS, "reply.")


def _list(action: Json) -> None:
    _string(action, "button", BUTTON_TITLE_CHARS, "action.")
    sections = action.get("sections")
    if not isinstance(sections, list) or not 1 <= len(sections) <= LIST_SECTIONS:
        raise invalid(f"A list has 1 to {LIST_SECTIONS} sections.")
    rows = [row for section in sections for row in _object(section, "section").get("rows", ())]
    if not 1 <= len(rows) <= LIST_ROWS:
        raise invalid(f"A list has 1 to {LIST_ROWS} rows in all.")
    for row in rows:
        _string(_object(row, "row"), "title", ROW_TITLE_CHARS, "row.")


def _link(action: Json) -> None:
    parameters = _object(action.get("parameters"), "action.parameters")
    _string(parameters, "display_text", BUTTON_TITLE_CHARS)
    _string(parameters, "url", 2_000)


def _anything(action: Json) -> None:
    """Kinds whose inside the stand-in does not judge."""


def _template(value: Any) -> None:
    """Which one; what it wants to be filled with is judged beside the template itself."""
    template = _object(value, "template")
    _string(template, "name", TEXT_CHARS, "template.")
    _string(_object(template.get("language"), "template.language"), "code", 16, "language.")


_INTERACTIVE: dict[str, Callable[[Json], None]] = {
    "button": _buttons,
    "list": _list,
    "cta_url": _link,
    "location_request_message": _anything,
    "flow": _anything,
}

_CHECKERS: dict[str, Callable[[Any], None]] = {
    "text": _text,
    "image": _media,
    "video": _media,
    "audio": _plain_media,
    "document": _media,
    "sticker": _plain_media,
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _template,
}
