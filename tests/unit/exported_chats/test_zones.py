"""From the phone's clock to the world's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.base.errors import Invalid
from coexist.exported_chats.zones import Pair, instant, names, propose, zone
from tests.support.exported import clock

LISBON = ZoneInfo("Europe/Lisbon")


def pairs_in(name: str, *times: datetime) -> list[Pair]:
    return [Pair(at.astimezone(ZoneInfo(name)).replace(tzinfo=None), at) for at in times]


WINTER = datetime(2026, 1, 10, 12, tzinfo=UTC)
SUMMER = datetime(2026, 7, 10, 12, tzinfo=UTC)


def test_the_zone_that_explains_all_known_times_is_proposed() -> None:
    found = propose(pairs_in("America/Sao_Paulo", WINTER, SUMMER), ["Europe/Lisbon"])
    assert (SUMMER.astimezone(ZoneInfo(found.name)).utcoffset(), found.agreeing_count) == (timedelta(hours=-3), 2)
    assert found.is_proven


def test_of_equal_zones_the_own_one_is_proposed() -> None:
    assert propose(pairs_in("Europe/London", WINTER, SUMMER), ["Europe/Lisbon"]).name == "Europe/Lisbon"
    assert propose(pairs_in("Asia/Kolkata", WINTER), ["Europe/Lisbon", "Asia/Kolkata"]).name == "Asia/Kolkata"


def test_without_evidence_the_own_zone_is_proposed_and_not_called_proven() -> None:
    found = propose([], ["Europe/Lisbon"])
    assert (found.name, found.is_proven) == ("Europe/Lisbon", False)
    far = [Pair(clock(2020, 1, 1), WINTER)]
    assert not propose(far, ["Europe/Lisbon"]).is_proven, "the same words years apart say nothing"


def test_a_minority_of_wrong_pairs_changes_nothing() -> None:
    times = [WINTER + timedelta(days=n) for n in range(20)]
    wrong = [Pair(at.replace(tzinfo=None) + timedelta(hours=7), at) for at in times[:5]]
    found = propose(pairs_in("Europe/Berlin", *times) + wrong, ["UTC"])
    assert WINTER.astimezone(ZoneInfo(found.name)).utcoffset() == timedelta(hours=1)
    assert (found.agreeing_count, found.pair_count) == (20, 25)


def test_an_hour_that_never_was() -> None:
    """On 29 March 2026 Lisbon's clocks went from 01:00 to 02:00."""
    assert instant(clock(2026, 3, 29, 1, 30), LISBON, None).at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert instant(clock(2026, 3, 29, 2, 30), LISBON, None).at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_an_hour_that_came_twice_is_told_apart_by_the_order() -> None:
    """On 25 October 2026 Lisbon's clocks went from 02:00 back to 01:00."""
    previous, found = None, []
    for minute in (10, 50, 20, 55):
        at, _ = instant(clock(2026, 10, 25, 1, minute), LISBON, previous)
        previous = at
        found.append(at.strftime("%H:%M"))
    assert found == ["00:10", "00:50", "01:20", "01:55"]


def test_what_the_order_does_not_tell_has_another_reading() -> None:
    found = instant(clock(2026, 10, 25, 1, 30), LISBON, None)
    assert found.other == found.at + timedelta(hours=1)
    assert instant(clock(2026, 10, 25, 3, 30), LISBON, None).other is None


@given(at=st.datetimes(clock(2015, 1, 1), clock(2030, 1, 1)), name=st.sampled_from(list(names())))
def test_every_instant_is_one_of_its_readings(at: datetime, name: str) -> None:
    where, whole = ZoneInfo(name), at.replace(microsecond=0, tzinfo=UTC)
    local = whole.astimezone(where).replace(tzinfo=None)
    assert whole in instant(local, where, None)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "x" * 5000])
def test_no_zone(name: str) -> None:
    with pytest.raises(Invalid, match="is no time zone"):
        zone(name)
