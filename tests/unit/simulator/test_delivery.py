"""Webhooks are signed over their bytes, retried whole, and go wrong only by dial."""

import json
from pathlib import Path

import pytest

from simulator import delivery, payloads
from simulator.world import Json, Message
from tests.unit.simulator.conftest import SECRET, Receiver, StandIn, Start, until


def wamids(receiver: Receiver) -> list[str]:
    return [item["id"] for value in receiver.changes("messages") for item in value.get("messages", ())]


async def write(stand_in: StandIn, count: int, chat: str = "joao-lima") -> list[str]:
    sent = [await stand_in.control("customer/send", chat=chat, text=f"Oi {number}") for number in range(count)]
    return [one["message"]["wamid"] for one in sent]


async def test_every_body_is_signed(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.sync("smb_app_state_sync")
    await write(stand_in, 2)
    await stand_in.settle()
    assert len(receiver.bodies) >= 4
    for body, given in zip(receiver.bodies, receiver.signatures, strict=True):
        assert given == payloads.signature(SECRET, body)
        assert body.isascii()


async def test_without_dials_webhooks_come_once_and_in_order(stand_in: StandIn, receiver: Receiver) -> None:
    sent = await write(stand_in, 20)
    await stand_in.settle()
    assert wamids(receiver) == sent


async def test_anything_but_200_is_posted_again_whole(stand_in: StandIn, receiver: Receiver) -> None:
    receiver.answers = [503, 201]
    sent = await write(stand_in, 1)
    await stand_in.settle()
    assert wamids(receiver) == sent * 3
    assert len(set(receiver.bodies)) == 1
    (shown,) = (await stand_in.get("/control/deliveries?n=1&bodies=1"))["deliveries"]
    assert [one["status"] for one in shown["attempts"]] == [503, 201, 200]
    assert shown["body"].encode() == receiver.bodies[0]


async def test_a_failing_webhook_holds_nobody_up(stand_in: StandIn, receiver: Receiver) -> None:
    receiver.refuses = "Oi 0"
    sent = await write(stand_in, 3)
    await until(lambda: set(sent) == set(wamids(receiver)))
    receiver.refuses = None
    await stand_in.settle()
    assert wamids(receiver)[-1] == sent[0], "it comes again, and came last"
    assert [wamids(receiver).count(each) for each in sent[1:]] == [1, 1]


async def test_a_receiver_that_is_away_loses_nothing(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    kept = tmp_path / "world.db"
    away = await start(state=kept, webhook_url="http://127.0.0.1:9/webhook")
    await away.connect()
    sent = await write(away, 3)
    await until(lambda: all(one.attempts for one in away.sim.deliveries.pending.values()))
    assert len(away.sim.deliveries.pending) == 3
    await away.sim.close()
    again = await start(state=kept)
    await again.settle()
    assert sorted(wamids(receiver)) == sorted(sent)


async def test_duplicates_and_drops(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", duplicate=1)
    sent = await write(stand_in, 2)
    await stand_in.settle()
    assert sorted(wamids(receiver)) == sorted(sent * 2)
    receiver.bodies.clear()
    await stand_in.control("faults", duplicate=0, drop_then_retry=1)
    sent = await write(stand_in, 2)
    await stand_in.settle()
    assert sorted(wamids(receiver)) == sorted(sent)
    newest = (await stand_in.get("/control/deliveries?n=1"))["deliveries"][0]
    assert [one["status"] for one in newest["attempts"]] == [0, 200]


async def test_reordering(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", reorder=1)
    sent = await write(stand_in, 12)
    await stand_in.settle()
    assert sorted(wamids(receiver)) == sorted(sent)
    assert wamids(receiver) != sent


async def test_merging_puts_many_entries_into_one_post(stand_in: StandIn, receiver: Receiver) -> None:
    receiver.answers = [503]
    await stand_in.control("faults", merge=4)
    await stand_in.sync("history")
    await stand_in.settle()
    assert max(len(json.loads(body)["entry"]) for body in receiver.bodies) == 4
    assert receiver.bodies[0] in receiver.bodies[1:], "what failed is posted again whole"
    told = {item["id"] for one in receiver.changes("history") for item in items(one)}
    assert told >= {one.wamid for one in stand_in.sim.world.messages.values() if one.told == "history"}


async def test_what_is_shown_no_more_is_merged_all_the_same(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "KEPT_COUNT", 2)
    stand_in = await start()
    await stand_in.connect()
    await stand_in.control("faults", merge=4)
    await stand_in.sync("history")
    await stand_in.settle()
    told = {item["id"] for one in receiver.changes("history") for item in items(one)}
    assert told >= {one.wamid for one in stand_in.sim.world.messages.values() if one.told == "history"}


def items(value: Json) -> list[Json]:
    return [item for part in value.get("history", ()) for thread in part["threads"] for item in thread["messages"]]


async def test_splitting_gives_every_thread_a_post(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", split=1)
    await stand_in.sync("history")
    await stand_in.settle()
    chunks = [value["history"][0] for value in receiver.changes("history") if "history" in value]
    assert all(len(chunk["threads"]) == 1 for chunk in chunks)
    told = {item["id"] for chunk in chunks for item in chunk["threads"][0]["messages"]}
    assert told >= {one.wamid for one in stand_in.sim.world.messages.values() if one.told == "history"}


async def test_a_stale_secret(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", stale_secret="the one before")
    receiver.answers = [401]
    sent = await write(stand_in, 1)
    await until(lambda: bool(receiver.bodies))
    assert receiver.signatures[0] == payloads.signature("the one before", receiver.bodies[0])
    await stand_in.control("faults", stale_secret=None)
    await stand_in.settle()
    assert set(wamids(receiver)) == set(sent)


async def test_details_before_their_chunk(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", placeholder_after_detail=True)
    await stand_in.sync("history")
    await stand_in.settle()
    seen: set[str] = set()
    details = 0
    for value in receiver.changes("history"):
        for item in value.get("messages", []) + value.get("message_echoes", []):
            assert item["id"] not in seen
            details += 1
        for thread in value.get("history", [{}])[0].get("threads", ()):
            seen |= {item["id"] for item in thread["messages"]}
    assert details


async def test_the_api_may_be_echoed(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", echo_api=True)
    await write(stand_in, 1)
    _, answer = await stand_in.send(to="+5511985500113", type="text", text={"body": "Olá"})
    await stand_in.settle()
    (value,) = receiver.changes("smb_message_echoes")
    assert value["message_echoes"][0]["id"] == answer["messages"][0]["id"]


async def test_a_declined_history_without_envelope(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("faults", declined_bare=True)
    await stand_in.control("share", share=False)
    await stand_in.sync("history")
    await stand_in.settle()
    (body,) = (json.loads(one) for one in receiver.bodies)
    assert body["history"][0]["errors"][0]["code"] == 2593109
    assert "entry" not in body


async def test_the_same_seed_tells_the_same_story(start: Start, receiver: Receiver) -> None:
    stories = []
    for _ in range(2):
        receiver.bodies.clear()
        stand_in = await start(started_at=1_795_000_000, clock=lambda: 1_795_000_000.0)
        await stand_in.connect()
        await stand_in.sync("smb_app_state_sync")
        await stand_in.sync("history")
        await write(stand_in, 2)
        await stand_in.settle()
        stories.append(list(receiver.bodies))
    assert stories[0] == stories[1]


async def test_a_field_that_is_not_ticked_is_lost(stand_in: StandIn, receiver: Receiver) -> None:
    stand_in.sim.world.app.fields.remove("smb_message_echoes")
    sent = await stand_in.control("owner/send", chat="joao-lima", text="Oi")
    assert sent["message"]["told"] is None
    assert receiver.bodies == []
    assert isinstance(stand_in.sim.world.messages[sent["message"]["wamid"]], Message)
