"""The embedded database killed in the middle of things, and a database that is away: nothing is lost or here twice.

Whatever else can be killed or fail, in any order and under load: `tests/faults`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from simulator.config import Pace
from tests.flows.shop import Shop, open_shop
from tests.support.product import connect
from tests.support.waiting import until

STREAMING = Pace(chunk_delay_ms=300, delivered_ms=30, read_ms=(30, 90), parallel_count=3)
"""Slow enough that there is a middle."""


async def in_the_middle(shop: Shop) -> None:
    """Wait until some of the history was taken from Meta; more is to come."""

    async def has_some() -> bool:
        taken = (await shop.look("deliveries?n=1000"))["deliveries"]
        return len([one for one in taken if one["delivered_at"] and one["fields"] == ["history"]]) >= 3

    await until(has_some, "the history is coming in")
    assert (await shop.look("state"))["pending"], "the whole history came before anything could go wrong"


@pytest.mark.requirement("C1", "C4")
async def test_postgresql_is_killed_while_everybody_writes(tmp_path: Path) -> None:
    async with open_shop("", tmp_path, message_count=600, pace=STREAMING) as shop:
        await connect(shop.product, shop.phone)
        await in_the_middle(shop)
        server = int((tmp_path / "postgres" / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(server, signal.SIGKILL)
        for number in range(5):
            await shop.tell("customer/send", chat="marina-souza", text=f"mensagem {number}")
            await shop.tell("owner/send", chat="marina-souza", text=f"resposta {number}")
        await shop.check()


@asynccontextmanager
async def away(database_url: str) -> AsyncIterator[None]:
    """The database refuses everybody, and ends who is there."""
    server, _, name = database_url.partition("?")[0].rpartition("/")
    query = database_url.partition("?")[2]
    async with await psycopg.AsyncConnection.connect(f"{server}/postgres?{query}", autocommit=True) as conn:
        place = sql.Identifier(name)
        await conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(place))
        try:
            await conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            await conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(place))


@pytest.mark.requirement("C1", "C4")
async def test_what_cannot_be_stored_is_not_acknowledged_and_comes_again(database_url: str, tmp_path: Path) -> None:
    async with open_shop(database_url, tmp_path, message_count=60) as shop:
        await connect(shop.product, shop.phone)
        await shop.quiet()
        async with away(database_url):
            await shop.tell("customer/send", chat="marina-souza", text="Alguém recebe isto?")
            await shop.tell("owner/send", chat="marina-souza", text="Recebemos tudo")

            async def is_refused() -> bool:
                newest = (await shop.look("deliveries?n=2"))["deliveries"]
                return all(one["attempts"] and one["attempts"][-1]["status"] == 503 for one in newest)

            await until(is_refused, "Meta is told 503")
            async with shop.phone.session.get(f"{shop.url}/readyz") as response:
                assert response.status == 503
            async with shop.phone.session.get(f"{shop.url}/healthz") as response:
                assert response.status == 200
        await shop.check()
