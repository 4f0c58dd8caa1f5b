"""What reads only can read from a replica, which takes no writes."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path

import psycopg

from coexist.base import migrate
from coexist.base.database import open_pool, transaction
from tests.hosts.cluster import open_cluster, open_replica
from tests.support import intake, wire
from tests.support.ports import free_port
from tests.support.waiting import until


async def export(database_url: str, folder: Path) -> bytes:
    """What ``coexist export`` says over this database."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")}
    key = base64.b64encode(b"k" * 32).decode()
    given = {"COEXIST_DATABASE_URL": database_url, "COEXIST_DATA_DIR": str(folder), "COEXIST_SECRET_KEY": key}
    command = (sys.executable, "-m", "coexist", "export", "--account", "Jardim Verde")
    process = await asyncio.create_subprocess_exec(*command, env=inherited | given, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def test_an_export_can_be_taken_from_a_replica_and_the_primary_is_found_beside_it(tmp_path: Path) -> None:
    port = free_port()
    primary = f"postgresql://postgres@127.0.0.1:{port}/coexist"
    async with open_cluster(tmp_path / "primary", "127.0.0.1", port, lambda *words: list(words), ()):
        await migrate.apply_pending(primary)
        async with open_pool(primary, application="test") as pool:
            async with transaction(pool) as conn:
                await intake.connect(conn, intake.SHOP)
            texts = [wire.message(f"wamid.{n}", n, wire.text(f"olá {n}"), phone="447700900101") for n in range(20)]
            await intake.deliver(pool, [intake.body_of(each) for each in texts[:10]])
            standby_port = free_port()
            async with open_replica(tmp_path / "replica", primary, standby_port) as replica:
                await intake.deliver(pool, [intake.body_of(each) for each in texts[10:]])

                async def has_followed() -> bool:
                    async with await psycopg.AsyncConnection.connect(f"{replica}/coexist") as conn:
                        return await (await conn.execute("SELECT count(*) FROM messages")).fetchone() == (20,)

                await until(has_followed, "the replica has what the primary has")
                assert await export(f"{replica}/coexist", tmp_path) == await export(primary, tmp_path)

                either = f"postgresql://postgres@127.0.0.1:{standby_port},127.0.0.1:{port}/coexist"
                await takes_writes(f"{either}?target_session_attrs=read-write")


async def takes_writes(database_url: str) -> None:
    """Of several servers in the URL, the one is found that takes writes."""
    assert await migrate.apply_pending(database_url) == []
    async with open_pool(database_url, application="test") as pool, transaction(pool) as conn:
        assert await (await conn.execute("SELECT pg_is_in_recovery()")).fetchone() == (False,)
