"""``coexist serve`` as a machine runs it: whatever it ends with, it is started again a moment later."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RESTART_S: Final = 0.5
"""As ``Restart=always`` with ``RestartSec=500ms`` does. What the process itself started, nobody here touches."""
GRACE_S: Final = 25.0
"""How long a stop may take: the 20 seconds that serve gives its own processes, and a little."""


@dataclass
class Unit:
    """One top process, kept running."""

    environment: Mapping[str, str]
    log: Path
    ends: list[int] = field(default_factory=list)
    """The exit code of each process that ended, minus the signal's number if it was killed."""
    _process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The top process, None between two."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep_running(self) -> None:
        """Start it, and start it again, until cancelled."""
        while True:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "coexist", "serve", env=dict(self.environment), stdout=log, stderr=log
                )
            self.ends.append(await self._process.wait())
            await asyncio.sleep(RESTART_S)

    def children(self, word: bytes) -> list[int]:
        """The processes that serve started itself whose command line has this word: ``work`` or ``coexist.app``."""
        found: list[int] = []
        with suppress(OSError):
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                if word in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    found.append(int(child))
        return found

    @property
    def is_whole(self) -> bool:
        """Whether serve runs, with a worker and a second process that answers."""
        return bool(self.children(b"work") and self.children(b"coexist.app"))

    async def terminate(self) -> tuple[int, float]:
        """SIGTERM, as every stop and every deployment begins. Returns the exit code, and the seconds that it took."""
        process = self._process
        assert process is not None
        begun = time.monotonic()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GRACE_S):
            code = await process.wait()
        return code, time.monotonic() - begun


@asynccontextmanager
async def running(environment: Mapping[str, str], log: Path) -> AsyncIterator[Unit]:
    """A unit that runs inside the block; afterwards it is stopped as an operator does, harder if need be."""
    unit = Unit(environment, log)
    keeper = asyncio.create_task(unit.keep_running())
    try:
        yield unit
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        try:
            if unit.pid is not None:
                await unit.terminate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(unit.pid or 0, signal.SIGKILL)


def command_of(pid: int) -> str:
    """What a process was started as."""
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return "gone by now"


def processes_of(folder: Path) -> list[int]:
    """Every process whose settings name the folder as its data folder: ours, whoever their parent is by now."""
    wanted = f"COEXIST_DATA_DIR={folder}".encode()
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            with suppress(OSError):
                if wanted in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
    return found
