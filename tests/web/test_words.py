"""Times in the viewer's zone, numbers, sizes, and the composer's and history's sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coexist.coexistence.model import SyncState
from coexist.inbox.model import Conversation
from coexist.inbox.window import Why, window_of
from coexist.web import words
from coexist.web.composer import composer_of
from coexist.web.history import REASONS, beginning_of
from coexist.web.inboxes import SYNC_WORDS
from coexist.web.strip import Strip

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)  # 12:00 in São Paulo


@pytest.mark.parametrize(
    ("at", "brief", "moment"),
    [
        (NOW, "12:00", "12:00"),
        (NOW - timedelta(hours=12), "00:00", "00:00"),
        (NOW - timedelta(hours=12, minutes=1), "Yesterday", "yesterday 23:59"),
        (NOW - timedelta(days=3), "Tuesday", "Tuesday 12:00"),
        (NOW - timedelta(days=6), "Saturday", "Saturday 12:00"),
        (NOW - timedelta(days=7), "13 Nov", "13 Nov 12:00"),
        (NOW - timedelta(days=400), "16 Oct 2025", "16 Oct 2025 12:00"),
        (NOW + timedelta(hours=23), "21 Nov", "tomorrow 11:00"),
    ],
)
def test_times_are_said_as_people_do(at: datetime, brief: str, moment: str) -> None:
    assert words.brief(at, SAO_PAULO, NOW) == brief
    assert words.moment(at, SAO_PAULO, NOW) == moment


def test_the_full_time_names_the_zone() -> None:
    assert words.full(NOW, SAO_PAULO) == "Friday 20 Nov 2026, 12:00:00 (America/Sao_Paulo)"


@pytest.mark.parametrize("name", [None, "", "Nowhere/Land", "../etc/passwd", "x" * 1000, "\0", "America"])
def test_a_wrong_zone_falls_back(name: str | None) -> None:
    assert words.zone_of(name, "Europe/Lisbon") == ZoneInfo("Europe/Lisbon")
    assert words.zone_of(name, "nonsense") is UTC


def test_numbers_sizes_and_initials() -> None:
    assert words.phone("351910559111") == "+351 910 559 111"
    assert words.phone("12") == "+12"
    assert words.contact_name("+447700900123") == "+44 7700 900123"
    assert words.contact_name("") == "Unknown"
    assert [words.size(n) for n in (None, 12, 340_000, 1_240_000)] == ["", "12 bytes", "340 KB", "1.2 MB"]
    assert [words.capped(n, 1000) for n in (12, 999, 1000)] == ["12", "999", "999+"]
    named = ["Marina Souza", "Ana", "@verde.lar", "+55 19", "Ana (loja) Lima", "", "🌵", "سارة يوسف"]
    assert [words.initials(name) for name in named] == ["MS", "AN", "@v", "+5", "AL", "?", "🌵", "سي"]


def test_the_times_of_a_check_are_the_viewers() -> None:
    said = (
        "Asked at 2026-11-20 03:37 UTC, request id 2026-11. Before 2026-11-21 03:37 UTC. Last at 2026-11-19 03:37 UTC."
    )
    there = words.told_there(said, ZoneInfo("America/Sao_Paulo"), datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert there == "Asked at 00:37, request id 2026-11. Before tomorrow 00:37. Last yesterday 00:37."


def conversation(**given: Any) -> Conversation:
    values: dict[str, Any] = dict.fromkeys(Conversation.__slots__)
    values |= {"id": 1, "name": "Marina", "inbox_state": "connected", "is_coexistence": True, "draft": "",
               "onboarded_at": NOW - timedelta(days=2), "window_message_id": 5, "inbox_standing_codes": []}  # fmt: skip
    return Conversation(**(values | given))


@pytest.mark.requirement("E10")
@pytest.mark.parametrize(
    ("age", "is_open", "said"),
    [
        (timedelta(hours=1), True, "You can write until tomorrow 11:00"),
        (timedelta(hours=24), False, "Closed since 12:00: it opens with their next message."),
        (timedelta(hours=30), False, "Closed since 06:00: it opens with their next message."),
        (None, False, "Closed: it opens with a new message of Marina."),
    ],
)
def test_the_composer_says_until_when_or_why_not(age: timedelta | None, is_open: bool, said: str) -> None:
    opened_at = None if age is None else NOW - age
    composer = composer_of(conversation(), window_of(opened_at, NOW), SAO_PAULO, NOW)
    assert composer.is_open is is_open
    assert composer.said.startswith(said)
    assert composer.why
    assert (composer.opened_by is None) is (age is None)
    assert ("On the phone you can always answer." in composer.said) is not is_open


@pytest.mark.requirement("G3")
def test_a_number_that_is_off_keeps_the_draft_and_says_why() -> None:
    window = window_of(NOW, NOW)
    removed = composer_of(
        conversation(inbox_state="removed", inbox_state_reason="CHANGE_NUMBER", draft="Oi"), window, UTC, NOW
    )
    assert not removed.is_open
    assert removed.draft == "Oi"
    assert removed.why == "WhatsApp's reason: the phone changed its number."
    moved = composer_of(conversation(inbox_state="removed", inbox_state_reason="MOVED_AWAY"), window, UTC, NOW)
    assert (moved.said.startswith("This number is another account's now."), moved.why) == (True, "")
    waiting = composer_of(conversation(inbox_state="offboarded", draft="Oi"), window, UTC, NOW)
    assert waiting.is_open, "what is sent waits in the outbox"
    assert "waits until it is back" in waiting.said


@pytest.mark.requirement("D7", "E9")
def test_the_window_is_24_hours_of_what_came_live() -> None:
    assert window_of(None, NOW).why is Why.NEVER
    open_ = window_of(NOW - timedelta(hours=23, minutes=59), NOW)
    assert (open_.is_open, open_.expires_at) == (True, NOW + timedelta(minutes=1))
    assert window_of(NOW - timedelta(hours=24), NOW).why is Why.EXPIRED


@pytest.mark.requirement("B4")
def test_every_state_of_a_sync_has_its_own_words() -> None:
    assert set(REASONS) == set(SYNC_WORDS) == set(SyncState)
    assert len({word for _, word in SYNC_WORDS.values()}) == len(SyncState)
    for state in SyncState:
        line = beginning_of(conversation(), Strip(1, state, [], 0), UTC)
        assert line.said.startswith("The beginning. Connected on 18 Nov 2026. ")
        assert line.is_moving is (state in ("requesting", "requested", "receiving"))
    assert "180" not in beginning_of(conversation(), None, UTC).said
