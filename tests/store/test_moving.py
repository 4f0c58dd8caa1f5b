"""A number that goes to another account of the installation, and what stays behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import signups, undoing
from coexist.coexistence.signup_model import Party, Problem, State
from coexist.inbox import connection, private
from coexist.inbox.connection import Line
from coexist.intake import purging
from coexist.intake.replay import Span, replay
from coexist.intake.sealing import unseal
from coexist.intake.worker import apply_next
from coexist.people import actions as people
from tests.support.business import PHONE, deliver, inbound
from tests.support.signup import KEYRING, Desk, open_desk


@pytest.fixture
async def desk(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(signups, "LAG_PAUSE_S", 0.01)
    async with open_desk(pool) as opened:
        yield opened


@pytest.mark.requirement("A8", "G11")
async def test_a_number_that_left_its_account_moves_and_leaves_its_past_there(desk: Desk) -> None:
    async def say(wamid: str, at: datetime | None = None) -> None:
        await deliver(desk.pool, inbound(wamid, wamid, at=at))

    async with transaction(desk.pool) as conn:
        account = await people.create_account(conn, "Another")
    desk.onboarded(clock.now() - timedelta(days=2))
    first = await desk.sign_up()
    await say("wamid.before", clock.now() - timedelta(hours=36))
    await desk.ask("UPDATE journal SET received_at = now() - interval '36 hours' RETURNING 1")
    stranger = replace(desk, party=Party(account.id, "Rui"))
    assert (await stranger.sign_up()).problem == Problem.TAKEN
    removed = Line(first.inbox_id or 0, clock.now() - timedelta(days=1), "account_update", "PARTNER_REMOVED", {})
    async with transaction(desk.pool) as conn:
        await connection.record(conn, [removed])
        await connection.refresh(conn, [removed.inbox_id])
    desk.onboarded(clock.now())
    moved = await stranger.sign_up()
    assert (moved.state, moved.is_onboarding, moved.inbox_id == first.inbox_id) == (State.CONNECTED, True, False)
    assert await desk.ask(f"SELECT count(wanted_at) FROM syncs WHERE inbox_id = {moved.inbox_id}") == [(2,)]
    assert await desk.ask(f"SELECT state::text, token FROM inboxes WHERE id = {first.inbox_id}") == [("removed", None)]
    await desk.ask(f"UPDATE syncs SET first_arrival_at = now() WHERE inbox_id = {first.inbox_id} RETURNING 1")
    await desk.ask("UPDATE journal SET lane = 1 RETURNING 1")
    async with transaction(desk.pool) as conn:
        plan = await undoing.plan(conn, desk.party.account_id, first.inbox_id or 0)
    assert not plan.can_come_back, "its deliveries are nobody's to apply any more"
    await say("wamid.after")
    async with transaction(desk.pool) as conn:
        await replay(conn, Span())
    while await apply_next(desk.pool, KEYRING, 0) or await apply_next(desk.pool, KEYRING, 1):
        pass
    whose = [("wamid.before", first.inbox_id), ("wamid.after", moved.inbox_id)]
    assert await desk.ask("SELECT wamid, inbox_id FROM messages ORDER BY id") == whose, "also when all is applied again"
    async with transaction(desk.pool) as conn:
        number_id = await private.add(conn, KEYRING, "Inês", desk.party.account_id, PHONE)
        await private.want_purge(conn, KEYRING, desk.party.account_id, number_id, typed=PHONE)
    while await purging.step(desk.pool, KEYRING):
        pass
    assert await desk.ask("SELECT wamid FROM messages") == [("wamid.after",)]
    kept = b"".join([unseal(KEYRING, body) for (body,) in await desk.ask("SELECT body FROM journal")])
    assert (b"wamid.before" in kept, b"wamid.after" in kept) == (False, True), "each account has its own list"
