"""`import`: a history, POST to queryable, beside raw COPY of the same rows into the same indexed tables."""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Iterator
from typing import Any, Final

import aiohttp

from coexist.base import database
from tests.bench import machine
from tests.support import intake, wire

CHUNK_MESSAGES_COUNT: Final = 2_000
POSTS_AT_ONCE: Final = 4
WORDS: Final = [
    *("bom", "dia", "queria", "saber", "se", "ainda", "tem", "a", "jiboia", "grande", "da", "foto", "sim", "chegou"),
    *("hoje", "quer", "que", "eu", "separe", "quanto", "fica", "o", "frete", "para", "campinas", "pode", "passar"),
    *("amanhã", "de", "manhã", "obrigada", "até", "já", "fechado", "vou", "fazer", "pix", "agora"),
]
COPIED: Final = ("contacts", "identities", "conversations", "messages")


def chunks(messages: int, threads: int, seed: int = 7) -> Iterator[bytes]:
    """Signed-size history bodies: whole threads, newest phase first, progress up to 100."""
    chance = random.Random(seed)
    per_thread = messages // threads
    chunk: list[dict[str, Any]] = []
    size = order = sent = 0
    for number in range(threads):
        phone = f"55119{80_000_000 + number}"
        items = []
        for n in range(per_thread):
            body = " ".join(chance.choices(WORDS, k=chance.randint(2, 16)))
            items.append(
                wire.past(
                    f"wamid.HBgN{phone}FQIAERgS{n:08X}",
                    (number * per_thread + n) * 20 % 15_000_000,
                    wire.text(body),
                    phone=phone,
                    outbound=n % 3 == 0,
                )
            )
        chunk.append(wire.thread(phone, f"BR.{10**15 + number}", items))
        size += per_thread
        if size >= CHUNK_MESSAGES_COUNT or number == threads - 1:
            sent += size
            progress = 100 if number == threads - 1 else sent * 99 // messages
            yield intake.body_of(wire.history(chunk, phase=0, order=order, progress=progress))
            chunk, size, order = [], 0, order + 1


async def run(messages: int = 500_000, threads: int = 20_000, workers: int = 2) -> None:
    """Import, then COPY what came of it into an empty database, and report both rates (messages/s)."""
    bodies = list(chunks(messages, threads))
    async with machine.server() as (url, template), machine.connected(url, template) as ours:
        seconds = await _import(ours, bodies, messages, workers)
        async with machine.connected(url, template) as bare:
            limit_seconds = await _copy(ours, bare)
    machine.report(
        "import",
        messages / seconds,
        messages / limit_seconds,
        limit_seconds / seconds,
        0.75,
        unit="messages/s",
        messages=messages,
        threads=threads,
        workers=workers,
        body_megabytes=round(sum(map(len, bodies)) / 1e6, 1),
    )


async def _import(database_url: str, bodies: list[bytes], messages: int, workers: int) -> float:
    async with machine.product(database_url, workers=workers) as running, aiohttp.ClientSession() as session:
        waiting = iter(bodies)

        async def post() -> None:
            for body in waiting:
                async with session.post(f"{running.address}/webhook", data=body, headers=signed(body)) as response:
                    assert response.status == 200, response.status

        async with await database.connect(database_url, application="bench") as conn:
            begin = time.perf_counter()
            await asyncio.gather(*(post() for _ in range(POSTS_AT_ONCE)))
            while await machine.count(conn, "SELECT count(*) FROM backlog"):
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - begin
            assert await machine.count(conn, "SELECT count(*) FROM messages") == messages
            return seconds


async def _copy(source_url: str, target_url: str) -> float:
    """Seconds that COPY needs for the rows of ``source_url`` into the empty tables of ``target_url``."""
    rows: dict[str, list[bytes]] = {}
    async with await database.connect(source_url, application="bench") as reader:
        for table in COPIED:
            async with reader.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
                rows[table] = [bytes(block) async for block in copy]
    async with await database.connect(target_url, application="bench") as writer:
        begin = time.perf_counter()
        for table in COPIED:
            async with writer.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                for block in rows[table]:
                    await copy.write(block)
        return time.perf_counter() - begin


def signed(body: bytes) -> dict[str, str]:
    """The headers of a delivery as Meta signs it."""
    digest = hmac.new(machine.SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}
