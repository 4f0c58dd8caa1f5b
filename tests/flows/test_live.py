"""What happens on the phone and at the customers' while the number is connected, and what is written in the inbox."""

from __future__ import annotations

import pytest

from tests.flows.agent import signed_in
from tests.flows.shop import Shop, next_second, of_kind
from tests.flows.truth import Known
from tests.support.waiting import until

FORM = {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"pots": 3}'}}
REPLY = {"type": "button_reply", "button_reply": {"id": "yes", "title": "Sim, pode enviar"}}


@pytest.mark.requirement("D1", "D3", "D12", "E1", "E2", "F1")
async def test_what_is_typed_on_either_side(shop: Shop) -> None:
    chat = (await shop.tell("new-customer", text="Oi! Vocês têm orquídeas?"))["chat"]
    asked = await shop.tell("customer/send", chat=chat, text="A roxa 🌸")
    answer = await shop.tell("owner/send", chat=chat, text="Temos três", reply_to=asked["wamid"])
    await shop.tell("customer/send", chat=chat, text="Ótimo", reply_to=answer["wamid"])
    await shop.tell("owner/send", chat=chat, text="Veja o horário da loja", forwarded=True)
    await shop.tell("customer/send", chat=chat, text="Indicação de uma amiga", forwarded=True)
    for text in ("ok", "ok", "ok"):  # three messages, however alike (D3)
        await shop.tell("customer/send", chat=chat, text=text)
    past = next(one for one in await shop.phone.messages("joao-lima") if one["type"] == "text")
    await shop.tell("customer/send", chat="joao-lima", text="Sobre isto", reply_to=past["wamid"])
    silent = (await shop.tell("new-customer", text="", phone="447700900155"))["chat"]
    await shop.tell("owner/send", chat=silent, text="Hello, your plants are ready")  # who never wrote (E2)
    hidden = (await shop.tell("new-customer", text="Olá", username="lua.verde", hidden=True))["chat"]
    await shop.tell("owner/send", chat=hidden, text="Oi Lua")
    await shop.check()


@pytest.mark.requirement("D11")
@pytest.mark.parametrize("sender", ["owner/send", "customer/send"])
async def test_every_kind_of_message(shop: Shop, sender: str) -> None:
    chat = (await shop.tell("new-customer", text="Oi"))["chat"]
    for media in ("photo", "video", "document"):
        await shop.tell(sender, chat=chat, media=media)
        await shop.tell(sender, chat=chat, media=media, caption=f"Uma legenda: {media}")
    await shop.tell(sender, chat=chat, media="voice")
    await shop.tell(sender, chat=chat, media="sticker")
    await shop.tell(sender, chat=chat, media="document", filename="Orçamento nº 7.pdf")
    own = {"type": "document", "file_base64": "UGxhbnRhcw==", "mime_type": "text/plain", "filename": "lista.txt"}
    await shop.tell(sender, chat=chat, **own)
    for kind in ("location", "contacts", "unsupported"):
        await shop.tell(sender, chat=chat, type=kind)
    if sender == "customer/send":
        await shop.tell(sender, chat=chat, type="order")
        await shop.tell(sender, chat=chat, type="request_welcome")
        for content in (FORM, REPLY):
            await shop.tell(sender, chat=chat, type="interactive", content=content)
    await shop.check()


@pytest.mark.requirement("D14")
async def test_second_thoughts_on_either_side_even_before_what_they_are_about(shop: Shop) -> None:
    await shop.tell("faults", reorder=0.7, duplicate=0.4)
    chat = (await shop.tell("new-customer", text="Oi"))["chat"]
    written = {}
    for side in ("owner", "customer"):
        for name in ("edited", "deleted", "liked", "unliked", "both"):
            written[side, name] = (await shop.tell(f"{side}/send", chat=chat, text=name))["wamid"]
        written[side, "caption"] = (await shop.tell(f"{side}/send", chat=chat, media="photo", caption="vaso"))["wamid"]
    for side, its_other in (("owner", "customer"), ("customer", "owner")):
        await shop.tell(f"{side}/edit", message=written[side, "edited"], text="uma vez")
        await shop.tell(f"{side}/edit", message=written[side, "caption"], text="vaso grande")
        await shop.tell(f"{side}/delete", message=written[side, "deleted"])
        await shop.tell(f"{its_other}/react", message=written[side, "liked"], emoji="❤️")
        await shop.tell(f"{its_other}/react", message=written[side, "unliked"], emoji="👍")
        await shop.tell(f"{its_other}/react", message=written[side, "both"], emoji="👏")
        await shop.tell(f"{side}/react", message=written[side, "both"], emoji="🌱")
    await next_second()
    for side, its_other in (("owner", "customer"), ("customer", "owner")):
        await shop.tell(f"{side}/edit", message=written[side, "edited"], text="duas vezes")
        await shop.tell(f"{its_other}/react", message=written[side, "liked"], emoji="🙏")
        await shop.tell(f"{its_other}/react", message=written[side, "unliked"], emoji="")
    await shop.check()
    await shop.tell("faults", reorder=0.0, duplicate=0.0)


@pytest.mark.requirement("D15")
async def test_what_the_platform_cannot_show_and_what_comes_after_all(shop: Shop) -> None:
    chat = (await shop.tell("new-customer", text="Oi, vim do anúncio", unavailable=True))["chat"]
    lost = await shop.tell("customer/send", chat=chat, media="photo", caption="o vaso", unavailable=True)
    await shop.check()
    await shop.tell("customer/recover", message=lost["wamid"])
    await shop.check()


@pytest.mark.requirement("F5", "F8")
async def test_the_address_book_and_people_who_change(shop: Shop) -> None:
    saved = (await shop.tell("new-customer", text="Oi", name="Rê"))["chat"]
    await shop.tell("contact/save", chat=saved, name="Renata (vasos)")
    await shop.tell("contact/save", chat=saved, name="Renata, vasos grandes")
    await shop.tell("contact/remove", chat="joao-lima")
    named = (await shop.tell("new-customer", text="Hi", language="en"))["chat"]
    await shop.tell("customer/identity", chat=named, username="tall.fern")
    await shop.tell("customer/send", chat=named, text="I have a username now")
    moving = await shop.tell("new-customer", text="Hola", phone="5215555550170", language="es")
    former = frozenset({moving["contact"]["wa_id"], moving["contact"]["bsuid"]})
    await shop.tell("customer/identity", chat=moving["chat"], phone="5215555550171")
    await shop.tell("customer/send", chat=moving["chat"], text="Este es mi número nuevo")
    await shop.tell("owner/send", chat=moving["chat"], text="Anotado")
    shop.known = Known(former={moving["chat"]: former})
    await shop.check()


@pytest.mark.requirement("D2", "D13", "D14")
async def test_replies_from_the_inbox_are_on_the_phone_once(shop: Shop) -> None:
    await shop.tell("faults", echo_api=True, status_disorder=1.0, duplicate=0.5, reorder=0.5)
    async with signed_in(shop) as agent:
        chat = (await shop.tell("new-customer", text="Têm samambaias?", name="Quitéria Lobo"))["chat"]
        hidden = (await shop.tell("new-customer", text="Oi", name="Uxía Paz", username="uxia.paz", hidden=True))["chat"]
        await shop.quiet()
        place = await agent.conversation("Quitéria Lobo")
        await agent.write(place, "Temos sim!")
        await agent.write(place, "Quantas quer?", answers="Têm samambaias?")
        await agent.write(await agent.conversation("Uxía Paz"), "Oi Uxía")

        async def are_there() -> bool:
            return len([one for one in await shop.phone.messages() if one["origin"] == "api"]) == 3

        await until(are_there, "the replies are on the phone")
    first, second = (one for one in await shop.phone.messages(chat) if one["origin"] == "api")
    await shop.tell("customer/send", chat=chat, text="Três", reply_to=second["wamid"])
    await shop.tell("customer/react", message=second["wamid"], emoji="💚")
    await shop.tell("owner/delete", message=first["wamid"])
    lines = await shop.check()
    await shop.tell("faults", echo_api=False, status_disorder=0.0, duplicate=0.0, reorder=0.0)
    sent = {line["wamid"]: line["status"] for line in of_kind(lines, "message") if line["origin"] == "api"}
    (third,) = (one["wamid"] for one in await shop.phone.messages(hidden) if one["origin"] == "api")
    assert sent == dict.fromkeys((first["wamid"], second["wamid"], third), "read")


@pytest.mark.requirement("D13")
async def test_a_reply_that_fails_after_all_says_so(shop: Shop) -> None:
    async with signed_in(shop, "bia@example.com") as agent:
        await shop.tell("new-customer", text="Oi", name="Zenóbio Vaz", phone="5511985500126")
        await shop.quiet()
        await agent.write(await agent.conversation("Zenóbio Vaz"), "Chegou o adubo")
        lines = await shop.check()
    (failed,) = (line for line in of_kind(lines, "message") if line["text"] == "Chegou o adubo")
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131026)
