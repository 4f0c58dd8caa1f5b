"""Webhooks told as the worker tells them, without its loop: until nothing is due."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.people.model import Member
from coexist.webhooks import actions, store, worker
from coexist.webhooks.model import Webhook
from coexist.webhooks.posting import open_post
from coexist.webhooks.worker import Means
from tests.support.business import KEYRING, Business
from tests.support.listener import Listener

PRIVATE = True
"""Listeners are on loopback, which an installation must allow."""


async def subscribe(
    pool: Pool, member: Member, url: str, *, tells_syncs: bool = False, may_be_private: bool = PRIVATE
) -> tuple[int, str]:
    """Have a program told; return the webhook's id and its secret."""
    return await in_transaction(
        pool,
        lambda conn: actions.add(conn, KEYRING, member, url, tells_syncs=tells_syncs, may_be_private=may_be_private),
    )


@asynccontextmanager
async def teller(pool: Pool, *, may_be_private: bool = PRIVATE) -> AsyncIterator[Means]:
    """What a worker tells with."""
    async with open_post(may_be_private=may_be_private) as post:
        yield Means(pool, KEYRING, post)


async def tell_due(pool: Pool, *, may_be_private: bool = PRIVATE, after: timedelta = timedelta()) -> int:
    """Tell what is due, or will be after some time, and return with how many turns."""
    count = 0
    begins = clock.now() + after
    with clock.reading(lambda: begins):
        async with teller(pool, may_be_private=may_be_private) as means:
            while turns := await worker.claim(pool, 10):
                for turn in turns:
                    await worker.tell(means, turn)
                    count += 1
    return count


async def ask(pool: Pool, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode(), values or None)).fetchall()


async def standing(business: Business, webhook_id: int = 1) -> Webhook:
    """A webhook as its page has it."""
    async with transaction(business.pool) as conn:
        return await store.webhook(conn, business.inbox.account_id, webhook_id)


async def mark(business: Business, count: int = 1) -> None:
    """Something happens: as many times, each about another conversation, none of which is there."""
    account_id = business.inbox.account_id
    for _ in range(count):
        async with transaction(business.pool) as conn:
            last = await feed.last_id(conn, account_id)
            await feed.append(conn, [NewEvent(account_id, Kind.CONVERSATION_CHANGED, conversation_id=10_000 + last)])


def texts(program: Listener, kind: str = "message.added") -> list[str]:
    """The texts of the messages that a program heard of."""
    return [event["message"]["text"] for event in program.of_kind(kind)]
