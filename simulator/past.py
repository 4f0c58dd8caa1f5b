"""Writes the shop's past: 180 days of chats, the same from the same seed."""

import random
from collections.abc import Iterator

from simulator import chance
from simulator.config import DAY_S, HISTORY_DAYS
from simulator.episodes import Episode, Line, episodes, slots
from simulator.people import NEVER_WROTE, roster
from simulator.pictures import VARIANT_COUNT
from simulator.world import Edit, Json, Message, Person, Reaction, World

USUAL_MESSAGE_COUNT = 3_000
MESSAGES_PER_EXTRA_PERSON = 100
OLDEST_DAYS = 196
SHOP_UTC_OFFSET_S = -3 * 3_600
LATEST_EPISODE_DAYS = 1.4

_WHO_BOUGHT_LONG_AGO = frozenset({"rita-cordeiro", "dona-celia"})
_ENDED_BADLY = {"renata-alves": "failed", "noah-bennett": "sent", "thiago-ramos": "delivered"}


def write_past(world: World, message_count: int) -> None:
    """Fill the world with people and about `message_count` messages that end close to `world.started_at`."""
    extra = max(0, message_count - USUAL_MESSAGE_COUNT) // MESSAGES_PER_EXTRA_PERSON
    endings = {episode.name: episode for episode in episodes("endings")}
    people = roster(world.seed, world.started_at, extra)
    for person in people:
        world.add_person(person)
    writers = [person for person in people if person.key not in NEVER_WROTE]
    rng = chance.stream(world.seed, "shares")
    shares = {person.key: rng.uniform(0.35, 1.65) for person in writers}
    scale = message_count / sum(shares.values())
    for person in writers:
        wanted = round(shares[person.key] * scale)
        _write_chat(world, person, wanted, endings.get(person.key))


def _write_chat(world: World, person: Person, wanted: int, ending: Episode | None) -> None:
    rng = chance.stream(world.seed, "chat", person.key)
    chosen: list[Episode] = []
    count = len(ending.lines) if ending else 0
    while count < wanted:
        pool = list(episodes(person.language))
        rng.shuffle(pool)
        while pool and count < wanted:
            chosen.append(pool.pop())
            count += len(chosen[-1].lines)
    for start, episode in zip(_starts(world, person, len(chosen), rng), chosen, strict=True):
        _write_episode(world, person, episode, start, rng)
    if ending:
        _write_episode(world, person, ending, None, rng)
    _settle(world, person)


def _starts(world: World, person: Person, count: int, rng: random.Random) -> list[int]:
    """When each episode begins: days apart, in the shop's hours, the newest last."""
    oldest = OLDEST_DAYS if person.key in _WHO_BOUGHT_LONG_AGO else HISTORY_DAYS - 2
    midnight = (world.started_at + SHOP_UTC_OFFSET_S) // DAY_S * DAY_S - SHOP_UTC_OFFSET_S
    span = oldest - LATEST_EPISODE_DAYS
    days = sorted((LATEST_EPISODE_DAYS + span * rng.random() ** 1.3 for _ in range(count)), reverse=True)
    if days and oldest == OLDEST_DAYS:
        days[0] = OLDEST_DAYS
    return [midnight - int(day) * DAY_S - DAY_S + rng.randint(9 * 3_600, 17 * 3_600) for day in days]


def _write_episode(world: World, person: Person, episode: Episode, start: int | None, rng: random.Random) -> None:
    """Write one episode from `start`, or, without one, so that it ends `episode.ago_s` before now."""
    gaps = [rng.randint(15, 260) if line.gap_s is None else line.gap_s + rng.randint(0, 90) for line in episode.lines]
    gaps[0] = 0
    at = world.started_at - episode.ago_s - sum(gaps) if start is None else start
    words = slots(rng, person.language, person.first_name)
    written: list[Message] = []
    for gap, line in zip(gaps, episode.lines, strict=True):
        at += gap
        if at >= world.started_at:
            return
        other = next((m for m in reversed(written) if m.inbound != line.by_customer and not m.revoked_at), None)
        if line.kind == "reaction":
            if other:
                side = "contact" if line.by_customer else "business"
                other.reactions[side] = Reaction(world.new_wamid(), line.text, at)
                world.changed(other)
            continue
        message = _message(world, person, line, at, words, rng)
        message.reply_to = other.wamid if line.quotes and other else None
        world.add_message(message)
        written.append(message)


def _message(world: World, person: Person, line: Line, at: int, words: dict[str, str], rng: random.Random) -> Message:
    text = line.text.format(**words)
    kind, content, file = _content(line, text, line.argument.format(**words), person.language, rng)
    message = Message(
        wamid=world.new_wamid(),
        chat=person.key,
        origin="contact" if line.by_customer else "app",
        type=kind,
        at=at,
        content=content,
        file=file,
        forwarded=line.forwarded,
    )
    if line.kind == "unavailable":
        message.unavailable = True
    if line.before_edit is not None:
        message.edits.append(Edit(at + rng.randint(8, 40), {"body": line.before_edit.format(**words)}))
    if line.deleted:
        message.revoked_at = at + rng.randint(5, 14)
    return message


def _content(line: Line, text: str, argument: str, language: str, rng: random.Random) -> tuple[str, Json, str | None]:
    """The wire type, its content, and the file of a scripted line."""
    caption = {"caption": text} if text else {}
    match line.kind:
        case "photo":
            return "image", caption, f"picture:{argument or 'plant'}-{rng.randrange(VARIANT_COUNT)}"
        case "voice":
            return "audio", {"voice": True}, f"asset:voice-{language}-{rng.randint(1, 2)}.ogg"
        case "video":
            return "video", caption, "asset:plant.mp4"
        case "sticker":
            return "sticker", {"animated": False}, f"picture:sticker-{rng.randrange(VARIANT_COUNT)}"
        case "doc":
            asset, _, filename = argument.partition(" ")
            return "document", {"filename": filename, **caption}, f"asset:{asset}.pdf"
        case "place":
            return "location", place(argument, rng), None
        case "card":
            return "contacts", {"list": [card(argument)]}, None
        case "order":
            return "order", order(rng), None
        case "poll":
            return "unsupported", {"type": "poll_creation"}, None
        case _:
            return "text", {"body": text or "Oi! Vi o anúncio de vocês"}, None


def place(name: str, rng: random.Random) -> Json:
    """A spot in the middle of a park, under an invented address."""
    return {
        "latitude": round(-23.5874 + rng.uniform(-0.004, 0.004), 6),
        "longitude": round(-46.6576 + rng.uniform(-0.004, 0.004), 6),
        "name": name or "Jardim Verde",
        "address": "São Paulo, SP",
    }


def card(name: str) -> Json:
    """A contact card with a fictional number."""
    first, _, last = name.partition(" ")
    digits = "5511985500160" if "Paulo" in name else "5511985500161"
    phone = {"phone": f"+{digits}", "wa_id": digits, "type": "CELL"}
    return {
        "name": {"formatted_name": name, "first_name": first, "last_name": last},
        "phones": [phone],
        "org": {"company": "Jardins em geral"},
    }


def order(rng: random.Random) -> Json:
    items = [
        {
            "product_retailer_id": f"JV-{number}",
            "quantity": rng.randint(1, 4),
            "item_price": price,
            "currency": "BRL",
        }
        for number, price in rng.sample([(101, 89), (102, 74.5), (207, 38), (315, 22.9)], 2)
    ]
    return {"catalog_id": "334455667788990", "text": "", "product_items": items}


def _settle(world: World, person: Person) -> None:
    """What the phone shows at the end: ticks on the shop's lines, and the unread count of the newest ones."""
    messages = list(world.chat_messages(person.key))
    unread = 0
    for message in reversed(messages):
        if not message.inbound:
            break
        unread += 1
    recent = bool(messages) and world.started_at - messages[-1].at < DAY_S // 4
    person.unread = unread if recent else 0
    for message in messages[len(messages) - person.unread :]:
        message.status = "delivered"
    for message in _own(messages):
        if message.at > world.started_at - 600 or not person.reads:
            message.status = "delivered"
    last_own = next(iter(_own(list(reversed(messages)))), None)
    if last_own and person.key in _ENDED_BADLY:
        last_own.status = _ENDED_BADLY[person.key]
    world.changed(person)


def _own(messages: list[Message]) -> Iterator[Message]:
    return (message for message in messages if not message.inbound)
