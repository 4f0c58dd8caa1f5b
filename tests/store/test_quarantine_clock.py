"""What happens to what could not be applied is told by the clock of all that it is shown beside: ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.intake.replay import Span, replay, replay_import
from coexist.quarantine import actions
from tests.store.test_applying import BAD_DATA, allow, refuse, several
from tests.store.test_quarantine import OPERATOR, STRANGE
from tests.support import intake, wire
from tests.support.intake import SHOP, body_of
from tests.support.outbox import frozen

LATER: Final = timedelta(days=11)
TIMES: Final = "since, last_at, retry_wanted_at, retried_at, dismissed_at"


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


async def ask(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with transaction(pool) as conn:
        return list(await (await conn.execute(query)).fetchall())


@pytest.mark.requirement("C4")
async def test_what_happens_to_a_part_in_quarantine_is_told_by_our_clock(shop: Pool) -> None:
    await refuse(shop, "NEW.text = 'guilty'", BAD_DATA)
    began = clock.now() + LATER
    with frozen(began):
        await intake.deliver(shop, [several("guilty")])
    assert await ask(shop, f"SELECT {TIMES} FROM quarantine") == [(began, began, None, None, None)]
    wanted, tried = began + timedelta(hours=1), began + timedelta(hours=2)
    with frozen(wanted):
        async with transaction(shop) as conn:
            await actions.retry(conn, OPERATOR, None)
    assert await ask(shop, f"SELECT {TIMES} FROM quarantine") == [(began, began, wanted, None, None)]
    with frozen(tried):
        await intake.apply_all(shop)
    assert await ask(shop, f"SELECT {TIMES} FROM quarantine") == [(began, tried, None, tried, None)]
    dismissed = tried + timedelta(hours=1)
    with frozen(dismissed):
        async with transaction(shop) as conn:
            ((part_id,),) = await (await conn.execute("SELECT id FROM quarantine")).fetchall()
            await actions.dismiss(conn, OPERATOR, [part_id], why="an advert")
    assert await ask(shop, f"SELECT {TIMES} FROM quarantine") == [(began, tried, None, tried, dismissed)]
    with frozen(dismissed + timedelta(hours=1)):
        async with transaction(shop) as conn:
            await replay(conn, Span())
    assert await ask(shop, "SELECT retry_wanted_at FROM quarantine") == [(dismissed + timedelta(hours=1),)]
    await allow(shop)
    settled = dismissed + timedelta(hours=2)
    with frozen(settled):
        await intake.apply_all(shop)
    assert await ask(shop, "SELECT since, settled_at FROM quarantine_settled") == [(began, settled)]


@pytest.mark.requirement("C4")
async def test_so_is_that_an_import_is_applied_again_and_a_number_dismissed(shop: Pool) -> None:
    await refuse(shop, "NEW.text = 'guilty'", BAD_DATA)
    past = wire.past("wamid.H", 90, wire.text("guilty"), phone="351910559122")
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    thread = body_of(wire.history([wire.thread("351910559122", None, [past])]))
    await intake.deliver(shop, [thread, body_of(strangers, waba_id=STRANGE.waba_id)])
    with frozen(clock.now() + LATER):
        now = clock.now()
        async with transaction(shop) as conn:
            await replay_import(conn, SHOP.phone_number_id, None, "Ana")
            await actions.dismiss_number(conn, OPERATOR, STRANGE.phone_number_id, why="a test")
    assert await ask(shop, "SELECT retry_wanted_at FROM quarantine") == [(now,)]
    assert await ask(shop, "SELECT dismissed_at FROM unrouted_dismissals") == [(now,)]
