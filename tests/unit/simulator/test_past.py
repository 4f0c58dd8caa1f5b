"""The business and its 180 days come from one seed and hold what the platform must cope with."""

import re
from collections import Counter

import pytest

from simulator.config import DAY_S
from simulator.episodes import LANGUAGES, episodes
from simulator.past import write_past
from simulator.state import encoded
from simulator.world import App, Connection, World, phone_forms

STARTED_AT = 1_795_000_000


def world(seed: int = 7, count: int = 2_000, started_at: int = STARTED_AT) -> World:
    made = World(seed, started_at, Connection(), App(None, "", []))
    write_past(made, count)
    return made


def test_the_same_seed_gives_the_same_world() -> None:
    assert [encoded(one) for one in world().messages.values()] == [encoded(one) for one in world().messages.values()]


def test_another_seed_gives_another_world() -> None:
    assert [one.wamid for one in world(8).messages.values()] != [one.wamid for one in world().messages.values()]


def test_a_world_begun_later_gives_no_id_twice() -> None:
    assert not set(world(started_at=STARTED_AT + 1).messages) & set(world().messages)


def test_about_as_many_messages_as_asked() -> None:
    assert 1_900 <= len(world().messages) <= 2_100
    large = world(count=12_000)
    assert 11_000 <= len(large.messages) <= 13_000
    assert len(large.people) == 120


def test_chats_are_in_time_order_and_end_close_to_now() -> None:
    made = world()
    for key in made.people:
        times = [one.at for one in made.chat_messages(key)]
        assert times == sorted(times)
    newest = max(one.at for one in made.messages.values())
    assert 0 < STARTED_AT - newest < 600
    ages = [STARTED_AT - one.at for one in made.messages.values()]
    assert max(ages) > 180 * DAY_S, "something is too old to be shared"


def test_who_is_in_it() -> None:
    people = world().people
    assert len(people) == 30
    assert Counter(one.language for one in people.values()).keys() == set(LANGUAGES)
    forms = [one for one in people.values() if one.phone and one.book_phone and one.phone != one.book_phone]
    assert {one.phone[:3] for one in forms if one.phone} == {"551", "521", "549"}
    for one in forms:
        assert one.phone
        assert one.book_phone in phone_forms(one.phone)
    assert sum(one.phone_hidden for one in people.values()) >= 3
    assert any(one.book_name and one.book_name != one.profile_name for one in people.values())
    numbers = [one.phone for one in people.values() if one.phone]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"[A-Z]{2}\.\d{17}", one.bsuid) for one in people.values())


def test_every_kind_of_message_happened() -> None:
    messages = list(world().messages.values())
    assert {one.type for one in messages} == {
        "text", "image", "audio", "video", "document", "sticker", "location", "contacts", "order", "unsupported",
    }  # fmt: skip
    for wanted in ("edits", "revoked_at", "reactions", "reply_to", "forwarded", "unavailable"):
        assert any(getattr(one, wanted) for one in messages), wanted
    assert {"read", "delivered", "sent", "failed"} <= {one.status for one in messages}


def test_no_slot_is_left_open() -> None:
    for one in world().messages.values():
        assert not re.search(r"[{}]|<~|^\[", str(one.content.get("body", ""))), one.content


@pytest.mark.parametrize("name", [*LANGUAGES, "endings"])
def test_conversations_can_be_read(name: str) -> None:
    found = episodes(name)
    assert len({one.name for one in found}) == len(found)
    assert all(len(one.lines) >= 3 for one in found)


@pytest.mark.parametrize(
    ("digits", "other"),
    [("5511985500112", "551185500112"), ("5215555550131", "525555550131"), ("5491155500134", "541155500134")],
)
def test_national_forms(digits: str, other: str) -> None:
    assert phone_forms(digits) == phone_forms(other) == {digits, other}


def test_a_brazilian_landline_has_one_form() -> None:
    assert phone_forms("551132104410") == {"551132104410"}
