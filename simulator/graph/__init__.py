"""Graph, as far as a coexistence number needs it: any version, Meta's paths, tokens and error envelope."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import chance
from simulator.config import OTHER_BUSINESS
from simulator.graph import access, media, numbers, sending, subscriptions, templates
from simulator.graph.errors import Refused, known, unknown_node
from simulator.simulation import Simulation
from simulator.world import Json

_VERSION = re.compile(r"^v\d{1,2}\.\d$")
_CALLS_PER_HOUR = 5_000

Call = Callable[[Simulation, Request], Awaitable[Json]]

_PLAIN: dict[tuple[str, str], Call] = {
    ("GET", "oauth/access_token"): access.exchange_code,
    ("POST", "oauth/access_token"): access.exchange_code,
    ("GET", "debug_token"): access.debug_token,
}
_APP: dict[tuple[str, str], Call] = {
    ("GET", "subscriptions"): subscriptions.list_app,
    ("POST", "subscriptions"): subscriptions.subscribe_app,
    ("DELETE", "subscriptions"): subscriptions.unsubscribe_app,
}
_WABA: dict[tuple[str, str], Call] = {
    ("GET", ""): numbers.read_waba,
    ("GET", "phone_numbers"): numbers.list_numbers,
    ("GET", "message_templates"): templates.list_all,
    ("POST", "message_templates"): templates.create,
    ("DELETE", "message_templates"): templates.delete,
    ("GET", "subscribed_apps"): subscriptions.list_wabas_apps,
    ("POST", "subscribed_apps"): subscriptions.subscribe_waba,
    ("DELETE", "subscribed_apps"): subscriptions.unsubscribe_waba,
}
_OTHER_WABA: dict[tuple[str, str], Call] = {
    ("GET", "phone_numbers"): numbers.list_other_numbers,
}
_NUMBER: dict[tuple[str, str], Call] = {
    ("GET", ""): numbers.read_number,
    ("POST", ""): subscriptions.override_number,
    ("POST", "smb_app_data"): numbers.request_sync,
    ("POST", "messages"): sending.send,
    ("POST", "media"): media.upload,
    ("POST", "register"): numbers.refuse_registration,
    ("POST", "deregister"): numbers.refuse_registration,
    ("GET", "whatsapp_business_profile"): numbers.read_profile,
}


async def _answer(sim: Simulation, request: Request) -> Json:
    """Find the call behind a path and make it, for who may."""
    version, node, edge = (request.path_params.get(name, "") for name in ("version", "node", "edge"))
    if not _VERSION.match(version):
        raise Refused(2500, f"Unknown path components: /{version}", http=400)
    plain = _PLAIN.get((request.method, f"{node}/{edge}".strip("/")))
    if plain:
        return await plain(sim, request)
    if node == sim.config.app_id:
        return await _found(_APP, request.method, edge)(sim, request)
    waba_id = access.covered(sim, access.require_business(sim, request))
    if waba_id == OTHER_BUSINESS.waba_id == node:
        return await _found(_OTHER_WABA, request.method, edge)(sim, request)
    if waba_id != sim.business.waba_id:
        raise unknown_node(node)
    if node == sim.business.waba_id:
        return await _found(_WABA, request.method, edge)(sim, request)
    if node == sim.business.phone_number_id:
        return await _found(_NUMBER, request.method, edge)(sim, request)
    if not edge and node in sim.world.handles and request.method in ("GET", "DELETE"):
        act = media.look_up if request.method == "GET" else media.delete
        return await act(sim, request, node)
    template = None if edge else templates.find(sim, node)
    if template and request.method in ("GET", "POST"):
        return await (templates.read if request.method == "GET" else templates.edit)(sim, request, template)
    raise unknown_node(node)


def _found(calls: dict[tuple[str, str], Call], method: str, edge: str) -> Call:
    call = calls.get((method, edge))
    if call is None:
        raise Refused(2500, f"Unknown path components: /{edge}", http=400)
    return call


async def _with_faults(sim: Simulation, request: Request) -> Json:
    """The dials for Graph: an error instead of the call, or silence before or after it."""
    path = request.url.path
    wrong, silent = sim.faults.graph_error, sim.faults.graph_timeout
    if wrong and wrong.count > 0 and wrong.path in path and wrong.method in ("", request.method):
        wrong.count -= 1
        raise known(wrong.code, "Refused by the dial.")
    if silent and silent.count > 0 and silent.path in path:
        silent.count -= 1
        if silent.accepted:
            await _answer(sim, request)
        await asyncio.sleep(silent.seconds)
        raise known(2, "No answer in time.")
    return await _answer(sim, request)


async def graph(request: Request) -> Response:
    """Every Graph call: JSON with the usage header, or the error envelope."""
    sim: Simulation = request.app.state.sim
    used = sim.count_call() * 100 // _CALLS_PER_HOUR
    usage = f'{{"call_count":{used},"total_cputime":{used},"total_time":{used}}}'
    headers = {"X-App-Usage": usage, "facebook-api-version": request.path_params["version"]}
    wrong = sim.faults.graph_error
    if wrong and wrong.count > 0 and wrong.wait_minutes:
        use = f'{{"type":"messaging","call_count":100,"estimated_time_to_regain_access":{wrong.wait_minutes}}}'
        headers["X-Business-Use-Case-Usage"] = f'{{"{sim.business.waba_id}":[{use}]}}'
    try:
        return JSONResponse(await _with_faults(sim, request), headers=headers)
    except Refused as refused:
        if sim.faults.template_codes:
            refused.under_its_subcode()
        trace_id = chance.trace(sim.world.epoch, sim.world.number("refusal"))
        sim.watchers.tell("refused", {"path": request.url.path, "code": refused.code})
        return JSONResponse(refused.envelope(trace_id), status_code=refused.http, headers=headers)


_METHODS = ["GET", "POST", "DELETE"]

routes = [
    Route("/lookaside/{media_id:str}", media.download),
    Route("/{version:str}/{node:str}/{edge:str}", graph, methods=_METHODS),
    Route("/{version:str}/{node:str}", graph, methods=_METHODS),
]
