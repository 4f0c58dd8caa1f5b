"""An import that is brought back is whole, and only the one that was asked for, however Meta packed its deliveries."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import undoing
from coexist.events import feed
from coexist.intake import worker
from coexist.intake.replay import Span, replay, replay_import
from coexist.intake.retention import Kept, prune_journal
from tests.store.test_applying import BAD_DATA, refuse, rows
from tests.support import intake, wire
from tests.support.intake import BRANCH, ONBOARDED_AT, SHOP, Number, body_of
from tests.support.waiting import looping, until

RUI, ANA, EVA = "351910559111", "351910559122", "351910559133"
LONG_AGO: Final = 40 * 86_400
BY: Final = "Inês Duarte"


def chat(name: str, phone: str, number: Number = SHOP, *, order: int = 1) -> dict[str, Any]:
    """One chat of the history of a number."""
    past = wire.past(f"wamid.{name}", LONG_AGO, wire.text(name), phone=phone, number=number)
    return wire.history([wire.thread(phone, None, [past])], order=order, number=number)


def said(name: str, phone: str, number: Number = SHOP) -> dict[str, Any]:
    return wire.message(f"wamid.{name}", 1, wire.text(name), phone=phone, number=number)


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with two connected numbers."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP, BRANCH)
    return pool


async def undo(pool: Pool, inbox_id: int, number: Number) -> None:
    after: int | None = 0
    while after is not None:
        async with transaction(pool) as conn:
            inbox = await undoing.check(conn, 1, inbox_id, typed=number.display)
            step = await undoing.undo_some(conn, inbox, after=after)
            await feed.append(conn, step.events)
        after = step.last_id


async def bring_back(pool: Pool, number: Number) -> int:
    async with transaction(pool) as conn:
        count = await replay_import(conn, number.phone_number_id, ONBOARDED_AT, BY)
    await intake.apply_all(pool)
    return count


async def texts(pool: Pool) -> list[str]:
    return [row[0] for row in await rows(pool, "SELECT text FROM messages ORDER BY text")]


async def test_history_beside_live_messages_comes_back_as_well(shop: Pool) -> None:
    """Such a POST takes the live lane, and is of the import all the same."""
    mixed = body_of(said("live", EVA), chat("mixed", RUI), wire.entry(5, phone=RUI, name="Rui"))
    await intake.deliver(shop, [mixed, body_of(chat("bulk", ANA, order=2)), body_of(said("other", EVA))])
    assert await rows(shop, "SELECT lane FROM journal ORDER BY id") == [(0,), (1,), (0,)]
    await undo(shop, 1, SHOP)
    assert await texts(shop) == ["live", "other"]
    async with transaction(shop) as conn:
        assert (await undoing.plan(conn, 1, 1)).can_come_back
    assert await bring_back(shop, SHOP) == 2
    assert await texts(shop) == ["bulk", "live", "mixed", "other"]


async def test_of_a_delivery_that_names_two_numbers_only_the_asked_one_comes_back(shop: Pool) -> None:
    both = body_of(chat("shop", RUI), chat("branch", ANA, BRANCH))
    await intake.deliver(shop, [both, body_of(chat("branch 2", EVA, BRANCH, order=2))])
    await undo(shop, 1, SHOP)
    await undo(shop, 2, BRANCH)
    assert await texts(shop) == []
    assert await bring_back(shop, SHOP) == 1, "the branch's own delivery is none of the shop's"
    assert await texts(shop) == ["shop"]
    assert await bring_back(shop, BRANCH) == 2
    assert await texts(shop) == ["branch", "branch 2", "shop"]


async def test_what_another_number_has_in_quarantine_stays_there(shop: Pool) -> None:
    await refuse(shop, "NEW.text = 'branch'", BAD_DATA)
    await intake.deliver(shop, [body_of(chat("shop", RUI), chat("branch", ANA, BRANCH))])
    waiting = "SELECT phone_number_id, attempts, retry_wanted_at FROM quarantine"
    before = await rows(shop, waiting)
    assert before == [(BRANCH.phone_number_id, 1, None)]
    await undo(shop, 1, SHOP)
    await bring_back(shop, SHOP)
    assert await rows(shop, waiting) == before, "neither settled nor tried"
    assert await rows(shop, "SELECT FROM quarantine_settled") == []
    await bring_back(shop, BRANCH)
    assert await rows(shop, "SELECT attempts FROM quarantine") == [(2,)]


async def test_bringing_back_and_a_replay_of_everything_are_two_wishes(shop: Pool) -> None:
    await intake.deliver(shop, [body_of(chat("shop", RUI), chat("branch", ANA, BRANCH))])
    await undo(shop, 1, SHOP)
    await undo(shop, 2, BRANCH)
    async with transaction(shop) as conn:
        assert await replay_import(conn, SHOP.phone_number_id, None, BY) == 1
        assert await replay_import(conn, SHOP.phone_number_id, None, BY) == 1
        assert await replay(conn, Span()) == 1
    assert await rows(shop, "SELECT only_for FROM backlog ORDER BY 1") == [("",), (SHOP.phone_number_id,)]
    assert await intake.apply_next(shop, 1, batch=1) == 1
    assert await rows(shop, "SELECT only_for FROM backlog") == [(SHOP.phone_number_id,)]
    await intake.apply_all(shop)
    assert await texts(shop) == ["branch", "shop"]


async def test_an_import_of_before_deliveries_were_noted_comes_back_and_is_noted(shop: Pool) -> None:
    await intake.deliver(shop, [body_of(chat("shop", RUI)), body_of(chat("branch", ANA, BRANCH))])
    await undo(shop, 1, SHOP)
    await undo(shop, 2, BRANCH)
    await rows(shop, "UPDATE import_deliveries SET phone_number_id = '' RETURNING 1")
    await bring_back(shop, SHOP)
    assert await texts(shop) == ["shop"]
    assert await rows(shop, "SELECT * FROM import_deliveries ORDER BY 1") == [
        (1, SHOP.phone_number_id),
        (2, BRANCH.phone_number_id),
    ]


async def test_what_was_received_before_the_number_was_connected_does_not_come_back(shop: Pool) -> None:
    await intake.journal(shop, [body_of(chat("old", RUI))], received_at=ONBOARDED_AT - timedelta(days=1))
    await intake.deliver(shop, [body_of(chat("new", ANA))])
    await undo(shop, 1, SHOP)
    assert await bring_back(shop, SHOP) == 1
    assert await texts(shop) == ["new"]


async def test_a_delivery_that_carries_an_import_is_kept_like_one(shop: Pool) -> None:
    """And where imports are kept for less long than the rest, like the rest."""
    mixed, live = body_of(said("live", EVA), chat("mixed", RUI)), body_of(said("other", EVA))
    await intake.journal(shop, [mixed, live], received_at=clock.now() - timedelta(days=100))
    await intake.apply_all(shop)
    for kept in (Kept(live_days=90, import_days=0), Kept(live_days=90, import_days=120)):
        await prune_journal(shop, kept)
        assert await rows(shop, "SELECT id FROM journal") == [(1,)]
    await prune_journal(shop, Kept(live_days=120, import_days=90))
    assert await rows(shop, "SELECT id FROM journal") == [(1,)]
    removed = await prune_journal(shop, Kept(live_days=90, import_days=90))
    assert (removed.live, removed.imports) == (0, 1)
    assert await rows(shop, "SELECT FROM import_deliveries") == []


async def test_the_journal_of_another_number_does_not_promise_that_an_import_can_come_back(shop: Pool) -> None:
    await intake.journal(shop, [body_of(chat("branch", ANA, BRANCH))], received_at=ONBOARDED_AT)
    await intake.deliver(shop, [body_of(chat("shop", RUI))])
    await rows(shop, "DELETE FROM journal WHERE id = 2 RETURNING 1")
    async with transaction(shop) as conn:
        assert not (await undoing.plan(conn, 1, 1)).can_come_back
        assert (await undoing.plan(conn, 1, 2)).can_come_back


async def test_of_deliveries_of_before_that_was_noted_it_is_found_out_whose_they_are(shop: Pool) -> None:
    """Else one of another number promises that an import can come back, and counts as a part of it."""
    both = body_of(chat("b", ANA, BRANCH), chat("s", RUI))
    await intake.journal(shop, [body_of(chat("branch", ANA, BRANCH))], received_at=ONBOARDED_AT)
    await intake.deliver(shop, [body_of(chat("shop", RUI))])
    later = intake.RECEIVED_AT + timedelta(hours=1)
    await intake.journal(shop, [both, body_of(said("live", EVA)), body_of(chat("lost", EVA))], received_at=later)
    await intake.apply_all(shop)
    await rows(shop, "DELETE FROM journal WHERE id = 2 RETURNING 1")
    await rows(shop, "DELETE FROM import_deliveries RETURNING 1")
    await rows(
        shop, "INSERT INTO import_deliveries (journal_id, phone_number_id) SELECT id, '' FROM journal RETURNING 1"
    )
    await rows(shop, "UPDATE journal SET body = overlay(body PLACING '\\x00000000' FROM 40) WHERE id = 5 RETURNING 1")
    async with transaction(shop) as conn:
        assert (await undoing.plan(conn, 1, 1)).can_come_back, "which is not so"
    named = "SELECT journal_id, phone_number_id FROM import_deliveries ORDER BY 1, 2"
    known = [
        (1, BRANCH.phone_number_id),
        *sorted([(3, BRANCH.phone_number_id), (3, SHOP.phone_number_id)]),
        (5, ""),
    ]

    async def is_known() -> bool:
        return await rows(shop, named) == known

    async with looping(worker.run(shop, intake.KEYRING, worker.BULK_LANE, wake=asyncio.Event())):
        await until(is_known, "whose the deliveries of imports are")
    async with transaction(shop) as conn:
        assert not (await undoing.plan(conn, 1, 1)).can_come_back
        assert (await undoing.plan(conn, 1, 2)).can_come_back
