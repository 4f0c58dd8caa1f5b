"""What the export must say of one message that the phone shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]

RANK: Final = {"pending": 1, "failed": 2, "sent": 3, "delivered": 4, "read": 5, "played": 6}
FILE_TYPES: Final = ("image", "video", "audio", "document", "sticker")
NOT_AVAILABLE, NOT_SUPPORTED = 131060, 131051
CLOCKS_DIFFER_S: Final = 2

Question = Callable[[Any], bool]


def expected(message: Json, started_at: int) -> Json:
    """Return what the export must say of a message: values, or questions that the value must answer with yes."""
    told, content = message["told"], message["content"]
    wanted: Json = {
        "direction": message["direction"],
        "origin": message["origin"],
        "status": _status(message, is_past=message["timestamp"] < started_at),
        "sent_at": _api_time(message["timestamp"]) if told == "api" else moment(message["timestamp"]),
        "imported": told == "history",
        "reactions": _reactions(message["reactions"]),
        "revoked_at": message["revoked_at"] and moment(message["revoked_at"]),
        "edited": _edited(message, started_at),
        "referral": None,
    }
    is_file = message["type"] in FILE_TYPES
    if message["unavailable"]:
        return wanted | _withheld("unsupported", NOT_AVAILABLE)
    if is_file and told == "history" and not message["media"]["told"]:
        return wanted | _withheld("media_placeholder", None) | {"text": None}
    is_unsupported = message["type"] == "unsupported"
    template = message.get("template") or {}
    is_quiet = is_file and told == "history"  # history tells neither quote nor forward of a file
    has_own_text = is_file or message["type"] == "text"
    is_reply = not is_quiet and not message["forwarded"]  # the wire says one or the other
    return wanted | {
        "type": message["type"],
        "text": _said(template) if template else message["text"] if has_own_text else a_sentence,
        "placeholder": is_unsupported,
        "reply_to": message["reply_to"] if is_reply else None,
        "forwarded": message["forwarded"] and not is_quiet,
        "media": _media(message) if is_file else _head(template),
        "location": content if message["type"] == "location" else None,
        "cards": content["list"] if message["type"] == "contacts" else None,
        "order": content if message["type"] == "order" else None,
        "template": _template(template) if message["type"] == "template" else None,
        "form": content.get("nfm_reply") if message["type"] == "interactive" else None,
        "errors": _errors([NOT_SUPPORTED] if is_unsupported else [one["code"] for one in message["errors"]]),
    }


def _withheld(kind: str, code: int | None) -> Json:
    nothing = dict.fromkeys(("reply_to", "media", "location", "cards", "order", "form", "template"))
    errors = _errors([code] if code else [])
    return {"type": kind, "text": a_sentence, "placeholder": True, "forwarded": False, "errors": errors} | nothing


def _said(shown: Json) -> str:
    """What the customer reads of a template."""
    header = shown.get("header") or {}
    return "\n\n".join(part for part in (header.get("text"), shown["body"], shown.get("footer")) if part)


def _template(shown: Json) -> Question:
    def is_that(value: Any) -> bool:
        names = [value.get("name"), value.get("language")] if isinstance(value, dict) else []
        return names == [shown["name"], shown["language"]]

    return is_that


def _head(shown: Json) -> Question | None:
    """The file at a template's head; where it was sent from, its name is known."""
    header = shown.get("header") or {}
    if not header.get("sha256"):
        return None

    def is_that(value: Any) -> bool:
        return (value["sha256"], value["state"]) == (header["sha256"], "stored")

    return is_that


def _media(message: Json) -> Json:
    return {
        "mime_type": message["media"]["mime_type"],
        "sha256": message["media"]["sha256"],
        "bytes": message["media"]["bytes"],
        "state": "stored",
        "file_name": message["content"].get("filename"),
        "voice": bool(message["content"].get("voice")),
    }


# ── questions ─────────────────────────────────────────────────────────────────────────────────────────────


def a_sentence(value: Any) -> bool:
    """Something readable."""
    return isinstance(value, str) and bool(value.strip())


def _status(message: Json, *, is_past: bool) -> Any:
    """Statuses are promised for what the API sent and for the past; ticks of the phone's own messages are not told."""
    if message["told"] == "api" or (message["told"] == "history" and is_past):
        return message["status"]

    def at_most(value: Any) -> bool:
        return value is None or RANK.get(value, len(RANK)) <= RANK[message["status"]]

    return at_most


def _api_time(shown_at: int) -> Question:
    """We know when it was written here, which is before the phone showed it."""

    def is_before(value: Any) -> bool:
        return datetime.fromisoformat(value).timestamp() <= shown_at + CLOCKS_DIFFER_S

    return is_before


def _reactions(shown: Mapping[str, str]) -> Question:
    def are_those(value: Any) -> bool:
        return len(value) == len(shown) and {one["by"]: one["emoji"] for one in value} == shown

    return are_those


def _edited(message: Json, started_at: int) -> Question | None:
    """Edits of the past came folded into the text; what a message said before them is not told."""
    edits = [one for one in message["edits"] if one["at"] >= started_at]
    if not edits:
        return None
    before = [one["content"].get("body", one["content"].get("caption")) for one in edits]

    def is_that(value: Any) -> bool:
        if value is None or value["at"] != moment(edits[-1]["at"]):
            return False
        return value["previous_texts"] == before or (message["told"] == "history" and not value["previous_texts"])

    return is_that


def _errors(codes: Sequence[int]) -> Question:
    def have_codes(value: Any) -> bool:
        return [one["code"] for one in value or ()] == list(codes)

    return have_codes


def moment(seconds: int) -> str:
    """Unix seconds as the export writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
