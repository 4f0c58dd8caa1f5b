"""Undoing an import takes what that import alone told: what was told otherwise, or of others, is here afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict
from coexist.coexistence import undoing
from coexist.commands import undo_import
from coexist.inbox import apply as inbox_apply
from coexist.inbox import inboxes
from coexist.inbox.resolution import People, resolve
from coexist.intake.replay import replay_import
from tests.store.test_applying import rows
from tests.store.test_undoing import ANA, RUI, plan_of, said, undo
from tests.support import intake, wire
from tests.support.intake import BRANCH, ONBOARDED_AT, RECEIVED_AT, SHOP, Number, body_of

RUI_BSUID, NEXT_BSUID, PARENT = "PT.4001", "PT.4002", "PT.ENT.7"
OWNER: Final = """
SELECT i.kind || ':' || i.value FROM messages m JOIN conversations c ON c.id = m.conversation_id
  JOIN identities i ON i.contact_id = c.contact_id WHERE m.wamid = 'wamid.late' ORDER BY 1
"""


def past(*messages: dict[str, Any], phone: str | None = RUI, bsuid: str | None = None, order: int = 1) -> bytes:
    return body_of(wire.history([wire.thread(phone, bsuid, messages)], order=order, progress=100))


@pytest.fixture
async def account_id(pool: Pool) -> int:
    async with transaction(pool) as conn:
        return await intake.connect(conn, SHOP, BRANCH)


async def bring_back(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await replay_import(conn, SHOP.phone_number_id, ONBOARDED_AT, "Inês Duarte")
    await intake.apply_all(pool)


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("number", [SHOP, BRANCH], ids=["of this number", "of another"])
async def test_a_message_that_comes_while_its_conversation_is_removed_is_applied(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch, number: Number
) -> None:
    """The person stays, for another number talks with them; the conversation into which it was to go does not."""
    await intake.deliver(pool, [past(said("r1", 9, RUI))])
    await intake.deliver(pool, [body_of(wire.message("wamid.b1", 5, wire.text("Olá"), phone=RUI, number=BRANCH))])

    async def overtaken(*args: Any, **kwargs: Any) -> People:
        monkeypatch.setattr(inbox_apply, "resolve", resolve)
        people = await resolve(*args, **kwargs)
        assert (await undo(pool, account_id)).conversations == 1
        return people

    monkeypatch.setattr(inbox_apply, "resolve", overtaken)
    await intake.deliver(
        pool, [body_of(wire.message("wamid.now", 6, wire.text("Ainda aí?"), phone=RUI, number=number))]
    )
    assert await rows(pool, "SELECT error FROM quarantine") == []
    assert await rows(pool, "SELECT wamid FROM messages ORDER BY 1") == [("wamid.b1",), ("wamid.now",)]


@pytest.mark.requirement("C4")
async def test_what_comes_while_much_is_undone_is_applied_between_two_steps(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step changes people, and so each makes whatever waited for it ask again whom it is about."""
    people = [f"351910{n:06}" for n in range(60)]
    await intake.deliver(pool, [past(said(phone, 9, phone), phone=phone, order=n) for n, phone in enumerate(people)])
    monkeypatch.setattr(undoing, "STEP_MESSAGES", 1)
    async with transaction(pool) as conn:
        inbox = (await inboxes.of_account(conn, account_id))[0]
        plan = await undoing.plan(conn, account_id, inbox.id)
    count = 0
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(undo_import._undo(pool, inbox, plan, inbox.display_phone_number))
        while not running.done():
            count += 1
            message = wire.message(f"wamid.b{count}", count, wire.text("Olá"), phone=ANA, number=BRANCH)
            await intake.deliver(pool, [body_of(message)])
    assert await rows(pool, "SELECT count(*) FROM messages") == [(count,)]


@pytest.mark.requirement("F3")
@pytest.mark.parametrize(
    "live",
    [
        wire.status("wamid.elsewhere", 5, "delivered", phone=RUI, bsuid=RUI_BSUID),
        wire.message("wamid.v", 5, wire.edit("wamid.unknown", "Olá"), phone=RUI, bsuid=RUI_BSUID, name="Rui"),
    ],
    ids=["a status", "an edit"],
)
async def test_who_is_who_is_known_further_when_something_of_now_has_told_it(
    pool: Pool, account_id: int, live: dict[str, Any]
) -> None:
    """What names nobody we have a message of tells of a pair of ids all the same, and the import tells only one."""
    await intake.deliver(pool, [past(said("r1", 9, RUI)), body_of(live)])
    assert (await undo(pool, account_id)).messages == 1
    assert await rows(pool, "SELECT phone, bsuid FROM identity_sightings") == [(RUI, RUI_BSUID)]
    names = await rows(pool, "SELECT profile_name FROM contacts")
    await bring_back(pool)
    await intake.deliver(pool, [body_of(wire.message("wamid.late", 9, wire.text("Sou eu"), bsuid=RUI_BSUID))])
    assert await rows(pool, OWNER) == [(f"bsuid:{RUI_BSUID}",), (f"phone:{RUI}",)]
    assert await rows(pool, "SELECT profile_name FROM contacts") == names


@pytest.mark.requirement("F1")
async def test_a_parent_id_that_the_import_told_keeps_nobody(pool: Pool, account_id: int) -> None:
    told = {**said("r1", 9, RUI), "from_user_id": RUI_BSUID, "from_parent_user_id": PARENT}
    await intake.deliver(pool, [past(told)])
    assert await rows(pool, "SELECT kind FROM identity_changes") == [("parent",)]
    done = await undo(pool, account_id)
    assert (done.conversations, done.contacts) == (1, 1)
    for table in ("contacts", "identities", "identity_sightings", "identity_changes"):
        assert await rows(pool, f"SELECT FROM {table}") == [], table


@pytest.mark.requirement("F5")
async def test_who_had_a_number_before_is_known_further_when_who_has_it_now_was_only_imported(
    pool: Pool, account_id: int
) -> None:
    """Two people had the phone one after the other; the former wrote since under their user id, the latter did not."""
    former = {**said("r1", 9_000, RUI), "from_user_id": RUI_BSUID}
    latter = {**said("r2", 9, RUI), "from_user_id": NEXT_BSUID}
    await intake.deliver(pool, [past(former, bsuid=RUI_BSUID), past(latter, bsuid=NEXT_BSUID, order=2)])
    await intake.deliver(pool, [body_of(wire.message("wamid.b1", 5, wire.text("Olá"), bsuid=RUI_BSUID))])
    seen = await rows(pool, "SELECT phone, bsuid FROM identity_sightings ORDER BY 2")
    assert seen == [(RUI, RUI_BSUID), (RUI, NEXT_BSUID)]
    done = await undo(pool, account_id)
    assert (done.conversations, done.messages, done.contacts) == (1, 1, 1)
    assert await rows(pool, "SELECT phone, bsuid FROM identity_sightings ORDER BY 2") == seen[:1]
    late = body_of(wire.history([wire.thread(RUI, None, [said("late", 8_000, RUI)])], order=3, progress=100))
    await intake.deliver(pool, [late])
    assert (f"bsuid:{RUI_BSUID}",) in await rows(pool, OWNER)


@pytest.mark.requirement("F2", "C4")
async def test_two_owners_of_national_forms_of_a_number_are_parted_cleanly(pool: Pool, account_id: int) -> None:
    """One is in the address book under the short form; who has the long one has written, and stays whole."""
    long, short = "5511985500111", "551185500111"
    entry = wire.entry(5, phone=short, bsuid="BR.1001", name="Inês")
    wrote = wire.message("wamid.b1", 5, wire.text("Olá"), phone=long, bsuid=RUI_BSUID)
    await intake.deliver(pool, [body_of(wrote), body_of(entry)])
    assert (await undo(pool, account_id)).contacts == 1
    seen = await rows(pool, "SELECT phone, bsuid FROM identity_sightings")
    assert seen == [(long, RUI_BSUID)]
    await bring_back(pool)
    assert await rows(pool, "SELECT error FROM quarantine") == []
    assert await rows(pool, "SELECT display_name, phone FROM contacts ORDER BY 1") == [("", long), ("Inês", short)]


@pytest.mark.requirement("B7")
async def test_nothing_is_undone_while_a_chunk_waits_that_was_never_applied(pool: Pool, account_id: int) -> None:
    """The chunk with 100 % has overtaken another one that came before it."""
    await intake.deliver(pool, [past(said("r1", 9, RUI))])
    await intake.journal(pool, [past(said("a1", 9, ANA), phone=ANA, order=2)])
    with pytest.raises(Conflict, match="in line to be applied"):
        await undo(pool, account_id)
    await intake.apply_all(pool)
    assert (await undo(pool, account_id)).conversations == 2


async def test_what_waits_of_now_or_came_long_after_keeps_nobody_from_undoing(pool: Pool, account_id: int) -> None:
    await intake.deliver(pool, [past(said("r1", 9, RUI))])
    await intake.journal(pool, [body_of(wire.message("wamid.b1", 5, wire.text("Olá"), phone=ANA))])
    others = wire.history([wire.thread(ANA, None, [said("a1", 9, ANA)])], number=BRANCH)
    await intake.journal(pool, [body_of(others)], received_at=RECEIVED_AT + timedelta(hours=1))
    assert (await undo(pool, account_id)).conversations == 1


async def test_a_plan_is_the_same_however_small_its_shares(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"3519105591{n:02}" for n in range(7)]
    await intake.deliver(pool, [past(said(phone, 9, phone), phone=phone, order=n) for n, phone in enumerate(people)])
    book = [body_of(wire.entry(5, phone=f"3519105592{n:02}", name=f"Nr {n}")) for n in range(5)]
    live = [body_of(wire.message(f"wamid.{n}", 5, wire.text("Olá"), phone=people[n])) for n in range(3)]
    await intake.deliver(pool, [*book, *live])
    whole = await plan_of(pool, account_id)
    assert (whole.goes.conversations, [stay.conversations for stay in whole.stays], whole.contacts) == (4, [3], 5)
    monkeypatch.setattr(undoing, "LOOKED_COUNT", 2)
    assert await plan_of(pool, account_id) == whole
