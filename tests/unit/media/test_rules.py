"""When to try again, when to stop, and when a person may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coexist.media import rules
from coexist.media.model import Name, Reason

KNOWN = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHA = "ab" * 32


def test_pauses_grow_and_the_last_attempt_is_before_meta_forgets() -> None:
    now, attempts, times = KNOWN, 0, []
    while True:
        attempts += 1
        at = rules.next_attempt(KNOWN, now, rules.pause(attempts))
        if at is None:
            break
        times.append(at)
        now = at
    assert times[0] <= KNOWN + timedelta(seconds=rules.FIRST_PAUSE_S)
    assert times[-1] == KNOWN + rules.ID_LIFE - rules.LAST_ATTEMPT_BEFORE
    assert 15 < len(times) < 30


def test_throttling_doubles_up_to_the_hour_that_meta_counts_by() -> None:
    waits = [rules.throttle(n).total_seconds() for n in (1, 2, 3, 20)]
    for wait, longest in zip(waits, (60, 120, 240, 3600), strict=True):
        assert 0.8 * longest <= wait <= longest


@pytest.mark.parametrize(
    ("state", "reason", "days", "can"),
    [
        ("waiting", Reason.UPSTREAM, 1, True),
        ("gone", Reason.UNKNOWN_TO_META, 1, True),
        ("failed", Reason.TOO_LARGE, 6, True),
        ("failed", Reason.DAMAGED, 8, False),
        ("gone", Reason.EXPIRED, 6, False),
        ("gone", Reason.NO_ID, 0, False),
        ("gone", None, 1, True),
        ("stored", None, 1, False),
        (None, None, 1, False),
    ],
)
def test_asking_again_is_offered_when_it_can_help(state: str | None, reason: str | None, days: int, can: bool) -> None:
    assert rules.can_ask_again(state, reason, KNOWN, KNOWN + timedelta(days=days)) is can


def test_every_reason_to_give_up_or_wait_for_ourselves_has_a_sentence() -> None:
    told_by_others = {Reason.TOO_LARGE, Reason.UPSTREAM, Reason.THROTTLED}
    assert set(Reason) - told_by_others == set(rules.SENTENCES)


def test_a_key_tells_its_name_and_nothing_else_is_one() -> None:
    name = Name(12, SHA)
    assert Name.of_key(name.key) == name
    assert Name.of_key(name.thumbnail.key) == name.thumbnail
    for other in (
        "",
        "accounts/1/ab",
        f"accounts/x/ab/{SHA}",
        f"accounts/1/ab/{SHA}/..",
        f"media/{SHA}",
        name.key + "x",
    ):
        assert Name.of_key(other) is None
    with pytest.raises(ValueError, match="SHA-256"):
        Name(1, "../../etc/passwd")
