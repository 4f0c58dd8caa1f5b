"""Our own webhooks: all of it, in order, whatever becomes of a program or a worker; and whose they are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Forbidden, NotFound
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.people import actions as people
from coexist.people.model import Member, Role
from coexist.webhooks import actions, rules, store, telling, worker
from tests.support.business import (
    BSUID,
    KEYRING,
    PHONE,
    Business,
    deliver,
    inbound,
    open_business,
)
from tests.support.hearing import ask, mark, standing, subscribe, tell_due, teller, texts
from tests.support.listener import Listener, listening
from tests.support.waiting import looping, until

FOREVER: Final = timedelta(days=30)


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


# ── order, duplicates, failures ───────────────────────────────────────────────────────────────────────────


async def test_a_program_that_refuses_gets_everything_at_least_once_and_in_order(
    business: Business, program: Listener
) -> None:
    await subscribe(business.pool, business.member, program.url)
    program.answers.extend([500, 503, 302])
    for number in range(4):
        await deliver(business.pool, inbound(f"wamid.{number}", f"Texto {number}"))
        await tell_due(business.pool, after=timedelta(minutes=number))
    failing = [post.answered for post in program.posts]
    assert failing == [500, 503, 302, 200]
    assert texts(program) == [f"Texto {number}" for number in range(4)]
    first = [post.events[0] for post in program.posts]
    assert first == first[:1] * 4, "told again, it is the same event, id and all"
    ids = [int(event["id"].removeprefix("evt-")) for event in program.events]
    assert ids == sorted(set(ids))
    webhook = await standing(business)
    assert (webhook.failures, webhook.failing_since, webhook.last_error) == (0, None, None)


async def test_after_a_failure_it_waits_before_it_tries_again(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    program.answers.append(500)
    await mark(business)
    assert await tell_due(business.pool) == 1
    webhook = await standing(business)
    assert (webhook.failures, webhook.last_error, webhook.waiting_count) == (1, "It answered 500.", 1)
    assert await tell_due(business.pool) == 0
    assert await tell_due(business.pool, after=timedelta(seconds=rules.FIRST_PAUSE_S)) == 1


async def test_a_worker_that_dies_in_the_middle_leaves_it_to_another(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    program.hold = asyncio.Event()
    (turn,) = await worker.claim(business.pool, 10)
    async with teller(business.pool) as means:
        dying = asyncio.create_task(worker.tell(means, turn))
        while not program.posts:
            await asyncio.sleep(0.01)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    program.hold = None
    assert await tell_due(business.pool) == 0, "it still has the turn"
    assert await tell_due(business.pool, after=timedelta(seconds=store.LEASE_S + 1)) == 1
    lost, told = program.posts
    assert [event["id"] for event in lost.events] == [event["id"] for event in told.events]


async def test_whoever_comes_back_after_its_turn_moves_nothing(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await mark(business)
    (late,) = await worker.claim(business.pool, 10)
    await tell_due(business.pool, after=timedelta(seconds=store.LEASE_S + 1))
    program.answers.append(500)
    async with teller(business.pool) as means:
        await worker.tell(means, late)
    webhook = await standing(business)
    assert (webhook.failures, webhook.waiting_count) == (0, 0)


async def test_whoever_comes_back_after_its_turn_ends_nobody_elses(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await mark(business)
    (late,) = await worker.claim(business.pool, 10)
    now = clock.now() + timedelta(seconds=store.LEASE_S + 1)
    with clock.reading(lambda: now):
        assert len(await worker.claim(business.pool, 10)) == 1
        async with teller(business.pool) as means:
            await worker.tell(means, late)
        await mark(business)
        assert await worker.claim(business.pool, 10) == [], "two would tell at once, in no order"


async def test_one_turn_at_a_time_whoever_claims(business: Business, program: Listener) -> None:
    for _ in range(5):
        await subscribe(business.pool, business.member, program.url)
    await mark(business)
    claims = await asyncio.gather(*(worker.claim(business.pool, 2) for _ in range(8)))
    claimed = [turn.id for turns in claims for turn in turns]
    assert sorted(claimed) == [1, 2, 3, 4, 5]


async def test_a_long_absence_is_told_in_parts(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await mark(business, 2 * telling.EVENTS_MAX + 3)
    await tell_due(business.pool)
    assert [len(post.events) for post in program.posts] == [telling.EVENTS_MAX, telling.EVENTS_MAX, 3]
    ids = [int(event["id"].removeprefix("evt-")) for event in program.events]
    assert ids == sorted(ids)


async def test_long_messages_go_in_several_posts(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    long = "ã" * 60_000
    await deliver(business.pool, *(inbound(f"wamid.{number}", f"{long}{number}") for number in range(5)))
    await deliver(business.pool, inbound("wamid.9", "ã" * 200_000))
    await tell_due(business.pool)
    assert [text[-1] for text in texts(program)] == ["0", "1", "2", "3", "4", "ã"]
    sizes = [len(post.body) for post in program.posts]
    assert sorted(sizes)[-2] < telling.BODY_BYTES_MAX + 1_000
    assert max(sizes) > 400_000, "one that is longer than a POST may be goes alone"


async def test_what_happened_several_times_to_one_thing_is_told_once(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, *(inbound(f"wamid.{number}", f"Texto {number}") for number in range(3)))
    await tell_due(business.pool)
    assert len(program.of_kind("message.added")) == 3
    assert len(program.of_kind("conversation.changed")) == 1


async def test_a_feed_that_was_pruned_past_its_place_is_told_honestly(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        await conn.execute("DELETE FROM events")
    await mark(business, 3)
    async with transaction(business.pool) as conn:
        assert await feed.prune(conn, clock.now() + timedelta(minutes=1), 2) == 2
    program.answers.append(500)
    await tell_due(business.pool)
    await tell_due(business.pool, after=timedelta(minutes=1))
    refused, taken = program.posts
    assert [event["kind"] for event in taken.events] == ["events.missed", "conversation.removed"]
    assert refused.events[0]["id"] == taken.events[0]["id"]
    await mark(business)
    async with transaction(business.pool) as conn:
        await feed.prune(conn, clock.now() + timedelta(minutes=1), 10)
    await tell_due(business.pool, after=timedelta(minutes=1))
    assert [event["kind"] for event in program.posts[-1].events] == ["events.missed"], "all of it is gone"
    assert await tell_due(business.pool, after=timedelta(minutes=2)) == 0


async def test_what_is_longer_than_a_post_follows_a_gap_in_the_feed(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await mark(business)
    await deliver(business.pool, inbound("wamid.1", "ã" * 200_000))
    async with transaction(business.pool) as conn:
        await conn.execute("DELETE FROM events WHERE kind NOT IN ('message_added', 'conversation_changed')")
        assert await feed.prune(conn, clock.now() + timedelta(minutes=1), 1) == 1
    for _ in range(4):
        await tell_due(business.pool)
    assert [event["kind"] for event in program.events][:2] == ["events.missed", "message.added"]
    assert len(program.of_kind("events.missed")) == 1
    assert (await standing(business)).waiting_count == 0


# ── who stops it, and who does not ────────────────────────────────────────────────────────────────────────


async def test_days_of_failing_stop_it_and_resuming_goes_on_from_there(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    program.answers.extend([500] * 1_000)
    began, hours = clock.now(), 0
    while (await standing(business)).state == "active":
        await tell_due(business.pool, after=timedelta(hours=hours))
        hours += 1
    assert timedelta(days=rules.FAILING_DAYS, hours=2) > timedelta(hours=hours) > timedelta(days=rules.FAILING_DAYS)
    assert clock.now() - began < timedelta(hours=1), "these were hours of a clock that the test turned"
    program.answers.clear()
    assert await tell_due(business.pool, after=FOREVER) == 0
    webhook = await standing(business)
    assert (webhook.state, webhook.last_error) == ("disabled", "It answered 500.")
    async with transaction(business.pool) as conn:
        await actions.resume(conn, business.member, 1)
    await tell_due(business.pool)
    assert texts(program) == ["Olá"]


async def test_a_program_that_says_it_is_gone_is_told_no_more(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    program.answers.append(rules.GONE)
    await mark(business)
    await tell_due(business.pool)
    assert (await standing(business)).state == "disabled"


async def test_paused_it_hears_nothing_but_a_test_and_then_all_of_it(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        await actions.pause(conn, business.member, 1)
    await deliver(business.pool, inbound("wamid.1", "Olá"))
    assert await tell_due(business.pool, after=FOREVER) == 0
    async with transaction(business.pool) as conn:
        await actions.test(conn, business.member, 1)
    program.answers.append(404)
    assert await tell_due(business.pool) == 1
    async with transaction(business.pool) as conn:
        (attempt,) = await store.attempts(conn, 1)
        assert (attempt.is_test, attempt.status, attempt.error) == (True, 404, "It answered 404.")
        await actions.resume(conn, business.member, 1)
    assert [event["kind"] for event in program.posts[0].events] == ["test"]
    await tell_due(business.pool)
    assert texts(program) == ["Olá"]
    assert (await standing(business)).failures == 0, "a test that fails counts for nothing"


async def test_a_program_that_stands_still_holds_up_no_other(business: Business, program: Listener) -> None:
    async with listening() as slow:
        slow.hold = asyncio.Event()
        await subscribe(business.pool, business.member, slow.url)
        await subscribe(business.pool, business.member, program.url)

        async def heard(number: int) -> bool:
            return len(texts(program)) > number and len(slow.posts) > 0

        async with looping(worker.run(business.pool, KEYRING, may_be_private=True)):
            try:
                for number in range(3):
                    await deliver(business.pool, inbound(f"wamid.{number}", f"Texto {number}"))
                    await until(partial(heard, number), f"it hears of {number}")
                assert len(slow.posts) == 1
            finally:
                slow.hold.set()
        assert len(slow.posts[0].events) >= 2
        assert (await standing(business)).last_error is None, "stopping waits for a POST under way, and notes its end"


# ── tenants, people, secrets ──────────────────────────────────────────────────────────────────────────────


async def other_account(business: Business) -> Member:
    async with transaction(business.pool) as conn:
        account = await people.create_account(conn, "Somebody else")
        return await people.add_user(conn, account.id, name="Mallory", email="m@example.com", role=Role.OWNER)


async def test_another_account_hears_nothing_and_can_do_nothing(business: Business, program: Listener) -> None:
    stranger = await other_account(business)
    async with listening() as theirs:
        await subscribe(business.pool, business.member, program.url)
        await subscribe(business.pool, stranger, theirs.url)
        await deliver(business.pool, inbound("wamid.1", "Olá"))
        await tell_due(business.pool)
        assert theirs.posts == []
    # An event that names what is another account's tells nothing of it.
    (message_id,) = (await ask(business.pool, "SELECT id FROM messages"))[0]
    async with transaction(business.pool) as conn:
        crossing = NewEvent(stranger.account_id, Kind.MESSAGE_CHANGED, business.inbox.id, 1, message_id)
        about = NewEvent(stranger.account_id, Kind.INBOX_CHANGED, business.inbox.id)
        await feed.append(conn, [crossing, about])
    turns = await worker.claim(business.pool, 10)
    assert [turn.account_id for turn in turns] == [stranger.account_id]
    async with transaction(business.pool) as conn:
        assert (await telling.next_telling(conn, KEYRING, turns[0])).events == []
    for act in (actions.pause, actions.resume, actions.test, actions.remove):
        async with transaction(business.pool) as conn:
            with pytest.raises(NotFound):
                await act(conn, stranger, 1)
    async with transaction(business.pool) as conn:
        with pytest.raises(NotFound):
            await actions.rotate(conn, KEYRING, stranger, 1)
        assert [webhook.id for webhook in await store.webhooks(conn, stranger.account_id)] == [2]


async def test_agents_look_after_none_and_an_account_has_so_many(business: Business, program: Listener) -> None:
    agent = replace(business.member, role=Role.AGENT)
    with pytest.raises(Forbidden):
        await subscribe(business.pool, agent, program.url)
    adding = (subscribe(business.pool, business.member, program.url) for _ in range(actions.PER_ACCOUNT_MAX + 3))
    added = await asyncio.gather(*adding, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in added) == 3, "also when all come at once"
    assert sum(isinstance(one, tuple) for one in added) == actions.PER_ACCOUNT_MAX


async def test_no_content_is_left_in_what_is_kept(business: Business, program: Listener) -> None:
    _, secret = await subscribe(business.pool, business.member, program.url)
    program.answers.append(500)
    await deliver(business.pool, inbound("wamid.SEGREDO", "palavras secretas", bsuid=BSUID))
    await tell_due(business.pool)
    await tell_due(business.pool, after=timedelta(minutes=1))
    assert b"palavras secretas" in program.posts[1].body
    kept = str(await ask(business.pool, "SELECT w::text, w.secret::text FROM webhooks w"))
    kept += str(await ask(business.pool, "SELECT a::text FROM webhook_attempts a"))
    for word in ("palavras", "SEGREDO", PHONE, BSUID, "Rui", secret):
        assert word not in kept


async def test_the_log_is_bounded_and_keeps_what_went_wrong(business: Business, program: Listener) -> None:
    await subscribe(business.pool, business.member, program.url)
    program.answers.append(500)
    for number in range(2 * store.ATTEMPTS_KEPT):
        await mark(business)
        await tell_due(business.pool, after=timedelta(minutes=number))
    async with transaction(business.pool) as conn:
        attempts = await store.attempts(conn, 1)
    assert len(attempts) == store.ATTEMPTS_KEPT + 1
    assert [attempt.status for attempt in attempts if attempt.error] == [500]


async def test_a_secret_that_is_changed_and_one_that_does_not_open(business: Business, program: Listener) -> None:
    _, first = await subscribe(business.pool, business.member, program.url)
    async with transaction(business.pool) as conn:
        second = await actions.rotate(conn, KEYRING, business.member, 1)
    assert first != second
    for after, counting in ((timedelta(), 2), (timedelta(hours=actions.FORMER_HOURS, minutes=1), 1)):
        await mark(business)
        await tell_due(business.pool, after=after)
        post = program.posts[-1]
        signed = post.headers[rules.SIGNATURE_HEADER].split(",")
        timestamp = int(post.headers[rules.TIMESTAMP_HEADER])
        wanted = [secret.encode() for secret in (second, first)][:counting]
        assert ",".join(signed) == rules.signature(wanted, timestamp, post.body)
        assert post.headers[rules.WEBHOOK_HEADER] == "1"
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE webhooks SET secret = '\\x01'")
    await mark(business)
    later = timedelta(hours=actions.FORMER_HOURS, minutes=2)
    await tell_due(business.pool, after=later)
    assert len(program.posts) == 2, "nothing goes out unsigned"
    assert "Nothing was sent" in ((await standing(business)).last_error or "")
