"""Templates: one environment, escaping everything, and the words for times that templates ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from coexist.base import clock
from coexist.base.counts import counted
from coexist.inbox.model import Message
from coexist.web import life_words, words
from coexist.web.bubbles import bubble_of
from coexist.web.state import Web

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
HUES: Final = 10
"""Colours of avatars; which one is a contact's never changes."""


def _static_version() -> str:
    """A word that changes with any static file, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


STATIC_VERSION: Final = _static_version()


@dataclass(frozen=True, slots=True)
class Times:
    """Times in words for one viewer, now."""

    zone: tzinfo
    now: datetime

    def brief(self, at: datetime) -> str:
        """For lists."""
        return words.brief(at, self.zone, self.now)

    def moment(self, at: datetime) -> str:
        """For sentences."""
        return words.moment(at, self.zone, self.now)

    def full(self, at: datetime) -> str:
        """For hovering."""
        return words.full(at, self.zone)

    def there(self, text: str) -> str:
        """A sentence of a check with its times as the viewer's."""
        return words.told_there(text, self.zone, self.now)

    def date(self, at: datetime) -> str:
        """The date alone."""
        return words.plain_date(at, self.zone)


def times_of(zone: tzinfo) -> Times:
    """Times in words for a zone at this moment."""
    return Times(zone, clock.now())


def create_templates() -> Environment:
    """The environment of all templates."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = f"/static/{STATIC_VERSION}"
    environment.globals["icon"] = icon
    environment.globals["state_of"] = life_words.state_of
    environment.filters |= {
        "phone": words.phone,
        "contact_name": words.contact_name,
        "initials": words.initials,
        "hue": lambda id: f"hue-{id % HUES}",
        "counted": counted,
        "grouped": words.grouped,
        "capped": words.capped,
    }
    return environment


def icon(name: str, title: str = "") -> Markup:
    """An icon of the sprite: decoration, or with a title a sign that is read aloud."""
    use = Markup('<use href="/static/{}/vendor/lucide-1.62.0.svg#{}"/></svg>').format(STATIC_VERSION, name)
    if title:
        return Markup('<svg class="icon" role="img" aria-label="{0}"><title>{0}</title>').format(title) + use
    return Markup('<svg class="icon" aria-hidden="true">') + use


def html(web: Web, template: str, *, status: int = 200, **context: Any) -> Response:
    """A response with the rendered template."""
    return HTMLResponse(web.templates.get_template(template).render(context), status_code=status)


def bubble_renderer(templates: Environment) -> Callable[[Message, tzinfo, int], str]:
    """The one way a bubble becomes HTML: the page, the answer to a form and the stream share it.

    The number is the newest event that the message was surely read after: of two bubbles the later one stays.
    """
    template = templates.get_template("parts/bubble.html")

    def render(message: Message, zone: tzinfo, as_of: int) -> str:
        return template.render(bubble=bubble_of(message, zone, clock.now()), opens_day=False, as_of=as_of)

    return render
