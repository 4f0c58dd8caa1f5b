"""Every kind of fault once, two at a time, under load. `bin/faults` does the same for as long as one likes."""

from __future__ import annotations

import secrets

import pytest

from tests.faults.kinds import KINDS
from tests.faults.run import Plan, execute


@pytest.mark.requirement("C1", "C3", "C4", "D1")
async def test_nothing_is_lost_or_doubled_whatever_fails() -> None:
    """Each time by another chance: a failure prints its seed, and `bin/faults --minutes 0 --seed` tries it again."""
    not_tried = {kind.name: why for kind in KINDS.values() if (why := kind.why_not())}
    kinds = [kind for kind in KINDS.values() if kind.name not in not_tried]
    summary = await execute(Plan(secrets.randbelow(1_000_000), kinds), print)
    assert summary["faults"].keys() == {kind.name for kind in kinds}
    if not_tried:
        told = "; ".join(f"{name}: {why}" for name, why in not_tried.items())
        pytest.skip(f"{len(kinds)} kinds of fault were tried and nothing was lost. NOT TRIED: {told}")
