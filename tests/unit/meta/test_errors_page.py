"""docs/sending.md says what the table of errors does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from coexist.meta.errors import GROUP_CODES, MEANINGS, Action, action_of

PAGE: Final = (Path(__file__).parents[3] / "docs" / "sending.md").read_text("utf-8")
ROWS: Final = {
    row[0].strip("` "): row[-1] for row in (line.strip("|").split("|") for line in PAGE.splitlines() if "| `" in line)
}
"""The codes that the page names for each action."""


def named(codes: str) -> list[range]:
    found = [(int(low), int(high or low)) for low, high in re.findall(r"(\d+)(?:-(\d+))?", codes)]
    return [range(low, high + 1) for low, high in found]


def test_every_action_has_a_row() -> None:
    assert ROWS.keys() == set(Action)


@pytest.mark.parametrize("code", sorted(MEANINGS.keys() | GROUP_CODES))
def test_a_code_stands_in_the_row_of_its_action_alone(code: int) -> None:
    action = action_of(code)
    rows = {name for name, codes in ROWS.items() if any(code in each for each in named(codes))}
    assert rows == (set() if action is Action.FAIL else {action})
