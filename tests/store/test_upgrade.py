"""A database of the first release, with what waits in it: nothing of that is lost by the migrations that follow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from coexist.base import database, migrate
from coexist.base.database import transaction
from coexist.quarantine import store
from coexist.quarantine.model import Keeper
from tests.support import databases

OPERATOR: Final = Keeper("Root on the command line", None)
FIRST_RELEASE: Final = "0001_first_light.sql"

WAITING: Final = """
INSERT INTO accounts (name) VALUES ('Jardim Verde');
INSERT INTO journal (received_at, body) SELECT now(), '{}' FROM generate_series(1, 3);
INSERT INTO backlog (lane, journal_id) VALUES (0, 1);
INSERT INTO quarantine (journal_id, part, error, attempts) VALUES (2, 'body', 'no entry in it', 4);
INSERT INTO unrouted (phone_number_id, journal_id) VALUES ('555100020009999', 3);
"""


async def test_what_waits_in_a_database_of_the_first_release_survives(server_url: str, tmp_path: Path) -> None:
    shutil.copy(migrate.FOLDER / FIRST_RELEASE, tmp_path)
    async with databases.clone(server_url, "template0") as url:
        assert await migrate.apply_pending(url, folder=tmp_path) == ["0001_first_light"]
        async with database.open_pool(url, application="test") as pool:
            async with transaction(pool) as conn:
                for statement in WAITING.strip().split("\n"):
                    await conn.execute(statement.encode())
            await migrate.apply_pending(url)
            async with transaction(pool) as conn:
                (part,), _ = await store.page(conn, OPERATOR)
                assert (part.part, part.error, part.attempts, part.kind) == ("body", "no entry in it", 4, None)
                (number,) = await store.unrouted(conn, OPERATOR)
                assert (number.phone_number_id, number.delivery_count) == ("555100020009999", 1)
                assert await (await conn.execute("SELECT lane, journal_id FROM backlog")).fetchall() == [(0, 1)]
