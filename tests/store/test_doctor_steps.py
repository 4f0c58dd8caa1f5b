"""Every check of the doctor that is not green says what was seen, when, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.coexistence import checks_doctor
from coexist.coexistence.checks_model import Check, Level, Name
from coexist.coexistence.model import SyncState
from coexist.inbox import refusals
from coexist.inbox.connection import State
from coexist.meta.errors import Action, codes_of
from tests.support.business import KEYRING, Business, conversation_of, deliver, inbound, open_business
from tests.support.outbox import write
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph
from tests.support.templates import keep, listed
from tests.support.templates import write as write_template

SETTINGS: Final = replace(Settings(), app_id="1900100200300", app_secrets=(b"secret",))
TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC")


@pytest.fixture
async def business(pool: Pool) -> Business:
    opened = await open_business(pool)
    await Ready(pool, ScriptedGraph(), SETTINGS.app_id or "", "1").begin()
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


async def look(business: Business) -> dict[str, Check]:
    """All checks by name; each that is not green has a next step."""
    async with business.pool.connection() as conn:
        ids = business.member.account_id, business.inbox.id
        found = await checks_doctor.diagnose(conn, KEYRING, SETTINGS, *ids)
    checks = {check.name: check for question in found.questions for check in question.checks}
    for check in checks.values():
        assert check.seen, check
        assert abs(check.at - clock.now()) < timedelta(minutes=1), check
        assert check.level == Level.GREEN or check.next_step, check
    return checks


async def ask(business: Business, statement: str, *values: object) -> None:
    async with transaction(business.pool) as conn:
        await conn.execute(statement, values)


@pytest.mark.requirement("G12", "B4")
@pytest.mark.parametrize("state", SyncState)
@pytest.mark.parametrize("is_late", [False, True])
async def test_every_state_of_a_sync_has_a_way_on(business: Business, state: SyncState, is_late: bool) -> None:
    asked = "now()" if state not in ("not_requested", "switched_off", "failed") else "NULL"
    await ask(business, f"UPDATE syncs SET state = %s::sync_state, requested_at = {asked}", state)
    later = clock.now() + timedelta(hours=25 if is_late else 0)
    with clock.reading(lambda: later):
        await ask(business, "UPDATE worker_beats SET beat_at = clock_timestamp()")
        checks = await look(business)
    for name in (Name.HISTORY, Name.CONTACTS):
        if state not in checks_doctor.OVER:
            assert name in checks
    if is_late and state in ("not_requested", "failed"):
        assert checks[Name.HISTORY].level == Level.RED
        assert "Business Platform > Disconnect" in checks[Name.HISTORY].next_step


@pytest.mark.requirement("G1", "G4", "G12")
@pytest.mark.parametrize("state", State)
async def test_every_state_of_the_connection_says_since_when_and_what_to_do(business: Business, state: State) -> None:
    await ask(business, "UPDATE inboxes SET state = %s::inbox_state", state)
    check = (await look(business))[Name.CONNECTION]
    assert (check.level == Level.GREEN) is (state == State.CONNECTED)
    assert TIME.search(check.seen)


@pytest.mark.requirement("G12")
async def test_every_code_that_stands_has_a_next_step(business: Business) -> None:
    standing = codes_of(*refusals.STANDING)
    for code in standing:
        await ask(business, "UPDATE inboxes SET standing_codes = %s", [code])
        check = (await look(business))[Name.HELD]
        assert (check.level, str(code) in check.seen) == (Level.AMBER, True)
    assert set(standing) >= set(codes_of(Action.TELL_ADMINS))


@pytest.mark.requirement("G12")
async def test_the_outbox_is_green_amber_and_red(business: Business) -> None:
    assert (await look(business))[Name.OUTBOX].level == Level.GREEN
    await write(business)
    assert (await look(business))[Name.OUTBOX].level == Level.GREEN, "it has just been written"
    await ask(business, "UPDATE outbox SET state = 'unclear'")
    assert (await look(business))[Name.OUTBOX].level == Level.AMBER
    await ask(business, "UPDATE outbox SET state = 'queued', created_at = now() - interval '1 hour'")
    check = (await look(business))[Name.OUTBOX]
    assert (check.level, TIME.search(check.seen) is not None) == (Level.RED, True)


@pytest.mark.requirement("G12")
async def test_what_waits_for_a_paused_template_is_told_and_is_no_fault_of_the_number(business: Business) -> None:
    await keep(business, listed())
    await write_template(business, await conversation_of(business.pool))
    await ask(business, "UPDATE templates SET told_status = 'PAUSED', told_at = now()")
    await ask(business, "UPDATE outbox SET created_at = now() - interval '1 hour'")
    check = (await look(business))[Name.OUTBOX]
    assert (check.level, "paused (order_ready): 1." in check.seen) == (Level.AMBER, True)
    await write(business)
    await ask(business, "UPDATE outbox SET created_at = now() - interval '1 hour'")
    assert (await look(business))[Name.OUTBOX].level == Level.RED


@pytest.mark.requirement("G12")
@pytest.mark.parametrize(("code", "level"), [(131042, Level.RED), (190, Level.RED), (130472, Level.AMBER)])
async def test_a_failure_is_red_until_meta_takes_a_message_again(business: Business, code: int, level: Level) -> None:
    await write(business)
    await ask(business, "UPDATE outbox SET state = 'failed', error_code = %s, settled_at = now()", code)
    assert (await look(business))[Name.FAILURES].level == level
    await write(business, "Mais uma")
    await ask(
        business,
        "UPDATE outbox SET state = 'accepted', settled_at = now() + interval '1 second' WHERE state = 'queued'",
    )
    check = (await look(business))[Name.FAILURES]
    assert (check.level, "Meta took one at" in check.seen) == (Level.AMBER, True)


@pytest.mark.requirement("G12")
async def test_files_access_and_what_could_not_be_applied_have_their_levels(business: Business) -> None:
    checks = await look(business)
    names = (Name.MEDIA, Name.QUARANTINE, Name.UNROUTED, Name.ACCESS, Name.STORAGE, Name.DATABASE, Name.CLOCK)
    assert {checks[name].level for name in names if name in checks} == {Level.GREEN}
    await ask(
        business,
        "INSERT INTO media (inbox_id, wamid, state, reason, content_rank, told_at)"
        " VALUES (%s, 'wamid.F', 'failed', 'too_large', 50, now())",
        business.inbox.id,
    )
    await ask(
        business,
        "INSERT INTO quarantine (journal_id, part, phone_number_id, error)"
        " SELECT id, 'entry[0]', %s, 'ValueError: x' FROM journal LIMIT 1",
        business.inbox.phone_number_id,
    )
    await ask(
        business,
        "INSERT INTO unrouted (phone_number_id, journal_id) SELECT %s, id FROM journal LIMIT 1",
        business.inbox.phone_number_id,
    )
    await ask(business, "UPDATE inboxes SET token = NULL")
    checks = await look(business)
    assert {checks[name].level for name in (Name.MEDIA, Name.QUARANTINE, Name.UNROUTED)} == {Level.AMBER}
    assert checks[Name.ACCESS].level == Level.RED
