"""The export: one line for everything, the same whatever the order of the deliveries."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from coexist.base.crypto import Keyring
from coexist.base.database import Pool, open_pool, transaction
from coexist.coexistence import actions
from coexist.export import lines
from coexist.intake.worker import BULK_LANE, LIVE_LANE, apply_next
from coexist.people import actions as people
from tests.support import databases
from tests.support.intake import KEYRING

NUMBER, WABA, DISPLAY = "555100020003000", "701122334455667", "351210559000"
SINCE = datetime.fromtimestamp(1_795_000_000, UTC)
INES = {"wa_id": "351910559111", "user_id": "PT.40010020030040050", "profile": {"name": "Inês", "username": "ines.d"}}


def change(field: str, **value: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": DISPLAY, "phone_number_id": NUMBER}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def inbound(wamid: str, seconds: int, kind: str, part: Any, **other: Any) -> dict[str, Any]:
    message = {
        "from": "351910559111",
        "from_user_id": "PT.40010020030040050",
        "id": wamid,
        "timestamp": str(1_795_000_000 + seconds),
        "type": kind,
        kind: part,
        **other,
    }
    return change("messages", contacts=[INES], messages=[message])


def history(order: int, progress: int, *messages: dict[str, Any]) -> dict[str, Any]:
    told = {"phase": 0, "chunk_order": order, "progress": progress}
    return change("history", history=[{"metadata": told, "threads": [{"id": "351910559111", "messages": messages}]}])


def past(wamid: str, seconds: int, **other: Any) -> dict[str, Any]:
    status = {"history_context": {"status": "READ"}}
    return {"from": "351910559111", "id": wamid, "timestamp": str(1_794_000_000 + seconds), **status, **other}


CHANGES = [
    inbound("wamid.TEXT", 1, "text", {"body": "Bom dia"}),
    inbound("wamid.EDIT1", 20, "edit", {"original_message_id": "wamid.TEXT", "message": {
        "context": {"id": "M0"}, "type": "text", "text": {"body": "Bom dia!"}}}),
    inbound("wamid.EDIT2", 30, "edit", {"original_message_id": "wamid.TEXT", "message": {
        "context": {"id": "M0"}, "type": "text", "text": {"body": "Boa tarde"}}}),
    inbound("wamid.LOC", 40, "location", {"latitude": 38.7, "longitude": -9.1, "name": "Loja"}),
    inbound("wamid.CARD", 41, "contacts", [{"name": {"formatted_name": "Rui"}, "phones": [{"phone": "351910559112"}]}]),
    inbound("wamid.ORDER", 42, "order", {"catalog_id": "7", "product_items": [
        {"product_retailer_id": "a", "quantity": 2, "item_price": 9.5, "currency": "EUR"}]}),
    inbound("wamid.FORM", 43, "interactive", {"type": "nfm_reply", "nfm_reply": {
        "name": "flow", "body": "Sent", "response_json": "{\"size\": 3}"}}),
    inbound("wamid.IMG", 44, "image", {"id": "880", "mime_type": "image/jpeg", "sha256": "ab" * 32, "caption": "Olhe"},
            context={"forwarded": True}),
    inbound("wamid.GONE", 45, "text", {"body": "oops"}, context={"id": "wamid.TEXT", "from": DISPLAY}),
    inbound("wamid.REVOKE", 50, "revoke", {"original_message_id": "wamid.GONE"}),
    inbound("wamid.REACT", 51, "reaction", {"message_id": "wamid.ECHO", "emoji": "👍"}),
    inbound("wamid.AD", 52, "text", {"body": "Do anúncio"}, referral={"source_id": "12", "headline": "Óculos"}),
    inbound("wamid.POLL", 53, "unsupported", {"type": "poll_creation"}, errors=[{"code": 131051, "title": "x"}]),
    change("smb_message_echoes", contacts=[INES], message_echoes=[
        {"from": DISPLAY, "to": "351910559111", "id": "wamid.ECHO", "timestamp": "1795000046", "type": "text",
         "text": {"body": "Pode passar amanhã"}}]),
    history(1, 40, past("wamid.OLD1", 1, type="text", text={"body": "Olá"})),
    history(2, 100, past("wamid.OLD2", 2, type="media_placeholder")),
    change("smb_app_state_sync", state_sync=[
        {"type": "contact", "action": "add", "metadata": {"timestamp": "1795000002"},
         "contact": {"full_name": "Inês (lentes)", "first_name": "Inês", "phone_number": "351910559111"}},
        {"type": "contact", "action": "add", "metadata": {"timestamp": "1795000003"},
         "contact": {"full_name": "Zé", "first_name": "Zé", "phone_number": "351910559199"}}]),
    change("messages", messages=[{"id": "wamid.BAD", "timestamp": "1795000060", "type": "text"}]),
]  # fmt: skip


async def fill(pool: Pool, changes: Sequence[dict[str, Any]]) -> int:
    """Connect the number and apply one delivery for each change; return the account's id."""
    async with transaction(pool) as conn:
        account = await people.create_account(conn, "Ótica Duarte")
        await actions.connect(
            conn,
            Keyring([b"k" * 32]),
            account_id=account.id,
            waba_id=WABA,
            phone_number_id=NUMBER,
            display_phone_number=DISPLAY,
            token="EAAinvented",
            is_coexistence=True,
            onboarded_at=SINCE,
        )
        for each in changes:
            entry = {"id": WABA, "changes": [each]}
            body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
            await conn.execute(
                "WITH j AS (INSERT INTO journal (received_at, body) VALUES (%s, %s) RETURNING id)"
                " INSERT INTO backlog SELECT 0, id FROM j",
                (datetime.fromtimestamp(1_795_000_100, UTC), body),
            )
    for lane in (LIVE_LANE, BULK_LANE):
        while await apply_next(pool, KEYRING, lane):
            pass
    return account.id


async def exported(pool: Pool, account_id: int) -> list[dict[str, Any]]:
    async with pool.connection() as conn:
        written = [line async for line in lines(conn, account_id)]
    assert all(line.startswith(b'{"kind":') and line.endswith(b"}\n") and line.count(b"\n") == 1 for line in written)
    return [msgspec.json.decode(line) for line in written]


def by_wamid(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["wamid"]: line for line in found if line["kind"] == "message"}


async def test_everything_is_there(pool: Pool) -> None:
    account_id = await fill(pool, CHANGES)
    found = await exported(pool, account_id)
    kinds = [line["kind"] for line in found]
    assert kinds == ["inbox", "contact", "contact", "conversation"] + ["message"] * 12 + ["quarantined"]
    inbox = found[0]
    assert inbox["sync"]["history"]["state"] == "completed"
    assert inbox["sync"]["history"]["progress"] == 100
    assert "progress" not in inbox["sync"]["contacts"]
    assert inbox["counts"] == {
        "contacts": 2, "conversations": 1, "messages": 12, "imported_messages": 2, "placeholders": 2,
        "media_waiting": 1, "media_stored": 0, "media_gone": 0,
    }  # fmt: skip
    ines = next(line for line in found if line["kind"] == "contact" and line["names"]["profile"])
    assert ines["names"] == {"agent": None, "address_book": "Inês (lentes)", "profile": "Inês"}
    assert ines["in_address_book"]
    assert {(each["type"], each["value"]) for each in ines["identities"]} == {
        ("bsuid", "PT.40010020030040050"),
        ("phone", "351910559111"),
        ("wa_id", "351910559111"),
        ("username", "ines.d"),
    }
    conversation = next(line for line in found if line["kind"] == "conversation")
    assert conversation["id"] == f"{NUMBER}:{ines['id']}"
    assert conversation["contact"] == ines["id"]
    assert conversation["window"]["expires_at"].endswith("Z")
    quarantined = found[-1]
    assert quarantined["phone_number_id"] == NUMBER
    assert "messages[0]" in quarantined["part"]


async def test_messages_say_what_they_hold(pool: Pool) -> None:
    messages = by_wamid(await exported(pool, await fill(pool, CHANGES)))
    assert messages["wamid.TEXT"]["text"] == "Boa tarde"
    assert messages["wamid.TEXT"]["edited"] == {
        "at": "2026-11-18T11:07:10Z",
        "previous_texts": ["Bom dia", "Bom dia!"],
    }
    assert messages["wamid.LOC"]["location"]["name"] == "Loja"
    assert messages["wamid.CARD"]["cards"][0]["name"]["formatted_name"] == "Rui"
    assert messages["wamid.ORDER"]["order"]["catalog_id"] == "7"
    assert messages["wamid.FORM"]["form"]["response_json"] == '{"size": 3}'
    assert messages["wamid.AD"]["referral"]["headline"] == "Óculos"
    assert messages["wamid.POLL"]["errors"][0]["code"] == 131051
    assert messages["wamid.POLL"]["placeholder"]
    image = messages["wamid.IMG"]
    assert (image["text"], image["forwarded"]) == ("Olhe", True)
    assert image["media"] == {
        "mime_type": "image/jpeg",
        "sha256": "ab" * 32,
        "bytes": None,
        "state": "waiting",
        "file_name": None,
        "voice": False,
    }
    assert messages["wamid.GONE"]["revoked_at"] == "2026-11-18T11:07:30Z"
    assert messages["wamid.GONE"]["reply_to"] == "wamid.TEXT"
    echo = messages["wamid.ECHO"]
    assert (echo["direction"], echo["origin"], echo["imported"]) == ("outbound", "app", False)
    assert echo["reactions"] == [{"by": "contact", "emoji": "👍", "at": "2026-11-18T11:07:31Z"}]
    old = messages["wamid.OLD1"]
    assert (old["imported"], old["status"], old["sent_at"]) == (True, "read", "2026-11-06T21:20:01Z")
    assert messages["wamid.OLD2"]["placeholder"]


async def test_two_databases_with_the_same_deliveries_export_the_same_lines(
    server_url: str, template_name: str
) -> None:
    chance = random.Random(7)
    exports = []
    for _ in range(4):
        changes = CHANGES + chance.sample(CHANGES, 5)
        chance.shuffle(changes)
        # so that ids of ours differ
        async with databases.clone(server_url, template_name) as url, open_pool(url) as pool:
            async with transaction(pool) as conn:
                await conn.execute("SELECT setval('contacts_id_seq', %s)", (chance.randrange(1, 10_000),))
            found = await exported(pool, await fill(pool, changes))
            exports.append([line for line in found if line["kind"] != "quarantined"])
    assert all(found == exports[0] for found in exports)


async def test_another_account_is_not_exported(pool: Pool) -> None:
    await fill(pool, CHANGES)
    async with transaction(pool) as conn:
        other = await people.create_account(conn, "Another")
    assert await exported(pool, other.id) == []


async def test_a_contact_is_named_after_the_smallest_of_its_ids(pool: Pool) -> None:
    found = await exported(pool, await fill(pool, CHANGES))
    wanted = hashlib.sha256(f"{WABA} bsuid:PT.40010020030040050".encode()).hexdigest()[:16]
    assert f"c_{wanted}" in {line["id"] for line in found if line["kind"] == "contact"}


async def test_an_account_of_many_pages_is_streamed_whole(pool: Pool) -> None:
    texts = [past(f"wamid.{n}", n, type="text", text={"body": f"line\n{n}"}) for n in range(2_500)]
    found = await exported(pool, await fill(pool, [history(1, 100, *texts)]))
    messages = [line for line in found if line["kind"] == "message"]
    assert [line["text"] for line in messages] == [f"line\n{n}" for n in range(2_500)]
