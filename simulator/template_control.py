"""`/control/templates*`: what happens to message templates from outside. `simulator/README.md` describes every call."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import catalogue, templates
from simulator.simulation import Simulation
from simulator.world import Json, Template

MOST = 7_000


def shown(template: Template) -> Json:
    """A template as the phone page shows it and tests read it."""
    told = templates.node(template)
    return {**told, "pauses": template.pauses, "deleted_at": template.deleted_at}


async def read_all(request: Request) -> Response:
    """All templates as they are, whatever Graph's list still says; with `deleted=1` the deleted ones too."""
    sim: Simulation = request.app.state.sim
    with_deleted = bool(request.query_params.get("deleted"))
    found = [one for one in sim.world.templates.values() if with_deleted or one.deleted_at is None]
    return JSONResponse({"templates": [shown(one) for one in found]})


def _template(sim: Simulation, asked: Json) -> Template:
    """By `template` (its id), or by `name` and, where there are several, `language`."""
    if not asked.get("template") and not asked.get("name"):
        raise ValueError("template is missing: an id, or name and language.")
    living = [one for one in sim.world.templates.values() if one.deleted_at is None]
    if asked.get("template"):
        found = [one for one in living if one.id == str(asked["template"])]
    else:
        found = [one for one in living if asked["name"] == one.name and asked.get("language") in (None, one.language)]
    if not found:
        raise LookupError("There is no such template.")
    if len(found) > 1:
        raise ValueError(f"language is missing: {', '.join(one.language for one in found)}.")
    return found[0]


def pause(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    templates.pause(sim, template, asked.get("title"))
    return shown(template)


def resume(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    templates.unpause(sim, template, str(asked.get("event", "REINSTATED")))
    return shown(template)


def disable(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    templates.disable(sim, template)
    return shown(template)


def reject(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    reason = str(asked.get("reason", "INVALID_FORMAT"))
    templates.reject(sim, template, reason, info_beside=bool(asked.get("info_beside")))
    return shown(template)


def approve(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    templates.happen(sim, template, "APPROVED")
    return shown(template)


def delete(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    templates.happen(sim, template, "DELETED")
    return shown(template)


def event(sim: Simulation, asked: Json) -> Json:
    """Any other event of the status: `{event, reason?}`."""
    template = _template(sim, asked)
    templates.happen(sim, template, str(asked["event"]), reason=asked.get("reason", "NONE"))
    return shown(template)


def category(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    act = templates.announce_category if asked.get("announce") else templates.change_category
    act(sim, template, str(asked["category"]))
    return shown(template)


def quality(sim: Simulation, asked: Json) -> Json:
    template = _template(sim, asked)
    under_status = bool(asked.get("under_status", sim.faults.quality_under_status))
    templates.rate(sim, template, str(asked["quality"]), under_status=under_status)
    return shown(template)


def components(sim: Simulation, asked: Json) -> Json:
    """Another text: `{body}`, or all `{components}`."""
    template = _template(sim, asked)
    if "components" not in asked:
        templates.rewrite(sim, template, templates.with_body(template, str(asked["body"])))
    else:
        templates.rewrite(sim, template, _list_of_objects(asked["components"]))
    return shown(template)


def add(sim: Simulation, asked: Json) -> Json:
    """A template made in Meta's own tools: the platform hears of it by its status, if at all."""
    name, language = str(asked["name"]), str(asked.get("language", "pt_BR"))
    if sim.world.find_template(name, language):
        raise ValueError("There is a template of that name in that language.")
    made = templates.create(
        sim,
        name,
        language,
        str(asked.get("category", "UTILITY")),
        _list_of_objects(asked["components"]),
        str(asked.get("parameter_format", "POSITIONAL")),
        "PENDING",
    )
    templates.happen(sim, made, str(asked.get("event", "APPROVED")))
    return shown(made)


def many(sim: Simulation, asked: Json) -> Json:
    count = asked.get("count")
    if not isinstance(count, int) or not 1 <= count <= MOST:
        raise ValueError(f"count is a whole number from 1 to {MOST}.")
    catalogue.many(sim.world, count)
    return {"count": sum(one.deleted_at is None for one in sim.world.templates.values())}


def release(sim: Simulation, asked: Json) -> Json:
    return {"released": templates.release(sim, drop=bool(asked.get("drop")))}


def _list_of_objects(value: object) -> list[Json]:
    try:
        return msgspec.convert(value, list[Json])
    except msgspec.ValidationError as error:
        raise ValueError("components is a list of objects.") from error


ACTS = {
    "templates/add": add,
    "templates/approve": approve,
    "templates/category": category,
    "templates/components": components,
    "templates/delete": delete,
    "templates/disable": disable,
    "templates/event": event,
    "templates/many": many,
    "templates/pause": pause,
    "templates/quality": quality,
    "templates/reject": reject,
    "templates/release": release,
    "templates/resume": resume,
}

routes = [Route("/control/templates", read_all)]
