"""What a message holds: the text that a person reads, the structure worth keeping, the file (meta-protocol 5.1).

Every type gives something readable (requirements D11, D15, D16); a file without a caption has no text, for the page
shows the file itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from coexist.meta import wire, wording
from coexist.meta.decode import compact, given, packed, read, read_list
from coexist.meta.model import PLACEHOLDER, UNAVAILABLE, MediaFile

UNAVAILABLE_CODE: Final = 131060
FILE_NAME_LIMIT_CHARS: Final = 255
SHA256_HEX_CHARS: Final = 64
SHA256_BYTES: Final = 32


class Content(msgspec.Struct, frozen=True, gc=False):
    """``structure`` is compact JSON keyed by wire name (``MessageTold.content``), None for plain text and files.

    ``rank`` is what such content is worth where that does not depend on the way it came: `PLACEHOLDER`, `UNAVAILABLE`.
    """

    text: str | None
    structure: bytes | None = None
    media: MediaFile | None = None
    rank: int | None = None


class Unreadable(Exception):
    """A message of a known type without its object, or with a wrong one."""


def content_of(kind: str, message: wire.Message) -> Content | None:
    """The content of a message of type `kind`; None for a type that nobody knew when this was written.

    Raises Unreadable.
    """
    if kind == "text":
        if message.text is None and _is_withheld(message):
            return _withheld(message)
        if message.text is None or message.text.body is None:
            raise Unreadable("a text message without text.body")
        is_plain = not (message.context or message.referral or message.errors)
        return Content(message.text.body, None if is_plain else _beside(message))
    if message.type is None:
        raise Unreadable("a message without a type")
    if _is_withheld(message):
        return _withheld(message)
    if kind in MEDIA_TYPES:
        return _media(kind, message)
    structured = STRUCTURED.get(kind)
    return structured(kind, message) if structured is not None else None


def stand_in(kind: str, raw: Raw, *, is_known: bool) -> Content:
    """What is shown for a message that cannot be told, with all of it kept: a new type, or a broken one.

    A broken one may be replaced by the same message read well; a new type is shown as it is.
    """
    if is_known:
        return Content(wording.UNREADABLE, compact(raw), rank=UNAVAILABLE)
    return Content(wording.unknown(kind), compact(raw))


def text_of_edit(told: wire.Message, edit: wire.Edit) -> str | None:
    """The new text of an edited message: its body, or its caption (None when that was removed).

    One that Meta could not give us says so (131060): the message is another one now, and the earlier text stays at
    hand. Raises Unreadable.
    """
    if _is_withheld(told):
        return wording.UNAVAILABLE
    if not given(edit.message):
        raise Unreadable("an edit without its message")
    message = read(edit.message, wire.Message)
    if message.flaw is not None or message.type is None:
        raise Unreadable(message.flaw or "an edit whose message has no type")
    content = content_of(message.type, message)
    if content is None:
        raise Unreadable(f"an edit of a message of the unknown type {message.type}")
    return content.text


def _beside(message: wire.Message, **parts: Raw) -> bytes | None:
    """`parts` and what any type can carry besides: the ad it came from, the product it asks about, errors."""
    product = message.context.referred_product if message.context is not None else wire.NOTHING
    if not (parts or message.referral or product or message.errors):
        return None
    return packed(**parts, referral=message.referral, referred_product=product, errors=message.errors)


def _is_withheld(message: wire.Message) -> bool:
    """131060: there is a message, and Meta could not give it to us. Its real content may still follow."""
    if not given(message.errors):
        return False
    return any(str(error.code) == str(UNAVAILABLE_CODE) for error in read_list(message.errors, wire.ErrorObject))


def _withheld(message: wire.Message) -> Content:
    return Content(wording.UNAVAILABLE, _beside(message, unsupported=message.unsupported), rank=UNAVAILABLE)


# --- files ---------------------------------------------------------------------------------------------------------

MEDIA_TYPES: Final = frozenset({"image", "video", "audio", "voice", "document", "sticker"})

_PATH: Final = re.compile(r".*[/\\]", re.DOTALL)
_DECEIVING: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _media(kind: str, message: wire.Message) -> Content:
    media: wire.Media | None = getattr(message, kind)
    if media is None and not given(message.errors):
        raise Unreadable(f"a message of type {kind} without its {kind}")
    media = media or wire.Media()
    file = MediaFile(
        media_id=str(media.id) if media.id not in (None, "") else None,
        mime_type=media.mime_type or None,
        sha256=sha256_hex(media.sha256),
        file_name=file_name(media.filename),
        url=media.url or None,
        is_voice=bool(media.voice) or kind == "voice",
        is_animated=bool(media.animated),
    )
    return Content(media.caption or None, _beside(message), file)


def sha256_hex(text: str | None) -> str | None:
    """A SHA-256 as 64 hex digits, from hex or from base64 (live webhooks); None for anything else (7.5)."""
    if not text:
        return None
    if len(text) == SHA256_HEX_CHARS:
        try:
            return bytes.fromhex(text).hex()
        except ValueError:
            return None
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == SHA256_BYTES else None


def file_name(text: str | None) -> str | None:
    """A file name as the sender gave it, without folders, control signs and signs that reverse the reading."""
    if not text:
        return None
    return _DECEIVING.sub("", _PATH.sub("", text)).strip()[-FILE_NAME_LIMIT_CHARS:] or None


# --- everything else -----------------------------------------------------------------------------------------------


def _part(kind: str, part: Raw) -> Raw:
    if not given(part):
        raise Unreadable(f"a message of type {kind} without its {kind}")
    return part


def _sentence(say: Callable[[Raw], str]) -> Callable[[str, wire.Message], Content]:
    """A type whose object, named like it, is kept whole and said in a sentence."""

    def told(kind: str, message: wire.Message) -> Content:
        part = _part(kind, getattr(message, kind))
        try:
            text = say(part)
        except wording.Senseless as error:
            raise Unreadable(f"{kind}: {error}") from error
        return Content(text, _beside(message, **{kind: part}))

    return told


def _cards(kind: str, message: wire.Message) -> Content:
    """Contact cards. ``origin`` stands in each of them, or beside them in older bodies (section 10, 42)."""
    part = _part(kind, message.contacts)
    return Content(wording.cards(part), _beside(message, contacts=part, origin=message.origin))


def _placeholder(kind: str, message: wire.Message) -> Content:
    return Content(None, rank=PLACEHOLDER)


def _welcome(kind: str, message: wire.Message) -> Content:
    return Content(wording.OPENED_CHAT, _beside(message))


def _unsupported(kind: str, message: wire.Message) -> Content:
    """131051: a kind of message that the API cannot carry. ``unsupported.type`` may name it, or be missing."""
    text = wording.unsupported(message.unsupported)
    return Content(text, _beside(message, unsupported=message.unsupported), rank=UNAVAILABLE)


STRUCTURED: Final[dict[str, Callable[[str, wire.Message], Content]]] = {
    "location": _sentence(wording.location),
    "contacts": _cards,
    "interactive": _sentence(wording.interactive),
    "button": _sentence(wording.button),
    "order": _sentence(wording.order),
    "template": _sentence(wording.template),
    "system": _sentence(wording.system),
    "request_welcome": _welcome,
    "media_placeholder": _placeholder,
    "unsupported": _unsupported,
    "unknown": _unsupported,
    "errors": _unsupported,
}
"""Every type but ``text`` and files: how it is told."""
