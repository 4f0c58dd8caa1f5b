"""Sending by the API: what is refused, what is accepted, and how its statuses come."""

import asyncio
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_S
from tests.unit.simulator.conftest import NUMBER, Receiver, StandIn, until

JOAO = "+5511985500113"
TEXT = {"type": "text", "text": {"body": "Bom dia!"}}


def states(receiver: Receiver) -> list[str]:
    return [one["status"] for value in receiver.changes("messages") for one in value.get("statuses", ())]


async def test_the_window_opens_when_the_customer_writes(stand_in: StandIn) -> None:
    status, answer = await stand_in.send(to=JOAO, **TEXT)
    assert (status, answer["error"]["code"]) == (400, 131047)
    await stand_in.control("owner/send", chat="joao-lima", text="from the phone")
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 400, "the phone opens no window"
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 200
    await stand_in.control("customer/window", chat="joao-lima", open=False)
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 400
    assert (await stand_in.send(to=JOAO, type="template", template=template()))[0] == 200


def template(*values: str) -> dict[str, Any]:
    if not values:
        return {"name": "we_answer_now", "language": {"code": "en"}}
    parameters = [{"type": "text", "text": value} for value in values]
    body = {"type": "body", "parameters": parameters}
    return {"name": "order_ready", "language": {"code": "pt_BR"}, "components": [body]}


async def test_statuses_carry_our_string(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    status, answer = await stand_in.send(to=JOAO, biz_opaque_callback_data="ob:7f1c", **TEXT)
    assert status == 200
    assert answer["contacts"] == [{"input": JOAO, "wa_id": "5511985500113"}]
    await until(lambda: states(receiver) == ["sent", "delivered", "read"])
    items = [one for value in receiver.changes("messages") for one in value.get("statuses", ())]
    assert {one["id"] for one in items} == {answer["messages"][0]["id"]}
    assert {one["biz_opaque_callback_data"] for one in items} == {"ob:7f1c"}
    truth = await stand_in.get("/control/chats/joao-lima")
    assert (truth["messages"][-1]["origin"], truth["messages"][-1]["status"]) == ("api", "read")


async def test_sending_to_a_user_id(stand_in: StandIn) -> None:
    hidden = stand_in.sim.person("verde-lar")
    await stand_in.control("customer/send", chat="verde-lar", text="Oi")
    _, answer = await stand_in.send(recipient=hidden.bsuid, **TEXT)
    assert answer["contacts"] == [{"input": hidden.bsuid, "user_id": hidden.bsuid}]


async def test_another_national_form_reaches_the_same_person(stand_in: StandIn) -> None:
    await stand_in.control("customer/send", chat="marina-souza", text="Oi")
    _, answer = await stand_in.send(to="+5511985500112", **TEXT)
    assert answer["contacts"][0] == {"input": "+5511985500112", "wa_id": "551185500112"}


async def test_statuses_out_of_order_by_dial(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", status_disorder=1)
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    orders = set()
    for _ in range(6):
        before = len(states(receiver))
        await stand_in.send(to=JOAO, **TEXT)
        await until(lambda count=before: len(states(receiver)) == count + 3)  # type: ignore[misc]
        orders.add(tuple(states(receiver)[before:]))
    assert all(sorted(order) == ["delivered", "read", "sent"] for order in orders)
    assert orders != {("sent", "delivered", "read")}


async def test_who_sends_no_receipts_never_reads(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("customer/send", chat="gustavo", text="Oi")
    await stand_in.send(to="+5511985500125", **TEXT)
    await until(lambda: states(receiver) == ["sent", "delivered"])
    await asyncio.sleep(0.1)
    assert states(receiver) == ["sent", "delivered"]


async def test_failures_by_recipient(stand_in: StandIn, receiver: Receiver) -> None:
    status, answer = await stand_in.send(to="+5511985500156", **TEXT)
    assert (status, answer["error"]["code"]) == (400, 131056)
    await stand_in.control("new-customer", phone="5511985500126", text="Oi")
    assert (await stand_in.send(to="+5511985500126", **TEXT))[0] == 200
    await until(lambda: states(receiver) == ["failed"])
    (failed,) = [value for value in receiver.changes("messages") if "statuses" in value]
    assert failed["statuses"][0]["errors"][0]["code"] == 131026


async def test_a_closed_window_may_fail_late(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", errors_async=True)
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 200
    await until(lambda: states(receiver) == ["failed"])


async def test_graph_errors_and_silence_by_dial(stand_in: StandIn) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    await stand_in.control("faults", graph_error={"code": 131016, "count": 2})
    for _ in range(2):
        status, answer = await stand_in.send(to=JOAO, **TEXT)
        assert (status, answer["error"]["code"]) == (500, 131016)
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 200
    before = len(stand_in.sim.world.chats["joao-lima"])
    await stand_in.control("faults", graph_timeout={"seconds": 2 * PATIENCE_S})
    sending = asyncio.create_task(stand_in.send(to=JOAO, **TEXT))
    await until(lambda: len(stand_in.sim.world.chats["joao-lima"]) == before + 1)
    assert not sending.done(), "sent, though nobody was told"
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_any_error_by_a_status_and_what_graph_says_of_the_account(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    await stand_in.control("faults", status_error={"code": 131050}, health="BLOCKED", quality="RED")
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 200
    await until(lambda: states(receiver) == ["failed"])
    (failed,) = [item for value in receiver.changes("messages") for item in value.get("statuses", [])]
    assert failed["errors"][0]["code"] == 131050
    _, number = await stand_in.graph("GET", NUMBER, fields="quality_rating,health_status")
    assert (number["quality_rating"], number["health_status"]["can_send_message"]) == ("RED", "BLOCKED")


async def test_while_the_phone_is_changed_nothing_is_sent(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    await stand_in.control("change-phone", reconnect_after_s=None)
    assert (await stand_in.send(to=JOAO, **TEXT))[1]["error"]["code"] == 133010
    lost = await stand_in.control("owner/send", chat="joao-lima", text="in between")
    assert lost["message"]["told"] is None
    assert lost["message"]["not_told_why"]
    await stand_in.control("reconnect")
    assert (await stand_in.send(to=JOAO, **TEXT))[0] == 200
    await stand_in.settle()
    events = [value["event"] for value in receiver.changes("account_update")]
    assert events == ["ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED"]
    assert receiver.changes("smb_message_echoes") == []


async def test_read_receipts_and_reactions(stand_in: StandIn, receiver: Receiver) -> None:
    sent = await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    wamid = sent["message"]["wamid"]
    assert await stand_in.send(status="read", message_id=wamid) == (200, {"success": True})
    assert (await stand_in.send(status="read", message_id="wamid.unknown"))[0] == 400
    reaction = {"message_id": wamid, "emoji": "🌿"}
    assert (await stand_in.send(to=JOAO, type="reaction", reaction=reaction))[0] == 200
    chat = await stand_in.get("/control/chats/joao-lima")
    assert chat["messages"][-1]["status"] == "read"
    assert chat["messages"][-1]["reactions"] == {"business": "🌿"}
    await until(lambda: states(receiver) == ["sent"])
    await stand_in.send(to=JOAO, type="reaction", reaction={"message_id": "wamid.unknown", "emoji": "🌿"})
    await until(lambda: states(receiver) == ["sent", "failed"])


BUTTON = {"type": "reply", "reply": {"id": "1", "title": "Sim"}}
CARD = {"name": {"formatted_name": "Ana", "first_name": "Ana"}, "phones": [{"phone": "+5511985500160"}]}


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("text", {"body": "x" * 4_096}, None),
        ("text", {"body": "x" * 4_097}, 100),
        ("text", {}, 131008),
        ("image", {"id": "1", "link": "https://example.org/a.png"}, 100),
        ("image", {"id": "404"}, 100),
        ("sticker", {"id": "1", "caption": "no"}, 100),
        ("location", {"latitude": -23.5, "longitude": "-46.6"}, None),
        ("location", {"latitude": 123, "longitude": 0}, 100),
        ("contacts", [CARD], None),
        ("contacts", [{"name": {"formatted_name": "Ana"}}], 131008),
        ("interactive", {"type": "button", "body": {"text": "?"}, "action": {"buttons": [BUTTON]}}, None),
        ("interactive", {"type": "button", "body": {"text": "?"}, "action": {"buttons": [BUTTON] * 4}}, 100),
        ("template", template("Ana", "12"), None),
        ("template", template("Ana"), 132000),
        ("template", {"name": "nothing", "language": {"code": "en"}}, 132001),
        ("poll", {}, 131051),
    ],
)
async def test_what_a_message_may_be(stand_in: StandIn, kind: str, value: Any, code: int | None) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    status, answer = await stand_in.send(to=JOAO, type=kind, **{kind: value})
    assert (status == 200) is (code is None), answer
    assert answer.get("error", {}).get("code") == code


@pytest.mark.parametrize(
    "body",
    [
        {"to": JOAO, **TEXT, "messaging_product": "sms"},
        {**TEXT},
        {"to": 5511985500113, **TEXT},
        {"to": JOAO, **TEXT, "biz_opaque_callback_data": "x" * 513},
        {"to": JOAO, "type": "text"},
        {"recipient": "BR.404", **TEXT},
        {"to": "+5511985500101", **TEXT},
    ],
)
async def test_envelopes_that_are_refused(stand_in: StandIn, body: dict[str, Any]) -> None:
    status, answer = await stand_in.graph("POST", f"{NUMBER}/messages", {"messaging_product": "whatsapp", **body})
    assert status == 400
    assert answer["error"]["code"] in (100, 131008, 131021)
