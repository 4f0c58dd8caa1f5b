"""While Meta wants to be asked nothing, the one chance is neither used nor counted against."""

from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import actions, checks_store, oneshot, rules, store, worker
from coexist.coexistence.onboarding import NewNumber, connect_number
from coexist.inbox import refusals
from coexist.inbox.refusals import Refusal
from coexist.meta.graph import Graph
from tests.support.business import KEYRING, open_business
from tests.support.ready import passed
from tests.support.scripted_graph import ScriptedGraph, error


@pytest.mark.parametrize("code", [4, 80007])
async def test_nothing_is_asked_in_a_pause(pool: Pool, graphs: tuple[ScriptedGraph, Graph], code: int) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    inbox = business.inbox
    async with transaction(pool) as conn:
        passed = clock.now() + timedelta(hours=1)
        await conn.execute(
            "INSERT INTO preflights (inbox_id, onboarded_at, checked_at, checks, is_waiting, passed_until)"
            " SELECT id, onboarded_at, now(), '[]', false, %s FROM inboxes WHERE id = %s"
            " ON CONFLICT (inbox_id) DO UPDATE SET passed_until = EXCLUDED.passed_until",
            (passed, inbox.id),
        )
        await refusals.heed(conn, [Refusal(inbox.id, code, clock.now(), "too many calls", timedelta(minutes=30))])
    await in_transaction(pool, lambda conn: actions.request_syncs(conn, business.member.account_id, inbox.id))
    await oneshot.ask(pool, graph, KEYRING, inbox.id)
    assert scripted.asked == []


@pytest.mark.requirement("B3", "B10")
@pytest.mark.parametrize("code", [2, 4, 80007, 131016, 10, 190])
async def test_what_meta_refuses_for_now_stays_wanted_and_is_asked_for_after_another_look(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], code: int
) -> None:
    """It is away, or asked too much, or our access has ended: nothing that the request itself could help."""
    scripted, graph = graphs
    business = await open_business(pool)
    account_id, inbox = business.member.account_id, business.inbox
    least, most = timedelta(seconds=10), timedelta(minutes=10)

    async def is_due() -> bool:
        async with pool.connection() as conn:
            return (account_id, inbox.id) in await checks_store.due(conn, least, most)

    await in_transaction(pool, lambda conn: actions.request_syncs(conn, account_id, inbox.id))
    scripted.answers.append(error(code))
    for _ in range(3):
        await worker.step(pool, graph, KEYRING)
    assert len(scripted.of("smb_app_data")) == 1, "it is not asked for in a loop"
    async with transaction(pool) as conn:
        contacts = (await store.syncs(conn, inbox.id))[0]
        assert (contacts.state, contacts.refusals) == ("not_requested", 0)
        assert contacts.wanted_at is not None
    assert not await is_due()
    if code in (10, 190):
        renewed = NewNumber("701122334455667", inbox.phone_number_id, inbox.display_phone_number, "EAAnewer", True)
        await in_transaction(pool, lambda conn: connect_number(conn, KEYRING, account_id, renewed))
    later = clock.now() + timedelta(minutes=11)
    with clock.reading(lambda: later):
        async with transaction(pool) as conn:
            await conn.execute("DELETE FROM call_pauses")
        assert await is_due(), "somebody looks again"
        async with transaction(pool) as conn:
            await passed(conn)
        await worker.step(pool, graph, KEYRING)
    assert [asked.body["sync_type"] for asked in scripted.of("smb_app_data")[1:]] == ["smb_app_state_sync", "history"]


@pytest.mark.requirement("B10")
async def test_what_meta_refuses_for_a_whole_day_is_asked_for_seldomer_and_seldomer(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    business = await open_business(pool)
    account_id, inbox = business.member.account_id, business.inbox
    await in_transaction(pool, lambda conn: actions.request_syncs(conn, account_id, inbox.id))
    began, asked = clock.now(), list[int]()
    for minute in range(0, 23 * 60, 2):
        with clock.reading(partial(began.__add__, timedelta(minutes=minute))):
            async with transaction(pool) as conn:
                due = await checks_store.due(conn, timedelta(seconds=10), timedelta(minutes=10))
                if due or minute == 0:
                    await passed(conn)
                    scripted.answers.append(error(2))
            if due or minute == 0:
                await worker.step(pool, graph, KEYRING)
                scripted.answers.clear()
                asked.append(minute)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert len(scripted.of("smb_app_data")) == len(asked) < 50
    longest = pauses.index(max(pauses))
    assert pauses[longest] in range(60, 64)
    assert pauses[:longest] == sorted(pauses[:longest])
    assert asked[-1] > 22 * 60 + 30, "there is a try before it is too late"


@pytest.mark.parametrize(
    ("code", "passes"), [(4, True), (80007, True), (2, True), (190, True), (100, False), (None, True)]
)
def test_what_passes_is_no_refusal(code: int | None, passes: bool) -> None:
    assert rules.passes(code) is passes
