"""`import`: a history, POST to queryable, beside raw COPY of the same rows into the same indexed tables."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import aiohttp

from coexist.base import database
from tests.bench import machine
from tests.bench.client import signed
from tests.bench.machine import Running, Server
from tests.bench.results import Result, Target
from tests.bench.usage import Spent
from tests.support import intake, wire

CHUNK_MESSAGES_COUNT: Final = 2_000
POSTS_AT_ONCE: Final = 4
WORDS: Final = [
    *("bom", "dia", "queria", "saber", "se", "ainda", "tem", "a", "jiboia", "grande", "da", "foto", "sim", "chegou"),
    *("hoje", "quer", "que", "eu", "separe", "quanto", "fica", "o", "frete", "para", "campinas", "pode", "passar"),
    *("amanhã", "de", "manhã", "obrigada", "até", "já", "fechado", "vou", "fazer", "pix", "agora"),
]
COPIED: Final = ("contacts", "identities", "conversations", "messages")


def chunks(messages: int, people: Sequence[int], *, phase: int = 0, seed: int = 7) -> Iterator[bytes]:
    """Signed-size history bodies: whole threads, one for each of these people, progress up to 100.

    ``messages`` must be a multiple of the number of people.
    """
    chance = random.Random(seed)
    per_thread = messages // len(people)
    assert per_thread * len(people) == messages, "every thread is of the same length"
    chunk: list[dict[str, Any]] = []
    size = order = sent = 0
    for position, person in enumerate(people):
        phone = f"55119{80_000_000 + person}"
        items = []
        for n in range(per_thread):
            body = " ".join(chance.choices(WORDS, k=chance.randint(2, 16)))
            items.append(
                wire.past(
                    f"wamid.HBgN{phone}FQIAERgS{n:08X}",
                    (position * per_thread + n) * 20 % 15_000_000,
                    wire.text(body),
                    phone=phone,
                    outbound=n % 3 == 0,
                )
            )
        chunk.append(wire.thread(phone, f"BR.{10**15 + person}", items))
        size += per_thread
        if size >= CHUNK_MESSAGES_COUNT or position == len(people) - 1:
            sent += size
            yield intake.body_of(wire.history(chunk, phase=phase, order=order, progress=sent * 100 // messages))
            chunk, size, order = [], 0, order + 1


async def run(server: Server, *, messages: int = 500_000, threads: int = 20_000, workers: int = 2) -> Result:
    """Import, then COPY what came of it into an empty database, and report both rates (messages/s)."""
    bodies = list(chunks(messages, range(threads)))
    spent = Spent()
    async with machine.connected(server) as ours:
        async with machine.product(ours, workers=workers) as running:
            seconds = await through(running, bodies, messages, spent)
        rows = await rows_after(ours, {})
        async with machine.connected(server) as bare:
            limit_seconds = await copy(rows, bare)
    ratio = limit_seconds / seconds
    return Result(
        "import",
        messages / seconds,
        "messages/s",
        messages / limit_seconds,
        "COPY of the same rows into the same tables with the same indexes",
        ratio,
        targets={"ratio": Target(ratio, at_least=0.75)},
        spent=spent,
        sizes={
            "messages": messages,
            "threads": threads,
            "workers": workers,
            "body_megabytes": round(sum(map(len, bodies)) / 1e6, 1),
        },
        machine=server.facts,
    )


async def through(running: Running, bodies: Sequence[bytes], messages: int, spent: Spent) -> float:
    """Post the bodies; return the seconds until their ``messages`` new messages can be queried."""
    waiting = iter(bodies)

    async def post() -> None:
        for body in waiting:
            async with session.post(f"{running.address}/webhook", data=body, headers=signed(body)) as response:
                assert response.status == 200, response.status

    async with (
        aiohttp.ClientSession() as session,
        await database.connect(running.database_url, application="bench") as conn,
    ):
        there = await machine.count(conn, "SELECT count(*) FROM messages")
        with spent:
            begin = time.perf_counter()
            await asyncio.gather(*(post() for _ in range(POSTS_AT_ONCE)))
            await machine.until_queryable(conn)
            seconds = time.perf_counter() - begin
        assert await machine.count(conn, "SELECT count(*) FROM messages") == there + messages
        return seconds


# ── the limit ─────────────────────────────────────────────────────────────────────────────────────────────


Rows: TypeAlias = Mapping[str, Sequence[bytes]]
"""Rows of the copied tables in COPY's binary form, in blocks of some size: one write for each row would be our cost."""

BLOCK_BYTES: Final = 256 * 1024


async def newest_ids(database_url: str) -> dict[str, int]:
    """The highest id in each of the copied tables."""
    async with await database.connect(database_url, application="bench") as conn:
        return {table: await machine.count(conn, f"SELECT coalesce(max(id), 0) FROM {table}") for table in COPIED}


async def rows_after(database_url: str, after: Mapping[str, int], up_to: Mapping[str, int] | None = None) -> Rows:
    """The rows whose ids are above ``after`` and not above ``up_to``, by table."""
    rows: dict[str, list[bytes]] = {}
    async with await database.connect(database_url, application="bench") as conn:
        for table in COPIED:
            last = f"AND id <= {up_to[table]}" if up_to else ""
            query = f"COPY (SELECT * FROM {table} WHERE id > {after.get(table, 0)} {last}) TO STDOUT (FORMAT binary)"
            async with conn.cursor().copy(query) as copy:
                whole = b"".join([bytes(row) async for row in copy])
            rows[table] = [whole[at : at + BLOCK_BYTES] for at in range(0, len(whole), BLOCK_BYTES)]
    return rows


async def copy(rows: Rows, database_url: str) -> float:
    """Seconds that COPY needs for ``rows`` into the tables of a database."""
    async with await database.connect(database_url, application="bench") as conn:
        begin = time.perf_counter()
        for table in COPIED:
            async with conn.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                for block in rows[table]:
                    await copy.write(block)
        return time.perf_counter() - begin
