"""A template with its parameters: what Meta refuses, and what the customer then sees (meta-protocol.md 1.5, 7.2)."""

import re
from collections.abc import Callable
from typing import Any

from simulator.graph.errors import Refused, known, missing
from simulator.graph.submission import MEDIA, VARIABLE, variables
from simulator.world import Json, Template, World

BODY_CHARS = 1_024
CODE_CHARS = 15
UNFIT = re.compile(r"[\n\r\t]| {5}")
UNFIT_WORDS = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
UNENCODED = re.compile(r"[^!-~]|[:|]")
"""What Meta wants percent-encoded in the end of an address."""
WORDS = ("text", "currency", "date_time")


def find(world: World, asked: Json) -> Template:
    """The template named in a message, when it may be sent."""
    name, language = asked["name"], asked["language"]["code"]
    template = world.find_template(name, language)
    if template and template.status == "PAUSED":
        raise known(132015, f"{name} is paused because of low quality.")
    if template and template.status == "DISABLED":
        raise known(132016, f"{name} is disabled because of low quality.")
    if template is None or template.status != "APPROVED":
        raise known(132001, f"template name ({name}) does not exist in {language}")
    return template


def fill(template: Template, asked: Json) -> Json:
    """The text, header, footer and buttons that the customer sees. Refused says which parameter is wrong.

    A header of media carries what was asked for it (`id` or `link`) as `media`.
    """
    given = _Given(asked.get("components") or [])
    carousel = template.part("CAROUSEL")
    if carousel and len(given.one("carousel").get("cards", ())) != len(carousel["cards"]):
        raise known(132012, "carousel: the number of cards does not match the template.")
    filled: Json = {"template": template.id, "category": template.category}
    header = template.part("HEADER")
    if header:
        filled["header"] = _header(template, header, given.parameters("header"))
    filled["body"] = _filled(template, "body", (template.part("BODY") or {}).get("text", ""), given.parameters("body"))
    if len(filled["body"]) > BODY_CHARS:
        raise known(132005, f"body: the filled text has {len(filled['body'])} characters, {BODY_CHARS} are allowed.")
    footer = template.part("FOOTER")
    if footer:
        filled["footer"] = footer["text"]
    given.refuse_buttons_beyond(len(template.buttons))
    filled["buttons"] = [_button(button, place, given) for place, button in enumerate(template.buttons)]
    return filled


class _Given:
    """The components of a message, by their type, and buttons by their index."""

    def __init__(self, components: Any) -> None:
        if not isinstance(components, list) or not all(isinstance(one, dict) for one in components):
            raise known(132012, "components must be a list of objects.")
        self._parts: dict[str, Json] = {}
        self._buttons: dict[int, Json] = {}
        for one in components:
            kind = str(one.get("type", "")).lower()
            if kind != "button":
                self._parts[kind] = one
                continue
            if not str(one.get("index", "")).isdecimal():
                raise missing("index of a button")
            self._buttons[int(one["index"])] = one

    def one(self, kind: str) -> Json:
        return self._parts.get(kind, {})

    def parameters(self, kind: str) -> list[Json]:
        return _parameters(self.one(kind), kind)

    def button(self, place: int, sub_type: str) -> list[Json]:
        """The parameters for the button at a place, which must be of that kind."""
        found = self._buttons.get(place)
        if found is None:
            return []
        if str(found.get("sub_type", "")).lower() != sub_type:
            raise known(132012, f"buttons: Button at index {place} is not of type {found.get('sub_type')}")
        return _parameters(found, "buttons")

    def refuse_buttons_beyond(self, count: int) -> None:
        beyond = [place for place in self._buttons if place >= count]
        if beyond:
            raise _count_differs(f"Button at index {beyond[0]} of buttons", 1, 0)


def _parameters(component: Json, part: str) -> list[Json]:
    found = component.get("parameters") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise known(132012, f"{part}: parameters must be a list of objects.")
    return found


def _count_differs(part: str, found: int, wanted: int) -> Refused:
    details = f"{part}: number of localizable_params ({found}) does not match the expected number of params ({wanted})"
    return known(132000, details)


def _header(template: Template, header: Json, given: list[Json]) -> Json:
    kind = header.get("format", "TEXT")
    if kind == "TEXT":
        return {"type": "text", "text": _filled(template, "header", header["text"], given)}
    found = given[0].get("type", "UNKNOWN") if given else "UNKNOWN"
    if found != kind.lower():
        raise known(132012, f"header: Format mismatch, expected {kind}, received {str(found).upper()}")
    if len(given) != 1:
        raise _count_differs("header", len(given), 1)
    value = given[0].get(found)
    if not isinstance(value, dict):
        raise known(132012, f"header: {found} must be an object.")
    if kind in MEDIA:
        if bool(value.get("id")) == bool(value.get("link")):
            raise known(132012, f"header: {found} needs either id or link.")
        return {"type": found, "media": value, **({"filename": value["filename"]} if value.get("filename") else {})}
    if any(value.get(name) in (None, "") for name in ("latitude", "longitude")):
        raise known(132012, "header: location needs latitude and longitude.")
    return {"type": "location", "location": value}


def _filled(template: Template, part: str, text: str, given: list[Json]) -> str:
    """The text with its variables replaced, in order or, in a template with named ones, by name."""
    wanted = variables(text)
    if len(given) != len(wanted):
        raise _count_differs(part, len(given), len(wanted))
    if template.parameter_format == "NAMED":
        names = [str(one.get("parameter_name") or "") for one in given]
        if "" in names:
            raise known(132012, f"{part}: Parameter name is missing or empty")
        unknown = sorted(set(wanted) ^ set(names))
        if unknown:
            raise known(132018, f"{part}: parameter names do not match the template: {', '.join(unknown)}")
    else:
        names = sorted(wanted, key=int)
    values = {name: _words(one, part) for name, one in zip(names, given, strict=True)}
    return VARIABLE.sub(lambda found: values[found[1]], text)


def _words(parameter: Json, part: str) -> str:
    kind = parameter.get("type")
    if kind not in WORDS:
        raise known(132012, f"{part}: Format mismatch, expected TEXT, received {str(kind or 'UNKNOWN').upper()}")
    text = parameter.get("text") if kind == "text" else (parameter.get(kind) or {}).get("fallback_value")
    if not text or not isinstance(text, str):
        raise missing(f"{part}: the text of a parameter")
    if UNFIT.search(text):
        raise known(132018, UNFIT_WORDS)
    return text


def _button(button: Json, place: int, given: _Given) -> Json:
    """A button as the customer sees it, with what pressing it does."""
    shown: Json = {"type": button["type"], "text": button.get("text", "")}
    maker = _BUTTONS.get(button["type"])
    return shown | (maker(button, place, given) if maker else {})


def _quick_reply(button: Json, place: int, given: _Given) -> Json:
    found = given.button(place, "quick_reply")
    if not found:
        return {"payload": button["text"]}
    return {"payload": _only(found, "payload", "payload", place)}


def _url(button: Json, place: int, given: _Given) -> Json:
    found = given.button(place, "url")
    if not variables(button["url"]):
        if found:
            raise _count_differs(f"Button at index {place} of buttons", len(found), 0)
        return {"url": button["url"]}
    suffix = _only(found, "text", "text", place)
    if UNENCODED.search(suffix):
        raise known(132018, f"buttons: the address of the button at index {place} is not encoded.")
    return {"url": VARIABLE.sub(lambda _: suffix, button["url"])}


def _copy_code(button: Json, place: int, given: _Given) -> Json:
    code = _only(given.button(place, "copy_code"), "coupon_code", "coupon_code", place)
    if len(code) > CODE_CHARS:
        raise known(132012, f"buttons: coupon_code may have {CODE_CHARS} characters.")
    return {"code": code}


def _phone(button: Json, place: int, given: _Given) -> Json:
    return {"phone_number": button["phone_number"]}


def _only(given: list[Json], kind: str, key: str, place: int) -> str:
    """The one parameter of a button."""
    if not given:
        raise known(132012, f"buttons: Button at index {place} requires a parameter")
    if len(given) != 1:
        raise _count_differs(f"Button at index {place} of buttons", len(given), 1)
    value = given[0].get(key)
    if given[0].get("type") != kind or not isinstance(value, str) or not value:
        raise known(132012, f"buttons: Button at index {place} needs a parameter of type {kind}")
    return value


_BUTTONS: dict[str, Callable[[Json, int, _Given], Json]] = {
    "QUICK_REPLY": _quick_reply,
    "URL": _url,
    "COPY_CODE": _copy_code,
    "PHONE_NUMBER": _phone,
}
