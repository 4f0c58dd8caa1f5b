"""Connecting a number: the same stays the same inbox, and only a new onboarding gives a new right to sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import actions, store
from coexist.inbox import connection, credentials, summary
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.people import actions as people
from tests.support.business import deliver, inbound, open_business

KEYRING = Keyring([b"k" * 32])
SINCE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NUMBER: dict[str, Any] = {
    "waba_id": "701122334455667",
    "phone_number_id": "555100020003000",
    "display_phone_number": "+351 21 055 9000",
    "token": "EAAinvented",
    "is_coexistence": True,
}


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    async with transaction(pool) as opened:
        yield opened


@pytest.fixture
async def account_id(conn: Connection) -> int:
    return (await people.create_account(conn, "Ótica Duarte")).id


async def _connect(conn: Connection, account_id: int, **other: Any) -> Inbox:
    values = {**NUMBER, "onboarded_at": SINCE, **other}
    return await actions.connect(conn, KEYRING, account_id=account_id, **values)


async def _onboardings(conn: Connection, inbox_id: int) -> list[datetime]:
    cursor = await conn.execute("SELECT onboarded_at FROM syncs WHERE inbox_id = %s", (inbox_id,))
    return sorted({row[0] for row in await cursor.fetchall()})


async def test_a_number_becomes_an_inbox_with_two_syncs_and_a_sealed_token(conn: Connection, account_id: int) -> None:
    inbox = await _connect(conn, account_id)
    assert (inbox.state, inbox.display_phone_number, inbox.name) == ("connected", "351210559000", "+351 21 055 9000")
    assert [sync.state for sync in await store.syncs(conn, inbox.id)] == ["not_requested", "not_requested"]
    assert await credentials.token_of(conn, KEYRING, inbox.id) == "EAAinvented"
    row = await (await conn.execute("SELECT token FROM inboxes")).fetchone()
    assert row is not None
    assert b"EAAinvented" not in row[0]


@pytest.mark.requirement("A7")
async def test_authorising_again_keeps_inbox_waba_and_syncs(conn: Connection, account_id: int) -> None:
    first = await _connect(conn, account_id, name="Loja")
    await conn.execute("UPDATE syncs SET state = 'completed', requested_at = now()")
    again = await _connect(conn, account_id, token="EAAnewer", onboarded_at=None)
    assert (again.id, again.waba_id, again.name, again.onboarded_at) == (first.id, first.waba_id, "Loja", SINCE)
    assert await credentials.token_of(conn, KEYRING, again.id) == "EAAnewer"
    assert [sync.state for sync in await store.syncs(conn, again.id)] == ["completed", "completed"]
    with pytest.raises(Conflict, match="belongs to WABA"):
        await _connect(conn, account_id, waba_id="999", onboarded_at=None)


async def test_an_older_onboarding_changes_nothing(conn: Connection, account_id: int) -> None:
    inbox = await _connect(conn, account_id)
    again = await _connect(conn, account_id, onboarded_at=SINCE - timedelta(days=3))
    assert again.onboarded_at == SINCE
    assert await _onboardings(conn, inbox.id) == [SINCE]


async def test_a_new_onboarding_renews_the_right_to_sync_and_may_bring_another_waba(
    conn: Connection, account_id: int
) -> None:
    inbox = await _connect(conn, account_id)
    await conn.execute("UPDATE syncs SET state = 'completed', requested_at = now()")
    later = SINCE + timedelta(days=1)
    again = await _connect(conn, account_id, onboarded_at=later, waba_id="702")
    lines = await (await conn.execute("SELECT value -> 'is_anew' FROM inbox_timeline ORDER BY id")).fetchall()
    assert lines == [(None,), (True,)], "the timeline tells a new connection from a renewed access"
    assert (again.id, again.waba_id) == (inbox.id, "702")
    assert await _onboardings(conn, inbox.id) == [SINCE, later]
    assert [sync.state for sync in await store.syncs(conn, inbox.id)] == ["not_requested", "not_requested"]


@pytest.mark.requirement("A8")
async def test_a_number_of_another_account_is_refused(conn: Connection, account_id: int) -> None:
    await _connect(conn, account_id)
    other = (await people.create_account(conn, "Another")).id
    with pytest.raises(Conflict, match="already connected to another account"):
        await _connect(conn, other)


@pytest.mark.requirement("A9")
async def test_a_plain_connection_never_overwrites_a_coexistence_one(conn: Connection, account_id: int) -> None:
    await _connect(conn, account_id)
    with pytest.raises(Conflict, match="together with the WhatsApp Business app"):
        await _connect(conn, account_id, is_coexistence=False)


@pytest.mark.requirement("A6")
async def test_what_came_before_the_number_is_applied_once_it_is_connected(conn: Connection, account_id: int) -> None:
    await conn.execute("INSERT INTO journal (received_at, body) SELECT now(), 'x' FROM generate_series(1, 3)")
    await conn.execute("INSERT INTO unrouted SELECT %s, id FROM journal WHERE id < 3", (NUMBER["phone_number_id"],))
    await conn.execute("INSERT INTO unrouted SELECT '42', id FROM journal WHERE id = 3")
    await _connect(conn, account_id)
    backlog = await (await conn.execute("SELECT journal_id FROM backlog ORDER BY 1")).fetchall()
    left = await (await conn.execute("SELECT journal_id FROM unrouted")).fetchall()
    assert (backlog, left) == ([(1,), (2,)], [(3,)])


async def test_two_numbers_of_one_portfolio_share_a_contact_scope(conn: Connection, account_id: int) -> None:
    one = await _connect(conn, account_id, portfolio_id="900")
    two = await _connect(conn, account_id, portfolio_id="900", phone_number_id="2", display_phone_number="351210559001")
    three = await _connect(conn, account_id, phone_number_id="3", display_phone_number="351210559002")
    assert one.scope_id == two.scope_id != three.scope_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"waba_id": "x"},
        {"phone_number_id": ""},
        {"display_phone_number": "the shop"},
        {"display_phone_number": "0210559000"},
        {"token": ""},
        {"token": "a b"},
        {"token": "a\n"},
        {"portfolio_id": "x"},
        {"name": "x" * 101},
        {"onboarded_at": datetime(2026, 11, 20)},  # noqa: DTZ001
        {"onboarded_at": datetime(2999, 1, 1, tzinfo=UTC)},
    ],
)
async def test_what_cannot_be_used_is_refused(conn: Connection, account_id: int, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await _connect(conn, account_id, **wrong)


async def test_a_refused_token_shows_until_the_number_is_authorised_again(conn: Connection, account_id: int) -> None:
    inbox = await _connect(conn, account_id)
    refused = Line(inbox.id, clock.now(), connection.OURS, connection.TOKEN_REFUSED, {"reason": "expired"})
    await connection.record(conn, [refused])
    assert len(await connection.refresh(conn, [inbox.id])) == 1
    assert await connection.refresh(conn, [inbox.id]) == []
    row = await (await conn.execute("SELECT state::text, state_reason FROM inboxes")).fetchone()
    assert row == ("token_invalid", "expired")
    again = await _connect(conn, account_id, onboarded_at=None)
    assert again.state == "connected"


async def test_after_a_new_onboarding_every_window_begins_closed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh, slices = summary.refresh, list[int]()

    async def counted(conn: Connection, ids: Collection[int], contact_ids: Collection[int] = ()) -> summary.Refreshed:
        slices.append(len(ids))
        return await refresh(conn, ids, contact_ids)

    business = await open_business(pool)
    await deliver(pool, *(inbound(f"wamid.{n}", "Olá", phone=f"35191055911{n}") for n in range(3)))
    monkeypatch.setattr(actions, "REFRESHED_COUNT", 2)
    monkeypatch.setattr(summary, "refresh", counted)
    async with transaction(pool) as conn:
        opened = "SELECT count(window_opened_at), (SELECT onboarded_at FROM inboxes) FROM conversations"
        assert (await (await conn.execute(opened)).fetchone() or ())[0] == 3
        later = clock.now() + timedelta(seconds=2)
        await _connect(conn, business.member.account_id, onboarded_at=later)
        assert await (await conn.execute(opened)).fetchone() == (0, later)
    assert slices == [2, 1]


async def test_a_state_is_computed_while_messages_are_being_inserted(pool: Pool) -> None:
    business = await open_business(pool)
    async with transaction(pool) as writing, transaction(pool) as conn:
        await writing.execute("INSERT INTO media (inbox_id, wamid, content_rank, told_at) VALUES (1, 'w', 40, now())")
        await conn.execute("SET LOCAL lock_timeout = '500ms'")
        assert await connection.refresh(conn, [business.inbox.id]) == []
