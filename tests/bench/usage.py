"""What our processes use, as the kernel counts it: CPU seconds and memory, by kind of process.

A kind is `web`, `worker`, `postgres`, `browser`, `bare` (the limit's own server) or `client`, which is this process.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
KIBIBYTES_PER_MB: Final = 1e6 / 1024
CLIENT: Final = "client"


def processes() -> dict[str, list[int]]:
    """The process ids of each kind, among those that this process started, and they in turn."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    found: dict[str, list[int]] = defaultdict(list)

    def descend(pid: int, kind: str) -> None:
        found[kind].append(pid)
        for child in children[pid]:
            descend(child, _kind(child, kind))

    descend(os.getpid(), CLIENT)
    return found


def _kind(pid: int, parents: str) -> str:
    if parents in ("postgres", "browser"):
        return parents
    words: set[str] = set()
    with suppress(OSError):  # it has just ended
        words = set(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0"))
    if "coexist.base.postgres_server" in words:
        return "postgres"
    if words & {"tests.bench.noop", "tests.bench.bare_screen"}:
        return "bare"
    if words & {"coexist", "coexist.app"}:
        return "worker" if "work" in words else "web"
    return "browser" if parents == CLIENT else parents


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: 1 is the parent, 11 to 14 are times in ticks."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2].split()


def cpu_seconds() -> dict[str, float]:
    """CPU time of each kind so far, with that of processes which have ended and were waited for."""
    spent: dict[str, float] = {}
    for kind, pids in processes().items():
        ticks = 0
        for pid in pids:
            with suppress(OSError):
                user, system, ended_user, ended_system = map(int, _stat(pid)[11:15])
                # What this process started counts under its own kind, not under the client's.
                ticks += user + system + (0 if kind == CLIENT else ended_user + ended_system)
        spent[kind] = ticks / TICKS_PER_S
    return spent


@dataclass
class Spent:
    """Wall and CPU seconds inside the ``with`` blocks of it, added up."""

    seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __enter__(self) -> "Spent":
        self._before, self._begin = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.seconds += time.perf_counter() - self._begin
        for kind, after in cpu_seconds().items():
            self.cpu_seconds[kind] += max(0.0, after - self._before.get(kind, 0.0))

    def __add__(self, other: "Spent") -> "Spent":
        kinds = self.cpu_seconds.keys() | other.cpu_seconds.keys()
        both = {kind: self.cpu_seconds.get(kind, 0.0) + other.cpu_seconds.get(kind, 0.0) for kind in kinds}
        return Spent(self.seconds + other.seconds, both)


@dataclass(frozen=True)
class Memory:
    """Resident memory of one process in MB; ``pss_mb`` counts what n processes share as an nth."""

    rss_mb: float
    pss_mb: float


def memory(pid: int) -> Memory:
    """What a process holds now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return Memory(kibibytes["Rss"] / KIBIBYTES_PER_MB, kibibytes["Pss"] / KIBIBYTES_PER_MB)


def reset_peak(pid: int) -> None:
    """Let the kernel's record of the highest resident size begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def peak_rss_mb(pid: int) -> float:
    """The highest resident size since ``reset_peak``, in MB."""
    lines: Iterator[str] = iter(Path(f"/proc/{pid}/status").read_text("utf-8").splitlines())
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / KIBIBYTES_PER_MB
