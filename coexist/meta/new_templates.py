"""A template that is to be made at Meta: what it may say, and the body that asks for it (meta-protocol 9.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from coexist.base.counts import counted
from coexist.meta.templates import (
    AUTHENTICATION,
    BODY_CHARS_MAX,
    HEADER_CHARS_MAX,
    MARKETING,
    PLACE,
    UTILITY,
    NotFilled,
)

NAME_CHARS_MAX: Final = 512
FOOTER_CHARS_MAX: Final = 60
HEADER_PLACES_MAX: Final = 1
NAME: Final = re.compile(r"[a-z0-9_]+")
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
CATEGORIES: Final = (UTILITY, MARKETING)
"""What can be made here. Meta writes the text of authentication templates itself."""

FIELD_OF_CODE: Final = {
    2388024: "name",
    2388047: "header",
    2388072: "body",
    2388073: "footer",
    2388293: "body",
    2388299: "body",
    2388040: "body",
}
"""Where a refusal is shown: next to its field (meta-protocol 1.5). Meta tells them as code, or as subcode of 100."""


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """What a person wrote. ``examples`` has one for each place, by ``header.1``, ``body.first_name``, as in a form."""

    name: str
    language: str
    category: str
    body: str
    header: str = ""
    footer: str = ""
    examples: Mapping[str, str] | None = None

    def example(self, part: str, name: str) -> str:
        """The example for a place, without spaces around it."""
        return (self.examples or {}).get(f"{part}.{name}", "").strip()


def tidy(new: NewTemplate) -> NewTemplate:
    """The same as Meta counts it: lines as browsers send them end in one character, and no space is around a part."""
    return replace(
        new, **{part: getattr(new, part).replace("\r\n", "\n").strip() for part in ("header", "body", "footer")}
    )


def places(text: str) -> list[str]:
    """The names of the places in a text, each once, in their order."""
    return list(dict.fromkeys(PLACE.findall(text)))


def check(new: NewTemplate) -> None:
    """Raise NotFilled for what Meta would refuse, by field: name, language, category, header, body, footer, places."""
    problems = {
        "name": _name(new.name),
        "language": ""
        if LANGUAGE.fullmatch(new.language)
        else "A language as WhatsApp writes it, such as pt_PT or en.",
        "category": "" if new.category in CATEGORIES else "Utility or marketing.",
        "header": _text("The header", new.header, HEADER_CHARS_MAX)
        or _header(new.header)
        or _words(new.header)
        or _mixed(new),
        "body": _text("The text", new.body, BODY_CHARS_MAX, is_needed=True) or _words(new.body) or _body(new.body),
        "footer": _text("The footer", new.footer, FOOTER_CHARS_MAX)
        or ("The footer has no places to fill." if places(new.footer) else ""),
    }
    for part, text in (("header", new.header), ("body", new.body)):
        for name in places(text):
            if not new.example(part, name):
                problems[f"{part}.{name}"] = f"WhatsApp wants an example for {{{{{name}}}}}."
    if problems := {field: problem for field, problem in problems.items() if problem}:
        raise NotFilled(problems)


def _name(name: str) -> str:
    if len(name) > NAME_CHARS_MAX:
        return f"{NAME_CHARS_MAX} characters at most."
    return "" if NAME.fullmatch(name) else "Small letters a to z, digits and _ only, such as order_ready_2."


def _text(what: str, text: str, chars_max: int, *, is_needed: bool = False) -> str:
    if is_needed and not text.strip():
        return f"{what} is missing."
    over = len(text) - chars_max
    return f"{what} is {counted(over, 'character')} too long: {chars_max:,} at most." if over > 0 else ""


def _header(header: str) -> str:
    if "\n" in header:
        return "The header is one line."
    return (
        f"The header has {HEADER_PLACES_MAX} place to fill at most." if len(places(header)) > HEADER_PLACES_MAX else ""
    )


def _words(text: str) -> str:
    is_odd = not all(NAME.fullmatch(name) for name in places(text))
    return "The word of a place has small letters a to z, digits and _ only, such as {{first_name}}." if is_odd else ""


def _mixed(new: NewTemplate) -> str:
    """One template names its places in one way, in all its parts."""
    of_header, of_body = ({name.isdecimal() for name in places(text)} for text in (new.header, new.body))
    is_mixed = of_header and of_body and not of_header & of_body
    return "Its place is named in another way than those of the text: by a number, or a word." if is_mixed else ""


def _body(body: str) -> str:
    names, kept = places(body), body.strip()
    if all(name.isdecimal() for name in names):
        if sorted(map(int, names)) != list(range(1, len(names) + 1)):
            return "Places are numbered from {{1}} on, without a gap."
    elif any(name.isdecimal() for name in names):
        return "Places are either all numbers or all words."
    if re.match(PLACE, kept) or re.search(PLACE.pattern + r"$", kept):
        return "WhatsApp wants words before the first place and after the last."
    return "Between two places there are words." if re.search(PLACE.pattern + r"\s*\{\{", body) else ""


def body_of(new: NewTemplate, original: str | None = None) -> dict[str, Any]:
    """Return the body of ``POST /{waba}/message_templates``. Buttons are those of ``original``'s components.

    Raises NotFilled where the original has a part that cannot be taken along.
    """
    is_named = any(not name.isdecimal() for name in places(new.header + new.body))
    components = [_component("HEADER", new, is_named)] if new.header else []
    components.append(_component("BODY", new, is_named))
    if new.footer:
        components.append({"type": "FOOTER", "text": new.footer})
    return {
        "name": new.name,
        "language": new.language,
        "category": new.category,
        "parameter_format": "NAMED" if is_named else "POSITIONAL",
        "components": components + kept_of(original),
    }


def kept_of(original: str | None) -> list[dict[str, Any]]:
    """The components that a copy takes along as they are: buttons. Raises NotFilled where there are others."""
    kept = []
    told = msgspec.json.decode(original) if original else []
    for each in told if isinstance(told, list) else [told]:
        component = each if isinstance(each, dict) else {}
        kind = component.get("type")
        if kind == "BUTTONS":
            kept.append(component)
        elif kind not in ("HEADER", "BODY", "FOOTER") or component.get("format", "TEXT") != "TEXT":
            told = str(component.get("format") or kind or "part without a name").lower()
            raise NotFilled({"header": f"Its {told} cannot be taken along from here: copy it in WhatsApp Manager."})
    return kept


def _component(kind: str, new: NewTemplate, is_named: bool) -> dict[str, Any]:
    part, text = kind.lower(), new.header if kind == "HEADER" else new.body
    component: dict[str, Any] = {"type": kind, "text": text}
    if kind == "HEADER":
        component["format"] = "TEXT"
    names = places(text)
    if not names:
        return component
    if is_named:
        told = [{"param_name": name, "example": new.example(part, name)} for name in names]
        return component | {"example": {f"{part}_text_named_params": told}}
    examples = [new.example(part, name) for name in sorted(names, key=int)]
    return component | {"example": {f"{part}_text": examples if kind == "HEADER" else [examples]}}


def can_copy(category: str | None, components: str) -> str:
    """Why a template cannot be copied here, as a sentence; empty when it can."""
    if category == AUTHENTICATION:
        return "WhatsApp writes the text of authentication templates itself: make another in WhatsApp Manager."
    try:
        kept_of(components)
    except NotFilled as error:
        return next(iter(error.problems.values()))
    return ""
