"""What happens to a template at Meta, by the control and by webhooks."""

from typing import Any

import pytest

from tests.unit.simulator.conftest import NUMBER, WABA, Clock, Receiver, StandIn, Start

Json = dict[str, Any]
HELLO = {"message_template_id": 900000000000000107, "message_template_name": "hello_world"}
STATUS, QUALITY = "message_template_status_update", "message_template_quality_update"
CATEGORY, COMPONENTS = "template_category_update", "message_template_components_update"


async def tell(stand_in: StandIn, receiver: Receiver, act: str, field: str = STATUS, **asked: Any) -> Json:
    """What a change of `hello_world` tells the webhook."""
    await stand_in.control(f"templates/{act}", name="hello_world", **asked)
    await stand_in.settle()
    told = receiver.changes(field)[-1]
    assert told.items() >= {**HELLO, "message_template_language": "en_US"}.items()
    return told


async def hello(stand_in: StandIn) -> Json:
    """The template as Graph's list tells it."""
    fields = "status,category,rejected_reason,quality_score,previous_category,correct_category,components"
    _, answer = await stand_in.graph("GET", f"{WABA}/message_templates", name="hello_world", fields=fields)
    return dict(answer["data"][0]) if answer["data"] else {}


async def sends(stand_in: StandIn) -> int:
    """The code with which sending it is refused; 0 when it is not."""
    named = {"name": "hello_world", "language": {"code": "en_US"}}
    _, answer = await stand_in.send(to="+5511985500113", type="template", template=named)
    return int(answer.get("error", {}).get("code", 0))


async def test_pauses_grow_until_it_is_disabled(stand_in: StandIn, receiver: Receiver) -> None:
    for title in ("FIRST_PAUSE", "SECOND_PAUSE"):
        told = await tell(stand_in, receiver, "pause")
        assert (told["event"], told["reason"], told["other_info"]["title"]) == ("PAUSED", "NONE", title)
        assert ((await hello(stand_in))["status"], await sends(stand_in)) == ("PAUSED", 132015)
        told = await tell(stand_in, receiver, "resume")
        assert (told["event"], told["other_info"]["title"]) == ("REINSTATED", "UNPAUSE")
        assert ((await hello(stand_in))["status"], await sends(stand_in)) == ("APPROVED", 0)
    told = await tell(stand_in, receiver, "pause")
    assert (told["event"], told["other_info"]["title"]) == ("DISABLED", "DISABLED")
    assert told["disable_info"]["disable_date"]
    assert ((await hello(stand_in))["status"], await sends(stand_in)) == ("DISABLED", 132016)
    assert (await tell(stand_in, receiver, "resume", event="APPROVED"))["event"] == "APPROVED"
    assert (await tell(stand_in, receiver, "pause", title="RATE_LIMITING_PAUSE"))["event"] == "PAUSED"


async def test_rejected_approved_disabled_deleted(stand_in: StandIn, receiver: Receiver) -> None:
    told = await tell(stand_in, receiver, "reject", reason="PROMOTIONAL")
    assert (told["event"], told["reason"], told["rejection_info"]["reason"]) == (
        "REJECTED",
        "PROMOTIONAL",
        "PROMOTIONAL",
    )
    assert ((await hello(stand_in))["rejected_reason"], await sends(stand_in)) == ("PROMOTIONAL", 132001)
    told = await tell(stand_in, receiver, "reject", info_beside=True)
    assert "rejection_info" not in told
    assert b'"rejection_info":{"reason":"INVALID_FORMAT"' in receiver.bodies[-1]
    assert (await tell(stand_in, receiver, "approve"))["reason"] == "NONE"
    assert ((await hello(stand_in))["rejected_reason"], await sends(stand_in)) == ("NONE", 0)
    assert (await tell(stand_in, receiver, "disable"))["event"] == "DISABLED"
    assert (await tell(stand_in, receiver, "delete"))["event"] == "DELETED"
    assert (await hello(stand_in), await sends(stand_in)) == ({}, 132001)
    assert "no such" in await stand_in.refused("templates/pause", name="hello_world")


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [("FLAGGED", "APPROVED", 0), ("ARCHIVED", "ARCHIVED", 132001), ("PENDING_DELETION", "PENDING_DELETION", 132001)],
)
async def test_any_other_event(stand_in: StandIn, receiver: Receiver, event: str, status: str, code: int) -> None:
    told = await tell(stand_in, receiver, "event", event=event, reason=None)
    assert (told["event"], told["reason"]) == (event, None)
    assert ((await hello(stand_in))["status"], await sends(stand_in)) == (status, code)


async def test_another_category(stand_in: StandIn, receiver: Receiver) -> None:
    told = await tell(stand_in, receiver, "category", CATEGORY, category="MARKETING", announce=True)
    assert (told["new_category"], told["correct_category"]) == ("UTILITY", "MARKETING")
    assert told["category_update_timestamp"] - stand_in.sim.now() in range(86_390, 86_401)
    shown = await hello(stand_in)
    assert (shown["category"], shown["correct_category"]) == ("UTILITY", "MARKETING")
    told = await tell(stand_in, receiver, "category", CATEGORY, category="MARKETING")
    assert (told["previous_category"], told["new_category"]) == ("UTILITY", "MARKETING")
    shown = await hello(stand_in)
    assert (shown["category"], shown["previous_category"]) == ("MARKETING", "UTILITY")
    assert "correct_category" not in shown


async def test_another_quality(stand_in: StandIn, receiver: Receiver) -> None:
    told = await tell(stand_in, receiver, "quality", QUALITY, quality="YELLOW")
    assert (told["previous_quality_score"], told["new_quality_score"]) == ("GREEN", "YELLOW")
    told = await tell(stand_in, receiver, "quality", STATUS, quality="RED", under_status=True)
    assert "event" not in told
    assert (await hello(stand_in))["quality_score"] == {"score": "RED"}
    await stand_in.control("faults", quality_under_status=True)
    assert (await tell(stand_in, receiver, "quality", STATUS, quality="GREEN"))["new_quality_score"] == "GREEN"


async def test_another_text(stand_in: StandIn, receiver: Receiver) -> None:
    told = await tell(stand_in, receiver, "components", COMPONENTS, body="Welcome back!")
    assert told["message_template_element"] == "Welcome back!"
    assert told["message_template_title"] == "Hello World"
    assert told["message_template_footer"]
    assert "message_template_buttons" not in told
    body = {"type": "BODY", "text": "Hi there!"}
    buttons = [{"type": "QUICK_REPLY", "text": "Hi"}, {"type": "URL", "text": "See", "url": "https://shop.example/"}]
    parts = [body, {"type": "BUTTONS", "buttons": buttons}]
    told = await tell(stand_in, receiver, "components", COMPONENTS, components=parts)
    assert "message_template_title" not in told
    see = {"type": "URL", "text": "See", "url": "https://shop.example/"}
    assert told["message_template_buttons"] == [
        {"message_template_button_type": "QUICK_REPLY", "message_template_button_text": "Hi"},
        {f"message_template_button_{name}": value for name, value in see.items()},
    ]
    assert (await hello(stand_in))["components"] == parts


async def test_one_made_in_metas_own_tools(stand_in: StandIn, receiver: Receiver) -> None:
    asked = {"language": "pt_BR", "components": [{"type": "BODY", "text": "Voltamos amanhã."}]}
    made = await stand_in.control("templates/add", name="back_soon", **asked)
    await stand_in.settle()
    (told,) = receiver.changes(STATUS)
    assert (told["event"], told["message_template_id"]) == ("APPROVED", int(made["id"]))
    assert "is a template" in await stand_in.refused("templates/add", name="back_soon", **asked)


async def test_languages_with_a_dash(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", dashed_languages=True)
    await stand_in.control("templates/pause", name="hello_world")
    await stand_in.settle()
    assert receiver.changes(STATUS)[0]["message_template_language"] == "en-US"
    _, answer = await stand_in.graph("GET", f"{WABA}/message_templates", name="hello_world")
    assert answer["data"][0]["language"] == "en_US"


async def test_the_list_lags(start: Start) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    await stand_in.connect()
    await stand_in.control("faults", template_lag_s=60)
    await stand_in.control("templates/pause", name="hello_world")
    await stand_in.control("templates/quality", name="hello_world", quality="RED")
    await stand_in.control("templates/delete", name="visit_us")
    await stand_in.control("templates/add", name="back_soon", components=[{"type": "BODY", "text": "Voltamos."}])

    async def names() -> dict[str, str]:
        _, answer = await stand_in.graph("GET", f"{WABA}/message_templates", limit="100")
        return {one["name"]: one["status"] for one in answer["data"]}

    was = await names()
    assert (was["hello_world"], "visit_us" in was, "back_soon" in was) == ("APPROVED", True, False)
    assert (await hello(stand_in))["quality_score"] == {"score": "GREEN"}
    assert await sends(stand_in) == 132015, "only the list lags"
    assert (await stand_in.graph("GET", "900000000000000107", fields="status"))[1]["status"] == "PAUSED"
    clock.now += 61
    now = await names()
    assert (now["hello_world"], "visit_us" in now, "back_soon" in now) == ("PAUSED", False, True)


async def test_changes_of_which_no_webhook_tells(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", template_webhooks_lost=True)
    await stand_in.control("templates/pause", name="hello_world")
    await stand_in.control("faults", template_webhooks_lost=False)
    await stand_in.control("templates/resume", name="hello_world")
    await stand_in.settle()
    assert [told["event"] for told in receiver.changes(STATUS)] == ["REINSTATED"]


@pytest.mark.parametrize(
    ("act", "asked", "words"),
    [
        ("pause", {}, "template is missing"),
        ("pause", {"name": "order_ready"}, "language is missing"),
        ("pause", {"template": "1"}, "no such"),
        ("pause", {"name": "hello_world", "title": "NAP"}, "title"),
        ("resume", {"name": "hello_world", "event": "NAP"}, "event"),
        ("event", {"name": "hello_world", "event": "NAP"}, "event"),
        ("reject", {"name": "hello_world", "reason": "NAP"}, "reason"),
        ("category", {"name": "hello_world", "category": "NAP"}, "category"),
        ("quality", {"name": "hello_world", "quality": "NAP"}, "quality"),
        ("components", {"name": "hello_world", "body": " "}, "text"),
        ("components", {"name": "hello_world", "components": "x"}, "list"),
        ("many", {"count": 0}, "count"),
    ],
)
async def test_what_cannot_be_done(stand_in: StandIn, act: str, asked: Json, words: str) -> None:
    assert words in await stand_in.refused(f"templates/{act}", **asked)


async def test_a_change_reaches_an_open_page_and_the_log(stand_in: StandIn) -> None:
    async with stand_in.session.get(f"{stand_in.url}/control/stream") as stream:
        await stream.content.readuntil(b"\n\n")
        await stand_in.control("templates/quality", name="hello_world", quality="RED")
        heard = b""
        while b"event: template" not in heard:
            heard += await stream.content.readuntil(b"\n\n")
    assert b'{"template": "900000000000000107"}' in heard
    (newest, *_) = (await stand_in.get("/control/deliveries?n=1"))["deliveries"]
    assert newest["summary"] == "hello_world: quality red"


async def test_without_a_subscription_nothing_is_told(start: Start, receiver: Receiver) -> None:
    stand_in = await start()
    stand_in.token = (await stand_in.control("onboard"))["token"]
    await stand_in.control("templates/pause", name="hello_world")
    await stand_in.settle()
    assert receiver.bodies == []
    assert (await stand_in.graph("GET", NUMBER))[0] == 200
