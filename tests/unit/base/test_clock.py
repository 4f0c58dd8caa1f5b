"""The clock, and the file by which it can be put on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coexist.base import clock

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_it_runs_ahead_as_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_ahead", timedelta)
    monkeypatch.setattr(clock, "REREAD_S", -1)
    file = tmp_path / "ahead"
    with clock.reading(lambda: NOON):
        clock.run_ahead(file)
        assert clock.now() == NOON, "there is no file yet"
        file.write_text("86400")
        assert clock.now() == NOON + timedelta(days=1)
        assert clock.of_host() == NOON, "hosts are compared by their own clocks"
