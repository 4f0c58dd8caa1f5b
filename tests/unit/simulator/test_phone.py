"""What is done on the phone and by customers, and how the platform hears of it."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.simulator.conftest import Clock, Receiver, StandIn, Start

Json = dict[str, Any]


async def last(stand_in: StandIn, chat: str) -> Json:
    found: Json = (await stand_in.get(f"/control/chats/{chat}"))["messages"][-1]
    return found


async def test_the_owner_types_edits_deletes_and_reacts(stand_in: StandIn, receiver: Receiver) -> None:
    wamid = (await stand_in.control("owner/send", chat="joao-lima", text="Oi"))["message"]["wamid"]
    await stand_in.control("owner/edit", message=wamid, text="Oi!")
    await stand_in.control("owner/react", message=wamid, emoji="👍")
    await stand_in.control("owner/react", message=wamid, emoji="")
    await stand_in.control("owner/delete", message=wamid)
    await stand_in.settle()
    items = [item for value in receiver.changes("smb_message_echoes") for item in value["message_echoes"]]
    assert [one["type"] for one in items] == ["text", "edit", "reaction", "reaction", "revoke"]
    assert len({one["id"] for one in items}) == 5
    assert items[1]["edit"]["original_message_id"] == items[4]["revoke"]["original_message_id"] == wamid
    shown = await last(stand_in, "joao-lima")
    assert shown["revoked_at"]
    assert shown["edits"][0]["content"] == {"body": "Oi"}
    assert shown["reactions"] == {}
    assert shown["told"] == "live"


async def test_the_customer_does_the_same(stand_in: StandIn, receiver: Receiver) -> None:
    wamid = (await stand_in.control("customer/send", chat="joao-lima", text="Oi"))["message"]["wamid"]
    await stand_in.control("customer/edit", message=wamid, text="Oi!")
    await stand_in.control("customer/react", message=wamid, emoji="👍")
    await stand_in.control("customer/delete", message=wamid)
    await stand_in.settle()
    values = receiver.changes("messages")
    assert [item["type"] for value in values for item in value["messages"]] == ["text", "edit", "reaction", "revoke"]
    assert all(value["contacts"][0]["profile"]["name"] == "João Lima" for value in values)


async def test_nobody_changes_what_the_other_wrote(stand_in: StandIn) -> None:
    theirs = (await stand_in.control("customer/send", chat="joao-lima", text="Oi"))["message"]["wamid"]
    ours = (await stand_in.control("owner/send", chat="joao-lima", text="Oi"))["message"]["wamid"]
    assert "only" in await stand_in.refused("owner/edit", message=theirs, text="x")
    assert await stand_in.refused("owner/delete", message=theirs)
    assert await stand_in.refused("customer/edit", message=ours, text="x")
    assert await stand_in.refused("customer/delete", message=ours)


async def test_the_owner_may_delete_what_the_platform_sent(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("customer/send", chat="joao-lima", text="Oi")
    _, answer = await stand_in.send(to="+5511985500113", type="text", text={"body": "Olá"})
    await stand_in.control("owner/delete", message=answer["messages"][0]["id"])
    await stand_in.settle()
    (value,) = receiver.changes("smb_message_echoes")
    assert value["message_echoes"][0]["type"] == "revoke"


async def test_edits_end_after_fifteen_minutes_and_deletes_after_two_days(start: Start) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    wamid = (await stand_in.control("owner/send", chat="joao-lima", text="Oi"))["message"]["wamid"]
    clock.now += 16 * 60
    assert "15 minutes" in await stand_in.refused("owner/edit", message=wamid, text="x")
    clock.now += 2 * 86_400
    assert "two days" in await stand_in.refused("owner/delete", message=wamid)


@pytest.mark.parametrize("media", ["photo", "voice", "video", "document", "sticker"])
async def test_samples_to_attach(stand_in: StandIn, receiver: Receiver, media: str) -> None:
    sent = (await stand_in.control("customer/send", chat="joao-lima", media=media))["message"]
    await stand_in.settle()
    (value,) = receiver.changes("messages")
    (item,) = value["messages"]
    assert item[item["type"]]["id"] == sent["media"]["media_id"]
    assert sent["media"]["told"]
    async with stand_in.session.get(stand_in.url + sent["media"]["url"], headers={"Range": "bytes=0-9"}) as answer:
        assert (answer.status, len(await answer.read())) == (206, 10)


@pytest.mark.parametrize("kind", ["location", "contacts", "order", "unsupported", "request_welcome"])
async def test_other_kinds(stand_in: StandIn, receiver: Receiver, kind: str) -> None:
    await stand_in.control("customer/send", chat="joao-lima", type=kind)
    await stand_in.settle()
    assert receiver.changes("messages")[0]["messages"][0]["type"] == kind


async def test_any_object_of_the_wire(stand_in: StandIn, receiver: Receiver) -> None:
    content = {"type": "button_reply", "button_reply": {"id": "1", "title": "Sim"}}
    await stand_in.control("customer/send", chat="joao-lima", type="interactive", content=content)
    await stand_in.control("raw", field="calls", value={"calls": []})
    await stand_in.settle()
    assert receiver.changes("messages")[0]["messages"][0]["interactive"] == content
    assert receiver.changes("calls") == [{"calls": []}]


@pytest.mark.parametrize("value", [{"messages": [{"id": 5, "type": {}}]}, {"history": []}, {"statuses": [None]}])
async def test_what_has_no_shape_is_posted_as_it_is(
    stand_in: StandIn, receiver: Receiver, value: dict[str, Any]
) -> None:
    await stand_in.control("raw", field="messages", value=value)
    await stand_in.settle()
    assert receiver.changes("messages") == [value]


async def test_an_unavailable_message_may_come_after_all(stand_in: StandIn, receiver: Receiver) -> None:
    sent = await stand_in.control("customer/send", chat="joao-lima", text="Vi o anúncio", unavailable=True)
    assert sent["message"]["told"] == "unavailable"
    await stand_in.control("customer/recover", message=sent["message"]["wamid"])
    await stand_in.settle()
    first, second = (value["messages"][0] for value in receiver.changes("messages"))
    assert first["id"] == second["id"]
    assert (first["type"], second["text"]["body"]) == ("unsupported", "Vi o anúncio")


async def test_the_address_book(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("contact/save", chat="luciana-prado", name="Luciana (vizinha)")
    await stand_in.control("contact/remove", chat="luciana-prado")
    await stand_in.settle()
    added, removed = (value["state_sync"][0] for value in receiver.changes("smb_app_state_sync"))
    assert (added["action"], added["contact"]["full_name"]) == ("add", "Luciana (vizinha)")
    assert removed["action"] == "remove"
    assert "full_name" not in removed["contact"]
    assert int(removed["metadata"]["timestamp"]) > int(added["metadata"]["timestamp"])


async def test_newcomers_and_changed_numbers(stand_in: StandIn, receiver: Receiver) -> None:
    made = await stand_in.control("new-customer", name="Zoé", username="zoe", hidden=True, text="Bonjour")
    assert made["contact"]["shown_phone"] is None
    before = stand_in.sim.person("joao-lima").bsuid
    await stand_in.control("customer/identity", chat="joao-lima", phone="5511985500199")
    await stand_in.settle()
    hello, moved = receiver.changes("messages")
    assert "from" not in hello["messages"][0]
    assert moved["messages"][0]["system"]["wa_id"] == "5511985500199"
    (update,) = receiver.changes("user_id_update")
    assert update["user_id_update"][0]["user_id"]["previous"] == before


async def test_before_connecting_nothing_is_told_and_the_history_tells_it_later(
    start: Start, receiver: Receiver
) -> None:
    stand_in = await start()
    sent = await stand_in.control("owner/send", chat="joao-lima", text="early")
    assert sent["message"]["told"] is None
    await stand_in.connect()
    await stand_in.sync("history")
    await stand_in.settle()
    assert (await last(stand_in, "joao-lima"))["told"] == "history"
    assert not receiver.changes("smb_message_echoes")


async def test_the_phone_survives_a_restart(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    kept = tmp_path / "world.db"
    first = await start(state=kept)
    await first.connect()
    wamid = (await first.control("owner/send", chat="joao-lima", text="keep me"))["message"]["wamid"]
    await first.settle()
    await first.sim.close()
    second = await start(state=kept)
    second.token = first.token
    again = await last(second, "joao-lima")
    assert (again["wamid"], again["text"]) == (wamid, "keep me")
    assert second.sim.world.started_at == first.sim.world.started_at
    assert len(second.sim.world.messages) == len(first.sim.world.messages)
    assert (await second.graph("GET", "701122334455667"))[0] == 200, "the token still works"
    await second.control("owner/send", chat="joao-lima", text="and on")
    assert (await last(second, "joao-lima"))["wamid"] != wamid


async def test_beginning_again_forgets(stand_in: StandIn) -> None:
    await stand_in.control("owner/send", chat="joao-lima", text="forget me")
    await stand_in.control("reset")
    assert (await last(stand_in, "joao-lima"))["text"] != "forget me"
    assert (await stand_in.get("/control/state"))["connection"]["state"] == "none"


async def test_mistakes_are_said_in_a_sentence(stand_in: StandIn) -> None:
    assert "no chat" in await stand_in.refused("owner/send", chat="nobody", text="x")
    assert "needs a text" in await stand_in.refused("owner/send", chat="joao-lima")
    assert "no dial" in await stand_in.refused("faults", nothing=1)
    assert "from 0 to 1" in await stand_in.refused("faults", duplicate=2)
    assert "no such control" in await stand_in.refused("nothing")
