"""Meta's sign-up window and the JavaScript SDK that opens it, as far as a page notices (meta-protocol.md 2.2, 2.3)."""

from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from simulator import coexistence
from simulator.config import OTHER_BUSINESS, Business
from simulator.simulation import Simulation
from simulator.world import Json

FOLDER = Path(__file__).parent


async def sdk(request: Request) -> Response:
    """The SDK. As at Meta, any page may load it; it opens the window only for the app's own id."""
    text = (FOLDER / "sdk.js").read_text("utf-8")
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(text, media_type="text/javascript", headers=headers)


async def window(request: Request) -> Response:
    """The window itself, or Meta's refusal of an app or configuration that it does not know."""
    sim: Simulation = request.app.state.sim
    asked = request.query_params
    wrong = None
    if asked.get("client_id") != sim.config.app_id:
        wrong = "Invalid App ID"
    elif not asked.get("config_id") or asked.get("response_type") != "code":
        wrong = "Invalid parameter: config_id is required, and response_type must be code"
    if wrong:
        return HTMLResponse(f"<!doctype html><title>Error</title><p>{wrong}.</p>", 400)
    return HTMLResponse((FOLDER / "window.html").read_text("utf-8"), headers={"Cache-Control": "no-store"})


async def read_businesses(request: Request) -> Response:
    """What somebody who is signed in at Meta may choose from. `is_connected`: the way is short, nothing is asked."""
    sim: Simulation = request.app.state.sim
    connection = sim.world.connection
    own = _shown(sim.business) | {"is_connected": connection.state == "connected", "share": connection.share}
    other = _shown(OTHER_BUSINESS) | {"is_connected": True, "share": False}
    return JSONResponse({"businesses": [own, other]})


def _shown(business: Business) -> Json:
    shown: Json = msgspec.to_builtins(business)
    return {name: shown[name] for name in ("name", "portfolio_id", "waba_id", "digits", "display_phone_number")}


async def finish(request: Request) -> Response:
    """The last screen: the number coexists, and a code for the access. Shown again it gives another code."""
    sim: Simulation = request.app.state.sim
    asked: Json = await request.json()
    if asked["waba_id"] == OTHER_BUSINESS.waba_id:
        return JSONResponse({"code": coexistence.grant(sim, "code", "AQ", OTHER_BUSINESS.waba_id).value})
    if sim.world.connection.state != "connected":
        sim.world.connection.share = bool(asked["share"])
        return JSONResponse({"code": (await coexistence.onboard(sim))["code"]})
    return JSONResponse({"code": coexistence.grant(sim, "code", "AQ").value})


routes: list[BaseRoute] = [
    Route("/sdk.js", sdk),
    Route("/dialog", window),
    Route("/dialog/businesses", read_businesses),
    Route("/dialog/finish", finish, methods=["POST"]),
    Mount("/dialog/static", StaticFiles(directory=FOLDER / "static")),
]
