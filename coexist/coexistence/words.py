"""The states of a sync, and why a number was disconnected, in words for a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from coexist.base.counts import counted
from coexist.coexistence.model import Sync, SyncKind, SyncState
from coexist.coexistence.rules import (
    CONTACTS_QUIET_MINUTES,
    REFUSALS_IN_ALL,
    SILENCE_HOURS,
    deadline,
    was_refused,
)

CONNECT_AGAIN: Final = "an owner or admin connects the number again (Numbers > its name > Connect again)."
TOO_LATE_WORDS: Final = (
    "More than 24 hours have passed since the number was connected, and Meta shares nothing after that. To "
    "get another chance, disconnect in the WhatsApp Business app (Settings > Account > Business Platform), "
    f"then {CONNECT_AGAIN}"
)
KEEP_OPEN: Final = "Keep the WhatsApp Business app open on the phone: this takes minutes, sometimes hours."
UNKNOWN: Final = "the answer is not known. We wait for what arrives, and never ask twice by ourselves."
SILENT: Final = (
    f"We asked, but nothing arrived within {SILENCE_HOURS} hours. Likely causes: the phone was offline or "
    "the app closed; the webhook fields history, smb_app_state_sync and smb_message_echoes were not "
    "subscribed when we asked; there is nothing to share. Open the app on the phone: what still comes is taken in. "
    "Meta's support can look the request up by its id."
)

STALLED: Final = (
    f"The chat history began to come in, but nothing more has arrived for {SILENCE_HOURS} hours, and WhatsApp has not "
    "said that it is complete. Open the WhatsApp Business app on the phone: what still comes is taken in."
)

REFUSED: Final = (
    "WhatsApp has refused this several times, so it is not asked again by itself. Once the reason is mended, an owner "
    "or admin presses Check again (Numbers > its name > Sync): it is asked then."
)
REFUSED_IN_ALL: Final = (
    f"WhatsApp has refused this {REFUSALS_IN_ALL} times, so it is not asked any more. To get another chance, "
    f"disconnect in the WhatsApp Business app (Settings > Account > Business Platform), then {CONNECT_AGAIN}"
)

SENTENCES: Final[dict[SyncState, dict[SyncKind, str]]] = {
    SyncState.NOT_REQUESTED: {
        SyncKind.CONTACTS: "The phone's contacts have not been asked for.",
        SyncKind.HISTORY: "The phone's chat history has not been asked for.",
    },
    SyncState.REQUESTING: {
        SyncKind.CONTACTS: f"We are asking for the contacts. If this stays, {UNKNOWN}",
        SyncKind.HISTORY: f"We are asking for the chat history. If this stays, {UNKNOWN}",
    },
    SyncState.REQUESTED: {
        SyncKind.CONTACTS: f"The contacts are on their way. {KEEP_OPEN}",
        SyncKind.HISTORY: f"The chat history is on its way. {KEEP_OPEN}",
    },
    SyncState.RECEIVING: {
        SyncKind.CONTACTS: "Contacts are coming in. Keep the WhatsApp Business app open on the phone. WhatsApp does "
        f"not say which is the last: they count as complete after {CONTACTS_QUIET_MINUTES} minutes without another.",
        SyncKind.HISTORY: f"The chat history is coming in. {KEEP_OPEN}",
    },
    SyncState.COMPLETED: {
        SyncKind.CONTACTS: "The phone's contacts are here. Changes in its address book go on coming in.",
        SyncKind.HISTORY: "The chat history is complete. Files older than 14 days stay on the phone.",
    },
    SyncState.DECLINED: {
        SyncKind.CONTACTS: "The business chose not to share its contacts.",
        SyncKind.HISTORY: "The business chose not to share its chat history. New messages do come in.",
    },
    SyncState.NOTHING_ARRIVED: {SyncKind.CONTACTS: SILENT, SyncKind.HISTORY: SILENT},
    SyncState.FAILED: {
        SyncKind.CONTACTS: "The contacts could not be asked for.",
        SyncKind.HISTORY: "The chat history could not be asked for.",
    },
    SyncState.SWITCHED_OFF: {
        SyncKind.CONTACTS: "Taking in contacts from the phone is switched off here, so none were asked for.",
        SyncKind.HISTORY: "Taking in history from the phone is switched off here, so none was asked for.",
    },
}


def sentence(sync: Sync, now: datetime) -> str:
    """Return what the state of a sync means, with the last error and the way out if there is one."""
    state = SyncState(sync.state)
    is_stalled = state is SyncState.RECEIVING and now - (sync.last_arrival_at or now) > timedelta(hours=SILENCE_HOURS)
    parts = [STALLED if is_stalled else SENTENCES[state][SyncKind(sync.kind)]]
    if sync.error and state is not SyncState.DECLINED:
        parts.append(sync.error)
    if state is SyncState.NOT_REQUESTED or was_refused(sync):
        if now >= deadline(sync.onboarded_at) or sync.refusals >= REFUSALS_IN_ALL:
            parts.append(TOO_LATE_WORDS if now >= deadline(sync.onboarded_at) else REFUSED_IN_ALL)
        elif was_refused(sync):
            parts.append(REFUSED)
    return " ".join(parts)


AFTER_A_GAP: Final = (
    "The receipt (Numbers > its name > Receipt) says which. What they held is on the phone: Meta's support can look "
    "for it by the request id, and chats that matter can come in as exported chats."
)


def with_a_gap(missing_count: int) -> str:
    """What a history is that Meta called complete while parts of it never came."""
    return f"WhatsApp called the history complete, but {counted(missing_count, 'part')} of it never came."


PHASES: Final = {0: "The last day", 1: "The last 90 days", 2: "Up to 180 days"}
"""The spans of the history's phases, as Meta describes them (meta-protocol 5.4)."""

ZEROS: Final = {
    "notifications": "Notifications",
    "webhooks": "Webhooks",
    "automations": "Automatic answers",
    "sends": "Messages sent",
    "windows": "Windows opened",
    "unread": "Made unread",
    "waiting": "Made waiting",
    "assigned": "Assigned",
}
"""What an import must never do, as a receipt counts it."""

REASONS: Final = {
    "PRIMARY_INACTIVITY": "the phone app was not opened for about 14 days",
    "COMPANION_INACTIVITY": "the connection was not used for about 30 days",
    "ACCOUNT_DISCONNECTED": "the account was disconnected or closed",
    "BUSINESS_DOWNGRADE": "the number moved to the consumer app",
    "CHANGE_NUMBER": "the phone changed its number",
    "USER_RE_REGISTERED": "the number was registered again on a phone",
    "MOVED_AWAY": "it was connected to another account of this installation",
}
"""``disconnection_info.reason`` (meta-protocol 5.7)."""
INITIATORS: Final = {"USER": "by the business, on the phone", "SYSTEM": "by WhatsApp"}


def why(reason: object, initiated_by: object) -> str:
    """Return Meta's reason and who began it, in words."""
    said = REASONS.get(str(reason), plain(str(reason))) if reason else ""
    by = INITIATORS.get(str(initiated_by), f"by {plain(str(initiated_by))}") if initiated_by else ""
    return ", ".join(part for part in (said, by) if part)


def plain(word: str) -> str:
    """``Tier 1k`` of ``TIER_1K``; what is no constant of Meta's stays as it is."""
    return word.replace("_", " ").capitalize() if word.isupper() and "_" in word else word
