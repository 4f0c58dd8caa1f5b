"""The one-shot sync, as Meta sends it on good and on bad days: what is here at its end is what the phone shows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.flows.shop import open_shop
from tests.support.product import connect

KEEP_OPEN: Final = timedelta(days=14)
"""How recent an unanswered customer must be not to be filed: the default of a new inbox."""

EVERYTHING_WRONG: Final = {
    "duplicate": 0.3,
    "reorder": 0.5,
    "split": 0.4,
    "merge": 4,
    "drop_then_retry": 0.3,
    "status_disorder": 1.0,
    "echo_api": True,
}


@pytest.mark.requirement("B1", "B7", "C2", "C5", "D1", "D4", "D6", "D7", "D8", "D10", "D12", "F2", "F9")
async def test_all_that_the_phone_shares_is_here_and_nobody_was_disturbed(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=2_000) as shop:
        await connect(shop.product, shop.phone)
        lines = await shop.check()
        assert all(line["kind"] != "message" or line["imported"] for line in lines)
