"""``GET /media/{message_id}``: a message's file, for members of its account, harmless whatever it is.

The type was checked against the file's first bytes when it was stored. Only pictures, sound and film are shown in
place; everything else, SVG and PDF too, is only saved. Range requests make players seek.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from coexist.base.database import transaction
from coexist.base.errors import NotFound
from coexist.inbox import store
from coexist.media import files
from coexist.media.kinds import UNKNOWN
from coexist.web.access import Viewer
from coexist.web.bubbles import INLINE_IMAGES
from coexist.web.state import Web

SANDBOX: Final = "default-src 'none'; sandbox"
PRIVATE: Final = "private, max-age=31536000, immutable"
"""The address names a message, whose stored file never becomes another one; no cache but the viewer's own keeps it."""


async def show_file(request: Request, web: Web, viewer: Viewer) -> Response:
    """The bytes of a message's file. Raises NotFound while, or because, they are not here."""
    async with transaction(web.pool) as conn:
        message = await store.message(conn, viewer.account_id, request.path_params["message_id"])
    if message.media_sha256 is None:
        raise NotFound("This file is not here.", next_step="It may still come, or be only on the phone.")
    with files.open_stored(web.settings.data_dir, message.media_sha256):
        path = files.path_of(web.settings.data_dir, message.media_sha256)
    mime = message.media_mime_type or UNKNOWN
    kind = mime.split(";")[0].strip().lower()
    is_shown = kind in INLINE_IMAGES or kind.startswith(("audio/", "video/"))
    name = PurePath(message.media_file_name or f"{message.type}-{message.id}").name
    return FileResponse(
        path,
        media_type=mime if is_shown else UNKNOWN,
        filename=name,
        content_disposition_type="inline" if is_shown else "attachment",
        headers={"Content-Security-Policy": SANDBOX, "Cache-Control": PRIVATE},
    )
