"""The WABA and its number (meta-protocol.md 1.6, 2.5), the one-shot sync call (3), and the profile."""

from datetime import UTC, datetime

from starlette.requests import Request

from simulator import coexistence
from simulator.config import OTHER_BUSINESS
from simulator.graph.access import parameters
from simulator.graph.errors import Refused, invalid, known, missing
from simulator.simulation import Simulation
from simulator.world import Json


def chosen(node: Json, fields: object, usual: tuple[str, ...]) -> Json:
    """A node with the fields asked for; what is not available is left out, not null (1.1)."""
    names = [name.split("{")[0].split(".")[0].strip() for name in str(fields).split(",")] if fields else list(usual)
    return {name: node[name] for name in dict.fromkeys(("id", *names)) if node.get(name) is not None}


async def read_waba(sim: Simulation, request: Request) -> Json:
    """`GET /{waba}`."""
    owner = {"id": sim.business.portfolio_id, "name": sim.business.name}
    node: Json = {
        "id": sim.business.waba_id,
        "name": sim.business.name,
        "currency": "BRL",
        "timezone_id": "25",
        "message_template_namespace": "5f0c1d2e_3a4b_4c5d_8e9f_0a1b2c3d4e5f",
        "owner_business_info": owner,
        "business_verification_status": "verified",
        "account_review_status": "APPROVED",
        "health_status": health(sim, "WABA", sim.business.waba_id),
    }
    usual = ("name", "currency", "timezone_id", "message_template_namespace")
    return chosen(node, request.query_params.get("fields"), usual)


def number_node(sim: Simulation) -> Json:
    """All fields of the number as Graph knows them now."""
    connection = sim.world.connection
    coexists = connection.state in ("connected", "offboarded")
    lives = (
        {}
        if sim.faults.number_lags
        else {
            "is_on_biz_app": coexists,
            "platform_type": "CLOUD_API" if coexists else "NOT_APPLICABLE",
        }
    )
    overrides = {
        "phone_number": connection.number_override,
        "whatsapp_business_account": connection.waba_override,
        "application": sim.world.app.callback_url,
    }
    return {
        "id": sim.business.phone_number_id,
        "display_phone_number": sim.business.display_phone_number,
        "verified_name": sim.business.name,
        **lives,
        "quality_rating": sim.faults.quality,
        "code_verification_status": "VERIFIED",
        "status": {"connected": "CONNECTED", "offboarded": "OFFLINE"}.get(connection.state, "DISCONNECTED"),
        "name_status": "APPROVED",
        "throughput": {"level": "STANDARD"},
        "last_onboarded_time": _iso(connection.onboarded_at),
        "webhook_configuration": {name: url for name, url in overrides.items() if url},
        "health_status": health(sim, "PHONE_NUMBER", sim.business.phone_number_id),
    }


NUMBER_FIELDS = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
    "last_onboarded_time",
)


async def list_numbers(sim: Simulation, request: Request) -> Json:
    """`GET /{waba}/phone_numbers`."""
    node = chosen(number_node(sim), request.query_params.get("fields"), NUMBER_FIELDS)
    return {"data": [node], "paging": {"cursors": {"before": "QVFIUZA1", "after": "QVFIUZA1"}}}


async def list_other_numbers(sim: Simulation, request: Request) -> Json:
    """`GET /{waba}/phone_numbers` of the business that is chosen by mistake: no phone app has its number."""
    other = OTHER_BUSINESS
    node: Json = {
        "id": other.phone_number_id,
        "display_phone_number": other.display_phone_number,
        "verified_name": other.name,
        "is_on_biz_app": False,
        "platform_type": "CLOUD_API",
        "status": "CONNECTED",
    }
    return {"data": [chosen(node, request.query_params.get("fields"), NUMBER_FIELDS)]}


async def read_number(sim: Simulation, request: Request) -> Json:
    """`GET /{phone_number_id}`."""
    return chosen(number_node(sim), request.query_params.get("fields"), NUMBER_FIELDS)


async def request_sync(sim: Simulation, request: Request) -> Json:
    """`POST /{phone_number_id}/smb_app_data`: each type once, within 24 hours of onboarding."""
    given = await parameters(request)
    if given.get("messaging_product") != "whatsapp":
        raise invalid("messaging_product must be whatsapp.")
    sync_type = given.get("sync_type")
    if not sync_type:
        raise missing("sync_type")
    if sync_type not in coexistence.SYNC_TYPES:
        raise invalid(f"sync_type must be one of {', '.join(coexistence.SYNC_TYPES)}.")
    try:
        request_id = coexistence.request_sync(sim, sync_type)
    except coexistence.AlreadyRequested as error:
        raise known(2593107, f"{sync_type} was already requested since the number was onboarded.") from error
    except coexistence.TooLate as error:
        raise known(2593108, "More than 24 hours have passed since the number was onboarded.") from error
    return {"messaging_product": "whatsapp", "request_id": request_id}


async def refuse_registration(sim: Simulation, request: Request) -> Json:
    """`register` and `deregister`: a coexistence number belongs to its phone (2.5, 2.8)."""
    details = "This number is registered on the WhatsApp Business app. Disconnect it in the app."
    raise Refused(100, "Unsupported request for a number on the WhatsApp Business app", details)


async def read_profile(sim: Simulation, request: Request) -> Json:
    """`GET /{phone_number_id}/whatsapp_business_profile`."""
    profile = {
        "messaging_product": "whatsapp",
        "about": "Plantas, vasos e conversa boa 🌿",
        "address": "Rua das Camélias 45, São Paulo",
        "description": "Loja de plantas e oficina de jardinagem.",
        "email": "oi@jardimverde.example",
        "vertical": "RETAIL",
        "websites": ["https://jardimverde.example/"],
    }
    return {"data": [profile]}


def _iso(at: int | None) -> str | None:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000") if at is not None else None


def health(sim: Simulation, kind: str, node: str) -> Json:
    """Whether the account or its number may send, and what stands against it (1.6)."""
    state = sim.faults.health if sim.connected else "BLOCKED"
    entity: Json = {"entity_type": kind, "id": node, "can_send_message": state}
    if not sim.connected:
        reason = "The number is not connected to the platform."
        solution = "Open the WhatsApp Business app and connect it again."
        entity["errors"] = [{"error_code": 141000, "error_description": reason, "possible_solution": solution}]
    elif state != "AVAILABLE":
        reason, solution = "The account may not send.", "Ask for a review in Business Support Home."
        entity["errors"] = [{"error_code": 141010, "error_description": reason, "possible_solution": solution}]
    return {"can_send_message": state, "entities": [entity]}
