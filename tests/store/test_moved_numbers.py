"""A number that moved to another account: everything that is told of it reaches the one whose it was, and no other."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from coexist.base import clock
from coexist.base.config import load
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Unavailable
from coexist.coexistence import checks_bundle, checks_doctor, moves, signups
from coexist.coexistence.signup_model import Party, Way
from coexist.inbox import apply as inbox_apply
from coexist.inbox import connection, inboxes, private
from coexist.inbox.connection import Line
from coexist.intake import purging
from coexist.intake.sealing import unseal
from coexist.media import rules
from coexist.media.model import Reason
from coexist.meta.model import OUR_REF_PREFIX
from coexist.quarantine import store as quarantine
from coexist.quarantine.model import Keeper
from tests.support import wire
from tests.support.business import (
    DISPLAY,
    KEYRING,
    NUMBER,
    PHONE,
    WABA,
    change,
    deliver,
    echo,
    inbound,
    status,
)  # fmt: skip
from tests.support.hearing import ask
from tests.support.moving import BEFORE, STRANGER, Two, journaled, open_two


@pytest.fixture
async def two(pool: Pool) -> Two:
    return await open_two(pool)


@pytest.mark.requirement("A8")
async def test_what_waits_in_the_journal_at_the_move_reaches_whose_it_is(two: Two) -> None:
    old = clock.now() - BEFORE
    await journaled(two, inbound("wamid.A", "Para a primeira", at=old), age=BEFORE)
    await journaled(two, inbound("wamid.B", "Para a segunda"), age=timedelta(0))
    taker = await two.move()
    await two.apply()
    assert await two.whose() == {"wamid.A": two.former.inbox.id, "wamid.B": taker.id}


@pytest.mark.requirement("A8")
async def test_what_came_between_the_sign_up_at_meta_and_here_leaves_the_former_account(two: Two) -> None:
    """Until it is connected here, what the new onboarding brings is applied to the inbox that has the number."""
    at = int(clock.now().timestamp()) - wire.EPOCH
    quality = change("phone_number_quality_update", display_phone_number=DISPLAY, event="FLAGGED")
    await deliver(
        two.pool,
        inbound("wamid.A", "Antes", at=clock.now() - BEFORE),
        inbound("wamid.B", "Segredo", phone=STRANGER),
        echo("wamid.E", "Resposta da segunda"),
        wire.message("wamid.R", at, wire.edit("wamid.A", "Mudado na segunda"), phone=PHONE),
        wire.entry(at, phone="351910559133", name="Só da segunda"),
        quality,
    )
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' WHERE id = 1 RETURNING 1")
    taker = await two.move()
    former = two.former.inbox.id
    assert await two.whose() == {"wamid.A": former}
    assert await ask(two.pool, "SELECT edited_text FROM messages WHERE wamid = 'wamid.A'") == [(None,)]
    names = {name for (name,) in await ask(two.pool, "SELECT display_name FROM contacts")}
    assert names == {"Rui"}, names
    seen = "SELECT count(*) FROM inbox_timeline WHERE inbox_id = %s AND field <> 'coexist' AND event = 'FLAGGED'"
    assert await ask(two.pool, seen, former) == [(0,)]
    await two.apply()
    assert await two.whose() == {"wamid.A": former, "wamid.B": taker.id, "wamid.E": taker.id}
    scope = "SELECT count(*) FROM contacts k JOIN inboxes i ON i.scope_id = k.scope_id WHERE i.id = %s"
    assert await ask(two.pool, scope, former) == [(1,)]
    assert await ask(two.pool, seen, taker.id) == [(1,)]


@pytest.mark.requirement("A8")
async def test_what_meta_delivers_late_reaches_whose_it_was_when_it_happened(two: Two) -> None:
    await deliver(two.pool, inbound("wamid.IN", "Olá", at=clock.now() - BEFORE))
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' RETURNING 1")
    await two.wrote()
    await ask(two.pool, "UPDATE outbox SET state = 'accepted' RETURNING 1")
    await ask(two.pool, "UPDATE messages SET wamid = 'wamid.OUT' WHERE origin = 'api' RETURNING 1")
    taker = await two.move()
    past = wire.past(
        "wamid.H", int(wire.EPOCH - (clock.now() - BEFORE).timestamp()), wire.text("Do telefone"), phone=PHONE
    )
    await deliver(
        two.pool,
        inbound("wamid.LATE", "Chegou tarde", at=clock.now() - BEFORE),
        inbound("wamid.NEW", "Agora"),
        status("wamid.OUT", "delivered"),
        wire.history([wire.thread(PHONE, None, [past])]),
    )
    former = two.former.inbox.id
    assert await two.whose() == {
        "wamid.IN": former, "wamid.OUT": former, "wamid.LATE": former, "wamid.NEW": taker.id, "wamid.H": taker.id,
    }  # fmt: skip
    shown = await ask(two.pool, "SELECT status FROM messages WHERE wamid = 'wamid.OUT'")
    assert shown == [(4,)], "the team sees that it came"
    assert await ask(two.pool, "SELECT count(*) FROM message_statuses WHERE inbox_id = %s", taker.id) == [(0,)]


@pytest.mark.requirement("A8", "D2")
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_status_reaches_who_sent_the_message_whatever_else_is_private_there(two: Two, is_known: bool) -> None:
    """By its wamid, or by our reference where no answer of Meta's has told the wamid."""
    await deliver(two.pool, inbound("wamid.IN", "Olá", at=clock.now() - BEFORE))
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' RETURNING 1")
    await two.wrote()
    await ask(two.pool, "UPDATE outbox SET state = 'unclear' RETURNING 1")
    wamid = "'wamid.OUT'" if is_known else "NULL"
    ((our_ref,),) = await ask(two.pool, f"UPDATE messages SET wamid = {wamid} WHERE origin = 'api' RETURNING our_ref")
    async with transaction(two.pool) as conn:
        await private.add(conn, KEYRING, "Privado", two.former.member.account_id, STRANGER)
    taker = await two.move()
    await deliver(two.pool, status("wamid.OUT", "delivered", our_ref=f"{OUR_REF_PREFIX}{our_ref}"))
    sent = await ask(two.pool, "SELECT inbox_id, wamid, status FROM messages WHERE origin = 'api'")
    assert sent == [(two.former.inbox.id, "wamid.OUT", 4)]
    assert await ask(two.pool, "SELECT count(*) FROM message_statuses WHERE inbox_id = %s", taker.id) == [(0,)]


@pytest.mark.requirement("A8", "G11")
async def test_each_account_has_its_own_private_numbers_in_what_waits(two: Two) -> None:
    for member, phone in ((two.former.member, PHONE), (two.taker, STRANGER)):
        async with transaction(two.pool) as conn:
            await private.add(conn, KEYRING, "Privado", member.account_id, phone)
    old = clock.now() - BEFORE
    of_both = [inbound(f"wamid.A{n}", "x", phone=phone, at=old) for n, phone in enumerate((PHONE, STRANGER))]
    await journaled(two, *of_both, age=BEFORE)
    await journaled(
        two, *[inbound(f"wamid.B{n}", "x", phone=p) for n, p in enumerate((PHONE, STRANGER))], age=timedelta(0)
    )
    taker = await two.move()
    await two.apply()
    await deliver(two.pool, inbound("wamid.LATE", "x", at=old))
    assert await two.whose() == {"wamid.A1": two.former.inbox.id, "wamid.B0": taker.id}, "what came late is nobody's"


@pytest.mark.requirement("A8", "G2")
@pytest.mark.parametrize("names_waba", [True, False])
async def test_a_notice_reaches_only_the_timeline_of_whose_number_it_was(two: Two, names_waba: bool) -> None:
    taker = await two.move()
    seconds = int(clock.now().timestamp())
    old = int((clock.now() - BEFORE).timestamp())
    for at, event in ((seconds, "FLAGGED"), (old, "UPGRADE")):
        value = {"display_phone_number": DISPLAY, "event": event, "current_limit": "TIER_1K"}
        entry = {
            "id": WABA if names_waba else "0",
            "time": at,
            "changes": [{"field": "phone_number_quality_update", "value": value}],
        }
        async with transaction(two.pool) as conn:
            await conn.execute(
                "WITH j AS (INSERT INTO journal (received_at, body) VALUES (now(), %s) RETURNING id)"
                " INSERT INTO backlog SELECT 0, id FROM j",
                (msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]}),),
            )
        await two.apply()
    told = await ask(two.pool, "SELECT event, inbox_id FROM inbox_timeline WHERE field = 'phone_number_quality_update'")
    assert dict(told) == {"FLAGGED": taker.id, "UPGRADE": two.former.inbox.id}


@pytest.mark.requirement("A8")
async def test_nothing_that_is_told_later_brings_the_former_inbox_back(two: Two) -> None:
    await two.move()
    former = two.former.inbox
    back = [
        Line(
            former.id, clock.now() + timedelta(minutes=1), connection.OURS, connection.META_TOLD, {"state": "connected"}
        ),
        Line(former.id, clock.now() + timedelta(minutes=2), "account_update", "ACCOUNT_RECONNECTED", {}),
    ]
    async with transaction(two.pool) as conn:
        await connection.record(conn, back)
        await connection.refresh(conn, [former.id])
        found = await inboxes.get(conn, former.account_id, former.id)
    assert (found.state, found.state_reason, found.is_moved) == ("removed", "MOVED_AWAY", True)
    assert await ask(two.pool, "SELECT count(*) FROM connection_questions WHERE inbox_id = %s", former.id) == [(0,)]


@pytest.mark.requirement("A8", "G3")
async def test_what_waited_to_be_sent_or_fetched_says_that_it_will_not_be(two: Two) -> None:
    picture = wire.message(
        "wamid.P", int((clock.now() - BEFORE).timestamp()) - wire.EPOCH, wire.image("990"), phone=PHONE
    )
    await deliver(two.pool, picture, inbound("wamid.IN", "Olá", at=clock.now() - BEFORE))
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' RETURNING 1")
    await two.wrote()
    await two.move()
    assert await ask(two.pool, "SELECT state::text, error FROM outbox") == [("failed", moves.NOT_SENT)]
    assert await ask(two.pool, "SELECT state::text, reason, error FROM media") == [
        ("gone", Reason.MOVED, moves.NOT_FETCHED)
    ]
    assert (str(Reason.MOVED), rules.SENTENCES[Reason.MOVED]) == (moves.MOVED, moves.NOT_FETCHED)
    shown = await ask(two.pool, "SELECT errors -> 0 ->> 'title' FROM messages WHERE origin = 'api'")
    assert shown == [(moves.NOT_SENT,)]


@pytest.mark.requirement("A8")
async def test_what_could_not_be_applied_is_shown_to_whose_it_was(two: Two) -> None:
    broken = change("messages", messages=[{"id": "wamid.X", "type": "edit", "from": PHONE, "timestamp": "1795000300"}])
    await deliver(two.pool, broken)
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' RETURNING 1")
    await two.move()
    keepers = {member.account_id: Keeper(member.name, member.account_id) for member in (two.former.member, two.taker)}

    async def seen() -> dict[int, int]:
        found = {}
        for account_id, keeper in keepers.items():
            async with transaction(two.pool) as conn:
                found[account_id] = len((await quarantine.page(conn, keeper))[0])
        return found

    expected = {two.former.member.account_id: 1, two.taker.account_id: 0}
    assert await seen() == expected
    async with transaction(two.pool) as conn:
        await quarantine.want_retry(conn, keepers[two.former.member.account_id], None)
    await two.apply()
    assert await seen() == expected, "also when it is tried again, and fails again"


@pytest.mark.requirement("A8")
async def test_a_batch_that_was_given_its_inbox_before_the_move_is_applied_again(two: Two) -> None:
    before = two.former.inbox
    await two.move()
    async with transaction(two.pool) as conn:
        version = (await ask(two.pool, "SELECT version FROM contact_scopes WHERE id = %s", before.scope_id))[0][0]
        people_ = type("P", (), {"scope_id": before.scope_id, "version": version})()
        with pytest.raises(Unavailable):
            await inbox_apply.apply(conn, before.account_id, {NUMBER: before}, people_, [])


@pytest.mark.requirement("A8", "G12")
async def test_the_doctor_of_the_new_account_knows_nothing_of_the_former_ones_deliveries(
    two: Two, tmp_path: Any
) -> None:
    await deliver(two.pool, inbound("wamid.A", "Antes", at=clock.now() - BEFORE))
    await ask(two.pool, "UPDATE webhook_sightings SET last_at = now() - interval '30 hours' RETURNING 1")
    taker = await two.move()
    settings = load({"COEXIST_DATA_DIR": str(tmp_path)})
    async with transaction(two.pool) as conn:
        diagnosis = await checks_doctor.diagnose(conn, KEYRING, settings, taker.account_id, taker.id)
        told = msgspec.json.decode(await checks_bundle.bundle(conn, KEYRING, settings, [(taker.account_id, taker.id)]))
    seen = {check.name: check.seen for question in diagnosis.questions for check in question.checks}
    assert seen["messages_seen"] == "Nothing has come yet."
    assert told["inboxes"][0]["last_by_field"] == {}


@pytest.mark.requirement("A8")
async def test_the_former_inbox_cannot_be_renewed(two: Two) -> None:
    await two.move()
    party = Party(two.former.member.account_id, "Inês", user_id=two.former.member.user_id)
    async with transaction(two.pool) as conn:
        with pytest.raises(Conflict, match="another account"):
            await signups.begin(conn, party, uuid.uuid4(), way=Way.DIALOG, renews_id=two.former.inbox.id)


@pytest.mark.requirement("A8")
async def test_a_number_that_comes_back_is_a_new_inbox_and_the_middle_stays_where_it_was(two: Two) -> None:
    await deliver(two.pool, inbound("wamid.A", "Antes", at=clock.now() - BEFORE))
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '30 hours' RETURNING 1")
    middle = await two.move()
    await deliver(two.pool, inbound("wamid.B", "No meio", at=clock.now() - timedelta(minutes=4)))
    await ask(two.pool, "UPDATE journal SET received_at = now() - interval '4 minutes' WHERE id = 2 RETURNING 1")
    async with transaction(two.pool) as conn:
        gone = Line(middle.id, clock.now() - timedelta(minutes=2), "account_update", "PARTNER_REMOVED", {})
        await connection.record(conn, [gone])
        await connection.refresh(conn, [middle.id])
    two.taker, two.since = two.former.member, clock.now() - timedelta(minutes=1)
    last = await two.move()
    await deliver(two.pool, inbound("wamid.C", "Depois"))
    await ask(two.pool, "INSERT INTO backlog SELECT 0, id FROM journal ON CONFLICT DO NOTHING RETURNING 1")
    await two.apply()
    assert await two.whose() == {"wamid.A": two.former.inbox.id, "wamid.B": middle.id, "wamid.C": last.id}
    assert len({two.former.inbox.id, middle.id, last.id}) == 3
    async with transaction(two.pool) as conn:
        number_id = await private.add(conn, KEYRING, "Rui", middle.account_id, PHONE)
        await private.want_purge(conn, KEYRING, middle.account_id, number_id, typed=PHONE)
    while await purging.step(two.pool, KEYRING):
        pass
    kept = b"".join([unseal(KEYRING, body) for (body,) in await ask(two.pool, "SELECT body FROM journal")])
    assert [name in kept for name in (b"wamid.A", b"wamid.B", b"wamid.C")] == [True, False, True], "its own alone"
