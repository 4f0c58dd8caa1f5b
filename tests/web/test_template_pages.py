"""A number's page of templates, making one or a copy, and the file at a template's head: before a scripted Meta."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import expect

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.meta.answers import Quality
from coexist.templates import store
from tests.support import templates as seeded
from tests.support.business import NUMBER, WABA, conversation_of, inbound, open_business
from tests.support.scripted_graph import ScriptedGraph, error, scripted_graph
from tests.support.templates import BODY, READY, asked, keep, listed
from tests.web.conftest import OpenPage, Site, served

KEY: Final = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
"""The key of tests.support.intake, in base64."""
PAGE: Final = "/inboxes/1/templates"
TOO_LARGE: Final = bytes(5 * 1024 * 1024 + 1)
BUTTONS: Final = {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Sim"}]}
COPY: Final = {
    "name": "order_ready_2", "language": "pt_PT", "category": "UTILITY", "header": "", "footer": "",
    "body": "Caro {{1}}, o pedido {{2}} chegou.", "example.body.1": "Ana", "example.body.2": "7",
}  # fmt: skip


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedGraph]:
    async with scripted_graph() as (opened, _):
        yield opened


@pytest.fixture
async def site(pool: Pool, database_url: str, tmp_path: Path, scripted: ScriptedGraph) -> AsyncIterator[Site]:
    """One number before a Meta as scripted, its owner signed in; a customer has just written."""
    settings = {"COEXIST_GRAPH_URL": scripted.address, "COEXIST_SECRET_KEY": KEY}
    async with served(pool, database_url, tmp_path, **settings) as opened:
        opened.business = await open_business(pool)
        await opened.sign_in(opened.business.member)
        await opened.deliver(inbound("wamid.A", "Bom dia"))
        yield opened


async def seed(site: Site, *told: Any) -> None:
    assert site.business is not None
    await keep(site.business, *told)


async def of_name(site: Site, name: str = READY) -> int:
    assert site.business is not None
    return next(each.id for each in await seeded.templates(site.business) if each.name == name)


async def is_asked(site: Site) -> bool:
    assert site.member is not None
    async with transaction(site.pool) as conn:
        known = await store.listing(conn, site.member.account_id, WABA)
    return known is not None and known.next_at <= clock.now() + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("status", "word", "said"),
    [
        ("APPROVED", "Ready", ""), ("PAUSED", "Paused until WhatsApp resumes it", "Use another until it is resumed"),
        ("PENDING", "In review", "minutes as a rule"), ("REJECTED", "Not approved", "makes a copy of it"),
        ("DISABLED", "Disabled for good", "makes a copy of it"), ("ARCHIVED", "Archived", "Take it out of the archive"),
        ("SOME_NEW_WORD", "Some new word", "Choose another template."),
    ],
)  # fmt: skip
async def test_every_status_is_told_in_words_with_why_and_what_to_do(
    site: Site, status: str, word: str, said: str
) -> None:
    reason = "INCORRECT_CATEGORY" if status == "REJECTED" else None
    await seed(site, listed(status=status, quality_score=Quality("YELLOW"), rejected_reason=reason))
    _, page = await site.get(PAGE)
    assert f" {word}</span>" in page
    assert said in page
    assert "Portuguese (PT) · Utility · quality medium" in page
    assert ("WhatsApp says: incorrect category." in page) == (status == "REJECTED")
    assert (page.count("Make a copy</a>"), f'{PAGE}/{await of_name(site)}/copy"' in page) == (1, True)


async def test_many_templates_are_searched_and_told_apart_by_status(site: Site) -> None:
    await seed(site, *[listed(f"number_{n}") for n in range(9)], listed("one_paused", status="PAUSED"))
    _, page = await site.get(PAGE)
    assert "Paused until WhatsApp resumes it (1)" in page
    for query, names in (("?status=PAUSED", ["one_paused"]), ("?q=number+3", ["number_3"]), ("?q=zzz", [])):
        _, page = await site.get(PAGE + query)
        assert re.findall(r"<h2>(\w+)</h2>", page) == names
    assert "No template fits." in page


@pytest.mark.parametrize("state", ["connected", "removed"])
async def test_meta_is_asked_again_from_the_page_where_it_can_be(site: Site, state: str) -> None:
    assert site.business is not None
    await seed(site, listed())
    async with transaction(site.pool) as conn:
        await store.doubt(conn, [(site.business.member.account_id, WABA)], clock.now() + timedelta(hours=5))
        await conn.execute("UPDATE template_lists SET listed_at = now() - interval '1 hour', problem = 'Meta is down.'")
        await conn.execute("UPDATE inboxes SET state = %s", (state,))
    _, page = await site.get(PAGE)
    assert "Meta did not answer when it was asked for the templates: Meta is down." in page
    if state == "removed":
        assert "Ask Meta again" not in page
        assert "New template" not in page
        return
    assert "Ask Meta again" in page
    assert (await site.post(f"{PAGE}/ask")).headers["Location"] == PAGE
    assert await is_asked(site)


async def test_the_page_follows_what_meta_tells(site: Site, open_page: OpenPage) -> None:
    assert site.business is not None
    await seed(site, listed())
    await asked(site.business)
    page = await open_page(PAGE)
    await expect(page.locator(".template-card .chip")).to_contain_text("Ready")
    await page.get_by_text("Show its text").click()
    await expect(page.locator(".reading .bubble")).to_have_text("Olá Ana, o pedido 7 está pronto.")
    value = {
        "event": "DISABLED", "message_template_id": 9007199254740993, "message_template_name": READY,
        "message_template_language": "pt_PT", "reason": "NONE",
    }  # fmt: skip
    await site.deliver({"field": "message_template_status_update", "value": value})
    await expect(page.locator(".template-card .chip")).to_contain_text("Disabled for good")
    await expect(page.locator(".reading .bubble")).to_be_visible()


async def test_a_copy_begins_with_what_the_original_says_and_is_made_once_it_is_right(
    site: Site, scripted: ScriptedGraph
) -> None:
    await seed(site, listed(status="DISABLED", components=[BODY, BUTTONS]))
    path = f"{PAGE}/{await of_name(site)}/copy"
    _, page = await site.get(path)
    assert 'name="name" value="order_ready_2"' in page
    assert "Olá {{1}}, o pedido {{2}} está pronto." in page
    assert 'name="example.body.2" value="7"' in page
    scripted.answers.append(web.json_response({"id": "1", "status": "PENDING", "category": "UTILITY"}))
    made = await site.post(path, **COPY)
    assert made.headers["Location"] == f"{PAGE}?made=order_ready_2"
    (request,) = scripted.of("/message_templates")
    assert request.body["components"][-1] == BUTTONS
    assert "was given to WhatsApp" in (await site.get(made.headers["Location"]))[1]
    assert await is_asked(site)


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ({"name": "Order Ready"}, "name", "Small letters a to z"), ({"category": ""}, "category", "Utility or market"),
        ({"body": "{{1}} chegou"}, "body", "words before the first place"), ({"language": "?"}, "language", "pt_PT"),
        ({"example.body.2": " "}, "body.2", "WhatsApp wants an example for {{2}}."),
        ({"footer": "x" * 61}, "footer", "1 character too long"), ({"header": "a\nb"}, "header", "one line"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_new_one_stands_at_its_field(
    site: Site, scripted: ScriptedGraph, changed: dict[str, str], key: str, said: str
) -> None:
    typed = COPY | changed
    headers = site.headers(Origin=site.url)
    async with site.http.post(f"{site.url}{PAGE}/new", data=typed, headers=headers) as refused:
        page = await refused.text()
    assert refused.status == 422
    place = f"problem-{re.escape(key)}"
    told = re.search(rf'aria-describedby="{place}".*?id="{place}">([^<]+)<', page, re.DOTALL)
    assert told is not None
    assert said in told[1]
    (first,) = re.findall(r'aria-describedby="problem-([^"]+)" autofocus', page)
    assert first == key, "there the keyboard is"
    assert typed["body"] in page, "what was typed is still there"
    assert scripted.asked == []


async def test_what_meta_refuses_stands_at_its_field_or_above(site: Site, scripted: ScriptedGraph) -> None:
    headers = site.headers(Origin=site.url)
    for code, said in ((2388024, 'id="problem-name"'), (2388019, "as many templates")):
        scripted.answers.append(error(code))
        async with site.http.post(f"{site.url}{PAGE}/new", data=COPY, headers=headers) as refused:
            page = await refused.text()
            assert refused.status >= 400
        assert said in page
        assert 'value="order_ready_2"' in page
        assert 'role="alert"' in page


async def test_a_place_asks_for_its_example_as_soon_as_it_is_written(site: Site, open_page: OpenPage) -> None:
    page = await open_page(f"{PAGE}/new")
    examples = page.locator(".examples input")
    await expect(page.locator(".examples")).to_be_hidden()
    await page.locator("[name=body]").fill("Olá {{first_name}}, até {{day}}.")
    await expect(examples).to_have_count(2)
    await page.locator("[name='example.body.day']").fill("sexta")
    await page.locator("[name=body]").fill("Até {{day}}!")
    await expect(examples).to_have_count(1)
    await expect(examples).to_have_value("sexta")
    await page.locator("[name=name]").fill("see_you")
    await page.get_by_role("button", name="Give it to WhatsApp").click()
    await expect(page.locator("#problem-category")).to_be_visible()
    await expect(examples).to_have_value("sexta")


async def test_what_cannot_be_copied_says_so(site: Site) -> None:
    picture = {"type": "HEADER", "format": "IMAGE"}
    await seed(site, listed(status="DISABLED", components=[picture, BODY]))
    _, page = await site.get(PAGE)
    assert "Its image cannot be taken along from here" in page
    assert "Make a copy</a>" not in page
    assert (await site.get(f"{PAGE}/{await of_name(site)}/copy"))[0] == 409


async def form_with_a_file(site: Site, kind: str = "IMAGE") -> tuple[str, dict[str, str]]:
    """The path of a form whose template has a file at its head, and what a person has filled in besides."""
    await seed(site, listed(components=[{"type": "HEADER", "format": kind}, BODY]))
    path = f"/conversations/{await conversation_of(site.pool)}/templates/{await of_name(site)}"
    _, page = await site.get(path)
    assert 'type="file" name="value.header.file" accept="' in page
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', page))
    return path, hidden | {"value.body.1": "Rui", "value.body.2": "7"}


async def post_file(
    site: Site, path: str, values: dict[str, str], file: bytes | None, mime_type: str = "image/png"
) -> tuple[int, str]:
    form = aiohttp.FormData(values)
    name = "" if file is None else "offer.png"
    form.add_field("value.header.file", io.BytesIO(file or b""), filename=name, content_type=mime_type)
    headers = site.headers(Origin=site.url)
    async with site.http.post(site.url + path, data=form, headers=headers, allow_redirects=False) as answered:
        return answered.status, await answered.text()


@pytest.mark.parametrize("size", [70, 2_000_000])
async def test_the_file_of_a_head_is_given_to_meta_and_goes_out(site: Site, scripted: ScriptedGraph, size: int) -> None:
    path, values = await form_with_a_file(site)
    scripted.answers.append(web.json_response({"id": "808"}, status=200))
    content = b"\x89PNG" * (size // 4)
    assert (await post_file(site, path, values, content))[0] == 303
    (given,) = scripted.of(f"/{NUMBER}/media")
    assert given.body["file"] == content
    async with transaction(site.pool) as conn:
        row = await (await conn.execute("SELECT payload -> 'template' -> 'components' -> 0 FROM outbox")).fetchone()
    assert row is not None
    assert row[0]["parameters"] == [{"type": "image", "image": {"id": "808"}}]
    _, page = await site.get(path.partition("/templates")[0])
    assert "offer.png" in page


@pytest.mark.parametrize(
    ("file", "mime_type", "said"),
    [
        (None, "application/octet-stream", "Image is missing."), (b"x", "image/gif", "takes a JPEG or PNG picture"),
        (TOO_LARGE, "image/png", "5 MB here at most"), (b"", "image/png", "This file is empty."),
    ],
)  # fmt: skip
async def test_a_file_that_does_not_fit_is_told_at_its_field(
    site: Site, scripted: ScriptedGraph, file: bytes | None, mime_type: str, said: str
) -> None:
    path, values = await form_with_a_file(site)
    status, page = await post_file(site, path, values, file, mime_type)
    assert status == 422
    told = re.search(r'id="problem-1">([^<]+)<', page)
    assert told is not None
    assert said in told[1]
    assert 'value="Rui"' in page
    assert scripted.asked == []


async def test_meta_gets_no_file_before_the_rest_is_right(site: Site, scripted: ScriptedGraph) -> None:
    path, values = await form_with_a_file(site)
    status, page = await post_file(site, path, values | {"value.body.2": ""}, b"\x89PNG")
    assert status == 422
    assert "Value 2 is missing." in page
    assert scripted.asked == []
    scripted.answers.append(error(131053))
    status, page = await post_file(site, path, values, b"\x89PNG")
    assert status == 502
    assert 'role="alert"' in page
    assert 'value="Rui"' in page


async def test_a_file_stays_chosen_while_the_rest_is_mended(
    site: Site, scripted: ScriptedGraph, open_page: OpenPage
) -> None:
    path, _ = await form_with_a_file(site)
    page = await open_page(path.partition("/templates")[0])
    await page.locator("#choose-template").click()
    await page.locator("#picker .pick").click()
    await page.locator("#picker input[type=file]").set_input_files(
        {"name": "offer.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
    )
    await expect(page.locator("#picker [data-file]")).to_have_text("offer.png")
    await page.locator("#picker .send").click()
    await expect(page.locator("#picker .wrong")).to_have_count(2)
    await expect(page.locator("#picker [data-file]")).to_have_text("offer.png")
    await page.locator("[name='value.body.1']").fill("Rui")
    await page.locator("[name='value.body.2']").fill("7")
    scripted.answers.append(web.json_response({"id": "808"}))
    await page.locator("#picker .send").click()
    await expect(page.locator(".from-api .bubble")).to_contain_text("offer.png")
