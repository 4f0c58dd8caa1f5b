"""What happened to a number, in words: one sentence per line of its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coexist.coexistence.life_store import Entry

REASONS: Final = {
    "PRIMARY_INACTIVITY": "the phone app was not opened for about 14 days",
    "COMPANION_INACTIVITY": "the connection was not used for about 30 days",
    "ACCOUNT_DISCONNECTED": "it was disconnected, or WhatsApp closed the account",
    "BUSINESS_DOWNGRADE": "the number moved to the consumer app",
    "CHANGE_NUMBER": "the phone changed its number",
    "USER_RE_REGISTERED": "the number was registered again on a phone",
}
"""``disconnection_info.reason`` (meta-protocol 5.7)."""
INITIATORS: Final = {"USER": "by the business, on the phone", "SYSTEM": "by WhatsApp"}
STATES: Final = {"connected": "it is connected", "offboarded": "its phone is away", "removed": "it is disconnected"}
SIGNS: Final = {
    "message": "a message was written on the phone",
    "contacts": "the phone shared contacts",
    "history": "the phone shared chats",
    "reconnected": "the number came back",
    "connected": "the number was signed up with the phone",
}
"""The sources of ``life_rules.Sign``."""

EVENTS: Final = {
    ("coexist", "CONNECTED"): "Connected here",
    ("coexist", "AUTHORISED"): "Access renewed",
    ("coexist", "TOKEN_REFUSED"): "WhatsApp refused our access",
    ("coexist", "TOKEN_LOOKED_AT"): "We asked Meta about the refused access",
    ("coexist", "SENDING_REFUSED"): "WhatsApp refused to send",
    ("coexist", "SENDING_GOES_ON"): "Sending goes on",
    ("coexist", "META_TOLD"): "We asked Meta about the number",
    ("coexist", "PHONE_QUIET"): "Reminder: no sign of the phone for long",
    ("coexist", "TOKEN_ENDS"): "Reminder: the access token ends soon",
    ("account_update", "ACCOUNT_OFFBOARDED"): "Disconnected for now: the phone was changed or set up again",
    ("account_update", "ACCOUNT_RECONNECTED"): "The phone is back",
    ("account_update", "PARTNER_REMOVED"): "Disconnected from here",
    ("account_update", "PARTNER_ADDED"): "The WhatsApp account was shared with this app",
    ("account_update", "ACCOUNT_DELETED"): "The WhatsApp account was deleted",
    ("account_update", "DISABLED_UPDATE"): "WhatsApp changed whether the account is disabled",
    ("account_update", "ACCOUNT_VIOLATION"): "WhatsApp reported a breach of its rules",
    ("account_update", "ACCOUNT_RESTRICTION"): "WhatsApp restricted the account",
    ("account_update", "VERIFIED_ACCOUNT"): "The business was verified",
}
SYNCS: Final = {
    ("SYNC_REQUESTED", "contacts"): "The phone's contacts were asked for",
    ("SYNC_REQUESTED", "history"): "The phone's chats were asked for",
    ("SYNC_COMPLETED", "contacts"): "The phone's contacts are here",
    ("SYNC_COMPLETED", "history"): "The phone's chats are here",
    ("SYNC_DECLINED", "contacts"): "The business chose not to share its contacts",
    ("SYNC_DECLINED", "history"): "The business chose not to share its chats",
    ("SYNC_FAILED", "contacts"): "The contacts could not be asked for",
    ("SYNC_FAILED", "history"): "The chats could not be asked for",
    ("SYNC_SILENT", "contacts"): "The contacts were asked for, and nothing arrived",
    ("SYNC_SILENT", "history"): "The chats were asked for, and nothing arrived",
}
"""What became of a sync, by ``life_store.SYNC_ENTRIES``."""
FIELDS: Final = {
    "phone_number_quality_update": "Quality and limits",
    "phone_number_name_update": "Display name",
    "account_alerts": "WhatsApp's alert",
    "account_review_update": "Review of the account",
    "business_capability_update": "Limits of the business",
    "security": "Security of the number",
    "account_update": "WhatsApp account",
    "coexist": "Coexist",
}
DETAILS: Final = {
    "current_limit": "limit", "old_limit": "before", "decision": "decision",
    "requested_verified_name": "name", "rejection_reason": "why", "status": "status", "error": "error", "kind": "what",
    "quality": "quality", "health": "may send",
    "days": "days", "max_daily_conversations_per_business": "conversations a day",
}  # fmt: skip
"""Values of a line that say something to a person, and what they are called."""


def sentence(entry: Entry) -> str:
    """Return what happened, in words; an event that nobody has put into words yet by its own name."""
    known = EVENTS.get((entry.field, entry.event))
    if entry.event.startswith("SYNC_"):
        known = SYNCS.get((entry.event, entry.value["sync"]))
    if known is not None:
        return known
    field = FIELDS.get(entry.field, entry.field.replace("_", " ").capitalize())
    return f"{field}: {plain(entry.event)}" if entry.event else field


def details(entry: Entry) -> str:
    """Return why, by whom and what else is known of a line; empty if nothing is."""
    value: Mapping[str, Any] = entry.value if isinstance(entry.value, dict) else {}
    info = value.get("disconnection_info")
    told = info if isinstance(info, dict) else {}
    parts = [why(told.get("reason"), told.get("initiated_by"))]
    parts += [f"by {value['by']}"] if isinstance(value.get("by"), str) else []
    if entry.event == "META_TOLD" and "error" not in value:
        parts.append(f"Meta says: {STATES.get(str(value.get('state')), 'nothing that decides it')}.")
    parts += [
        f"{name}: {plain(str(value[key]))}" for key, name in DETAILS.items() if isinstance(value.get(key), str | int)
    ]
    if entry.event == "TOKEN_LOOKED_AT":
        parts.append(_token_words(value))
    parts += [word for word in value.get("problems") or () if isinstance(word, str)]
    if isinstance(value.get("reason"), str):
        parts.append(value["reason"])
    return " · ".join(part for part in parts if part)


def _token_words(value: Mapping[str, Any]) -> str:
    if not value.get("is_valid"):
        return "Meta says: the access token is not valid any more."
    missing = " and ".join(str(scope) for scope in value.get("missing") or ())
    return (
        f"Meta says: the token is valid, but lacks {missing}."
        if missing
        else (
            "Meta says: the token is valid and has all permissions. Look whether the app still has its access at Meta."
        )
    )


def why(reason: object, initiated_by: object) -> str:
    """Return Meta's reason and who began it, in words."""
    said = REASONS.get(str(reason), plain(str(reason))) if reason else ""
    by = INITIATORS.get(str(initiated_by), f"by {plain(str(initiated_by))}") if initiated_by else ""
    return ", ".join(part for part in (said, by) if part)


def plain(word: str) -> str:
    """``Tier 1k`` of ``TIER_1K``; what is no constant of Meta's stays as it is."""
    return word.replace("_", " ").capitalize() if word.isupper() and "_" in word else word
