"""Measures a picture or a film, and draws it small: a program of its own, for the bytes come from strangers.

    python -m coexist.media.drawing picture|film SOURCE TARGET

Prints {"width", "height", "thumbnail_bytes"}: pixels as it is shown, and the size of TARGET, a small WebP, or null. A
decoder that crashes, loops or swells ends this process and nothing else: it has limits, and is killed in time.
"""

import io
import json
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import IO, Final

from PIL import Image, ImageOps

from coexist.media.kinds import DRAWN_PIXELS_MAX

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP")
PIXELS_MAX: Final = 100_000_000
"""More is no picture but an attack: it is not even measured."""
BOX: Final = (680, 600)
"""Pixels of a thumbnail at most: twice what a bubble shows, for fine screens."""
SMALL_BYTES: Final = 64 * 1024
"""What is smaller than this, and fits into the box, needs no thumbnail."""
QUALITY: Final = 78
EXIF_ORIENTATION: Final = 0x0112
TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

MEMORY_BYTES: Final = 1536 * 1024 * 1024
"""Of addresses, most of them of libraries."""
CPU_S: Final = 20
TARGET_BYTES: Final = 16 * 1024 * 1024
FRAME_BYTES_MAX: Final = 32 * 1024 * 1024


def main(kind: str, source: Path, target: Path) -> None:
    """Print what was found. Ends with an error for what is no such file."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, TARGET_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    if kind == "film":
        found = _draw(io.BytesIO(_first_frame(source)), target, is_always_drawn=True)
    else:
        with source.open("rb") as file:
            found = _draw(file, target, is_always_drawn=source.stat().st_size > SMALL_BYTES)
    sys.stdout.write(json.dumps(found))


def _draw(file: IO[bytes], target: Path, *, is_always_drawn: bool) -> dict[str, int | None]:
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if image.getexif().get(EXIF_ORIENTATION) in TURNED:
            width, height = height, width
        fits = width <= BOX[0] and height <= BOX[1]
        # What moves is shown as it is: its first frame alone would be another picture.
        is_still = getattr(image, "n_frames", 1) == 1
        is_drawn = is_still and width * height <= DRAWN_PIXELS_MAX and (is_always_drawn or not fits)
        if is_drawn:
            image.draft(None, (2 * BOX[0], 2 * BOX[1]))  # a JPEG is decoded at the scale that is needed
            small = ImageOps.exif_transpose(image)
            small.thumbnail(BOX, Image.Resampling.LANCZOS, reducing_gap=2.0)
            has_alpha = "A" in small.getbands() or "transparency" in small.info
            small.convert("RGBA" if has_alpha else "RGB").save(target, "WEBP", quality=QUALITY, method=4)
    return {"width": width, "height": height, "thumbnail_bytes": target.stat().st_size if is_drawn else None}


def _first_frame(source: Path) -> bytes:
    """The first frame as JPEG, by ffmpeg, which is told the container: it never guesses one that opens other files."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SystemExit("ffmpeg is not on this machine")
    with source.open("rb") as file:
        container = "matroska" if file.read(4) == b"\x1aE\xdf\xa3" else "mov"
    command = [
        ffmpeg, "-nostdin", "-loglevel", "error", "-threads", "1", "-protocol_whitelist", "file,pipe",
        "-f", container, "-i", f"file:{source}", "-an", "-sn", "-dn", "-frames:v", "1",
        "-threads", "1", "-q:v", "3", "-f", "image2pipe", "-c:v", "mjpeg", "pipe:1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as running:  # noqa: S603
        assert running.stdout is not None
        return running.stdout.read(FRAME_BYTES_MAX)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
