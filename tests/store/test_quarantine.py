"""What could not be applied: what is kept of it, who sees it, what a retry comes to, and nothing waits behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base.database import Pool, transaction
from coexist.base.errors import Invalid, NotFound
from coexist.events import feed
from coexist.inbox import private
from coexist.intake.quarantine import json_of
from coexist.intake.replay import Span, replay
from coexist.intake.sealing import Damaged
from coexist.intake.store import requeue_routed
from coexist.quarantine import actions, rules, store
from coexist.quarantine.model import Keeper, Quarantined
from coexist.quarantine.outcome import Outcome, outcomes
from tests.store.test_applying import BAD_DATA, PART, allow, message, refuse, rows, several, texts
from tests.support import intake, wire
from tests.support.intake import BRANCH, KEYRING, RECEIVED_AT, SHOP, Number, body_of

OPERATOR: Final = Keeper("Root on the command line", None)
STRANGE: Final = Number("555100020009999", "5511985500199", "709999999999999", "880011223344556")


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


@pytest.fixture
async def poisoned(shop: Pool) -> Pool:
    """A delivery of three messages, of which the database refuses the middle one; another delivery behind it."""
    await refuse(shop, "NEW.text IN ('guilty', 'culpado')", BAD_DATA)
    await intake.deliver(shop, [several("before", "guilty", "after"), body_of(message("b", "behind"))])
    return shop


async def waiting(pool: Pool, keeper: Keeper = OPERATOR, *, is_dismissed: bool = False) -> list[Quarantined]:
    """What a keeper sees."""
    async with transaction(pool) as conn:
        found, _ = await store.page(conn, keeper, is_dismissed=is_dismissed)
    return list(found)


async def only(pool: Pool) -> Quarantined:
    (part,) = await waiting(pool)
    return part


async def retry(pool: Pool, *ids: int) -> None:
    async with transaction(pool) as conn:
        await actions.retry(conn, OPERATOR, ids or None)


async def outcome(pool: Pool, before: Quarantined) -> Outcome:
    async with transaction(pool) as conn:
        (found,) = await outcomes(conn, OPERATOR, [before])
    return found.outcome


async def told(pool: Pool) -> list[tuple[Any, ...]]:
    """The accounts to which a change of the quarantine was told."""
    return await rows(pool, "SELECT account_id FROM events WHERE kind = 'quarantine_changed' ORDER BY id")


# ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C4")
async def test_a_poisonous_part_stops_nothing_and_says_what_it_is(poisoned: Pool) -> None:
    assert await texts(poisoned) == ["after", "before", "behind"]
    part = await only(poisoned)
    assert (part.journal_id, part.kind, part.phone_number_id) == (1, "text message", SHOP.phone_number_id)
    assert part.part == "entry[0].changes[0].messages[1]"
    assert (part.attempts, part.inbox_name, part.received_at) == (1, SHOP.display, RECEIVED_AT)
    assert "refused by the test" in part.error
    async with transaction(poisoned) as conn:
        json = await json_of(conn, KEYRING, part)
    assert b'"body": "guilty"' in json
    assert b"before" not in json
    assert part.part_bytes == len(json)
    assert await told(poisoned) == [(1,)]


async def test_of_a_delivery_that_is_no_json_the_whole_is_kept(shop: Pool) -> None:
    await intake.deliver(shop, [b'{"object":"whatsapp_business_account","entry":[{', body_of(message("b", "behind"))])
    part = await only(shop)
    assert (part.kind, part.part_bytes, part.phone_number_id) == ("whole delivery", 48, None)
    assert await texts(shop) == ["behind"]
    assert "does not understand" in rules.reason_for(part.error).sentence


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("has_list", [False, True])
async def test_a_delivery_that_was_damaged_on_the_disk_stops_nothing_either(shop: Pool, has_list: bool) -> None:
    """With a list of private numbers it is opened once more, before it is read."""
    if has_list:
        async with transaction(shop) as conn:
            await private.add(conn, KEYRING, "Inês", 1, "+351 910 559 199")
    await intake.journal(shop, [body_of(message("a", "lost")), body_of(message("b", "behind"))])
    await rows(shop, "UPDATE journal SET body = overlay(body PLACING '\\x00000000' FROM 40) WHERE id = 1 RETURNING id")
    await intake.apply_all(shop)
    assert await texts(shop) == ["behind"]
    part = await only(shop)
    assert (part.journal_id, part.part, part.part_bytes) == (1, "", 0)
    assert "damaged" in rules.reason_for(part.error).sentence
    async with transaction(shop) as conn:
        with pytest.raises(Damaged):
            await json_of(conn, KEYRING, part)


# ── retrying ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C4")
async def test_a_retry_after_the_fault_is_gone_applies_it_and_clears_the_row(poisoned: Pool) -> None:
    before = await only(poisoned)
    await allow(poisoned)
    await retry(poisoned, before.id)
    in_line = await only(poisoned)
    assert (in_line.retry_wanted_by, in_line.retry_wanted_at is None) == (OPERATOR.name, False)
    assert await outcome(poisoned, before) is Outcome.IN_LINE
    await intake.apply_all(poisoned)
    assert await texts(poisoned) == ["after", "before", "behind", "guilty"]
    assert await waiting(poisoned) == []
    assert await outcome(poisoned, before) is Outcome.APPLIED
    async with transaction(poisoned) as conn:
        (settled,) = await store.settled(conn, OPERATOR)
    assert (settled.part, settled.attempts, settled.retry_wanted_by) == (before.part, 1, OPERATOR.name)
    assert await told(poisoned) == [(1,), (1,), (1,)]  # it failed, it is in line, it is applied


async def test_a_retry_that_fails_again_says_whether_the_reason_is_another(poisoned: Pool) -> None:
    first = await only(poisoned)
    await retry(poisoned)
    await intake.apply_all(poisoned)
    assert await outcome(poisoned, first) is Outcome.SAME
    same = await only(poisoned)
    assert (same.attempts, same.previous_error, same.retry_wanted_at) == (2, None, None)
    assert same.retried_at is not None
    assert same.since == first.since
    await refuse(poisoned, "NEW.text = 'guilty'", "22003")
    await retry(poisoned, same.id)
    await intake.apply_all(poisoned)
    assert await outcome(poisoned, same) is Outcome.OTHERWISE
    other = await only(poisoned)
    assert (other.attempts, other.previous_error) == (3, first.error)
    assert other.error != first.error


async def test_what_now_fails_in_a_piece_of_it_is_not_told_as_applied(shop: Pool) -> None:
    await refuse(shop, "NEW.text = 'guilty'", BAD_DATA)
    await intake.deliver(shop, [several("guilty")])
    async with transaction(shop) as conn:
        await conn.execute("UPDATE quarantine SET part = 'entry[0].changes[0]'")
    before = await only(shop)
    await retry(shop, before.id)
    await intake.apply_all(shop)
    assert (await only(shop)).part == PART
    assert await outcome(shop, before) is Outcome.ELSEWHERE
    assert await rows(shop, "SELECT FROM quarantine_settled") == []


async def test_there_must_be_something_to_retry(shop: Pool) -> None:
    with pytest.raises(NotFound, match="nothing to retry"):
        await retry(shop)
    with pytest.raises(NotFound, match="nothing to retry"):
        await retry(shop, 1)


async def test_a_retry_while_the_delivery_is_being_applied_is_not_lost(poisoned: Pool) -> None:
    """Its row of the backlog is just being taken away: the retry waits for that, and puts it there again."""
    part = await only(poisoned)
    await retry(poisoned, part.id)
    async with transaction(poisoned) as worker:
        await worker.execute("DELETE FROM backlog WHERE journal_id = %s", (part.journal_id,))
        async with poisoned.connection() as conn, conn.transaction():
            await conn.execute("SET LOCAL lock_timeout = '200ms'")
            with pytest.raises(Exception, match="lock timeout"):
                await actions.retry(conn, OPERATOR, [part.id])
    await retry(poisoned, part.id)
    assert await rows(poisoned, "SELECT journal_id FROM backlog") == [(part.journal_id,)]


# ── dismissing ────────────────────────────────────────────────────────────────────────────────────────────


async def test_dismissing_keeps_everything_and_says_who_and_why(poisoned: Pool) -> None:
    part = await only(poisoned)
    async with transaction(poisoned) as conn:
        with pytest.raises(Invalid, match="needs its reason"):
            await actions.dismiss(conn, OPERATOR, [part.id], why="  \n")
        assert await actions.dismiss(conn, OPERATOR, [part.id], why="An advert,\nnobody needs it") == 1
        assert (await store.counts(conn, OPERATOR)).total == 0
        with pytest.raises(NotFound):
            await actions.dismiss(conn, OPERATOR, [part.id], why="again")
        with pytest.raises(NotFound):
            await actions.retry(conn, OPERATOR, None)
    assert await waiting(poisoned) == []
    (dismissed,) = await waiting(poisoned, is_dismissed=True)
    assert (dismissed.dismissed_by, dismissed.dismissed_why) == (OPERATOR.name, "An advert, nobody needs it")
    async with transaction(poisoned) as conn:
        assert b"guilty" in await json_of(conn, KEYRING, dismissed)
        assert await actions.restore(conn, OPERATOR, [part.id]) == 1
    assert (await only(poisoned)).dismissed_why is None


async def test_what_was_dismissed_is_applied_all_the_same_when_a_replay_can(poisoned: Pool) -> None:
    part = await only(poisoned)
    async with transaction(poisoned) as conn:
        await actions.dismiss(conn, OPERATOR, [part.id], why="who knows")
        await conn.execute("INSERT INTO backlog SELECT 1, id FROM journal")
    await intake.apply_all(poisoned)
    (still,) = await waiting(poisoned, is_dismissed=True)
    assert (still.attempts, still.dismissed_why) == (2, "who knows")
    await allow(poisoned)
    async with transaction(poisoned) as conn:
        await conn.execute("INSERT INTO backlog SELECT 1, id FROM journal")
    await intake.apply_all(poisoned)
    assert await rows(poisoned, "SELECT FROM quarantine") == []
    assert "guilty" in await texts(poisoned)


# ── numbers that are not connected ────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("A6")
async def test_deliveries_of_a_number_that_is_not_connected_are_listed_until_it_is(shop: Pool) -> None:
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await intake.deliver(shop, [body_of(strangers, waba_id=STRANGE.waba_id)] * 2)
    async with transaction(shop) as conn:
        (number,) = await store.unrouted(conn, OPERATOR)
        assert (number.phone_number_id, number.delivery_count) == (STRANGE.phone_number_id, 2)
        assert (await store.counts(conn, OPERATOR)).numbers == 1
        await actions.dismiss_number(conn, OPERATOR, STRANGE.phone_number_id, why="the test number of Meta's dashboard")
        assert (await store.counts(conn, OPERATOR)).total == 0
        (number,) = await store.unrouted(conn, OPERATOR)
        assert number.dismissed_why == "the test number of Meta's dashboard"
        with pytest.raises(NotFound):
            await actions.dismiss_number(conn, OPERATOR, "123", why="nothing of it is here")
        await actions.restore_number(conn, OPERATOR, STRANGE.phone_number_id)
        assert (await store.counts(conn, OPERATOR)).numbers == 1
    assert len(await told(shop)) == 3  # it came, was dismissed, was brought back
    async with transaction(shop) as conn:
        await intake.connect(conn, STRANGE, account="Filial")
    async with transaction(shop) as conn:
        await requeue_routed(conn)
    await intake.apply_all(shop)
    async with transaction(shop) as conn:
        assert await store.unrouted(conn, OPERATOR) == []
    assert await texts(shop) == ["Olá"]


# ── who sees what ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_sees_what_names_its_own_numbers_alone(poisoned: Pool) -> None:
    async with transaction(poisoned) as conn:
        other_id = await intake.connect(conn, BRANCH, account="Filial")
    own, other = Keeper("Ana", 1), Keeper("Bia", other_id)
    theirs = wire.message("wamid.T", 1, wire.text("culpado"), phone="351910559122", number=BRANCH)
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await intake.deliver(poisoned, [body_of(theirs), b"{", body_of(strangers, waba_id=STRANGE.waba_id)])
    assert [part.journal_id for part in await waiting(poisoned, own)] == [1]
    assert [part.journal_id for part in await waiting(poisoned, other)] == [3]
    assert {part.journal_id for part in await waiting(poisoned)} == {1, 3, 4}
    mine, foreign = (await waiting(poisoned, own))[0], (await waiting(poisoned, other))[0]
    async with transaction(poisoned) as conn:
        assert [await store.unrouted(conn, keeper) for keeper in (own, other)] == [[], []]
        assert (await store.counts(conn, own)).total == 1
        assert await store.find(conn, own, foreign.id) is None
        with pytest.raises(NotFound):
            await actions.retry(conn, own, [foreign.id])
        with pytest.raises(NotFound):
            await actions.dismiss(conn, own, [foreign.id], why="not mine")
        with pytest.raises(NotFound):
            await actions.dismiss_number(conn, own, STRANGE.phone_number_id, why="not mine")
        assert await actions.retry(conn, own, None) == [mine.id]
    assert await rows(poisoned, "SELECT journal_id FROM backlog") == [(1,)]


async def test_the_only_account_also_sees_what_names_nobody(shop: Pool) -> None:
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await intake.deliver(shop, [b"{", body_of(strangers, waba_id=STRANGE.waba_id)])
    async with transaction(shop) as conn:
        assert (await store.counts(conn, Keeper("Ana", 1))).total == 2
        await conn.execute("INSERT INTO accounts (name) VALUES ('Another')")
        assert (await store.counts(conn, Keeper("Ana", 1))).total == 0
        assert (await store.counts(conn, OPERATOR)).total == 2


async def test_pages_of_what_waits(shop: Pool) -> None:
    await intake.deliver(shop, [b"{"] * 5)
    async with transaction(shop) as conn:
        first, has_more = await store.page(conn, OPERATOR, limit=3)
        assert ([part.journal_id for part in first], has_more) == ([5, 4, 3], True)
        rest, has_more = await store.page(conn, OPERATOR, before=first[-1].id, limit=3)
        assert ([part.journal_id for part in rest], has_more) == ([2, 1], False)


async def test_a_replay_of_what_is_applied_tells_nobody_anything(shop: Pool) -> None:
    """Nobody is notified twice: what is there already changes nothing, so no event says that it did."""
    bodies = [body_of(message(name, name)) for name in "abc"]
    bodies.append(body_of(wire.status("wamid.a", 3, "read", phone="351910559122")))
    await intake.deliver(shop, bodies)
    before = await rows(shop, "SELECT count(*) FROM events")
    async with transaction(shop) as conn:
        assert await replay(conn, Span()) == 4
    await intake.apply_all(shop)
    assert await rows(shop, "SELECT count(*) FROM events") == before
    async with transaction(shop) as conn:
        assert await feed.last_id(conn, 1) > 0


async def test_outcomes_are_forgotten_in_time(poisoned: Pool) -> None:
    await allow(poisoned)
    await retry(poisoned)
    await intake.apply_all(poisoned)
    async with transaction(poisoned) as conn:
        (settled,) = await store.settled(conn, OPERATOR)
        assert await store.forget_settled(conn, settled.settled_at, 10) == 0
        assert await store.forget_settled(conn, settled.settled_at + timedelta(seconds=1), 10) == 1
