"""Which requirements a test proves: `@pytest.mark.requirement("D2", "D3")`, and `pytest --requirements`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

IDS_FILE: Final = Path(__file__).parents[2] / "docs" / "requirements-ids.txt"


def all_ids() -> list[str]:
    """Every requirement's id, in the order of the file."""
    return IDS_FILE.read_text("utf-8").split()


def ids_of(item: pytest.Item) -> set[str]:
    """The requirements that a test says it proves."""
    return {str(one) for mark in item.iter_markers("requirement") for one in mark.args}


def check(items: Iterable[pytest.Item]) -> None:
    """Refuse a marker that names no requirement: it would prove nothing."""
    known = set(all_ids())
    for item in items:
        unknown = ids_of(item) - known
        if unknown or any(not mark.args for mark in item.iter_markers("requirement")):
            raise pytest.UsageError(
                f"{item.nodeid}: no such requirement: {', '.join(sorted(unknown)) or '(none given)'}"
            )


def unproven(items: Iterable[pytest.Item]) -> list[str]:
    """The requirements that none of these tests names."""
    proven = set[str]().union(*(ids_of(item) for item in items))
    return [one for one in all_ids() if one not in proven]
