"""Lists as array literals: PostgreSQL reads back what was given, whatever the texts contain."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coexist.base.database import Pool, transaction

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT | st.sampled_from(["NULL", "", '"', "\\", "{}", "a,b", " x ", '\\"'])))
async def test_texts_come_back_as_they_were(pool: Pool, texts: list[str]) -> None:
    assert await answered(pool, "SELECT %s::text[]", texts) == texts


@pytest.mark.parametrize("numbers", [[], [0], [-1, 2**31, 2**62], list(range(1000)), [1, None, 3]])
async def test_numbers_come_back_as_they_were(pool: Pool, numbers: list[int | None]) -> None:
    assert await answered(pool, "SELECT %s::bigint[]", numbers) == numbers


@pytest.mark.parametrize(
    ("kind", "other"), [("boolean", [True, False]), ("text", ["a", None]), ("bytea", [b"x"]), ("text", [["a"], ["b"]])]
)
async def test_other_lists_are_left_to_psycopg(pool: Pool, kind: str, other: list[Any]) -> None:
    assert await answered(pool, f"SELECT %s::{kind}[]", other) == other


async def test_a_text_postgresql_cannot_hold_is_refused(pool: Pool) -> None:
    with pytest.raises(Exception, match="NUL"):
        await answered(pool, "SELECT %s::text[]", ["a\0b"])


async def answered(pool: Pool, query: str, given: list[Any]) -> Any:
    async with transaction(pool) as conn:
        row = await (await conn.execute(query, (given,))).fetchone()
        assert row is not None
        return row[0]
