"""Small pictures of photos and films, drawn by ``drawing`` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from coexist.base import log
from coexist.media import kinds

DRAW_S: Final = 30
"""The longest that drawing one may take."""
MIME_TYPE: Final = "image/webp"

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """A picture's size in pixels as it is shown, and its thumbnail's in bytes; None when it needs none."""

    width: int
    height: int
    thumbnail_bytes: int | None


async def draw(source: Path, mime_type: str, target: Path) -> Measured | None:
    """Measure a picture, or a film if ffmpeg is on this machine, and draw its thumbnail to ``target``.

    None for what is neither, or cannot be read: it is shown without.
    """
    family = kinds.plain(mime_type).partition("/")[0]
    if family != "image" and (family != "video" or shutil.which("ffmpeg") is None):
        return None
    return await _run("picture" if family == "image" else "film", source, target)


async def _run(kind: str, source: Path, target: Path) -> Measured | None:
    drawing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coexist.media.drawing", kind, str(source), str(target),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")},  # no secrets
        start_new_session=True,
    )  # fmt: skip
    try:
        out, complaint = await asyncio.wait_for(drawing.communicate(), DRAW_S)
    except TimeoutError:
        logger.warning("thumbnail_took_too_long", seconds=DRAW_S)
        return None
    finally:
        if drawing.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(drawing.pid, signal.SIGKILL)  # with the ffmpeg it may have started
            await drawing.wait()
    if drawing.returncode != 0:
        why = complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
        logger.info("no_thumbnail", kind=kind, exit_code=drawing.returncode, why=why)
        return None
    return msgspec.json.decode(out, type=Measured)
