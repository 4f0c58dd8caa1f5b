"""Every code of Meta's error tables leads to the action that belongs to its class, in sending and in syncing.

The classes are those of the protocol: T passes, A may have happened, P is final for the message, H a person must act,
R connect again, W needs a template, C our mistake, L slow down, N tells of something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from coexist.coexistence import rules as syncing
from coexist.coexistence.rules import Answer
from coexist.meta.errors import ErrorClass, explain
from coexist.outbound import rules as sending
from coexist.outbound.rules import Step

TABLE: Final = {
    "authorisation and integrity": {
        "R": (0, 3, 10, 190, *range(200, 300), 33, 131005),
        "H": (368, 131031),
        "P": (130497,),
    },
    "throttling": {"L": (4, 80007, 130429, 131056, 133016), "H": (131048,), "T": (131057,)},
    "generic": {"A": (1, 131000), "T": (2, 131016, 133004), "C": (100, 131008, 131009, 135000)},
    "delivery": {
        "P": (130472, 131021, 131026, 131049, 131050, 131051, 131052, 131062, 137000),
        "C": (131030, 131053, 131055),
        "H": (131037, 131042, 131045, 133010),
        "W": (131047,),
        "N": (131060,),
    },
    "templates": {
        "C": (132000, 132001, 132005, 132012, 132018, 134100, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299),
        "H": (132007, 132068, 132069, 134011, 134102, 2388019),
        "P": (132015, 132016),
        "T": (134101,),
    },
    "registration, groups, other": {
        "H": (
            133000,
            133005,
            133006,
            2388001,
            2388012,
            2388091,
            2388093,
            2388103,
            147003,
            147004,
            *range(200005, 200008),
        ),
        "L": (133008, 133009, 133015),
        "T": (2494100,),
        "P": (130501, 131020, 131041, 131059, *range(131201, 131216), 139100, 147001, 147002),
        "C": (1752041,),
    },
    "coexistence": {"N": (2593107, 2593109), "P": (2593108,), "H": (3441041, 2655093)},
}
"""Meta's codes by table and class."""

SENDING: Final = {
    ErrorClass.TRANSIENT: {Step.AGAIN},
    ErrorClass.AMBIGUOUS: {Step.UNCLEAR},
    ErrorClass.PERMANENT: {Step.FAIL},
    ErrorClass.HUMAN: {Step.FAIL},
    ErrorClass.REAUTHORISE: {Step.STOP_NUMBER},
    ErrorClass.WINDOW: {Step.FAIL},
    ErrorClass.CALLER: {Step.FAIL},
    ErrorClass.LIMIT: {Step.AGAIN, Step.PAUSE_NUMBER, Step.PAUSE_WABA, Step.PAUSE_ALL},
    ErrorClass.NOTICE: {Step.FAIL},
}
"""What a send does that Meta answered with a code of the class."""
SENDING_BY_CODE: Final = {
    131000: Step.AGAIN,  # once more, since an error body was received
    131056: Step.AGAIN,  # the lane of one person alone
    4: Step.PAUSE_ALL,
    80007: Step.PAUSE_WABA,
    130429: Step.PAUSE_NUMBER,
}
SYNCING_BY_CODE: Final = {2593107: Answer.TAKEN, 2593108: Answer.TOO_LATE}


def codes() -> Iterator[tuple[int, ErrorClass]]:
    for classes in TABLE.values():
        for letter, listed in classes.items():
            yield from ((code, ErrorClass(letter)) for code in listed)


ALL: Final = list(codes())


def test_no_code_stands_in_two_classes() -> None:
    assert len(dict(ALL)) == len(ALL)


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_a_code_is_of_its_class_and_says_what_happened(code: int, kind: ErrorClass) -> None:
    meaning = explain(code, "Meta's own words")
    assert (meaning.code, meaning.kind, meaning.details) == (code, kind, "Meta's own words")
    assert meaning.what
    if kind in (ErrorClass.REAUTHORISE, ErrorClass.WINDOW, ErrorClass.LIMIT, ErrorClass.TRANSIENT):
        assert meaning.next_step, "somebody asks what to do now"


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_a_code_leads_a_send_to_its_action(code: int, kind: ErrorClass) -> None:
    step = sending.decide(code, attempts=1).step
    assert step is SENDING_BY_CODE.get(code, step)
    assert step in SENDING[kind] or code in SENDING_BY_CODE


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_a_code_that_may_have_sent_is_never_sent_again_for_long(code: int, kind: ErrorClass) -> None:
    last = sending.decide(code, attempts=sending.ATTEMPTS_MAX).step
    assert last is not Step.AGAIN or kind is ErrorClass.LIMIT
    if kind is ErrorClass.AMBIGUOUS:
        assert last is Step.UNCLEAR


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_a_code_leads_a_sync_to_its_action(code: int, kind: ErrorClass) -> None:
    """Only what may have been accepted stays spent: after any other refusal a person may ask again."""
    expected = Answer.UNKNOWN if kind is ErrorClass.AMBIGUOUS else Answer.REFUSED
    assert syncing.answer_of(code) is SYNCING_BY_CODE.get(code, expected)
