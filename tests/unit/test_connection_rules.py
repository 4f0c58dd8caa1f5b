"""The state of a connection out of its timeline, and what the one-shot sync's answers mean."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coexist.coexistence import rules, words
from coexist.coexistence.model import Sync, SyncKind, SyncState
from coexist.coexistence.rules import Answer
from coexist.inbox import connection
from coexist.inbox.connection import Line, Number, State, verdict

SINCE = datetime(2026, 11, 20, 9, 0, 0, 500_000, tzinfo=UTC)
NUMBER = Number(1, 1, "351210559000", SINCE, is_only_number=True)
ONE_OF_TWO = Number(1, 1, "351210559000", SINCE, is_only_number=False)


def line(event: str, minutes: float, field: str = "account_update", **value: Any) -> Line:
    return Line(1, SINCE + timedelta(minutes=minutes), field, event, value)


OFF, ON, OUT = "ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED", "PARTNER_REMOVED"


@pytest.mark.requirement("G1", "C7")
@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], State.CONNECTED),
        ([line(OFF, 1)], State.OFFBOARDED),
        ([line(OFF, 1), line(ON, 2)], State.CONNECTED),
        ([line(ON, 1), line(OFF, 2)], State.OFFBOARDED),
        ([line(OFF, 1), line(ON, 1)], State.CONNECTED),
        ([line(OUT, 1), line(ON, 1)], State.REMOVED),
        ([line(OUT, 1), line(OFF, 2), line(ON, 3)], State.CONNECTED),
        ([line(OUT, 1), line(OUT, 5)], State.REMOVED),
        ([line("ACCOUNT_DELETED", 1)], State.REMOVED),
        ([line(OUT, -60)], State.CONNECTED),
        ([line(OUT, -0.005)], State.REMOVED),  # the wire knows whole seconds
        ([line("DISABLED_UPDATE", 1, ban_info={"waba_ban_state": "DISABLE"})], State.RESTRICTED),
        ([line("DISABLED_UPDATE", 1, ban_info={"waba_ban_state": ["DISABLE"]})], State.RESTRICTED),
        ([line("DISABLED_UPDATE", 1, ban_info={"waba_ban_state": "SCHEDULE_FOR_DISABLE"})], State.CONNECTED),
        (
            [
                line("DISABLED_UPDATE", 1, ban_info={"waba_ban_state": "DISABLE"}),
                line("DISABLED_UPDATE", 2, ban_info={"waba_ban_state": "REINSTATE"}),
            ],
            State.CONNECTED,
        ),
        ([line(connection.TOKEN_REFUSED, 1, connection.OURS)], State.TOKEN_INVALID),
        (
            [line(connection.TOKEN_REFUSED, 1, connection.OURS), line(connection.AUTHORISED, 2, connection.OURS)],
            State.CONNECTED,
        ),
        ([line(OFF, 1), line(connection.AUTHORISED, 2, connection.OURS)], State.OFFBOARDED),
        ([line("VERIFIED_ACCOUNT", 1), line("X", 2, "account_alerts")], State.CONNECTED),
    ],
)
def test_the_state_out_of_the_timeline_whatever_its_order(lines: list[Line], state: State) -> None:
    assert {verdict(NUMBER, order).state for order in itertools.permutations(lines)} == {state}


@pytest.mark.requirement("A7")
def test_access_that_is_renewed_before_it_was_refused_leaves_the_time_since_when_it_is_connected() -> None:
    refused, renewed = (
        line(connection.TOKEN_REFUSED, 1, connection.OURS),
        line(connection.AUTHORISED, 2, connection.OURS),
    )
    assert verdict(NUMBER, [renewed]).at == SINCE
    assert verdict(NUMBER, [refused, renewed]).at == renewed.at


@pytest.mark.requirement("G2")
@pytest.mark.parametrize(
    ("number", "named", "state"),
    [
        (ONE_OF_TWO, None, State.CONNECTED),
        (ONE_OF_TWO, "+351 21 055 9000", State.REMOVED),
        (ONE_OF_TWO, "351210559001", State.CONNECTED),
        (NUMBER, "351210559001", State.CONNECTED),
        (NUMBER, None, State.REMOVED),
    ],
)
def test_a_removal_concerns_the_number_it_names(number: Number, named: str | None, state: State) -> None:
    value = {"phone_number": named} if named else {}
    assert verdict(number, [line(OUT, 1, **value)]).state is state


@pytest.mark.requirement("G1")
def test_the_reason_is_the_one_of_the_line_that_decides() -> None:
    info = {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}
    told = verdict(NUMBER, [line(OUT, 1), line(OUT, 2, disconnection_info=info)])
    assert (told.reason, told.initiated_by, told.at) == (
        "PRIMARY_INACTIVITY",
        "SYSTEM",
        SINCE + timedelta(minutes=2),
    )
    assert verdict(NUMBER, [line(OUT, 1, disconnection_info="nonsense")]).reason is None


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (2593107, Answer.TAKEN),
        (2593108, Answer.TOO_LATE),
        (190, Answer.REFUSED),
        (100, Answer.REFUSED),
        (4, Answer.REFUSED),
        (200, Answer.REFUSED),
        (1, Answer.UNKNOWN),
        (131000, Answer.UNKNOWN),
        (None, Answer.UNKNOWN),
    ],
)
def test_only_a_proof_gives_the_one_chance_back(code: int | None, answer: Answer) -> None:
    assert rules.answer_of(code) is answer


@pytest.mark.requirement("B8")
@pytest.mark.parametrize(
    ("phases", "wanted"),
    [
        ({}, (0, False)),
        ({0: 30}, (30, False)),
        ({0: 20, 1: 62}, (62, False)),
        ({0: 100}, (100, True)),
        ({0: 100, 1: 30}, (100, False)),
        ({0: 100, 1: 100, 2: 100}, (100, True)),
        ({0: 5, 2: 100}, (100, True)),
    ],
)
def test_progress_per_phase_and_overall(phases: dict[int, int], wanted: tuple[int, bool]) -> None:
    assert rules.progress_of(phases) == wanted


def test_what_comes_belongs_to_the_onboarding_before_it() -> None:
    first, second = SINCE, SINCE + timedelta(days=2)
    for days, wanted in ((-1, first), (0, first), (1, first), (2, second), (9, second)):
        assert rules.onboarding_of(SINCE + timedelta(days=days), {second: None, first: None}) == wanted


@pytest.mark.requirement("B4", "B9")
@pytest.mark.parametrize("kind", SyncKind)
def test_every_state_has_a_sentence_of_its_own(kind: SyncKind) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("wanted_at", "requested_at", "request_id", "first_arrival_at", "completed_at", "declined_at", "error_code",
         "error", "error_at")
    )  # fmt: skip
    said = {
        words.sentence(Sync(1, kind, SINCE, state, refusals=0, last_arrival_at=SINCE, **nothing), SINCE)
        for state in SyncState
    }
    assert len(said) == len(SyncState)
    assert sum("Keep the WhatsApp Business app open" in sentence for sentence in said) == 2


@pytest.mark.requirement("B5")
def test_a_history_that_stopped_coming_says_so() -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("wanted_at", "requested_at", "request_id", "first_arrival_at", "completed_at", "declined_at", "error_code",
         "error", "error_at")
    )  # fmt: skip
    sync = Sync(1, "history", SINCE, "receiving", refusals=0, last_arrival_at=SINCE, **nothing)
    assert "nothing more has arrived" in words.sentence(sync, SINCE + timedelta(hours=7))
    assert "nothing more has arrived" not in words.sentence(sync, SINCE + timedelta(hours=5))
