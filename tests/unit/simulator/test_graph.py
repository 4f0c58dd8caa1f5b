"""Graph answers as documented: codes, tokens, subscriptions, the one-shot sync, media."""

import asyncio
import hashlib
from typing import Any

import aiohttp
import pytest

from tests.unit.simulator.conftest import APP_ID, NUMBER, SECRET, VERIFY_TOKEN, WABA, Clock, Receiver, StandIn, Start

Json = dict[str, Any]
APP_TOKEN = f"{APP_ID}|{SECRET}"


async def exchange(stand_in: StandIn, code: str, secret: str = SECRET) -> tuple[int, dict[str, object]]:
    return await stand_in.graph("GET", "oauth/access_token", client_id=APP_ID, client_secret=secret, code=code)


async def test_a_code_works_once(start: Start) -> None:
    stand_in = await start()
    code = (await stand_in.control("onboard"))["code"]
    assert (await exchange(stand_in, code, "wrong"))[0] == 400
    status, answer = await exchange(stand_in, code)
    assert (status, answer["token_type"]) == (200, "bearer")
    status, again = await stand_in.graph("GET", "oauth/access_token", client_id=APP_ID, client_secret=SECRET, code=code)
    assert (status, again["error"]["code"]) == (400, 100)


async def test_a_code_lives_thirty_seconds(start: Start) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    code = (await stand_in.control("onboard"))["code"]
    clock.now += 31
    assert (await exchange(stand_in, code))[0] == 400
    code = (await stand_in.control("onboard"))["code"]
    clock.now += 29
    assert (await exchange(stand_in, code))[0] == 200


async def test_debug_token_names_the_waba(stand_in: StandIn) -> None:
    query = {"input_token": stand_in.token, "access_token": APP_TOKEN}
    async with stand_in.session.get(f"{stand_in.url}/v25.0/debug_token", params=query) as answer:
        data = (await answer.json())["data"]
    assert data["is_valid"]
    assert data["app_id"] == APP_ID
    assert data["expires_at"] == 0
    assert all(one["target_ids"] == [WABA] for one in data["granular_scopes"])


async def test_a_token_that_has_expired_is_refused_and_debug_token_says_so(stand_in: StandIn) -> None:
    await stand_in.control("faults", token_days=-1)
    status, answer = await stand_in.graph("GET", f"{WABA}/phone_numbers")
    assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (401, 190, 463)
    query = {"input_token": stand_in.token, "access_token": APP_TOKEN}
    async with stand_in.session.get(f"{stand_in.url}/v25.0/debug_token", params=query) as answered:
        data = (await answered.json())["data"]
    assert not data["is_valid"]
    assert 0 < data["expires_at"] < data["issued_at"] + 1
    await stand_in.control("faults", token_days=None)
    assert (await stand_in.graph("GET", f"{WABA}/phone_numbers"))[0] == 200


async def test_without_a_token_nothing_is_told(start: Start) -> None:
    stand_in = await start()
    status, answer = await stand_in.graph("GET", WABA)
    assert (status, answer["error"]["code"]) == (401, 190)
    assert answer["error"]["fbtrace_id"]
    stand_in.token = "EAAinvented"
    assert (await stand_in.graph("GET", f"{WABA}/phone_numbers"))[0] == 401


@pytest.mark.parametrize("version", ["v19.0", "v25.0", "v26.0"])
async def test_any_version(stand_in: StandIn, version: str) -> None:
    headers = {"Authorization": f"Bearer {stand_in.token}"}
    fields = {"fields": "id,is_on_biz_app,platform_type,status,throughput{level},display_phone_number"}
    address = f"{stand_in.url}/{version}/{WABA}/phone_numbers"
    async with stand_in.session.get(address, params=fields, headers=headers) as answer:
        body = await answer.json()
        assert "X-App-Usage" in answer.headers
    assert body["data"] == [
        {
            "id": NUMBER,
            "is_on_biz_app": True,
            "platform_type": "CLOUD_API",
            "status": "CONNECTED",
            "throughput": {"level": "STANDARD"},
            "display_phone_number": "+55 11 98550-0101",
        }
    ]


async def test_unknown_nodes_and_paths(stand_in: StandIn) -> None:
    assert (await stand_in.graph("GET", "123456"))[1]["error"]["code"] == 33
    assert (await stand_in.graph("GET", f"{WABA}/nothing"))[1]["error"]["code"] == 2500


async def test_a_number_on_a_phone_is_never_registered(stand_in: StandIn) -> None:
    for edge in ("register", "deregister"):
        assert (await stand_in.graph("POST", f"{NUMBER}/{edge}", {"pin": "123456"}))[0] == 400


async def test_the_app_replaces_its_list_of_fields(stand_in: StandIn, receiver: Receiver) -> None:
    async def call(method: str, **body: str) -> Json:
        query = {"access_token": APP_TOKEN}
        address = f"{stand_in.url}/v25.0/{APP_ID}/subscriptions"
        async with stand_in.session.request(method, address, params=query, data=body or None) as answer:
            found: Json = await answer.json()
            return found

    asked = {"object": "whatsapp_business_account", "callback_url": receiver.url, "fields": "messages,history"}
    assert "error" in await call("POST", verify_token="wrong", **asked)
    assert await call("POST", verify_token=VERIFY_TOKEN, **asked) == {"success": True}
    (one,) = (await call("GET"))["data"]
    assert [field["name"] for field in one["fields"]] == ["messages", "history"]


async def test_subscribing_the_waba_with_an_override(stand_in: StandIn, receiver: Receiver) -> None:
    wrong = {"override_callback_uri": receiver.url, "verify_token": "wrong"}
    assert (await stand_in.graph("POST", f"{WABA}/subscribed_apps", wrong))[0] == 400
    right = {**wrong, "verify_token": VERIFY_TOKEN}
    assert (await stand_in.graph("POST", f"{WABA}/subscribed_apps", right))[0] == 200
    _, listed = await stand_in.graph("GET", f"{WABA}/subscribed_apps")
    assert listed["data"][0]["override_callback_uri"] == receiver.url
    assert (await stand_in.graph("DELETE", f"{WABA}/subscribed_apps"))[0] == 200
    assert (await stand_in.graph("GET", f"{WABA}/subscribed_apps"))[1] == {"data": []}


@pytest.mark.parametrize("sync_type", ["smb_app_state_sync", "history"])
async def test_each_sync_can_be_asked_for_once(stand_in: StandIn, receiver: Receiver, sync_type: str) -> None:
    status, answer = await stand_in.sync(sync_type)
    assert status == 200
    assert answer["request_id"]
    status, refused = await stand_in.sync(sync_type)
    assert (status, refused["error"]["code"]) == (400, 2593107)
    await stand_in.settle()
    assert receiver.changes(sync_type)
    await stand_in.control("onboard")
    assert (await stand_in.sync(sync_type))[0] == 200, "a new onboarding renews the right"


async def test_after_a_day_it_is_too_late(start: Start) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    await stand_in.connect()
    clock.now += 24 * 3600 + 1
    status, refused = await stand_in.sync("history")
    assert (status, refused["error"]["code"]) == (400, 2593108)


async def test_a_sync_without_subscription_is_spent_and_brings_nothing(start: Start, receiver: Receiver) -> None:
    stand_in = await start()
    stand_in.token = (await stand_in.control("onboard"))["token"]
    assert (await stand_in.sync("history"))[0] == 200
    await stand_in.graph("POST", f"{WABA}/subscribed_apps")
    await stand_in.settle()
    assert receiver.bodies == []
    assert (await stand_in.sync("history"))[1]["error"]["code"] == 2593107


async def test_a_declined_history(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("share", share=False)
    assert (await stand_in.sync("history"))[0] == 200
    await stand_in.settle()
    (value,) = receiver.changes("history")
    assert value["history"][0]["errors"][0]["code"] == 2593109


async def test_media_travel_both_ways(stand_in: StandIn) -> None:
    data = b"%PDF-1.4 something"
    form = aiohttp.FormData({"messaging_product": "whatsapp", "type": "application/pdf"})
    form.add_field("file", data, filename="a.pdf", content_type="application/pdf")
    headers = {"Authorization": f"Bearer {stand_in.token}"}
    address = f"{stand_in.url}/v25.0/{NUMBER}/media"
    async with stand_in.session.post(address, data=form, headers=headers) as answer:
        media_id = (await answer.json())["id"]
    _, found = await stand_in.graph("GET", media_id, phone_number_id=NUMBER)
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    assert (found["file_size"], found["mime_type"]) == (len(data), "application/pdf")
    async with stand_in.session.get(found["url"], headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, data)
    async with stand_in.session.get(found["url"]) as answer:
        assert answer.status == 401
    assert (await stand_in.graph("DELETE", media_id))[0] == 200
    assert (await stand_in.graph("GET", media_id))[1]["error"]["code"] == 33


async def test_a_media_url_lives_five_minutes(start: Start) -> None:
    clock = Clock()
    stand_in = await start(clock=clock)
    await stand_in.connect()
    sent = await stand_in.control("customer/send", chat="marina-souza", media="photo")
    _, found = await stand_in.graph("GET", sent["message"]["media"]["media_id"])
    headers = {"Authorization": f"Bearer {stand_in.token}"}
    clock.now += 301
    async with stand_in.session.get(found["url"], headers=headers) as answer:
        assert answer.status == 404


async def test_disconnecting_ends_the_token(stand_in: StandIn, receiver: Receiver) -> None:
    await stand_in.control("disconnect", reason="CHANGE_NUMBER")
    await stand_in.settle()
    (value,) = receiver.changes("account_update")
    assert value["event"] == "PARTNER_REMOVED"
    assert value["disconnection_info"] == {"reason": "CHANGE_NUMBER", "initiated_by": "USER"}
    assert (await stand_in.graph("GET", NUMBER))[1]["error"]["code"] == 190
    stand_in.token = (await stand_in.control("token"))["token"]
    assert (await stand_in.graph("GET", NUMBER, fields="status"))[1]["status"] == "CONNECTED"


async def test_files_can_be_gone_busy_damaged_or_stuck(stand_in: StandIn) -> None:
    sent = await stand_in.control("customer/send", chat="marina-souza", media="photo")
    media_id = sent["message"]["media"]["media_id"]
    for dial, code in (("gone", 33), ("busy", 80007)):
        await stand_in.control("faults", media=dial)
        assert (await stand_in.graph("GET", media_id))[1]["error"]["code"] == code
    await stand_in.control("faults", media="damaged")
    _, found = await stand_in.graph("GET", media_id)
    headers = {"Authorization": f"Bearer {stand_in.token}"}
    async with stand_in.session.get(found["url"], headers=headers) as answer:
        data = await answer.read()
    assert len(data) == found["file_size"]
    assert hashlib.sha256(data).hexdigest() != found["sha256"]
    await stand_in.control("faults", media="stuck")
    async with stand_in.session.get(found["url"], headers=headers) as answer:
        assert len(await answer.content.readexactly(found["file_size"] // 2)) > 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer.content.readany(), 0.2)
    await stand_in.control("faults", media="")
    assert "dial" in await stand_in.refused("faults", media="lost")
