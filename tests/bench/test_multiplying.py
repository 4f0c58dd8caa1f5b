"""Copied rows are those which the product would have written for the copies' people."""

from collections.abc import Sequence
from typing import Final

from coexist.base import database
from tests.bench import importing, multiplying
from tests.support import databases, intake, snapshot

PEOPLE, SPACING, MESSAGES, TIMES = 6, 16, 90, 4
COMPARED: Final = ("contacts", "identities", "sightings", "conversations", "messages")
SUMS: Final = "SELECT count(DISTINCT conversation_id), count(*) FROM messages"


async def test_the_copies_are_as_if_imported(server_url: str, template_name: str) -> None:
    async with (
        databases.clone(server_url, template_name) as copied,
        databases.clone(server_url, template_name) as imported,
    ):
        await fill(copied, 1)
        await multiplying.multiply(copied, TIMES, people=PEOPLE * SPACING)
        await fill(imported, TIMES)
        assert await held(copied) == await held(imported)


async def test_it_goes_on_after_the_copies(server_url: str, template_name: str) -> None:
    async with databases.clone(server_url, template_name) as copied:
        await fill(copied, 1)
        await multiplying.multiply(copied, TIMES, people=PEOPLE * SPACING)
        strangers = range(1, PEOPLE * SPACING, SPACING)
        async with database.open_pool(copied) as pool:
            await intake.deliver(pool, list(importing.chunks(MESSAGES, strangers, phase=1)))
            async with pool.connection() as conn:
                row = await (await conn.execute(SUMS)).fetchone()
        assert row == (PEOPLE * (TIMES + 1), MESSAGES * (TIMES + 1))


async def fill(url: str, times: int) -> None:
    """Import, and again for other people whose numbers are as far away as the copies'."""
    async with database.open_pool(url) as pool:
        async with database.transaction(pool) as conn:
            await intake.connect(conn, intake.SHOP)
        for n in range(times):
            first = n * PEOPLE * SPACING
            people = range(first, first + PEOPLE * SPACING, SPACING)
            await intake.deliver(pool, list(importing.chunks(MESSAGES, people)))


async def held(url: str) -> dict[str, Sequence[object]]:
    """What the tables hold of people and messages."""
    async with await database.connect(url, application="test") as conn:
        taken = await snapshot.take(conn)
    return {name: taken[name] for name in COMPARED}
