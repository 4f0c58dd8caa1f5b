"""Migrations: once, in order, whole or not at all, whoever starts at the same time."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from coexist.base import migrate
from coexist.base.errors import Unavailable
from tests.support import databases

FUNCTION = """
-- depends: 0001_first
CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF n IS NULL THEN RETURN 0; END IF;  -- a semicolon; and a 'quote
    RETURN n * 2;
END;
$$;
CREATE FUNCTION halved(n int) RETURNS int LANGUAGE sql AS $body$ SELECT n / 2; $body$;
"""


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    async with databases.clone(server_url, "template1") as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("create table first (n int);\ninsert into first values (1);\n")
    (tmp_path / "0002_functions.sql").write_text(FUNCTION)
    return tmp_path


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


async def test_files_run_once_in_order(empty_url: str, folder: Path) -> None:
    assert await migrate.pending(empty_url, folder=folder) == ["0001_first", "0002_functions"]
    assert value(empty_url, "select count(*) from pg_tables where schemaname = 'public'") == 0
    assert await migrate.apply_pending(empty_url, folder=folder) == ["0001_first", "0002_functions"]
    assert await migrate.apply_pending(empty_url, folder=folder) == []
    assert await migrate.pending(empty_url, folder=folder) == []
    assert value(empty_url, "select sum(n) from first") == 1
    assert value(empty_url, "select doubled(21) + halved(4)") == 44


async def test_many_processes_at_once_run_them_once(empty_url: str, folder: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from coexist.base import migrate; "
        "print(len(asyncio.run(migrate.apply_pending(sys.argv[1], folder=Path(sys.argv[2])))))"
    )

    async def start() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty_url, str(folder), stdout=asyncio.subprocess.PIPE
        )
        written, _ = await process.communicate()
        return written.strip()

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [b"0", b"0", b"0", b"2"]
    assert value(empty_url, "select sum(n) from first") == 1


async def test_a_wrong_file_leaves_nothing_and_keeps_what_ran_before(empty_url: str, folder: Path) -> None:
    (folder / "0003_wrong.sql").write_text("create table third (n int);\nselect nonsense;\n")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await migrate.apply_pending(empty_url, folder=folder)
    assert await migrate.pending(empty_url, folder=folder) == ["0003_wrong"]
    assert value(empty_url, "select count(*) from pg_tables where tablename = 'third'") == 0
    (folder / "0003_wrong.sql").write_text("create table third (n int);\n")
    assert await migrate.apply_pending(empty_url, folder=folder) == ["0003_wrong"]


async def test_an_index_can_be_made_concurrently(empty_url: str, folder: Path) -> None:
    (folder / "0003_index.sql").write_text("-- transactional: false\ncreate index concurrently first_n on first (n);\n")
    assert "0003_index" in await migrate.apply_pending(empty_url, folder=folder)
    assert value(empty_url, "select indisvalid from pg_index where indexrelid = 'first_n'::regclass") is True
    assert await migrate.pending(empty_url, folder=folder) == []


async def test_the_products_own_migrations_run(empty_url: str) -> None:
    names = await migrate.apply_pending(empty_url)
    assert names == [file.stem for file in sorted(migrate.FOLDER.glob("*.sql"))]


async def test_no_database_is_said_in_words() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await migrate.apply_pending("postgresql://nobody@127.0.0.1:1/none")
