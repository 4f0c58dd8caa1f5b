"""`GET /control/*`: what the phone page shows and tests compare. `simulator/README.md` describes every call."""

import re

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from simulator import files, truth
from simulator.delivery import Delivery
from simulator.simulation import Simulation
from simulator.world import Json

USUAL_PAGE = 60
LARGEST_PAGE = 500
USUAL_DELIVERIES = 50

_RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


def _missing(sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=404)


async def read_truth(request: Request) -> Response:
    return JSONResponse(truth.everything(request.app.state.sim))


async def read_state(request: Request) -> Response:
    sim: Simulation = request.app.state.sim
    dials = {"faults": msgspec.to_builtins(sim.faults), "pace": msgspec.to_builtins(sim.pace)}
    return JSONResponse({**truth.summary(sim), **dials})


async def read_chats(request: Request) -> Response:
    """The chat list: newest first, each with its last message."""
    sim: Simulation = request.app.state.sim
    found = []
    for person in sim.world.people.values():
        wamids = sim.world.chats[person.key]
        last = truth.message_truth(sim, sim.world.messages[wamids[-1]]) if wamids else None
        found.append({**truth.chat(sim, person), "last": last})
    found.sort(key=lambda one: one["last"]["timestamp"] if one["last"] else 0, reverse=True)
    return JSONResponse({"chats": found})


async def read_chat(request: Request) -> Response:
    """A page of one chat: the newest messages, or those before the wamid `before`; `wamid` asks for one alone."""
    sim: Simulation = request.app.state.sim
    try:
        person = sim.person(request.path_params["chat"])
    except LookupError as error:
        return _missing(str(error))
    wamids = sim.world.chats[person.key]
    query = request.query_params
    end = wamids.index(query["before"]) if query.get("before") in wamids else len(wamids)
    limit = min(int(query.get("limit") or USUAL_PAGE), LARGEST_PAGE)
    page = [query["wamid"]] if query.get("wamid") in wamids else wamids[max(0, end - limit) : end]
    messages = [truth.message_truth(sim, sim.world.messages[wamid]) for wamid in page]
    return JSONResponse({**truth.chat(sim, person), "messages": messages, "earlier": end > limit})


async def read_deliveries(request: Request) -> Response:
    """The newest webhooks first; `bodies=1` adds the exact bytes as text."""
    sim: Simulation = request.app.state.sim
    count = int(request.query_params.get("n") or USUAL_DELIVERIES)
    bodies = bool(request.query_params.get("bodies"))
    newest = sorted(sim.deliveries.recent, key=lambda one: one.number, reverse=True)[:count]
    return JSONResponse({"deliveries": [_delivery(sim, one, bodies) for one in newest]})


def _delivery(sim: Simulation, one: Delivery, bodies: bool) -> Json:
    shown: Json = {
        "number": one.number,
        "fields": one.fields,
        "summary": one.summary,
        "bytes": len(one.body),
        "url": one.url,
        "due": one.due,
        "delivered_at": one.delivered_at,
        "attempts": msgspec.to_builtins(one.attempts),
        "pending": one.number in sim.deliveries.pending,
    }
    return shown | ({"body": one.body.decode("ascii")} if bodies else {})


async def read_file(request: Request) -> Response:
    """The bytes of a file shown on the phone, or a range of them, so that sound and film can be wound."""
    sim: Simulation = request.app.state.sim
    try:
        file = files.find(sim.world, request.path_params["name"])
    except (KeyError, OSError):
        return _missing("There is no such file.")
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}
    if not file.mime_type.startswith(("image/", "audio/", "video/", "application/pdf")):
        headers["Content-Disposition"] = "attachment"
    wanted = _RANGE.match(request.headers.get("range", ""))
    if not wanted:
        return Response(file.data, media_type=file.mime_type, headers=headers)
    first, last = int(wanted[1]), min(int(wanted[2] or len(file.data)), len(file.data) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(file.data)}"
    return Response(file.data[first : last + 1], 206, media_type=file.mime_type, headers=headers)


async def stream(request: Request) -> Response:
    """Server-sent events: `message`, `chat`, `delivery`, `connection`, `refused`, `reset`."""
    sim: Simulation = request.app.state.sim
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(sim.watchers.stream(), media_type="text/event-stream", headers=headers)


routes = [
    Route("/control/truth", read_truth),
    Route("/control/state", read_state),
    Route("/control/chats", read_chats),
    Route("/control/chats/{chat:str}", read_chat),
    Route("/control/deliveries", read_deliveries),
    Route("/control/files/{name:path}", read_file),
    Route("/control/stream", stream),
]
