"""docs/performance.md is what the generator writes, and what it writes says what was measured."""

import copy
from typing import Any, Final

import pytest

from tests.bench import page, results
from tests.bench.results import Result, Target
from tests.bench.usage import Spent

MACHINE: Final = {
    "cores": 2,
    "cpu": "A processor",
    "kernel": "6.1",
    "memory_gb": 8,
    "synced_write_ms": 1.5,
    "python": "3.11.7",
    "postgresql": {"server_version": "18", "fsync": "on", "synchronous_commit": "on", "shared_buffers": "128MB"},
    "load_before": 0.1,
}


def line(name: str, **targets: Target) -> dict[str, Any]:
    return Result(
        name,
        1234.56,
        "messages/s",
        2469.1,
        "nothing",
        0.5,
        targets=targets,
        spent=Spent(10.04, {"web": 1.26}),
        sizes={"messages": 50_000},
        machine=MACHINE,
        further={"p50_ms": 3.14159},
    ).as_json()


def test_the_page_is_fresh() -> None:
    assert page.PAGE.read_text("utf-8") == page.written(), "run: bin/bench report"


def test_a_target_is_reached_or_missed() -> None:
    written = page.written({"live": line("live", ratio=Target(0.2996, at_least=0.3), p99=Target(50.0, at_most=50))})
    assert "| `live` | ratio | ≥ 0.3 | 0.3 | **missed** |" in written
    assert "| `live` | p99 | ≤ 50 | 50.0 | reached |" in written
    assert "| `ack` | not measured yet |" in written
    assert "| `live` | 1,235 messages/s | 2,469 (nothing) | 0.5 | messages 50,000 | p50 ms 3.14 |" in written
    assert "| `live` | 10.0 | 1.26 |" in written
    assert "2 cores of A processor" in written


def test_a_machine_is_named_once() -> None:
    lines = {name: line(name) for name in ("ack", "import")}
    lines["screen"] = copy.deepcopy(line("screen"))
    lines["screen"]["machine"]["cores"] = 64
    written = page.written(lines)
    assert written.count("2 cores of A processor") == 1
    assert written.count("64 cores of A processor") == 1


def test_the_newest_line_of_a_benchmark_is_kept(tmp_path: Any) -> None:
    path = tmp_path / "performance.json"
    assert results.read(path) == {}
    for figure in (1, 2):
        results.keep({"bench": "ack", "figure": figure}, path)
    results.keep({"bench": "live", "figure": 3}, path)
    assert results.read(path) == {"ack": {"bench": "ack", "figure": 2}, "live": {"bench": "live", "figure": 3}}


@pytest.mark.parametrize(
    ("value", "shown"), [(12345.6, 12346), (123.4, 123), (99.94, 99.9), (0.29964, 0.3), (0.0004321, 0.000432), (0, 0)]
)
def test_figures_have_three_digits(value: float, shown: float) -> None:
    assert results.rounded(value) == shown
