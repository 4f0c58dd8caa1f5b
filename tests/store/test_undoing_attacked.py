"""Undoing an import while other things happen: what is somebody's own, or another's, stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict
from coexist.coexistence import undoing
from coexist.intake.replay import replay_import
from coexist.media.keeping import Keep, open_keep
from coexist.media.storage import open_storage
from coexist.media.sweep import sweep
from tests.store.test_applying import rows
from tests.store.test_private import store_file
from tests.store.test_undoing import ANA, RUI, exported, past_of_three, plan_of, undo
from tests.support import intake, wire
from tests.support.intake import ONBOARDED_AT, SHOP, body_of

BY = "Inês Duarte"


@pytest.fixture
async def account_id(pool: Pool) -> int:
    """An account whose number has imported three chats."""
    async with transaction(pool) as conn:
        account_id = await intake.connect(conn, SHOP)
    await intake.deliver(pool, past_of_three())
    return account_id


@pytest.fixture
async def keep(pool: Pool, tmp_path: Path) -> AsyncIterator[Keep]:
    settings = replace(Settings(), data_dir=tmp_path)
    async with aclosing(open_storage(settings)) as storage:
        yield open_keep(pool, settings, storage)


async def want_back(pool: Pool) -> int:
    async with transaction(pool) as conn:
        return await replay_import(conn, SHOP.phone_number_id, ONBOARDED_AT, BY)


async def test_who_wants_no_marketing_is_remembered(pool: Pool, account_id: int) -> None:
    """It was told of now, and no import tells it again."""
    await intake.deliver(pool, [body_of(wire.wished("stop", 5, phone=RUI, bsuid="PT.4001"))])
    done = await undo(pool, account_id)
    assert (done.conversations, done.contacts) == (3, 2)
    wishes = "SELECT marketing_wish FROM identities WHERE marketing_wish IS NOT NULL"
    assert await rows(pool, wishes) == [("stop",)]
    await want_back(pool)
    await intake.apply_all(pool)
    assert await rows(pool, wishes) == [("stop",)]


async def test_nothing_is_undone_while_the_import_is_brought_back(pool: Pool, account_id: int) -> None:
    before = await exported(pool, account_id)
    for _ in range(2):
        assert (await undo(pool, account_id)).conversations == 3
        assert (await undo(pool, account_id)).conversations == 0, "a second time there is nothing to undo"
        assert await want_back(pool) == 2
        with pytest.raises(Conflict, match="in line to be applied"):
            await undo(pool, account_id)
        await intake.apply_all(pool)
        assert await exported(pool, account_id) == before


async def test_an_edit_of_which_nobody_knows_when_it_was_keeps_the_conversation(pool: Pool, account_id: int) -> None:
    edited = wire.message("wamid.edit", 5, wire.edit("wamid.r1", "Olá, emendado"), phone=RUI, bsuid="PT.4001")
    edited["value"]["messages"][0]["timestamp"] = "yesterday"
    await intake.deliver(pool, [body_of(edited)])
    assert [stay.reason for stay in (await plan_of(pool, account_id)).stays] == ["changed"]
    await undo(pool, account_id)
    assert await rows(pool, "SELECT edited_text FROM messages WHERE wamid = 'wamid.r1'") == [("Olá, emendado",)]


async def test_a_file_that_another_message_has_as_well_stays(pool: Pool, account_id: int, keep: Keep) -> None:
    live = wire.message("wamid.live", 5, wire.image("990099"), phone=RUI, bsuid="PT.4001")
    await intake.deliver(pool, [body_of(live)])
    draft = keep.settings.data_dir / "draft"
    shared = await store_file(keep, b"shared", draft, "wamid.a1")
    assert await store_file(keep, b"shared", draft, "wamid.live") == shared
    assert (await undo(pool, account_id)).conversations == 2
    await sweep(keep, is_thorough=False)
    assert await keep.storage.size(shared) == len(b"shared")
    assert await rows(pool, "SELECT wamid FROM media WHERE state = 'stored'") == [("wamid.live",)]


async def test_a_file_that_nobody_else_has_goes(pool: Pool, account_id: int, keep: Keep) -> None:
    name = await store_file(keep, b"alone", keep.settings.data_dir / "draft", "wamid.a1")
    await undo(pool, account_id)
    await sweep(keep, is_thorough=False)
    assert await keep.storage.size(name) is None


async def test_what_two_imports_made_goes_at_once_and_comes_back_once(pool: Pool, account_id: int) -> None:
    """Connected again, WhatsApp tells the same history again, and a little more."""
    again = """WITH again AS (UPDATE inboxes SET onboarded_at = onboarded_at + interval '1 day'
                               RETURNING id, onboarded_at)
               INSERT INTO syncs (inbox_id, kind, onboarded_at)
               SELECT id, unnest(enum_range(NULL::sync_kind)), onboarded_at FROM again RETURNING 1"""
    await rows(pool, again)
    more = wire.past("wamid.a9", 86_400, wire.text("Olá mais"), phone=ANA)
    chunk = wire.history([wire.thread(ANA, None, [more])], order=3, progress=100)
    await intake.deliver(pool, [*past_of_three(), body_of(chunk)])
    before = await exported(pool, account_id)
    done = await undo(pool, account_id)
    assert (done.conversations, done.messages) == (3, 6)
    assert await want_back(pool) == 5
    await intake.apply_all(pool)
    assert await exported(pool, account_id) == before
    async with transaction(pool) as conn:
        assert (await undoing.plan(conn, account_id, 1)).can_come_back
