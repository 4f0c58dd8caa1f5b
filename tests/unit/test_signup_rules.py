"""What a token proves, which number is meant, what Meta's window says, and the words for each ending."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.coexistence import signup_rules as rules
from coexist.coexistence.signup_model import Problem, Signup, State, Stopped, Way
from coexist.coexistence.signup_rules import MANAGING, MESSAGING, Cause
from coexist.coexistence.signup_words import CAUSES, PROBLEMS, ending_of
from coexist.meta.answers import GranularScope, PhoneNumber, TokenInfo
from coexist.meta.embedded_signup import Cancelled, Failed, Finished, SessionEvent, parse_event

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
APP, WABA, OTHER_WABA = "1900100200300", "701122334455667", "702233445566778"


def token(**other: Any) -> TokenInfo:
    targets = [GranularScope(MANAGING, [WABA]), GranularScope(MESSAGING, [WABA])]
    values = {"is_valid": True, "app_id": APP, "scopes": [MANAGING, MESSAGING], "granular_scopes": targets}
    return TokenInfo(**{**values, **other})


@pytest.mark.parametrize(
    ("told", "ends_at"),
    [(0, None), (-1, None), (1795000000, datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC)), (10**30, None)],
)
def test_a_token_ends_when_meta_says_or_never(told: int, ends_at: datetime | None) -> None:
    assert token(expires_at=told).ends_at == ends_at


def signup(**other: Any) -> Signup:
    values: dict[str, Any] = {
        "id": uuid4(), "account_id": 1, "link_id": None, "user_id": 1, "person": "Inês", "way": Way.DIALOG,
        "renews_id": None, "state": State.AUTHORISED, "problem": None, "detail": None, "meta_error": None,
        "meta_session": None, "meta_step": None, "waba_id": None, "chosen_id": None, "choices": [], "inbox_id": None,
        "is_onboarding": False, "is_in_review": False, "began_at": NOW, "changed_at": NOW, "is_busy": False,
    }  # fmt: skip
    return Signup(**{**values, **other})


def number(id: str, *, in_app: bool = True, onboarded_at: datetime | None = None) -> tuple[str, PhoneNumber]:
    told = str(int(onboarded_at.timestamp())) if onboarded_at else None
    return WABA, PhoneNumber(id, "+351 21 055 9000", "Loja", in_app, "CLOUD_API", last_onboarded_time=told)


@pytest.mark.parametrize(
    ("info", "told", "problem"),
    [
        (token(is_valid=False), None, Problem.TOKEN_REFUSED),
        (token(expires_at=int(NOW.timestamp()) - 1), None, Problem.TOKEN_REFUSED),
        (token(app_id="42"), None, Problem.OTHER_APP),
        (token(scopes=[MANAGING]), None, Problem.SCOPE_MISSING),
        (token(granular_scopes=[]), None, Problem.NO_ACCOUNT),
        (token(granular_scopes=[GranularScope(MANAGING, [WABA]), GranularScope(MESSAGING, ["9"])]), None,
         Problem.NO_ACCOUNT),
        (token(), OTHER_WABA, Problem.WRONG_ACCOUNT),
    ],
)  # fmt: skip
def test_token_app_and_account_must_belong_together(info: TokenInfo, told: str | None, problem: Problem) -> None:
    with pytest.raises(Stopped) as stopped:
        rules.proven_wabas(info, APP, told, NOW)
    assert stopped.value.problem is problem


def test_the_token_names_the_accounts() -> None:
    both = token(granular_scopes=[GranularScope(MANAGING, [WABA, OTHER_WABA]), GranularScope(MESSAGING)])
    assert rules.proven_wabas(both, APP, None, NOW) == [WABA, OTHER_WABA]
    assert rules.proven_wabas(both, APP, OTHER_WABA, NOW) == [OTHER_WABA]
    everything = token(granular_scopes=[GranularScope(MANAGING), GranularScope(MESSAGING)])
    assert rules.proven_wabas(everything, APP, WABA, NOW) == [WABA]
    assert rules.proven_wabas(token(expires_at=int(NOW.timestamp()) + 60), APP, None, NOW) == [WABA]


@pytest.mark.requirement("A4")
@pytest.mark.parametrize(
    ("attempt", "numbers", "renewed", "found"),
    [
        (signup(), [number("1")], None, "1"),
        (signup(), [number("1"), number("2", in_app=False)], None, "1"),
        (signup(), [], None, Problem.NO_NUMBER),
        (signup(), [number("1", in_app=False)], None, Problem.NOT_IN_APP),
        (signup(way=Way.TOKEN), [number("1", in_app=False)], None, "1"),
        (signup(), [number("1"), number("2")], None, Problem.WHICH_NUMBER),
        (signup(chosen_id="2"), [number("1"), number("2")], None, "2"),
        (signup(chosen_id="3"), [number("1"), number("2")], None, Problem.WHICH_NUMBER),
        (signup(), [number("1", onboarded_at=NOW - timedelta(days=9)), number("2", onboarded_at=NOW)], None, "2"),
        (signup(), [number("1", onboarded_at=NOW), number("2", onboarded_at=NOW)], None, Problem.WHICH_NUMBER),
        (signup(renews_id=7), [number("1"), number("2")], "1", "1"),
        (signup(renews_id=7), [number("2")], "1", Problem.ANOTHER_NUMBER),
        (signup(renews_id=7, chosen_id="2"), [number("2")], "1", "2"),
    ],
)
def test_the_number_is_found_from_the_account_alone(
    attempt: Signup, numbers: Sequence[tuple[str, PhoneNumber]], renewed: str | None, found: str | Problem
) -> None:
    if isinstance(found, Problem):
        with pytest.raises(Stopped) as stopped:
            rules.chosen(attempt, numbers, renewed)
        assert stopped.value.problem is found
        is_asked = found in (Problem.WHICH_NUMBER, Problem.ANOTHER_NUMBER)
        assert [one.phone_number_id for one in stopped.value.choices] == [one.id for _, one in numbers] * is_asked
    else:
        assert rules.chosen(attempt, numbers, renewed)[1].id == found


def event(name: str, **data: Any) -> str:
    return json.dumps({"type": "WA_EMBEDDED_SIGNUP", "event": name, "data": data, "version": "3"})


@pytest.mark.requirement("A4")
@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (event("FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING", waba_id=WABA), Finished(WABA)),
        (event("FINISH", waba_id=int(WABA), phone_number_id="1", business_id="2"), Finished(WABA)),
        (event("FINISH_ONLY_WABA", waba_id="x"), Finished(None)),
        (event("FINISH_GRANT_ONLY_API_ACCESS", waba_id=WABA), Finished(WABA)),
        (event("FINISH_OBO_MIGRATION", waba_ids=[WABA]), Finished(None)),
        (event("CANCEL", current_step="PHONE_NUMBER_SETUP"), Cancelled("PHONE_NUMBER_SETUP")),
        (event("CANCEL"), Cancelled(None)),
        (event("CANCEL", error_message="No", error_id="2655093", session_id="abc", timestamp="1"),
         Failed("2655093", "No", "abc", None)),
        (event("CANCEL", error_message="No", error_code=3441041), Failed("3441041", "No", None, None)),
        (event("ERROR", error_message="N\u0000o"), Failed(None, "No", None, None)),
        (event("ERROR", error_message="x" * 9000), Failed(None, "x" * 500, None, None)),
        (event("SOMETHING_NEW"), None),
        ('{"type": "WA_EMBEDDED_SIGNUP", "event": "CANCEL", "data": []}', Cancelled(None)),
        ('{"type": "other"}', None), ("[]", None), ("cb=f123&domain=x", None), ("\ud800", None),
    ],
)  # fmt: skip
def test_what_the_window_tells(raw: str, told: SessionEvent | None) -> None:
    assert parse_event(raw) == told


@pytest.mark.requirement("A10")
@pytest.mark.parametrize(
    ("error", "sentence", "causes"),
    [
        ("3441041", None, rules.NOT_ELIGIBLE),
        ("2655093", "This phone number is not eligible", rules.NOT_ELIGIBLE),
        ("200", None, [Cause.ADVANCED_ACCESS]),
        ("131042", None, [Cause.PAYMENT, Cause.CREDIT_LINE]),
        ("99", "The credit line is shared with another business", [Cause.CREDIT_LINE]),
        ("99", "Add a payment method to go on", [Cause.PAYMENT]),
        ("99", "WhatsApp is not available in your country", [Cause.COUNTRY]),
        ("99", "Update your app to the latest version", [Cause.APP_VERSION]),
        ("99", "This number is already registered with a partner", [Cause.PREVIOUS_PROVIDER]),
        ("99", "This portfolio owns the app and can't onboard customers", [Cause.OWN_PORTFOLIO]),
        ("99", "Quux", []),
        (None, None, []),
    ],
)
def test_an_error_of_the_window_is_explained(error: str | None, sentence: str | None, causes: Sequence[Cause]) -> None:
    assert list(rules.causes_of(error, sentence)) == list(causes)
    told = ending_of(
        signup(state=State.FAILED, problem=Problem.REPORTED, meta_error=error, detail=sentence), NOW + timedelta(days=1)
    )
    assert {CAUSES[cause] for cause in causes} <= set(told.steps)
    assert told.steps, "there is always something to try"
    assert told.way_on == "again"


def test_every_problem_has_words_and_a_way_on() -> None:
    assert set(PROBLEMS) == set(Problem)
    for problem in Problem:
        told = ending_of(signup(problem=problem), NOW + timedelta(hours=1))
        assert told.title
        assert told.sentence
        assert told.way_on or problem is Problem.LINK_ENDED
    assert ending_of(signup(problem=Problem.OTHER_APP, way=Way.TOKEN), NOW).way_on == "token"


@pytest.mark.requirement("A5")
def test_a_tab_that_was_closed_leaves_something_to_go_on_with() -> None:
    later = NOW + timedelta(hours=1)
    assert ending_of(signup(state=State.OPENED), later).way_on == "again"
    assert ending_of(signup(), later).way_on == "on"
    assert ending_of(signup(is_busy=True), later).way_on == "wait"
    assert ending_of(signup(), NOW + timedelta(seconds=1)).way_on == "wait"


@pytest.mark.requirement("B9", "G6")
def test_after_signing_up_people_are_told_what_to_do_on_the_phone() -> None:
    told = " ".join(ending_of(signup(state=State.CONNECTED, is_onboarding=True), NOW).steps)
    assert "Keep the WhatsApp Business app open" in told
    assert "Link WhatsApp Web and the desktop app again" in told
    assert "Windows and WearOS stay out" in told


@pytest.mark.requirement("A11")
def test_in_review_is_no_disconnection() -> None:
    told = ending_of(signup(state=State.CONNECTED, is_onboarding=True, is_in_review=True), NOW)
    assert told.colour == "good"
    assert told.steps[0].startswith("Meta is still reviewing this WhatsApp account. That is not a disconnection")


def test_where_the_window_was_left_is_said() -> None:
    left = signup(state=State.CANCELLED, problem=Problem.LEFT, meta_step="PHONE_NUMBER_SETUP")
    assert "left while the number was being entered." in ending_of(left, NOW).sentence
    assert "left." in ending_of(signup(state=State.CANCELLED, problem=Problem.LEFT), NOW).sentence
    new = signup(state=State.CANCELLED, problem=Problem.LEFT, meta_step="NEW_STEP")
    assert "left at the step NEW_STEP." in ending_of(new, NOW).sentence
