"""Every code of Meta's error tables is of its class, is explained, and leads to its action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from coexist.coexistence import rules as syncing
from coexist.coexistence.rules import Answer
from coexist.meta.errors import GROUP_CODES, MEANINGS, Action, ErrorClass, action_of, explain
from coexist.outbound import rules as sending
from coexist.outbound.rules import Step
from tests.support.error_codes import ACTIONS, ALL, CLASSES

SYNCING_BY_CODE: Final = {2593107: Answer.TAKEN, 2593108: Answer.TOO_LATE}


def codes() -> Iterator[tuple[int, ErrorClass]]:
    for classes in CLASSES.values():
        for letter, listed in classes.items():
            yield from ((code, ErrorClass(letter)) for code in listed)


BY_CLASS: Final = list(codes())
BY_ACTION: Final = [(code, action) for action, listed in ACTIONS.items() for code in listed]


def test_every_code_stands_in_one_class_and_leads_to_one_action() -> None:
    assert len(set(ALL)) == len(ALL)
    assert sorted(code for code, _ in BY_ACTION) == ALL
    assert set(ACTIONS) == set(Action)


def test_the_product_knows_no_code_that_the_tables_lack() -> None:
    assert MEANINGS.keys() | GROUP_CODES <= set(ALL)


@pytest.mark.parametrize(("code", "kind"), BY_CLASS)
def test_a_code_is_of_its_class_and_says_what_happened(code: int, kind: ErrorClass) -> None:
    meaning = explain(code, "Meta's own words")
    assert (meaning.code, meaning.kind, meaning.details) == (code, kind, "Meta's own words")
    assert meaning.what
    if kind in (ErrorClass.REAUTHORISE, ErrorClass.WINDOW, ErrorClass.LIMIT, ErrorClass.TRANSIENT):
        assert meaning.next_step, "somebody asks what to do now"


@pytest.mark.parametrize(("code", "action"), BY_ACTION)
def test_a_code_leads_to_its_action(code: int, action: str) -> None:
    assert action_of(code) == explain(code).action == action


@pytest.mark.parametrize("code", [None, 999999999, -1])
def test_a_code_that_nobody_knows_stops_nothing_and_is_not_tried_again(code: int | None) -> None:
    assert action_of(code) is (Action.LEAVE_UNCLEAR if code is None else Action.FAIL)


@pytest.mark.parametrize(("code", "kind"), BY_CLASS)
def test_trying_again_by_itself_ends(code: int, kind: ErrorClass) -> None:
    last = sending.decide(code, attempts=sending.ATTEMPTS_MAX)
    assert last.step is not Step.AGAIN or not last.is_counted, "what waits for others is no attempt"
    if kind is ErrorClass.AMBIGUOUS:
        assert last.step is Step.UNCLEAR


@pytest.mark.parametrize(("code", "kind"), BY_CLASS)
def test_a_code_leads_a_sync_to_its_action(code: int, kind: ErrorClass) -> None:
    """Only what may have been accepted stays spent: after any other refusal a person may ask again."""
    expected = Answer.UNKNOWN if kind is ErrorClass.AMBIGUOUS else Answer.REFUSED
    assert syncing.answer_of(code) is SYNCING_BY_CODE.get(code, expected)
