"""Sending a template: what it must be filled with, what the customer sees, what they can press."""

from typing import Any

import pytest

from tests.unit.simulator.conftest import Receiver, StandIn, until

Json = dict[str, Any]
JOAO = "+5511985500113"
PICTURE = {"type": "image", "image": {"id": "to be uploaded"}}
PLACE = {"latitude": "-23.5", "longitude": -46.6, "name": "Jardim Verde", "address": "Rua das Camélias 45"}


def words(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def named(**texts: str) -> list[Json]:
    return [{"type": "text", "parameter_name": name, "text": text} for name, text in texts.items()]


def body(*parameters: Json) -> Json:
    return {"type": "body", "parameters": list(parameters)}


def header(*parameters: Json) -> Json:
    return {"type": "header", "parameters": list(parameters)}


def button(index: Any, sub_type: str, **parameter: str) -> Json:
    return {"type": "button", "sub_type": sub_type, "index": index, "parameters": [parameter]}


def template(name: str, language: str, *components: Json) -> Json:
    return {"name": name, "language": {"code": language}, "components": list(components)}


LINK = button(2, "url", type="text", text="suculentas")
CODE = button("3", "copy_code", type="coupon_code", coupon_code="OUTONO20")
OFFER = (header(*words("Ana")), body(*words("20 %", "sábado")))
DAYS = {"first_name": "Ana", "order_number": "12", "delivery_day": "amanhã"}


async def send(stand_in: StandIn, *of: Any, **more: Any) -> tuple[int, Json]:
    return await stand_in.send(**{"to": JOAO, **more}, type="template", template=template(*of))


async def last(stand_in: StandIn) -> Json:
    found: Json = (await stand_in.get("/control/chats/joao-lima"))["messages"][-1]
    return found


async def picture(stand_in: StandIn) -> Json:
    """A header whose picture Meta holds."""
    sent = await stand_in.control("customer/send", chat="marina-souza", media="photo")
    return header({"type": "image", "image": {"id": sent["message"]["media"]["media_id"]}})


ORDER = ("order_ready", "pt_BR")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ((*ORDER, body(*words("Ana", "12"))), None),
        ((*ORDER, body(*words("Ana"))), 132000),
        ((*ORDER, body(*words("Ana", "12", "13"))), 132000),
        (ORDER, 132000),
        (("order_ready", "en_US", body(*words("Ana", "12"))), None),
        (("order_ready", "en-US", body(*words("Ana", "12"))), 132001),
        (("order_ready", "en", body(*words("Ana", "12"))), 132001),
        (("win_a_prize", "pt_BR", body(*words("Ana"))), 132001),
        (("spring_sale", "es"), 132015),
        (("old_newsletter", "en_US"), 132016),
        (("hello_world", "en_US"), None),
        (("hello_world", "en_US", header(*words("Ana"))), 132000),
        ((*ORDER, body(*words("Ana", "x" * 1_000))), 132005),
        ((*ORDER, body(*words("Ana", "1\n2"))), 132018),
        ((*ORDER, body(*words("Ana", "1\t2"))), 132018),
        ((*ORDER, body(*words("Ana", "1     2"))), 132018),
        ((*ORDER, body(*words("Ana", "1    2"))), None),
        ((*ORDER, body(*words("Ana", ""))), 131008),
        ((*ORDER, body(*words("Ana"), PICTURE)), 132012),
        ((*ORDER, body(*words("Ana"), {"type": "currency", "currency": {"fallback_value": "R$ 12"}})), None),
        (("delivery_window", "pt_BR", body(*named(**DAYS))), None),
        (("delivery_window", "pt_BR", body(*named(first_name="Ana"))), 132000),
        (("delivery_window", "pt_BR", body(*words("Ana", "12", "amanhã"))), 132012),
        (("delivery_window", "pt_BR", body(*named(first_name="Ana", order_number="12", day="x"))), 132018),
        (("autumn_offer", "pt_BR", *OFFER, LINK, CODE), None),
        (("autumn_offer", "pt_BR", *OFFER, LINK, CODE, button(0, "quick_reply", type="payload", payload="WANT")), None),
        (("autumn_offer", "pt_BR", *OFFER, button(2, "url", type="text", text="ma%C3%A7%C3%A3"), CODE), None),
        (("autumn_offer", "pt_BR", *OFFER, button(2, "url", type="text", text="maçã"), CODE), 132018),
        (("autumn_offer", "pt_BR", *OFFER, button(2, "url", type="text", text="a b"), CODE), 132018),
        (("autumn_offer", "pt_BR", *OFFER, LINK), 132012),
        (("autumn_offer", "pt_BR", *OFFER, CODE), 132012),
        (("autumn_offer", "pt_BR", *OFFER, LINK, {**CODE, "index": 9}), 132000),
        (("autumn_offer", "pt_BR", *OFFER, LINK, {**CODE, "index": 0}), 132012),
        (("autumn_offer", "pt_BR", *OFFER, LINK, button(3, "copy_code", type="text", text="X")), 132012),
        (("autumn_offer", "pt_BR", *OFFER, {**LINK, "parameters": words("a", "b")}, CODE), 132000),
        (("autumn_offer", "pt_BR", OFFER[1], LINK, CODE), 132000),
        (("new_arrivals", "pt_BR", body(*words("jiboia", "sexta"))), 132012),
        (("new_arrivals", "pt_BR", header(*words("Ana")), body(*words("jiboia", "sexta"))), 132012),
        (("new_arrivals", "pt_BR", header({"type": "image", "image": {}}), body(*words("jiboia", "sexta"))), 132012),
        (("new_arrivals", "pt_BR", header(PICTURE), body(*words("jiboia", "sexta"))), 100),
        (("visit_us", "pt_BR", header({"type": "location", "location": PLACE}), body(*words("Ana", "15h"))), None),
        (("visit_us", "pt_BR", header({"type": "location", "location": {}}), body(*words("Ana", "15h"))), 132012),
        (("login_code", "pt_BR", body(*words("123456")), button("0", "url", type="text", text="123456")), None),
        (("login_code", "pt_BR", body(*words("123456"))), 132012),
        (("login_code", "pt_BR", button("0", "url", type="text", text="123456")), 132000),
        (("plant_carousel", "pt_BR", body(*words("Ana"))), 132012),
        (("plant_carousel", "pt_BR", body(*words("Ana")), {"type": "carousel", "cards": [{}, {}]}), None),
    ],
)
async def test_what_a_template_must_be_filled_with(stand_in: StandIn, asked: tuple[Any, ...], code: int | None) -> None:
    status, answer = await send(stand_in, *asked)
    assert answer.get("error", {}).get("code") == code, answer
    assert status == (200 if code is None else 404 if code == 132001 else 400)
    if code is None:
        assert answer["messages"][0]["message_status"] == "accepted"


async def test_a_code_needs_a_phone_number(stand_in: StandIn) -> None:
    code = (body(*words("123456")), button("0", "url", type="text", text="123456"))
    known = stand_in.sim.person("joao-lima").bsuid
    asked = {"type": "template", "template": template("login_code", "pt_BR", *code)}
    assert (await stand_in.send(recipient=known, **asked))[1]["error"]["code"] == 131062
    assert (await stand_in.send(recipient=known, to=JOAO, **asked))[0] == 200
    asked["template"] = template("hello_world", "en_US")
    assert (await stand_in.send(recipient=known, **asked))[0] == 200


async def test_the_phone_shows_it_filled(stand_in: StandIn) -> None:
    payload = button(0, "quick_reply", type="payload", payload="WANT")
    await send(stand_in, "autumn_offer", "pt_BR", *OFFER, LINK, CODE, payload)
    shown = await last(stand_in)
    said = "As suculentas estão com 20 % de desconto até sábado. Venha escolher a sua na loja!"
    assert (shown["type"], shown["text"], shown["content"]["name"]) == ("template", said, "autumn_offer")
    assert shown["template"] == {
        "id": "900000000000000105",
        "name": "autumn_offer",
        "language": "pt_BR",
        "category": "MARKETING",
        "header": {"type": "text", "text": "Oferta para Ana neste outono"},
        "body": said,
        "footer": "Jardim Verde, plantas e vasos",
        "buttons": [
            {"type": "QUICK_REPLY", "text": "Quero ver", "payload": "WANT"},
            {"type": "QUICK_REPLY", "text": "Não receber mais", "payload": "Não receber mais"},
            {"type": "URL", "text": "Abrir a loja", "url": "https://jardimverde.example/ofertas/suculentas"},
            {"type": "COPY_CODE", "text": "Copiar código", "code": "OUTONO20"},
        ],
    }
    await stand_in.control("templates/components", name="autumn_offer", body="Outra {{1}} coisa {{2}} agora, sim.")
    assert (await last(stand_in))["text"] == said, "what was sent stays as it was"


async def test_named_and_a_picture_above_it(stand_in: StandIn) -> None:
    await send(stand_in, "delivery_window", "pt_BR", body(*named(**dict(reversed(DAYS.items())))))
    said = (await last(stand_in))["text"]
    assert said == "Oi, Ana! Sua entrega 12 chega amanhã entre 9h e 12h. Alguém pode receber?"
    await send(stand_in, "new_arrivals", "pt_BR", await picture(stand_in), body(*words("jiboia", "sexta")))
    above = (await last(stand_in))["template"]["header"]
    assert (above["type"], above["mime_type"]) == ("image", "image/jpeg")
    async with stand_in.session.get(stand_in.url + above["url"]) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("asked", "category"),
    [
        (("order_ready", "pt_BR", body(*words("Ana", "12"))), "utility"),
        (("autumn_offer", "pt_BR", *OFFER, LINK, CODE), "marketing"),
        (("login_code", "pt_BR", body(*words("1")), button("0", "url", type="text", text="1")), "authentication"),
    ],
)
async def test_the_category_is_the_price(
    stand_in: StandIn, receiver: Receiver, asked: tuple[Any, ...], category: str
) -> None:
    await send(stand_in, *asked)
    await until(lambda: len(statuses(receiver)) == 3)
    sent, delivered, read = statuses(receiver)
    assert sent["pricing"]["category"] == delivered["pricing"]["category"] == category
    assert sent["pricing"]["billable"]
    assert "pricing" not in read


def statuses(receiver: Receiver) -> list[Json]:
    return [item for value in receiver.changes("messages") for item in value.get("statuses", ())]


async def test_held_for_its_quality(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", hold_templates=True)
    for drop, ends in ((False, ["sent", "delivered", "read"]), (True, ["failed"])):
        _, answer = await send(stand_in, "hello_world", "en_US")
        assert answer["messages"][0]["message_status"] == "held_for_quality_assessment"
        shown = await last(stand_in)
        assert (shown["status"], shown["held"]) == ("pending", True)
        await stand_in.settle()
        assert statuses(receiver) == []
        assert await stand_in.control("templates/release", drop=drop) == {"released": 1}
        await until(lambda wanted=ends: [one["status"] for one in statuses(receiver)] == wanted)  # type: ignore[misc]
        receiver.bodies.clear()
    assert (await last(stand_in))["errors"][0]["code"] == 132015


async def test_a_customer_presses_a_quick_reply(stand_in: StandIn, receiver: Receiver) -> None:
    payload = button(0, "quick_reply", type="payload", payload="WANT")
    _, answer = await send(stand_in, "autumn_offer", "pt_BR", *OFFER, LINK, CODE, payload)
    wamid = answer["messages"][0]["id"]
    pressed = await stand_in.control("customer/press", message=wamid)
    assert (pressed["message"]["type"], pressed["message"]["text"]) == ("button", "Quero ver")
    await stand_in.control("customer/press", message=wamid, index=1)
    await stand_in.control("customer/press", message=wamid, text="Não receber mais")
    await stand_in.settle()
    came = [item for value in receiver.changes("messages") for item in value.get("messages", ())]
    stop = {"payload": "Não receber mais", "text": "Não receber mais"}
    assert [one["button"] for one in came] == [{"payload": "WANT", "text": "Quero ver"}, stop, stop]
    assert all(one["context"] == {"from": "5511985500101", "id": wamid} for one in came)
    assert (await stand_in.send(to=JOAO, type="text", text={"body": "Claro!"}))[0] == 200, "it opens the window"


async def test_what_cannot_be_pressed(stand_in: StandIn) -> None:
    text = await stand_in.control("owner/send", chat="joao-lima", text="Oi")
    assert "no buttons" in await stand_in.refused("customer/press", message=text["message"]["wamid"])
    _, answer = await send(stand_in, "autumn_offer", "pt_BR", *OFFER, LINK, CODE)
    wamid = answer["messages"][0]["id"]
    assert "no such" in await stand_in.refused("customer/press", message=wamid, index=2)
    await stand_in.control("faults", hold_templates=True)
    _, answer = await send(stand_in, "autumn_offer", "pt_BR", *OFFER, LINK, CODE)
    assert "reached" in await stand_in.refused("customer/press", message=answer["messages"][0]["id"])


async def test_an_echo_and_the_history_tell_it_as_it_was_sent(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", echo_api=True)
    await send(stand_in, *ORDER, body(*words("Ana", "12")))
    await stand_in.sync("history")
    await stand_in.settle()
    (echo,) = [item for value in receiver.changes("smb_message_echoes") for item in value["message_echoes"]]
    chunks = [chunk for value in receiver.changes("history") for chunk in value.get("history", ())]
    told = [item for chunk in chunks for thread in chunk["threads"] for item in thread["messages"]]
    (past,) = [item for item in told if item["id"] == echo["id"]]
    assert past["template"] == echo["template"] == template(*ORDER, body(*words("Ana", "12")))
