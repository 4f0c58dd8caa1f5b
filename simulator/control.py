"""`POST /control/*`: what the phone page and tests can do. `simulator/README.md` describes every call."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import coexistence, customers, drafts, payloads, phone, statuses, template_control, truth
from simulator.config import WINDOW_S, Pace
from simulator.drafts import Draft
from simulator.faults import turned
from simulator.passing import Clock
from simulator.simulation import Simulation
from simulator.world import Json, Message, Person

SETTLE_LIMIT_S = 30.0
RECONNECT_AFTER_S = 4.0
HOUR_S = 3_600

Act = Callable[[Simulation, Json], Json | Awaitable[Json | None] | None]


def _person(sim: Simulation, asked: Json) -> Person:
    if not asked.get("chat"):
        raise ValueError("chat is missing: a chat's key, a BSUID, a username or a phone.")
    return sim.person(str(asked["chat"]))


def _message(sim: Simulation, asked: Json) -> Message:
    found = sim.world.messages.get(str(asked.get("message") or ""))
    if found is None:
        raise LookupError("message names no wamid on this phone.")
    return found


def _sent(sim: Simulation, message: Message) -> Json:
    return {"message": truth.message_truth(sim, message)}


def owner_send(sim: Simulation, asked: Json) -> Json:
    person = _person(sim, asked)
    message = phone.send(sim, person, drafts.read(sim, person, asked))
    customers.answer_soon(sim, person)
    return _sent(sim, message)


def customer_send(sim: Simulation, asked: Json) -> Json:
    person = _person(sim, asked)
    return _sent(sim, customers.send(sim, person, drafts.read(sim, person, asked)))


def owner_edit(sim: Simulation, asked: Json) -> None:
    phone.edit(sim, _message(sim, asked), str(asked.get("text") or ""))


def owner_delete(sim: Simulation, asked: Json) -> None:
    phone.delete(sim, _message(sim, asked))


def owner_react(sim: Simulation, asked: Json) -> None:
    phone.react(sim, _message(sim, asked), str(asked.get("emoji") or ""))


def owner_read(sim: Simulation, asked: Json) -> None:
    phone.open_chat(sim, _person(sim, asked))


def customer_edit(sim: Simulation, asked: Json) -> None:
    customers.edit(sim, _message(sim, asked), str(asked.get("text") or ""))


def customer_delete(sim: Simulation, asked: Json) -> None:
    customers.delete(sim, _message(sim, asked))


def customer_react(sim: Simulation, asked: Json) -> None:
    customers.react(sim, _message(sim, asked), str(asked.get("emoji") or ""))


def customer_read(sim: Simulation, asked: Json) -> Json:
    return {"read": statuses.read_chat(sim, _person(sim, asked).key)}


def customer_press(sim: Simulation, asked: Json) -> Json:
    return _sent(sim, customers.press(sim, _message(sim, asked), asked.get("index"), asked.get("text")))


def customer_recover(sim: Simulation, asked: Json) -> None:
    customers.recover(sim, _message(sim, asked))


def customer_window(sim: Simulation, asked: Json) -> None:
    person = _person(sim, asked)
    person.window_until = sim.now() + WINDOW_S if asked.get("open") else 0
    sim.world.changed(person)


def customer_identity(sim: Simulation, asked: Json) -> Json:
    person = _person(sim, asked)
    if asked.get("phone"):
        customers.change_number(sim, person, str(asked["phone"]))
    if "username" in asked:
        customers.adopt_username(sim, person, str(asked["username"] or ""), hide_phone=bool(asked.get("hide_phone")))
    return truth.chat(sim, person)


def new_customer(sim: Simulation, asked: Json) -> Json:
    person = customers.newcomer(sim, asked)
    text = asked.get("text", customers.opening(person))
    if text:
        customers.send(sim, person, Draft("text", {"body": text}, extra=asked))
    return truth.chat(sim, person)


def contact_save(sim: Simulation, asked: Json) -> Json:
    person = _person(sim, asked)
    phone.save_contact(sim, person, str(asked.get("name") or ""))
    return truth.chat(sim, person)


def contact_remove(sim: Simulation, asked: Json) -> Json:
    person = _person(sim, asked)
    phone.remove_contact(sim, person)
    return truth.chat(sim, person)


async def onboard(sim: Simulation, asked: Json) -> Json:
    if "share" in asked:
        share(sim, asked)
    return await coexistence.onboard(sim)


async def token(sim: Simulation, asked: Json) -> Json:
    return await coexistence.token(sim)


def share(sim: Simulation, asked: Json) -> None:
    sim.world.connection.share = bool(asked.get("share"))
    sim.world.changed(sim.world.connection)


def disconnect(sim: Simulation, asked: Json) -> None:
    coexistence.disconnect(
        sim,
        reason=str(asked.get("reason", "ACCOUNT_DISCONNECTED")),
        initiated_by=str(asked.get("initiated_by", "USER")),
        by_portfolio=bool(asked.get("by_portfolio")),
    )


def change_phone(sim: Simulation, asked: Json) -> None:
    after = asked.get("reconnect_after_s", RECONNECT_AFTER_S)
    coexistence.change_phone(sim, None if after is None else float(after))


def reconnect(sim: Simulation, asked: Json) -> None:
    coexistence.reconnect(sim)


def faults(sim: Simulation, asked: Json) -> Json:
    sim.faults = turned(sim.faults, asked)
    sim.watchers.tell("connection", {})
    return dict(msgspec.to_builtins(sim.faults))


def pace(sim: Simulation, asked: Json) -> Json:
    unknown = set(asked) - set(msgspec.to_builtins(sim.pace))
    if unknown:
        raise ValueError(f"The pace has no {', '.join(sorted(unknown))}.")
    try:
        sim.pace = msgspec.convert({**msgspec.to_builtins(sim.pace), **asked}, Pace)
    except msgspec.ValidationError as error:
        raise ValueError(f"The pace has a value it cannot take: {error}.") from error
    sim.watchers.tell("connection", {})
    return dict(msgspec.to_builtins(sim.pace))


def pass_time(sim: Simulation, asked: Json) -> Json:
    clock, hours = sim.config.clock, asked.get("hours")
    if not isinstance(clock, Clock):
        raise ValueError("The clock of this stand-in cannot be put on.")
    if not isinstance(hours, int | float) or isinstance(hours, bool):
        raise ValueError("hours is missing: how much time passes.")
    clock.put_on(int(hours * HOUR_S))
    sim.watchers.tell("reset", {})  # every time that a page shows is another now
    return {"now": sim.now()}


def raw(sim: Simulation, asked: Json) -> Json:
    """Any webhook, signed: `{body}` as it is, or `{field, value, entry_id?, time?}`."""
    if "body" in asked:
        body = asked["body"]
    else:
        entry_id = str(asked.get("entry_id", sim.business.waba_id))
        body = payloads.envelope(entry_id, [(str(asked["field"]), asked["value"])], asked.get("time"))
    sim.deliveries.put(sim.world.app.callback_url, body)
    return {"pending": len(sim.deliveries.pending)}


async def reset(sim: Simulation, asked: Json) -> None:
    await sim.reset()


async def settle(sim: Simulation, asked: Json) -> Json:
    done = await sim.deliveries.settled(float(asked.get("timeout_s", SETTLE_LIMIT_S)))
    return {"settled": done, "pending": len(sim.deliveries.pending)}


ACTS: dict[str, Act] = {
    "owner/send": owner_send,
    "owner/edit": owner_edit,
    "owner/delete": owner_delete,
    "owner/react": owner_react,
    "owner/read": owner_read,
    "customer/send": customer_send,
    "customer/edit": customer_edit,
    "customer/delete": customer_delete,
    "customer/react": customer_react,
    "customer/read": customer_read,
    "customer/press": customer_press,
    "customer/recover": customer_recover,
    "customer/window": customer_window,
    "customer/identity": customer_identity,
    "new-customer": new_customer,
    "contact/save": contact_save,
    "contact/remove": contact_remove,
    "onboard": onboard,
    "token": token,
    "share": share,
    "disconnect": disconnect,
    "change-phone": change_phone,
    "reconnect": reconnect,
    "faults": faults,
    "pace": pace,
    "pass-time": pass_time,
    "raw": raw,
    "reset": reset,
    "settle": settle,
    **template_control.ACTS,
}
"""Every POST: name, and what it does with the JSON object sent."""


async def act(request: Request) -> Response:
    """Run a POST of `ACTS`. 400 with a sentence for what cannot be done, 404 for what is not there."""
    found = ACTS.get(request.path_params["act"])
    if found is None:
        return _refused("There is no such control.", 404)
    raw_body = await request.body()
    try:
        asked: Any = msgspec.json.decode(raw_body) if raw_body else {}
        if not isinstance(asked, dict):
            return _refused("The body must be a JSON object.", 400)
        answer = found(request.app.state.sim, asked)
        if isinstance(answer, Awaitable):
            answer = await answer
    except msgspec.DecodeError:
        return _refused("The body is not JSON.", 400)
    except KeyError as error:
        return _refused(f"{error.args[0]} is missing.", 400)
    except LookupError as error:
        return _refused(str(error), 404)
    except ValueError as error:
        return _refused(str(error), 400)
    return JSONResponse(answer if answer is not None else {"ok": True})


def _refused(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


routes = [Route("/control/{act:path}", act, methods=["POST"])]
