"""Sync and connection facts: any order, duplication and batching of them ends in the same rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.coexistence import actions, overview, store
from coexist.coexistence.apply import apply
from coexist.coexistence.model import SyncKind
from coexist.coexistence.switches import wanted
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import (
    AccountUpdated,
    AddressBookChanged,
    Fact,
    HistoryDeclined,
    HistoryFailed,
    HistoryProgressed,
    NoticeGiven,
    Person,
)
from coexist.people import actions as people
from coexist.people import store as people_store
from tests.support import intake
from tests.support.switches import switch_off

SINCE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NUMBER, WABA, DISPLAY = "555100020003000", "701122334455667", "351210559000"
KEYRING = Keyring([b"k" * 32])


async def _connect(
    conn: Connection,
    *,
    number: str = NUMBER,
    display: str = DISPLAY,
    since: datetime = SINCE,
    portfolio_id: str | None = None,
) -> Inbox:
    account = await people_store.account_by_name(conn, "A") or await people.create_account(conn, "A")
    return await actions.connect(
        conn,
        KEYRING,
        account_id=account.id,
        waba_id=WABA,
        phone_number_id=number,
        display_phone_number=display,
        token="EAAinvented",
        is_coexistence=True,
        onboarded_at=since,
        portfolio_id=portfolio_id,
    )


async def _deliver(conn: Connection, facts: Sequence[Fact], *, minutes: int = 60) -> list[NewEvent]:
    """Journal a delivery received so many minutes after the onboarding, and apply its facts."""
    cursor = await conn.execute(
        "INSERT INTO journal (received_at, body) VALUES (%s, 'x') RETURNING id", (SINCE + timedelta(minutes=minutes),)
    )
    row = await cursor.fetchone()
    assert row is not None
    told = [msgspec.structs.replace(fact, journal_id=row[0]) for fact in facts]
    known = await inboxes.by_phone_number_ids(conn, [fact.phone_number_id or "" for fact in told])
    return await apply(conn, known, wanted(told, known))


def _chunk(phase: int | None, order: int | None, progress: int | None, messages: int = 5) -> HistoryProgressed:
    return HistoryProgressed(
        part="entry[0]",
        phone_number_id=NUMBER,
        phase=phase,
        chunk_order=order,
        progress=progress,
        thread_count=1,
        message_count=messages,
    )


def _entry(at: datetime = SINCE) -> AddressBookChanged:
    return AddressBookChanged(
        part="entry[0]", phone_number_id=NUMBER, person=Person(phone="351910559111"), at=at, is_removed=False
    )


def _account(event: str, minutes: float, **other: Any) -> AccountUpdated:
    values: dict[str, Any] = {"waba_id": None, "entry_id": WABA, "display_phone_number": None, **other}
    if values["display_phone_number"]:
        values["value"] = msgspec.json.encode({"phone_number": values["display_phone_number"]})
    at = SINCE + timedelta(minutes=minutes)
    return AccountUpdated(part="entry[0]", phone_number_id=None, event=event, at=at, **values)


async def _rows(conn: Connection) -> list[Any]:
    tables = []
    for statement in (
        "SELECT kind, onboarded_at, state, first_arrival_at, last_arrival_at, completed_at, declined_at, error_code,"
        " error, error_at FROM syncs ORDER BY kind, onboarded_at",
        "SELECT onboarded_at, phase, chunk_order, progress, thread_count, message_count, arrived_at"
        " FROM history_chunks ORDER BY 1, 2, 3",
        "SELECT inbox_id, at, field, event, value FROM inbox_timeline WHERE field <> 'coexist' ORDER BY 1, 2, 3, 4, 5",
        "SELECT id, state, state_at, state_reason, state_initiated_by FROM inboxes ORDER BY id",
    ):
        tables.append(await (await conn.execute(statement)).fetchall())
    return tables


async def _history(conn: Connection, inbox: Inbox) -> str:
    return (await store.syncs(conn, inbox.id))[1].state


class Rollback(Exception):
    pass


@pytest.mark.requirement("B8", "C7", "G1")
async def test_any_order_duplication_and_batching_gives_the_same_rows(pool: Pool) -> None:
    facts: list[tuple[int, Fact]] = [
        *((60 + n, _chunk(n % 3, n // 3, min(100, 13 * n), n)) for n in range(9)),
        (80, _chunk(None, None, None)),
        (81, _chunk(1, 1, 7, 99)),
        *((61 + n, _entry()) for n in range(3)),
        (90, HistoryDeclined(part="", phone_number_id=NUMBER, at=SINCE + timedelta(minutes=5), details=None)),
        (91, HistoryFailed(part="", phone_number_id=NUMBER, at=SINCE + timedelta(minutes=6), code=1, details="b")),
        (92, HistoryFailed(part="", phone_number_id=NUMBER, at=SINCE + timedelta(minutes=6), code=1, details="a")),
        (93, HistoryFailed(part="", phone_number_id=NUMBER, at=SINCE, code=7, details=None)),
        (10, _account("ACCOUNT_OFFBOARDED", 10)),
        (11, _account("ACCOUNT_RECONNECTED", 12)),
        (12, _account("ACCOUNT_OFFBOARDED", 12)),
        (13, _account("PARTNER_REMOVED", 11, display_phone_number="+351 21 055 9000", reason="PRIMARY_INACTIVITY")),
        (-5, _account("PARTNER_REMOVED", -60)),
        (15, NoticeGiven(part="", phone_number_id=None, field="account_alerts", event="X", waba_id=WABA,
                         display_phone_number=None, at=SINCE, value=b'{"a":1}')),
    ]  # fmt: skip
    chance = random.Random(20261122)
    seen: list[Any] = []
    for schedule in range(25):
        shuffled = facts + chance.sample(facts, 6)
        if schedule:
            chance.shuffle(shuffled)
        with pytest.raises(Rollback):  # the same ids again in every round
            async with transaction(pool) as conn:
                await conn.execute("SELECT setval('inboxes_id_seq', 100), setval('accounts_id_seq', 100)")
                await _connect(conn)
                while shuffled:
                    size = chance.randint(1, 4)
                    batch, shuffled = shuffled[:size], shuffled[size:]
                    known = await inboxes.by_phone_number_ids(conn, [NUMBER])
                    told = []
                    for minutes, fact in batch:
                        cursor = await conn.execute(
                            "INSERT INTO journal (received_at, body) VALUES (%s, 'x') RETURNING id",
                            (SINCE + timedelta(minutes=minutes),),
                        )
                        row = await cursor.fetchone()
                        assert row is not None
                        told.append(msgspec.structs.replace(fact, journal_id=row[0]))
                    await apply(conn, known, told)
                seen.append(await _rows(conn))
                raise Rollback
    assert all(rows == seen[0] for rows in seen)
    assert seen[0][3][0][1] == "connected"


@pytest.mark.requirement("B7", "B8")
async def test_progress_is_a_maximum_and_complete_means_100_in_the_last_phase(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await _deliver(conn, [_chunk(1, 2, 62)])
        await _deliver(conn, [_chunk(0, 1, 20)])
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.progress, panel.history.sync.state) == (62, "receiving")
        assert [(phase.phase, phase.progress) for phase in panel.phases] == [(0, 20), (1, 62)]
        await _deliver(conn, [_chunk(2, 1, 100)], minutes=70)
        await _deliver(conn, [_chunk(1, 3, 80)], minutes=90)
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.progress, panel.history.sync.state) == (100, "completed")
        assert panel.history.sync.completed_at == SINCE + timedelta(minutes=90)


@pytest.mark.requirement("B8")
async def test_a_100_in_a_phase_that_others_follow_completes_nothing(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await _deliver(conn, [_chunk(0, 1, 100), _chunk(1, 1, 30)])
        assert await _history(conn, inbox) == "receiving"
        await _deliver(conn, [_chunk(1, 2, 100)])
        assert await _history(conn, inbox) == "completed"


@pytest.mark.requirement("B6")
async def test_declined_is_a_state_of_its_own_and_no_error(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = %s", (SINCE,))
        events = await _deliver(conn, [HistoryDeclined(part="", phone_number_id=NUMBER, at=SINCE, details=None)])
        assert events == [NewEvent(inbox.account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox.id)]
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.history.sync.error) == ("declined", None)
        assert "chose not to share" in panel.history.sentence


async def test_another_error_is_shown_and_the_sync_goes_on(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await _deliver(conn, [_chunk(0, 1, 10)])
        await _deliver(conn, [HistoryFailed(part="", phone_number_id=NUMBER, at=SINCE, code=131000, details="Oops.")])
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert panel.history.sync.state == "receiving"
        assert panel.history.sentence.endswith("Oops.")


async def test_contacts_are_received_once_asked_for_and_complete_after_silence(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await _deliver(conn, [_entry()], minutes=1)
        assert (await store.syncs(conn, inbox.id))[0].state == "not_requested"
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = %s", (SINCE + timedelta(minutes=2),))
        await _deliver(conn, [_entry()], minutes=3)
        assert (await store.syncs(conn, inbox.id))[0].state == "receiving"
        with clock.reading(lambda: SINCE + timedelta(minutes=14)):
            assert await store.sweep(conn) == [(inbox.account_id, inbox.id)]
        await _deliver(conn, [_entry()], minutes=500)
        contacts = (await store.syncs(conn, inbox.id))[0]
        assert (contacts.state, contacts.completed_at) == ("completed", SINCE + timedelta(minutes=3))


@pytest.mark.requirement("B5")
async def test_silence_becomes_a_state_with_its_likely_causes_and_late_data_is_taken_in(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await conn.execute(
            "UPDATE syncs SET requested_at = %s, state = CASE kind WHEN 'history' THEN 'requesting'::sync_state"
            " ELSE 'requested' END",
            (SINCE,),
        )
        with clock.reading(lambda: SINCE + timedelta(hours=5)):
            assert await store.sweep(conn) == []
        with clock.reading(lambda: SINCE + timedelta(hours=7)):
            assert await store.sweep(conn) == [(inbox.account_id, inbox.id)]
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert {panel.contacts.sync.state, panel.history.sync.state} == {"nothing_arrived"}
        assert "not subscribed" in panel.history.sentence
        await _deliver(conn, [_chunk(0, 1, 10), _entry()], minutes=600)
        assert [sync.state for sync in await store.syncs(conn, inbox.id)] == ["receiving", "receiving"]


@pytest.mark.requirement("B11")
async def test_switched_off_means_that_nothing_is_merged(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await switch_off(conn)
        assert await actions.request_syncs(conn, inbox.account_id, inbox.id) == 0
        assert await _deliver(conn, [_chunk(0, 1, 10), _entry()]) == []
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.progress) == ("switched_off", 0)
        assert "switched off" in panel.history.sentence


async def test_each_onboarding_has_its_own_progress(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await _deliver(conn, [_chunk(2, 1, 100)], minutes=60)
        await _connect(conn, since=SINCE + timedelta(minutes=100))
        await _deliver(conn, [_chunk(1, 9, 90)], minutes=70)  # late, from before
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.progress) == ("not_requested", 0)
        await _deliver(conn, [_chunk(0, 1, 40)], minutes=120)
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.progress) == ("receiving", 40)


@pytest.mark.requirement("B3", "B7")
@pytest.mark.parametrize("late", ["chunk", "refusal", "error"])
async def test_what_still_comes_of_the_former_history_spends_no_new_chance(pool: Pool, late: str) -> None:
    facts: dict[str, Fact] = {
        "chunk": _chunk(2, 1, 100),
        "refusal": HistoryDeclined(part="", phone_number_id=NUMBER, at=SINCE, details=None),
        "error": HistoryFailed(part="", phone_number_id=NUMBER, at=SINCE, code=131000, details="Oops."),
    }
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = %s", (SINCE,))
        await _deliver(conn, [_chunk(1, 1, 60)], minutes=60)
        again = await _connect(conn, since=SINCE + timedelta(minutes=100))
        await _deliver(conn, [facts[late]], minutes=110)
        history = (await store.syncs(conn, inbox.id))[1]
        assert (history.state, history.declined_at, history.error) == ("not_requested", None, None)
        former = (await store.syncs(conn, inbox.id, SINCE))[1]
        told = {"chunk": former.state == "completed", "refusal": former.declined_at, "error": former.error}
        assert told[late], "it is told of the one that it answers"
        await conn.execute(
            "UPDATE syncs SET state = 'requested', requested_at = %s WHERE onboarded_at = %s",
            (SINCE + timedelta(minutes=120), again.onboarded_at),
        )
        await _deliver(conn, [_chunk(0, 1, 40)], minutes=121)
        await _deliver(conn, [facts[late]], minutes=110)  # a replay counts as it did
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.progress) == ("receiving", 40)


@pytest.mark.requirement("B3", "B7")
async def test_what_meta_delivers_again_counts_for_the_request_before_which_it_was_made(pool: Pool) -> None:
    """A delivery that we once failed to take comes for seven days more: ``entry.time`` tells, where it is there."""
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        await conn.execute("UPDATE syncs SET state = 'requested', requested_at = %s", (SINCE,))
        again = await _connect(conn, since=SINCE + timedelta(minutes=100))
        await conn.execute(
            "UPDATE syncs SET state = 'requested', requested_at = %s WHERE onboarded_at = %s",
            (SINCE + timedelta(minutes=105), again.onboarded_at),
        )
        before, after = SINCE + timedelta(minutes=50), SINCE + timedelta(minutes=108)
        last, contact = _chunk(2, 1, 100), _entry()
        former = [msgspec.structs.replace(last, made_at=before), msgspec.structs.replace(contact, made_at=before)]
        former.append(HistoryDeclined(part="", phone_number_id=NUMBER, at=before, details=None))
        await _deliver(conn, former, minutes=110)
        assert [sync.state for sync in await store.syncs(conn, inbox.id)] == ["requested", "requested"]
        assert [sync.state for sync in await store.syncs(conn, inbox.id, SINCE)] == ["receiving", "completed"]
        assert (await store.syncs(conn, inbox.id))[1].declined_at is None
        await _deliver(conn, [msgspec.structs.replace(_chunk(0, 1, 40), made_at=after)], minutes=110)
        await _deliver(
            conn, [msgspec.structs.replace(_chunk(0, 2, 60), made_at=SINCE - timedelta(days=8))], minutes=111
        )
        panel = await overview.sync_panel(conn, inbox.account_id, inbox.id)
        assert (panel.history.sync.state, panel.progress) == ("receiving", 60), "nobody delivers for eight days"


@pytest.mark.requirement("G2")
async def test_a_removal_acts_on_the_number_it_names_alone(pool: Pool) -> None:
    async with transaction(pool) as conn:
        one = await _connect(conn)
        two = await _connect(conn, number="2", display="5511985500101")

        async def states() -> list[str]:
            return [(await inboxes.get(conn, one.account_id, id_)).state for id_ in (one.id, two.id)]

        await _deliver(conn, [_account("PARTNER_REMOVED", 5)])
        assert await states() == ["connected", "connected"]  # it named neither of two
        await _deliver(conn, [_account("PARTNER_REMOVED", 6, display_phone_number="551185500101")])
        assert await states() == ["connected", "removed"]  # Brazil's ninth digit
        await _deliver(conn, [_account("ACCOUNT_OFFBOARDED", 7)])
        assert await states() == ["offboarded", "offboarded"]


@pytest.mark.requirement("G2")
@pytest.mark.parametrize("event", ["PARTNER_REMOVED", "ACCOUNT_DELETED"])
async def test_what_names_another_waba_of_the_portfolio_is_not_about_ours(pool: Pool, event: str) -> None:
    portfolio_id = WABA  # what a scope is called when nobody said otherwise
    value = {"event": event, "waba_info": {"waba_id": "702", "owner_business_id": portfolio_id}}
    changes = [{"field": "account_update", "value": value}]
    entry = {"id": portfolio_id, "time": int(clock.now().timestamp()), "changes": changes}
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
    await intake.deliver(pool, [msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})])
    async with transaction(pool) as conn:
        assert (await inboxes.get(conn, inbox.account_id, inbox.id)).state == "connected"
        assert await (await conn.execute("SELECT phone_number_id FROM unrouted")).fetchall() == [("702",)]
        cursor = await conn.execute("SELECT count(*) FROM inbox_timeline WHERE field = 'account_update'")
        assert await cursor.fetchone() == (0,)


async def test_what_named_a_portfolio_alone_waits_for_its_first_number(pool: Pool) -> None:
    value = {"event": "ACCOUNT_OFFBOARDED"}
    changes = [{"field": "account_update", "value": value}]
    entry = {"id": "900", "time": int(clock.now().timestamp()), "changes": changes}
    await intake.deliver(pool, [msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})])
    async with transaction(pool) as conn:
        inbox = await _connect(conn, portfolio_id="900")
    await intake.apply_all(pool)
    async with transaction(pool) as conn:
        assert (await inboxes.get(conn, inbox.account_id, inbox.id)).state == "offboarded"


@pytest.mark.requirement("G1")
async def test_the_reason_and_who_began_it_are_kept(pool: Pool) -> None:
    value = msgspec.json.encode({"disconnection_info": {"reason": "CHANGE_NUMBER", "initiated_by": "USER"}})
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        events = await _deliver(conn, [_account("PARTNER_REMOVED", 5, waba_id=WABA, entry_id="1", value=value)])
        assert events == [NewEvent(inbox.account_id, Kind.INBOX_CHANGED, inbox_id=inbox.id)]
        found = await inboxes.get(conn, inbox.account_id, inbox.id)
        assert (found.state, found.state_reason, found.state_initiated_by) == ("removed", "CHANGE_NUMBER", "USER")


async def test_the_kinds_of_syncs_come_contacts_first(pool: Pool) -> None:
    async with transaction(pool) as conn:
        inbox = await _connect(conn)
        assert [sync.kind for sync in await store.syncs(conn, inbox.id)] == list(SyncKind)
