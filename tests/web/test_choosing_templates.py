"""Choosing, filling in and sending a template, as plain pages: all of it works without scripts."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any, Final
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.templates import store
from coexist.templates.model import Told
from tests.support import templates as seeded
from tests.support.business import BSUID, WABA, conversation_of, echo, inbound
from tests.support.outbox import execute
from tests.support.templates import BODY, READY, asked, keep, listed, two_days_ago
from tests.web.conftest import Site

HIDDEN: Final = r'type="hidden" name="(\w+)" value="([^"]+)"'
NAMED: Final = {
    "type": "BODY",
    "text": "Olá {{first_name}}, até {{day}}.",
    "example": {
        "body_text_named_params": [
            {"param_name": "first_name", "example": "Ana"},
            {"param_name": "day", "example": "sexta"},
        ]
    },
}


async def talk(site: Site) -> str:
    """The path of the only conversation's templates."""
    return f"/conversations/{await conversation_of(site.pool)}/templates"


async def template_id(site: Site, name: str = READY) -> int:
    assert site.business is not None
    return next(each.id for each in await seeded.templates(site.business) if each.name == name)


async def open_form(site: Site, name: str = READY) -> tuple[str, str, dict[str, str]]:
    """The path of a template's form, its page, and the hidden fields in it."""
    path = f"{await talk(site)}/{await template_id(site, name)}"
    status, page = await site.get(path)
    assert status == 200
    return path, page, dict(re.findall(HIDDEN, page))


async def sent(site: Site) -> list[str]:
    """The texts of what was written here."""
    async with transaction(site.pool) as conn:
        cursor = await conn.execute("SELECT text FROM messages WHERE origin = 'api' ORDER BY id")
        return [row[0] for row in await cursor.fetchall()]


@pytest.fixture
async def closed(site: Site) -> Site:
    """A customer who last wrote two days ago, and a template that is ready."""
    assert site.business is not None
    await two_days_ago(site.business)
    await keep(site.business, listed())
    return site


@pytest.mark.requirement("E10")
@pytest.mark.parametrize("why", ["never", "expired", "refused", "open"])
async def test_the_composer_offers_templates_open_or_closed(site: Site, why: str) -> None:
    assert site.business is not None
    if why == "expired":
        await two_days_ago(site.business)
    else:
        await site.deliver(echo("wamid.A", "Bom dia") if why == "never" else inbound("wamid.A", "Bom dia"))
    if why == "refused":
        await execute(site.business, "UPDATE conversations SET window_refused_at = now() + interval '1 second'")
    path = await talk(site)
    _, page = await site.get(path.removesuffix("/templates"))
    offered = re.search(rf'<a id="choose-template" class="button (\w+)" href="{path}"', page)
    assert offered is not None
    assert offered[1] == ("quiet" if why == "open" else "main")
    assert ("Closed" in page) == (why != "open"), "the sentence why it is closed stays"


@pytest.mark.requirement("E10")
@pytest.mark.parametrize("state", ["removed", "token_invalid", "restricted"])
async def test_nothing_is_offered_where_nothing_can_be_sent(closed: Site, state: str) -> None:
    assert closed.business is not None
    await execute(closed.business, f"UPDATE inboxes SET state = '{state}'")
    path = await talk(closed)
    _, page = await closed.get(path.removesuffix("/templates"))
    assert "choose-template" not in page
    _, page = await closed.get(path)
    assert "nothing can be sent from here" in page
    assert 'class="pick"' not in page
    _, page, _ = await open_form(closed)
    assert 'class="button send"' not in page


async def test_what_is_sent_while_the_phone_is_away_is_said_to_wait(closed: Site) -> None:
    assert closed.business is not None
    await execute(closed.business, "UPDATE inboxes SET state = 'offboarded'")
    path, page, hidden = await open_form(closed)
    assert "what you send waits until it is back" in page
    answered = await closed.post(path, **hidden, **{"value.body.1": "Rui", "value.body.2": "1042"})
    assert answered.status == 303
    assert await sent(closed) == ["Olá Rui, o pedido 1042 está pronto."]


@pytest.mark.requirement("E10")
async def test_a_template_is_chosen_filled_in_and_sent_once(closed: Site) -> None:
    path, page, hidden = await open_form(closed)
    assert 'placeholder="Ana"' in page
    assert "o pedido" in page, "it stands there as it will be read"
    for _ in range(2):
        answered = await closed.post(path, **hidden, **{"value.body.1": "Rui", "value.body.2": "1042"})
        assert answered.status == 303
        assert answered.headers["Location"] == path.partition("/templates")[0]
    assert await sent(closed) == ["Olá Rui, o pedido 1042 está pronto."]
    _, page = await closed.get(path.partition("/templates")[0])
    assert ">template</span>" in page
    assert f'title="{READY}, Portuguese (PT)"' in page


async def test_what_does_not_fit_is_told_at_its_field_and_what_was_typed_stays(closed: Site) -> None:
    path, _, hidden = await open_form(closed)
    answered = await closed.http.post(
        closed.url + path,
        data=hidden | {"value.body.1": "Rui <b>Costa</b>", "value.body.2": " "},
        headers=closed.headers(Origin=closed.url),
    )
    page = await answered.text()
    assert answered.status == 422
    assert 'value="Rui &lt;b&gt;Costa&lt;/b&gt;"' in page
    assert re.search(r'id="value-2"[^>]*aria-invalid="true" aria-describedby="problem-2"', page)
    assert re.search(r'id="problem-2">Value 2 is missing\.<', page)
    assert "problem-1" not in page
    assert hidden["our_ref"] in page
    assert await sent(closed) == []


async def test_a_template_that_changed_meanwhile_is_shown_anew_with_what_was_typed(closed: Site) -> None:
    assert closed.business is not None
    path, _, hidden = await open_form(closed)
    await keep(closed.business, listed(components=[BODY | {"text": "Caro {{1}}, o nº {{2}} espera por si."}]),
               at=clock.now())  # fmt: skip
    values = {"value.body.1": "Rui", "value.body.2": "1042"}
    refused = await closed.http.post(closed.url + path, data=hidden | values, headers=closed.headers(Origin=closed.url))
    page = await refused.text()
    assert refused.status == 409
    assert "changed at WhatsApp since this was written" in page
    assert "Caro " in page
    assert 'value="1042"' in page
    again = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', page))
    assert (await closed.post(path, **again, **values)).status == 303
    assert await sent(closed) == ["Caro Rui, o nº 1042 espera por si."]


async def test_the_contacts_name_is_suggested_where_a_name_is_meant(closed: Site) -> None:
    assert closed.business is not None
    await execute(closed.business, "UPDATE contacts SET agent_name = 'Rui Costa'")
    await keep(closed.business, listed("hello", components=[NAMED], parameter_format="NAMED"))
    _, page, _ = await open_form(closed, "hello")
    assert re.search(r'name="value.body.first_name" value="Rui"', page)
    assert re.search(r'name="value.body.day" value=""', page)
    assert page.count("From the contact") == 1
    assert await sent(closed) == [], "it stands in the form, and nowhere else"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PAUSED", "WhatsApp has paused this template"), ("DISABLED", "disabled this template for good"),
        ("PENDING", "still reviewing"), ("REJECTED", "did not approve"), ("NEW_WORD", "now (NEW_WORD)"),
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_shown_with_why_and_sends_nothing(closed: Site, status: str, said: str) -> None:
    assert closed.business is not None
    await keep(closed.business, listed(status=status), at=clock.now())
    _, page = await closed.get(await talk(closed))
    assert "Not now" in page
    assert said in page
    path, page, hidden = await open_form(closed)
    assert said in page
    assert 'class="button send"' not in page
    assert (">Make a copy</a>" in page) == (status in ("DISABLED", "REJECTED"))
    refused = await closed.post(path, **hidden, **{"value.body.1": "Rui", "value.body.2": "1"})
    assert refused.status == 409
    assert await sent(closed) == []


async def test_metas_own_reason_stands_beside_why(closed: Site) -> None:
    key = (closed.member.account_id if closed.member else 0, WABA, READY, "pt_PT")
    async with transaction(closed.pool) as conn:
        await store.tell(conn, [Told(*key, "PAUSED", clock.now(), reason="Low quality for 3 hours")])
    _, page = await closed.get(await talk(closed))
    assert "WhatsApp says: Low quality for 3 hours. Use another" in page


@pytest.mark.parametrize(
    ("category", "set_up", "said"),
    [
        ("MARKETING", "UPDATE identities SET marketing_wish = 'stop', marketing_wish_at = now()", "stopped marketing"),
        ("MARKETING", "UPDATE identities SET marketing_rests_until = now() + interval '1 day'", "protect the person"),
        ("UTILITY", "UPDATE identities SET marketing_wish = 'stop', marketing_wish_at = now()", ""),
    ],
)
async def test_a_persons_wishes_decide_what_is_offered(closed: Site, category: str, set_up: str, said: str) -> None:
    assert closed.business is not None
    await keep(closed.business, listed(category=category), at=clock.now())
    await execute(closed.business, set_up)
    _, page = await closed.get(await talk(closed))
    assert ("Not now" in page) == bool(said)
    assert said in page


async def test_a_code_is_not_offered_for_a_hidden_number(site: Site) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Olá", phone=None, bsuid=BSUID))
    code = {"type": "BODY", "text": "O seu código é {{1}}."}
    await keep(site.business, listed("code", category="AUTHENTICATION", components=[code]))
    _, page = await site.get(await talk(site))
    assert "Not now" in page


async def test_the_ready_ones_come_first_and_a_search_finds_words_of_any_part(closed: Site) -> None:
    assert closed.business is not None
    others = [
        listed("a_paused_one", status="PAUSED"), listed(language="es", components=[BODY | {"text": "Hola {{1}}"}]),
        listed("thanks", components=[{"type": "BODY", "text": "Obrigado pela visita"}]), listed(),
    ]  # fmt: skip
    await keep(closed.business, *others, at=clock.now())
    path = await talk(closed)

    async def names(query: str = "") -> list[str]:
        return re.findall(r'class="pick-name">(\w+) ', (await closed.get(path + query))[1])

    assert await names() == [READY, "thanks", "a_paused_one"]
    assert await names("?q=VISITA+obrigado") == ["thanks"]
    assert await names("?q=order+ready+spanish") == [READY]
    assert await names("?q=%00+") == [READY, "thanks", "a_paused_one"]
    _, page = await closed.get(f"{path}?q=%3Cb%3Enothing")
    assert "No template has “<b>nothing” in it." in unescape(page)
    assert "&lt;b&gt;nothing" in page


async def test_what_the_number_was_written_with_last_comes_first(closed: Site) -> None:
    business = closed.business
    assert business is not None
    spanish = listed("visit", language="es", components=[BODY | {"text": "Hola {{1}}, {{2}}"}])
    await keep(business, listed("agreed"), listed("visit"), spanish, listed(), at=clock.now())
    path, ids = await talk(closed), {(each.name, each.language): each.id for each in await seeded.templates(business)}

    async def shown() -> list[int]:
        return [int(found) for found in re.findall(rf'class="pick" href="{path}/(\d+)"', (await closed.get(path))[1])]

    by_name = [ids["agreed", "pt_PT"], ids[READY, "pt_PT"], ids["visit", "es"], ids["visit", "pt_PT"]]

    async def write(name: str) -> None:
        place = f"{path}/{ids[name, 'pt_PT']}"
        hidden = dict(re.findall(HIDDEN, (await closed.get(place))[1]))
        await closed.post(place, **hidden, **{"value.body.1": "Rui", "value.body.2": "1042"})

    assert await shown() == by_name
    for name in ("visit", READY, READY, "visit"):
        await write(name)
    assert await shown() == [ids["visit", "pt_PT"], ids["visit", "es"], ids[READY, "pt_PT"], ids["agreed", "pt_PT"]]
    await execute(business, "UPDATE templates SET listed_status = 'PAUSED' WHERE id = %s", ids["visit", "pt_PT"])
    assert (await shown())[-1] == ids["visit", "pt_PT"], "what cannot be sent now stands below all the same"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (None, "being read for the first time"),
        ({}, "There are no templates in this WhatsApp account yet"),
        ({"was_listed": False, "problem": "Meta is down."}, "Meta did not tell which templates there are"),
    ],
)
async def test_an_empty_list_says_why_it_is_empty(site: Site, known: dict[str, Any] | None, said: str) -> None:
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Bom dia"))
    if known is not None:
        await asked(site.business, **known)
    _, page = await site.get(await talk(site))
    assert said in page
    assert ("business.facebook.com/latest/whatsapp_manager/message_templates" in page) == (known == {})
    assert ("Meta is down." in page) == bool(known)


async def test_meta_is_asked_again_by_whoever_answers(closed: Site) -> None:
    assert closed.member is not None
    assert closed.business is not None
    await asked(closed.business)
    async with transaction(closed.pool) as conn:
        given: dict[str, Any] = {"name": "Rita", "email": "rita@example.com", "role": Role.AGENT}
        agent = await people.add_user(conn, closed.member.account_id, **given)
    await closed.sign_in(agent)
    path, _, hidden = await open_form(closed)
    assert (await closed.post(path, **hidden, **{"value.body.1": "Rui", "value.body.2": "1"})).status == 303
    list_path = await talk(closed)
    assert "Ask Meta again" in (await closed.get(list_path))[1]
    assert (await closed.post(f"{list_path}/ask")).headers["Location"] == list_path
    async with transaction(closed.pool) as conn:
        known = await store.listing(conn, closed.member.account_id, WABA)
    assert known is not None
    assert known.next_at <= clock.now()
    assert "Meta is being asked…" in (await closed.get(list_path))[1]
    assert (await closed.get("/inboxes/1/templates/new"))[0] == 403
    await keep(closed.business, listed(status="DISABLED"), at=clock.now())
    _, page = await closed.get("/inboxes/1/templates")
    assert "New template" not in page
    assert "Make a copy</a>" not in page
    assert "An owner or admin makes a copy of it with other words" in page


async def test_nothing_of_another_account_can_be_reached(closed: Site, stranger: Member) -> None:
    assert closed.business is not None
    path, _, hidden = await open_form(closed)
    await keep(closed.business, listed("elsewhere"), waba_id="999")
    (other,) = await seeded.templates(closed.business, "999")
    talk_path = await talk(closed)
    assert (await closed.get(f"{talk_path}/{other.id}"))[0] == 404, "another WhatsApp account's"
    await closed.sign_in(stranger)
    for each in (talk_path, path, "/inboxes/1/templates", "/inboxes/1/templates/1/copy"):
        assert (await closed.get(each))[0] == 404, each
    assert (await closed.post(path, **hidden, **{"value.body.1": "x", "value.body.2": "y"})).status == 404
    assert await sent(closed) == []


async def test_the_form_of_what_was_not_sent_has_its_values_again(closed: Site) -> None:
    assert closed.business is not None
    conversation_id = await conversation_of(closed.pool)
    message_id = await seeded.write(closed.business, conversation_id, {"body.1": "Rui", "body.2": "10 42"})
    path = f"{await talk(closed)}?again={message_id}"
    _, page = await closed.get(path)
    assert f'<h2 id="picker-title" tabindex="-1">{READY}' in page
    assert 'value="10 42"' in page
    await keep(closed.business, at=clock.now() + timedelta(hours=1))
    _, page = await closed.get(path)
    assert "not in the WhatsApp account any more" in page
    assert "Choose a template" in (await closed.get(f"{await talk(closed)}?again=1"))[1], "a message that is none"


@pytest.mark.parametrize("fields", [{"our_ref": "no"}, {}])
async def test_a_form_that_is_not_whole_sends_nothing(closed: Site, fields: dict[str, str]) -> None:
    path = f"{await talk(closed)}/{await template_id(closed)}"
    values = {"value.body.1": "Rui", "value.body.2": "1", "our_ref": str(uuid4())} | fields
    assert (await closed.post(path, **values)).status in (409, 422)
    assert await sent(closed) == []
