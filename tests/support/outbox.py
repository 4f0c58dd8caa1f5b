"""Writing messages and sending what is due, step by step."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from coexist.base import clock
from coexist.base.database import in_transaction, transaction
from coexist.meta.graph import Graph
from coexist.outbound import actions, worker
from coexist.outbound.model import Sending
from tests.support.business import (
    KEYRING,
    Business,
    conversation_of,
)


async def write(business: Business, text: str = "Bom dia", *, ref: UUID | None = None, **other: Any) -> int:
    conversation_id = other.pop("conversation_id", None) or await conversation_of(business.pool)

    async def work(conn: Any) -> int:
        return await actions.send_text(
            conn, KEYRING, business.member, conversation_id, text, our_ref=ref or uuid4(), **other
        )

    return await in_transaction(business.pool, work)


async def claim_due(business: Business, *, per_second: int = 20) -> list[Sending]:
    """Mark what is due as being sent, as the sender does before its calls."""
    inbox_ids = await worker.due(business.pool)
    claims = [await worker.claim(business.pool, id_, per_second, worker.IN_FLIGHT_COUNT) for id_ in inbox_ids]
    return [sending for claimed in claims for sending in claimed]


async def send_due(business: Business, graph: Graph, *, per_second: int = 20) -> int:
    """Claim and send what is due, once; return how many attempts that were."""
    await worker.sweep(business.pool)
    claimed = await claim_due(business, per_second=per_second)
    await asyncio.gather(*(worker.send(business.pool, graph, KEYRING, each) for each in claimed))
    return len(claimed)


def frozen(at: datetime) -> AbstractContextManager[None]:
    """It is that time inside the block."""
    return clock.reading(lambda: at)


async def rows(business: Business) -> list[tuple[Any, ...]]:
    """(text, outbox state, wamid, status) of what was written here, in order."""
    async with business.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT m.text, o.state::text, m.wamid, m.status FROM outbox o JOIN messages m ON m.id = o.message_id"
            " ORDER BY o.created_at, o.our_ref"
        )
        return await cursor.fetchall()


async def states(business: Business) -> list[str]:
    return [row[1] for row in await rows(business)]


async def execute(business: Business, statement: str, *values: Any) -> None:
    async with transaction(business.pool) as conn:
        await conn.execute(statement, values)
