"""`POST /{phone_number_id}/messages`: sending, reactions and read receipts (meta-protocol.md 7)."""

import aiohttp
from starlette.requests import Request

from simulator import customers, files, payloads, people, phone, statuses
from simulator.drafts import Draft
from simulator.graph import filling
from simulator.graph.access import parameters
from simulator.graph.errors import WINDOW_DETAILS, Refused, invalid, known, missing
from simulator.graph.media import find_handle
from simulator.graph.validation import MEDIA, check
from simulator.simulation import Simulation
from simulator.world import Json, Message, Person, Reaction

FETCH_LIMIT_S = 10.0
REACTION_DAYS = 30

# A recipient whose digits end like this is refused like that, to try out a failure by hand.
UNDELIVERABLE_ENDING = "0126"
PAIR_LIMIT_ENDING = "0156"


async def send(sim: Simulation, request: Request) -> Json:
    """Accept a message, or refuse it with Meta's envelope. 200 means accepted, not delivered."""
    given = await parameters(request)
    if not sim.connected:
        raise known(133010, "The number is not connected to the platform.")
    if given.get("status") == "read":
        return _mark_read(sim, given)
    content = check(given)
    digits = "".join(sign for sign in str(given.get("to") or "") if sign.isdigit())
    if digits.endswith(PAIR_LIMIT_ENDING):
        raise known(131056, "Too many messages to this user in a short time.")
    if digits == sim.business.digits:
        raise Refused(131021, "Recipient cannot be sender", "The recipient is this number.")
    kind = given.get("type", "text")
    filled = await _fill(sim, given, content) if kind == "template" else None
    person = _recipient(sim, given, digits)
    if kind == "reaction":
        return _answer(given, person, _react(sim, given, person, content))
    open_window = kind == "template" or person.window_until > sim.now()
    if not open_window and not sim.faults.errors_async:
        raise known(131047, WINDOW_DETAILS)
    message = await _compose(sim, given, person, kind, content)
    if filled:
        message.filled, message.category = filled, filled["category"].lower()
        sim.world.changed(message)
    late = sim.faults.status_error
    if late and late.count > 0:
        late.count -= 1
        statuses.fail(sim, message, late.code, known(late.code).message, "Refused by the dial.")
    elif not open_window:
        statuses.fail(sim, message, 131047, "Re-engagement message", WINDOW_DETAILS)
    elif digits.endswith(UNDELIVERABLE_ENDING):
        statuses.fail(sim, message, 131026, "Message undeliverable", "Message Undeliverable.")
    elif filled and sim.faults.hold_templates:
        message.held = True
        sim.world.changed(message)
    else:
        statuses.begin(sim, message)
        if sim.faults.echo_api:
            item = phone.echo_item(sim, person, message)
            sim.tell("smb_message_echoes", payloads.echoes_value(sim.business, person, [item]))
        customers.answer_soon(sim, person)
    return _answer(given, person, message.wamid, held=message.held)


async def _fill(sim: Simulation, given: Json, content: Json) -> Json:
    """The template as the customer will see it; the file of its header is fetched now."""
    template = filling.find(sim.world, content)
    if template.category == "AUTHENTICATION" and not given.get("to"):
        raise known(131062, "A one-time code needs the phone number of the recipient in to.")
    filled = filling.fill(template, content)
    media = filled.get("header", {}).pop("media", None)
    if media:
        filled["header"]["file"] = await _file(sim, media)
    return filled


def _recipient(sim: Simulation, given: Json, digits: str) -> Person:
    """Who is meant: `to` wins over `recipient`; an unknown phone becomes a chat of its own."""
    named = digits or str(given["recipient"])
    found = sim.world.find_person(named)
    if found:
        return found
    if not digits:
        raise invalid("recipient is not a user id known to this business.")
    number = sim.world.number("newcomer")
    person = people.newcomer(sim.world.seed, number, None, digits)
    person.profile_name = ""
    sim.world.add_person(person)
    return person


async def _compose(sim: Simulation, given: Json, person: Person, kind: str, content: Json) -> Message:
    file = None
    if kind in MEDIA:
        file = await _file(sim, content)
        content = {name: value for name, value in content.items() if name not in ("id", "link")}
    context = given.get("context") or {}
    reply_to = context.get("message_id") if isinstance(context, dict) else None
    draft = Draft(kind, content, file, reply_to if reply_to in sim.world.messages else None)
    message = phone.compose(sim, person, draft, "api")
    message.opaque = given.get("biz_opaque_callback_data")
    message.told, message.media_told = "api", file is not None
    sim.world.changed(message)
    return message


async def _file(sim: Simulation, content: Json) -> str:
    """The file of a media message: an id uploaded before, or a link that is fetched now."""
    if content.get("id"):
        try:
            return find_handle(sim, str(content["id"])).file
        except Refused as refused:
            raise invalid(f"media id {content['id']} does not exist or has expired.") from refused
    try:
        timeout = aiohttp.ClientTimeout(total=FETCH_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(content["link"]) as answer:
            if answer.status == 200:
                return files.keep_upload(sim.world, await answer.read(), answer.content_type)
            reason = f"HTTP {answer.status}"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
    raise Refused(131053, "Media upload error", f"Downloading the media failed: {reason}.")


def _react(sim: Simulation, given: Json, person: Person, content: Json) -> str:
    """A reaction has a wamid and the status `sent`, never more; an unknown or old target fails later (7.2)."""
    target = sim.world.messages.get(content["message_id"])
    wamid = sim.world.new_wamid()
    shadow = Message(wamid, person.key, "api", "reaction", sim.now(), content)
    shadow.opaque = given.get("biz_opaque_callback_data")
    fresh = target is not None and sim.now() - target.at <= REACTION_DAYS * 86_400
    if target is None or not fresh or target.revoked_at:
        details = "The message reacted to does not exist, was deleted, or is older than 30 days."
        shadow.errors = [payloads.error(131009, "Parameter value is not valid", details)]
        statuses.tell(sim, shadow, "failed", sim.now())
        return wamid
    phone.put_reaction(sim, target, "business", Reaction(wamid, content["emoji"], sim.now()))
    statuses.tell(sim, shadow, "sent", sim.now())
    return wamid


def _mark_read(sim: Simulation, given: Json) -> Json:
    """A read receipt: the customer sees it; the phone's own badge stays."""
    wamid = given.get("message_id")
    if not wamid:
        raise missing("message_id")
    target = sim.world.messages.get(str(wamid))
    if target is None or not target.inbound:
        raise invalid("message_id is not a message received by this number.")
    for message in sim.world.chat_messages(target.chat):
        if message.inbound and message.at <= target.at and message.status == "delivered":
            message.status = "read"
            sim.world.changed(message)
    return {"success": True}


def _answer(given: Json, person: Person, wamid: str, *, held: bool = False) -> Json:
    """The reply of 7.1: `wa_id` only when sent by phone, `user_id` only when sent by BSUID."""
    contact: Json = {"input": given.get("to") or given.get("recipient")}
    if given.get("to"):
        contact["wa_id"] = person.phone
    if given.get("recipient"):
        contact["user_id"] = person.bsuid
    accepted: Json = {"id": wamid}
    if given.get("type") == "template":
        accepted["message_status"] = "held_for_quality_assessment" if held else "accepted"
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [accepted]}
