"""Message templates by Graph: pages, creating and its review, what is refused, reading, editing, deleting."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.simulator.conftest import WABA, Clock, Receiver, StandIn, Start, until

Json = dict[str, Any]
TEMPLATES = f"{WABA}/message_templates"
HELLO = "900000000000000107"
BODY: Json = {"type": "BODY", "text": "Olá, {{1}}! Sua muda chegou ontem.", "example": {"body_text": [["Ana"]]}}


async def page(stand_in: StandIn, **query: str) -> Json:
    status, answer = await stand_in.graph("GET", TEMPLATES, None, **query)
    assert status == 200, answer
    return answer


async def create(stand_in: StandIn, **changed: Any) -> tuple[int, Json]:
    asked = {"name": "seedling_here", "language": "pt_BR", "category": "UTILITY", "components": [BODY], **changed}
    return await stand_in.graph("POST", TEMPLATES, asked)


def body(text: str) -> Json:
    return {"components": [{**BODY, "text": text}]}


async def the(stand_in: StandIn, template_id: str) -> Json:
    """A template as the world has it."""
    found = (await stand_in.get("/control/templates?deleted=1"))["templates"]
    (one,) = [one for one in found if one["id"] == template_id]
    return dict(one)


async def test_the_list_has_every_kind_and_ids_beyond_a_float(stand_in: StandIn) -> None:
    found = (await page(stand_in, limit="100", fields="id,name,status,language,components,rejected_reason"))["data"]
    assert all(isinstance(one["id"], str) and int(one["id"]) > 2**53 for one in found)
    assert {one["status"] for one in found} == {"APPROVED", "PAUSED", "REJECTED", "DISABLED"}
    assert {one["language"] for one in found if one["name"] == "order_ready"} == {"pt_BR", "en_US"}
    kinds = {part.get("format", part["type"]) for one in found for part in one["components"]}
    assert kinds >= {"TEXT", "IMAGE", "DOCUMENT", "LOCATION", "FOOTER", "BUTTONS", "CAROUSEL"}
    (refused,) = [one for one in found if one["status"] == "REJECTED"]
    assert refused["rejected_reason"] == "TAG_CONTENT_MISMATCH"


async def test_the_list_comes_in_pages(stand_in: StandIn) -> None:
    assert (await stand_in.control("templates/many", count=230))["count"] == 230
    assert len((await page(stand_in))["data"]) == 25
    seen: list[str] = []
    query = {"limit": "500", "fields": "id"}
    for size in (100, 100, 30):
        answer = await page(stand_in, **query)
        assert len(answer["data"]) == size
        seen += [one["id"] for one in answer["data"]]
        query["after"] = answer["paging"]["cursors"]["after"]
    assert "next" not in answer["paging"]
    assert len(set(seen)) == 230
    back = await page(stand_in, limit="100", fields="id", before=answer["paging"]["cursors"]["before"])
    assert [one["id"] for one in back["data"]] == seen[100:200]
    assert await page(stand_in, **query) == {"data": []}


async def test_the_next_address_works_as_it_is(stand_in: StandIn) -> None:
    told = (await page(stand_in, limit="10", fields="name", status="APPROVED"))["paging"]["next"]
    query = parse_qs(urlsplit(told).query)
    assert (query["limit"], query["fields"], query["status"]) == (["10"], ["name"], ["APPROVED"])
    async with stand_in.session.get(told) as answer:
        assert (await answer.json())["data"]
    assert (await stand_in.graph("GET", TEMPLATES, after="???"))[1]["error"]["code"] == 100
    assert (await stand_in.graph("GET", TEMPLATES, limit="0"))[1]["error"]["code"] == 100


async def test_filters_and_fields(stand_in: StandIn) -> None:
    (paused,) = (await page(stand_in, status="PAUSED", fields="name,quality_score,previous_category"))["data"]
    assert paused == {"id": paused["id"], "name": "spring_sale", "quality_score": {"score": "RED"}}
    assert len((await page(stand_in, name="order_ready"))["data"]) == 2
    assert (await page(stand_in, name="nothing")) == {"data": []}


@pytest.mark.parametrize(("review", "status"), [("approve", "APPROVED"), ("reject", "REJECTED")])
async def test_a_new_one_is_reviewed(stand_in: StandIn, receiver: Receiver, review: str, status: str) -> None:
    await stand_in.control("pace", review_ms=20)
    await stand_in.control("faults", review=review)
    code, made = await create(stand_in)
    assert (code, made["status"], made["category"]) == (200, "PENDING", "UTILITY")
    await until(lambda: bool(receiver.changes("message_template_status_update")))
    (told,) = receiver.changes("message_template_status_update")
    assert (told["event"], told["message_template_language"]) == (status, "pt_BR")
    assert told["message_template_id"] == int(made["id"]) > 2**53
    assert f'"message_template_id":{made["id"]},'.encode() in receiver.bodies[-1]
    assert ("rejection_info" in told) is (status == "REJECTED")
    _, node = await stand_in.graph("GET", made["id"], fields="status,rejected_reason")
    assert (node["status"], node["rejected_reason"]) == (status, told["reason"])


async def test_a_review_can_wait_and_goes_on_after_a_restart(start: Start, tmp_path: Path) -> None:
    stand_in = await start(state=tmp_path / "world")
    await stand_in.connect()
    await stand_in.control("faults", review="wait")
    await stand_in.control("pace", review_ms=0)
    _, made = await create(stand_in)
    await stand_in.control("templates/quality", name="hello_world", quality="RED")
    assert (await the(stand_in, made["id"]))["status"] == "PENDING"
    await stand_in.sim.close()
    again = await start(state=tmp_path / "world")
    kept = again.sim.world.templates
    assert (len(kept), kept[made["id"]].name, kept[HELLO].quality) == (15, "seedling_here", "RED")
    await until(lambda: kept[made["id"]].status == "APPROVED")


@pytest.mark.parametrize(
    ("changed", "subcode"),
    [
        ({"name": "hello_world", "language": "en_US"}, 2388024),
        (body("x" * 1_025), 2388040),
        ({"components": [BODY, {"type": "FOOTER", "text": "x" * 61}]}, 2388040),
        ({"components": [BODY, {"type": "HEADER", "format": "TEXT", "text": "{{1}} e {{2}}"}]}, 2388047),
        ({"components": [BODY, {"type": "HEADER", "format": "TEXT", "text": "*Oferta* 🌿"}]}, 2388047),
        (body("Olá, {{1}}! Sua {{3}} chegou ontem à loja."), 2388072),
        (body("Olá, {{1}} {{2}}! Sua muda chegou ontem à loja."), 2388072),
        (body("Olá, {{name}}! Sua muda chegou ontem à loja."), 2388072),
        ({"components": [BODY, {"type": "FOOTER", "text": "Para {{1}}"}]}, 2388073),
        (body("Oi {{1}} e {{2}} ok"), 2388293),
        (body("{{1}}, sua muda chegou ontem."), 2388299),
        (body("Sua muda chegou ontem, {{1}}."), 2388299),
        ({"components": [{"type": "BODY", "text": "Olá, {{1}}! Sua muda chegou ontem."}]}, 2388043),
        ({"components": [BODY, {"type": "HEADER", "format": "IMAGE"}]}, 2388043),
        ({"components": [BODY, {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "x" * 26}]}]}, 2388040),
        ({"components": [{"type": "FOOTER", "text": "Só isto"}]}, 2388043),
    ],
)
async def test_what_a_new_one_may_not_be(stand_in: StandIn, changed: Json, subcode: int) -> None:
    status, answer = await create(stand_in, **changed)
    error = answer["error"]
    assert (status, error["code"], error["error_subcode"]) == (400, 100, subcode)
    assert error["error_user_title"]
    assert error["error_user_msg"]
    await stand_in.control("faults", template_codes=True)
    error = (await create(stand_in, **changed))[1]["error"]
    assert error["code"] == subcode
    assert "error_subcode" not in error


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Not this"},
        {"language": "pt-BR"},
        {"category": "OTHER"},
        {"components": []},
        {"components": "BODY"},
        {"components": [BODY, BODY]},
        {"components": [BODY, {"type": "BUTTONS", "buttons": []}]},
    ],
)
async def test_what_is_invalid_in_a_new_one(stand_in: StandIn, changed: Json) -> None:
    status, answer = await create(stand_in, **changed)
    assert (status, answer["error"]["code"]) == (400, 100)
    assert "error_subcode" not in answer["error"]


async def test_other_languages_named_variables_and_codes_can_be_made(stand_in: StandIn) -> None:
    assert (await create(stand_in, name="hello_world"))[0] == 200
    named = {"type": "BODY", "text": "Olá, {{name}}! Sua muda chegou ontem."}
    named["example"] = {"body_text_named_params": [{"param_name": "name", "example": "Ana"}]}  # type: ignore[assignment]
    assert (await create(stand_in, name="named", parameter_format="NAMED", components=[named]))[0] == 200
    otp = [{"type": "BODY"}, {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]}]
    status, made = await create(stand_in, name="code", category="AUTHENTICATION", components=otp)
    assert status == 200
    button = (await the(stand_in, made["id"]))["components"][1]["buttons"][0]
    assert button["type"] == "URL"
    assert "{{1}}" in button["url"]


async def test_limits_and_any_error_by_dial(stand_in: StandIn) -> None:
    await stand_in.control("faults", template_limit=14)
    assert (await create(stand_in))[1]["error"]["error_subcode"] == 2388019
    dial = {"code": 2388047, "path": "/message_templates", "method": "POST"}
    await stand_in.control("faults", template_limit=15, graph_error=dial)
    assert (await page(stand_in))["data"]
    assert (await create(stand_in))[1]["error"]["error_subcode"] == 2388047
    assert (await create(stand_in))[0] == 200


async def test_reading_one_with_its_health(stand_in: StandIn) -> None:
    (paused,) = (await page(stand_in, status="PAUSED"))["data"]
    _, node = await stand_in.graph("GET", paused["id"], fields="name,health_status")
    health = node.pop("health_status")
    assert node == {"id": paused["id"], "name": "spring_sale"}
    assert health["can_send_message"] == "BLOCKED"
    assert [one["entity_type"] for one in health["entities"]] == ["MESSAGE_TEMPLATE", "WABA"]
    assert health["entities"][0]["errors"]
    _, well = await stand_in.graph("GET", HELLO, fields="health_status")
    assert well["health_status"]["can_send_message"] == "AVAILABLE"
    assert (await stand_in.graph("GET", "900000000000000999"))[1]["error"]["code"] == 33


async def test_editing_is_reviewed_again(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", review="wait")
    refused = "900000000000000112"
    changed = {"category": "MARKETING", "components": [{"type": "BODY", "text": "Temos novidades na loja."}]}
    assert await stand_in.graph("POST", refused, changed) == (200, {"success": True})
    now = await the(stand_in, refused)
    assert (now["status"], now["category"], now["components"]) == ("PENDING", "MARKETING", changed["components"])
    assert (await stand_in.graph("POST", refused, changed))[0] == 400, "it is under review"
    assert (await stand_in.graph("POST", "900000000000000101", changed))[0] == 400, "its category is approved"


async def test_deleting_one_language_or_all(start: Start, receiver: Receiver) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    await stand_in.connect()
    one = {"name": "order_ready", "hsm_id": "900000000000000104"}
    assert await stand_in.graph("DELETE", TEMPLATES, None, **one) == (200, {"success": True})
    assert [left["language"] for left in (await page(stand_in, name="order_ready"))["data"]] == ["pt_BR"]
    assert await stand_in.graph("DELETE", TEMPLATES, name="order_ready") == (200, {"success": True})
    assert await page(stand_in, name="order_ready") == {"data": []}
    assert (await stand_in.graph("DELETE", TEMPLATES, name="order_ready"))[1]["error"]["error_subcode"] == 2593002
    assert (await stand_in.graph("DELETE", TEMPLATES))[1]["error"]["code"] == 100
    assert (await stand_in.graph("GET", "900000000000000104"))[1]["error"]["code"] == 33
    await stand_in.settle()
    events = [
        (told["event"], told["message_template_id"]) for told in receiver.changes("message_template_status_update")
    ]
    assert events == [("DELETED", 900000000000000104), ("DELETED", 900000000000000101)]
    again = {"name": "order_ready", "components": [BODY]}
    assert (await create(stand_in, **again))[1]["error"]["error_subcode"] == 2388023
    clock.now += 31 * 86_400
    assert (await create(stand_in, **again))[0] == 200
