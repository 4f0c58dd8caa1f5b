"""What a benchmark found: one JSON line, and the newest of each kept for docs/performance.md."""

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from coexist.base import database
from tests.bench.usage import Spent

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "docs" / "performance.json"
SYNCED_WRITES_COUNT: Final = 40
SETTINGS: Final = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size")


@dataclass(frozen=True)
class Target:
    """A figure and what it is wanted to be: at least or at most."""

    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether it holds."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def as_json(self) -> dict[str, float | bool]:
        """Rounded to the precision of the wish; whether it is met is judged before."""
        wanted = {"at_least": self.at_least, "at_most": self.at_most}
        return {
            "value": rounded(self.value),
            **{key: value for key, value in wanted.items() if value is not None},
            "is_met": self.is_met,
        }


@dataclass(frozen=True)
class Result:
    """A figure beside its own limit, taken in the same run, and all that a reader needs to judge it."""

    bench: str
    figure: float
    unit: str
    limit: float
    limit_is: str
    ratio: float
    targets: Mapping[str, Target]
    spent: Spent  # while our own part ran, not the limit's
    sizes: Mapping[str, float]
    machine: Mapping[str, Any]
    further: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What is printed and kept."""
        return {
            "bench": self.bench,
            "figure": rounded(self.figure),
            "unit": self.unit,
            "limit": rounded(self.limit),
            "limit_is": self.limit_is,
            "ratio": rounded(self.ratio),
            "targets": {name: target.as_json() for name, target in self.targets.items()},
            "further": {name: rounded(value) for name, value in self.further.items()},
            "seconds": rounded(self.spent.seconds),
            "cpu_seconds": {kind: rounded(spent) for kind, spent in sorted(self.spent.cpu_seconds.items())},
            "sizes": dict(self.sizes),
            "machine": dict(self.machine),
            "revision": revision(),
            "taken_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}Z",
        }


def rounded(value: float) -> float:
    """Three significant digits, and every digit before the point: more would be noise."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def keep(line: Mapping[str, Any], path: Path = KEPT) -> None:
    """Let a line be the newest of its benchmark."""
    kept = read(path) | {line["bench"]: dict(line)}
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(kept, indent=2, sort_keys=False) + "\n", "utf-8")
    draft.replace(path)


def read(path: Path = KEPT) -> dict[str, dict[str, Any]]:
    """The newest line of each benchmark."""
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


async def machine_of(server_url: str, folder: Path) -> dict[str, Any]:
    """On what a figure is taken: processor, kernel, disk, PostgreSQL with the settings that cost time, other load."""
    load_before = os.getloadavg()[0]
    async with await database.connect(server_url, application="bench") as conn:
        shown = {name: await (await conn.execute(f"SHOW {name}")).fetchone() for name in SETTINGS}
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "synced_write_ms": rounded(_synced_write_ms(folder)),
        "python": platform.python_version(),
        "postgresql": {name: row[0] for name, row in shown.items() if row is not None},
        "load_before": round(load_before, 2),
    }


def _cpu_model() -> str:
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
             if line.startswith("model name")]  # fmt: skip
    return names[0] if names else platform.machine()


def _synced_write_ms(folder: Path) -> float:
    """The median time in which 8 KiB are on the disk: what one commit costs at least."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(SYNCED_WRITES_COUNT):
            begin = time.perf_counter()
            file.write(b"\0" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1000


def revision() -> str:
    """The commit that was measured, with a `+` when files were changed since."""

    def git(*words: str) -> str:
        return subprocess.run(("git", "-C", ROOT, *words), capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "coexist", "tests/bench", "tests/support")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("+" if changed else "")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(values: Sequence[float], share: float) -> float:
    """A percentile of times in s, in ms."""
    return percentile(values, share) * 1000
