"""What waits, or failed, was not sent and answers nobody: in the reports as in the list."""

from datetime import timedelta

from coexist.base import clock
from coexist.base.database import Pool
from coexist.meta.graph import Graph
from coexist.reports import prices, replies
from tests.support.business import Business, deliver, inbound, open_business, status
from tests.support.outbox import execute, send_due, write
from tests.support.scripted_graph import ScriptedGraph


async def asked(pool: Pool) -> Business:
    """Somebody has waited for half an hour."""
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá", at=clock.now() - timedelta(minutes=30)))
    return business


async def assert_nothing_was_sent(business: Business) -> None:
    since, inbox_ids = clock.now() - timedelta(days=7), [business.inbox.id]
    async with business.pool.connection() as conn:
        assert await prices.sent(conn, business.member.account_id, inbox_ids, since) == []
        waits = await replies.waits(conn, business.member.account_id, inbox_ids, since)
    assert [each.count for each in waits] == [0, 0, 0, 1]


async def test_what_is_in_line_was_not_sent(pool: Pool) -> None:
    business = await asked(pool)
    await execute(business, "UPDATE inboxes SET state = 'offboarded'")
    await write(business)
    await assert_nothing_was_sent(business)


async def test_what_failed_after_it_was_sent_answers_nobody(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    business = await asked(pool)
    await write(business)
    await send_due(business, graphs[1])
    errors = [{"code": 131026, "title": "Undeliverable"}]
    await deliver(pool, status("wamid.OUT1", "sent"), status("wamid.OUT1", "failed", errors=errors))
    await assert_nothing_was_sent(business)
