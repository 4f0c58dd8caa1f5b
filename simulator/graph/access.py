"""Who calls: tokens, codes, and what they may see (meta-protocol.md 2.4, 2.5)."""

from typing import Any

from starlette.requests import Request

from simulator import coexistence
from simulator.config import CODE_LIFE_S, DAY_S
from simulator.graph.errors import Refused, invalid
from simulator.simulation import Simulation
from simulator.world import Grant, Json

EXPIRED = "Error validating access token: Session has expired."
SCOPES = ("whatsapp_business_management", "whatsapp_business_messaging")


async def parameters(request: Request) -> Json:
    """Query, form and JSON parameters together; a body that is not JSON is code 100."""
    given: Json = dict(request.query_params)
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return given | dict(await request.form())
    raw = await request.body()
    if not raw:
        return given
    try:
        body: Any = await request.json()
    except ValueError as error:
        raise invalid("The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return given | body


def bearer(request: Request) -> str:
    """The token of the call; code 190 when there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else request.query_params.get("access_token", "")
    if not token:
        raise Refused(190, "An access token is required to request this resource.", http=401)
    return token


def app_token(sim: Simulation) -> str:
    return f"{sim.config.app_id}|{sim.config.app_secret}"


def require_app(sim: Simulation, request: Request) -> None:
    """Only the app itself: its token is `{app_id}|{app_secret}` (1.1)."""
    if bearer(request) != app_token(sim):
        raise Refused(190, "Invalid OAuth access token.", http=401)


def require_business(sim: Simulation, request: Request) -> Grant:
    """A business token that still works."""
    found = sim.world.grants.get(bearer(request))
    if found is None or found.kind != "token":
        raise Refused(190, "Invalid OAuth access token.", "Cannot parse access token", http=401)
    if found.ended:
        details = "The business has removed the app's access to the account."
        raise Refused(190, "Error validating access token", details, http=401, subcode=460)
    if _has_expired(sim):
        raise Refused(190, EXPIRED, http=401, subcode=463)
    return found


def _has_expired(sim: Simulation) -> bool:
    return sim.faults.token_days is not None and sim.faults.token_days <= 0


def covered(sim: Simulation, grant: Grant) -> str:
    """The WABA that a token may see: one whose business shared it."""
    return grant.waba_id or sim.business.waba_id


async def exchange_code(sim: Simulation, request: Request) -> Json:
    """`GET /oauth/access_token`: a code lives 30 seconds and works once."""
    given = await parameters(request)
    if given.get("client_id") != sim.config.app_id or given.get("client_secret") != sim.config.app_secret:
        raise Refused(1, "Error validating client secret.")
    code = sim.world.grants.get(str(given.get("code", "")))
    if code is None or code.kind != "code":
        raise Refused(100, "Invalid verification code format.", subcode=36008)
    if code.ended:
        raise Refused(100, "This authorization code has been used.", subcode=36009)
    if sim.config.clock() - code.issued_at > CODE_LIFE_S:
        raise Refused(100, "This authorization code has expired.", subcode=36007)
    code.ended = True
    sim.world.changed(code)
    made = coexistence.grant(sim, "token", "EAA", code.waba_id)
    return {"access_token": made.value, "token_type": "bearer"}


async def debug_token(sim: Simulation, request: Request) -> Json:
    """`GET /debug_token`, for the app or for the token's own holder."""
    asked = (await parameters(request)).get("input_token")
    if not asked:
        raise Refused(100, "The parameter input_token is required.")
    if bearer(request) != app_token(sim):
        require_business(sim, request)
    found = sim.world.grants.get(str(asked))
    if found is None or found.kind != "token" or found.ended:
        error = {"code": 190, "message": "Invalid OAuth access token."}
        return {"data": {"is_valid": False, "error": error, "scopes": []}}
    days, has_expired = sim.faults.token_days, _has_expired(sim)
    scopes = [{"scope": scope, "target_ids": [covered(sim, found)]} for scope in SCOPES]
    return {
        "data": {
            "app_id": sim.config.app_id,
            "type": "SYSTEM_USER",
            "application": "Coexistence",
            "is_valid": not has_expired,
            **({"error": {"code": 190, "message": EXPIRED, "subcode": 463}} if has_expired else {}),
            "issued_at": int(found.issued_at),
            "expires_at": 0 if days is None else int(sim.config.clock() + days * DAY_S),
            "data_access_expires_at": 0,
            "scopes": [*SCOPES, "public_profile"],
            "granular_scopes": scopes,
            "user_id": "122000111222333",
        }
    }
