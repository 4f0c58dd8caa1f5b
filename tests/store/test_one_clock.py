"""What people see, and what is decided by, is told by one clock: ours, not the database's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.events import feed
from coexist.inbox import files
from coexist.intake.replay import Span, replay, replay_import
from coexist.media import store as media
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


async def test_a_file_told_of_now_is_not_taken_for_an_old_one(shop: Pool) -> None:
    """Meta gives a file for seven days from when it told of it."""
    now = clock.now() + LATER
    photo = wire.message("wamid.P", 1, wire.image("901"), phone="351910559122")
    with frozen(now):
        await intake.deliver(shop, [body_of(photo)])
        assert await ask(shop, "SELECT known_at, next_attempt_at FROM media") == [(now, now)]
    later = now + timedelta(days=1)
    with frozen(later):
        async with transaction(shop) as conn:
            await conn.execute("UPDATE media SET state = 'failed', reason = 'unwanted'")
            await files.want_again(conn, [1])
            told = {"inbox_id": 1, "wamid": "wamid.X", "mime_type": "image/jpeg", "file_name": None, "is_voice": False}
            await media.add(conn, told | {"content_rank": 50, "told_at": later}, 60)
    found = await ask(shop, "SELECT wamid, known_at, next_attempt_at FROM media ORDER BY id")
    assert found == [("wamid.P", now, later), ("wamid.X", later, later)]


async def test_the_feed_is_told_by_our_clock(shop: Pool) -> None:
    """What it is compared with is: when a webhook was added, when a sync was asked for, what is old enough to go."""
    now = clock.now() + LATER
    with frozen(now):
        await intake.deliver(shop, [body_of(wire.message("wamid.1", 1, wire.text("Olá"), phone="351910559122"))])
    async with transaction(shop) as conn:
        events = await feed.since(conn, 1, 0)
    assert {event.at for event in events if event.message_id} == {now}
