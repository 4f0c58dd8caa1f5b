"""What the owner does on the phone. While the number coexists, the platform hears of it by echoes."""

from simulator import files, payloads, statuses
from simulator.config import DAY_S, MEDIA_LIFE_S, MEDIA_URL_LIFE_S
from simulator.drafts import Draft
from simulator.simulation import Simulation
from simulator.world import Edit, Json, Message, Person, Reaction

EDIT_LIMIT_S = 15 * 60
REVOKE_LIMIT_S = 2 * DAY_S
UNHEARD = {
    "offboarded": "written while the phone was being changed",
    "removed": "written after the number was disconnected",
}


def send(sim: Simulation, person: Person, draft: Draft) -> Message:
    """The owner sends a message from the phone."""
    message = compose(sim, person, draft, "app")
    person.unread = 0
    sim.world.changed(person)
    statuses.begin(sim, message)
    mark_told(sim, message, _echo(sim, person, echo_item(sim, person, message)))
    return message


def edit(sim: Simulation, message: Message, text: str) -> None:
    """The owner edits what they wrote on the phone, for 15 minutes. ValueError says why not."""
    if message.origin != "app":
        raise ValueError("The phone can edit only what was written on it.")
    person = change_text(sim, message, text)
    media = media_of(sim, message, live=False) if message.file else None
    _echo(sim, person, payloads.edit(_head(sim, person, message.edits[-1].at), message, media))


def delete(sim: Simulation, message: Message) -> None:
    """The owner deletes for everyone, also what the platform sent, for two days."""
    if message.inbound:
        raise ValueError("Only the customer can delete this for everyone.")
    person = withdraw(sim, message)
    assert message.revoked_at is not None
    _echo(sim, person, payloads.revoke(_head(sim, person, message.revoked_at), message))


def react(sim: Simulation, message: Message, emoji: str) -> None:
    """The owner reacts; an empty emoji takes the reaction back."""
    made = Reaction(sim.world.new_wamid(), emoji, sim.now())
    person = put_reaction(sim, message, "business", made)
    head = _head(sim, person, made.at) | {"id": made.wamid}
    _echo(sim, person, payloads.reaction(head, message, made))


def open_chat(sim: Simulation, person: Person) -> None:
    """The owner reads the chat. No webhook tells this."""
    for message in sim.world.chat_messages(person.key):
        if message.inbound and message.status == "delivered":
            message.status = "read"
            sim.world.changed(message)
    if person.unread:
        person.unread = 0
        sim.world.changed(person)


def save_contact(sim: Simulation, person: Person, name: str) -> None:
    """Add or edit the person in the phone's address book."""
    if not name.strip():
        raise ValueError("A contact in the address book needs a name.")
    person.book_name = name.strip()
    person.book_phone = person.book_phone or (None if person.phone_hidden else person.phone)
    _tell_book(sim, person, "add")


def remove_contact(sim: Simulation, person: Person) -> None:
    """Take the person out of the address book; the chat stays."""
    if person.book_name is None:
        raise ValueError(f"{person.name} is not in the address book.")
    _tell_book(sim, person, "remove")
    person.book_name = person.book_phone = None
    sim.world.changed(person)


def compose(sim: Simulation, person: Person, draft: Draft, origin: str) -> Message:
    """Put a new message into the chat."""
    message = Message(
        wamid=sim.world.new_wamid(),
        chat=person.key,
        origin=origin,
        type=draft.type,
        at=sim.now(),
        content=draft.content,
        status="delivered" if origin == "contact" else "pending",
        file=draft.file,
        reply_to=draft.reply_to,
        forwarded=draft.forwarded,
    )
    sim.world.add_message(message)
    return message


def change_text(sim: Simulation, message: Message, text: str) -> Person:
    """Edit a text or a caption, within the 15 minutes in which WhatsApp allows it (5.1)."""
    if message.revoked_at:
        raise ValueError("This message was deleted.")
    if sim.now() - message.at > EDIT_LIMIT_S:
        raise ValueError("A message can be edited for 15 minutes only.")
    if message.type != "text" and "caption" not in message.content:
        raise ValueError("Only a text or a caption can be edited.")
    if not text.strip():
        raise ValueError("An edited message still needs a text.")
    key = "body" if message.type == "text" else "caption"
    message.edits.append(Edit(sim.now(), dict(message.content)))
    message.content = {**message.content, key: text}
    sim.world.changed(message)
    return sim.world.people[message.chat]


def withdraw(sim: Simulation, message: Message) -> Person:
    """Delete for everyone, within two days (5.1)."""
    if message.revoked_at:
        raise ValueError("This message was already deleted.")
    if sim.now() - message.at > REVOKE_LIMIT_S:
        raise ValueError("A message can be deleted for everyone for two days only.")
    message.revoked_at = sim.now()
    sim.world.changed(message)
    return sim.world.people[message.chat]


def put_reaction(sim: Simulation, message: Message, side: str, made: Reaction) -> Person:
    if message.revoked_at:
        raise ValueError("Nobody can react to a deleted message.")
    message.reactions[side] = made
    sim.world.changed(message)
    return sim.world.people[message.chat]


def media_of(sim: Simulation, message: Message, *, live: bool = True) -> Json | None:
    """The media fields of a message with a file; the hash is base64 when live, else hex (7.5)."""
    if not message.file:
        return None
    handle = sim.world.handle_for(message, files.mime_type(sim.world, message.file), sim.now() + MEDIA_LIFE_S)
    file = files.find(sim.world, message.file)
    until = sim.now() + MEDIA_URL_LIFE_S
    signed = files.address(sim.base_url, handle.id, until, sim.config.app_secret)
    url = signed if sim.faults.webhook_media_url else None
    return payloads.media_fields(handle, payloads.sha256_base64(file) if live else file.sha256, url)


def quoted_author(sim: Simulation, message: Message) -> str | None:
    """The `context.from` of a reply: the phone of who wrote the quoted message."""
    quoted = sim.world.messages.get(message.reply_to or "")
    if quoted is None:
        return None
    return sim.world.people[quoted.chat].shown_phone if quoted.inbound else sim.business.digits


def echo_item(sim: Simulation, person: Person, message: Message) -> Json:
    media = media_of(sim, message) if message.file else None
    return payloads.echo(sim.business, person, message, media, quoted_author(sim, message))


def mark_told(sim: Simulation, message: Message, told: bool) -> None:
    """Note on a live message whether the platform heard of it, and if not, why."""
    message.told = "live" if told else None
    message.media_told = told and message.file is not None
    message.not_told_why = None if told else UNHEARD.get(sim.world.connection.state)
    sim.world.changed(message)


def _head(sim: Simulation, person: Person, at: int) -> Json:
    """Ids of an edit, a revoke or a reaction, told with the second that the phone shows: another may have begun."""
    ids = {"id": sim.world.new_wamid(), "timestamp": str(at)}
    return {"from": sim.business.digits, **payloads.receiver(person), **ids}


def _echo(sim: Simulation, person: Person, item: Json) -> bool:
    if not sim.connected:
        return False
    return sim.tell("smb_message_echoes", payloads.echoes_value(sim.business, person, [item]))


def _tell_book(sim: Simulation, person: Person, action: str) -> None:
    person.book_at = max(sim.now(), person.book_at + 1)
    sim.world.changed(person)
    if sim.connected:
        entry = payloads.book_entry(person, action)
        sim.tell("smb_app_state_sync", payloads.state_sync_value(sim.business, [entry]))
