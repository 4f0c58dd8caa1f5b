"""How many bytes a message costs on disk: `python -m tests.hosts.sizes`, one JSON line for each table and kind of life.

A history is imported, then as many live messages come from the same people, each answered on the phone, and each answer
delivered and read: four deliveries for two messages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final

from coexist.base import database
from coexist.base.database import Connection, Pool
from tests.bench import machine
from tests.bench.acknowledging import webhooks
from tests.bench.importing import chunks
from tests.support import intake, wire

GROUP_COUNT: Final = 400
PEOPLE_SHARE: Final = 25
"""One person writes so many messages of the history."""

# The parts of a partitioned table and its TOAST table are counted with it.
SIZES: Final = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname !~ 'yoyo'
 ORDER BY pg_total_relation_size(c.oid) DESC
"""
Sizes = dict[str, tuple[int, int]]


def lives(count: int, people: int) -> Iterator[bytes]:
    """Of each live message its delivery, the echo of an answer, and two statuses of that."""
    for n, body in enumerate(webhooks(count, people=range(people))):
        phone, answer = f"55119{80_000_000 + n % people}", f"wamid.HBgNNTUxMTk4NTUwMDEwMRUCABEYFDNC{n:012X}"
        yield body
        yield intake.body_of(wire.echo(answer, n, wire.text("Bom dia! Temos sim, separo uma para você"), phone=phone))
        for word in ("delivered", "read"):
            yield intake.body_of(wire.status(answer, n, word, phone=phone))


async def run(messages: int) -> None:
    """Import and live through that many messages each; report what every table grew by."""
    people = max(1, messages // PEOPLE_SHARE)
    async with (
        machine.server() as server,
        machine.connected(server) as url,
        database.open_pool(url, statement_timeout_ms=0) as pool,
    ):
        empty = await _sizes(pool)
        for body in chunks(messages, range(people)):
            await intake.deliver(pool, [body])
        imported = await _sizes(pool)
        _report("imported", messages, empty, imported)
        for group in _groups(lives(messages // 2, people)):
            await intake.journal(pool, group, at_once=True)
            await intake.apply_all(pool)
        _report("live", messages // 2 * 2, imported, await _sizes(pool))


def _groups(bodies: Iterator[bytes]) -> Iterator[list[bytes]]:
    while group := list(islice(bodies, GROUP_COUNT)):
        yield group


async def _sizes(pool: Pool) -> Sizes:
    """(table with TOAST, indexes) in bytes by table, once dead rows are cleared away."""
    async with pool.connection() as conn:
        await conn.execute("VACUUM ANALYZE")
        return {table: (rows, indexes) for table, rows, indexes in await _all(conn)}


async def _all(conn: Connection) -> list[tuple[str, int, int]]:
    return await (await conn.execute(SIZES)).fetchall()


def _report(life: str, messages: int, before: Sizes, after: Sizes) -> None:
    total = (0, 0)
    for table, (rows, indexes) in after.items():
        grown = (rows - before[table][0], indexes - before[table][1])
        total = (total[0] + grown[0], total[1] + grown[1])
        if sum(grown) >= messages:  # below a byte a message it is not worth a line
            _print(life, messages, table, *grown)
    _print(life, messages, "all tables", *total)


def _print(life: str, messages: int, table: str, rows: int, indexes: int) -> None:
    line = {
        "table": table,
        "messages": f"{messages:,} {life}",
        "bytes_per_message": round((rows + indexes) / messages, 1),
        "of_which_indexes": round(indexes / messages, 1),
        "gigabytes_per_million": round((rows + indexes) / messages / 1000, 3),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.sizes", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    asyncio.run(run(parser.parse_args().messages))
