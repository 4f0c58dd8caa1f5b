"""What Meta refuses in a new template (meta-protocol.md 9.1; 2388040 and its neighbours in 1.5)."""

import re
from dataclasses import dataclass
from typing import Any

from simulator.graph.errors import invalid, template_refusal
from simulator.templates import CATEGORIES
from simulator.world import Json

NAME = re.compile(r"^[a-z0-9_]{1,512}$")
LANGUAGE = re.compile(r"^[a-z]{2,3}(_[A-Z]{2,3})?$")
VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
NAMED = re.compile(r"^[a-z][a-z0-9_]*$")
ADJACENT = re.compile(r"\}\}\s*\{\{")
MARKS = re.compile(r"[*_~`\n\U0001F000-\U0001FAFF\u2600-\u27BF]")
EDGES = " \t\n.,;:!?¡¿()\"'*_~-–—…"
HEADER_CHARS, BODY_CHARS, FOOTER_CHARS = 60, 1_024, 60
BUTTON_CHARS, URL_CHARS = 25, 2_000
MOST_BUTTONS, MOST_URLS, MOST_PHONES = 10, 2, 1
WORDS_A_VARIABLE = 2
MEDIA = ("IMAGE", "VIDEO", "DOCUMENT")
OTP_TEXT = "*{{1}}* is your verification code."
OTP_URL = "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp"


@dataclass(frozen=True)
class Submission:
    """A template that may be made."""

    name: str
    language: str
    category: str
    components: list[Json]
    parameter_format: str


def check(given: Json) -> Submission:
    """The template asked for. Refused says which part is wrong."""
    for name in ("name", "language", "category", "components"):
        if not given.get(name):
            raise invalid(f"The parameter {name} is required.")
    name, language, category = str(given["name"]), str(given["language"]), str(given["category"]).upper()
    named = str(given.get("parameter_format") or "POSITIONAL").upper()
    if not NAME.match(name):
        raise invalid("name may have lower-case letters, digits and underscores only, 512 at most.")
    if not LANGUAGE.match(language):
        raise invalid(f"{language} is not a language of templates.")
    if category not in CATEGORIES:
        raise invalid(f"category must be one of {', '.join(CATEGORIES)}.")
    if named not in ("POSITIONAL", "NAMED"):
        raise invalid("parameter_format must be POSITIONAL or NAMED.")
    components = given["components"]
    if not isinstance(components, list) or not all(isinstance(one, dict) for one in components):
        raise invalid("components must be a list of objects.")
    components = [one | {"type": str(one.get("type", "")).upper()} for one in components]
    parts = {one["type"]: one for one in components}
    if len(parts) != len(components):
        raise invalid("Each type of component may stand there once.")
    if category == "AUTHENTICATION":
        components = [_authentication(one) for one in components]
    elif "BODY" not in parts:
        raise template_refusal(2388043, "component of type BODY is missing")
    else:
        for kind, judge in _JUDGES.items():
            if kind in parts:
                judge(parts[kind], named)
    return Submission(name, language, category, components, named)


def variables(text: str) -> list[str]:
    """The names or numbers in braces, each once, in their order."""
    return list(dict.fromkeys(VARIABLE.findall(text)))


def _text(component: Json, most: int, part: str) -> str:
    text: Any = component.get("text")
    if not text or not isinstance(text, str):
        raise template_refusal(2388043, f"component of type {part} is missing expected field(s) (text)")
    if len(text) > most:
        raise template_refusal(2388040, f"{part} may have {most} characters, it has {len(text)}.")
    return text


def _judge_header(header: Json, named: str) -> None:
    header["format"] = kind = str(header.get("format") or "TEXT").upper()
    if kind == "LOCATION":
        return
    if kind in MEDIA:
        if not (header.get("example") or {}).get("header_handle"):
            raise template_refusal(2388043, "component of type HEADER is missing expected field(s) (example)")
        return
    if kind != "TEXT":
        raise invalid(f"{kind} is not a format of headers.")
    text = _text(header, HEADER_CHARS, "HEADER")
    if len(variables(text)) > 1 or MARKS.search(VARIABLE.sub("", text)):
        raise template_refusal(2388047)
    _judge_example(header, text, named, "HEADER", "header_text")


def _judge_body(body: Json, named: str) -> None:
    text = _text(body, BODY_CHARS, "BODY")
    found = variables(text)
    wanted = [str(place) for place in range(1, len(found) + 1)]
    wrong = not all(map(NAMED.match, found)) if named == "NAMED" else sorted(found) != sorted(wanted)
    if wrong or ADJACENT.search(text) or "\n\n\n" in text:
        raise template_refusal(2388072)
    bare = text.strip(EDGES)
    if bare.startswith("{{") or bare.endswith("}}"):
        raise template_refusal(2388299)
    words = [word for word in VARIABLE.sub(" ", text).split() if word.strip(EDGES)]
    if found and len(words) < WORDS_A_VARIABLE * len(found) + 1:
        raise template_refusal(2388293)
    _judge_example(body, text, named, "BODY", "body_text")


def _judge_example(component: Json, text: str, named: str, part: str, key: str) -> None:
    example = component.get("example") or {}
    if variables(text) and not example.get(f"{key}_named_params" if named == "NAMED" else key):
        raise template_refusal(2388043, f"component of type {part} is missing expected field(s) (example)")


def _judge_footer(footer: Json, named: str) -> None:
    if variables(_text(footer, FOOTER_CHARS, "FOOTER")):
        raise template_refusal(2388073)


def _judge_buttons(component: Json, named: str) -> None:
    buttons = component.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= MOST_BUTTONS:
        raise invalid(f"A template has 1 to {MOST_BUTTONS} buttons.")
    kinds = [str(button.get("type", "")).upper() for button in buttons]
    if kinds.count("URL") > MOST_URLS or kinds.count("PHONE_NUMBER") > MOST_PHONES:
        raise invalid(f"A template has at most {MOST_URLS} buttons of type URL and {MOST_PHONES} of type PHONE_NUMBER.")
    runs = [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]
    if runs.count("QUICK_REPLY") > 1:
        raise invalid("Quick reply buttons must stand together.")
    for kind, button in zip(kinds, buttons, strict=True):
        if kind != "COPY_CODE":
            _text(button, BUTTON_CHARS, "BUTTONS")
        if len(str(button.get("url", ""))) > URL_CHARS:
            raise template_refusal(2388040, f"url may have {URL_CHARS} characters.")
        if kind == "URL" and variables(str(button.get("url", ""))) and not button.get("example"):
            raise template_refusal(2388043, "component of type BUTTONS is missing expected field(s) (example)")


def _authentication(component: Json) -> Json:
    """Meta writes the texts of these itself, and makes an address of the button."""
    match component["type"]:
        case "BODY":
            return {**component, "text": OTP_TEXT, "example": {"body_text": [["123456"]]}}
        case "FOOTER":
            minutes = component.get("code_expiration_minutes", 10)
            return {**component, "text": f"This code expires in {minutes} minutes."}
        case "BUTTONS":
            asked = (component.get("buttons") or [{}])[0]
            button = {"type": "URL", "text": asked.get("text", "Copy code")}
            return {
                "type": "BUTTONS",
                "buttons": [button | {"url": OTP_URL + "{{1}}", "example": [OTP_URL + "123456"]}],
            }
        case kind:
            raise invalid(f"A template of category AUTHENTICATION has no {kind}.")


_JUDGES = {"HEADER": _judge_header, "BODY": _judge_body, "FOOTER": _judge_footer, "BUTTONS": _judge_buttons}
