"""What happened to a number, in words: one sentence per line of its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from coexist.coexistence.choices import NAMES
from coexist.coexistence.life_store import APP_TAKEN_OFF, Entry
from coexist.coexistence.undoing import BROUGHT_BACK, UNDONE
from coexist.coexistence.words import plain, why
from coexist.inbox import restrictions
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import Switch
from coexist.web import words

INBOX_STATES: Final = {
    "connected": ("good", "Connected", "Messages come in and go out."),
    "offboarded": (
        "busy",
        "Disconnected for now",
        "The phone was changed or set up again. It usually comes back by itself within minutes; if not, open the "
        "WhatsApp Business app on the phone.",
    ),
    "removed": (
        "bad",
        "Disconnected",
        "The number was disconnected from here. An owner or admin can connect it again.",
    ),
    "token_invalid": (
        "bad",
        "Access refused",
        "WhatsApp no longer accepts our access. An owner or admin can renew it.",
    ),
    "restricted": (
        "bad",
        "Restricted by WhatsApp",
        "Look at the WhatsApp Business app or Meta Business Suite for the reason.",
    ),
}
MOVED: Final = (
    "quiet",
    "Another account's",
    "The number is another account's now. Its chats so far stay here, to be read.",
)


def state_of(inbox: Inbox) -> tuple[str, str, str]:
    """Return the colour, word and meaning of an inbox's state."""
    return MOVED if inbox.is_moved else INBOX_STATES[inbox.state]


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
    ("coexist", "MOVED_AWAY"): "Connected to another account of this installation; the chats so far stay here",
    ("coexist", "TOKEN_REFUSED"): "WhatsApp refused our access",
    ("coexist", "TOKEN_LOOKED_AT"): "We asked Meta about the refused access",
    ("coexist", "SENDING_REFUSED"): "WhatsApp refused to send",
    ("coexist", "SENDING_GOES_ON"): "Sending goes on",
    ("coexist", "SYNC_ASKED_ANYWAY"): "Contacts and history asked for, although not all was in order",
    ("coexist", "SYNC_ASKED_AGAIN"): "Asked once more for what had no answer",
    ("coexist", "KEEP_OPEN_CHANGED"): "How far back conversations stay open was changed",
    ("coexist", "ECHO_EFFECT_CHANGED"): "What an answer on the phone does was changed",
    ("coexist", UNDONE): "The import was undone: what nobody had touched is removed",
    ("coexist", BROUGHT_BACK): "The import was applied again from the journal",
    ("coexist", "META_TOLD"): "We asked Meta about the number",
    ("coexist", "PHONE_QUIET"): "Reminder: no sign of the phone for long",
    ("coexist", "TOKEN_ENDS"): "Reminder: the access token ends soon",
    ("account_update", "ACCOUNT_OFFBOARDED"): "Disconnected for now: the phone was changed or set up again",
    ("account_update", "ACCOUNT_RECONNECTED"): "The phone is back",
    ("account_update", "PARTNER_REMOVED"): "Disconnected from here",
    ("account_update", "PARTNER_ADDED"): "The WhatsApp account was shared with this app",
    ("account_update", "PARTNER_APP_INSTALLED"): "An app was added to the WhatsApp account",
    ("account_update", APP_TAKEN_OFF): "An app was taken off the WhatsApp account",
    ("account_update", "ACCOUNT_DELETED"): "The WhatsApp account was deleted",
    ("account_update", "DISABLED_UPDATE"): "WhatsApp changed whether the account is disabled",
    ("account_update", "ACCOUNT_VIOLATION"): "WhatsApp reported a breach of its rules",
    ("account_update", "ACCOUNT_RESTRICTION"): "WhatsApp restricted the account",
    ("account_update", "VERIFIED_ACCOUNT"): "The business was verified",
    ("phone_number_quality_update", "ONBOARDING"): "Limits: the number begins",
    ("phone_number_quality_update", "UPGRADE"): "Limits: the number may reach more people",
    ("phone_number_quality_update", "DOWNGRADE"): "Limits: the number may reach fewer people",
    ("phone_number_quality_update", "FLAGGED"): "Quality: people block or report the number",
    ("phone_number_quality_update", "UNFLAGGED"): "Quality: the number is in order again",
    ("phone_number_quality_update", "THROUGHPUT_UPGRADE"): "Limits: the number may send faster",
    ("phone_number_name_update", "APPROVED"): "WhatsApp approved the display name",
    ("phone_number_name_update", "REJECTED"): "WhatsApp rejected the display name",
    ("phone_number_name_update", "DEFERRED"): "WhatsApp put off the display name",
    ("phone_number_name_update", "PENDING"): "WhatsApp looks at the display name",
    ("account_review_update", "APPROVED"): "WhatsApp approved the account",
    ("account_review_update", "REJECTED"): "WhatsApp did not approve the account",
    ("account_review_update", "DEFERRED"): "WhatsApp put off its review of the account",
    ("account_review_update", "PENDING"): "WhatsApp reviews the account",
    ("security", "PIN_CHANGED"): "Security: the two-step PIN was changed",
    ("security", "PIN_RESET_REQUEST"): "Security: somebody asked to reset the two-step PIN",
    ("security", "PIN_RESET_SUCCESS"): "Security: the two-step PIN was reset",
    ("business_capability_update", ""): "Limits of the business changed",
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
SWITCHES: Final = {"SWITCHED_ON": "%s: taken in again", "SWITCHED_OFF": "%s: taken in no longer"}
LEVELS: Final = {"account": "for the whole account", "inbox": "for this number"}
EFFECTS: Final = {
    "leave": "the conversation stays as it is",
    "reopen": "the conversation is opened again",
    "resolve": "the conversation is resolved",
}
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
    "current_limit": "limit", "old_limit": "before", "requested_verified_name": "name", "rejection_reason": "why",
    "status": "status", "error": "error", "kind": "what", "quality": "quality", "health": "may send", "days": "days",
    "max_daily_conversations_per_business": "people a day", "max_daily_conversation_per_phone": "people a day",
    "max_phone_numbers_per_business": "numbers of the business", "max_phone_numbers_per_waba": "numbers of the account",
}  # fmt: skip
"""Values of a line that say something to a person, and what they are called."""
WITHIN: Final = {
    "waba_info": {"partner_app_id": "app"},
    "violation_info": {"violation_type": "which", "remediation": "what to do"},
    "alert_info": {"alert_description": "", "alert_severity": "severity"},
}
"""The same within an object of a line."""
UNLIMITED: Final = -1
WRITTEN: Final = {"requested_verified_name", "error", "alert_description", "remediation"}
"""Values that are nobody's constant."""
BANS: Final = {
    "DISABLE": "It is disabled.",
    "SCHEDULE_FOR_DISABLE": "It will be disabled.",
    "REINSTATE": "It is in use again.",
}
"""``ban_info.waba_ban_state``, a word or in an older sample an array of words."""
RESTRICTED: Final = {
    restrictions.BEGINS: "it may not begin conversations",
    restrictions.REPLIES: "it may not answer customers",
    "RESTRICTED_ADD_PHONE_NUMBER_ACTION": "no numbers may be added",
    restrictions.UTILITY: "no utility templates may be sent",
    "RESTRICTED_DIRECT_SEND_UTILITY_TEMPLATES": "no utility templates may be sent directly",
    "RESTRICTED_BUSINESS_INITIATED_CALLING": "it may not call",
    "RESTRICTED_USER_INITIATED_CALLING": "it may not be called",
}
"""``restriction_info[].restriction_type``."""


def sentence(entry: Entry) -> str:
    """Return what happened, in words; an event that nobody has put into words yet by its own name."""
    value: Mapping[str, Any] = entry.value if isinstance(entry.value, dict) else {}
    if entry.event in SWITCHES and value.get("kind") in list(NAMES):
        return SWITCHES[entry.event] % NAMES[Switch(value["kind"])]
    if entry.event == "AUTHORISED" and value.get("is_anew"):
        return "Connected again"
    known = EVENTS.get((entry.field, entry.event)) or SYNCS.get((entry.event, str(value.get("sync"))))
    if known is not None:
        return known
    field = FIELDS.get(entry.field, entry.field.replace("_", " ").capitalize())
    return f"{field}: {plain(entry.event)}" if entry.event else field


def details(entry: Entry, zone: tzinfo) -> str:
    """Return why, by whom and what else is known of a line, for viewers in ``zone``; empty if nothing is."""
    value: Mapping[str, Any] = entry.value if isinstance(entry.value, dict) else {}
    info = value.get("disconnection_info")
    told = info if isinstance(info, dict) else {}
    parts = [why(told.get("reason"), told.get("initiated_by"))]
    parts += [f"by {value['by']}"] if isinstance(value.get("by"), str) else []
    if entry.event == "META_TOLD" and "error" not in value:
        parts.append(f"Meta says: {STATES.get(str(value.get('state')), 'nothing that decides it')}.")
    parts += [word for word in (LEVELS.get(str(value.get("level"))), EFFECTS.get(str(value.get("effect")))) if word]
    parts += _named({key: one for key, one in value.items() if entry.event not in SWITCHES or key != "kind"}, DETAILS)
    parts += [said for key, names in WITHIN.items() for said in _named(value.get(key), names)]
    parts += [_restricted(kind, until, zone) for kind, until in restrictions.told(value)]
    parts += _ban(value.get("ban_info"))
    if entry.event in ("PHONE_QUIET", "TOKEN_ENDS"):
        parts.append(_reminder(entry.event, value, zone))
    if entry.event == "TOKEN_LOOKED_AT":
        parts.append(_token_words(value, zone))
    parts += [word for word in value.get("problems") or () if isinstance(word, str)]
    if isinstance(value.get("reason"), str):
        parts.append(value["reason"])
    return " · ".join(part for part in parts if part)


def _token_words(value: Mapping[str, Any], zone: tzinfo) -> str:
    if isinstance(value.get("ended_at"), str):
        ended_on = words.plain_date(datetime.fromisoformat(value["ended_at"]), zone)
        return f"Meta says: the access token ended on {ended_on}."
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


def _named(value: object, names: Mapping[str, str]) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    known = [(name, _said(key, value[key])) for key, name in names.items() if isinstance(value.get(key), str | int)]
    return [f"{name}: {said}" if name else said for name, said in known]


def _said(key: str, value: str | int) -> str:
    """A value of Meta's: its constants in small letters, what people wrote as they wrote it."""
    if value in (UNLIMITED, str(UNLIMITED)):
        return "unlimited"
    said = str(value)
    return said if key in WRITTEN or not said.isupper() else said.replace("_", " ").capitalize()


def _restricted(kind: str, until: datetime | None, zone: tzinfo) -> str:
    said = RESTRICTED.get(kind, plain(kind))
    return f"{said} until {words.plain_date(until, zone)}" if until else said


def _ban(info: object) -> list[str]:
    if not isinstance(info, Mapping):
        return []
    states = info.get("waba_ban_state")
    said = [BANS.get(str(state), plain(str(state))) for state in (states if isinstance(states, list) else [states])]
    date = info.get("waba_ban_date")
    return [*said, f"date: {date}"] if isinstance(date, str) else said


def _reminder(event: str, value: Mapping[str, Any], zone: tzinfo) -> str:
    try:
        since, ends = (words.plain_date(datetime.fromisoformat(value[key]), zone) for key in ("since", "ends_at"))
    except (KeyError, TypeError, ValueError):
        return ""
    return f"last seen on {since}, disconnected from {ends} on" if event == "PHONE_QUIET" else f"it ends on {ends}"
