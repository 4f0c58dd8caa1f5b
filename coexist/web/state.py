"""What every page needs, made once per process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment
from starlette.requests import Request

from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool
from coexist.media.storage import Storage
from coexist.meta.graph import Graph
from coexist.web.live import Hub

Replay = Callable[[Connection, str, datetime | None, str], Awaitable[int]]
"""Has a number's import applied again that was received since a time, on whose behalf; returns how many deliveries."""


@dataclass(frozen=True, slots=True)
class Web:
    """The settings, the database, templates, the hub of open pages, the way to Meta, the keys to tokens, the files.

    ``replay`` is the journal's, which pages know nothing else of.
    """

    settings: Settings
    pool: Pool
    templates: Environment
    hub: Hub
    graph: Graph
    keyring: Keyring
    storage: Storage
    replay: Replay


def web_of(request: Request) -> Web:
    """The process's one Web."""
    web: Web = request.app.state.web
    return web
