"""The embedded PostgreSQL: shared by processes, stopped by the last, back after every kind of kill -9."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from coexist.base import postgres
from coexist.base.errors import Unavailable
from coexist.base.postgres_server import MAJOR_VERSION, START_ATTEMPTS, buffers_mb
from tests.support.waiting import PATIENCE_S

# Another process of the product: takes a lease, tells the URL, and leaves when its input ends.
TENANT = """
import asyncio, sys
from pathlib import Path
from coexist.base import postgres

async def main():
    async with postgres.running(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A short path in a closed folder, as below /root."""
    with tempfile.TemporaryDirectory(prefix="coexist-t-") as name:
        yield Path(name) / "data"


@asynccontextmanager
async def tenant(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        TENANT,
        str(data_dir),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process, (await process.stdout.readline()).decode().strip()
            process.stdin.close()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def postmaster(data_dir: Path) -> int:
    return int((postgres.places(data_dir).cluster / "postmaster.pid").read_text().splitlines()[0])


def supervisor(data_dir: Path) -> int | None:
    """The process that has the supervisor's lock, if one has, asked of the kernel."""
    inode = postgres.places(data_dir).supervisor.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[3] == "WRITE" and words[5].endswith(f":{inode}"):
            return int(words[4])
    return None


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def keep_one_more(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists kept (n int)")
        connection.execute("insert into kept values (1)")


async def until_back(url: str, expected: int) -> None:
    """Wait until the server answers again, and has kept what was committed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert await asyncio.to_thread(count, url) == expected
                return
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)


async def until_stopped(data_dir: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while postgres.is_supervised(postgres.places(data_dir)):
            await asyncio.sleep(0.05)


async def test_it_keeps_its_data_and_has_what_the_product_needs(data_dir: Path) -> None:
    async with postgres.running(data_dir) as url:
        keep_one_more(url)
        with psycopg.connect(url) as connection:
            connection.execute("create extension pg_trgm")
            for setting, value in (("fsync", "on"), ("server_encoding", "UTF8"), ("is_superuser", "off")):
                assert connection.execute(f"show {setting}".encode()).fetchone() == (value,)
            for name in ("שלום", "مرحبا"):
                row = connection.execute("select similarity(%s, %s)", (name, name)).fetchone()
                assert row == (1.0,)
    assert not postgres.is_supervised(postgres.places(data_dir))
    async with postgres.running(data_dir) as url:
        assert count(url) == 1


async def test_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    async with tenant(data_dir) as (_, first_url):
        server = postmaster(data_dir)
        async with tenant(data_dir) as (_, second_url), postgres.running(data_dir) as third_url:
            assert first_url == second_url == third_url
            assert postmaster(data_dir) == server
        keep_one_more(first_url)
        assert postmaster(data_dir) == server
    assert not postgres.is_supervised(postgres.places(data_dir))


async def test_many_that_start_at_once_share_one_server(data_dir: Path) -> None:
    async def visit() -> int:
        async with tenant(data_dir) as (_, url):
            await asyncio.to_thread(keep_one_more, url) if url.startswith("postgresql://") else pytest.fail(url)
            return postmaster(data_dir)

    async with postgres.running(data_dir) as url:
        with psycopg.connect(url) as connection:
            connection.execute("create table kept (n int)")
        servers = await asyncio.gather(*(visit() for _ in range(4)))
        assert set(servers) == {postmaster(data_dir)}
        assert count(url) == 4


async def test_it_is_back_after_kill_9_of_the_server(data_dir: Path) -> None:
    async with postgres.running(data_dir) as url:
        for killed in range(1, 4):
            keep_one_more(url)
            os.kill(postmaster(data_dir), signal.SIGKILL)
            await until_back(url, killed)


async def test_it_is_back_when_what_kept_it_from_starting_is_over(data_dir: Path) -> None:
    files = postgres.places(data_dir)
    control = files.cluster / "global" / "pg_control"
    async with postgres.running(data_dir) as url:
        keep_one_more(url)
        control.rename(control.with_suffix(".away"))
        os.kill(postmaster(data_dir), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while f"ended {START_ATTEMPTS} times during its start. Trying again." not in files.log.read_text("utf-8"):
                await asyncio.sleep(0.1)
        control.with_suffix(".away").rename(control)
        await until_back(url, 1)


async def test_it_is_back_after_kill_9_of_the_supervisor(data_dir: Path) -> None:
    async with postgres.running(data_dir) as url:
        keep_one_more(url)
        before = supervisor(data_dir)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while supervisor(data_dir) in (before, None):
                await asyncio.sleep(0.05)
        await until_back(url, 1)


async def test_it_is_back_after_kill_9_of_everybody(data_dir: Path) -> None:
    async with tenant(data_dir) as (process, url):
        keep_one_more(url)
        for pid in (supervisor(data_dir), process.pid, postmaster(data_dir)):
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        await process.wait()
    assert (postgres.places(data_dir).cluster / "postmaster.pid").exists()
    async with postgres.running(data_dir) as url:
        assert count(url) == 1


async def test_a_stale_pid_file_that_names_a_living_stranger_is_no_obstacle(data_dir: Path) -> None:
    async with postgres.running(data_dir) as url:
        keep_one_more(url)
    pid_file = postgres.places(data_dir).cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{pid_file.parent}\n1\n5432\n\n\n  1 1\nready   \n")
    async with postgres.running(data_dir) as url:
        assert count(url) == 1


async def test_the_server_stops_when_its_only_user_is_killed(data_dir: Path) -> None:
    async with tenant(data_dir) as (process, _):
        process.kill()
        await process.wait()
        await until_stopped(data_dir)
    assert not (postgres.places(data_dir).cluster / "postmaster.pid").exists()


async def test_a_first_start_that_was_killed_is_begun_anew(data_dir: Path) -> None:
    half_made = postgres.places(data_dir).home / "cluster.draft" / "base"
    half_made.mkdir(parents=True)
    async with postgres.running(data_dir) as url:
        keep_one_more(url)
    assert not half_made.exists()


async def test_a_long_path_is_no_obstacle(data_dir: Path) -> None:
    async with postgres.running(data_dir / ("long" * 20) / ("longer" * 20)) as url:
        keep_one_more(url)


async def test_another_major_version_is_refused_in_words(data_dir: Path) -> None:
    cluster = postgres.places(data_dir).cluster
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    if os.geteuid() == 0:
        shutil.chown(cluster, "nobody")
    with pytest.raises(Unavailable, match=f"made by PostgreSQL 9, and this is {MAJOR_VERSION}"):
        async with postgres.running(data_dir):
            pytest.fail("it ran")


@pytest.mark.parametrize("group", ["", "system.slice/coexist.service", "system.slice/coexist.service/workers"])
@pytest.mark.parametrize(
    ("limit", "buffers"),
    [("512000000", 128), (f"{4 * 1024**3}", 512), ("max", None), ("999999999999999", None), (None, None)],
)
def test_the_servers_cache_is_an_eighth_of_the_memory_within_bounds(
    tmp_path: Path, limit: str | None, buffers: int | None, group: str
) -> None:
    limited = tmp_path / "cgroup" / "/".join(group.split("/")[:2])  # ours, or the one that ours is in
    (tmp_path / "cgroup" / group).mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text(f"9:cpu:/another\n0::/{group}\n")
    if limit is not None:
        (limited / "memory.max").write_text(limit + "\n")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    assert buffers_mb(tmp_path / "cgroup", own) == (buffers or min(max(machine // 8, 128), 2048))
