"""The bytes behind media: drawn pictures, shipped assets, and what was uploaded."""

import hashlib
import hmac
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulator import pictures
from simulator.world import Upload, World

ASSETS = Path(__file__).parent / "assets"
VOICE_MIME = "audio/ogg; codecs=opus"


@dataclass(frozen=True)
class File:
    """`sha256` is lower-case hex."""

    data: bytes
    mime_type: str
    sha256: str


def find(world: World, name: str) -> File:
    """The file of that name: `picture:plant-1`, `asset:quote.pdf`, `upload:<sha256>`. KeyError when there is none."""
    kind, _, rest = name.partition(":")
    if kind == "upload":
        upload = world.uploads[rest]
        return File(upload.data, upload.mime_type, upload.sha256)
    return _built_in(kind, rest)


def mime_type(world: World, name: str) -> str:
    """The media type of a file, told without drawing it."""
    kind, _, rest = name.partition(":")
    return world.uploads[rest].mime_type if kind == "upload" else _built_in_mime(kind, rest)


def keep_upload(world: World, data: bytes, mime: str) -> str:
    """Keep uploaded bytes once; returns the file's name."""
    upload = Upload(hashlib.sha256(data).hexdigest(), mime, data)
    if upload.sha256 not in world.uploads:
        world.uploads[upload.sha256] = upload
        world.changed(upload)
    return f"upload:{upload.sha256}"


def address(base_url: str, media_id: str, until: int, secret: str) -> str:
    """Where a file can be fetched until then (Unix seconds), signed as Meta signs its own."""
    return f"{base_url}/lookaside/{media_id}?ext={until}&hash={stamp(media_id, until, secret)}"


def stamp(media_id: str, until: int, secret: str) -> str:
    """The signature in an address."""
    return hmac.new(secret.encode(), f"{media_id}:{until}".encode(), hashlib.sha256).hexdigest()[:32]


@cache
def _built_in(kind: str, rest: str) -> File:
    data = pictures.picture(rest) if kind == "picture" else (ASSETS / rest).read_bytes()
    return File(data, _built_in_mime(kind, rest), hashlib.sha256(data).hexdigest())


def _built_in_mime(kind: str, rest: str) -> str:
    if kind == "picture":
        return "image/webp" if rest.startswith("sticker") else "image/jpeg"
    if rest.endswith(".ogg"):
        return VOICE_MIME
    return mimetypes.guess_type(rest)[0] or "application/octet-stream"
