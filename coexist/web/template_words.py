"""Templates in words: how one stands, and its text as the customer will read it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from coexist.meta.pricing import category_words
from coexist.meta.templates import PLACE, Button, Field, Form
from coexist.templates.model import Template
from coexist.web.richtext import formatted

STATUSES: Final = {
    "APPROVED": ("good", "check", "Ready"),
    "PAUSED": ("busy", "pause", "Paused until WhatsApp resumes it"),
    "PENDING": ("busy", "hourglass", "In review"),
    "IN_APPEAL": ("busy", "hourglass", "In review once more"),
    "REJECTED": ("bad", "ban", "Not approved"),
    "DISABLED": ("bad", "ban", "Disabled for good"),
    "MISSING": ("bad", "circle-alert", "Refused by WhatsApp"),
    "LOCKED": ("bad", "lock", "Locked"),
    "LIMIT_EXCEEDED": ("bad", "circle-alert", "Too many templates"),
    "ARCHIVED": ("quiet", "eye-off", "Archived"),
    "PENDING_DELETION": ("quiet", "trash-2", "Being deleted"),
    "DELETED": ("quiet", "trash-2", "Deleted"),
    "GONE": ("quiet", "trash-2", "Not there any more"),
}
"""Colour, icon and words of a status."""
QUALITIES: Final = {"GREEN": "high", "YELLOW": "medium", "RED": "low"}
"""Meta's rating of a template, in words."""
BUTTONS: Final = {
    "URL": "external-link", "PHONE_NUMBER": "smartphone", "VOICE_CALL": "smartphone", "COPY_CODE": "file-text",
    "OTP": "file-text", "FLOW": "list-checks", "QUICK_REPLY": "reply",
}  # fmt: skip
"""The icon of a kind of button."""
HEADS: Final = {
    "IMAGE": ("image", "Photo"),
    "VIDEO": ("video", "Video"),
    "DOCUMENT": ("file-text", "Document"),
    "LOCATION": ("map-pin", "Location"),
}
"""Icon and word of what stands above the text."""

SIGNS: Final = 0xE000
"""Where signs begin that stand for places while a text is formatted: no text means anything by them."""
SIGN: Final = re.compile("[\ue000-\uf8ff]")


@dataclass(frozen=True, slots=True)
class ShownButton:
    """A button as it is seen, and where it leads."""

    icon: str
    text: str
    leads_to: Markup | str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the customer will read. Places are marked, so that a script can fill them while somebody types."""

    head: tuple[str, str] | None
    header: Markup
    body: Markup
    footer: Markup
    buttons: Sequence[ShownButton]


def status_words(status: str) -> tuple[str, str, str]:
    """Colour, icon and words of a template's status; of one that is not known, Meta's word."""
    return STATUSES.get(status, ("quiet", "circle-help", status.replace("_", " ").capitalize()))


def quality_words(quality: str | None) -> str:
    """Meta's rating in words; empty where there is none yet."""
    return QUALITIES.get(quality or "", "")


def category_of(template: Template) -> str:
    """The category as one word with a capital."""
    return category_words((template.category or "").lower()).capitalize()


def preview_of(form: Form, values: Mapping[str, str]) -> Preview:
    """The text with ``values`` in its places; those without one show what they are for."""
    return Preview(
        HEADS.get(form.header_takes),
        _text(form, "header", form.header, values),
        _text(form, "body", form.body, values),
        formatted(form.footer),
        [
            ShownButton(BUTTONS.get(button.kind, "reply"), button.text or "Copy code", _leads_to(form, button, values))
            for button in form.buttons
        ],
    )


def examples_of(form: Form) -> dict[str, str]:
    """The examples of whoever made the template, by place."""
    return {each.key: each.example for each in form.fields if each.example}


def _text(form: Form, part: str, text: str, values: Mapping[str, str]) -> Markup:
    fields = {each.name: each for each in form.fields if each.key.startswith(f"{part}.")}
    names = list(fields)
    signed = PLACE.sub(
        lambda found: chr(SIGNS + names.index(found[1])) if found[1] in fields else found[0], SIGN.sub("", text)
    )
    return Markup(  # noqa: S704  formatted() escapes the text, _place() the values
        SIGN.sub(lambda found: _place(fields[names[ord(found[0]) - SIGNS]], values), formatted(signed))
    )


def _leads_to(form: Form, button: Button, values: Mapping[str, str]) -> Markup | str:
    field = form.field(f"button.{button.place}")
    if button.kind == "URL" and field is not None:
        start, _, end = PLACE.sub("\ue000", SIGN.sub("", button.url), count=1).partition("\ue000")
        return escape(start) + Markup(_place(field, values, "…")) + escape(end)  # noqa: S704  it escapes
    if button.kind == "COPY_CODE" and field is not None:
        return Markup(_place(field, values))  # noqa: S704  it escapes
    return button.url or button.phone


def _place(field: Field, values: Mapping[str, str], label: str = "") -> str:
    value, label = values.get(field.key, "").strip(), label or field.label
    shown = (field.key, label, "" if value else " is-open", value or label)
    return str(Markup('<span data-place="{}" data-label="{}" class="slot{}">{}</span>').format(*shown))
