"""``GET /media/{message_id}``: a message's file, for members of its account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.errors import NotFound
from coexist.web.access import Viewer
from coexist.web.state import Web


async def show_file(request: Request, web: Web, viewer: Viewer) -> Response:
    raise NotFound("soon")
