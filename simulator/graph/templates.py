"""Message templates by Graph: listing, creating, reading, editing, deleting (meta-protocol.md 1.6, 9.1)."""

import base64
import binascii
from urllib.parse import urlencode

from starlette.requests import Request

from simulator import templates
from simulator.config import DAY_S
from simulator.graph.access import bearer, parameters
from simulator.graph.errors import invalid, template_refusal
from simulator.graph.numbers import chosen, health
from simulator.graph.submission import check
from simulator.simulation import Simulation
from simulator.world import Json, Template

USUAL_PAGE = 25
LARGEST_PAGE = 100
NAME_BLOCKED_S = 30 * DAY_S
USUAL_FIELDS = ("name", "parameter_format", "components", "language", "status", "category")
FILTERS = ("name", "status", "language", "category")
EDITABLE = ("APPROVED", "REJECTED", "PAUSED")
WORSE = ("AVAILABLE", "LIMITED", "BLOCKED")


async def list_all(sim: Simulation, request: Request) -> Json:
    """`GET /{waba}/message_templates`: a page of it, by cursor; `next` only when there is another page."""
    query = request.query_params
    wanted = {name: query[name] for name in FILTERS if query.get(name)}
    found = [one for one in templates.listed(sim) if all(one[name] == value for name, value in wanted.items())]
    limit = _limit(query.get("limit"))
    start = _place(query["after"]) + 1 if query.get("after") else 0
    if query.get("before"):
        start = max(0, _place(query["before"]) - limit)
    page = found[start : start + limit]
    answer: Json = {"data": [chosen(one, query.get("fields"), USUAL_FIELDS) for one in page]}
    if not page:
        return answer
    first, last = _cursor(start), _cursor(start + len(page) - 1)
    paging: Json = {"cursors": {"before": first, "after": last}}
    if start + limit < len(found):
        paging["next"] = _address(request, limit, after=last)
    if start:
        paging["previous"] = _address(request, limit, before=first)
    return {**answer, "paging": paging}


async def create(sim: Simulation, request: Request) -> Json:
    """`POST /{waba}/message_templates`: PENDING, until Meta has reviewed it."""
    asked = check(await parameters(request))
    _refuse_a_second(sim, asked.name, asked.language)
    living = sum(one.deleted_at is None for one in sim.world.templates.values())
    if living >= sim.faults.template_limit:
        raise template_refusal(2388019)
    made = templates.create(
        sim, asked.name, asked.language, asked.category, asked.components, asked.parameter_format, "PENDING"
    )
    templates.submit(sim, made)
    return {"id": made.id, "status": made.status, "category": made.category}


async def read(sim: Simulation, request: Request, template: Template) -> Json:
    """`GET /{template_id}`."""
    node = templates.node(template) | {"health_status": _health(sim, template)}
    return chosen(node, request.query_params.get("fields"), USUAL_FIELDS)


async def edit(sim: Simulation, request: Request, template: Template) -> Json:
    """`POST /{template_id}`: new components, or another category of one that is not approved. Reviewed again."""
    given = await parameters(request)
    if template.status not in EDITABLE:
        raise invalid(f"A template that is {template.status} cannot be edited.")
    if template.status == "APPROVED" and given.get("category", template.category) != template.category:
        raise invalid("The category of an approved template cannot be edited.")
    asked = check({"name": template.name, "language": template.language, **_fixed(template), **given})
    templates.remember(sim, template)
    template.components, template.category, template.status = asked.components, asked.category, "PENDING"
    sim.world.changed(template)
    templates.submit(sim, template)
    return {"success": True}


async def delete(sim: Simulation, request: Request) -> Json:
    """`DELETE /{waba}/message_templates`: one by `hsm_id`, or a `name` in all its languages."""
    given = await parameters(request)
    name, hsm_id = given.get("name"), given.get("hsm_id")
    if not name and not hsm_id:
        raise invalid("The parameter name or hsm_id is required.")
    living = [one for one in sim.world.templates.values() if one.deleted_at is None]
    gone = [one for one in living if name in (None, one.name) and hsm_id in (None, one.id)]
    if not gone:
        raise template_refusal(2593002)
    for template in gone:
        templates.happen(sim, template, "DELETED")
    return {"success": True}


def find(sim: Simulation, node: str) -> Template | None:
    """The template of that id, unless it was deleted."""
    found = sim.world.templates.get(node)
    return found if found and found.deleted_at is None else None


def _fixed(template: Template) -> Json:
    return {
        "category": template.category,
        "components": template.components,
        "parameter_format": template.parameter_format,
    }


def _refuse_a_second(sim: Simulation, name: str, language: str) -> None:
    if sim.world.find_template(name, language):
        raise template_refusal(2388024)
    for one in sim.world.templates.values():
        if (
            one.deleted_at
            and (one.name, one.language) == (name, language)
            and sim.now() - one.deleted_at < NAME_BLOCKED_S
        ):
            raise template_refusal(2388023)


def _limit(text: str | None) -> int:
    if not text:
        return USUAL_PAGE
    if not text.isdecimal() or int(text) < 1:
        raise invalid("limit must be a whole number from 1.")
    return min(int(text), LARGEST_PAGE)


def _cursor(place: int) -> str:
    """A place in the list, opaque as Meta writes it."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().replace("=", "ZD")


def _place(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor.replace("ZD", "=")))
    except (binascii.Error, ValueError) as error:
        raise invalid("The cursor is not one that was given.") from error


def _address(request: Request, limit: int, **cursor: str) -> str:
    """The ready-made address of another page: it carries the token, as Meta's does."""
    kept = {name: value for name, value in request.query_params.items() if name not in ("after", "before", "limit")}
    query = {"access_token": bearer(request), **kept, "limit": str(limit), **cursor}
    return f"{request.url.replace(query='')}?{urlencode(query)}"


def _health(sim: Simulation, template: Template) -> Json:
    """The worst of the template and of the account it belongs to (1.6)."""
    state = "AVAILABLE" if template.status == "APPROVED" else "BLOCKED"
    own: Json = {"entity_type": "MESSAGE_TEMPLATE", "id": template.id, "can_send_message": state}
    if state == "BLOCKED":
        reason, solution = f"The template is {template.status}.", "Use another template, or edit this one."
        own["errors"] = [{"error_code": 141014, "error_description": reason, "possible_solution": solution}]
    elif template.quality == "RED":
        own["can_send_message"], own["additional_info"] = "LIMITED", ["The quality of the template is low."]
    waba = health(sim, "WABA", sim.business.waba_id)
    entities = [own, *waba["entities"]]
    return {
        "can_send_message": max((one["can_send_message"] for one in entities), key=WORSE.index),
        "entities": entities,
    }
