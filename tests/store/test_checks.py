"""Before the one chance is spent: each thing that can be wrong is seen, said, and keeps us from asking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import (
    checks,
    checks_rules,
    checks_self_test,
    checks_store,
    checks_watch,
    life_watch,
    onboarding,
    worker,
)  # fmt: skip
from coexist.coexistence.checks_model import Level, Name, Preflight
from coexist.inbox import connection, inboxes
from coexist.inbox.connection import Line, State
from coexist.inbox.inboxes import Inbox
from tests.support.scripted_graph import error
from tests.support.signup import APP, KEYRING, NUMBER, WABA, Desk, open_desk


@pytest.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    async with open_desk(pool) as opened:
        yield opened


async def connected(desk: Desk) -> Inbox:
    """The number, connected while nothing of it was in order yet: no sync was asked for."""
    desk.ready.tick()
    await desk.sign_up()
    desk.ready.tick(*desk.ready.fields)
    async with desk.pool.connection() as conn:
        return (await inboxes.by_phone_number_ids(conn, [NUMBER]))[NUMBER]


async def look(desk: Desk, inbox: Inbox) -> dict[str, Any]:
    found = await checks.look(desk.pool, desk.graph, KEYRING, desk.settings, inbox)
    return {check.name: check for check in found.checks}


async def begin(desk: Desk, inbox: Inbox) -> Preflight:
    found = await onboarding.begin_syncs(desk.pool, desk.graph, KEYRING, desk.settings, inbox)
    assert found is not None
    return found


async def asked(desk: Desk) -> int:
    await worker.step(desk.pool, desk.graph, KEYRING)
    return len(desk.meta.of("smb_app_data"))


@pytest.mark.requirement("A1")
async def test_all_in_order_is_green_with_evidence_and_then_it_is_asked_once(desk: Desk) -> None:
    await desk.sign_up()
    assert await desk.wanted() == 2
    async with desk.pool.connection() as conn:
        inbox = (await inboxes.by_phone_number_ids(conn, [NUMBER]))[NUMBER]
        kept = await checks_store.preflight(conn, inbox.id)
    assert kept is not None
    assert [check.name for check in kept.checks] == list(Name)[:10]
    assert {check.level for check in kept.checks} == {Level.GREEN}
    assert all(check.seen.endswith(".") for check in kept.checks)
    assert "our own network" in kept.checks[0].seen
    assert await asked(desk) == 2
    assert await onboarding.begin_syncs(desk.pool, desk.graph, KEYRING, desk.settings, inbox) is None
    assert await asked(desk) == 2


async def test_the_self_test_is_counted_as_nothing_else(desk: Desk) -> None:
    await connected(desk)
    ((nonce, journal_id, is_applied),) = await desk.ask(
        "SELECT nonce, journal_id, applied_at IS NOT NULL FROM self_tests"
    )
    assert (is_applied, len(nonce)) == (True, 2 * checks_self_test.NONCE_BYTES)
    assert await desk.ask("SELECT id FROM journal") == [(journal_id,)]
    for table in ("quarantine", "unrouted", "backlog", "messages", "inbox_timeline WHERE field <> 'coexist'"):
        assert await desk.ask(f"SELECT count(*) FROM {table}") == [(0,)], table
    assert await desk.ask("SELECT name FROM webhook_sightings") == [("",)], "Meta's verification, and nothing else"
    async with desk.pool.connection() as conn:
        assert await checks_store.last_from_meta(conn) is None


Spoil = Callable[[Desk], Awaitable[None] | None]


def expire(days: float) -> Spoil:
    return lambda desk: desk.granted(WABA, expires_at=int((clock.now() + timedelta(days=days)).timestamp()))


def answer(name: str, told: Any) -> Spoil:
    return lambda desk: desk.meta.files.update({name: (told, b"")})


async def forget_meta(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        await conn.execute("DELETE FROM webhook_sightings")


async def stop_worker(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        await conn.execute("UPDATE worker_beats SET beat_at = now() - interval '5 minutes'")


async def wait_long(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        await conn.execute(
            "WITH j AS (INSERT INTO journal (received_at, body) VALUES (now() - interval '1 hour', '') RETURNING id)"
            " INSERT INTO backlog SELECT 7, id FROM j"
        )


async def wrong_signature(desk: Desk) -> None:
    desk.ready.secret = b"another"


async def answers_503(body: bytes, signature: str | None) -> int:
    return 503


def change_secret(desk: Desk) -> None:
    """The app secret was changed at Meta, and not yet here."""
    usual = desk.meta._usual
    wrong = {True: (190, "Invalid OAuth access token signature."), False: (100, "Invalid appsecret_proof provided")}
    answers = [lambda what: error(*wrong["|" in what.token]) if "POST" not in what.what else usual(what)]
    desk.meta.answers.extend(answers * 20)


SPOILED: list[tuple[Name, Level, Spoil, str]] = [
    (Name.WEBHOOK, Level.RED, wrong_signature, "did not accept our signature"),
    (Name.WEBHOOK, Level.RED, lambda desk: setattr(desk.meta, "webhook", answers_503), "answered 503"),
    (Name.WEBHOOK, Level.RED, lambda desk: setattr(desk, "settings", replace(desk.settings, base_url="http://127.0.0.1:9")),
     "nothing answers there"),
    (Name.META_HEARD, Level.AMBER, forget_meta, "only our own network"),
    (Name.FIELDS, Level.RED, change_secret, "does not take our app secret"),
    (Name.TOKEN, Level.RED, change_secret, "does not take our app secret"),
    (Name.NUMBER, Level.RED, change_secret, "does not take our app secret"),
    (Name.FIELDS, Level.RED, lambda desk: desk.ready.tick("messages", "history", "account_update"),
     "smb_app_state_sync and smb_message_echoes"),
    (Name.FIELDS, Level.RED, lambda desk: desk.ready.tick(*desk.ready.fields, callback_url="https://old.example/webhook"),
     "https://old.example/webhook"),
    (Name.SUBSCRIBED, Level.RED, lambda desk: desk.ready.subscribe("999"), "does not send its webhooks to our app"),
    (Name.SUBSCRIBED, Level.RED, lambda desk: desk.ready.subscribe(APP, override="https://else.example/webhook"),
     "https://else.example/webhook"),
    (Name.TOKEN, Level.RED, answer("debug_token", {"data": {"is_valid": False}}), "not accept the access token"),
    (Name.TOKEN, Level.RED, lambda desk: desk.granted("1"), "does not cover"),
    (Name.TOKEN, Level.RED, lambda desk: desk.granted(WABA, scopes=["whatsapp_business_management"]), "lacks"),
    (Name.TOKEN, Level.AMBER, expire(3), "expires at"),
    (Name.TOKEN, Level.RED, expire(-1), "not accept"),
    (Name.NUMBER, Level.RED, answer(NUMBER, {"is_on_biz_app": False, "platform_type": "CLOUD_API"}), "biz_app no"),
    (Name.NUMBER, Level.AMBER, answer(NUMBER, {"platform_type": "CLOUD_API"}), "not told"),
    (Name.WORKER, Level.RED, stop_worker, "No worker runs"),
    (Name.STORAGE, Level.RED, lambda desk: desk.ready.beat(storage_error="It cannot be written."), "cannot be"),
    (Name.STORAGE, Level.AMBER, lambda desk: desk.ready.beat(free_bytes=700 * 1024**2), "700 MiB"),
    (Name.STORAGE, Level.RED, lambda desk: desk.ready.beat(free_bytes=5), "0 MiB"),
    (Name.DATABASE, Level.AMBER, wait_long, "1 delivery waits"),
]  # fmt: skip


@pytest.mark.requirement("A1", "A2")
@pytest.mark.parametrize(("name", "level", "spoil", "said"), SPOILED)
async def test_whatever_is_wrong_is_seen_and_nothing_is_asked(
    desk: Desk, name: Name, level: Level, spoil: Spoil, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = await connected(desk)
    spoiling = spoil(desk)
    if spoiling is not None:
        await spoiling
    found = await begin(desk, inbox)
    check = next(check for check in found.checks if check.name == name)
    assert (check.level, said in check.seen) == (level, True), check
    assert check.next_step
    assert found.is_waiting
    assert await asked(desk) == 0
    assert desk.meta.of("subscriptions")[-1].what.startswith("GET"), "the app's list is read, never written"


async def test_fields_that_are_worth_ticking_are_named_and_hold_nothing_up(desk: Desk) -> None:
    inbox = await connected(desk)
    desk.ready.tick(*desk.ready.fields, "user_preferences")
    found = (await look(desk, inbox))[Name.FIELDS]
    assert found.level is Level.GREEN
    assert "Worth ticking too: user_id_update" in found.seen
    assert "user_preferences" not in found.seen
    desk.ready.tick(*desk.ready.fields, *checks_rules.HELPFUL_FIELDS)
    assert "Worth ticking" not in (await look(desk, inbox))[Name.FIELDS].seen


async def test_a_secret_that_was_changed_at_meta_is_to_be_changed_here(desk: Desk) -> None:
    inbox = await connected(desk)
    change_secret(desk)
    found = await look(desk, inbox)
    for name in (Name.FIELDS, Name.TOKEN, Name.NUMBER, Name.SUBSCRIBED):
        assert "COEXIST_APP_SECRET" in found[name].next_step, found[name]
    assert await desk.ask("SELECT state::text FROM inboxes") == [("connected",)], "the token is none the worse for it"


async def test_while_the_secret_changes_the_self_test_is_signed_with_the_new_one(desk: Desk) -> None:
    inbox = await connected(desk)
    desk.ready.secret = b"new"
    assert (await look(desk, inbox))[Name.WEBHOOK].level == Level.RED, "a process that has the former one alone"
    desk.settings = replace(desk.settings, app_secrets=(b"new", b"secret"))
    assert (await look(desk, inbox))[Name.WEBHOOK].level == Level.GREEN


async def test_a_delivery_that_is_not_applied_here_is_seen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = await connected(desk)
    monkeypatch.setattr(checks_self_test, "APPLY_S", 0.3)
    desk.ready.applies = False
    found = await look(desk, inbox)
    assert found[Name.WEBHOOK].level == Level.RED
    assert "another installation" in found[Name.WEBHOOK].seen


async def test_meta_away_is_amber_and_a_refusal_red(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = await connected(desk)
    monkeypatch.setattr(checks, "META_S", 0.2)
    desk.meta.delay_s = 0.5
    found = await look(desk, inbox)
    for name in (Name.FIELDS, Name.SUBSCRIBED, Name.TOKEN, Name.NUMBER):
        assert (found[name].level, "could not be asked" in found[name].seen) == (Level.AMBER, True)
    desk.meta.delay_s = 0
    desk.meta.answers.append(error(190, "expired", 401))
    levels = [check.level for check in (await look(desk, inbox)).values()]
    assert levels.count(Level.RED) == 1


async def test_only_a_public_https_address_is_one_for_meta_itself() -> None:
    assert checks_rules.is_meta("https://graph.facebook.com")
    assert not checks_rules.is_meta("https://graph.facebook.com.example.org")
    for address in (
        "http://in.example.com/webhook",
        "https://127.0.0.1/webhook",
        "https://10.1.2.3/w",
        "https://box/w",
    ):
        assert not checks_rules.is_public(address)
    assert checks_rules.is_public("https://in.example.com/webhook")


@pytest.mark.requirement("A1", "B3")
async def test_amber_can_be_overruled_with_a_reason_that_stays_and_red_cannot(desk: Desk) -> None:
    inbox = await connected(desk)
    ids = desk.settings, inbox.account_id, inbox.id, "Inês"
    await forget_meta(desk)
    await stop_worker(desk)
    await begin(desk, inbox)
    async with transaction(desk.pool) as conn:
        with pytest.raises(Conflict, match="red"):
            await onboarding.ask_anyway(conn, *ids, "now")
    await desk.ready.beat()
    await begin(desk, inbox)
    async with transaction(desk.pool) as conn:
        with pytest.raises(Invalid, match="reason"):
            await onboarding.ask_anyway(conn, *ids, "  ")
    assert await asked(desk) == 0
    async with transaction(desk.pool) as conn:
        await onboarding.ask_anyway(conn, *ids, "Meta's dashboard showed the verification")
    assert await asked(desk) == 2
    ((told,),) = await desk.ask("SELECT value FROM inbox_timeline WHERE event = 'SYNC_ASKED_ANYWAY'")
    assert told == {"by": "Inês", "reason": "Meta's dashboard showed the verification", "amber": ["meta_heard"]}


async def test_a_trouble_that_passes_is_looked_at_again_by_a_worker(desk: Desk) -> None:
    inbox = await connected(desk)
    await checks_watch.look_again(desk.pool, desk.graph, KEYRING, desk.settings)
    assert await asked(desk) == 0, "too soon"
    async with transaction(desk.pool) as conn:
        await conn.execute("UPDATE preflights SET checked_at = now() - interval '11 minutes'")
    await checks_watch.look_again(desk.pool, desk.graph, KEYRING, desk.settings)
    assert await asked(desk) == 2
    async with desk.pool.connection() as conn:
        kept = await checks_store.preflight(conn, inbox.id)
    assert kept is not None
    assert not kept.is_waiting


@pytest.mark.requirement("A1", "G1")
async def test_a_removal_of_the_second_of_signing_up_is_asked_about_and_then_all_goes_on(desk: Desk) -> None:
    """Meta tells whole seconds: whether the number was removed before it was signed up or after cannot be told."""
    desk.onboarded(clock.now() - timedelta(hours=1), status="CONNECTED")
    inbox = await connected(desk)
    desk.ready.tick(*desk.ready.fields)
    removed = Line(inbox.id, inbox.onboarded_at.replace(microsecond=0), "account_update", "PARTNER_REMOVED", {})
    async with transaction(desk.pool) as conn:
        await connection.record(conn, [removed])
        await connection.refresh(conn, [inbox.id])
        await conn.execute("DELETE FROM preflights")
    with pytest.raises(Conflict):
        await begin(desk, inbox)
    assert await life_watch.ask_due(desk.pool, desk.graph, KEYRING) == 1
    assert await desk.ask("SELECT state::text FROM inboxes") == [("connected",)]
    async with transaction(desk.pool) as conn:
        await conn.execute("UPDATE preflights SET checked_at = now() - interval '11 minutes'")
    await checks_watch.look_again(desk.pool, desk.graph, KEYRING, desk.settings)
    assert await asked(desk) == 2


async def test_a_wish_outlives_no_look_that_is_old(desk: Desk) -> None:
    await desk.sign_up()
    async with transaction(desk.pool) as conn:
        await conn.execute("UPDATE preflights SET passed_until = now(), checked_at = now() - interval '2 hours'")
    assert await asked(desk) == 0
    await checks_watch.look_again(desk.pool, desk.graph, KEYRING, desk.settings)
    assert await asked(desk) == 2


@pytest.mark.parametrize(
    ("code", "state", "rests"),
    [
        (190, State.TOKEN_INVALID, []),
        (200, State.CONNECTED, []),
        (4, State.CONNECTED, [""]),
        (80007, State.CONNECTED, [WABA]),
    ],
)
async def test_what_a_look_is_refused_with_is_heeded(desk: Desk, code: int, state: State, rests: list[str]) -> None:
    inbox = await connected(desk)
    desk.meta.answers.append(error(code, "refused", 400))
    found = await look(desk, inbox)
    assert {one.level for one in found.values()} > {Level.GREEN}
    assert await desk.ask("SELECT state::text FROM inboxes") == [(state,)]
    assert await desk.ask("SELECT waba_id FROM call_pauses") == [(one,) for one in rests]
