"""The wall clock of the machine under test, moved by libfaketime while the monotonic clock goes on, as in life."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIBRARY: Final = "libfaketime.so.1"
PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime", "/usr/lib64/faketime")
SHARED: Final = Path("/dev/shm")
SHARED_NAME: Final = re.compile(r"(?:faketime_shm|sem\.faketime_sem)_(\d+)")
REREAD_S: Final = 1
"""How long after a jump every process has noticed it."""


def library() -> Path | None:
    """libfaketime, if it is installed. Not its variant for threads: that one locks inside signal handlers."""
    found = (path for place in PLACES for path in Path("/").glob(f"{place[1:]}/{LIBRARY}"))
    return next(found, None)


def why_not() -> str:
    """Why the clock cannot be moved here; empty when it can."""
    return "" if library() else f"{LIBRARY} is not installed. On Debian and Ubuntu: apt-get install faketime"


def sweep() -> None:
    """Remove the shared memory of processes under libfaketime that were killed: they could not do it themselves."""
    for file in SHARED.iterdir():
        owner = SHARED_NAME.fullmatch(file.name)
        if owner and file.stat().st_uid == os.geteuid() and not Path(f"/proc/{owner[1]}").exists():
            file.unlink(missing_ok=True)


@dataclass
class Clock:
    """How far the clock of the machine is from the right time."""

    file: Path
    offset_s: int = 0
    _righted_at: float = 0.0

    def jump(self, offset_s: int) -> None:
        """From now on it is that much later than it is, or earlier if negative."""
        if self.offset_s:
            self._righted_at = time.monotonic()
        self.offset_s = offset_s
        draft = self.file.with_suffix(".draft")
        draft.write_text(f"{offset_s:+d}")
        draft.replace(self.file)

    def was_wrong(self, since: float) -> bool:
        """Whether any process may have read a wrong time since then, a moment of ``time.monotonic()``."""
        return bool(self.offset_s) or self._righted_at + 2 * REREAD_S > since

    def environment(self) -> Mapping[str, str]:
        """What a process needs to live by this clock."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": str(REREAD_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(Path(__file__).parent / "preloaded"),
        }


@contextmanager
def inherited(environment: Mapping[str, str]) -> Iterator[None]:
    """Whatever is started inside the block has these variables too."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
