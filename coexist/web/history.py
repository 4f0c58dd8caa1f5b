"""The line at the top of a conversation: where its history begins, and why there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from coexist.coexistence.model import SyncState
from coexist.inbox.model import Conversation
from coexist.web import words
from coexist.web.strip import Strip


@dataclass(frozen=True, slots=True)
class Beginning:
    """Why nothing older is shown. ``is_moving``: older messages may still come by themselves."""

    said: str
    is_moving: bool


REASONS: Final[dict[SyncState, str]] = {
    SyncState.NOT_REQUESTED: "Older messages are on the phone only: its history has not been asked for.",
    SyncState.REQUESTING: "Older messages may still arrive from the phone.",
    SyncState.REQUESTED: "Older messages may still arrive from the phone.",
    SyncState.RECEIVING: "Older messages are still arriving from the phone.",
    SyncState.COMPLETED: "The phone shared up to 180 days; anything older is on the phone only.",
    SyncState.DECLINED: "Older messages are on the phone only: the business chose not to share its history.",
    SyncState.NOTHING_ARRIVED: "Older messages are on the phone only: its history was asked for, and nothing arrived.",
    SyncState.FAILED: "Older messages are on the phone only: its history could not be asked for.",
    SyncState.SWITCHED_OFF: "Older messages are on the phone only: importing history is switched off here.",
}


def beginning_of(conversation: Conversation, strip: Strip | None, zone: tzinfo) -> Beginning:
    """The line for a conversation in an inbox whose sync stands like this."""
    since = words.plain_date(conversation.onboarded_at, zone)
    if strip is None:
        return Beginning(f"The beginning. This number was connected on {since}.", False)
    return Beginning(f"The beginning. Connected on {since}. {REASONS[strip.state]}", strip.is_moving)
