"""Phone numbers: what is kept, what is matched, what is shown."""

import pytest

from coexist.meta.phones import digits, match_key, pretty, same_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("351910559111", "351910559111"),
        ("+351 910 559-111", "351910559111"),
        ("(55) 11.98550/0101", "5511985500101"),
        ("\u202a+44\u00a07700\u00a0900123\u202c", "447700900123"),
        (351910559111, "351910559111"),
        ("", None),
        ("+", None),
        (None, None),
        ("120363000000000001@g.us", None),
        ("120363025246125486", None),
        ("351910559111-1520000000", None),
        ("PT.40010020030040050", None),
        ("٣٥١", None),
    ],
)
def test_digits_are_kept_and_nothing_else_becomes_a_key(text: str | int | None, expected: str | None) -> None:
    assert digits(text) == expected


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("one", "other"),
    [("5511985500101", "551185500101"), ("5215550100123", "525550100123"), ("5491155550101", "541155550101")],
    ids=["Brazil", "Mexico", "Argentina"],
)
def test_national_forms_of_one_mobile_are_one_person(one: str, other: str) -> None:
    assert match_key(one) == match_key(other)
    assert same_number(one, other)
    assert same_number(other, one)


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("551135500101", "5511935500101"),  # a landline in Brazil has no form with a 9
        ("5511985500101", "5511985500102"),
        ("351910559111", "351910559112"),
        ("447700900123", "7700900123"),
    ],
)
def test_other_numbers_stay_apart(one: str, other: str) -> None:
    assert match_key(one) != match_key(other)
    assert not same_number(one, other)


def test_nothing_is_the_same_number_as_nothing() -> None:
    assert not same_number(None, None)
    assert not same_number("", "")
    assert not same_number("351910559111", None)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("351910559111", "+351 910 559 111"),
        ("5511985500101", "+55 11 98550-0101"),
        ("447700900123", "+44 7700 900123"),
        ("0", "+0"),
        ("99999999999999999999", "+99999999999999999999"),
    ],
)
def test_people_read_the_international_form(number: str, expected: str) -> None:
    assert pretty(number) == expected
