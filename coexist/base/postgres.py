"""The embedded PostgreSQL, for those who bring none of their own: one server a data folder.

Every process of the product that uses the folder holds a lease, a shared lock that dies with the process.
One supervisor (`postgres_server`), a small process apart, starts the server when the first lease is taken,
starts it again when it crashes, and stops it when the last lease is gone. So `export` uses the server that
`serve` runs, or one for its own duration, and a kill -9 of anybody leaves nothing behind.
"""

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from coexist.base.errors import Unavailable

START_WAIT_S: Final = 300  # a server that replays its log after a crash of the machine needs some
STOP_WAIT_S: Final = 40
POLL_S: Final = 0.05
WATCH_EVERY_S: Final = 1.0
LOG_MAX_BYTES: Final = 10 * 1024 * 1024  # then a start sets the old log aside


@dataclass(frozen=True, slots=True)
class Places:
    """The files of the embedded server, all inside the data folder but perhaps the socket."""

    home: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def leases(self) -> Path:
        """Locked shared by every process that uses the server."""
        return self.home / "leases.lock"

    @property
    def supervisor(self) -> Path:
        """Locked by the one supervisor as long as it lives."""
        return self.home / "supervisor.lock"

    @property
    def address(self) -> Path:
        """The URL of the server, there while it accepts connections."""
        return self.home / "address"

    @property
    def failure(self) -> Path:
        """Why the last supervisor gave up, in words."""
        return self.home / "failure"


def places(data_dir: Path) -> Places:
    """Where the embedded server of a data folder is."""
    return Places(data_dir.absolute() / "postgres")


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[str]:
    """The URL of the folder's PostgreSQL, which runs at least until the end of the block.

    The last one to leave waits until the server has stopped. Raises `Unavailable`, with the reason and what
    to do, when it cannot run here.
    """
    files = places(data_dir)
    lease = await asyncio.to_thread(_take_lease, files)
    try:
        address = await asyncio.to_thread(_wait_until_ready, files)
        watch = asyncio.create_task(_keep_supervised(files))
        try:
            yield address
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
    finally:
        await asyncio.to_thread(_give_back, files, lease)


def is_supervised(files: Places) -> bool:
    """Whether a supervisor lives."""
    return not _locks(files.supervisor, fcntl.LOCK_SH)


def _take_lease(files: Places) -> int:
    """Waits while a supervisor is stopping the server: then the next one starts it anew."""
    try:
        # Others may pass through, not list: PostgreSQL runs as another user when we are root.
        files.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        lease = os.open(files.leases, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise Unavailable(
            f"{files.home} cannot be written by this user.",
            next_step="Run as the user that made it, or choose another COEXIST_DATA_DIR.",
        ) from error
    fcntl.flock(lease, fcntl.LOCK_SH)
    return lease


def _wait_until_ready(files: Places) -> str:
    deadline = time.monotonic() + START_WAIT_S
    files.failure.unlink(missing_ok=True)
    while time.monotonic() < deadline:
        if files.failure.exists() and not is_supervised(files):
            raise Unavailable(
                f"The embedded PostgreSQL did not start: {files.failure.read_text('utf-8').strip()}",
                next_step=f"{files.log} tells more. COEXIST_DATABASE_URL can name a PostgreSQL of your own.",
            )
        if not is_supervised(files):
            _start_supervisor(files)
        with suppress(FileNotFoundError, psycopg.OperationalError):
            address = files.address.read_text("utf-8")
            psycopg.connect(address, connect_timeout=5).close()
            return address
        time.sleep(POLL_S)
    raise Unavailable(
        f"The embedded PostgreSQL was not ready within {START_WAIT_S} seconds.",
        next_step=f"{files.log} may say why; when it is still recovering, start again later.",
    )


async def _keep_supervised(files: Places) -> None:
    """A supervisor that was killed is replaced; the new one then clears up after the old one."""
    child: int | None = None
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        if not is_supervised(files):
            child = await asyncio.to_thread(_start_supervisor, files)
        elif child is not None:
            _has_ended(child)


def _start_supervisor(files: Places) -> int:
    """Start one in a session of its own: a Ctrl-C at our terminal is not meant for the database.

    When two processes start one at once, the second finds the lock taken and ends.
    """
    if files.log.exists() and files.log.stat().st_size > LOG_MAX_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    log = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "coexist.base.postgres_server", str(files.home)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not is_supervised(files) and not _has_ended(child):
        time.sleep(POLL_S)
    return child


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def _give_back(files: Places, lease: int) -> None:
    """End our lease. If it was the last, wait until the server has stopped."""
    os.close(lease)
    deadline = time.monotonic() + STOP_WAIT_S
    while time.monotonic() < deadline and is_supervised(files):
        # Nobody can share the lock: the supervisor holds it alone, and is stopping. Otherwise it either
        # has not looked yet, or somebody else has a lease.
        if _locks(files.leases, fcntl.LOCK_SH) and not _locks(files.leases, fcntl.LOCK_EX):
            return
        time.sleep(POLL_S)


def _locks(path: Path, kind: int) -> bool:
    """Whether a lock of that kind can be had just now; it is given back at once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
