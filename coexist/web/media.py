"""A message's file, for members of its account, harmless whatever it is.

- ``GET /media/{message_id}``: the file; Range requests make players seek.
- ``GET /media/{message_id}/thumbnail``: its small picture.
- ``POST /messages/{message_id}/file``: try once more to fetch it.

The type was checked against the file's first bytes when it was stored. Only pictures, sound and film are shown in
place; everything else, SVG and PDF too, is only saved. A bucket's files come through here as well: each request is
checked like the page, which an address of the bucket's own, once given away, would not be.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from coexist.base.database import in_transaction, transaction
from coexist.base.errors import NotFound
from coexist.inbox import store
from coexist.inbox.model import Message
from coexist.media import actions, kinds, thumbnails
from coexist.media.model import Name
from coexist.web.access import Viewer
from coexist.web.messages import bubble_answer
from coexist.web.state import Web
from coexist.web.transfer import attachment, ranged

SANDBOX: Final = "default-src 'none'; sandbox"
PRIVATE: Final = "private, max-age=86400"
"""No cache but the viewer's own keeps it, and for a day: then it asks whether the viewer may still see it."""


class Streamed(StreamingResponse):
    """A body that comes piece by piece; what it is read from is closed as soon as the browser goes away."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], *, status: int, headers: dict[str, str]) -> None:
        super().__init__(pieces, status_code=status, headers=headers)
        self._pieces = pieces

    async def stream_response(self, send: Send) -> None:
        """Send the head and the pieces."""
        async with aclosing(self._pieces):
            await super().stream_response(send)


async def show_file(request: Request, web: Web, viewer: Viewer) -> Response:
    """The bytes of a message's file. Raises NotFound while, or because, they are not here."""
    message = await _message(request, web, viewer)
    name = _name(viewer, message)
    size = message.media_bytes if message.media_bytes is not None else await web.storage.size(name)
    if size is None:
        raise _missing()
    served = kinds.served_type(message.media_mime_type)
    file_name = PurePath(message.media_file_name or f"{message.type}-{message.id}").name
    disposition = attachment(file_name, is_shown=served is not None)
    return await _stream(request, web, name, size, served or kinds.UNKNOWN, disposition)


async def show_thumbnail(request: Request, web: Web, viewer: Viewer) -> Response:
    """The small picture of a message's photo or film. Raises NotFound when none was drawn."""
    message = await _message(request, web, viewer)
    name = _name(viewer, message).thumbnail
    if message.media_thumbnail_bytes is None:
        raise _missing()
    return await _stream(request, web, name, message.media_thumbnail_bytes, thumbnails.MIME_TYPE, "inline")


async def fetch_file(request: Request, web: Web, viewer: Viewer) -> Response:
    """Try once more to fetch a file; answers with the bubble, which says that it is on its way."""
    message_id: int = request.path_params["message_id"]
    await in_transaction(web.pool, lambda conn: actions.fetch_again(conn, viewer.member, message_id))
    return await bubble_answer(request, web, viewer, message_id)


async def _message(request: Request, web: Web, viewer: Viewer) -> Message:
    async with transaction(web.pool) as conn:
        return await store.message(conn, viewer.account_id, request.path_params["message_id"])


def _name(viewer: Viewer, message: Message) -> Name:
    if message.media_state != "stored" or message.media_sha256 is None:
        raise _missing()
    return Name(viewer.account_id, message.media_sha256)


def _missing() -> NotFound:
    return NotFound("This file is not here.", next_step="It may still come, or be only on the phone.")


async def _stream(request: Request, web: Web, name: Name, size: int, mime_type: str, disposition: str) -> Response:
    headers = {
        "Content-Type": mime_type,
        "Content-Disposition": disposition,
        "Content-Security-Policy": SANDBOX,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": PRIVATE,
        "Accept-Ranges": "bytes",
        "ETag": f'"{name.sha256}{"-thumbnail" if name.is_thumbnail else ""}"',
    }
    part = ranged(request.headers, headers["ETag"], size)
    if part.status in (304, 416) or request.method == "HEAD":
        return Response(status_code=part.status, headers=headers | part.headers)
    pieces = web.storage.read(name, part.start, part.length)
    first = await anext(pieces, b"")  # a file that is not there is said with a status, before anything is sent
    return Streamed(_with(first, pieces), status=part.status, headers=headers | part.headers)


async def _with(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece
