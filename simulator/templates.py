"""The life of message templates at Meta: review, pauses, categories, and how webhooks tell of it (5.9, 9.1)."""

from datetime import UTC, datetime

from simulator import catalogue, payloads, statuses
from simulator.config import DAY_S
from simulator.simulation import Simulation
from simulator.world import Json, Template

CATEGORIES = ("MARKETING", "UTILITY", "AUTHENTICATION")
QUALITIES = ("GREEN", "YELLOW", "RED", "UNKNOWN")
PAUSES = ("FIRST_PAUSE", "SECOND_PAUSE", "RATE_LIMITING_PAUSE")

STATUS_AFTER = {
    "APPROVED": "APPROVED",
    "ARCHIVED": "ARCHIVED",
    "DELETED": "DELETED",
    "DISABLED": "DISABLED",
    "FLAGGED": "APPROVED",
    "IN_APPEAL": "IN_APPEAL",
    "LIMIT_EXCEEDED": "LIMIT_EXCEEDED",
    "LOCKED": "LOCKED",
    "PAUSED": "PAUSED",
    "PENDING": "PENDING",
    "PENDING_DELETION": "PENDING_DELETION",
    "REINSTATED": "APPROVED",
    "REJECTED": "REJECTED",
    "UNARCHIVED": "APPROVED",
}
"""Every event of `message_template_status_update`, and the status that Graph tells after it."""

REASONS = (
    "ABUSIVE_CONTENT",
    "INCORRECT_CATEGORY",
    "INVALID_FORMAT",
    "NONE",
    "PROMOTIONAL",
    "SCAM",
    "TAG_CONTENT_MISMATCH",
)
WHY_PAUSED = "This template was paused because customers blocked or reported it."
WHY_DISABLED = "This template was disabled because its quality stayed low."
ADVICE = "Change the text so that it fits the category and the format, and submit it again."


def node(template: Template) -> Json:
    """All fields of a template as Graph tells them; what it does not have is None."""
    return {
        "id": template.id,
        "name": template.name,
        "status": template.status,
        "category": template.category,
        "language": template.language,
        "components": template.components,
        "quality_score": {"score": template.quality},
        "rejected_reason": template.rejected_reason,
        "parameter_format": template.parameter_format,
        "previous_category": template.previous_category,
        "correct_category": template.correct_category,
    }


def listed(sim: Simulation) -> list[Json]:
    """What Graph's list tells: the truth, or by a dial for a while what was true before."""
    lag_s = sim.faults.template_lag_s
    found: list[Json | None] = []
    for template in sim.world.templates.values():
        lags = template.was is not None and sim.config.clock() - template.changed_at < lag_s
        found.append(template.was if lags else None if template.deleted_at else node(template))
    return [one for one in found if one]


def create(
    sim: Simulation, name: str, language: str, category: str, components: list[Json], parameter_format: str, status: str
) -> Template:
    """A new template. Whoever calls has looked at whether it may be."""
    made = Template(catalogue.new_id(sim.world), name, language, category, status, components, parameter_format)
    made.was, made.changed_at = {}, sim.config.clock()
    sim.world.add_template(made)
    return made


def submit(sim: Simulation, template: Template) -> None:
    """Meta reviews a new or edited template after a while, as the dial says."""
    world = sim.world

    def decide() -> None:
        if sim.world is not world or template.status != "PENDING" or sim.faults.review == "wait":
            return
        if sim.faults.review == "reject":
            reject(sim, template, "INVALID_FORMAT")
        else:
            happen(sim, template, "APPROVED")

    sim.later(sim.pace.review_ms / 1_000, decide)


def resume(sim: Simulation) -> None:
    """After a restart, go on reviewing."""
    for template in sim.world.templates.values():
        if template.status == "PENDING":
            submit(sim, template)


def happen(
    sim: Simulation,
    template: Template,
    event: str,
    *,
    reason: str | None = "NONE",
    beside: Json | None = None,
    **more: Json,
) -> None:
    """One event of `message_template_status_update`: the template changes, and the webhook tells it."""
    if event not in STATUS_AFTER:
        raise ValueError(f"event is one of {', '.join(STATUS_AFTER)}.")
    if reason is not None and reason not in REASONS:
        raise ValueError(f"reason is one of {', '.join(REASONS)}.")
    remember(sim, template)
    template.status = STATUS_AFTER[event]
    template.rejected_reason = (reason or "NONE") if event == "REJECTED" else "NONE"
    if event == "DELETED":
        template.deleted_at = sim.now()
    sim.world.changed(template)
    told = {"event": event, "reason": reason, "message_template_category": template.category, **more}
    _tell(sim, "message_template_status_update", template, told, beside)


def pause(sim: Simulation, template: Template, title: str | None = None) -> None:
    """Low quality: for 3 hours, then for 6, then for good (9.1). `title` names another pause than the next one."""
    if title is not None and title not in PAUSES:
        raise ValueError(f"title is one of {', '.join(PAUSES)}.")
    if title is None and template.pauses >= 2:
        disable(sim, template)
        return
    title = title or PAUSES[template.pauses]
    template.pauses += 1
    happen(sim, template, "PAUSED", other_info={"title": title, "description": WHY_PAUSED})


def unpause(sim: Simulation, template: Template, event: str = "REINSTATED") -> None:
    """A paused or disabled template may be sent again. Meta names it REINSTATED or APPROVED."""
    if event not in ("REINSTATED", "APPROVED", "UNARCHIVED"):
        raise ValueError("event is REINSTATED, APPROVED or UNARCHIVED.")
    happen(sim, template, event, other_info={"title": "UNPAUSE", "description": "The template may be sent again."})


def disable(sim: Simulation, template: Template) -> None:
    """For good, but for an appeal."""
    date = datetime.fromtimestamp(sim.now(), UTC).strftime("%Y-%m-%d")
    info: Json = {"title": "DISABLED", "description": WHY_DISABLED}
    happen(sim, template, "DISABLED", other_info=info, disable_info={"disable_date": date})


def reject(sim: Simulation, template: Template, reason: str, *, info_beside: bool = False) -> None:
    """Meta refuses it. The advice stands in the value, or, as it has been seen, beside it."""
    advice: Json = {"rejection_info": {"reason": reason, "recommendation": ADVICE}}
    if info_beside:
        happen(sim, template, "REJECTED", reason=reason, beside=advice)
    else:
        happen(sim, template, "REJECTED", reason=reason, **advice)


def announce_category(sim: Simulation, template: Template, category: str) -> None:
    """Meta will change the category in a day."""
    _check_category(category)
    remember(sim, template)
    template.correct_category = category
    sim.world.changed(template)
    told: Json = {"new_category": template.category, "correct_category": category}
    told["category_update_timestamp"] = sim.now() + DAY_S
    _tell(sim, "template_category_update", template, told)


def change_category(sim: Simulation, template: Template, category: str) -> None:
    """Meta has changed the category, and with it the price."""
    _check_category(category)
    remember(sim, template)
    template.previous_category, template.category, template.correct_category = template.category, category, None
    sim.world.changed(template)
    told: Json = {"previous_category": template.previous_category, "new_category": category}
    _tell(sim, "template_category_update", template, told)


def rate(sim: Simulation, template: Template, quality: str, *, under_status: bool = False) -> None:
    """Another quality; `under_status` tells it under the field of the status, as Meta's own sample does."""
    if quality not in QUALITIES:
        raise ValueError(f"quality is one of {', '.join(QUALITIES)}.")
    remember(sim, template)
    told: Json = {"previous_quality_score": template.quality, "new_quality_score": quality}
    template.quality = quality
    sim.world.changed(template)
    field = "message_template_status_update" if under_status else "message_template_quality_update"
    _tell(sim, field, template, told)


def rewrite(sim: Simulation, template: Template, components: list[Json]) -> None:
    """The text was changed in Meta's own tools."""
    remember(sim, template)
    template.components = components
    sim.world.changed(template)
    _tell(sim, "message_template_components_update", template, payloads.template_components(template))


def with_body(template: Template, text: str) -> list[Json]:
    """Its components with another body."""
    if not text.strip():
        raise ValueError("A template needs a text.")
    return [{**one, "text": text} if one.get("type") == "BODY" else one for one in template.components]


def release(sim: Simulation, *, drop: bool = False) -> int:
    """Send what was held for quality, or drop it as of bad quality. Returns how many messages that were."""
    waiting = [message for message in sim.world.messages.values() if message.held]
    for message in waiting:
        message.held = False
        if drop:
            statuses.fail(sim, message, 132015, "Template is paused", "The template's quality was assessed as low.")
        else:
            statuses.begin(sim, message)
    return len(waiting)


def remember(sim: Simulation, template: Template) -> None:
    """Keep what Graph's list tells until it has caught up."""
    now = sim.config.clock()
    if template.was is None or now - template.changed_at >= sim.faults.template_lag_s:
        template.was = {} if template.deleted_at else node(template)
    template.changed_at = now


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        raise ValueError(f"category is one of {', '.join(CATEGORIES)}.")


def _tell(sim: Simulation, field: str, template: Template, told: Json, beside: Json | None = None) -> None:
    if sim.faults.template_webhooks_lost:
        return
    value = payloads.template_value(template, told, dashed=sim.faults.dashed_languages)
    sim.tell(field, value, beside=beside)
