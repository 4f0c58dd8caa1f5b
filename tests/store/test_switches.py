"""Switches of history, contacts and files at every level: what is asked, what is merged, what follows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Invalid, NotFound
from coexist.coexistence import actions, store, switches, worker
from coexist.coexistence.choices import choices_of
from coexist.inbox.switches import EVERYTHING, Switch
from coexist.intake.replay import Span, replay
from coexist.meta.graph import Graph
from tests.support import intake, wire
from tests.support.business import Business, inbound, open_business
from tests.support.business import deliver as deliver_changes
from tests.support.intake import KEYRING, SHOP, body_of
from tests.support.scripted_graph import ScriptedGraph

BY: Final = "Inês Duarte"
PHONE: Final = "351910559122"


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


async def throw(
    business: Business,
    switch: Switch,
    *,
    is_on: bool,
    account: bool = False,
    installation: frozenset[Switch] = EVERYTHING,
) -> bool:
    async with transaction(business.pool) as conn:
        inbox_id = None if account else business.inbox.id
        ids = business.member.account_id, inbox_id
        return await switches.throw(conn, BY, *ids, switch, is_on=is_on, installation=installation)


async def states(business: Business) -> list[str]:
    async with business.pool.connection() as conn:
        return [sync.state for sync in await store.syncs(conn, business.inbox.id)]


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("B11")
@pytest.mark.parametrize("is_account", [False, True])
@pytest.mark.parametrize(
    ("switch", "asked"), [(Switch.HISTORY, "smb_app_state_sync"), (Switch.CONTACTS, "history")], ids=str
)
async def test_only_what_is_switched_on_is_asked_for_and_the_rest_when_it_is_on_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], switch: Switch, asked: str, is_account: bool
) -> None:
    scripted, graph = graphs
    assert await throw(business, switch, is_on=False, account=is_account)
    async with transaction(business.pool) as conn:
        assert await actions.request_syncs(conn, business.member.account_id, business.inbox.id) == 1
    await worker.step(business.pool, graph, KEYRING)
    assert [call.body["sync_type"] for call in scripted.of("smb_app_data")] == [asked]
    assert sorted(await states(business)) == ["requested", "switched_off"]
    assert await throw(business, switch, is_on=True, account=is_account)
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requested", "requested"]
    assert len(scripted.of("smb_app_data")) == 2
    await worker.step(business.pool, graph, KEYRING)
    assert len(scripted.of("smb_app_data")) == 2, "each is asked for once"


@pytest.mark.requirement("B11")
async def test_the_chance_is_kept_through_a_restart_with_the_installations_switch(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    _, graph = graphs
    async with transaction(business.pool) as conn:
        await actions.request_syncs(conn, business.member.account_id, business.inbox.id)
    await worker.step(business.pool, graph, KEYRING, installation=frozenset({Switch.CONTACTS}))
    assert await states(business) == ["requested", "switched_off"]
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requested", "requested"]


@pytest.mark.requirement("B11")
async def test_switched_on_too_late_says_so(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    await throw(business, Switch.HISTORY, is_on=False)
    async with transaction(business.pool) as conn:
        await actions.request_syncs(conn, business.member.account_id, business.inbox.id)
    await worker.step(business.pool, graph, KEYRING)
    tomorrow = clock.now() + timedelta(hours=24)
    with clock.reading(lambda: tomorrow):
        await throw(business, Switch.HISTORY, is_on=True)
        await worker.step(business.pool, graph, KEYRING)
    assert (await states(business))[1] == "failed"
    assert [call.body["sync_type"] for call in scripted.of("smb_app_data")] == ["smb_app_state_sync"]


async def test_what_nobody_wanted_is_not_asked_for_by_a_switch(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    for is_on in (False, True):
        await throw(business, Switch.HISTORY, is_on=is_on)
        await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["not_requested", "not_requested"]
    assert scripted.of("smb_app_data") == []


# ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("B11")
@pytest.mark.parametrize(("switch", "left"), [(Switch.HISTORY, (0, 1)), (Switch.CONTACTS, (1, 0))], ids=str)
async def test_what_is_switched_off_is_not_merged_and_can_be_applied_later(
    pool: Pool, switch: Switch, left: tuple[int, int]
) -> None:
    async with transaction(pool) as conn:
        account_id = await intake.connect(conn, SHOP)
        await switches.throw(conn, BY, account_id, None, switch, is_on=False, installation=EVERYTHING)
    chunk = wire.history([wire.thread(PHONE, None, [wire.past("wamid.H", 9, wire.text("past"), phone=PHONE)])])
    book = wire.entry(1, phone=PHONE, name="Rui")
    await intake.deliver(pool, [body_of(chunk), body_of(book)])
    counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM address_book_entries)"
    assert await rows(pool, counted) == [left]
    async with transaction(pool) as conn:
        await switches.throw(conn, BY, account_id, None, switch, is_on=True, installation=EVERYTHING)
        assert await replay(conn, Span()) == 2
    await intake.apply_all(pool)
    assert await rows(pool, counted) == [(1, 1)]


# ── throwing ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("B11")
async def test_each_change_is_a_line_of_the_timeline_and_nothing_twice(business: Business) -> None:
    assert await throw(business, Switch.MEDIA, is_on=False)
    assert not await throw(business, Switch.MEDIA, is_on=False)
    assert await throw(business, Switch.HISTORY, is_on=False, account=True)
    assert await throw(business, Switch.MEDIA, is_on=True)
    lines = await rows(
        business.pool, "SELECT event, value FROM inbox_timeline WHERE event LIKE 'SWITCHED%' ORDER BY id"
    )
    assert lines == [
        ("SWITCHED_OFF", {"kind": "media", "level": "inbox", "by": BY}),
        ("SWITCHED_OFF", {"kind": "history", "level": "account", "by": BY}),
        ("SWITCHED_ON", {"kind": "media", "level": "inbox", "by": BY}),
    ]
    async with business.pool.connection() as conn:
        found = await choices_of(conn, frozenset({Switch.MEDIA}), business.member.account_id, business.inbox.id)
    words = {choice.switch: choice.words for choice in found.switches}
    assert words[Switch.MEDIA] == ""
    assert words[Switch.HISTORY] == (
        "Switched off by whoever runs this installation (COEXIST_SYNC_HISTORY). "
        "Switched off for the whole account by Inês Duarte."
    )
    assert "COEXIST_SYNC_CONTACTS" in words[Switch.CONTACTS]


async def test_another_accounts_number_cannot_be_switched(business: Business) -> None:
    async with transaction(business.pool) as conn:
        with pytest.raises(NotFound):
            await switches.throw(
                conn, BY, business.member.account_id + 1, business.inbox.id, Switch.MEDIA, is_on=False,
                installation=EVERYTHING,
            )  # fmt: skip


# ── how far back ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("D8")
async def test_how_far_back_conversations_stay_open_is_chosen_before_and_after(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await conn.execute("INSERT INTO accounts (name) VALUES ('Ótica Duarte')")
        assert await switches.keep_open(conn, BY, 1, None, 3)
        assert not await switches.keep_open(conn, BY, 1, None, 3)
    async with transaction(pool) as conn:
        inbox = await actions.connect(
            conn, KEYRING, account_id=1, waba_id="701122334455667", phone_number_id=SHOP.phone_number_id,
            display_phone_number=SHOP.display, token="EAA", is_coexistence=True, onboarded_at=intake.ONBOARDED_AT,
        )  # fmt: skip
    assert inbox.keep_open_days == 3
    day = 86_400
    before = wire.EPOCH - int(intake.ONBOARDED_AT.timestamp())
    chats = {f"35191055{days:04}": before + days * day for days in (1, 5, 20)}
    asks = wire.text("?")
    threads = [
        wire.thread(phone, None, [wire.past(f"wamid.{phone}", ago, asks, phone=phone)]) for phone, ago in chats.items()
    ]
    await intake.deliver(pool, [body_of(wire.history(threads))])

    async def are_open() -> list[str]:
        return [
            row[0] for row in await rows(pool, "SELECT state::text FROM conversations ORDER BY last_message_at DESC")
        ]

    assert await are_open() == ["open", "resolved", "resolved"]
    for days, expected in ((14, ["open", "open", "resolved"]), (0, ["resolved"] * 3), (30, ["open"] * 3)):
        async with transaction(pool) as conn:
            assert await switches.keep_open(conn, BY, 1, inbox.id, days)
        assert await are_open() == expected
    lines = await rows(pool, "SELECT value FROM inbox_timeline WHERE event = 'KEEP_OPEN_CHANGED' ORDER BY id")
    assert [(value["before"], value["days"], value["by"]) for (value,) in lines] == [
        (3, 14, BY),
        (14, 0, BY),
        (0, 30, BY),
    ]
    async with transaction(pool) as conn:
        with pytest.raises(Invalid):
            await switches.keep_open(conn, BY, 1, inbox.id, 181)


async def test_the_switches_say_nothing_about_new_messages(business: Business) -> None:
    for switch in Switch:
        await throw(business, switch, is_on=False)
    await deliver_changes(business.pool, inbound("wamid.A", "Oi"))
    assert await rows(business.pool, "SELECT text FROM messages") == [("Oi",)]
