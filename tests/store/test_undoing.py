"""Undoing an import: what nobody touched goes, what somebody touched stays whole, and the journal brings it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import rules, undoing
from coexist.coexistence.undoing import Plan, Step
from coexist.events import feed
from coexist.export import lines
from coexist.inbox import inboxes
from coexist.intake.replay import Span, replay
from tests.support import intake, wire
from tests.support.intake import BRANCH, ONBOARDED_AT, RECEIVED_AT, SHOP, body_of

RUI, ANA, EVA, ZE = "351910559111", "351910559122", "351910559133", "351910559144"
LONG_AGO: Final = 40 * 86_400
TABLES: Final = (
    "messages",
    "conversations",
    "contacts",
    "identities",
    "identity_sightings",
    "media",
    "message_changes",
    "address_book_entries",
)


def said(name: str, at: int, phone: str, what: dict[str, Any] | None = None) -> dict[str, Any]:
    return wire.past(f"wamid.{name}", LONG_AGO + at, what or wire.text(f"Olá {name}"), phone=phone)


def past_of_three() -> list[bytes]:
    """Three chats in two chunks: with a reaction, a file, and a file that stayed on the phone."""
    rui = [said("r1", 9, RUI), said("r2", 8, RUI), said("r3", 7, RUI, wire.reaction("wamid.r1", "❤"))]
    ana = [said("a1", 6, ANA, wire.image("990011")), said("a2", 5, ANA, {"type": "media_placeholder"})]
    eva = [said("e1", 4, EVA)]
    return [
        body_of(wire.history([wire.thread(RUI, "PT.4001", rui)], order=1, progress=50)),
        body_of(wire.history([wire.thread(ANA, None, ana), wire.thread(EVA, None, eva)], order=2, progress=100)),
    ]


@pytest.fixture
async def account_id(pool: Pool) -> int:
    """An account whose number has imported three chats and two contacts: Eva, and Zé with whom there is no chat."""
    async with transaction(pool) as conn:
        account_id = await intake.connect(conn, SHOP)
    book = [body_of(wire.entry(5, phone=phone, name=name)) for phone, name in ((EVA, "Eva"), (ZE, "Zé"))]
    await intake.deliver(pool, [*book, *past_of_three()])
    return account_id


async def exported(pool: Pool, account_id: int) -> list[bytes]:
    async with pool.connection() as conn:
        return sorted([line async for line in lines(conn, account_id)])


async def count(conn: Connection, table: str) -> int:
    row = await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row is not None
    return int(row[0])


async def plan_of(pool: Pool, account_id: int) -> Plan:
    async with pool.connection() as conn:
        return await undoing.plan(conn, account_id, 1)


async def undo(pool: Pool, account_id: int, *, steps: int = 100) -> Step:
    """Undo as the command does, at most so many steps; return the sums."""
    total, after = Step(), 0
    for _ in range(steps):
        async with transaction(pool) as conn:
            inbox = await undoing.check(conn, account_id, 1, typed="+" + SHOP.display)
            step = await undoing.undo_some(conn, inbox, after=after)
            await feed.append(conn, step.events)
        total.conversations += step.conversations
        total.messages += step.messages
        total.contacts += step.contacts
        if step.last_id is None:
            break
        after = step.last_id
    return total


async def reapply(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await replay(conn, Span(since=ONBOARDED_AT))
    await intake.apply_all(pool)


async def test_what_an_undone_import_made_is_gone_and_comes_back_from_the_journal_the_same(
    pool: Pool, account_id: int
) -> None:
    before = await exported(pool, account_id)
    plan = await plan_of(pool, account_id)
    assert (plan.goes.conversations, plan.goes.messages, list(plan.stays), plan.contacts) == (3, 5, [], 1)
    assert plan.can_come_back

    done = await undo(pool, account_id)

    assert (done.conversations, done.messages, done.contacts) == (3, 5, 4)
    async with pool.connection() as conn:
        assert {table: await count(conn, table) for table in TABLES} == dict.fromkeys(TABLES, 0)
        assert await count(conn, "journal") == 4
    assert (await plan_of(pool, account_id)).is_empty
    assert await exported(pool, account_id) != before

    await reapply(pool)
    assert await exported(pool, account_id) == before


TOUCHED: Final = {
    "decided": ("UPDATE conversations SET read_at = now() WHERE id = {id}",
                "UPDATE conversations SET set_state = 'resolved', set_state_at = now() WHERE id = {id}",
                "UPDATE conversations SET assignee_id = 1 WHERE id = {id}"),
    "draft": ("INSERT INTO drafts (conversation_id, user_id, text) VALUES ({id}, 1, 'Já')",),
    "noted": ("UPDATE contacts SET note = 'Liga cedo' FROM conversations c WHERE c.contact_id = contacts.id"
              " AND c.id = {id}",),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "touch"), [(why, one) for why, several in TOUCHED.items() for one in several])
async def test_what_somebody_touched_stays_whole(pool: Pool, account_id: int, reason: str, touch: str) -> None:
    async with transaction(pool) as conn:
        await conn.execute("INSERT INTO users (email, name) VALUES ('ines@example.com', 'Inês')")
        row = await (await conn.execute("SELECT conversation_id FROM messages WHERE wamid = 'wamid.r1'")).fetchone()
        assert row is not None
        await conn.execute(touch.format(id=row[0]))
    before = await exported(pool, account_id)
    assert [(stay.reason, stay.conversations, stay.messages) for stay in (await plan_of(pool, account_id)).stays] == [
        (reason, 1, 2)
    ]

    done = await undo(pool, account_id)

    assert (done.conversations, done.messages) == (2, 3)
    after = await exported(pool, account_id)
    rui = [line for line in before if b"wamid.r" in line]
    assert len(rui) == 2
    assert [line for line in after if b'"kind":"message"' in line] == rui
    await reapply(pool)
    assert await exported(pool, account_id) == before


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("live", wire.message("wamid.new", 5, wire.text("Olá"), phone=RUI, bsuid="PT.4001")),
        ("changed", wire.message("wamid.like", 5, wire.reaction("wamid.r2", "👍"), phone=RUI, bsuid="PT.4001")),
    ],
)
async def test_who_wrote_or_reacted_since_keeps_the_whole_conversation(
    pool: Pool, account_id: int, reason: str, told: dict[str, Any]
) -> None:
    await intake.deliver(pool, [body_of(told)])
    before = await exported(pool, account_id)
    assert [stay.reason for stay in (await plan_of(pool, account_id)).stays] == [reason]
    assert (await undo(pool, account_id)).conversations == 2
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT wamid FROM messages WHERE wamid LIKE 'wamid.r%' ORDER BY 1")
        assert await cursor.fetchall() == [("wamid.r1",), ("wamid.r2",)]
    await reapply(pool)
    assert await exported(pool, account_id) == before


SINCE: Final = int(RECEIVED_AT.timestamp()) - wire.EPOCH + 60
"""A minute after the phone first shared its address book."""


@pytest.mark.parametrize(
    "touch",
    [
        "UPDATE contacts SET note = 'Fala alto' WHERE address_book_name = 'Zé'",
        "UPDATE contacts SET agent_name = 'José', agent_name_at = now() WHERE address_book_name = 'Zé'",
        wire.entry(SINCE, phone=ZE, name="José"),
        wire.entry(SINCE, phone=ZE),
        wire.entry(5, phone=ZE, name="José", number=BRANCH),
        wire.wished("stop", 5, phone=ZE),
        wire.message("wamid.z1", 5, wire.text("Olá"), phone=ZE),
    ],
    ids=["noted", "named", "edited since", "removed since", "of another number", "no marketing", "wrote"],
)
async def test_a_contact_whom_more_than_the_import_knows_stays(pool: Pool, touch: str | dict[str, Any]) -> None:
    async with transaction(pool) as conn:
        account_id = await intake.connect(conn, SHOP, BRANCH)
    await intake.deliver(pool, [body_of(wire.entry(5, phone=ZE, name="Zé")), *past_of_three()])
    if isinstance(touch, str):
        async with transaction(pool) as conn:
            assert (await conn.execute(touch)).rowcount == 1
    else:
        await intake.deliver(pool, [body_of(touch)])
    assert (await plan_of(pool, account_id)).contacts == 0
    await undo(pool, account_id)
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT match_key FROM identities WHERE kind = 'phone'")
        assert await cursor.fetchall() == [(ZE,)]


async def test_an_undo_that_breaks_off_leaves_whole_conversations_and_goes_on(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "STEP_MESSAGES", 1)
    first = await undo(pool, account_id, steps=1)
    assert first.conversations == 1
    assert (await plan_of(pool, account_id)).goes.conversations == 2
    rest = await undo(pool, account_id)
    assert (rest.conversations, first.messages + rest.messages) == (2, 5)


async def test_a_step_looks_at_no_more_than_its_share_and_the_steps_come_to_the_same(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touched conversations, and contacts whom others know, stand between what goes."""
    book = [body_of(wire.entry(5 + n, phone=f"3519105591{n:02}", name=f"Nr {n}")) for n in range(5)]
    live = [body_of(wire.message(f"wamid.live{n}", 1, wire.text("Hi"), phone=f"3519105592{n:02}")) for n in range(3)]
    await intake.deliver(pool, [*book, *live])
    async with transaction(pool) as conn:
        await conn.execute("UPDATE contacts SET note = 'known' WHERE address_book_name IN ('Nr 1', 'Nr 2')")
    planned = await plan_of(pool, account_id)
    assert (planned.goes.conversations, planned.contacts) == (3, 4)
    monkeypatch.setattr(undoing, "LOOKED_COUNT", 2)
    steps: list[Step] = []
    after: int | None = 0
    while after is not None:
        async with transaction(pool) as conn:
            inbox = await undoing.check(conn, account_id, 1, typed=SHOP.display)
            steps.append(await undoing.undo_some(conn, inbox, after=after))
        after = steps[-1].last_id
    assert max(step.conversations for step in steps) <= 2
    assert max(step.contacts - step.conversations for step in steps) <= 2
    assert (await plan_of(pool, account_id)).is_empty
    assert len(steps) > 6, "it has gone through all in small steps"


async def test_an_undo_needs_the_number_and_a_sync_that_has_ended(pool: Pool, account_id: int) -> None:
    async with transaction(pool) as conn:
        with pytest.raises(Invalid):
            await undoing.check(conn, account_id, 1, typed="5511985500102")
        coming_in = "UPDATE syncs SET state = 'receiving', last_arrival_at = %s WHERE kind = 'history'"
        await conn.execute(coming_in, (clock.now() - timedelta(hours=rules.STALLED_HOURS - 1),))
        with pytest.raises(Conflict):
            await undoing.check(conn, account_id, 1, typed=SHOP.display)
        await conn.execute(coming_in, (clock.now() - timedelta(hours=rules.STALLED_HOURS + 1),))
        await undoing.check(conn, account_id, 1, typed=SHOP.display)  # its last chunk was lost: it goes on no more
        assert (await inboxes.get(conn, account_id, 1)).id == 1
        assert await count(conn, "messages") == 5
