"""The parts of HTTP that carry files: ranges, conditions and names (RFC 9110, RFC 6266). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers

RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))")


@dataclass(frozen=True, slots=True)
class Part:
    """What of a file to send: the status, from where, how many bytes, and the headers that say so."""

    status: int
    start: int
    length: int
    headers: dict[str, str]


def ranged(asked: Headers, etag: str, size: int) -> Part:
    """What a GET of ``size`` bytes asks for: all (200), one range (206), nothing new (304), or what cannot be (416).

    Several ranges in one request, which no player needs, are refused rather than answered with much more than asked.
    """
    if etag in _listed(asked.get("if-none-match", "")):
        return Part(304, 0, 0, {})
    wanted = asked.get("range", "")
    whole = Part(200, 0, size, {"Content-Length": str(size)})
    if not wanted.startswith("bytes=") or asked.get("if-range", etag) != etag:
        return whole
    refused = Part(416, 0, 0, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
    found = RANGE.fullmatch(wanted.replace(" ", ""))
    if found is None:
        return refused
    if found[3] is not None:
        start, end = max(0, size - int(found[3])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if start >= end:
        return refused
    return Part(
        206,
        start,
        end - start,
        {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)},
    )


def attachment(file_name: str, *, is_shown: bool) -> str:
    """The Content-Disposition of a file: shown in place, or only saved, under its name in any script."""
    encoded = file_name.encode("utf-8", "replace")
    return f"{'inline' if is_shown else 'attachment'}; filename*=utf-8''{quote(encoded, safe='')}"


def _listed(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
