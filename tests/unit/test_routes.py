"""Which inboxes a fact is about that names a WhatsApp account, a portfolio or a printed number."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coexist.coexistence.moves import Tenure
from coexist.coexistence.routes import Route, of
from coexist.meta.model import AccountUpdated, NoticeGiven

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
WABA, OTHER_WABA, PORTFOLIO = "701122334455667", "702233445566778", "880011223344556"
ALWAYS = Tenure(-1, None, None, None)
ONE = Route(1, 1, WABA, "555100020003000", PORTFOLIO, "5511985500101", ALWAYS)
TWO = Route(2, 1, WABA, "555100020004000", PORTFOLIO, "5511985500102", ALWAYS)
THREE = Route(3, 2, OTHER_WABA, "555100020005000", PORTFOLIO, "351210559000", ALWAYS)
KNOWN = (ONE, TWO, THREE)


def _account(**told: Any) -> AccountUpdated:
    named: dict[str, Any] = {"waba_id": None, "entry_id": None, "display_phone_number": None, "phone_number_id": None}
    return AccountUpdated(part="entry[0]", event="PARTNER_REMOVED", at=AT, **{**named, **told})


def _notice(**told: Any) -> NoticeGiven:
    named: dict[str, Any] = {"waba_id": None, "display_phone_number": None, "phone_number_id": None}
    return NoticeGiven(part="entry[0]", field="security", event="PIN_CHANGED", at=AT, **{**named, **told})


@pytest.mark.requirement("G2")
@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (_account(phone_number_id="555100020004000", waba_id=OTHER_WABA), [2]),
        (_account(waba_id=WABA), [1, 2]),
        (_account(entry_id=WABA), [1, 2]),
        (_account(entry_id=PORTFOLIO), [1, 2, 3]),
        (_account(waba_id="709999999999999", entry_id=WABA), []),
        (_account(waba_id=WABA, display_phone_number="+55 11 98550-0101"), [1]),
        (_account(waba_id=WABA, display_phone_number="55 11 8550-0101"), [1]),  # without Brazil's ninth digit
        (_account(waba_id=WABA, display_phone_number="+351 21 055 9000"), []),
        (_account(entry_id=WABA, display_phone_number="5511985500102"), [2]),
        (_account(entry_id=PORTFOLIO, display_phone_number="551185500102"), [2]),
        (_account(entry_id="0"), []),
        (_account(), []),
        (_notice(display_phone_number="55 11 8550-0102"), [2]),
        (_notice(display_phone_number="+44 7700 900123"), []),
        (_notice(waba_id=OTHER_WABA), [3]),
        (_notice(), []),
    ],
    ids=str,
)
def test_a_fact_is_about_the_most_exact_name_and_no_other_number(
    fact: AccountUpdated | NoticeGiven, expected: list[int]
) -> None:
    assert [route.inbox_id for route in of(fact, KNOWN)] == expected
