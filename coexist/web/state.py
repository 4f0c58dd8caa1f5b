"""What every page needs, made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment
from starlette.requests import Request

from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool
from coexist.media.storage import Storage
from coexist.meta.graph import Graph
from coexist.web.live import Hub


@dataclass(frozen=True, slots=True)
class Web:
    """The settings, the database, templates, the hub of open pages, the way to Meta, the keys to tokens, the files."""

    settings: Settings
    pool: Pool
    templates: Environment
    hub: Hub
    graph: Graph
    keyring: Keyring
    storage: Storage


def web_of(request: Request) -> Web:
    """The process's one Web."""
    web: Web = request.app.state.web
    return web
