"""Templates from the inbox to the phone: the window closed, and paused, deleted, changed and made at Meta meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from html import unescape
from typing import Any, Final

import pytest

from tests.flows.agent import Agent, signed_in
from tests.flows.shop import Shop, next_second
from tests.support.waiting import until

CHAT: Final = "marina-souza"
PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50"
    "0f0003860180c4c3b3600000000049454e44ae426082"
)


@pytest.fixture
async def agent(shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    """Somebody who looks at the templates, once Meta has listed them."""
    async with signed_in(shop, f"{request.node.name}@example.com") as opened:
        await offered(opened, await talk_of(opened), "order_ready")
        yield opened


async def talk_of(agent: Agent) -> str:
    """The conversation with somebody who has not written since the number was connected."""
    return await agent.conversation("Marina")


async def choices(agent: Agent, talk: str, name: str) -> dict[str, str]:
    """What the picker says of the languages of a template, by the path of its form."""
    page = await agent.page(f"{talk}/templates?q={name}")
    rows = re.findall(rf'<a class="pick" href="({talk}/templates/\d+)">(.*?)</a>', page, re.DOTALL)
    return {path: unescape(re.sub(r"<[^>]+>", " ", row)) for path, row in rows}


async def offered(agent: Agent, talk: str, name: str, words: str = "") -> str:
    """Wait until a template is there, with these words; return the path of its form."""

    async def found() -> str | None:
        return next((path for path, said in (await choices(agent, talk, name)).items() if words in said), None)

    return str(await until(found, f"{name} says {words!r}"))


async def form_of(agent: Agent, path: str) -> dict[str, str]:
    """The hidden fields of a form."""
    page = await agent.page(path)
    return dict(re.findall(r'<input type="hidden" name="(our_ref|revision)" value="([^"]+)">', page))


async def send(
    agent: Agent, path: str, values: Mapping[str, str], *, file: tuple[str, bytes, str] | None = None
) -> None:
    """Fill in a form as it is there, and send it."""
    form: dict[str, Any] = await form_of(agent, path) | {f"value.{key}": value for key, value in values.items()}
    await agent.post(path, form, file and ("value.header.file", *file))


async def on_phone(shop: Shop, text: str) -> dict[str, Any]:
    """The message with this text, as the phone shows it."""

    async def shown() -> dict[str, Any] | None:
        return next((each for each in await shop.phone.messages(CHAT) if each["text"] == text), None)

    return dict(await until(shown, f"the phone shows {text!r}"))


@pytest.mark.requirement("E10")
async def test_a_template_reaches_the_phone_where_a_text_may_not(shop: Shop, agent: Agent) -> None:
    talk = await talk_of(agent)
    page = await agent.page(talk)
    assert "Choose a template" in page
    assert "Closed" in page
    path = await offered(agent, talk, "order_ready", "Portuguese")
    await send(agent, path, {"body.1": "Marina", "body.2": "1042"})
    shown = await on_phone(shop, "Olá, Marina! Seu pedido 1042 está pronto para retirada.")
    assert shown["template"]["name"] == "order_ready"
    await shop.check()


async def test_every_part_of_a_template_arrives_as_it_was_previewed(shop: Shop, agent: Agent) -> None:
    talk = await talk_of(agent)
    values = {
        "header.1": "Marina",
        "body.1": "20 %",
        "body.2": "sábado",
        "button.2": "suculentas e maçãs",
        "button.3": "OUTONO20",
    }
    await send(agent, await offered(agent, talk, "autumn_offer"), values)
    named = {"body.first_name": "Marina", "body.order_number": "7", "body.delivery_day": "amanhã"}
    await send(agent, await offered(agent, talk, "delivery_window"), named)
    place = {"header.latitude": "-23.55", "header.longitude": "-46.63", "body.1": "Marina", "body.2": "15h"}
    await send(agent, await offered(agent, talk, "visit_us"), place)
    await send(agent, await offered(agent, talk, "login_code"), {"body.1": "123456"})
    picture = ("vaso.png", PNG, "image/png")
    await send(agent, await offered(agent, talk, "new_arrivals"), {"body.1": "jiboia", "body.2": "sexta"}, file=picture)
    lines = await shop.check()
    sent = {line["template"]["name"] for line in lines if line["kind"] == "message" and line["template"]}
    assert sent >= {"autumn_offer", "delivery_window", "visit_us", "login_code", "new_arrivals"}


async def test_a_pressed_button_comes_back_and_opens_the_window(shop: Shop, agent: Agent) -> None:
    talk = await agent.conversation("Beatriz")
    values = {"body.first_name": "Beatriz", "body.order_number": "8", "body.delivery_day": "hoje"}
    await send(agent, await offered(agent, talk, "delivery_window"), values)
    text = "Oi, Beatriz! Sua entrega 8 chega hoje entre 9h e 12h. Alguém pode receber?"

    async def arrived() -> str | None:
        return next((each["wamid"] for each in await shop.phone.messages() if each["text"] == text), None)

    await shop.tell("customer/press", message=await until(arrived, "the template is there"), index=0)
    await shop.check()
    page = unescape(await agent.page(talk))
    assert "Sim, alguém recebe" in page
    assert "You can write until" in page


async def test_a_template_that_meta_pauses_is_not_offered_until_it_is_resumed(shop: Shop, agent: Agent) -> None:
    talk = await talk_of(agent)
    await shop.tell("templates/pause", name="we_answer_now")
    path = await offered(agent, talk, "we_answer_now", "Paused")
    await next_second()
    await shop.tell("templates/resume", name="we_answer_now")

    async def is_ready() -> bool:
        return "Paused" not in (await choices(agent, talk, "we_answer_now"))[path]

    await until(is_ready, "it is offered again")
    await send(agent, path, {})
    await on_phone(shop, "Sorry for the wait. We can answer your question now.")
    await shop.check()


async def test_what_meta_changed_without_a_word_is_learned_from_its_refusal(shop: Shop, agent: Agent) -> None:
    """132000: the form is read anew. 132001: it is not offered any more. Nothing of either reaches the phone."""
    talk = await talk_of(agent)
    for name in ("notice_a", "notice_b"):
        body = {"type": "BODY", "text": "Aviso: {{1}}, obrigado.", "example": {"body_text": [["x"]]}}
        await shop.tell("templates/add", name=name, components=[body])
    changed, deleted = await offered(agent, talk, "notice_a"), await offered(agent, talk, "notice_b")
    await shop.tell("faults", template_webhooks_lost=True)
    await shop.tell("templates/components", name="notice_a", body="Aviso: {{1}}, {{2}}, obrigado.")
    await shop.tell("templates/delete", name="notice_b")
    await send(agent, changed, {"body.1": "fechado hoje"})
    await send(agent, deleted, {"body.1": "fechado hoje"})
    await offered(agent, talk, "notice_a", "Value 2")

    async def is_gone() -> bool:
        return not await choices(agent, talk, "notice_b")

    await until(is_gone, "the deleted one is not offered")
    page = unescape(await agent.page(talk))
    assert "The template wants another number of values." in page
    assert "The template does not exist in this language" in page
    for message_id in re.findall(r'hx-post="(/messages/\d+)/discard"', page):
        await agent.post(f"{message_id}/discard", {})
    await shop.tell("faults", template_webhooks_lost=False)
    assert not [each for each in await shop.phone.messages(CHAT) if (each["text"] or "").startswith("Aviso")]
    await shop.check()


async def test_a_copy_of_a_disabled_one_is_reviewed_and_sent(shop: Shop, agent: Agent) -> None:
    talk = await talk_of(agent)
    await offered(agent, talk, "old_newsletter", "Disabled")
    page = await agent.page("/inboxes/1/templates?q=old_newsletter")
    (copy,) = set(re.findall(r'href="(/inboxes/1/templates/\d+/copy)"', page))
    form = {"name": "newsletter_2", "language": "en_US", "category": "UTILITY", "body": "Our news are here for you."}
    await agent.post(copy, form)
    path = await offered(agent, talk, "newsletter_2")

    async def is_ready() -> bool:
        return "review" not in (await choices(agent, talk, "newsletter_2"))[path]

    await until(is_ready, "Meta has approved it")
    await send(agent, path, {})
    await on_phone(shop, "Our news are here for you.")
    await shop.check()
