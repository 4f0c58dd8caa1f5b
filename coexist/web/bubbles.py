"""A message as its bubble shows it: who wrote it, what it says, what became of it. Pure, one place for all words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from markupsafe import Markup

from coexist.inbox.model import ListRow, Message
from coexist.meta.errors import NEVER_AGAIN, explain
from coexist.meta.model import STATUS_RANK
from coexist.meta.pricing import category_words
from coexist.templates.rules import PAUSED, why_not
from coexist.web import kinds, words
from coexist.web.cards import Card, cards_of
from coexist.web.files import File, file_of
from coexist.web.kinds import Kind, kind_of
from coexist.web.richtext import TEXT_SHOWN_CHARS, plain, rich
from coexist.web.sent_templates import NOWHERE, Choosing, SentTemplate, choosing_of, may_retry, sent_template_of

CLOSED_COUNTRY: Final = 130497
FORWARDED: Final = ("", "Forwarded", "Forwarded many times")


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it. ``origin`` is the bubble's tint: contact, app or api; ``mark`` an icon beside the name."""

    origin: str
    name: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of a message of ours: an icon, a word for the class, and the words for hovering and reading."""

    icon: str
    word: str
    title: str


@dataclass(frozen=True, slots=True)
class Quote:
    """The message this one answers; without ``message_id`` it is not here."""

    message_id: int | None
    name: str
    icon: str
    said: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message of ours did not go out (or may not have), and what a person can do about it."""

    said: str
    can_retry: bool = True
    can_discard: bool = True
    choosing: Choosing = NOWHERE


@dataclass(frozen=True, slots=True)
class Price:
    """Whether Meta charges for a message of ours, and the words for it (G10)."""

    is_charged: bool
    said: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """Everything the bubble's template needs; it decides nothing itself."""

    id: int
    conversation_id: int
    sort_key: str
    side: str
    author: Author
    kind: Kind
    body: Markup | None
    rest: Markup | None
    note: str
    file: File | None
    cards: Sequence[Card]
    template: SentTemplate | None
    quote: Quote | None
    forwarded: str
    reactions: Sequence[tuple[str, str]]
    is_imported: bool
    is_exported: bool
    is_edited: bool
    is_deleted: bool
    earlier: Sequence[Markup]
    tick: Tick | None
    problem: Problem | None
    price: Price | None
    time: str
    full_time: str
    day: str
    day_key: str


def bubble_of(message: Message, zone: tzinfo, now: datetime) -> Bubble:
    """The bubble of a message for viewers in ``zone`` at ``now``."""
    kind = kind_of(message.type, content_rank=message.content_rank, is_voice=message.media_is_voice)
    contact_name = words.contact_name(message.contact_name)
    cards = cards_of(message.content)
    text = _text(message, kind, cards)
    file = file_of(message, kind, zone, now)
    return Bubble(
        id=message.id,
        conversation_id=message.conversation_id,
        sort_key=f"{int(message.sent_at.timestamp() * 1000):014d}-{message.id:012d}",
        side="in" if message.direction == "inbound" else "out",
        author=author_of(message.origin, message.author),
        kind=kind,
        body=rich(text[:TEXT_SHOWN_CHARS]) if text else None,
        rest=rich(text[TEXT_SHOWN_CHARS:]) if text and len(text) > TEXT_SHOWN_CHARS else None,
        note=_note(message, kind, bool(text) or bool(cards) or file is not None),
        file=file,
        cards=cards,
        template=sent_template_of(message),
        quote=_quote(message, contact_name),
        forwarded=FORWARDED[min(message.forwarded, 2)],
        reactions=_reactions(message.reactions, contact_name),
        is_imported=message.imported,
        is_exported=message.is_exported,
        is_edited=message.edited_at is not None,
        is_deleted=message.revoked_at is not None,
        earlier=[rich(earlier) for earlier in message.earlier_texts if earlier],
        tick=tick_of(message.direction, message.origin, message.status, message.outbox_state, _has_failed(message)),
        problem=_problem(message),
        price=price_of(message.origin, message.pricing),
        time=words.clock_time(message.sent_at, zone),
        full_time=words.full(message.sent_at, zone)
        + (" — Meta gave no usable time; this is when we received it" if message.is_time_doubtful else ""),
        day=words.day(message.sent_at, zone, now),
        day_key=message.sent_at.astimezone(zone).date().isoformat(),
    )


def author_of(origin: str, agent: str | None) -> Author:
    """The contact, the phone app, an agent by name, or a program that sent through the API."""
    if origin == "contact":
        return Author("contact", "")
    if origin == "app":
        return Author("app", "Phone app", "smartphone")
    return Author("api", agent or "Sent by a program")


QUEUED: Final = Tick("clock", "queued", "Queued: not yet handed to WhatsApp")
FAILED: Final = Tick("circle-alert", "failed", "Not sent")
UNCLEAR: Final = Tick("circle-help", "unclear", "It may or may not have been sent")
TICKS: Final[dict[int, Tick]] = {
    STATUS_RANK["queued"]: QUEUED,
    STATUS_RANK["pending"]: Tick("clock", "queued", "Handed to WhatsApp, not yet confirmed"),
    STATUS_RANK["failed"]: FAILED,
    STATUS_RANK["sent"]: Tick("check", "sent", "Sent, not yet delivered"),
    STATUS_RANK["delivered"]: Tick("check-check", "delivered", "Delivered, not yet read"),
    STATUS_RANK["read"]: Tick("check-check", "read", "Read"),
    STATUS_RANK["played"]: Tick("check-check", "read", "Played"),
}


def tick_of(
    direction: str, origin: str, status: int | None, outbox_state: str | None, has_failed: bool = False
) -> Tick | None:
    """The tick of a message of ours; a status of Meta's outweighs what our outbox thinks.

    ``has_failed``: Meta told an error and it was not delivered, whichever of ``failed`` and ``sent`` came last.
    """
    if direction == "inbound":
        return None
    if has_failed:
        return FAILED
    is_on_its_way = status is None or status < STATUS_RANK["sent"]
    if origin == "api" and is_on_its_way and outbox_state in ("failed", "unclear"):
        return FAILED if outbox_state == "failed" else UNCLEAR
    if status is None:
        return QUEUED if origin == "api" and outbox_state in ("queued", "sending") else None
    return TICKS.get(status)


def price_of(origin: str, pricing: Mapping[str, Any] | None) -> Price | None:
    """The price of a message by Meta's ``pricing``; None when Meta has not told it, and for what customers write."""
    if origin == "app":
        return Price(False, "Free: sent from the phone app")
    if origin != "api" or not isinstance(pricing, Mapping) or not isinstance(pricing.get("billable"), bool):
        return None
    category = category_words(str(pricing.get("category") or ""))
    said = "Charged by Meta" if pricing["billable"] else "Free of charge"
    return Price(pricing["billable"], f"{said}: {category}" if category else said)


def _problem(message: Message) -> Problem | None:
    if message.origin != "api":
        return None
    is_on_its_way = message.status is None or message.status < STATUS_RANK["sent"]
    is_told_by_status = _has_failed(message) and message.wamid is not None
    if message.outbox_state == "failed" and is_on_its_way and not is_told_by_status:
        said = message.outbox_error or _first_error(message) or "WhatsApp did not accept it."
        return Problem(said + _country(message), _may_go_again(message), choosing=choosing_of(message))
    if _has_failed(message):
        said = _first_error(message) or "WhatsApp could not deliver it."
        return Problem(said + _country(message), _may_go_again(message), False, choosing_of(message))
    if not is_on_its_way:
        return None
    if message.outbox_state == "unclear":
        said = message.outbox_error or "WhatsApp did not answer: this may or may not have reached the customer."
        return Problem(f"{said} Look at the phone before you send it again.")
    if message.outbox_state == "queued" and message.outbox_error:
        return Problem(f"Not sent yet. {message.outbox_error}", can_retry=False)
    if message.waits_for_template == PAUSED:
        return Problem(f"Not sent yet. {why_not(PAUSED)[0]} It goes out when that is over.", can_retry=False)
    if message.outbox_state == "accepted" and message.outbox_error:
        return Problem(message.outbox_error, can_retry=False, can_discard=False)
    return None


def _country(message: Message) -> str:
    """Which country it is that the business may not write to, where the error says no more than that."""
    codes = [error.get("code") for error in message.errors or ()]
    country = words.country(message.peer) if CLOSED_COUNTRY in codes else ""
    return f" Their number is of {country}." if country else ""


def _may_go_again(message: Message) -> bool:
    """Whether a person may try again what failed; what only has to wait says so when they do."""
    return may_retry(message) and not any(error.get("code") in NEVER_AGAIN for error in message.errors or ())


def _has_failed(message: Message) -> bool:
    """Whether Meta told that it could not deliver a message, and did not tell of delivering it all the same."""
    if message.origin != "api" or message.status is None or message.status >= STATUS_RANK["delivered"]:
        return False
    return bool(message.errors) or (message.status == STATUS_RANK["failed"] and message.outbox_state != "failed")


def _first_error(message: Message) -> str:
    """Meta's first error in plain words, with Meta's own beside them."""
    for error in message.errors or ():
        code, data = error.get("code"), error.get("error_data")
        details = data.get("details") if isinstance(data, Mapping) else None
        said = details or error.get("details") or error.get("message") or error.get("title")
        sentence = explain(code if isinstance(code, int) else None).sentence
        return f"{sentence} WhatsApp says: {said} ({code})" if isinstance(said, str) and said else sentence
    return ""


def _text(message: Message, kind: Kind, cards: Sequence[Card]) -> str | None:
    """The words of the bubble. What a card tells is not said again; what only explains goes into the note."""
    if kind in (kinds.PHONE_ONLY, kinds.ON_THE_PHONE) or any(card.tells_all for card in cards):
        return None
    return message.text if message.edited_at is None else message.edited_text


def _note(message: Message, kind: Kind, is_explained: bool) -> str:
    if kind is kinds.PHONE_ONLY:
        return message.text or kind.sentence
    if is_explained:
        return ""
    return kind.sentence or f"{kind.word}: its content did not come with the message."


def _quote(message: Message, contact_name: str) -> Quote | None:
    if not message.reply_to:
        return None
    if message.quote_id is None or message.quote_origin is None or message.quote_type is None:
        return Quote(None, "", "", "Answers a message that is not here")
    author = author_of(message.quote_origin, message.quote_author)
    kind = kind_of(message.quote_type)
    said = "Deleted message" if message.quote_is_revoked else plain(message.quote_text or "") or kind.word or "Message"
    return Quote(message.quote_id, author.name or contact_name, kind.icon, said)


def _reactions(reactions: Any, contact_name: str) -> Sequence[tuple[str, str]]:
    """(emoji, who) of each reaction; at most one of each side."""
    found: list[tuple[str, str]] = []
    for reaction in reactions if isinstance(reactions, list) else ():
        if isinstance(reaction, Mapping) and isinstance(reaction.get("emoji"), str):
            by = contact_name if reaction.get("by") == "inbound" else "Us"
            found.append((reaction["emoji"], by))
    return found


@dataclass(frozen=True, slots=True)
class Preview:
    """The second line of the list: the origin's mark, who, the type's icon, and the words."""

    mark: str
    mark_word: str
    mark_class: str
    lead: str
    icon: str
    said: str
    is_deleted: bool


def preview_of(row: ListRow) -> Preview:
    """The preview line of a conversation's last message."""
    kind = kind_of(row.type, content_rank=row.content_rank, is_voice=row.is_voice)
    said = "Deleted message" if row.is_revoked else plain(row.text or "") or kind.word or "Message"
    mark, mark_word, mark_class, lead = "", "", "", ""
    if row.origin == "app":
        mark, mark_word, mark_class = "smartphone", "Phone app", "app"
    elif row.origin == "api":
        tick = tick_of(row.direction, row.origin, row.status, None) or QUEUED
        mark, mark_word, mark_class = tick.icon, tick.title, tick.word
        lead = f"{(row.author or 'Program').split()[0]}:"
    return Preview(mark, mark_word, mark_class, lead, kind.icon if not row.is_revoked else "", said, row.is_revoked)
