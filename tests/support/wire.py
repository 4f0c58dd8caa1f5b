"""Changes as Meta sends them, in the shapes of its documentation: small builders for tests."""

from collections.abc import Sequence
from typing import Any

from tests.support.intake import SHOP, Number

Json = dict[str, Any]

EPOCH = 1_794_000_000
"""A second after the numbers were connected: test times count from here."""


def person(bsuid: str | None = None, phone: str | None = None, *, name: str | None = None, **more: str) -> Json:
    """A ``contacts[]`` element."""
    found: Json = {"user_id": bsuid, "wa_id": phone, "profile": {"name": name} if name else None, **more}
    return {key: value for key, value in found.items() if value is not None}


def _value(number: Number, **parts: Any) -> Json:
    metadata = {"display_phone_number": number.display, "phone_number_id": number.phone_number_id}
    return {"messaging_product": "whatsapp", "metadata": metadata, **parts}


def _ids(bsuid: str | None, phone: str | None, bsuid_key: str, phone_key: str) -> Json:
    return {key: value for key, value in ((bsuid_key, bsuid), (phone_key, phone)) if value is not None}


def text(body: str) -> Json:
    """The type-specific part of a text message."""
    return {"type": "text", "text": {"body": body}}


def message(
    wamid: str, at: int, what: Json, *, bsuid: str | None = None, phone: str | None = None, number: Number = SHOP,
    name: str | None = None,
) -> Json:  # fmt: skip
    """A change of field ``messages`` with one inbound message, ``at`` seconds after EPOCH."""
    item = {"id": wamid, "timestamp": str(EPOCH + at), **_ids(bsuid, phone, "from_user_id", "from"), **what}
    contacts = [person(bsuid, phone, name=name)] if name else []
    return {"field": "messages", "value": _value(number, contacts=contacts, messages=[item])}


def echo(
    wamid: str, at: int, what: Json, *, bsuid: str | None = None, phone: str | None = None, number: Number = SHOP
) -> Json:
    """A change of field ``smb_message_echoes`` with one message from the phone app."""
    ids = _ids(bsuid, phone, "to_user_id", "to")
    item = {"from": number.display, "id": wamid, "timestamp": str(EPOCH + at), **ids, **what}
    return {"field": "smb_message_echoes", "value": _value(number, message_echoes=[item])}


def status(
    wamid: str, at: int, word: str, *, bsuid: str | None = None, phone: str | None = None, number: Number = SHOP,
    **more: Any,
) -> Json:  # fmt: skip
    """A change of field ``messages`` with one status."""
    ids = _ids(bsuid, phone, "recipient_user_id", "recipient_id")
    item = {"id": wamid, "status": word, "timestamp": str(EPOCH + at), **ids, **more}
    return {"field": "messages", "value": _value(number, statuses=[item])}


def edit(target: str, body: str) -> Json:
    """The type-specific part of an edit."""
    return {"type": "edit", "edit": {"original_message_id": target, "message": {"context": {"id": "M0"}, **text(body)}}}


def revoke(target: str) -> Json:
    """The type-specific part of a revoke."""
    return {"type": "revoke", "revoke": {"original_message_id": target}}


def reaction(target: str, emoji: str | None) -> Json:
    """The type-specific part of a reaction; None takes it back."""
    return {"type": "reaction", "reaction": {"message_id": target, **({"emoji": emoji} if emoji else {})}}


def thread(phone: str | None, bsuid: str | None, messages: Sequence[Json]) -> Json:
    """One thread of a history chunk."""
    found: Json = {"context": {**_ids(bsuid, phone, "user_id", "wa_id")}, "messages": list(messages)}
    return {"id": phone, **found} if phone else found


def past(
    wamid: str, at: int, what: Json, *, phone: str | None = None, bsuid: str | None = None, outbound: bool = False,
    word: str = "READ", number: Number = SHOP,
) -> Json:  # fmt: skip
    """A message of a history thread, ``at`` seconds before EPOCH."""
    ids = (
        {"from": number.display, **_ids(None, phone, "-", "to")}
        if outbound
        else _ids(bsuid, phone, "from_user_id", "from")
    )
    return {"id": wamid, "timestamp": str(EPOCH - at), "history_context": {"status": word}, **ids, **what}


def history(
    threads: Sequence[Json], *, phase: int = 0, order: int = 1, progress: int = 50, number: Number = SHOP
) -> Json:
    """A change of field ``history`` with one chunk."""
    chunk = {"metadata": {"phase": phase, "chunk_order": order, "progress": progress}, "threads": list(threads)}
    return {"field": "history", "value": _value(number, history=[chunk])}


def late_file(
    wamid: str, at: int, what: Json, *, phone: str | None = None, bsuid: str | None = None, outbound: bool = False,
    number: Number = SHOP,
) -> Json:  # fmt: skip
    """A change of field ``history`` with the late detail of a file."""
    if outbound:
        item = {"from": number.display, **_ids(bsuid, phone, "to_user_id", "to")}
    else:
        item = _ids(bsuid, phone, "from_user_id", "from")
    item |= {"id": wamid, "timestamp": str(EPOCH - at), **what}
    return {"field": "history", "value": _value(number, **{"message_echoes" if outbound else "messages": [item]})}


def image(media_id: str, caption: str | None = None) -> Json:
    """The type-specific part of an image."""
    file = {"id": media_id, "mime_type": "image/jpeg", "sha256": "ab" * 32}
    return {"type": "image", "image": {**file, **({"caption": caption} if caption else {})}}


def entry(
    at: int, *, phone: str | None = None, bsuid: str | None = None, name: str | None = None, number: Number = SHOP
) -> Json:
    """A change of field ``smb_app_state_sync``: an entry added or edited, or (without a name) removed."""
    contact = {**_ids(bsuid, phone, "user_id", "phone_number"), **({"full_name": name} if name else {})}
    item = {"type": "contact", "action": "add" if name else "remove", "contact": contact}
    item["metadata"] = {"timestamp": str(EPOCH + at)}
    return {"field": "smb_app_state_sync", "value": _value(number, state_sync=[item])}


def rotated(previous: str, current: str, at: int, *, number: Number = SHOP) -> Json:
    """A change of field ``user_id_update``."""
    item = {"user_id": {"previous": previous, "current": current}, "timestamp": str(EPOCH + at), "detail": "changed"}
    return {"field": "user_id_update", "value": _value(number, user_id_update=[item])}


def moved(wamid: str, old: str, new: str, at: int, *, number: Number = SHOP) -> Json:
    """A change of field ``messages``: the system message of a changed number."""
    what = {"type": "system", "system": {"type": "user_changed_number", "body": "changed", "wa_id": new}}
    return message(wamid, at, what, phone=old, number=number)


def wished(
    value: str, at: int | None, *, bsuid: str | None = None, phone: str | None = None, number: Number = SHOP
) -> Json:
    """A change of field ``user_preferences``: ``stop`` or ``resume`` marketing messages; None leaves the time out."""
    item = {
        "category": "marketing_messages",
        "value": value,
        "detail": "as told",
        **_ids(bsuid, phone, "user_id", "wa_id"),
    }
    if at is not None:
        item["timestamp"] = EPOCH + at
    return {"field": "user_preferences", "value": _value(number, user_preferences=[item])}


def renamed(wamid: str, old: str, new: str, at: int, *, phone: str | None = None, number: Number = SHOP) -> Json:
    """A change of field ``messages``: the system message of a changed user id, told with the phone or without."""
    told = {"type": "user_changed_user_id", "body": "changed", **_ids(new, phone, "user_id", "wa_id")}
    return message(wamid, at, {"type": "system", "system": told}, bsuid=old, number=number)


def own_card(wamid: str, at: int, phone: str, *, bsuid: str, number: Number = SHOP) -> Json:
    """A message with the sender's own contact card, as answer to a request for it."""
    card = {
        "name": {"formatted_name": "Eu"},
        "phones": [{"phone": f"+{phone}", "wa_id": phone}],
        "origin": "contact_request",
    }
    return message(wamid, at, {"type": "contacts", "contacts": [card]}, bsuid=bsuid, number=number)


def not_shared(code: int, *, number: Number = SHOP) -> Json:
    """A change of field ``history`` with an error: 2593109 says that the business shares nothing."""
    return {"field": "history", "value": _value(number, history=[{"errors": [{"code": code, "title": "as told"}]}])}


def notice(field: str, at: int, number: Number = SHOP, **value: Any) -> Json:
    """A change of a field of which a line of the timeline is kept."""
    return {"field": field, "value": _value(number, timestamp=EPOCH + at, **value)}
