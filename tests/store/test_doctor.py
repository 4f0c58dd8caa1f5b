"""The doctor's answers from evidence, and a support bundle that tells nothing of anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, in_transaction, transaction
from coexist.coexistence import checks_bundle, checks_doctor, checks_rules, checks_store
from coexist.coexistence.checks_model import Diagnosis, Level, Name, Preflight, Question
from coexist.inbox import connection, refusals
from coexist.inbox.connection import Line
from coexist.inbox.refusals import Refusal
from coexist.intake import sightings
from coexist.meta.answers import AppSubscription, FieldTicked
from tests.support.business import (
    BSUID,
    KEYRING,
    NUMBER,
    PHONE,
    TOKEN,
    Business,
    change,
    deliver,
    echo,
    inbound,
    open_business,
    status,
)
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph

SECRET = "the-app-secret-0123456789"
SETTINGS = replace(
    Settings(),
    database_url="postgresql://coexist:dbpassword@db.example/coexist",
    app_id="1900100200300",
    app_secrets=(SECRET.encode(),),
    verify_token="a-verify-token",
    s3_access_key="AKIAINVENTED",
    s3_secret_key="s3-secret-invented",
)
OTHER = "447700900123"
OURS = "https://inbox.example.com/webhook"
TEXTS = ("see you at 42 Elm Street", "the invoice is 9931", "Rui", "Inês Duarte", "ines@example.com", "Ótica Duarte")


@pytest.fixture
async def business(pool: Pool) -> Business:
    opened = await open_business(pool)
    await Ready(pool, ScriptedGraph(), SETTINGS.app_id or "", "1").begin()
    return opened


async def diagnosis(business: Business) -> Diagnosis:
    async with business.pool.connection() as conn:
        ids = business.member.account_id, business.inbox.id
        return await checks_doctor.diagnose(conn, KEYRING, SETTINGS, *ids)


async def answer(business: Business, name: str) -> Question:
    return next(one for one in (await diagnosis(business)).questions if one.name == name)


async def ask(business: Business, statement: str, *values: object) -> None:
    async with transaction(business.pool) as conn:
        await conn.execute(statement, values)


async def write(business: Business, text: str, state: str, code: int | None) -> None:
    """A message of ours that came to this."""
    async with transaction(business.pool) as conn:
        cursor = await conn.execute(
            "INSERT INTO messages (inbox_id, conversation_id, peer, direction, origin, imported, opens_window,"
            " is_time_doubtful, content_rank, direction_rank, forwarded, type, sent_at, text)"
            " SELECT inbox_id, id, %s, 'outbound', 'api', false, false, false, 50, 0, 0, 'text', now(), %s"
            " FROM conversations LIMIT 1 RETURNING id",
            (PHONE, text),
        )
        row = await cursor.fetchone()
        assert row is not None
        await conn.execute(
            "INSERT INTO outbox (our_ref, inbox_id, message_id, payload, state, error_code, error, settled_at)"
            " VALUES (%s, %s, %s, '{}', %s::outbox_state, %s, %s, CASE WHEN %s = 'failed' THEN now() END)",
            (uuid4(), business.inbox.id, row[0], state, code, f"Meta: no such person +{PHONE}", state),
        )


@pytest.mark.requirement("G12", "B6")
@pytest.mark.parametrize(
    ("state", "level", "said"),
    [
        ("completed", Level.GREEN, "Nothing is wrong. The chat history is complete"),
        ("declined", Level.GREEN, "chose not to share"),
        ("nothing_arrived", Level.RED, "nothing arrived"),
        ("failed", Level.RED, "could not be asked for"),
        ("receiving", Level.AMBER, "coming in"),
        ("not_requested", Level.AMBER, "has not been asked for"),
        ("switched_off", Level.GREEN, "switched off"),
    ],
)
async def test_the_history_is_answered_from_its_state(business: Business, state: str, level: Level, said: str) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    await ask(business, "UPDATE syncs SET state = %s::sync_state", state)
    found = await answer(business, "history")
    assert (found.level, said in found.verdict) == (level, True), found.verdict


@pytest.mark.requirement("G12", "D17")
async def test_a_history_with_a_gap_is_not_called_in_order(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    await ask(business, "UPDATE syncs SET state = 'completed'")
    for order in (1, 3):
        metadata = {"phase": 0, "chunk_order": order, "progress": 100}
        await deliver(business.pool, change("history", history=[{"metadata": metadata, "threads": []}]))
    found = await answer(business, "history")
    assert (found.level, "1 part of it never came" in found.verdict) == (Level.AMBER, True), found.verdict
    assert any("exported chats" in check.next_step for check in found.checks)


@pytest.mark.requirement("G12")
async def test_deliveries_signed_with_another_secret_are_named_until_right_ones_come(
    business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliver(business.pool, echo("wamid.0", "hello"))
    assert (await answer(business, "app_messages")).level is Level.GREEN
    for _ in range(2):
        await sightings.note_refused(business.pool)
    found = await answer(business, "app_messages")
    assert (found.level, "signed with another secret" in found.verdict) == (Level.AMBER, True), found.verdict
    assert any("(new,old)" in check.next_step for check in found.checks)
    assert (await answer(business, "sending")).level is Level.GREEN, "what is sent needs no webhook"
    monkeypatch.setattr(sightings, "EVERY_S", 0)  # as a minute later
    await deliver(business.pool, echo("wamid.1", "hello again"))
    assert (await answer(business, "app_messages")).level is Level.GREEN
    await ask(business, "DELETE FROM journal")
    assert (await answer(business, "app_messages")).level is Level.GREEN, "also when the journal has let go of it"


@pytest.mark.requirement("G12")
async def test_contacts_that_are_coming_in_are_no_trouble(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    entry = {"type": "contact", "action": "add", "contact": {"full_name": "Rui", "phone_number": PHONE}}
    await ask(business, "UPDATE syncs SET state = 'requested', requested_at = now()")
    await deliver(business.pool, change("smb_app_state_sync", state_sync=[entry]))
    found = await answer(business, "contacts")
    assert (found.level, "after 10 minutes without another" in found.verdict) == (Level.GREEN, True), found.verdict


@pytest.mark.requirement("G12")
async def test_what_stands_in_the_way_is_named_before_what_follows_from_it(business: Business) -> None:
    await ask(business, "UPDATE syncs SET state = 'nothing_arrived'")
    await ask(business, "UPDATE worker_beats SET beat_at = now() - interval '1 hour'")
    assert "No worker runs" in (await answer(business, "contacts")).verdict
    line = Line(business.inbox.id, clock.now(), "account_update", "ACCOUNT_OFFBOARDED", {})
    async with transaction(business.pool) as conn:
        await connection.record(conn, [line])
        await connection.refresh(conn, [business.inbox.id])
    for question in (await diagnosis(business)).questions:
        assert question.level == Level.RED
        assert "disconnected for now" in question.verdict
        assert question.checks[0].next_step


@pytest.mark.requirement("G12")
@pytest.mark.parametrize(
    ("missing", "callback", "blaming"),
    [
        (["history"], OURS, {"history"}),
        (["smb_app_state_sync"], OURS, {"contacts"}),
        (["smb_message_echoes"], OURS, {"app_messages"}),
        (["history", "smb_message_echoes"], OURS, {"history", "app_messages"}),
        (["messages"], OURS, {"history", "app_messages", "contacts"}),
        (["history", "account_update"], OURS, {"history", "app_messages", "contacts"}),
        (["history"], "https://old.example/webhook", {"history", "app_messages", "contacts"}),
        ([], "https://old.example/webhook", {"history", "app_messages", "contacts"}),
    ],
)
async def test_a_missing_field_is_blamed_for_nothing_but_what_comes_under_it(
    business: Business, missing: list[str], callback: str, blaming: set[str]
) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    ticked: list[FieldTicked | str] = [name for name in checks_rules.NEEDED_FIELDS if name not in missing]
    apps = [AppSubscription(checks_rules.OBJECT, callback, fields=ticked)]
    found = checks_rules.fields(apps, SETTINGS.app_id or "", OURS, None, clock.now())
    look = Preflight(business.inbox.id, business.inbox.onboarded_at, clock.now(), [found], is_waiting=True)
    await in_transaction(business.pool, lambda conn: checks_store.put_preflight(conn, look))
    questions = (await diagnosis(business)).questions
    assert {one.name for one in questions if one.verdict == f"{found.title}: {found.seen}"} == blaming
    assert {one.name for one in questions if one.level == Level.RED} == blaming


@pytest.mark.requirement("G12")
async def test_access_that_is_refused_keeps_nothing_of_the_phone_back(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"), echo("wamid.2", "hi"))
    await ask(business, "UPDATE inboxes SET state = 'token_invalid'")
    found = await answer(business, "app_messages")
    assert (found.level, found.verdict.startswith("Nothing is wrong.")) == (Level.GREEN, True), found.verdict
    for name in ("history", "contacts", "sending"):
        assert "no longer accepts our access" in (await answer(business, name)).verdict
    await ask(business, "UPDATE inboxes SET state = 'removed'")
    assert "disconnected from here" in (await answer(business, "app_messages")).verdict


@pytest.mark.requirement("G12")
async def test_echoes_are_owed_after_a_day_and_their_time_is_told(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    assert (await answer(business, "app_messages")).level == Level.GREEN, "it was connected an hour ago"
    await ask(business, "UPDATE inboxes SET onboarded_at = now() - interval '2 days'")
    found = await answer(business, "app_messages")
    assert (found.level, "Nothing that was written on the phone has come yet" in found.verdict) == (Level.AMBER, True)
    assert any("Windows" in check.next_step for check in found.checks)
    await deliver(business.pool, echo("wamid.2", "hello yourself"))
    found = await answer(business, "app_messages")
    assert (found.level, f"{clock.now():%Y-%m-%d}" in found.verdict) == (Level.GREEN, True)


@pytest.mark.requirement("G12")
async def test_sending_is_answered_by_code_with_the_next_step(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    assert (await answer(business, "sending")).level == Level.GREEN
    for code in (131047, 131047, 131026):
        await write(business, "bye", "failed", code)
    found = await answer(business, "sending")
    assert (found.level, "2 × 131047" in found.verdict) == (Level.AMBER, True)
    (failures,) = [check for check in found.checks if check.name == Name.FAILURES]
    assert failures.next_step == "Send a template instead."
    await write(business, "bye", "failed", 131042)
    assert (await answer(business, "sending")).level == Level.RED
    await ask(business, "UPDATE inboxes SET token = NULL")
    assert "no access token" in (await answer(business, "sending")).verdict


@pytest.mark.requirement("G12")
async def test_what_keeps_a_number_from_sending_is_no_reason_why_nothing_comes(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    refusal = Refusal(business.inbox.id, 131042, clock.now(), "as Meta says it")
    await in_transaction(business.pool, lambda conn: refusals.heed(conn, [refusal]))
    assert (await answer(business, "app_messages")).level == Level.GREEN
    assert "131042" not in "".join(check.seen for check in (await answer(business, "contacts")).checks)
    found = await answer(business, "sending")
    assert (found.level, "could not charge" in found.verdict) == (Level.AMBER, True)
    info = {"restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING", "expiration": 4102444800}
    value = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [info]}
    await deliver(business.pool, {"field": "account_update", "value": value})
    assert "does not let this number answer customers until 2100-01-01" in (await answer(business, "sending")).verdict
    assert (await answer(business, "app_messages")).level == Level.GREEN


async def test_why_a_number_is_disconnected_is_said_in_words(business: Business) -> None:
    told = {"event": "PARTNER_REMOVED", "disconnection_info": {"reason": "CHANGE_NUMBER", "initiated_by": "USER"}}
    await deliver(business.pool, {"field": "account_update", "value": told})
    assert (
        "Why: the phone changed its number, by the business, on the phone."
        in (await answer(business, "contacts")).verdict
    )


async def test_a_failure_told_by_a_status_counts(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    await write(business, "bye", "accepted", None)
    await ask(business, "UPDATE messages SET wamid = 'wamid.out' WHERE origin = 'api'")
    await deliver(business.pool, status("wamid.out", "failed", errors=[{"code": 131026, "title": "Undeliverable"}]))
    assert "1 × 131026" in (await answer(business, "sending")).verdict


@pytest.mark.requirement("G12")
async def test_only_what_did_not_fail_afterwards_proves_that_sending_goes_again(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    began = clock.now() - timedelta(hours=1)

    async def taken(wamid: str, minutes: int, *told: tuple[str, int | None]) -> None:
        await write(business, wamid, "accepted", None)
        await ask(business, "UPDATE messages SET wamid = %s WHERE text = %s", wamid, wamid)
        at = began + timedelta(minutes=minutes)
        found = "SELECT id FROM messages WHERE wamid = %s"
        await ask(business, f"UPDATE outbox SET settled_at = %s WHERE message_id = ({found})", at, wamid)
        for name, code in told:
            errors = [{"code": code, "title": "as Meta says it"}] if code else []
            await deliver(business.pool, status(wamid, name, errors=errors, at=at + timedelta(seconds=30)))

    await taken("wamid.unpaid", 1, ("failed", 131042))
    await taken("wamid.gone", 2, ("failed", 131026))
    assert (await answer(business, "sending")).level == Level.RED
    await taken("wamid.late", 3, ("failed", 131026), ("delivered", None))
    found = next(check for check in (await answer(business, "sending")).checks if check.name == Name.FAILURES)
    assert (found.level, f"{began + timedelta(minutes=3):%H:%M} UTC" in found.seen) == (Level.AMBER, True), found


@pytest.mark.requirement("G12")
async def test_the_bundle_of_a_busy_number_tells_nothing_of_anybody(business: Business) -> None:
    pool = business.pool
    await deliver(
        pool,
        inbound("wamid.1", TEXTS[0]),
        inbound("wamid.2", "hi", phone=OTHER, bsuid=BSUID),
        echo("wamid.3", TEXTS[1]),
        change("messages", messages=[{"id": "wamid.4", "from": OTHER, "timestamp": "x", "type": 7, "text": TEXTS[1]}]),
        change("history", history=[{"errors": [{"code": 131000, "message": f"no +{OTHER}", "title": "no"}]}]),
    )
    await write(business, TEXTS[1], "failed", 131026)
    await write(business, TEXTS[1], "unclear", None)
    reason = f"token {TOKEN} of +{OTHER} is refused"
    refused = Line(business.inbox.id, clock.now(), connection.OURS, connection.TOKEN_REFUSED, {"reason": reason})
    async with transaction(pool) as conn:
        await conn.execute(
            "INSERT INTO quarantine (journal_id, part, phone_number_id, error)"
            " SELECT id, 'entry[9]', %s, %s FROM journal LIMIT 1",
            (NUMBER, f"DataError: invalid text {TEXTS[1]} of {OTHER}"),
        )
        await connection.record(conn, [refused])
        await connection.refresh(conn, [business.inbox.id])
        told = await checks_bundle.bundle(conn, KEYRING, SETTINGS, [(business.member.account_id, business.inbox.id)])
    text = told.decode()
    for private in (*TEXTS, PHONE, OTHER, BSUID, TOKEN, "wamid", business.inbox.display_phone_number):
        assert private not in text, private
    for secret in (SECRET, "dbpassword", "a-verify-token", "AKIAINVENTED", "s3-secret", b"k" * 32):
        assert (secret if isinstance(secret, bytes) else secret.encode()) not in told, secret
    bundle = msgspec.json.decode(told)
    (number,) = bundle["inboxes"]
    assert number["phone_number_id"] == NUMBER
    assert bundle["settings"]["app_secrets"] == "set"
    assert bundle["settings"]["secret_keys"] == "not set"
    assert {key: number["failures"][0][key] for key in ("code", "count")} == {"code": 131026, "count": 1}
    assert {"messages", "smb_message_echoes"} <= number["last_by_field"].keys()
    assert next(one["event"] for one in number["timeline"]) == "TOKEN_REFUSED"
    assert "DataError" in [one["error"] for one in number["quarantine"]]
    assert len(number["doctor"]["questions"]) == 4


def test_a_sentence_is_masked_but_for_our_own_ids_and_times() -> None:
    said = "Call +351 910 559 111 or 5511985500101, app 1900100200300 at 2026-11-22 10:42 UTC, EAAabcdefghij."
    named = f" {BSUID} PT.ENT.900100200 wamid.HBgMMzUx ines@example.com"
    told = checks_bundle.masked(said + named, {"1900100200300"})
    assert not any(one in told for one in named.split())
    assert "1900100200300" in told
    assert "2026-11-22 10:42 UTC" in told
    assert "910" not in told
    assert "98550" not in told
    assert "EAA" not in told


async def test_looking_is_cheap_for_a_number_that_has_nothing(business: Business) -> None:
    later = clock.now() + timedelta(hours=25)
    with clock.reading(lambda: later):
        found = await answer(business, "history")
    assert found.level == Level.RED, "the 24 hours are over"
    assert "24 hours" in found.verdict or "differ" in found.verdict
