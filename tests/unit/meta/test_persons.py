"""Whose an item is: its own ids first, then what ``contacts[]`` knows of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pytest

from coexist.meta import wire
from coexist.meta.persons import Contacts

AT: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PHONE: Final = "351910559111"
FORMER, NEW, PARENT = "PT.40010020030040050", "PT.40010020030040099", "PT.ENT.9001"


def contacts(**more: str) -> Contacts:
    profile = wire.Profile(name="Inês", username="ines.duarte")
    return Contacts([wire.Contact(profile=profile, wa_id=PHONE, **more)], own=None)


@pytest.mark.requirement("F1")
def test_two_user_ids_under_one_phone_are_two_people() -> None:
    """A number that was passed on: the profile of whoever had it is not the writer's."""
    known = contacts(user_id=FORMER, parent_user_id=PARENT)
    writer = known.person(PHONE, NEW, None, AT, is_wa_id=True)
    assert (writer.bsuid, writer.parent_bsuid, writer.phone, writer.username) == (NEW, None, PHONE, None)
    by_parent = known.person(None, NEW, PARENT, AT, is_wa_id=False)
    assert (by_parent.phone, by_parent.username) == (None, None), "a portfolio has many people"


def test_one_user_id_or_none_under_a_phone_is_one_person() -> None:
    same = contacts(user_id=FORMER).person(PHONE, FORMER, None, AT, is_wa_id=True)
    assert (same.bsuid, same.username) == (FORMER, "ines.duarte")
    without = contacts(user_id=FORMER).person(PHONE, None, None, AT, is_wa_id=True)
    assert (without.bsuid, without.username) == (FORMER, "ines.duarte")
    first_told = contacts().person(PHONE, NEW, None, AT, is_wa_id=True)
    assert (first_told.bsuid, first_told.username) == (NEW, "ines.duarte")
