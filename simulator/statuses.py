"""The life of a message after it is sent: ticks on the phone, and statuses to the platform for what the API sent."""

from simulator import payloads
from simulator.simulation import Simulation
from simulator.world import Message

RANK = {"pending": 0, "failed": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5}


def begin(sim: Simulation, message: Message) -> None:
    """Let a new message of the business live: sent now, delivered soon, read when the customer opens the chat."""
    message.status = "sent"
    sim.world.changed(message)
    _plan(sim, message, ("sent",))


def resume(sim: Simulation) -> None:
    """After a restart, go on with what was sent since the world began and was not yet read."""
    for message in sim.world.messages.values():
        written_here = not message.inbound and message.at >= sim.world.started_at
        if written_here and message.status in ("sent", "delivered"):
            _plan(sim, message, ())


def fail(sim: Simulation, message: Message, code: int, title: str, details: str) -> None:
    """An accepted message that cannot be delivered (1.5)."""
    message.errors = [payloads.error(code, title, details)]
    message.status = "failed"
    sim.world.changed(message)
    tell(sim, message, "failed", sim.now())


def read_chat(sim: Simulation, key: str) -> int:
    """The customer opens the chat: all that was sent there is read. Returns how many messages that changed."""
    person = sim.person(key)
    waiting = [m for m in sim.world.chat_messages(person.key) if not m.inbound and m.status in ("sent", "delivered")]
    for message in waiting:
        if message.status == "sent":
            _advance(sim, message, "delivered")
            tell(sim, message, "delivered", sim.now())
        if person.reads:
            _advance(sim, message, "read")
            tell(sim, message, "read", sim.now())
    return len(waiting)


def tell(sim: Simulation, message: Message, state: str, at: int, after_s: float = 0.0) -> None:
    """Send a status webhook, for messages of the API only."""
    if message.origin != "api":
        return
    person = sim.world.people[message.chat]
    item = payloads.status(person, message, state, at)
    sim.tell("messages", payloads.status_value(sim.business, person, item), after_s=after_s)


def _plan(sim: Simulation, message: Message, first: tuple[str, ...]) -> None:
    """Schedule the ticks, and their webhooks in order or, by the dial, out of order."""
    person, pace = sim.world.people[message.chat], sim.pace
    delays = dict.fromkeys(first, 0.0)
    if RANK[message.status] < RANK["delivered"]:
        delays["delivered"] = pace.delivered_ms / 1_000
    if pace.auto_read and person.reads:
        after_ms = sim.live.uniform(*pace.read_ms)
        delays["read"] = (pace.delivered_ms + after_ms) / 1_000
        if message.content.get("voice"):
            delays["played"] = delays["read"] + after_ms / 1_000
    states, now = list(delays), sim.now()
    told = list(states)
    if sim.live.random() < sim.faults.status_disorder:
        sim.live.shuffle(told)
    for state, telling, delay_s in zip(states, told, delays.values(), strict=True):
        _schedule(sim, message, state, telling, delay_s, round(now + delays[telling]))


def _schedule(sim: Simulation, message: Message, state: str, telling: str, delay_s: float, told_at: int) -> None:
    world = sim.world

    def act() -> None:
        if sim.world is not world:
            return
        already = RANK[message.status] >= RANK[telling] and telling == state and state != "sent"
        _advance(sim, message, state)
        if not already:
            tell(sim, message, telling, told_at)

    if delay_s:
        sim.later(delay_s, act)
    else:
        act()


def _advance(sim: Simulation, message: Message, state: str) -> None:
    if RANK[state] > RANK[message.status]:
        message.status = state
        sim.world.changed(message)
