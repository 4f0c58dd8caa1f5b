"""What follows from each answer of Meta's, and the body that is sent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.meta.errors import MEANINGS, Action, action_of, codes_of
from coexist.outbound import payload, rules
from coexist.outbound.rules import ATTEMPTS_MAX, Step

REF = UUID("7f1c0000-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("code", "step"),
    [
        *((code, Step.AGAIN) for code in (0, 3, 10, 190, 200, 299, 131005, 368, 131031, 33, 133010, 131045, 4, 80007)),
        *((code, Step.AGAIN) for code in (2, 131016, 133004, 131057, 2494100, 131000, 131056, 130429)),
        (1, Step.UNCLEAR),
        (None, Step.UNCLEAR),
        *((code, Step.FAIL) for code in (100, 130472, 131008, 131026, 131047, 131051, 131042, 131048, 133016, 999999)),
    ],
)
def test_a_code_leads_to_its_step(code: int | None, step: Step) -> None:
    assert rules.decide(code, attempts=1).step is step


@pytest.mark.parametrize(
    ("code", "has_window", "step"),
    [(131042, True, Step.AGAIN), (131042, False, Step.AGAIN), (131048, True, Step.FAIL), (131048, False, Step.AGAIN)],
)
def test_a_template_waits_for_what_holds_it(code: int, has_window: bool, step: Step) -> None:
    decision = rules.decide(code, attempts=1, is_template=True, has_window=has_window)
    assert (decision.step, decision.is_counted) == (step, step is Step.FAIL)


def test_what_failed_for_good_or_for_a_day_is_not_sent_again() -> None:
    failed_at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert rules.why_not_again([131026], failed_at, failed_at) is None
    for code in (131021, 131050):
        assert rules.why_not_again([code], failed_at, failed_at + timedelta(days=400)) is not None
    for hours, may in ((23.9, False), (24, True)):
        assert (rules.why_not_again([131049], failed_at, failed_at + timedelta(hours=hours)) is None) is may


def test_an_unknown_failure_is_tried_once_more_and_no_oftener() -> None:
    assert rules.decide(131000, attempts=1).step is Step.AGAIN
    assert rules.decide(131000, attempts=2).step is Step.UNCLEAR


@pytest.mark.parametrize("code", [2, 131016, 131056, 131057])
def test_trying_again_ends(code: int) -> None:
    assert rules.decide(code, attempts=ATTEMPTS_MAX).step is Step.FAIL
    assert rules.decide_not_sent(ATTEMPTS_MAX).step is Step.FAIL


CODES: Final = [None, *(code for code in MEANINGS if code not in codes_of(Action.FAIL, Action.TELL_ADMINS))]
WAITING: Final = {
    Action.RENEW_ACCESS, Action.STOP_ACCOUNT, Action.PAUSE_ALL, Action.SLOW_NUMBER, Action.HOLD_PAID,
    Action.HOLD_BUSINESS_INITIATED,
}  # fmt: skip
"""What a message may wait for however often: the number, or all that waits with it, rests meanwhile."""


FEW: Final = st.lists(st.sampled_from(CODES), min_size=1, max_size=3)
ANSWERS: Final = FEW.flatmap(lambda codes: st.lists(st.sampled_from(codes), min_size=40, max_size=40))
"""A few codes again and again: among all, hardly one comes often enough."""


@given(ANSWERS, st.booleans(), st.booleans())
def test_whatever_meta_answers_a_message_is_tried_so_often_and_may_arrive_twice_at_most(
    answers: Sequence[int | None], is_template: bool, has_window: bool
) -> None:
    """As the sender counts: an attempt counts when it is claimed, and one that waits for others no more."""
    attempts = asked = doubtful = waits = 0
    for tries, code in enumerate(answers):
        given_to: dict[str, Any] = {"asked_attempts": asked, "is_template": is_template, "has_window": has_window}
        decision = rules.decide(code, attempts + 1, **given_to)
        attempts, asked = attempts + decision.is_counted, asked + decision.is_asked
        waits += not decision.is_counted and not decision.is_asked
        doubtful += action_of(code) in {Action.AGAIN_ONCE, Action.LEAVE_UNCLEAR}
        if not decision.is_counted and not decision.is_asked:
            assert action_of(code) in WAITING
        assert doubtful <= rules.UNKNOWN_ATTEMPTS_MAX
        assert tries - waits <= ATTEMPTS_MAX + rules.ASKED_ATTEMPTS_MAX
        if decision.step is not Step.AGAIN:
            return


@pytest.mark.requirement("G7")
def test_the_pair_limit_waits_four_times_as_long_each_time() -> None:
    waits = [rules.decide(131056, attempts).after for attempts in range(1, 6)]
    assert waits == [timedelta(seconds=seconds) for seconds in (1, 4, 16, 64, 256)]


def test_pauses_grow_and_stay_bounded() -> None:
    for attempts in range(1, 40):
        assert timedelta(0) < rules.backoff(attempts) <= timedelta(seconds=rules.BACKOFF_MAX_S)
    assert rules.decide(131057, 1).after == timedelta(seconds=60)


@pytest.mark.requirement("F6")
@pytest.mark.parametrize(
    ("peer", "phone", "wanted"),
    [
        ("351910559111", None, {"to": "+351910559111"}),
        ("551185500101", None, {"to": "+551185500101"}),
        ("PT.40010020030040050", None, {"recipient": "PT.40010020030040050"}),
        ("PT.ENT.9001", None, {"recipient": "PT.ENT.9001"}),
        ("PT.4001", "351910559111", {"to": "+351910559111"}),
    ],
)
def test_a_person_is_addressed_by_phone_or_by_bsuid(peer: str, phone: str | None, wanted: dict[str, str]) -> None:
    assert payload.recipient(peer, phone) == wanted


def test_a_text_carries_our_reference_and_what_it_quotes() -> None:
    body = payload.message("351910559111", "text", payload.text("Olá"), REF, reply_to="wamid.X")
    assert body["biz_opaque_callback_data"] == f"cx:{REF}"
    assert body["context"] == {"message_id": "wamid.X"}
    assert body["text"] == {"body": "Olá", "preview_url": False}
    assert "context" not in payload.message("351910559111", "text", payload.text("Olá"), REF)
