"""Every benchmark runs, small, and has its line; how fast anything was is no matter here."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.bench import machine, page
from tests.bench.__main__ import BENCHES, options_of
from tests.bench.machine import Server
from tests.bench.results import ROOT

SMALL: Final[dict[str, dict[str, float]]] = {
    "ack": {"seconds": 0.2, "connections": 8},
    "live": {"messages": 300, "rate": 200, "seconds": 1, "connections": 8},
    "import": {"messages": 2_500, "threads": 100, "workers": 1},
    "growth": {"messages": 2_500, "base": 500, "imported": 250, "delivered": 200, "workers": 1},
    "screen": {"echoes": 5, "streams": 6, "every_ms": 50},
    "memory": {"messages": 2_500, "threads": 100, "workers": 1},
}


@pytest.fixture(scope="module")
def bench_server() -> Iterator[Server]:
    """One server for all, on the disk of the tests: starting it takes longer than most of what is run here."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("BENCH_DIR", os.environ["TESTS_DATA_DIR"])
        running = machine.server()
        yield runner.run(running.__aenter__())
        runner.run(running.__aexit__(None, None, None))


@pytest.mark.parametrize("name", BENCHES)
async def test_it_measures(
    name: str, bench_server: Server, chromium_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMIUM", chromium_path)
    result = await BENCHES[name][0](bench_server, **SMALL[name])
    check(json.loads(json.dumps(result.as_json())), name)


async def test_the_command_prints_one_line() -> None:
    options = [word for name, value in SMALL["ack"].items() for word in (f"--{name}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench", "ack", *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"BENCH_DIR": os.environ["TESTS_DATA_DIR"]},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    (line,) = out.decode().splitlines()
    check(json.loads(line), "ack")


def test_each_size_can_be_chosen() -> None:
    assert list(BENCHES) == list(page.BENCHES)
    for name, (run, _) in BENCHES.items():
        names = {option.name for option in options_of(run)}
        assert SMALL[name].keys() <= names


def check(line: dict[str, Any], name: str) -> None:
    """Whether a line has what a reader needs."""
    assert line["bench"] == name
    assert line["figure"] > 0
    assert line["limit"] > 0
    assert line["ratio"] > 0
    assert line["targets"]
    for target in line["targets"].values():
        assert target["at_least" if "at_least" in target else "at_most"] > 0
        assert target["value"] > 0
    assert {"web", "postgres", "client"} <= line["cpu_seconds"].keys()
    assert line["machine"]["postgresql"]["fsync"] == "on"
    assert line["machine"]["postgresql"]["synchronous_commit"] == "on"
    assert f"| `{name}` | {line['figure']:,} {line['unit']} |" in page.written({name: line})
