"""When the phone's silence and a token's end are worth a word, and what Meta's answer says of a connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coexist.coexistence import life_rules as rules
from coexist.coexistence.life_rules import Forecast, Sign, Stage
from coexist.inbox.connection import META_TOLD, OURS, Line, Number, State, verdict
from coexist.meta.graph import PhoneNumber

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.mark.requirement("G5")
@pytest.mark.parametrize(
    ("silence", "stage"),
    [
        (timedelta(0), Stage.GREEN),
        (7 * DAY - SECOND, Stage.GREEN),
        (7 * DAY, Stage.AMBER),
        (11 * DAY - SECOND, Stage.AMBER),
        (11 * DAY, Stage.RED),
        (14 * DAY, Stage.RED),
        (90 * DAY, Stage.RED),
    ],
)
def test_the_inactivity_disconnect_is_forecast_from_the_last_sign_of_life(silence: timedelta, stage: Stage) -> None:
    sign = Sign(NOW - silence, "message")
    assert rules.phone_forecast("connected", sign, NOW) == Forecast(stage, sign.at + 14 * DAY)


@pytest.mark.requirement("G5")
def test_what_nobody_knows_is_unknown() -> None:
    assert rules.phone_forecast("connected", None, NOW) == Forecast(Stage.UNKNOWN)
    for state in ("offboarded", "removed"):
        assert rules.phone_forecast(state, Sign(NOW, "message"), NOW) == Forecast(Stage.UNKNOWN)


@pytest.mark.requirement("G5")
def test_a_sign_from_the_future_is_one_of_now() -> None:
    assert rules.phone_forecast("connected", Sign(NOW + DAY, "message"), NOW).ends_at == NOW + 14 * DAY


@pytest.mark.parametrize(
    ("left", "stage"),
    [
        (60 * DAY, Stage.GREEN),
        (7 * DAY + SECOND, Stage.GREEN),
        (7 * DAY, Stage.AMBER),
        (DAY + SECOND, Stage.AMBER),
        (DAY, Stage.RED),
        (-DAY, Stage.RED),
    ],
)
def test_a_token_is_amber_a_week_before_its_end(left: timedelta, stage: Stage) -> None:
    assert rules.token_forecast(NOW, NOW + left, NOW) == Forecast(stage, NOW + left)


def test_a_token_without_an_end_is_green_and_one_never_looked_at_unknown() -> None:
    assert rules.token_forecast(NOW, None, NOW) == Forecast(Stage.GREEN)
    assert rules.token_forecast(None, None, NOW) == Forecast(Stage.UNKNOWN)


@pytest.mark.requirement("G2")
@pytest.mark.parametrize(
    ("is_on_app", "platform", "status", "state"),
    [
        (True, "CLOUD_API", "CONNECTED", State.CONNECTED),
        (True, "CLOUD_API", "FLAGGED", State.CONNECTED),
        (True, "CLOUD_API", "OFFLINE", State.OFFBOARDED),
        (False, "CLOUD_API", "CONNECTED", State.OFFBOARDED),
        (None, "CLOUD_API", "CONNECTED", State.CONNECTED),
        (True, "CLOUD_API", None, None),
        (True, "CLOUD_API", "SOMETHING_NEW", None),
        (True, "NOT_APPLICABLE", "DISCONNECTED", State.REMOVED),
        (True, None, "CONNECTED", None),
    ],
)
def test_what_metas_answer_says(is_on_app: bool | None, platform: str | None, status: str | None, state: Any) -> None:
    number = PhoneNumber("1", is_on_biz_app=is_on_app, platform_type=platform, status=status)
    assert rules.state_of(number, is_coexistence=True) == state


def test_a_number_on_the_api_alone_needs_no_app() -> None:
    number = PhoneNumber("1", is_on_biz_app=False, platform_type="CLOUD_API", status="CONNECTED")
    assert rules.state_of(number, is_coexistence=False) is State.CONNECTED


OFF, ON, OUT = "ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED", "PARTNER_REMOVED"
NUMBER = Number(1, 1, "351210559000", NOW, is_only_number=True)


@pytest.mark.requirement("G1", "G2")
@pytest.mark.parametrize(
    ("events", "told", "state"),
    [
        ([(ON, 1), (OFF, 2)], "connected", State.CONNECTED),  # the order of the documented samples
        ([(OFF, 1), (ON, 2)], "offboarded", State.OFFBOARDED),
        ([(OFF, 1)], "offboarded", State.OFFBOARDED),
        ([(OFF, 1)], None, State.OFFBOARDED),
        ([(OFF, 1)], "a new word", State.OFFBOARDED),
        ([(OUT, 1)], "offboarded", State.REMOVED),
        ([(OUT, 1)], "connected", State.CONNECTED),
        ([], "removed", State.REMOVED),
    ],
)
def test_metas_answer_decides_what_events_left_open(
    events: list[tuple[str, int]], told: str | None, state: State
) -> None:
    lines = [Line(1, NOW + at * SECOND, "account_update", event, {}) for event, at in events]
    answer = Line(1, NOW + 5 * SECOND, OURS, META_TOLD, {"state": told} if told else {})
    assert {verdict(NUMBER, order).state for order in ([*lines, answer], [answer, *reversed(lines)])} == {state}
    later = Line(1, NOW + 9 * SECOND, "account_update", OFF, {})
    assert verdict(NUMBER, [answer, *lines, later]).state is State.OFFBOARDED


def test_an_answer_that_confirms_keeps_the_reason() -> None:
    info = {"disconnection_info": {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}}
    line = Line(1, NOW + SECOND, "account_update", OUT, info)
    answer = Line(1, NOW + 5 * SECOND, OURS, META_TOLD, {"state": "removed"})
    told = verdict(NUMBER, [line, answer])
    assert (told.at, told.reason) == (line.at, "PRIMARY_INACTIVITY")


@pytest.mark.requirement("G1")
def test_what_happens_in_the_second_of_metas_answer_counts() -> None:
    """Events know whole seconds, answers are written down to the microsecond."""
    removed = Line(1, NOW + 5 * SECOND, "account_update", OUT, {})
    answer = Line(1, NOW + 5.4 * SECOND, OURS, META_TOLD, {"state": "connected"})
    assert verdict(NUMBER, [removed, answer]).state is State.REMOVED
    later = Line(1, NOW + 7.4 * SECOND, OURS, META_TOLD, {"state": "connected"})
    assert verdict(NUMBER, [removed, later]).state is State.CONNECTED
