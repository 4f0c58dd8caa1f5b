"""Message templates: what one asks for, and the body it is sent with (meta-protocol 7.2 and 9.1). Pure.

A template has places to fill, in its header, its body and its buttons, named by numbers or by words. ``form_of`` reads
them from the components that Graph lists, ``fill`` makes what goes out, ``said`` what the customer reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from coexist.base.counts import counted
from coexist.base.errors import Invalid
from coexist.meta.addresses import encoded

HEADER_CHARS_MAX: Final = 60
BODY_CHARS_MAX: Final = 1_024
URL_CHARS_MAX: Final = 2_000
CODE_CHARS_MAX: Final = 15
"""Of a code to be copied, in a coupon and in an authentication template."""
SPACES_MAX: Final = 4
"""Spaces one after the other in a value (132018)."""
PLACE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
LATITUDE_MAX, LONGITUDE_MAX = 90, 180
DEGREES: Final = re.compile(r"[+-]?\d{1,3}(\.\d+)?", re.ASCII)
AUTHENTICATION: Final = "AUTHENTICATION"
MARKETING: Final = "MARKETING"
UTILITY: Final = "UTILITY"
UNUSED_FLOW_TOKEN: Final = "unused"  # noqa: S105  what stands for "no token" at Meta


class Takes(StrEnum):
    """What goes into a place."""

    TEXT = "text"
    NUMBER = "number"
    ADDRESS = "address"
    """The end of a web address."""
    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"

    @property
    def is_file(self) -> bool:
        """Whether it is a file rather than words."""
        return self in {Takes.IMAGE, Takes.VIDEO, Takes.DOCUMENT}


@dataclass(frozen=True, slots=True)
class Field:
    """A place to fill. ``key`` is unique in the form: ``header.1``, ``body.first_name``, ``button.2``.

    ``name`` is the place's own number or word, empty where it has none. ``example`` is what whoever made the template
    wrote for it. Values have at most ``chars_max`` characters.
    """

    key: str
    label: str
    name: str = ""
    takes: Takes = Takes.TEXT
    example: str = ""
    chars_max: int = BODY_CHARS_MAX
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Button:
    """A button below the text. ``kind`` is Meta's word; ``place`` its index on the wire."""

    place: int
    kind: str
    text: str
    url: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What a template says, and the places in it, in the order in which they are read.

    ``header_takes``: TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION, or empty. ``why_not``: why it cannot be sent from here,
    as a sentence; empty when it can.
    """

    header_takes: str
    header: str
    body: str
    footer: str
    buttons: Sequence[Button]
    fields: Sequence[Field]
    is_named: bool
    category: str
    why_not: str = ""

    def field(self, key: str) -> Field | None:
        """The place with this key."""
        return next((each for each in self.fields if each.key == key), None)


class NotFilled(Invalid):
    """Values that do not fit; ``problems`` says what is wrong with each, by the field's key."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("Some values do not fit the template.", next_step=" ".join(dict.fromkeys(problems.values())))
        self.problems = dict(problems)


def language_of(told: str) -> str:
    """A language as lists name it: webhooks may write ``en-US`` for ``en_US`` (meta-protocol 5.9)."""
    return told.replace("-", "_")


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────

LOCATION_FIELDS: Final = (
    Field("header.latitude", "Latitude", "latitude", Takes.NUMBER, "38.7139"),
    Field("header.longitude", "Longitude", "longitude", Takes.NUMBER, "-9.1394"),
    Field("header.name", "Name of the place", "name", is_optional=True),
    Field("header.address", "Address", "address", is_optional=True),
)
FILES: Final = {"IMAGE": Takes.IMAGE, "VIDEO": Takes.VIDEO, "DOCUMENT": Takes.DOCUMENT}
WITHOUT_VALUES: Final = frozenset({"QUICK_REPLY", "PHONE_NUMBER", "VOICE_CALL", "REQUEST_CONTACT_INFO"})
"""Buttons that go out as they are."""
UNREADABLE: Final = "Meta's description of it cannot be read."
ONLY_ELSEWHERE: Final = "It has a part that cannot be filled in here ({}). Send it from WhatsApp Manager."


def form_of(components: bytes, *, category: str | None = None, parameter_format: str | None = None) -> Form:
    """Read ``components`` as Graph lists them. What is not understood makes a form that says so; it never raises."""
    try:
        told = msgspec.json.decode(components)
    except msgspec.DecodeError:
        told = None
    reader = _Reader(category or "", is_named=(parameter_format or "").upper() == "NAMED")
    if not isinstance(told, list):
        reader.why_not = UNREADABLE
        told = []
    for component in told:
        reader.read(component if isinstance(component, dict) else {})
    return reader.form()


class _Reader:
    def __init__(self, category: str, *, is_named: bool) -> None:
        self.category, self.is_named = category, is_named
        self.header_takes = self.header = self.body = self.footer = self.why_not = ""
        self.buttons: list[Button] = []
        self.of_header: list[Field] = []
        self.of_body: list[Field] = []
        self.of_buttons: list[Field] = []

    def form(self) -> Form:
        if not self.body and not self.why_not:
            self.why_not = UNREADABLE
        fields = [*self.of_header, *self.of_body, *self.of_buttons]
        shown = (self.header_takes, self.header, self.body, self.footer)
        return Form(*shown, self.buttons, fields, self.is_named, self.category, self.why_not)

    def read(self, component: Mapping[str, Any]) -> None:
        kind, text = _word(component.get("type")).upper(), _word(component.get("text"))
        if kind == "HEADER":
            self._read_header(component, text)
        elif kind == "BODY":
            self.body = text
            most = CODE_CHARS_MAX if self.category == AUTHENTICATION else BODY_CHARS_MAX
            self.of_body = self._places("body", text, _examples(component, "body"), most)
        elif kind == "FOOTER":
            self.footer = text
        elif kind == "BUTTONS":
            buttons = component.get("buttons")
            for place, button in enumerate(buttons if isinstance(buttons, list) else ()):
                self._read_button(place, button if isinstance(button, dict) else {})
        else:
            self._refuse(kind)

    def _refuse(self, kind: str) -> None:
        self.why_not = self.why_not or ONLY_ELSEWHERE.format(kind.replace("_", " ").lower() or "without a name")

    def _read_header(self, component: Mapping[str, Any], text: str) -> None:
        self.header_takes = _word(component.get("format")).upper() or "TEXT"
        if self.header_takes == "TEXT":
            self.header = text
            self.of_header = self._places("header", text, _examples(component, "header"), HEADER_CHARS_MAX)
        elif self.header_takes == "LOCATION":
            self.of_header = list(LOCATION_FIELDS)
        elif self.header_takes in FILES:
            takes = FILES[self.header_takes]
            self.of_header = [Field("header.file", takes.capitalize(), takes=takes)]
        else:
            self._refuse(f"{self.header_takes} header")

    def _places(self, part: str, text: str, examples: Mapping[str, str], chars_max: int) -> list[Field]:
        names = dict.fromkeys(PLACE.findall(text))
        if not self.is_named and all(name.isdecimal() for name in names):
            names = dict.fromkeys(sorted(names, key=int))
        return [
            Field(f"{part}.{name}", _label(part, name), name, example=examples.get(name, ""), chars_max=chars_max)
            for name in names
        ]

    def _read_button(self, place: int, button: Mapping[str, Any]) -> None:
        kind, text = _word(button.get("type")).upper(), _word(button.get("text"))
        url, phone = _word(button.get("url")), _word(button.get("phone_number"))
        self.buttons.append(Button(place, kind, text, url, phone))
        key, example = f"button.{place}", button.get("example")
        example = _word(example[0] if isinstance(example, list) and example else example)
        if kind == "URL" and (found := PLACE.search(url)) and self.category != AUTHENTICATION:
            start, label = url[: found.start()], f"End of the address of “{text}”"
            example, most = example.removeprefix(start), URL_CHARS_MAX - len(start)
            self.of_buttons.append(Field(key, label, found[1], Takes.ADDRESS, example, most))
        elif kind == "COPY_CODE":
            label = f"Code for “{text or 'Copy code'}”"
            self.of_buttons.append(Field(key, label, example=example, chars_max=CODE_CHARS_MAX))
        elif kind not in WITHOUT_VALUES and kind not in {"URL", "OTP", "FLOW"}:
            self._refuse(f"{kind} button")


def _label(part: str, name: str) -> str:
    words = f"Value {name}" if name.isdecimal() else name.replace("_", " ").capitalize()
    return f"{words} (header)" if part == "header" else words


def _examples(component: Mapping[str, Any], part: str) -> dict[str, str]:
    """What whoever made the template gave as examples, by place."""
    example = component.get("example")
    if not isinstance(example, dict):
        return {}
    found: dict[str, str] = {}
    listed = example.get(f"{part}_text")
    if isinstance(listed, list):
        first = listed[0] if listed and isinstance(listed[0], list) else listed
        found |= {str(number): _word(value) for number, value in enumerate(first, 1)}
    named = example.get(f"{part}_text_named_params")
    for each in named if isinstance(named, list) else ():
        if isinstance(each, dict):
            found[_word(each.get("param_name"))] = _word(each.get("example"))
    return found


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


# ── filling ───────────────────────────────────────────────────────────────────────────────────────────────


def _typed(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """What stands in the form's places; spaces around a value are not part of it."""
    typed = {each.key: values.get(each.key, "").replace("\0", "").strip() for each in form.fields}
    return {key: value for key, value in typed.items() if value}


def as_sent(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """Return what is typed in the form's places, each as it goes out. Values for other places are left out."""
    addresses = {each.key for each in form.fields if each.takes is Takes.ADDRESS}
    return {key: encoded(value) if key in addresses else value for key, value in _typed(form, values).items()}


def check(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """Return what goes out for the form's places. Raises NotFilled. meta-protocol 1.5, 132000-132018.

    Values of files are the ids that Meta gave when they were uploaded.
    """
    typed, kept = _typed(form, values), as_sent(form, values)
    told = {each.key: _problem(each, typed.get(each.key, ""), kept.get(each.key, "")) for each in form.fields}
    if problems := {key: problem for key, problem in told.items() if problem} or _too_long(form, kept):
        raise NotFilled(problems)
    return kept


def _problem(field: Field, value: str, goes_out: str) -> str:
    if not value:
        return "" if field.is_optional else f"{field.label} is missing."
    if field.takes is Takes.NUMBER:
        return _not_a_place(field, value)
    if field.takes.is_file:
        return ""
    if re.search(r"[\n\r\t]", value):
        return f"{field.label}: WhatsApp takes no line breaks and no tabs in a value."
    if " " * (SPACES_MAX + 1) in value:
        return f"{field.label}: WhatsApp takes {SPACES_MAX} spaces in a row at most."
    if len(goes_out) > field.chars_max:
        return f"{field.label}: {field.chars_max:,} characters at most; this has {len(goes_out):,}."
    return ""


def _not_a_place(field: Field, value: str) -> str:
    most = LATITUDE_MAX if field.name == "latitude" else LONGITUDE_MAX
    is_right = DEGREES.fullmatch(value) and abs(float(value)) <= most
    return "" if is_right else f"{field.label}: degrees between -{most} and {most}, such as {field.example}."


def _too_long(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """What is too long only once it is filled in (132005), told at the part's longest value."""
    problems = {}
    for part, text, most in (("header", form.header, HEADER_CHARS_MAX), ("body", form.body, BODY_CHARS_MAX)):
        over = len(_filled(form, part, text, values)) - most
        of_part = [each.key for each in form.fields if each.key.startswith(f"{part}.") and each.key in values]
        if over > 0 and of_part and text:
            longest = max(of_part, key=lambda key: len(values[key]))
            problems[longest] = (
                f"With these values the {part} is {counted(over, 'character')} too long: {most:,} at most."
            )
    return problems


def fill(form: Form, values: Mapping[str, str], file_name: str = "") -> list[dict[str, Any]]:
    """Return the ``components`` of a message with checked ``values`` (meta-protocol 7.2, type template).

    ``file_name`` is shown for a document at its head.
    """
    components = []
    if header := _header(form, values, file_name):
        components.append({"type": "header", "parameters": header})
    if body := [_text(each, values[each.key], form) for each in form.fields if each.key.startswith("body.")]:
        components.append({"type": "body", "parameters": body})
    for button in form.buttons:
        if parameters := _button(form, button, values):
            sub_type, place = _sub_type(button), str(button.place)
            components.append({"type": "button", "sub_type": sub_type, "index": place, "parameters": parameters})
    return components


def _header(form: Form, values: Mapping[str, str], file_name: str) -> list[dict[str, Any]]:
    of_header = [each for each in form.fields if each.key.startswith("header.") and each.key in values]
    if at := place(form, values):
        return [{"type": "location", "location": at}]
    if form.header_takes in FILES and of_header:
        (file,) = of_header
        named = {"filename": file_name} if file.takes is Takes.DOCUMENT and file_name else {}
        return [{"type": file.takes.value, file.takes.value: {"id": values[file.key], **named}}]
    return [_text(each, values[each.key], form) for each in of_header]


def place(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """The place at the head, as a location message has it; empty for other heads."""
    is_one = form.header_takes == "LOCATION"
    of_header = [each for each in form.fields if each.key.startswith("header.") and each.key in values]
    return {each.name: values[each.key] for each in of_header} if is_one else {}


def _text(field: Field, value: str, form: Form) -> dict[str, Any]:
    is_named = form.is_named and not field.name.isdecimal()  # Meta's own buttons number theirs in any template
    named = {"parameter_name": field.name} if is_named else {}
    return {"type": "text", **named, "text": value}


def _button(form: Form, button: Button, values: Mapping[str, str]) -> list[dict[str, Any]]:
    value = values.get(f"button.{button.place}")
    if form.category == AUTHENTICATION and (button.kind == "OTP" or PLACE.search(button.url)):
        code = next((values[each.key] for each in form.fields if each.key.startswith("body.")), "")
        return [{"type": "text", "text": code}]  # the code goes twice: to be read, and to be copied
    if button.kind == "FLOW":
        return [{"type": "action", "action": {"flow_token": UNUSED_FLOW_TOKEN}}]
    if value is None:
        return []
    if button.kind == "COPY_CODE":
        return [{"type": "coupon_code", "coupon_code": value}]
    field = form.field(f"button.{button.place}")
    return [_text(field, value, form)] if field else []


def _sub_type(button: Button) -> str:
    return "url" if button.kind == "OTP" else button.kind.lower()


# ── saying ────────────────────────────────────────────────────────────────────────────────────────────────


def _filled(form: Form, part: str, text: str, values: Mapping[str, str]) -> str:
    return PLACE.sub(lambda found: values.get(f"{part}.{found[1]}", found[0]), text)


def said(form: Form, values: Mapping[str, str]) -> str:
    """What the customer reads: header, body and footer, with the values in their places; what is missing stays open."""
    parts = (_filled(form, "header", form.header, values), _filled(form, "body", form.body, values), form.footer)
    return "\n\n".join(part for part in parts if part)


def buttons_said(form: Form, values: Mapping[str, str]) -> list[dict[str, str]]:
    """The buttons as the customer sees them: ``text``, Meta's ``type``, and where one leads."""
    told = []
    for button in form.buttons:
        value = values.get(f"button.{button.place}", "")
        url = _with(button.url, value) if form.category != AUTHENTICATION else ""
        parts = {"type": button.kind, "text": button.text, "url": url, "phone": button.phone}
        if button.kind == "COPY_CODE":
            parts["code"] = value
        told.append({name: part for name, part in parts.items() if part})
    return told


def _with(url: str, value: str) -> str:
    return PLACE.sub(lambda _: value, url)
