"""What every message type is called, for previews, quotes and empty bubbles. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coexist.meta.model import FROM_HISTORY, PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Kind:
    """An icon of the sprite, a word, and the sentence of a bubble that has nothing else to show."""

    icon: str
    word: str
    sentence: str = ""


KINDS: Final[dict[str, Kind]] = {
    "text": Kind("", "", "Empty message"),
    "image": Kind("image", "Photo"),
    "video": Kind("video", "Video"),
    "audio": Kind("mic", "Audio"),
    "voice": Kind("mic", "Voice note"),
    "document": Kind("file-text", "Document"),
    "sticker": Kind("sticker", "Sticker"),
    "location": Kind("map-pin", "Location"),
    "contacts": Kind("contact-round", "Contact"),
    "order": Kind("shopping-cart", "Order"),
    "interactive": Kind("list-checks", "Answer"),
    "button": Kind("list-checks", "Answer"),
    "template": Kind("file-text", "Template"),
    "system": Kind("info", "Notice"),
    "request_welcome": Kind("message-circle", "Chat opened", "The customer opened the chat for the first time."),
}
ON_THE_PHONE: Final = Kind("smartphone", "Media on the phone", "There is a file here. It is on the phone.")
PHONE_ONLY: Final = Kind(
    "smartphone",
    "Only on the phone",
    "WhatsApp does not pass this message on. Open the WhatsApp app on the phone to see it.",
)
OTHER: Final = Kind("circle-help", "Other message", "This kind of message cannot be shown here yet. It is kept.")


def kind_of(type_: str, *, content_rank: int = FROM_HISTORY, is_voice: bool = False) -> Kind:
    """The kind of a message; a placeholder and what stays on the phone are kinds of their own."""
    if content_rank == PLACEHOLDER or type_ == "media_placeholder":
        return ON_THE_PHONE
    if content_rank < FROM_HISTORY or type_ in ("unsupported", "unknown", "errors"):
        return PHONE_ONLY
    return KINDS.get("voice" if is_voice and type_ == "audio" else type_, OTHER)
