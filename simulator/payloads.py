"""Webhook bodies of the live fields, written from `meta-protocol.md` section 5.

Builders return the `value` of a change; `envelope` puts changes into a body; `encode` makes Meta's bytes of it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable

from simulator.config import Business
from simulator.files import File
from simulator.world import Json, MediaHandle, Message, Person, Reaction, Template

MEDIA_TYPES = ("image", "video", "audio", "document", "sticker")
BUTTON_PARTS = ("type", "text", "url", "phone_number")
ERROR_PAGE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


def envelope(entry_id: str, changes: Iterable[tuple[str, Json]], entry_time: int | None = None) -> Json:
    """One body with one entry (4.3). `entry_time` (Unix seconds) only on account-level fields."""
    entry: Json = {"id": entry_id}
    if entry_time is not None:
        entry["time"] = entry_time
    entry["changes"] = [{"value": value, "field": field} for field, value in changes]
    return {"object": "whatsapp_business_account", "entry": [entry]}


def encode(body: Json) -> bytes:
    """JSON as Meta sends it: no spaces, everything beyond ASCII as `\\uXXXX`, slashes escaped (4.2)."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True).replace("/", "\\/").encode("ascii")


def signature(secret: str, body: bytes) -> str:
    """The `X-Hub-Signature-256` header of raw body bytes (4.2)."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def channel(business: Business) -> Json:
    """The two keys every message-like value begins with (5.1)."""
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": business.digits, "phone_number_id": business.phone_number_id},
    }


def identity(person: Person) -> Json:
    """A person's ids under their plain names; the phone is absent, not empty, when withheld (6.2)."""
    ids: Json = {"user_id": person.bsuid}
    if person.shown_phone:
        ids["wa_id"] = person.shown_phone
    return ids


def profile(person: Person) -> Json:
    """An item of `contacts[]` with the profile (5.1)."""
    shown: Json = {}
    if person.profile_name:
        shown["name"] = person.profile_name
    if person.username:
        shown["username"] = person.username
    return {"profile": shown, **identity(person)}


def sha256_base64(file: File) -> str:
    """The hash as live webhooks write it; lookups and history use hex (7.5)."""
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()


def typed(message: Message, media: Json | None = None) -> Json:
    """`type` and the object under that key. `media`: the media fields for a message with a file."""
    if message.type == "contacts":
        return {"type": "contacts", "contacts": message.content["list"]}
    if message.type == "request_welcome":
        return {"type": "request_welcome"}
    body: Json = {"type": message.type, message.type: {**message.content, **(media or {})}}
    if message.type == "unsupported":
        body["errors"] = message.errors or [unsupported_error()]
    return body


def media_fields(handle: MediaHandle, sha256: str, url: str | None = None) -> Json:
    fields: Json = {"id": handle.id, "mime_type": handle.mime_type, "sha256": sha256}
    return fields | ({"url": url} if url else {})


def unsupported_error() -> Json:
    return error(131051, "Message type unknown", "Message type is currently not supported.")


def unavailable_error() -> Json:
    """131060: only a coexistence number sees it (5.1)."""
    return error(131060, "This message is currently unavailable.", "The message content is not available to the API.")


def error(code: int, title: str, details: str) -> Json:
    """An error object inside a webhook (1.3)."""
    return {"code": code, "title": title, "message": title, "error_data": {"details": details}, "href": ERROR_PAGE}


def context(message: Message, quoted_from: str | None) -> Json:
    """The `context` of a reply or of a forwarded message; empty when neither (5.1)."""
    if message.forwarded:
        return {"context": {"forwarded": True}}
    if message.reply_to:
        quoted: Json = {"from": quoted_from} if quoted_from else {}
        return {"context": {**quoted, "id": message.reply_to}}
    return {}


def sender(person: Person) -> Json:
    """Who wrote: `from` only when the phone is not withheld, and the BSUID."""
    phone = person.shown_phone
    return ({"from": phone} if phone else {}) | {"from_user_id": person.bsuid}


def receiver(person: Person) -> Json:
    """To whom the phone app wrote: the number as dialled, which may be another national form (6.3), and the BSUID."""
    phone = person.dialled_phone
    return ({"to": phone} if phone else {}) | {"to_user_id": person.bsuid}


def messages_value(business: Business, person: Person, items: list[Json]) -> Json:
    """The value of field `messages` for one sender (5.1)."""
    return {**channel(business), "contacts": [profile(person)], "messages": items}


def inbound(person: Person, message: Message, media: Json | None, quoted_from: str | None) -> Json:
    """One item of `messages[]`."""
    head = {**sender(person), "id": message.wamid, "timestamp": str(message.at)}
    if message.unavailable:
        return {**head, "type": "unsupported", "errors": [unavailable_error()]}
    return {**head, **context(message, quoted_from), **typed(message, media)}


def echo(business: Business, person: Person, message: Message, media: Json | None, quoted_from: str | None) -> Json:
    """One item of `message_echoes[]` (5.6)."""
    head = {"from": business.digits, **receiver(person), "id": message.wamid, "timestamp": str(message.at)}
    return {**head, **context(message, quoted_from), **typed(message, media)}


def echoes_value(business: Business, person: Person, items: list[Json]) -> Json:
    """The value of field `smb_message_echoes`."""
    return {**channel(business), "contacts": [identity(person)], "message_echoes": items}


def edit(head: Json, message: Message, media: Json | None) -> Json:
    """An edit item around `head` (ids and sender): a wamid of its own, and the literal context `M0` (5.1)."""
    changed = {"context": {"id": "M0"}, **typed(message, media)}
    return {**head, "type": "edit", "edit": {"original_message_id": message.wamid, "message": changed}}


def revoke(head: Json, message: Message) -> Json:
    return {**head, "type": "revoke", "revoke": {"original_message_id": message.wamid}}


def reaction(head: Json, message: Message, made: Reaction) -> Json:
    """A reaction item; without `emoji` when it was taken back (5.1)."""
    emoji = {"emoji": made.emoji} if made.emoji else {}
    return {**head, "type": "reaction", "reaction": {"message_id": message.wamid, **emoji}}


def status_value(business: Business, person: Person, item: Json) -> Json:
    """The value of field `messages` that carries one status; `contacts` is missing on `failed` (5.3)."""
    value = channel(business)
    if item["status"] != "failed":
        value["contacts"] = [profile(person)]
    return {**value, "statuses": [item]}


def status(person: Person, message: Message, state: str, at: int) -> Json:
    """One item of `statuses[]`. Price on `sent` and `delivered`; our opaque string on every one (5.3)."""
    item: Json = {"id": message.wamid, "status": state, "timestamp": str(at), "recipient_user_id": person.bsuid}
    if person.shown_phone:
        item["recipient_id"] = person.shown_phone
    if message.opaque is not None:
        item["biz_opaque_callback_data"] = message.opaque
    if state in ("sent", "delivered"):
        item["pricing"] = pricing(message.category)
    if state == "failed":
        item["errors"] = message.errors
    return item


def pricing(category: str) -> Json:
    if category == "service":
        return {"billable": False, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
    return {"billable": True, "pricing_model": "PMP", "type": "regular", "category": category}


def state_sync_value(business: Business, items: list[Json]) -> Json:
    """The value of field `smb_app_state_sync` (5.5)."""
    return {**channel(business), "state_sync": items}


def book_entry(person: Person, action: str) -> Json:
    """One address-book change. `remove` has no names; with two national forms only the book's phone is told."""
    contact: Json = {}
    if action == "add":
        contact = {"full_name": person.book_name, "first_name": person.first_name}
    if not person.phone_hidden and person.book_phone:
        contact["phone_number"] = person.book_phone
    if person.phone_hidden or person.book_phone == person.phone or not person.book_phone:
        contact["user_id"] = person.bsuid
    return {
        "type": "contact",
        "action": action,
        "contact": contact,
        "metadata": {"timestamp": str(person.book_at)},
    }


def account_event(event: str, **extra: Json | str) -> Json:
    """The value of field `account_update` (5.7)."""
    return {"event": event, **extra}


def changed_number(head: Json, name: str, new_phone: str) -> Json:
    """A `system` item: somebody moved to another number (5.1)."""
    body = f"User {name} changed from {head['from']} to {new_phone}"
    return {**head, "type": "system", "system": {"body": body, "type": "user_changed_number", "wa_id": new_phone}}


def user_id_value(business: Business, person: Person, previous: str, at: int) -> Json:
    """The value of field `user_id_update` (5.10)."""
    update: Json = {
        "detail": "The user's phone number changed.",
        "user_id": {"previous": previous, "current": person.bsuid},
        "timestamp": str(at),
    }
    if person.shown_phone:
        update["wa_id"] = person.shown_phone
    return {**channel(business), "contacts": [profile(person)], "user_id_update": [update]}


def template_value(template: Template, told: Json, *, dashed: bool) -> Json:
    """The value of a template's field: its id as a JSON number, its language maybe as `en-US` (5.9)."""
    language = template.language.replace("_", "-") if dashed else template.language
    return {
        **told,
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": language,
    }


def template_components(template: Template) -> Json:
    """What `message_template_components_update` tells of the text: only what there is."""
    told: Json = {"message_template_element": (template.part("BODY") or {}).get("text", "")}
    for name, kind in (("message_template_title", "HEADER"), ("message_template_footer", "FOOTER")):
        text = (template.part(kind) or {}).get("text")
        if text:
            told[name] = text
    if template.buttons:
        told["message_template_buttons"] = [
            {f"message_template_button_{name}": button[name] for name in BUTTON_PARTS if name in button}
            for button in template.buttons
        ]
    return told
