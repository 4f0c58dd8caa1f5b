"""What tests of files need: a customer who sends one, the means to fetch it, and its bytes read back."""

from __future__ import annotations

import hashlib
import io
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from PIL import Image

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.media import worker
from coexist.media.fetch import Means
from coexist.media.keeping import Keep, open_keep
from coexist.media.model import Name
from coexist.media.storage import Storage, open_storage
from coexist.meta.graph import Graph
from tests.support.business import Business, inbound
from tests.support.business import deliver as deliver_changes
from tests.support.intake import KEYRING
from tests.support.scripted_graph import ScriptedGraph


def keep_of(pool: Pool, settings: Settings) -> Keep:
    """Where files go, as the settings say."""
    return open_keep(pool, settings, open_storage(settings))


def means_of(pool: Pool, graph: Graph, settings: Settings) -> Means:
    """What fetching needs."""
    return Means(pool, graph, KEYRING, settings, keep_of(pool, settings))


async def read(storage: Storage, name: Name, start: int = 0, length: int | None = None) -> bytes:
    """The bytes of a stored file, or a part of them."""
    async with aclosing(storage.read(name, start, length)) as pieces:
        return b"".join([piece async for piece in pieces])


def picture(width: int = 30, height: int = 20, *, kind: str = "JPEG", orientation: int | None = None) -> bytes:
    """A picture of that size."""
    out = io.BytesIO()
    image = Image.new("RGB", (width, height), "teal")
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(out, kind, exif=exif)
    return out.getvalue()


async def tell(business: Business, content: bytes, *, wamid: str = "wamid.IMG", **other: Any) -> None:
    """A customer sends a file."""
    change = inbound(wamid, "")
    message = change["value"]["messages"][0]
    sha256 = hashlib.sha256(content).hexdigest()
    file = {"id": "880", "mime_type": "image/jpeg", "sha256": sha256} | other
    kind = file["mime_type"].split("/")[0]
    kind = kind if kind in ("image", "audio", "video") else "document"
    message.update({"type": kind, kind: file})
    del message["text"]
    await deliver_changes(business.pool, change)


async def media_rows(business: Business) -> list[tuple[Any, ...]]:
    """State, hash, bytes, width, height, type, attempts and error of each file."""
    async with business.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT state::text, stored_sha256, bytes, width, height, mime_type, attempts, error FROM media ORDER BY id"
        )
        return await cursor.fetchall()


async def fetch(business: Business, graph: Graph, settings: Settings, *, after: timedelta = timedelta()) -> int:
    """Fetch what is due at that time; returns how many files were tried."""
    at = clock.now() + after
    with clock.reading(lambda: at):
        return await drain(business, graph, settings)


async def drain(business: Business, graph: Graph, settings: Settings) -> int:
    """Fetch what is due now; returns how many files were tried."""
    means, count = means_of(business.pool, graph, settings), 0
    while await worker.fetch_next(means):
        count += 1
    return count


async def tell_some(business: Business, scripted: ScriptedGraph, count: int) -> None:
    """A customer sends that many pictures, which Meta has: 90, 91 and so on."""
    for number in range(count):
        content = picture(10 + number)
        scripted.files[f"9{number}"] = ({}, content)
        await tell(business, content, wamid=f"wamid.{number}", id=f"9{number}")


async def reason(business: Business) -> str | None:
    """Why the first file is not here."""
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT reason FROM media ORDER BY id LIMIT 1")).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])
