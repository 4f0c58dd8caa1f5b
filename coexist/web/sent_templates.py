"""A template that we sent, as its bubble shows it: its buttons, its name, and what can be done when it was not sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coexist.inbox.model import Message
from coexist.meta.errors import Action, codes_of
from coexist.web.languages import language_words
from coexist.web.template_words import BUTTONS

CHOSEN_AGAIN: Final = frozenset({132000, 132001, 132005, 132012, 132015, 132016, 132018})
"""Codes after which the template is chosen anew: it, or its values, were not right."""
GOES_AGAIN: Final = frozenset({132001, 132015})
"""Those of them that can be over without anybody changing what was filled in."""
DISABLED: Final = 132016
LINKS: Final = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class SentButton:
    """A button as the customer sees it; ``link`` where it leads to an address, ``leads_to`` what else it holds."""

    icon: str
    text: str
    link: str = ""
    leads_to: str = ""


@dataclass(frozen=True, slots=True)
class SentTemplate:
    """What a bubble shows of a template beside its text.

    ``head`` is icon and name of the place at its head, or of the file there, until Meta has told of the file.
    """

    title: str
    head: tuple[str, str] | None
    buttons: Sequence[SentButton]


@dataclass(frozen=True, slots=True)
class Choosing:
    """The way from what was not sent to the templates: words, and addresses. Empty where it leads nowhere."""

    words: str = ""
    path: str = ""
    number_path: str = ""


NOWHERE: Final = Choosing()


def sent_template_of(message: Message) -> SentTemplate | None:
    """The template that a message was written with; None for other messages, and where it was not written here."""
    content = message.content if message.type == "template" else None
    template = content.get("template") if isinstance(content, Mapping) else None
    if not isinstance(template, Mapping) or not isinstance(template.get("name"), str):
        return None
    language = template.get("language")
    spoken = language_words(language) if isinstance(language, str) and language else ""
    title = ", ".join(word for word in (template["name"], spoken) if word)
    buttons = template.get("buttons")
    head = _place(template.get("place")) or (_file(template.get("file")) if message.media_state is None else None)
    listed = buttons if isinstance(buttons, list) else ()
    return SentTemplate(title, head, [_button(each) for each in listed if isinstance(each, Mapping)])


def _place(told: Any) -> tuple[str, str] | None:
    if not isinstance(told, Mapping):
        return None
    named = [str(told[part]) for part in ("name", "address") if told.get(part)]
    return "map-pin", ", ".join(named or [f"{told.get('latitude')}, {told.get('longitude')}"])


def _file(told: Any) -> tuple[str, str] | None:
    if not isinstance(told, Mapping):
        return None
    family = str(told.get("mime_type") or "").partition("/")[0]
    return family if family in ("image", "video") else "file-text", str(told.get("file_name") or "")


def _button(told: Mapping[str, Any]) -> SentButton:
    url, kind = str(told.get("url") or ""), str(told.get("type") or "")
    link = url if url.startswith(LINKS) else ""
    leads_to = "" if link else str(told.get("phone") or told.get("code") or url)
    return SentButton(BUTTONS.get(kind, "reply"), str(told.get("text") or "Copy code"), link, leads_to)


def choosing_of(message: Message) -> Choosing:
    """Where somebody goes on whose message was not sent: to the templates, or to the one that it was written with."""
    codes = {error.get("code") for error in message.errors or ()}
    path = f"/conversations/{message.conversation_id}/templates"
    is_ours = bool(codes) and codes <= {None}  # refused before it was sent: its template is another by now, or was
    if message.type == "template" and (codes & CHOSEN_AGAIN or is_ours):
        number_path = f"/inboxes/{message.inbox_id}/templates" if DISABLED in codes else ""
        return Choosing("Choose the template again", f"{path}?again={message.id}", number_path)
    if codes & set(codes_of(Action.CLOSE_WINDOW)):
        return Choosing("Choose a template", path)
    return NOWHERE


def may_retry(message: Message) -> bool:
    """Whether sending a template again as it is can go better: not where its values, or its words, are the fault."""
    codes = {error.get("code") for error in message.errors or ()}
    return message.type != "template" or not codes & (CHOSEN_AGAIN - GOES_AGAIN)
