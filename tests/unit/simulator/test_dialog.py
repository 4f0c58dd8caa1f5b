"""Meta's sign-up window as the stand-in plays it: who may open it, what it gives, and what that access covers."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.config import OTHER_BUSINESS
from tests.unit.simulator.conftest import APP_ID, NUMBER, SECRET, WABA, StandIn, Start

Json = dict[str, Any]


async def finish(stand_in: StandIn, waba_id: str, *, share: bool = True) -> str:
    """The code that the last screen gives."""
    asked = {"waba_id": waba_id, "share": share}
    async with stand_in.session.post(f"{stand_in.url}/dialog/finish", json=asked) as answer:
        return str((await answer.json())["code"])


async def token_for(stand_in: StandIn, code: str) -> str:
    query = {"client_id": APP_ID, "client_secret": SECRET, "code": code}
    status, answer = await stand_in.graph("GET", "oauth/access_token", None, **query)
    assert status == 200, answer
    return str(answer["access_token"])


async def covered(stand_in: StandIn) -> list[str]:
    query = {"input_token": stand_in.token, "access_token": f"{APP_ID}|{SECRET}"}
    async with stand_in.session.get(f"{stand_in.url}/v25.0/debug_token", params=query) as answer:
        scopes = (await answer.json())["data"]["granular_scopes"]
    return sorted({waba_id for scope in scopes for waba_id in scope["target_ids"]})


async def test_the_script_may_be_loaded_from_anywhere(start: Start) -> None:
    stand_in = await start()
    async with stand_in.session.get(f"{stand_in.url}/sdk.js") as answer:
        assert answer.content_type == "text/javascript"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "fbAsyncInit" in await answer.text()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"client_id": APP_ID, "config_id": "1", "response_type": "code"}, 200),
        ({"client_id": "42", "config_id": "1", "response_type": "code"}, 400),
        ({"client_id": APP_ID, "response_type": "code"}, 400),
        ({"client_id": APP_ID, "config_id": "1", "response_type": "token"}, 400),
    ],
)
async def test_the_window_opens_for_the_app_alone(start: Start, asked: Json, status: int) -> None:
    stand_in = await start()
    async with stand_in.session.get(f"{stand_in.url}/dialog", params=asked) as answer:
        assert answer.status == status


async def test_finishing_makes_the_number_coexist_and_gives_a_code(start: Start) -> None:
    stand_in = await start()
    stand_in.token = await token_for(stand_in, await finish(stand_in, WABA, share=False))
    assert await covered(stand_in) == [WABA]
    assert (await stand_in.graph("GET", NUMBER, fields="is_on_biz_app"))[1]["is_on_biz_app"]
    state = await stand_in.get("/control/state")
    assert (state["connection"]["state"], state["connection"]["share"]) == ("connected", False)


async def test_a_number_that_is_connected_is_not_onboarded_again(stand_in: StandIn) -> None:
    assert (await stand_in.sync("history"))[0] == 200
    stand_in.token = await token_for(stand_in, await finish(stand_in, WABA))
    assert (await stand_in.sync("history"))[1]["error"]["code"] == 2593107


async def test_another_business_gives_access_to_its_own_account_alone(start: Start) -> None:
    stand_in = await start()
    stand_in.token = await token_for(stand_in, await finish(stand_in, OTHER_BUSINESS.waba_id))
    assert await covered(stand_in) == [OTHER_BUSINESS.waba_id]
    fields = {"fields": "is_on_biz_app,platform_type"}
    _, listed = await stand_in.graph("GET", f"{OTHER_BUSINESS.waba_id}/phone_numbers", None, **fields)
    number = {"id": OTHER_BUSINESS.phone_number_id, "is_on_biz_app": False, "platform_type": "CLOUD_API"}
    assert listed["data"] == [number]
    for node in (WABA, NUMBER):
        assert (await stand_in.graph("GET", node))[1]["error"]["code"] == 33
    assert (await stand_in.get("/control/state"))["connection"]["state"] == "none"


async def test_the_window_shows_the_businesses_and_its_parts(start: Start) -> None:
    stand_in = await start()
    own, other = (await stand_in.get("/dialog/businesses"))["businesses"]
    assert (own["name"], own["is_connected"]) == ("Jardim Verde", False)
    assert other["waba_id"] == OTHER_BUSINESS.waba_id
    for part in ("window.css", "signup-window.js", "screens.js"):
        async with stand_in.session.get(f"{stand_in.url}/dialog/static/{part}") as answer:
            assert answer.status == 200
