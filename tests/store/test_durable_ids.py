"""What somebody has seen is what it was after a crash of the database: its ids name nobody and nothing else."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from coexist.base import migrate, postgres
from coexist.base.database import Pool, open_pool, transaction
from tests.support import intake, wire
from tests.support.intake import SHOP, body_of
from tests.support.waiting import PATIENCE_S

LAZY: Final = "\nwal_writer_delay = '10s'\n"
"""What nobody waits for reaches the disk this late."""
SEEN: Final = {
    "contacts": "SELECT id, phone FROM contacts ORDER BY id",
    "conversations": "SELECT id, inbox_id, contact_id FROM conversations ORDER BY id",
    "messages": "SELECT id, conversation_id, wamid, text FROM messages ORDER BY id",
    "files": "SELECT id, inbox_id, wamid FROM media ORDER BY id",
    "events": "SELECT id, kind::text, conversation_id FROM events ORDER BY id",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path in a closed folder, for sockets."""
    with tempfile.TemporaryDirectory(prefix="coexist-t-") as name:
        yield Path(name) / "data"


def postmaster(folder: Path) -> int:
    return int((postgres.places(folder).cluster / "postmaster.pid").read_text("utf-8").splitlines()[0])


async def seen(pool: Pool) -> dict[str, list[tuple[Any, ...]]]:
    async with pool.connection() as conn:
        return {name: await (await conn.execute(query)).fetchall() for name, query in SEEN.items()}


async def until_back(url: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url):
                    return
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)


def written(who: int) -> bytes:
    """A message of a person, and a photo."""
    phone = f"44770090020{who}"
    return body_of(
        wire.message(f"wamid.text.{who}", 1, wire.text(f"Sou {who}"), phone=phone),
        wire.message(f"wamid.photo.{who}", 2, wire.image(f"19{who}"), phone=phone),
    )


async def test_no_id_that_was_seen_means_something_else_after_a_crash(folder: Path) -> None:
    async with postgres.running(folder) as url:
        await migrate.apply_pending(url)
        with (postgres.places(folder).cluster / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(LAZY)
        os.kill(postmaster(folder), signal.SIGHUP)
        async with open_pool(url) as pool:
            async with transaction(pool) as conn:
                await intake.connect(conn, SHOP)
            for who in range(3):
                await intake.deliver(pool, [written(who)])
            before = await seen(pool)
            os.kill(postmaster(folder), signal.SIGQUIT)  # as a crash: nothing is written any more
        await until_back(url)
        async with open_pool(url) as pool:
            await intake.deliver(pool, [written(who) for who in (4, 3)])
            after = await seen(pool)
    assert {name: rows[: len(before[name])] for name, rows in after.items()} == before
    assert {name: len(rows) for name, rows in before.items()} == {
        "contacts": 3, "conversations": 3, "messages": 6, "files": 3, "events": len(before["events"])
    }  # fmt: skip
    assert before["events"]
