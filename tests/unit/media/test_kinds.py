"""What a file is by its bytes, how long a voice note plays, and pictures drawn small in a process with limits."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from coexist.media import kinds, thumbnails
from simulator import files as simulated

VOICES = sorted(simulated.ASSETS.glob("voice-*.ogg"))
FILM = simulated.ASSETS / "plant.mp4"


def saved(path: Path, image: Image.Image, kind: str, **options: object) -> Path:
    image.save(path, kind, **options)
    return path


@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
def test_a_voice_note_says_how_long_it_is(path: Path) -> None:
    duration = kinds.voice_duration_ms(path)
    assert duration is not None
    data = path.read_bytes()
    last = struct.unpack_from("<q", data, data.rindex(b"OggS") + 6)[0]
    assert abs(duration - last / 48) < 100
    assert 500 < duration < 60_000


@pytest.mark.parametrize("content", [b"", b"OggS", b"OggS" + b"\0" * 300, b"ID3 a song", b"OggS\0OpusHead\1\1\0\0OggS"])
def test_what_is_no_voice_note_has_no_length(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert kinds.voice_duration_ms(path) is None


@pytest.mark.parametrize(
    ("mime_type", "served"),
    [
        ("image/jpeg", "image/jpeg"),
        ("AUDIO/OGG; codecs=opus", "audio/ogg; codecs=opus"),
        ("audio/ogg\r\nSet-Cookie: a=b", None),
        ("image/svg+xml", None),
        ("text/html", None),
        ("application/pdf", None),
        ("video/x-unheard-of", None),
        (None, None),
    ],
)
def test_only_known_types_are_served_in_place_and_in_our_own_words(mime_type: str | None, served: str | None) -> None:
    assert kinds.served_type(mime_type) == served


async def test_a_photo_is_measured_turned_and_drawn_small(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = saved(tmp_path / "photo", Image.effect_noise((2000, 1000), 80).convert("RGB"), "JPEG", exif=exif)
    measured = await thumbnails.draw(photo, "image/jpeg", tmp_path / "small")
    assert measured is not None
    assert (measured.width, measured.height) == (1000, 2000)
    with Image.open(tmp_path / "small") as small:
        assert small.format == "WEBP"
        assert small.size == (300, 600)
        assert not small.getexif(), "where it was taken stays in the original"
    assert measured.thumbnail_bytes == (tmp_path / "small").stat().st_size < photo.stat().st_size


async def test_a_small_or_a_moving_picture_is_shown_as_it_is(tmp_path: Path) -> None:
    tiny = saved(tmp_path / "tiny", Image.new("RGB", (30, 20)), "PNG")
    assert await thumbnails.draw(tiny, "image/png", tmp_path / "a") == thumbnails.Measured(30, 20, None)
    frames = [Image.effect_noise((900, 900), 50 + n).convert("RGB") for n in range(3)]
    moving = saved(tmp_path / "moving", frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert await thumbnails.draw(moving, "image/webp", tmp_path / "b") == thumbnails.Measured(900, 900, None)


async def test_transparency_stays(tmp_path: Path) -> None:
    picture = saved(tmp_path / "picture", Image.new("RGBA", (1400, 700), (0, 0, 0, 0)), "PNG")
    assert await thumbnails.draw(picture, "image/png", tmp_path / "small") is not None
    with Image.open(tmp_path / "small") as small:
        assert small.mode == "RGBA"
        assert small.getpixel((5, 5)) == (0, 0, 0, 0)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has that many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content", [bomb(60_000, 60_000), bomb(9_000, 2_000), b"\xff\xd8\xff broken", b"", b"RIFF\xff\xff\xff\x7fWEBPVP8 "]
)
async def test_a_bomb_or_a_broken_picture_draws_nothing_and_harms_nobody(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    assert await thumbnails.draw(source, "image/png", tmp_path / "small") is None


async def test_a_very_large_picture_is_measured_but_not_drawn(tmp_path: Path) -> None:
    large = saved(tmp_path / "large", Image.new("1", (10_000, 4_500)), "PNG")
    assert kinds.DRAWN_PIXELS_MAX < 10_000 * 4_500
    assert await thumbnails.draw(large, "image/png", tmp_path / "s") == thumbnails.Measured(10_000, 4_500, None)


async def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "DRAW_S", 0.0)  # less than a process needs to begin
    photo = saved(tmp_path / "photo", Image.new("RGB", (3000, 2000)), "JPEG")
    assert await thumbnails.draw(photo, "image/jpeg", tmp_path / "small") is None


async def test_a_film_has_a_poster_where_ffmpeg_is_and_none_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ffmpeg"):
        measured = await thumbnails.draw(FILM, "video/mp4", tmp_path / "poster")
        assert measured is not None
        with Image.open(tmp_path / "poster") as poster:
            assert poster.format == "WEBP"
            assert abs(poster.width / poster.height - measured.width / measured.height) < 0.02
        playlist = tmp_path / "playlist"
        playlist.write_bytes(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
        assert await thumbnails.draw(playlist, "video/mp4", tmp_path / "none") is None, "ffmpeg opens no other file"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await thumbnails.draw(FILM, "video/mp4", tmp_path / "without") is None


def test_the_names_of_families_are_no_promise() -> None:
    page = io.BytesIO(b"<html>")
    assert kinds.safe_type("image/png", page.read()) == kinds.UNKNOWN
