"""What every page needs, made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment
from starlette.requests import Request

from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.web.live import Hub


@dataclass(frozen=True, slots=True)
class Web:
    """The settings, the database, the templates and the hub of open pages."""

    settings: Settings
    pool: Pool
    templates: Environment
    hub: Hub


def web_of(request: Request) -> Web:
    """The process's one Web."""
    web: Web = request.app.state.web
    return web
