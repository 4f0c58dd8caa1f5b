"""What a file really is, as far as its first bytes tell: a browser must not be led to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

UNKNOWN: Final = "application/octet-stream"
"""A browser only saves it."""
PIXELS_MAX: Final = 100_000_000
SHOWN: Final = ("image/", "audio/", "video/")
"""Families that pages show in place; everything else is only offered to be saved."""
EXIF_ORIENTATION: Final = 0x0112
TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

SIGNATURES: Final = (
    (0, b"\xff\xd8\xff", "image/"),
    (0, b"\x89PNG\r\n\x1a\n", "image/"),
    (0, b"GIF87a", "image/"),
    (0, b"GIF89a", "image/"),
    (8, b"WEBP", "image/"),
    (4, b"ftyp", "video/"),  # MP4, 3GP and M4A
    (0, b"\x1aE\xdf\xa3", "video/"),  # WebM
    (0, b"OggS", "audio/"),
    (0, b"ID3", "audio/"),
    (0, b"#!AMR", "audio/"),
    (8, b"WAVE", "audio/"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """An image's size in pixels as it is shown."""

    width: int
    height: int


def safe_type(declared: str | None, head: bytes) -> str:
    """Return the MIME type to serve a file with: the declared one, unless its bytes contradict it.

    What is declared as image, sound or film must begin like one; otherwise it becomes ``application/octet-stream``.
    """
    if not declared:
        return UNKNOWN
    family = next((family for family in SHOWN if declared.lower().startswith(family)), None)
    return declared if family is None or family in _families(head) else UNKNOWN


def image_size(path: Path) -> Size | None:
    """Return an image's size from its header; None for what is no image or beyond PIXELS_MAX."""
    try:
        with Image.open(path, formats=("JPEG", "PNG", "GIF", "WEBP")) as image:
            width, height = image.size
            if image.getexif().get(EXIF_ORIENTATION) in TURNED:
                width, height = height, width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    return Size(width, height) if 0 < width * height <= PIXELS_MAX else None


def _families(head: bytes) -> set[str]:
    found = {family for at, sign, family in SIGNATURES if head[at : at + len(sign)] == sign}
    if "video/" in found or head.startswith(b"OggS"):
        found |= {"audio/", "video/"}  # containers of either
    if head[:1] == b"\xff" and head[1:2] and head[1] & 0xE0 == 0xE0:
        found.add("audio/")  # an MPEG or AAC frame
    return found
