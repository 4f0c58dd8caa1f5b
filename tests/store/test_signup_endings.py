"""Attempts that end early or late, and links with which a client connects one number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Invalid, NotFound, TooMany
from coexist.coexistence import signup_links, signup_store, signup_words, signups
from coexist.coexistence.signup_model import Link, Party, Problem, State
from coexist.people import actions as people
from tests.support.scripted_graph import error
from tests.support.signup import FINISHED, NUMBER, TOKEN, WABA, Desk, open_desk


@pytest.fixture
async def desk(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(signups, "LAG_PAUSE_S", 0.01)
    async with open_desk(pool) as opened:
        yield opened


@pytest.mark.parametrize("is_event_first", [True, False])
async def test_the_window_and_its_closing_are_told_in_either_order(desk: Desk, is_event_first: bool) -> None:
    signup_id, left = uuid4(), FINISHED.partition(',"event"')[0] + ',"event":"CANCEL","data":{"current_step":"X"}}'
    async with transaction(desk.pool) as conn:
        await signups.begin(conn, desk.party, signup_id)
        if is_event_first:
            await signups.hear(conn, desk.party, signup_id, left)
        await signups.close(conn, desk.party, signup_id)
        await signups.hear(conn, desk.party, signup_id, left)
        ended = await signups.close(conn, desk.party, signup_id)
    assert (ended.state, ended.problem, ended.meta_step) == (State.CANCELLED, Problem.LEFT, "X")
    await desk.take_code(signup_id)
    assert (await desk.advance(signup_id)).state == State.CONNECTED, "a code says more than any ending"


async def test_a_finished_window_without_a_code_needs_one_more_click(desk: Desk) -> None:
    signup_id = uuid4()
    async with transaction(desk.pool) as conn:
        await signups.begin(conn, desk.party, signup_id)
        await signups.hear(conn, desk.party, signup_id, FINISHED % WABA)
        assert (await signups.close(conn, desk.party, signup_id)).problem == Problem.WITHOUT_CODE


async def test_an_answer_that_cannot_be_read_is_not_shown(desk: Desk) -> None:
    desk.meta.answers.append(web.json_response({"token_type": "bearer", "accessToken": TOKEN}))
    signup_id = uuid4()
    await desk.take_code(signup_id)
    async with transaction(desk.pool) as conn:
        ended = await signups.find(conn, desk.party, signup_id)
    assert (ended.state, ended.problem) == (State.FAILED, Problem.CODE_REFUSED)
    assert TOKEN not in (ended.detail or "")


async def test_access_that_nobody_uses_is_forgotten(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    async with transaction(desk.pool) as conn:
        assert await signup_store.forget_tokens(conn) == 0
        later = clock.now() + timedelta(hours=signup_store.TOKEN_HOURS, seconds=1)
        with clock.reading(lambda: later):
            assert await signup_store.forget_tokens(conn) == 1
    forgotten = await desk.advance(signup_id)
    assert (forgotten.state, forgotten.problem) == (State.FAILED, Problem.FORGOTTEN)


async def test_an_attempt_is_given_up_unless_it_has_connected_something(desk: Desk) -> None:
    signup_id, connected = uuid4(), await desk.sign_up()
    await desk.take_code(signup_id)
    async with transaction(desk.pool) as conn:
        account = await people.create_account(conn, "Another")
        with pytest.raises(NotFound):
            await signups.give_up(conn, Party(account.id, "Mallory"), signup_id)
        given_up = await signups.give_up(conn, desk.party, signup_id)
        assert (given_up.state, given_up.problem) == (State.FAILED, Problem.GIVEN_UP)
        assert (await signups.give_up(conn, desk.party, connected.id)).state == State.CONNECTED
    assert (await desk.advance(signup_id)).problem == Problem.GIVEN_UP, "there is no access to go on with"


async def test_attempts_and_inboxes_of_others_do_not_exist(desk: Desk) -> None:
    mine = await desk.sign_up()
    async with transaction(desk.pool) as conn:
        account = await people.create_account(conn, "Another")
        stranger = Party(account.id, "Mallory")
        with pytest.raises(NotFound):
            await signups.find(conn, stranger, mine.id)
        with pytest.raises(NotFound):
            await signups.begin(conn, stranger, mine.id)
        with pytest.raises(NotFound):
            await signups.begin(conn, stranger, uuid4(), renews_id=mine.inbox_id)


@pytest.mark.requirement("A5")
async def test_what_is_unfinished_is_missed_until_it_is_done_another_way(desk: Desk) -> None:
    async def missed() -> list[UUID]:
        async with transaction(desk.pool) as conn:
            return [one.id for one in await signup_store.unfinished(conn, desk.party.account_id)]

    async with transaction(desk.pool) as conn:
        token = await signup_links.make(conn, desk.member, "Padaria Sol", days=3)
        link = await signup_links.find(conn, token)
    client = replace(desk, party=signup_links.party_of(link, "Teresa Sol"))
    theirs, ours, told = uuid4(), uuid4(), uuid4()
    await client.take_code(theirs)
    await desk.take_code(ours)
    async with transaction(desk.pool) as conn:
        await signups.begin(conn, desk.party, told)
        await signups.hear(conn, desk.party, told, FINISHED % "702233445566778")
    await desk.take_code(told)
    assert set(await missed()) == {theirs, ours, told}
    await desk.sign_up()
    assert set(await missed()) == {theirs, told}, "a client's number, or another account's, is not connected by ours"


async def test_a_link_connects_one_number(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        token = await signup_links.make(conn, desk.member, "Padaria Sol", days=3)
        link = await signup_links.find(conn, token)
    assert token.encode() not in (await desk.ask("SELECT token_hash FROM signup_links"))[0][0]
    client = replace(desk, party=signup_links.party_of(link, "  Teresa  Sol "))
    connected = await client.sign_up()
    assert (connected.state, connected.person) == (State.CONNECTED, "Teresa Sol")
    (shown,) = await _links(desk)
    assert (shown.used_by, shown.inbox_name, shown.made_by) == ("Teresa Sol", "Ótica", "Inês")
    desk.onboarded(clock.now(), id="555", display_phone_number="+351 21 055 9001")
    assert (await client.sign_up()).problem == Problem.LINK_ENDED
    assert await desk.ask("SELECT count(*) FROM inboxes") == [(1,)]


async def test_two_clients_with_one_link_at_once(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
    client = replace(desk, party=signup_links.party_of(link, ""))
    first, second = uuid4(), uuid4()
    await client.take_code(first)
    await client.take_code(second)
    numbers = desk.meta.files["phone_numbers"][0]["data"]
    numbers.append({**numbers[0], "id": "555", "display_phone_number": "+351 21 055 9001"})
    ended = await asyncio.gather(client.advance(first, NUMBER), client.advance(second, "555"))
    assert sorted(str(one.problem) for one in ended) == ["None", "link_ended"]
    assert await desk.ask("SELECT count(*) FROM inboxes") == [(1,)]
    assert ended[0].person == "Padaria Sol"


async def test_a_link_goes_on_where_its_own_attempt_was_stopped(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
    client = replace(desk, party=signup_links.party_of(link, "Teresa"))
    signup_id = uuid4()
    await client.take_code(signup_id)
    desk.meta.answers.extend([desk.meta._usual] * 3 + [error(200)])
    assert (await client.advance(signup_id)).problem == Problem.NOT_SUBSCRIBED
    numbers = desk.meta.files["phone_numbers"][0]["data"]
    numbers.append({**numbers[0], "id": "555", "display_phone_number": "+351 21 055 9001"})
    assert (await client.advance(signup_id, "555")).problem == Problem.LINK_ENDED, "not with another number"
    assert (await client.advance(signup_id, NUMBER)).state == State.CONNECTED
    assert await desk.ask("SELECT phone_number_id FROM inboxes") == [(NUMBER,)]


async def test_links_end(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        token = await signup_links.make(conn, desk.member, "Padaria Sol", days=2)
        (link,) = await signup_store.links(conn, desk.party.account_id, 10)
        with clock.reading(lambda: link.expires_at), pytest.raises(signup_links.LinkEnded, match="too old"):
            await signup_links.find(conn, token)
        with pytest.raises(NotFound):
            await signup_links.find(conn, token + "x")
        await signup_links.revoke(conn, desk.member, link.id)
        with pytest.raises(signup_links.LinkEnded, match="taken back"):
            await signup_links.find(conn, token)
        with pytest.raises(NotFound):
            await signup_links.revoke(conn, replace(desk.member, account_id=77), link.id)
        for made_for, days in (("", 2), ("x" * 101, 2), ("Sol", 0), ("Sol", 31)):
            with pytest.raises(Invalid):
                await signup_links.make(conn, desk.member, made_for, days=days)
    client = replace(desk, party=signup_links.party_of(link, "Teresa"))
    assert (await client.sign_up()).problem == Problem.LINK_ENDED, "taken back while Meta's window was open"


async def _links(desk: Desk) -> Any:
    async with desk.pool.connection() as conn:
        return await signup_store.links(conn, desk.party.account_id, 10)


@pytest.mark.requirement("A5")
async def test_a_signup_that_was_begun_in_time_may_be_finished_after_its_link_has_expired(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        token = await signup_links.make(conn, desk.member, "Padaria Sol", days=1)
        idle = await signup_links.make(conn, desk.member, "Padaria Lua", days=1)
        link = await signup_links.find(conn, token)
        begun_at = link.expires_at - timedelta(minutes=1)
        with clock.reading(lambda: begun_at):
            await signups.begin(conn, signup_links.party_of(link, "Teresa"), uuid4())
    late, at_last = link.expires_at + timedelta(minutes=1), begun_at + timedelta(hours=24)

    async def find(of: str) -> Link:
        async with transaction(desk.pool) as conn:
            return await signup_links.find(conn, of)

    with clock.reading(lambda: late):
        with pytest.raises(signup_links.LinkEnded, match="too old"):
            await find(idle)
        found = await find(token)
        words = [signup_words.link_state(one, late)[1] for one in await _links(desk)]
        assert sorted(words) == ["Expired", "Waiting"], "it can still be taken back"
        client = replace(desk, party=signup_links.party_of(found, "Teresa"))
        another = uuid4()  # the code of the first was too old: one more click
        async with transaction(desk.pool) as conn:
            await signups.begin(conn, client.party, another)
    with clock.reading(lambda: at_last), pytest.raises(signup_links.LinkEnded, match="too old"):
        await find(token)  # what is begun late makes it last no longer
    with clock.reading(lambda: late):
        await client.take_code(another)
        assert (await client.advance(another)).state == State.CONNECTED


async def test_a_link_goes_on_with_its_own_number_by_another_click(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
    client = replace(desk, party=signup_links.party_of(link, "Teresa"))
    signup_id = uuid4()
    await client.take_code(signup_id)
    desk.meta.answers.extend([desk.meta._usual] * 3 + [error(200)])
    assert (await client.advance(signup_id)).problem == Problem.NOT_SUBSCRIBED
    assert (await client.sign_up()).state == State.CONNECTED
    assert (await client.sign_up()).problem == Problem.LINK_ENDED, "and then it is done"


@pytest.mark.parametrize("has_link", [True, False])
async def test_nobody_can_have_meta_asked_without_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, has_link: bool
) -> None:
    """With a code each time, or with one attempt that cannot be finished."""
    monkeypatch.setattr(signups, "LINK_ASKS_COUNT" if has_link else "USER_ASKS_COUNT", 4)
    party = desk.party
    if has_link:
        async with transaction(desk.pool) as conn:
            link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
        party = signup_links.party_of(link, "Teresa")
    client, signup_id = replace(desk, party=party), uuid4()
    desk.meta.files["phone_numbers"] = ({"data": []}, b"")
    await client.take_code(signup_id)
    for _ in range(3):
        assert (await client.advance(signup_id)).problem == Problem.NO_NUMBER
    before = len(desk.meta.asked)
    ended = await asyncio.gather(*(client.take_code(uuid4()) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in ended] == [TooMany] * 5
    stopped = await client.advance(signup_id)
    assert (stopped.state, stopped.problem, stopped.is_busy) == (State.AUTHORISED, Problem.TOO_OFTEN, False)
    assert len(desk.meta.asked) == before
    if has_link:
        await desk.take_code(uuid4())  # it concerns nobody else
    later = clock.now() + signups.ASKS_WITHIN
    with clock.reading(lambda: later):
        desk.onboarded(clock.now())
        assert (await client.advance(signup_id)).state == State.CONNECTED


async def test_a_link_that_was_tried_too_often_has_no_code_exchanged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signups, "LINK_SIGNUPS_COUNT", 2)
    async with transaction(desk.pool) as conn:
        link = await signup_links.find(conn, await signup_links.make(conn, desk.member, "Padaria Sol"))
    client, first = replace(desk, party=signup_links.party_of(link, "Teresa")), uuid4()
    await client.take_code(first)
    await client.take_code(uuid4())
    asked = len(desk.meta.asked)
    with pytest.raises(TooMany, match="link"):
        await client.take_code(uuid4())
    assert len(desk.meta.asked) == asked
    await client.take_code(first)  # an attempt that is there goes on
    assert (await client.advance(first)).state == State.CONNECTED
