"""Signing a number up: access is kept at once, the rest can be done again from anywhere, and happens once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Invalid
from coexist.coexistence import checks_rules, life_watch, signup_store, signups, store
from coexist.coexistence.signup_model import Party, Problem, State
from coexist.coexistence.signup_words import ending_of
from coexist.inbox import connection, credentials, inboxes
from coexist.inbox.connection import Line
from coexist.meta import graph as meta
from coexist.people import actions as people
from tests.support.scripted_graph import error
from tests.support.signup import CODE, FINISHED, KEYRING, NUMBER, PORTFOLIO, TOKEN, WABA, Desk, open_desk


@pytest.fixture
async def desk(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(signups, "LAG_PAUSE_S", 0.01)
    async with open_desk(pool) as opened:
        yield opened


@pytest.mark.requirement("A4", "A5")
async def test_a_code_becomes_a_connected_number(desk: Desk) -> None:
    with capture_logs() as lines:
        signup_id = uuid4()
        await desk.take_code(signup_id)
        assert desk.calls == ["GET /oauth/access_token"], "nothing comes before the exchange"
        signup = await desk.advance(signup_id)
    assert (signup.state, signup.problem, signup.is_onboarding) == (State.CONNECTED, None, True)
    asked = desk.calls[1:5]
    assert asked == ["GET /debug_token", f"GET /{WABA}/phone_numbers", f"GET /{WABA}", f"POST /{WABA}/subscribed_apps"]
    assert not [one for one in desk.calls if "register" in one]
    (row,) = await desk.ask("SELECT name, waba_id, phone_number_id, is_coexistence FROM inboxes")
    assert row == ("Ótica", WABA, NUMBER, True)
    assert await desk.ask("SELECT portfolio_id FROM contact_scopes") == [(PORTFOLIO,)]
    assert await desk.wanted() == 2
    assert signup.inbox_id is not None
    async with desk.pool.connection() as conn:
        assert await credentials.token_of(conn, KEYRING, signup.inbox_id) == TOKEN
    assert await desk.ask("SELECT token FROM signups") == [(None,)], "the inbox has it"
    assert lines
    assert not [line for line in lines if CODE in str(line) or TOKEN in str(line) or "secret" in str(line)]


@pytest.mark.requirement("A5")
async def test_access_is_kept_sealed_for_whoever_comes_back(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    (sealed,) = (await desk.ask("SELECT token FROM signups"))[0]
    assert TOKEN.encode() not in sealed
    colleague = replace(desk, party=Party(desk.party.account_id, "Rui"))
    assert (await colleague.advance(signup_id)).state == State.CONNECTED


async def test_the_same_code_twice_takes_nothing_away(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.answers.append(error(100, "This authorization code has been used."))
    await desk.take_code(signup_id)
    assert (await desk.advance(signup_id)).state == State.CONNECTED


async def test_the_refusal_of_a_second_click_may_come_first(desk: Desk) -> None:
    signup_id = uuid4()
    desk.meta.answers.append(error(100, "This authorization code has been used."))
    await desk.take_code(signup_id)
    async with transaction(desk.pool) as conn:
        refused = await signups.find(conn, desk.party, signup_id)
    assert (refused.state, refused.problem) == (State.FAILED, Problem.CODE_REFUSED)
    assert (refused.meta_error, refused.meta_session) == ("100", "AbTrace")
    await desk.take_code(signup_id)
    assert (await desk.advance(signup_id)).state == State.CONNECTED


@pytest.mark.requirement("B3")
async def test_two_tabs_at_once_connect_once_and_ask_once(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.delay_s = 0.05
    one, other = await asyncio.gather(desk.advance(signup_id), desk.advance(signup_id))
    assert sorted([one.is_busy, other.is_busy]) == [False, True], "one works, the other sees it"
    assert [asked.what[:4] for asked in desk.meta.of("subscribed_apps")] == ["POST", "GET "]
    twice = await asyncio.gather(desk.sign_up(), desk.sign_up())  # two attempts for one number
    assert {each.inbox_id for each in twice} == {one.inbox_id or other.inbox_id}
    assert await desk.wanted() == 2
    assert (await desk.advance(signup_id)).state == State.CONNECTED


class Died(BaseException):
    """The process is gone."""


DEATHS: list[tuple[Any, str]] = [
    (meta, "debug_token"), (meta, "phone_numbers"), (meta, "waba"), (signup_store, "note_connected"),
    (signups, "connect_number"), (meta, "subscribe"), (signups, "begin_syncs"), (signup_store, "finish"),
]  # fmt: skip


async def crash(desk: Desk, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, is_after: bool) -> UUID:
    """Sign a number up in a process that dies when it calls this, or once that is done; return the sign-up's id."""
    lived: Callable[..., Awaitable[Any]] = getattr(module, name)

    async def dies(*arguments: Any, **named: Any) -> None:
        if is_after:
            await lived(*arguments, **named)
        raise Died

    signup_id = uuid4()
    await desk.take_code(signup_id)
    monkeypatch.setattr(module, name, dies)
    with pytest.raises(Died):
        await desk.advance(signup_id)
    monkeypatch.setattr(module, name, lived)
    return signup_id


@pytest.mark.requirement("B3")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("module", "name"), DEATHS, ids=[name for _, name in DEATHS])
async def test_a_crash_anywhere_is_gone_on_from(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, is_after: bool
) -> None:
    signup_id = await crash(desk, monkeypatch, module, name, is_after=is_after)
    assert (await desk.advance(signup_id)).is_busy or name == "finish", "nobody else works on it for now"
    monkeypatch.setattr(checks_rules, "CLOCK_WARNING_S", 2 * signup_store.BUSY_S)  # the database's clock stays behind
    later = clock.now() + timedelta(seconds=signup_store.BUSY_S + 1)
    with clock.reading(lambda: later):
        signup = await desk.advance(signup_id)
        assert (signup.state, signup.is_onboarding) == (State.CONNECTED, True)
    assert await desk.ask("SELECT count(*) FROM inboxes") == [(1,)]
    assert await desk.wanted() == 2
    assert await desk.ask("SELECT count(*) FROM syncs") == [(2,)]


@pytest.mark.requirement("A7")
async def test_signing_up_again_renews_the_access_of_the_same_inbox(desk: Desk) -> None:
    first = await desk.sign_up()
    await desk.ask("UPDATE syncs SET wanted_at = NULL, state = 'not_requested' RETURNING 1")
    await desk.ask("UPDATE inboxes SET name = 'Loja' RETURNING 1")
    desk.meta.files["access_token"] = ({"access_token": "EAAnewer"}, b"")
    again = await desk.sign_up(renews_id=first.inbox_id)
    assert (again.state, again.inbox_id, again.is_onboarding) == (State.CONNECTED, first.inbox_id, False)
    assert await desk.ask("SELECT name, waba_id FROM inboxes") == [("Loja", WABA)]
    assert await desk.wanted() == 0, "a renewal asks for nothing"
    async with desk.pool.connection() as conn:
        assert await credentials.token_of(conn, KEYRING, again.inbox_id or 0) == "EAAnewer"


async def test_a_number_that_was_connected_anew_may_sync_again(desk: Desk) -> None:
    desk.onboarded(clock.now() - timedelta(days=2))
    first = await desk.sign_up()
    desk.onboarded(clock.now())
    again = await desk.sign_up()
    assert (again.inbox_id, again.is_onboarding) == (first.inbox_id, True)
    assert await desk.ask("SELECT count(*), count(wanted_at) FROM syncs") == [(4, 2)]  # the first came too late


@pytest.mark.requirement("A7", "G1")
@pytest.mark.parametrize("told", ["the former time", "nothing"])
async def test_a_number_that_was_removed_and_signed_up_again_is_onboarded_anew(desk: Desk, told: str) -> None:
    """Meta's lists lag: right after the sign-up they may tell of the onboarding before it, or of none."""
    former = clock.now() - timedelta(days=2)
    desk.onboarded(former)
    first = await desk.sign_up()
    removed = Line(first.inbox_id or 0, clock.now() - timedelta(days=1), "account_update", "PARTNER_REMOVED", {})
    async with transaction(desk.pool) as conn:
        await connection.record(conn, [removed])
        await connection.refresh(conn, [removed.inbox_id])
    if told == "nothing":
        desk.onboarded(former, last_onboarded_time=None)
    again = await desk.sign_up()
    assert (again.state, again.inbox_id, again.is_onboarding) == (State.CONNECTED, first.inbox_id, True)
    assert await desk.ask("SELECT state::text, onboarded_at > now() - interval '1 minute' FROM inboxes") == [
        ("connected", True)
    ]
    assert await desk.ask("SELECT count(wanted_at) FROM syncs WHERE onboarded_at > now() - interval '1 hour'") == [(2,)]


@pytest.mark.requirement("A7", "G1")
async def test_meta_is_asked_how_a_number_is_that_was_away_when_its_access_was_renewed(desk: Desk) -> None:
    desk.onboarded(clock.now() - timedelta(hours=1), status="CONNECTED")
    first = await desk.sign_up()
    away = Line(first.inbox_id or 0, clock.now() - timedelta(minutes=5), "account_update", "ACCOUNT_OFFBOARDED", {})
    async with transaction(desk.pool) as conn:
        await connection.record(conn, [away])
        await connection.refresh(conn, [away.inbox_id])
    assert await desk.ask("SELECT state::text FROM inboxes") == [("offboarded",)]
    again = await desk.sign_up(renews_id=first.inbox_id)
    assert (again.state, again.is_onboarding) == (State.CONNECTED, False)
    assert await life_watch.ask_due(desk.pool, desk.graph, KEYRING) == 1
    assert await desk.ask("SELECT state::text FROM inboxes") == [("connected",)]


async def test_renewing_with_another_number_asks_first(desk: Desk) -> None:
    first = await desk.sign_up()
    desk.onboarded(clock.now(), id="555", display_phone_number="+351 21 055 9001", verified_name="Outra")
    other = await desk.sign_up(renews_id=first.inbox_id)
    assert (other.state, other.problem) == (State.AUTHORISED, Problem.ANOTHER_NUMBER)
    assert [(one.phone_number_id, one.display_phone_number) for one in other.choices] == [("555", "351210559001")]
    assert await desk.ask("SELECT count(*) FROM inboxes") == [(1,)]
    chosen = await desk.advance(other.id, chosen_id="555")
    assert chosen.state == State.CONNECTED
    assert chosen.inbox_id != first.inbox_id


@pytest.mark.requirement("A8")
async def test_a_number_of_another_account_is_refused_with_words(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        account = await people.create_account(conn, "Another")
    await desk.sign_up()
    desk.meta.asked.clear()
    stranger = replace(desk, party=Party(account.id, "Mallory"))
    refused = await stranger.sign_up()
    assert (refused.state, refused.problem, refused.inbox_id) == (State.AUTHORISED, Problem.TAKEN, None)
    assert desk.meta.of("subscribed_apps") == []
    assert await desk.ask("SELECT count(*) FROM inboxes") == [(1,)]


@pytest.mark.requirement("A9")
async def test_a_token_never_makes_a_coexistence_number_a_plain_one(desk: Desk) -> None:
    await desk.sign_up()
    desk.onboarded(clock.now(), is_on_biz_app=False)
    refused = await desk.by_token()
    assert refused.problem == Problem.REFUSED
    assert "together with the WhatsApp Business app" in (refused.detail or "")
    assert await desk.ask("SELECT is_coexistence FROM inboxes") == [(True,)]


async def test_a_token_connects_a_number_that_is_on_the_api_alone(desk: Desk) -> None:
    desk.granted()  # a system user's token, for everything
    assert (await desk.by_token()).problem == Problem.NO_ACCOUNT
    desk.onboarded(clock.now(), is_on_biz_app=False)
    signup = await desk.by_token(waba_id=WABA)
    assert signup.state == State.CONNECTED
    assert await desk.ask("SELECT is_coexistence FROM inboxes") == [(False,)]
    assert await desk.wanted() == 0
    with pytest.raises(Invalid, match="not the id"):
        await desk.by_token(waba_id="loja")


async def test_what_the_window_says_is_not_believed(desk: Desk) -> None:
    signup_id = uuid4()
    async with transaction(desk.pool) as conn:
        await signups.begin(conn, desk.party, signup_id)
        await signups.hear(conn, desk.party, signup_id, FINISHED % "702233445566778")
    await desk.take_code(signup_id)
    stopped = await desk.advance(signup_id)
    assert stopped.problem == Problem.WRONG_ACCOUNT
    assert desk.calls == ["GET /oauth/access_token", "GET /debug_token"]
    async with transaction(desk.pool) as conn:
        await signups.hear(conn, desk.party, signup_id, FINISHED % WABA)
    assert (await desk.advance(signup_id)).state == State.CONNECTED


async def test_lists_that_lag_behind_are_read_again(desk: Desk) -> None:
    usual = desk.meta._usual
    desk.onboarded(clock.now())
    late = desk.meta.files["phone_numbers"]
    desk.onboarded(clock.now(), platform_type="NOT_APPLICABLE")
    asked = 0

    def lagging(what: Any) -> Any:
        nonlocal asked
        asked += what.what.endswith("phone_numbers")
        if asked == 3:
            desk.meta.files["phone_numbers"] = late
        return usual(what)

    desk.meta.answers.extend([lagging] * 20)
    assert (await desk.sign_up()).state == State.CONNECTED
    assert asked == 3


async def test_without_the_subscription_nothing_is_asked_for_until_it_stands(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.answers.extend([desk.meta._usual] * 3 + [error(200, "Advanced Access is missing", 403)])
    stopped = await desk.advance(signup_id)
    assert (stopped.state, stopped.problem, stopped.meta_error) == (State.AUTHORISED, Problem.NOT_SUBSCRIBED, "200")
    assert stopped.inbox_id is not None
    assert await desk.wanted() == 0
    assert (await desk.advance(signup_id)).state == State.CONNECTED
    assert await desk.wanted() == 2, "it is the same onboarding"


@pytest.mark.requirement("A3")
async def test_the_override_comes_after_the_subscription_and_its_refusal_is_seen(desk: Desk) -> None:
    desk = replace(desk, settings=replace(desk.settings, webhook_override=True))
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.answers.extend([desk.meta._usual] * 4 + [error(2200, "Callback verification failed")])
    stopped = await desk.advance(signup_id)
    assert stopped.problem == Problem.OVERRIDE_REFUSED
    assert "Callback verification failed" in (stopped.detail or "")
    assert await desk.wanted() == 0
    plain, override = desk.meta.of("subscribed_apps")
    assert (plain.body or {}) == {}
    told = {"override_callback_uri": f"{desk.settings.base_url}/webhook", "verify_token": "a-verify-token"}
    assert override.body == told
    assert (await desk.advance(signup_id)).state == State.CONNECTED


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda: error(190, "expired", 401), Problem.TOKEN_REFUSED),
        (lambda: error(10, "no permission", 403), Problem.META_REFUSED),
        (lambda: error(100, "Invalid appsecret_proof provided in the API argument"), Problem.APP_SECRET),
    ],
)
async def test_what_meta_refuses_is_said_and_can_be_tried_again(
    desk: Desk, answer: Callable[[], Any], problem: Problem
) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.answers.extend([desk.meta._usual, answer()])
    assert (await desk.advance(signup_id)).problem == problem
    assert (await desk.advance(signup_id)).state == State.CONNECTED


async def test_a_wrong_app_secret_is_the_operators_matter_and_no_fault_of_code_or_token(desk: Desk) -> None:
    signup_id = uuid4()
    desk.meta.answers.append(error(1, "Error validating client secret."))
    await desk.take_code(signup_id)
    async with transaction(desk.pool) as conn:
        refused = await signups.find(conn, desk.party, signup_id)
    assert (refused.state, refused.problem) == (State.FAILED, Problem.APP_SECRET)
    assert ending_of(refused, clock.now()).way_on == "again", "there is no access to go on with"
    await desk.take_code(signup_id)
    desk.meta.answers.append(error(190, "Invalid OAuth access token signature."))  # of the app's own token
    stopped = await desk.advance(signup_id)
    assert (stopped.state, stopped.problem) == (State.AUTHORISED, Problem.APP_SECRET)
    assert ending_of(stopped, clock.now()).way_on == "on"
    assert (await desk.advance(signup_id)).state == State.CONNECTED


async def test_a_limit_met_by_a_signup_rests_all_calls(desk: Desk) -> None:
    signup_id = uuid4()
    await desk.take_code(signup_id)
    desk.meta.answers.append(error(4, "too many calls", 400))
    assert (await desk.advance(signup_id)).problem == Problem.UNREACHABLE
    assert await desk.ask("SELECT waba_id, code FROM call_pauses") == [("", 4)]


@pytest.mark.requirement("A11")
async def test_an_account_in_review_is_connected(desk: Desk) -> None:
    desk.meta.files[WABA] = ({"account_review_status": "PENDING"}, b"")
    desk.onboarded(clock.now(), status="PENDING")
    signup = await desk.sign_up()
    assert (signup.state, signup.is_in_review) == (State.CONNECTED, True)
    assert await desk.ask("SELECT state::text FROM inboxes") == [("connected",)]


async def test_what_is_not_told_of_the_account_loses_no_number(desk: Desk) -> None:
    del desk.meta.files[WABA]
    assert (await desk.sign_up()).state == State.CONNECTED
    assert await desk.ask("SELECT portfolio_id FROM contact_scopes") == [(WABA,)]


async def test_the_syncs_are_those_of_this_onboarding(desk: Desk) -> None:
    signup = await desk.sign_up()
    async with desk.pool.connection() as conn:
        inbox = await inboxes.get(conn, desk.party.account_id, signup.inbox_id or 0)
        syncs = await store.syncs(conn, inbox.id)
    assert [(sync.kind, sync.onboarded_at, sync.wanted_at is not None) for sync in syncs] == [
        ("contacts", inbox.onboarded_at, True),
        ("history", inbox.onboarded_at, True),
    ]
