"""A message's file as its bubble shows it: how, how large, and if it is not here, why and what can be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from coexist.inbox.model import Message
from coexist.media.kinds import DRAWN_PIXELS_MAX, plain, served_type
from coexist.media.model import Reason
from coexist.media.rules import can_ask_again
from coexist.web import kinds, words
from coexist.web.kinds import Kind

MEDIA_SHARED: Final = timedelta(days=14)
"""Meta passes on files of a history only when they are younger than this at onboarding (meta-protocol 5.4)."""
PICTURE_BOX: Final = (340, 300)
"""Pixels a picture or film takes in its bubble at most."""
SOON: Final = timedelta(minutes=1)
"""An attempt that is nearer than this is not announced: it may be over before one has read of it."""

WAITING: Final[dict[str, str]] = {
    Reason.THROTTLED: "WhatsApp asks us to slow down.",
    Reason.BUSY: "Other files are being fetched first.",
    Reason.TOKEN_REFUSED: "Waiting until the number is connected again.",
    Reason.NO_ROOM: "Waiting: the server's disk is nearly full. Tell who runs it.",
    Reason.NOT_KEPT: "Waiting: the server could not store it.",
}
"""What is said of a file that still comes; of any other reason, what went wrong."""


@dataclass(frozen=True, slots=True)
class File:
    """The message's file. ``state``: phone (placeholder), waiting, stored, failed or gone; ``said`` explains it.

    ``kind``: image, sticker, video, audio, document. ``duration`` in words, ``duration_ms`` for the player.
    """

    kind: str
    state: str
    said: str
    name: str
    size: str
    width: int | None
    height: int | None
    has_thumbnail: bool
    duration: str
    duration_ms: int | None
    is_voice: bool
    can_retry: bool


def file_of(message: Message, kind: Kind, zone: tzinfo, now: datetime) -> File | None:
    """The file of a message for viewers in ``zone`` at ``now``; None when it has none."""
    if kind is kinds.ON_THE_PHONE:
        return _bare("phone", _placeholder(message))
    if message.media_state is None:
        return None
    width, height = fitted(message.media_width, message.media_height)
    return File(
        kind=_shown_as(message),
        state=message.media_state,
        said=_said(message, zone, now),
        name=message.media_file_name or kind.word,
        size=words.size(message.media_bytes),
        width=width,
        height=height,
        has_thumbnail=message.media_thumbnail_bytes is not None,
        duration=words.duration(message.media_duration_ms),
        duration_ms=message.media_duration_ms,
        is_voice=message.media_is_voice,
        can_retry=_can_retry(message, now),
    )


def fitted(width: int | None, height: int | None) -> tuple[int | None, int | None]:
    """The size in which a picture is shown: scaled down into PICTURE_BOX, so that its place is kept before it loads."""
    if not width or not height:
        return None, None
    scale = min(1.0, PICTURE_BOX[0] / width, PICTURE_BOX[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _bare(state: str, said: str) -> File:
    return File("file", state, said, "", "", None, None, False, "", None, False, False)


def _placeholder(message: Message) -> str:
    if message.is_exported:
        return "Only on the phone: it was not exported with the chat."
    if message.sent_at < message.onboarded_at - MEDIA_SHARED:
        return "Only on the phone: older than 14 days when the number was connected."
    return "Still on the phone. WhatsApp may send it yet."


def _said(message: Message, zone: tzinfo, now: datetime) -> str:
    """Why the file is not here, and what to do about it; nothing when it is."""
    if message.media_state == "waiting":
        return _waiting(message, zone, now)
    if message.media_state == "failed":
        return f"{message.media_error or 'It could not be fetched.'} {_elsewhere(message)}"
    if message.media_state == "gone":
        return f"{message.media_error or 'WhatsApp no longer has it.'} {_elsewhere(message)}"
    return ""


def _waiting(message: Message, zone: tzinfo, now: datetime) -> str:
    if message.media_reason is None:
        return "Being fetched"
    if message.media_reason == Reason.TOKEN_REFUSED:
        return WAITING[message.media_reason]
    why = WAITING.get(message.media_reason) or message.media_error or "It could not be fetched yet."
    at = message.media_next_attempt_at
    when = words.moment(at, zone, now) if at is not None and at > now + SOON else "soon"
    return f"{why} Next try: {when}."


def _elsewhere(message: Message) -> str:
    """Where the file still is: the phone has what it showed, whoever sent it."""
    if message.media_reason == Reason.UNWANTED:
        return ""
    if message.origin == "contact":
        return "It should still be on the phone; or ask the customer to send it again."
    return "It should still be on the phone."


def _can_retry(message: Message, now: datetime) -> bool:
    """Whether "Try again" is offered: not while it is being tried anyway."""
    at = message.media_next_attempt_at
    if message.media_state == "waiting" and (at is None or at <= now + SOON):
        return False
    return can_ask_again(message.media_state, message.media_reason, message.media_known_at, now)


def _shown_as(message: Message) -> str:
    """How the file is shown: by what it is, not by what the message calls it."""
    if message.type == "document" or served_type(message.media_mime_type) is None:
        return "document"
    family = plain(message.media_mime_type).partition("/")[0]
    if family == "image" and not _is_harmless(message):
        return "document"
    return "sticker" if family == "image" and message.type == "sticker" else family


def _is_harmless(message: Message) -> bool:
    """Whether a picture may be unfolded in the browser of whoever looks: it was measured here, and is of a sane size.

    One that could not be read, or has more pixels than we draw, is only offered to be saved.
    """
    width, height = message.media_width, message.media_height
    if message.media_thumbnail_bytes is not None:
        return True
    return width is not None and height is not None and width * height <= DRAWN_PIXELS_MAX
