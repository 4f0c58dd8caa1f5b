"""Media ids: upload, lookup, download, delete (meta-protocol.md 7.5)."""

import asyncio
import hmac
from collections.abc import AsyncIterator

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from simulator import files
from simulator.config import MEDIA_URL_LIFE_S, UPLOAD_LIFE_S
from simulator.graph.access import require_business
from simulator.graph.errors import Refused, invalid, known, missing, unknown_node
from simulator.simulation import Simulation
from simulator.world import Json, MediaHandle

MIB = 1_048_576
STUCK_S = 3_600
LIMITS_BYTES = {"image": 5 * MIB, "video": 16 * MIB, "audio": 16 * MIB, "sticker": MIB // 2, "document": 100 * MIB}


def kind_of(mime_type: str) -> str:
    """The message type a media type belongs to."""
    if mime_type == "image/webp":
        return "sticker"
    head = mime_type.partition("/")[0]
    return head if head in ("image", "video", "audio") else "document"


async def upload(sim: Simulation, request: Request) -> Json:
    """`POST /{phone_number_id}/media`: multipart `messaging_product`, `file`, `type`."""
    async with request.form() as form:
        if form.get("messaging_product") != "whatsapp":
            raise invalid("messaging_product must be whatsapp.")
        given = form.get("file")
        if not isinstance(given, UploadFile):
            raise missing("file")
        data = await given.read()
        mime_type = str(form.get("type") or given.content_type or "application/octet-stream")
    limit = LIMITS_BYTES[kind_of(mime_type)]
    if len(data) > limit:
        raise invalid(f"The file has {len(data)} bytes; {mime_type} may have {limit}.")
    name = files.keep_upload(sim.world, data, mime_type)
    return {"id": sim.world.new_handle(name, mime_type, sim.now() + UPLOAD_LIFE_S).id}


def find_handle(sim: Simulation, media_id: str) -> MediaHandle:
    """A media id that exists and has not expired."""
    handle = sim.world.handles.get(media_id)
    if handle is None or sim.now() > handle.expires_at:
        raise unknown_node(media_id)
    return handle


async def look_up(sim: Simulation, request: Request, media_id: str) -> Json:
    """`GET /{media_id}`: a url for five minutes."""
    number = request.query_params.get("phone_number_id")
    if number not in (None, sim.business.phone_number_id):
        raise unknown_node(media_id)
    handle = find_handle(sim, media_id)
    if sim.faults.media == "gone":
        raise unknown_node(media_id)
    if sim.faults.media == "busy":
        raise known(80007, "Refused by the dial.")
    file = files.find(sim.world, handle.file)
    base_url = f"{request.url.scheme}://{request.url.netloc}"
    return {
        "messaging_product": "whatsapp",
        "url": files.address(base_url, media_id, sim.now() + MEDIA_URL_LIFE_S, sim.config.app_secret),
        "mime_type": handle.mime_type,
        "sha256": file.sha256,
        "file_size": len(file.data),
        "id": media_id,
    }


async def delete(sim: Simulation, request: Request, media_id: str) -> Json:
    """`DELETE /{media_id}`."""
    handle = find_handle(sim, media_id)
    handle.expires_at = 0
    sim.world.changed(handle)
    return {"success": True}


async def download(request: Request) -> Response:
    """The bytes behind a url: with the bearer token, and only while the url lives."""
    sim: Simulation = request.app.state.sim
    media_id = request.path_params["media_id"]
    try:
        require_business(sim, request)
        handle = find_handle(sim, media_id)
    except Refused as refused:
        return Response(refused.message, status_code=404 if refused.code == 33 else 401)
    if "ext" in request.query_params:
        until = request.query_params["ext"]
        honest = until.isdigit() and hmac.compare_digest(
            files.stamp(media_id, int(until), sim.config.app_secret), request.query_params.get("hash", "")
        )
        if not honest or sim.now() > int(until):
            return Response("URL signature expired", status_code=404)
    data = files.find(sim.world, handle.file).data
    if sim.faults.media == "stuck":
        headers = {"Content-Length": str(len(data))}
        return StreamingResponse(_half(data), media_type=handle.mime_type, headers=headers)
    if sim.faults.media == "damaged":
        data = bytes(len(data))
    return Response(data, media_type=handle.mime_type)


async def _half(data: bytes) -> AsyncIterator[bytes]:
    """Half of a file, then silence until whoever asked goes away."""
    yield data[: len(data) // 2]
    await asyncio.sleep(STUCK_S)
