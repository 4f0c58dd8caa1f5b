"""A one-shot request that WhatsApp refused several times: asked for again when a person says so, never by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import actions, onboarding, rules, store, worker
from coexist.coexistence.model import Sync, SyncKind
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from tests.support.scripted_graph import error
from tests.support.signup import KEYRING, NUMBER, Desk, open_desk


@pytest.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    """A number that was just signed up, with all in order: both syncs are wanted."""
    async with open_desk(pool) as opened:
        await opened.sign_up()
        yield opened


async def inbox_of(desk: Desk) -> Inbox:
    async with desk.pool.connection() as conn:
        return (await inboxes.by_phone_number_ids(conn, [NUMBER]))[NUMBER]


async def contacts(desk: Desk) -> Sync:
    async with desk.pool.connection() as conn:
        return (await store.syncs(conn, (await inbox_of(desk)).id))[0]


async def check_again(desk: Desk, *, by_itself: bool = False) -> None:
    """What the button of the number's page does, and a worker's look."""
    tools = (desk.pool, desk.graph, KEYRING, desk.settings)
    await onboarding.begin_syncs(*tools, await inbox_of(desk), by_itself=by_itself)


async def asked(desk: Desk, *codes: int) -> int:
    """Let a worker ask, whom Meta refuses with these codes; return how often the contacts were asked for by now."""
    desk.meta.answers.extend(error(code) for code in codes)
    await worker.step(desk.pool, desk.graph, KEYRING)
    assert not desk.meta.answers
    return [call.body["sync_type"] for call in desk.meta.of("smb_app_data")].count("smb_app_state_sync")


async def refused(desk: Desk) -> None:
    """Meta refuses the contacts until they count as failed."""
    inbox = await inbox_of(desk)
    for count in range(1, rules.REFUSALS_MAX + 1):
        await in_transaction(desk.pool, lambda conn: actions.request_syncs(conn, inbox.account_id, inbox.id))
        assert await asked(desk, 100) == count
    assert (await contacts(desk)).state == "failed"


@pytest.mark.requirement("B3", "B10")
async def test_who_has_mended_the_reason_asks_again_and_nobody_by_itself(desk: Desk) -> None:
    await refused(desk)
    await check_again(desk, by_itself=True)
    assert await asked(desk) == rules.REFUSALS_MAX
    assert (await contacts(desk)).state == "failed"
    await check_again(desk)
    assert await asked(desk) == rules.REFUSALS_MAX + 1
    found = await contacts(desk)
    assert (found.state, found.error, bool(found.request_id)) == ("requested", None, True)
    await check_again(desk)
    assert await asked(desk) == rules.REFUSALS_MAX + 1


@pytest.mark.requirement("A1", "B10")
async def test_the_wish_waits_for_a_look_that_finds_all_in_order(desk: Desk) -> None:
    """A look from before the refusals says nothing of what has been mended since."""
    await refused(desk)
    desk.ready.tick()
    await check_again(desk)
    assert await asked(desk) == rules.REFUSALS_MAX
    found = await contacts(desk)
    assert found.state == "not_requested"
    assert found.error is not None, "the page goes on saying why Meta refused"
    desk.ready.tick(*desk.ready.fields)
    await check_again(desk, by_itself=True)
    assert await asked(desk) == rules.REFUSALS_MAX + 1
    assert (await contacts(desk)).state == "requested"


@pytest.mark.requirement("B10")
async def test_each_wish_asks_once_and_a_limit_does_not_end_it(desk: Desk) -> None:
    await refused(desk)
    await check_again(desk)
    assert await asked(desk, 100) == rules.REFUSALS_MAX + 1
    assert await asked(desk) == rules.REFUSALS_MAX + 1
    assert ((await contacts(desk)).state, (await contacts(desk)).refusals) == ("failed", rules.REFUSALS_MAX + 1)
    await check_again(desk)
    assert await asked(desk, 4) == rules.REFUSALS_MAX + 2
    assert ((await contacts(desk)).state, (await contacts(desk)).refusals) == ("not_requested", rules.REFUSALS_MAX + 1)
    async with transaction(desk.pool) as conn:
        await conn.execute("DELETE FROM call_pauses")
    await check_again(desk, by_itself=True)
    assert await asked(desk) == rules.REFUSALS_MAX + 3
    assert (await contacts(desk)).state == "requested"


@pytest.mark.requirement("B2", "B3", "B10")
@pytest.mark.parametrize(
    "change",
    ["refusals = 10", "requested_at = now()", "onboarded_at = now() - interval '25 hours'", "state = 'declined'"],
)
async def test_no_wish_helps_after_ten_refusals_a_request_that_stands_or_24_hours(desk: Desk, change: str) -> None:
    await refused(desk)
    async with transaction(desk.pool) as conn:
        assert rules.can_be_asked([await contacts(desk)], list(SyncKind), clock.now())
        inbox_id = (await inbox_of(desk)).id
        await conn.execute(f"UPDATE syncs SET {change} WHERE kind = 'contacts'".encode())
        (since,) = (await (await conn.execute("SELECT onboarded_at FROM syncs WHERE kind = 'contacts'")).fetchall())[0]
        sync = (await store.syncs(conn, inbox_id, since))[0]
        assert not rules.can_be_asked([sync], list(SyncKind), clock.now())
        assert await store.want_refused(conn, inbox_id, since, list(SyncKind)) == 0
