"""Who looks after the quarantine, and what its errors mean to a person."""

from __future__ import annotations

import pytest

from coexist.base.errors import Invalid, NotFound
from coexist.people.model import Member, Role
from coexist.quarantine import rules
from coexist.quarantine.model import Keeper


def member(role: Role) -> Member:
    return Member(user_id=1, account_id=7, name="Ana", email="ana@example.com", role=role, time_zone="UTC")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OWNER])
def test_admins_and_owners_look_after_what_is_their_accounts(role: Role) -> None:
    assert rules.may_keep(member(role))
    assert rules.keeper_of(member(role)) == Keeper("Ana", 7)


def test_for_an_agent_it_does_not_exist() -> None:
    assert not rules.may_keep(member(Role.AGENT))
    with pytest.raises(NotFound):
        rules.keeper_of(member(Role.AGENT))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("a message without an id", "missing or contradicts itself: a message without an id."),
        ("Expected `str`, got `int` - at `$.id`", "in a shape that this version does not understand"),
        ("JSON is malformed: invalid character (byte 0)", "in a shape that this version does not understand"),
        ("context: Expected `object`, got `str`; DataException: refused", "in a shape"),
        ("QueryCanceled: canceling statement due to statement timeout", "took too long"),
        ("NumericValueOutOfRange: integer out of range", "The database refused it."),
        ("KeyError: 'x'", "Our own software failed on it."),
        ("RecursionError", "Our own software failed on it."),
    ],
)
def test_what_an_error_means(error: str, said: str) -> None:
    reason = rules.reason_for(error)
    assert said in reason.sentence
    assert reason.next_step.endswith(".")


def test_a_dismissal_has_its_reason_on_one_line() -> None:
    assert rules.checked_why(" An\n advert\0 ") == "An advert"
    for wrong in ("", " \0", "x" * (rules.WHY_CHARS_MAX + 1)):
        with pytest.raises(Invalid):
            rules.checked_why(wrong)
