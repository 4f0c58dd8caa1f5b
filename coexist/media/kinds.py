"""What a file really is, as far as its bytes tell: a browser must not be led to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

UNKNOWN: Final = "application/octet-stream"
"""A browser only saves it."""
SHOWN: Final = ("image/", "audio/", "video/")
"""Families that pages may show in place; everything else is only offered to be saved."""

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

INLINE: Final = frozenset(
    {
        "image/jpeg", "image/png", "image/webp", "image/gif",
        "audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/wav", "audio/webm",
        "video/mp4", "video/3gpp", "video/webm", "video/quicktime",
    }
)  # fmt: skip
"""Types that a browser shows or plays without running anything in them. SVG is not among them, nor is PDF."""

DRAWN_PIXELS_MAX: Final = 40_000_000
"""A picture with more is not drawn small, nor shown in place: 160 MB while it is unfolded are enough."""

OPUS_PER_MS: Final = 48
"""Opus counts 48,000 samples a second, whatever was recorded."""
OGG_TAIL_BYTES: Final = 64 * 1024
"""A page of Ogg has 65,307 bytes at most; those of voice notes are far smaller."""


def safe_type(declared: str | None, head: bytes) -> str:
    """Return the MIME type to keep a file with: the declared one, unless its bytes contradict it.

    What is declared as image, sound or film must begin like one; otherwise it becomes ``application/octet-stream``.
    """
    if not declared:
        return UNKNOWN
    family = next((family for family in SHOWN if declared.lower().startswith(family)), None)
    return declared if family is None or family in _families(head) else UNKNOWN


def plain(mime_type: str | None) -> str:
    """The type alone, in lower case: ``audio/ogg`` of ``audio/ogg; codecs=opus``."""
    return (mime_type or UNKNOWN).split(";")[0].strip().lower()


def served_type(mime_type: str | None) -> str | None:
    """The type to serve a file with when a page may show it in place, in words of ours; None for what is only saved."""
    kind = plain(mime_type)
    if kind not in INLINE:
        return None
    return f"{kind}; codecs=opus" if kind == "audio/ogg" and "opus" in (mime_type or "").lower() else kind


def voice_duration_ms(path: Path) -> int | None:
    """How long an Ogg/Opus file plays (RFC 7845): its last page's position less what a player skips."""
    with path.open("rb") as file:
        head = file.read(256)
        file.seek(max(0, path.stat().st_size - OGG_TAIL_BYTES))
        tail = file.read()
    opus, page = head.find(b"OpusHead"), tail.rfind(b"OggS")
    if not head.startswith(b"OggS") or opus < 0 or page < 0 or len(tail) < page + 14:
        return None
    skipped = int.from_bytes(head[opus + 10 : opus + 12], "little")
    position = int.from_bytes(tail[page + 6 : page + 14], "little", signed=True)
    duration = (position - skipped) // OPUS_PER_MS
    return duration if 0 < duration < 2**31 else None


def _families(head: bytes) -> set[str]:
    found = {family for at, sign, family in SIGNATURES if head[at : at + len(sign)] == sign}
    if "video/" in found or head.startswith(b"OggS"):
        found |= {"audio/", "video/"}  # containers of either
    if head[:1] == b"\xff" and head[1:2] and head[1] & 0xE0 == 0xE0:
        found.add("audio/")  # an MPEG or AAC frame
    return found
