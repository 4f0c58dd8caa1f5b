"""The one-shot sync tells everything it may, once, in the documented shapes."""

import base64
from typing import Any

import pytest

from simulator import files, history
from simulator.config import DAY_S, HISTORY_DAYS, Business
from simulator.past import write_past
from simulator.world import App, Connection, World

BUSINESS = Business()
NOW = 1_795_000_000
Json = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> World:
    made = World(7, NOW, Connection(), App(None, "", []))
    write_past(made, 1_000)
    return made


@pytest.fixture(scope="module")
def chunks(world: World) -> list[history.Chunk]:
    return list(history.chunks(world, BUSINESS, NOW))


def threads(chunks: list[history.Chunk]) -> list[Json]:
    return [thread for one in chunks for thread in one.value["history"][0]["threads"]]


def items(chunks: list[history.Chunk]) -> list[Json]:
    return [item for thread in threads(chunks) for item in thread["messages"]]


def test_phases_chunk_order_and_progress(chunks: list[history.Chunk]) -> None:
    places = [one.value["history"][0]["metadata"] for one in chunks]
    assert {place["phase"] for place in places} == {0, 1, 2}
    for phase in range(3):
        orders = [place["chunk_order"] for place in places if place["phase"] == phase]
        assert orders == list(range(1, len(orders) + 1))
    progress = [place["progress"] for place in places]
    assert progress == sorted(progress)
    assert progress[-1] == 100


def test_phases_are_days(chunks: list[history.Chunk]) -> None:
    limits = {0: (0, 1), 1: (1, 90), 2: (90, 180)}
    for one in chunks:
        newest, oldest = limits[one.value["history"][0]["metadata"]["phase"]]
        for thread in one.value["history"][0]["threads"]:
            for item in thread["messages"]:
                assert newest * DAY_S <= NOW - int(item["timestamp"]) < oldest * DAY_S


def test_every_living_message_of_180_days_once(world: World, chunks: list[history.Chunk]) -> None:
    told = [item["id"] for item in items(chunks) if item["type"] != "reaction"]
    living = {
        one.wamid for one in world.messages.values() if not one.revoked_at and NOW - one.at < HISTORY_DAYS * DAY_S
    }
    assert len(told) == len(set(told))
    assert set(told) == living
    for one in world.messages.values():
        assert (one.told == "history") == (one.wamid in living)
        assert (one.not_told_why is None) == (one.wamid in living)


def test_a_thread_is_split_over_chunks(chunks: list[history.Chunk]) -> None:
    keys = [thread["context"]["user_id"] for thread in threads(chunks)]
    assert len(keys) > len(set(keys))


def test_direction_is_by_from(world: World, chunks: list[history.Chunk]) -> None:
    for item in items(chunks):
        if item["type"] == "reaction":
            continue
        inbound = world.messages[item["id"]].inbound
        assert (item.get("from") == BUSINESS.digits) is not inbound
        assert ("from_user_id" in item) is inbound


def test_edits_are_final_and_reactions_have_their_own_wamid(world: World, chunks: list[history.Chunk]) -> None:
    by_id = {item["id"]: item for item in items(chunks)}
    edited = [one for one in world.messages.values() if one.edits and one.told]
    assert edited
    assert all(by_id[one.wamid]["text"] == one.content for one in edited)
    reactions = [item for item in by_id.values() if item["type"] == "reaction"]
    assert reactions
    assert all(item["reaction"]["message_id"] in by_id for item in reactions)


def test_hidden_phones_have_threads_without_id(world: World, chunks: list[history.Chunk]) -> None:
    hidden = {one.bsuid for one in world.people.values() if one.phone_hidden}
    found = [thread for thread in threads(chunks) if thread["context"]["user_id"] in hidden]
    assert found
    assert all("id" not in thread and "wa_id" not in thread["context"] for thread in found)
    assert all("username" in thread["context"] for thread in found)


def test_media_are_placeholders_and_recent_ones_have_details(world: World, chunks: list[history.Chunk]) -> None:
    placeholders = {item["id"] for item in items(chunks) if item["type"] == "media_placeholder"}
    details = [value for one in chunks for value in one.details]
    recent = {wamid for wamid in placeholders if NOW - world.messages[wamid].at <= 14 * DAY_S}
    told: set[str] = set()
    for value in details:
        (array,) = {"messages", "message_echoes"} & set(value)
        (item,) = value[array]
        message = world.messages[item["id"]]
        assert (array == "messages") is message.inbound
        assert message.file
        assert item[message.type]["sha256"] == files.find(world, message.file).sha256, "hex in history"
        assert item[message.type]["id"] in world.handles
        told.add(item["id"])
    assert recent == told
    assert len(placeholders) > len(recent) > 0


def test_statuses_are_upper_case_words(chunks: list[history.Chunk]) -> None:
    words = {item["history_context"]["status"] for item in items(chunks)}
    assert words <= {"SENT", "DELIVERED", "READ", "PLAYED", "PENDING", "ERROR"}
    assert {"READ", "DELIVERED", "ERROR"} <= words


def test_the_number_may_be_written_in_its_other_form(world: World) -> None:
    found = list(history.chunks(world, BUSINESS, NOW, from_variant=True, missing_end=True))
    own = {item["from"] for item in items(found) if "from_user_id" not in item}
    assert own == {"551185500101"}
    assert found[-1].value["history"][0]["metadata"]["progress"] == 99


def test_declined() -> None:
    (part,) = history.declined_value(BUSINESS)["history"]
    assert part["errors"][0]["code"] == 2593109
    assert "threads" not in part


def test_the_address_book(world: World) -> None:
    entries = [entry for value in history.contact_values(world, BUSINESS) for entry in value["state_sync"]]
    assert len(entries) == sum(one.book_name is not None for one in world.people.values())
    assert all(entry["action"] == "add" for entry in entries)


def test_hashes_can_be_written_both_ways(world: World) -> None:
    file = files.find(world, "asset:quote.pdf")
    from simulator.payloads import sha256_base64

    assert base64.b64decode(sha256_base64(file)).hex() == file.sha256
