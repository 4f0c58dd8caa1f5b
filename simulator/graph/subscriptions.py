"""Webhook subscriptions of the app, the WABA and the number (meta-protocol.md 2.6, 4.1, 4.2)."""

import asyncio
import secrets

import aiohttp
from starlette.requests import Request

from simulator.graph.access import parameters, require_app
from simulator.graph.errors import Refused, invalid, missing
from simulator.simulation import Simulation
from simulator.world import Json

MOST_URL_CHARS = 200
VERIFY_LIMIT_S = 10.0
VERIFY_AGAIN_S = 0.5
OBJECT = "whatsapp_business_account"


async def list_wabas_apps(sim: Simulation, request: Request) -> Json:
    """`GET /{waba}/subscribed_apps`."""
    connection = sim.world.connection
    if not connection.waba_subscribed or sim.faults.unsubscribed:
        return {"data": []}
    link = "https://www.facebook.com/games/?app_id=" + sim.config.app_id
    app: Json = {"whatsapp_business_api_data": {"id": sim.config.app_id, "name": "Coexistence", "link": link}}
    if connection.waba_override:
        app["override_callback_uri"] = connection.waba_override
    return {"data": [app]}


async def subscribe_waba(sim: Simulation, request: Request) -> Json:
    """`POST /{waba}/subscribed_apps`: idempotent; an override is verified first, an empty body removes it."""
    given = await parameters(request)
    sim.world.connection.waba_override = await _override(given)
    sim.world.connection.waba_subscribed = True
    sim.world.changed(sim.world.connection)
    return {"success": True}


async def unsubscribe_waba(sim: Simulation, request: Request) -> Json:
    """`DELETE /{waba}/subscribed_apps`."""
    sim.world.connection.waba_subscribed, sim.world.connection.waba_override = False, None
    sim.world.changed(sim.world.connection)
    return {"success": True}


async def override_number(sim: Simulation, request: Request) -> Json:
    """`POST /{phone_number_id}` with `webhook_configuration`."""
    wanted = (await parameters(request)).get("webhook_configuration")
    if not isinstance(wanted, dict):
        raise missing("webhook_configuration")
    sim.world.connection.number_override = await _override(wanted)
    sim.world.changed(sim.world.connection)
    return {"success": True}


async def list_app(sim: Simulation, request: Request) -> Json:
    """`GET /{app_id}/subscriptions`."""
    require_app(sim, request)
    app = sim.world.app
    if not app.callback_url or not app.fields:
        return {"data": []}
    ticked = [name for name in app.fields if name not in sim.faults.missing_fields]
    fields = [{"name": name, "version": "v25.0"} for name in ticked]
    return {"data": [{"object": OBJECT, "callback_url": app.callback_url, "active": True, "fields": fields}]}


async def subscribe_app(sim: Simulation, request: Request) -> Json:
    """`POST /{app_id}/subscriptions`: verifies the callback, then replaces the whole list of fields."""
    require_app(sim, request)
    given = await parameters(request)
    if given.get("object") != OBJECT:
        raise invalid(f"object must be {OBJECT}.")
    for name in ("callback_url", "verify_token", "fields"):
        if not given.get(name):
            raise missing(name)
    fields = given["fields"]
    names = fields.split(",") if isinstance(fields, str) else list(fields)
    await _verify(str(given["callback_url"]), str(given["verify_token"]))
    sim.world.app.callback_url, sim.world.app.verify_token = str(given["callback_url"]), str(given["verify_token"])
    sim.world.app.fields = [name.strip() for name in names]
    sim.world.changed(sim.world.app)
    return {"success": True}


async def unsubscribe_app(sim: Simulation, request: Request) -> Json:
    """`DELETE /{app_id}/subscriptions`: the fields named, or all."""
    require_app(sim, request)
    named = str((await parameters(request)).get("fields", ""))
    gone = {name.strip() for name in named.split(",")} if named else set(sim.world.app.fields)
    sim.world.app.fields = [name for name in sim.world.app.fields if name not in gone]
    sim.world.changed(sim.world.app)
    return {"success": True}


async def verify_callback(sim: Simulation) -> None:
    """Verify the callback that the stand-in was started with, as the dashboard does: again until it answers."""
    while sim.world.app.callback_url:
        try:
            await _verify(sim.world.app.callback_url, sim.world.app.verify_token)
        except Refused:
            await asyncio.sleep(VERIFY_AGAIN_S)
        else:
            return


async def _override(given: Json) -> str | None:
    url = given.get("override_callback_uri")
    if not url:
        return None
    if len(url) > MOST_URL_CHARS:
        raise invalid(f"override_callback_uri may have {MOST_URL_CHARS} characters.")
    await _verify(str(url), str(given.get("verify_token", "")))
    return str(url)


async def _verify(url: str, token: str) -> None:
    """The GET with a challenge that Meta makes before it believes a callback (4.1)."""
    challenge = str(secrets.randbelow(10**10))
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    details = "no answer"
    try:
        timeout = aiohttp.ClientTimeout(total=VERIFY_LIMIT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, params=query, allow_redirects=False) as answer,
        ):
            body = await answer.text()
            if answer.status == 200 and body == challenge:
                return
            details = f"HTTP {answer.status}"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        details = str(error) or type(error).__name__
    raise Refused(2200, f"Callback verification failed with the following errors: {details}")
