"""A number that moves while much is there, and while something of it is being applied."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Unavailable
from coexist.coexistence import moves
from coexist.inbox import apply as inbox_apply
from coexist.inbox.resolution import People
from coexist.intake.replay import Span, replay
from coexist.meta.parse import facts_of
from tests.support import wire
from tests.support.business import NUMBER, PHONE, WABA, deliver, inbound
from tests.support.hearing import ask
from tests.support.moving import BEFORE, STRANGER, Two, journaled, open_two


@pytest.fixture
async def two(pool: Pool) -> Two:
    return await open_two(pool)


@pytest.mark.requirement("A8")
@pytest.mark.parametrize("is_before", [True, False])
async def test_a_delivery_that_is_applied_at_that_very_moment_leaves_nobody_behind(two: Two, is_before: bool) -> None:
    """People are made before their messages are: whoever was made for nothing goes, or is not made at all."""
    before, pool = two.former.inbox, two.pool
    at = int(clock.now().timestamp()) - wire.EPOCH
    told = [inbound("wamid.B", "Segredo", phone=STRANGER, bsuid="PT.400"), wire.entry(at, phone="351910559133")]
    entry = {"id": WABA, "changes": told}
    body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
    facts = facts_of(body, clock.now(), journal_id=1).facts
    await deliver(pool, inbound("wamid.A", "Antes", at=clock.now() - BEFORE))

    async def merge(people: People) -> None:
        if is_before:
            await two.move()
        async with transaction(pool) as conn:
            await inbox_apply.apply(conn, before.account_id, {NUMBER: before}, people, facts)

    if not is_before:
        await two.move()
    with pytest.raises(Unavailable):
        await inbox_apply.with_people(pool, before.scope_id, {NUMBER: before}, facts, merge)
    phones = await ask(pool, "SELECT phone FROM contacts WHERE scope_id = %s", before.scope_id)
    assert phones == [(PHONE,)]
    assert await ask(pool, "SELECT count(*) FROM identities WHERE value = 'PT.400'") == [(0,)]


@pytest.mark.requirement("A8")
async def test_whom_the_former_account_has_dealt_with_stays_though_nothing_is_known_of_them(two: Two) -> None:
    await deliver(two.pool, *(inbound(f"wamid.{n}", "Olá", phone=f"3519105591{n}") for n in range(10, 15)))
    talks = [row[0] for row in await ask(two.pool, "SELECT id FROM conversations ORDER BY id")]
    user_id = two.former.member.user_id
    draft = "INSERT INTO drafts (conversation_id, user_id, text) VALUES (%s, %s, 'x') RETURNING 1"
    await ask(two.pool, draft, talks[0], user_id)
    await ask(two.pool, "UPDATE conversations SET assignee_id = %s WHERE id = %s RETURNING 1", user_id, talks[1])
    await ask(two.pool, "UPDATE contacts SET note = 'x' WHERE phone = '351910559112' RETURNING 1")
    wish = "UPDATE identities SET marketing_wish = 'stop' WHERE value = '351910559113' RETURNING 1"
    await ask(two.pool, wish)
    await ask(two.pool, "DELETE FROM messages RETURNING 1")
    await ask(two.pool, "UPDATE conversations SET first_message_at = NULL, last_message_at = NULL RETURNING 1")
    await ask(two.pool, "UPDATE contacts SET first_seen_at = NULL, profile_name = NULL RETURNING 1")
    await two.move()
    kept = await ask(two.pool, "SELECT phone FROM contacts ORDER BY phone")
    assert [phone for (phone,) in kept] == [f"3519105591{n}" for n in range(10, 14)]


async def test_a_move_reads_what_came_since_and_not_the_whole_inbox(two: Two) -> None:
    await deliver(two.pool, inbound("wamid.A", "Antes", at=clock.now() - BEFORE))
    many = (
        "WITH k AS (INSERT INTO contacts (scope_id)"
        "           SELECT scope_id FROM contacts, generate_series(1, 2000) RETURNING id),"
        " c AS (INSERT INTO conversations (inbox_id, contact_id, last_message_at)"
        "       SELECT %s, id, now() - interval '30 hours' FROM k RETURNING id)"
        " INSERT INTO messages (inbox_id, conversation_id, wamid, peer, direction, origin, imported, opens_window,"
        " is_time_doubtful, content_rank, direction_rank, forwarded, type, sent_at)"
        " SELECT m.inbox_id, c.id, 'wamid.' || c.id || n, peer, direction, origin, imported, opens_window,"
        " is_time_doubtful, content_rank, direction_rank, forwarded, type, sent_at - n * interval '1 second'"
        " FROM messages m, c, generate_series(1, 10) n RETURNING 1"
    )
    await ask(two.pool, many, two.former.inbox.id)
    await deliver(two.pool, inbound("wamid.B", "Depois"))
    async with two.pool.connection() as conn:
        await conn.execute("VACUUM ANALYZE")
        values = {"id": two.former.inbox.id, "since": two.since}
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {moves.NOT_THEIRS}"
        ((found,),) = await (await conn.execute(explain, values)).fetchall()
    plan = found[0]["Plan"]
    assert plan["Actual Rows"] == 1
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, plan


@pytest.mark.requirement("A8")
@pytest.mark.parametrize("is_applied", [True, False])
async def test_hosts_whose_clocks_differ_by_minutes_give_neither_account_what_is_the_others(
    two: Two, is_applied: bool
) -> None:
    """One host is six minutes slow, another four minutes fast; the number was signed up anew five minutes ago."""
    now = clock.now()
    before, after = two.since - timedelta(minutes=1), two.since + timedelta(minutes=1)
    book = wire.entry(int(after.timestamp()) - wire.EPOCH, phone="351910559133", name="Da segunda")
    told = [
        (inbound("wamid.A1", "Antes", at=now - BEFORE), now - BEFORE),
        (inbound("wamid.A2", "Antes, por quem adianta", at=before), before + timedelta(minutes=4)),
        (inbound("wamid.A3", "Antes", at=before), before),
        (inbound("wamid.B1", "Segredo", phone=STRANGER, at=after), after),
        (inbound("wamid.B2", "Segredo, por quem atrasa", phone=STRANGER, at=after), after - timedelta(minutes=6)),
        (book, after - timedelta(minutes=6)),
    ]
    for change, received_at in told:
        await journaled(two, change, age=now - received_at)
    if is_applied:
        await two.apply()
    taker = await two.move()
    await two.apply()
    former = two.former.inbox.id
    assert await two.whose() == {
        "wamid.A1": former, "wamid.A2": former, "wamid.A3": former, "wamid.B1": taker.id, "wamid.B2": taker.id,
    }  # fmt: skip
    names = "SELECT k.scope_id = i.scope_id FROM contacts k, inboxes i WHERE k.phone = %s AND i.id = %s"
    assert await ask(two.pool, names, STRANGER, taker.id) == [(True,)]
    assert await ask(two.pool, names, "351910559133", taker.id) == [(True,)]


@pytest.mark.requirement("A8")
async def test_a_name_that_was_changed_since_leaves_the_former_account_and_a_replay_brings_the_older_one_back(
    two: Two,
) -> None:
    now, phone = clock.now(), "351910559133"
    await deliver(two.pool, inbound("wamid.A", "Antes", at=now - BEFORE, phone=phone))
    for name, at in (("Antes", now - BEFORE), ("Depois", now - timedelta(minutes=1))):
        await journaled(two, wire.entry(int(at.timestamp()) - wire.EPOCH, phone=phone, name=name), age=now - at)
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' WHERE id = 1 RETURNING 1")
    await two.apply()
    taker = await two.move()
    await two.apply()
    names = (
        "SELECT i.id, k.display_name FROM contacts k JOIN inboxes i ON i.scope_id = k.scope_id"
        " WHERE k.phone = %s ORDER BY i.id"
    )
    former = two.former.inbox.id
    assert await ask(two.pool, names, phone) == [(former, "Rui"), (taker.id, "Depois")]
    async with transaction(two.pool) as conn:
        assert await replay(conn, Span(first=2, last=2)) == 1
    await two.apply()
    assert await ask(two.pool, names, phone) == [(former, "Antes"), (taker.id, "Depois")]
