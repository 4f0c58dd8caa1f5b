"""What customers do. While the number coexists, the platform hears of it by the field `messages`."""

from simulator import payloads, people, statuses
from simulator.config import WINDOW_S
from simulator.drafts import Draft
from simulator.phone import change_text, compose, mark_told, media_of, put_reaction, quoted_author, withdraw
from simulator.simulation import Simulation
from simulator.world import Json, Message, Person, Reaction

AUTO_REPLY_S = (2.5, 6.0)

_ANSWERS = {
    "pt": (
        "Perfeito, obrigada! 🌿",
        "Combinado!",
        "Pode ser, quanto fica?",
        "Deixa eu ver e te falo",
        "Ótimo 👏",
    ),
    "es": ("¡Perfecto, gracias! 🌿", "¡Listo!", "¿Y cuánto sería?", "Déjame ver y te digo", "Genial 👏"),
    "en": (
        "Perfect, thank you! 🌿",
        "Sounds good!",
        "How much would that be?",
        "Let me check",
        "Great 👏",
    ),
}
_OPENINGS = {
    "pt": "Oi! Vi a loja no mapa. Vocês vendem vasos grandes?",
    "es": "¡Hola! Vi la tienda en el mapa. ¿Venden macetas grandes?",
    "en": "Hello! I found you on the map. Do you sell large pots?",
}


def send(sim: Simulation, person: Person, draft: Draft) -> Message:
    """A customer writes. With `unavailable` in the draft the API sees 131060 instead of the content."""
    message = compose(sim, person, draft, "contact")
    message.unavailable = bool(draft.extra.get("unavailable"))
    person.unread += 1
    _open_window(sim, person, message.at)
    sim.world.changed(person)
    mark_told(sim, message, _tell(sim, person, _inbound(sim, person, message)))
    if message.told and message.unavailable:
        message.told, message.media_told = "unavailable", False
    return message


def press(sim: Simulation, message: Message, index: int | None = None, text: str | None = None) -> Message:
    """The customer presses a quick reply of a template that was sent: by its place among the buttons, or by its text.

    Without either it is the first. ValueError says why it cannot be pressed.
    """
    if not message.filled or message.inbound or message.revoked_at:
        raise ValueError("This message has no buttons to press.")
    if message.status not in ("sent", "delivered", "read"):
        raise ValueError("This message has not reached the customer.")
    replies = {place: one for place, one in enumerate(message.filled["buttons"]) if one["type"] == "QUICK_REPLY"}
    found = [one for place, one in replies.items() if index in (None, place) and text in (None, one["text"])]
    if not found:
        raise ValueError("There is no such quick reply button.")
    content = {"payload": found[0]["payload"], "text": found[0]["text"]}
    return send(sim, sim.world.people[message.chat], Draft("button", content, reply_to=message.wamid))


def recover(sim: Simulation, message: Message) -> None:
    """The real content of an unavailable message comes after all, under the same wamid (5.1)."""
    if not message.unavailable:
        raise ValueError("The platform already has this message.")
    message.unavailable = False
    person = sim.world.people[message.chat]
    mark_told(sim, message, _tell(sim, person, _inbound(sim, person, message)))


def edit(sim: Simulation, message: Message, text: str) -> None:
    """A customer edits a text or caption, for 15 minutes."""
    _must_be_theirs(message)
    person = change_text(sim, message, text)
    media = media_of(sim, message, live=False) if message.file else None
    _tell(sim, person, payloads.edit(_head(sim, person, message.edits[-1].at), message, media))


def delete(sim: Simulation, message: Message) -> None:
    """A customer deletes for everyone, for two days."""
    _must_be_theirs(message)
    person = withdraw(sim, message)
    assert message.revoked_at is not None
    _tell(sim, person, payloads.revoke(_head(sim, person, message.revoked_at), message))


def react(sim: Simulation, message: Message, emoji: str) -> None:
    """A customer reacts; an empty emoji takes the reaction back."""
    made = Reaction(sim.world.new_wamid(), emoji, sim.now())
    person = put_reaction(sim, message, "contact", made)
    head = payloads.sender(person) | {"id": made.wamid, "timestamp": str(made.at)}
    _tell(sim, person, payloads.reaction(head, message, made))


def newcomer(sim: Simulation, asked: Json) -> Person:
    """Somebody new: `{name?, phone?, username?, hidden?, language?}`."""
    language = asked.get("language") or sim.live.choice(("pt", "es", "en"))
    if language not in _OPENINGS:
        raise ValueError("language is pt, es or en.")
    number = sim.world.number("newcomer")
    person = people.newcomer(sim.world.seed, number, asked.get("name"), asked.get("phone"), language)
    person.username = asked.get("username")
    person.phone_hidden = bool(asked.get("hidden")) and person.username is not None
    sim.world.add_person(person)
    return person


def opening(person: Person) -> str:
    """What a newcomer writes first."""
    return _OPENINGS[person.language]


def answer_soon(sim: Simulation, person: Person) -> None:
    """When automatic answers are on, the customer writes something fitting after a few seconds."""
    if not sim.pace.auto_reply:
        return
    text = sim.live.choice(_ANSWERS[person.language])
    sim.later(sim.live.uniform(*AUTO_REPLY_S), lambda: _answer(sim, person, text))


def change_number(sim: Simulation, person: Person, phone: str) -> None:
    """The customer moves to another number: a `system` message, then `user_id_update` with a new BSUID."""
    if not person.phone or person.phone_hidden:
        raise ValueError("Only a customer whose phone is visible can change it.")
    head = payloads.sender(person) | {"id": sim.world.new_wamid(), "timestamp": str(sim.now())}
    previous, number = person.bsuid, sim.world.number("bsuid")
    item = payloads.changed_number(head, person.profile_name, phone)
    value = {**payloads.channel(sim.business), "messages": [item]}
    if sim.connected:
        sim.tell("messages", value)
    person.phone = phone
    person.bsuid = people.bsuid(sim.world.seed, previous.split(".")[0], 300_000 + number)
    sim.world.changed(person)
    if sim.connected:
        sim.tell("user_id_update", payloads.user_id_value(sim.business, person, previous, sim.now()))


def adopt_username(sim: Simulation, person: Person, username: str, *, hide_phone: bool) -> None:
    """The customer takes a username; with `hide_phone` Meta tells the phone no longer."""
    person.username = username.removeprefix("@") or None
    person.phone_hidden = hide_phone and person.username is not None
    sim.world.changed(person)


def _answer(sim: Simulation, person: Person, text: str) -> None:
    statuses.read_chat(sim, person.key)
    send(sim, person, Draft("text", {"body": text}))


def _open_window(sim: Simulation, person: Person, at: int) -> None:
    """Only what comes after onboarding opens the window (7.3)."""
    if sim.connected:
        person.window_until = at + WINDOW_S


def _inbound(sim: Simulation, person: Person, message: Message) -> Json:
    media = None if message.unavailable else media_of(sim, message)
    return payloads.inbound(person, message, media, quoted_author(sim, message))


def _must_be_theirs(message: Message) -> None:
    if not message.inbound:
        raise ValueError("The customer did not write this message.")


def _head(sim: Simulation, person: Person, at: int) -> Json:
    """Ids of an edit or a revoke: the phone if visible; the BSUID is in `contacts[]` only (5.1)."""
    phone = {"from": person.shown_phone} if person.shown_phone else {}
    return {**phone, "id": sim.world.new_wamid(), "timestamp": str(at)}


def _tell(sim: Simulation, person: Person, item: Json) -> bool:
    if not sim.connected:
        return False
    return sim.tell("messages", payloads.messages_value(sim.business, person, [item]))
