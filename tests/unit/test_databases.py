"""The databases of the tests are gone after them, whatever a test has left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg

from tests.support import databases


async def test_one_is_dropped_although_somebody_connects_again_and_again(server_url: str, template_name: str) -> None:
    async def insist(url: str, is_there: asyncio.Event) -> None:
        while True:
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
                    is_there.set()
                    await conn.execute("SELECT pg_sleep(600)")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        async with databases.clone(server_url, template_name) as url:
            is_there = [asyncio.Event() for _ in range(8)]
            insisting = [group.create_task(insist(url, each)) for each in is_there]
            for each in is_there:
                await each.wait()
        for one in insisting:
            one.cancel()
