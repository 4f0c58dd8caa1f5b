"""What the phone shows, as JSON: for the phone page, and for tests that compare the platform with the phone."""

from simulator import files
from simulator.simulation import Simulation
from simulator.world import Json, Message, Person


def everything(sim: Simulation) -> Json:
    """The whole phone: the number, its connection, every chat with every message."""
    return {
        "number": {
            "name": sim.business.name,
            "waba_id": sim.business.waba_id,
            "phone_number_id": sim.business.phone_number_id,
            "display_phone_number": sim.business.display_phone_number,
            "digits": sim.business.digits,
        },
        "connection": connection(sim),
        "started_at": sim.world.started_at,
        "chats": [
            {
                **chat(sim, person),
                "messages": [message_truth(sim, message) for message in sim.world.chat_messages(person.key)],
            }
            for person in sim.world.people.values()
        ],
    }


def connection(sim: Simulation) -> Json:
    known = sim.world.connection
    return {
        "state": known.state,
        "reconnect_at": known.reconnect_at,
        "onboarded_at": known.onboarded_at,
        "share": known.share,
        "requested": known.requested,
        "waba_subscribed": known.waba_subscribed,
        "app_fields": sim.world.app.fields,
        "callback_url": sim.callback_url(["messages"]),
    }


def chat(sim: Simulation, person: Person) -> Json:
    """One chat without its messages."""
    return {
        "chat": person.key,
        "name": person.name,
        "contact": {
            "bsuid": person.bsuid,
            "wa_id": person.phone,
            "shown_phone": person.shown_phone,
            "phone_hidden": person.phone_hidden,
            "username": person.username,
            "profile_name": person.profile_name,
            "in_address_book": person.book_name is not None,
            "book_name": person.book_name,
            "book_phone": person.book_phone,
            "language": person.language,
        },
        "unread": person.unread,
        "window_until": person.window_until if person.window_until > sim.now() else None,
    }


def message_truth(sim: Simulation, message: Message) -> Json:
    """One message. `text` is the text, the caption, what a template says or a pressed button; `template` is a sent
    template as the customer sees it; `media` names the file the platform should hold.
    """
    return {
        "wamid": message.wamid,
        "chat": message.chat,
        "direction": "inbound" if message.inbound else "outbound",
        "origin": message.origin,
        "type": message.type,
        "text": text(message),
        "content": message.content,
        "template": template(sim, message),
        "held": message.held,
        "timestamp": message.at,
        "status": message.status,
        "reply_to": message.reply_to,
        "forwarded": message.forwarded,
        "edited": bool(message.edits),
        "edits": [{"at": one.at, "content": one.content} for one in message.edits],
        "revoked_at": message.revoked_at,
        "reactions": {side: made.emoji for side, made in message.reactions.items() if made.emoji},
        "media": media(sim, message),
        "errors": message.errors,
        "biz_opaque_callback_data": message.opaque,
        "unavailable": message.unavailable,
        "told": message.told,
        "not_told_why": message.not_told_why,
    }


def text(message: Message) -> str | None:
    if message.filled:
        return str(message.filled["body"])
    found = message.content.get("text") if message.type == "button" else message.content.get("caption")
    return message.content.get("body", found)


def template(sim: Simulation, message: Message) -> Json | None:
    """A sent template: `{id, name, language, category, header?, body, footer?, buttons}`; a header's file has a url."""
    if message.filled is None:
        return None
    shown = {name: value for name, value in message.filled.items() if name != "template"}
    header = dict(shown.get("header", {}))
    if "file" in header:
        file = files.find(sim.world, header["file"])
        url = f"/control/files/{header.pop('file')}"
        shown["header"] = {**header, "mime_type": file.mime_type, "sha256": file.sha256, "url": url}
    names = {"name": message.content["name"], "language": message.content["language"]["code"]}
    return {"id": message.filled["template"], **names, **shown}


def media(sim: Simulation, message: Message) -> Json | None:
    """The file of a message. `told`: the platform was given an id for it."""
    if not message.file:
        return None
    file = files.find(sim.world, message.file)
    return {
        "mime_type": file.mime_type,
        "sha256": file.sha256,
        "bytes": len(file.data),
        "told": message.media_told,
        "media_id": message.media_id,
        "url": f"/control/files/{message.file}",
    }


def summary(sim: Simulation) -> Json:
    """Everything small: connection, dials, pace, counts."""
    counts: Json = {"people": len(sim.world.people), "messages": len(sim.world.messages)}
    return {
        "now": sim.now(),
        "connection": connection(sim),
        "counts": counts,
        "pending": len(sim.deliveries.pending),
        "name": sim.business.name,
        "display_phone_number": sim.business.display_phone_number,
    }
