"""The command line as somebody types it: real processes, a real database, a scripted Graph."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.people import actions as people
from coexist.people import sessions
from tests.support.business import DISPLAY, NUMBER, WABA, deliver, inbound
from tests.support.command_line import Coexist
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph, error

APP = "1900100200300"
CONNECT = (
    "connect", "--account", "Ótica Duarte", "--waba-id", WABA,
    "--phone-number-id", NUMBER, "--display-number", "+" + DISPLAY,
)  # fmt: skip


async def export(coexist: Coexist, *more: str) -> list[dict[str, object]]:
    ended = await coexist("export", "--account", "Ótica Duarte", *more)
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_connecting_verifies_subscribes_and_asks_once(
    coexist: Coexist, scripted: ScriptedGraph, pool: Pool, tmp_path: Path
) -> None:
    scripted.files[NUMBER] = ({"id": NUMBER, "display_phone_number": "+351 21 055 9000", "is_on_biz_app": True,
                               "platform_type": "CLOUD_API", "verified_name": "Ótica"}, b"")  # fmt: skip
    await Ready(pool, scripted, APP, WABA).begin()
    scopes = ["whatsapp_business_management", "whatsapp_business_messaging"]
    scripted.files["debug_token"] = ({"data": {"is_valid": True, "app_id": APP, "scopes": scopes}}, b"")
    ours = {"COEXIST_BASE_URL": scripted.address, "COEXIST_APP_ID": APP, "COEXIST_APP_SECRET": "secret"}
    ended = await coexist(*CONNECT, "--name", "Loja", typed="EAAfrom-stdin\n", **ours)
    assert ended.code == 0, ended.err
    assert "Loja is inbox 1 of the account now" in ended.out
    assert "account 'Ótica Duarte' is new" in ended.out
    assert "The chat history is on its way" in ended.out
    done = [asked.what.removeprefix("POST /v25.0/") for asked in scripted.asked if asked.what.startswith("POST")]
    assert done == [f"{WABA}/subscribed_apps", f"{NUMBER}/smb_app_data", f"{NUMBER}/smb_app_data"]
    assert [asked.body["sync_type"] for asked in scripted.of("smb_app_data")] == ["smb_app_state_sync", "history"]
    assert {asked.token for asked in scripted.asked} == {"EAAfrom-stdin", f"{APP}|secret"}
    first = len(scripted.asked)

    file = tmp_path / "token"
    file.write_text("EAAfrom-file\n")
    again = await coexist(*CONNECT, "--token-file", str(file), **ours)
    assert again.code == 0, again.err
    assert len(scripted.of("smb_app_data")) == 2, "the one chance was spent twice"
    assert {asked.token for asked in scripted.asked[first:]} == {"EAAfrom-file"}
    lines = await export(coexist)
    assert [(line["kind"], line["name"]) for line in lines] == [("inbox", "Loja")]


@pytest.mark.requirement("A7", "B2")
async def test_a_number_that_was_disconnected_needs_the_time_of_its_new_signup(
    coexist: Coexist, scripted: ScriptedGraph, pool: Pool
) -> None:
    onboarded_at = clock.now() - timedelta(days=2)
    scripted.files[NUMBER] = ({"id": NUMBER, "is_on_biz_app": True, "platform_type": "CLOUD_API",
                               "last_onboarded_time": int(onboarded_at.timestamp())}, b"")  # fmt: skip
    assert (await coexist(*CONNECT, "--no-sync", typed="EAAinvented")).code == 0
    async with transaction(pool) as conn:
        removed = Line(1, clock.now() - timedelta(hours=2), "account_update", "PARTNER_REMOVED", {})
        await connection.record(conn, [removed])
        await connection.refresh(conn, [removed.inbox_id])
    again = await coexist(*CONNECT, typed="EAAnewer")
    assert (again.code, again.err) == (0, "")
    assert "was disconnected" in again.out
    assert "the same command with --since" in again.out
    async with pool.connection() as conn:
        state = await (await conn.execute("SELECT state::text, onboarded_at FROM inboxes")).fetchone()
        assert state == ("removed", onboarded_at.replace(microsecond=0))
    since = (clock.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = await coexist(*CONNECT, "--since", since, typed="EAAnewer")
    assert "No sync was asked for: there is one chance" in told.out, "it may be asked for, once all is in order"
    async with pool.connection() as conn:
        assert await (await conn.execute("SELECT state::text FROM inboxes")).fetchone() == ("connected",)


@pytest.mark.requirement("A1")
async def test_without_the_subscription_the_one_chance_is_not_spent(coexist: Coexist, scripted: ScriptedGraph) -> None:
    scripted.answers.extend([error(33), error(100)])
    ended = await coexist(*CONNECT, typed="EAAinvented")
    assert ended.code == 0, ended.err
    assert "run the same command again" in ended.out
    assert scripted.of("smb_app_data") == []


async def test_a_refused_token_connects_nothing(coexist: Coexist, scripted: ScriptedGraph, pool: Pool) -> None:
    scripted.answers.append(error(190, status=401))
    ended = await coexist(*CONNECT, typed="EAAexpired")
    assert ended.code == 2
    assert "Meta refuses this token" in ended.err
    assert "Traceback" not in ended.err
    async with pool.connection() as conn:
        assert await (await conn.execute("SELECT FROM accounts")).fetchone() is None


async def test_graph_out_of_reach_is_said_and_does_not_lose_the_number(coexist: Coexist, pool: Pool) -> None:
    ended = await coexist(*CONNECT, "--no-verify", typed="EAAinvented", COEXIST_GRAPH_URL="http://127.0.0.1:9")
    assert ended.code == 0, ended.err
    assert "cannot be reached" in ended.out
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT state::text FROM syncs LIMIT 1")).fetchone()
    assert row == ("not_requested",)


@pytest.mark.requirement("B11")
async def test_the_installations_switch_is_honoured(coexist: Coexist, scripted: ScriptedGraph) -> None:
    off = {"COEXIST_SYNC_HISTORY": "false", "COEXIST_SYNC_CONTACTS": "false"}
    ended = await coexist(*CONNECT, "--no-verify", typed="EAAinvented", **off)
    assert "switched off" in ended.out
    assert scripted.of("smb_app_data") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("connect", "--account", "A"), "Missing option"),
        ((*CONNECT, "--since", "yesterday"), "is not a time"),
        ((*CONNECT, "--since", "2026-11-20T09:30:00"), "needs a time zone"),
        ((*CONNECT[:-1], "shop"), "is not a phone number"),
        ((*CONNECT, "--token-file", "/nowhere/token"), "cannot be read"),
        (("export", "--account", "Nobody"), "There is no account 'Nobody'"),
        (("user", "link", "nobody@example.com"), "Nobody has the e-mail"),
        (("replay",), "Say what to replay"),
    ],
)
async def test_what_is_given_wrongly_is_said_in_a_sentence(
    coexist: Coexist, arguments: tuple[str, ...], said: str
) -> None:
    ended = await coexist(*arguments, typed="EAAinvented")
    assert ended.code in (1, 2)
    assert said in ended.err
    assert "Traceback" not in ended.err


async def test_an_empty_token_is_refused(coexist: Coexist) -> None:
    ended = await coexist(*CONNECT, typed="")
    assert (ended.code, ended.err.strip()) == (2, "Standard input is empty.")


async def test_a_wrong_setting_is_said_in_a_sentence(coexist: Coexist) -> None:
    ended = await coexist("migrate", COEXIST_DATABASE_URL="mysql://nowhere")
    assert ended.code == 2
    assert "COEXIST_DATABASE_URL must be" in ended.err


async def test_people_come_in_by_link_or_password(coexist: Coexist, pool: Pool) -> None:
    await coexist(*CONNECT, "--no-verify", "--no-sync", typed="EAAinvented")
    ines = ("--account", "Ótica Duarte", "--email", "ines@example.com", "--name", "Inês", "--role", "owner")
    added = await coexist("user", "add", *ines)
    assert added.code == 0, added.err
    link = added.out.splitlines()[-1]
    assert link.startswith("https://inbox.example.com/sign-in/link/")
    async with pool.connection() as conn:
        cookie = await people.use_sign_in_link(conn, link.rsplit("/", 1)[1], None)
        member = await sessions.user_of(conn, cookie)
    assert member is not None
    assert member.role == "owner"
    changed = await coexist("user", "password", "ines@example.com", "--password-file", "-", typed="a long password\n")
    assert changed.code == 0, changed.err
    async with pool.connection() as conn:
        assert await sessions.user_of(conn, cookie) is None
        assert await people.sign_in(conn, "ines@example.com", "a long password", None)
    listed = await coexist("user", "list")
    assert listed.out == "Ótica Duarte\towner\tines@example.com\tInês\n"
    assert (await coexist("user", "add", *ines)).code == 1
    assert (await coexist("user", "link", "INES@example.com")).out.startswith("https://inbox.example.com/")


async def test_an_export_to_a_file_is_whole_or_not_there(coexist: Coexist, pool: Pool, tmp_path: Path) -> None:
    await coexist(*CONNECT, "--no-verify", "--no-sync", "--since", "2026-11-01T00:00:00Z", typed="EAAinvented")
    await deliver(pool, inbound("wamid.1", "Olá"))
    file = tmp_path / "all.jsonl"
    ended = await coexist("export", "--account", "1", "--format", "jsonl", "--output", str(file))
    assert (ended.code, ended.out) == (0, "")
    kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert kinds == ["inbox", "contact", "conversation", "message"]
    nowhere = await coexist("export", "--account", "1", "--output", str(tmp_path / "no" / "folder"))
    assert nowhere.code == 2
    assert "cannot be written" in nowhere.err


async def test_replaying_puts_deliveries_in_line_once(coexist: Coexist, pool: Pool) -> None:
    await coexist(*CONNECT, "--no-verify", "--no-sync", typed="EAAinvented")
    await deliver(pool, *(inbound(f"wamid.{n}", "Olá") for n in range(4)))
    assert (await coexist("replay", "--from", "2", "--to", "3")).out.startswith("2 deliveries")
    assert (await coexist("replay", "--all")).out.startswith("2 deliveries")  # the other two are in line already
    assert (await coexist("replay", "--quarantined")).out.startswith("0 deliveries")
