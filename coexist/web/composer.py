"""The composer: whether one may write now, until when, and in plain words why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from uuid import UUID, uuid4

from coexist.coexistence import words as connection_words
from coexist.inbox.connection import MOVED_AWAY
from coexist.inbox.model import Conversation
from coexist.inbox.window import Why, Window
from coexist.meta.errors import explain
from coexist.outbound.rules import TEXT_CHARS_MAX
from coexist.outbound.writing import OURSELVES
from coexist.web import words

SHUT: Final = {
    "removed": "This number was disconnected from here. To send again, an owner or admin connects it "
    "(Numbers > its name > Connect again).",
    "token_invalid": "WhatsApp no longer accepts our access. To send again, an owner or admin renews it "
    "(Numbers > its name > Renew access).",
    "restricted": "WhatsApp has restricted this number. Look at the WhatsApp Business app or Meta Business Suite.",
}
MOVED: Final = "This number is another account's now. The chats so far stay here, to be read."
OFFBOARDED: Final = ". The number is disconnected for now: what you send waits until it is back"
HELD: Final = ". WhatsApp keeps the number from answering: what you send waits"


@dataclass(frozen=True, slots=True)
class Composer:
    """``said`` stands above the text: until when one may write, or what it takes. ``why`` explains it further.

    ``offers_templates``: they may be sent, also while it is closed.
    """

    is_open: bool
    said: str
    why: str
    opened_by: int | None
    expires_at: datetime | None
    draft: str
    our_ref: UUID
    offers_templates: bool = False
    chars_max: int = TEXT_CHARS_MAX


def composer_of(conversation: Conversation, window: Window, zone: tzinfo, now: datetime) -> Composer:
    """The composer of a conversation at ``now``, with a new reference under which a text is sent once."""
    if conversation.inbox_state in SHUT:
        if conversation.inbox_state_reason == MOVED_AWAY:
            return _closed(conversation, MOVED, "")
        reason = connection_words.why(conversation.inbox_state_reason, None).rstrip(".")
        steps = [explain(code).next_step for code in conversation.inbox_standing_codes]
        reasons = " ".join([reason and f"WhatsApp's reason: {reason}.", *steps]).strip()
        return _closed(conversation, SHUT[conversation.inbox_state], reasons)
    on_phone = " On the phone you can always answer." if conversation.is_coexistence else ""
    if conversation.is_ourselves:
        return _closed(conversation, f"{OURSELVES}{on_phone}", "")
    if window.opened_at is None or window.expires_at is None:
        said = f"Closed: it opens with a new message of {words.contact_name(conversation.name)}.{on_phone}"
        return _closed(conversation, said, Why.NEVER, offers_templates=True)
    if not window.is_open:
        said = f"Closed since {words.moment(window.expires_at, zone, now)}: it opens with their next message.{on_phone}"
        why = f"{window.why} WhatsApp lets a business write freely for 24 hours after each one."
        return _closed(conversation, said, why, window_message=True, offers_templates=True)
    held_until = conversation.inbox_replies_held_until
    waits = HELD if held_until is not None and held_until > now else ""
    if conversation.inbox_state == "offboarded":
        waits = OFFBOARDED
    return Composer(
        is_open=True,
        said=f"You can write until {words.moment(window.expires_at, zone, now)}{waits}",
        why=f"They wrote {words.moment(window.opened_at, zone, now)}; WhatsApp lets a business answer for 24 hours.",
        opened_by=conversation.window_message_id,
        expires_at=window.expires_at,
        draft=conversation.draft,
        our_ref=uuid4(),
        offers_templates=True,
    )


def _closed(
    conversation: Conversation, said: str, why: str, *, window_message: bool = False, offers_templates: bool = False
) -> Composer:
    opened_by = conversation.window_message_id if window_message else None
    return Composer(False, said, why, opened_by, None, conversation.draft, uuid4(), offers_templates)
