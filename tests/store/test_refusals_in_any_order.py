"""What Meta's refusals amount to does not depend on the order in which they come, and floods no timeline."""

from datetime import timedelta
from itertools import permutations

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.inbox import connection, inboxes, refusals
from coexist.inbox.connection import Line
from coexist.inbox.refusals import Refusal
from coexist.meta.errors import MARKETING_RESTS_HOURS
from coexist.meta.graph import Graph
from tests.support.business import deliver, inbound, open_business, status
from tests.support.outbox import send_due, write
from tests.support.scripted_graph import ScriptedGraph

UNPAID, BLOCKED = 131042, 368


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_refused_settled_refused(pool: Pool, order: tuple[int, ...]) -> None:
    business, now = await open_business(pool), clock.now()
    inbox_id = business.inbox.id
    for n in order:
        async with transaction(pool) as conn:
            if n == 1:
                goes_on = {"by": "Inês"}
                at = now - timedelta(minutes=30)
                await connection.record(
                    conn, [Line(inbox_id, at, connection.OURS, connection.SENDING_GOES_ON, goes_on)]
                )
                await connection.refresh(conn, [inbox_id])
            else:
                at = now - timedelta(minutes=50 - 20 * n)
                await refusals.heed(conn, [Refusal(inbox_id, BLOCKED, at, "blocked")])
    async with transaction(pool) as conn:
        inbox = await inboxes.get(conn, business.member.account_id, inbox_id)
        row = await (await conn.execute("SELECT state_at FROM inboxes WHERE id = %s", (inbox_id,))).fetchone()
    assert (inbox.state, inbox.standing_codes) == ("restricted", [BLOCKED])
    assert row == (now - timedelta(minutes=10),)


@pytest.mark.parametrize("step", [1, -1])
async def test_of_many_refusals_a_day_the_first_and_the_last_are_kept(pool: Pool, step: int) -> None:
    business = await open_business(pool)
    noon = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    times = [noon + timedelta(seconds=n) for n in range(20)]
    for at in times[::step]:
        async with transaction(pool) as conn:
            await refusals.heed(conn, [Refusal(business.inbox.id, UNPAID, at, "unpaid")])
    async with transaction(pool) as conn:
        cursor = await conn.execute("SELECT at FROM inbox_timeline WHERE event = 'SENDING_REFUSED' ORDER BY at")
        assert await cursor.fetchall() == [(times[0],), (times[-1],)]


STOPPED, RESTING = 131050, 131049
TELLINGS = ((STOPPED, 10), (STOPPED, 30), (RESTING, 20))
"""One message, whose failure Meta tells three times: codes, and seconds."""


@pytest.mark.parametrize("order", list(permutations(TELLINGS)))
@pytest.mark.parametrize("at_once", [True, False])
async def test_each_telling_of_one_failure_is_heeded(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], order: tuple[tuple[int, int], ...], at_once: bool
) -> None:
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    await write(business)
    await send_due(business, graphs[1])
    began = clock.now().replace(microsecond=0)
    told = [
        status("wamid.OUT1", "failed", at=began + timedelta(seconds=seconds), errors=[{"code": code, "title": "x"}])
        for code, seconds in order
    ]
    for some in [told] if at_once else [[one] for one in told]:
        await deliver(pool, *some)
    async with transaction(pool) as conn:
        cursor = await conn.execute(
            "SELECT DISTINCT marketing_wish, marketing_wish_at, marketing_rests_until"
            "  FROM identities WHERE marketing_wish IS NOT NULL"
        )
        rests_until = began + timedelta(seconds=20, hours=MARKETING_RESTS_HOURS)
        assert await cursor.fetchall() == [("stop", began + timedelta(seconds=30), rests_until)]
