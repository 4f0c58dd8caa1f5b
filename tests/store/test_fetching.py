"""Files: fetched while Meta has them, checked, kept once, and never a danger to who opens them."""

from __future__ import annotations

import asyncio
import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.media import files, rules, store, worker
from coexist.meta.graph import Graph
from tests.support.business import KEYRING, TOKEN, Business, inbound, open_business
from tests.support.business import deliver as deliver_changes
from tests.support.scripted_graph import ScriptedGraph, error, scripted_graph


def picture(width: int = 30, height: int = 20, *, kind: str = "JPEG", orientation: int | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", (width, height), "teal")
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(out, kind, exif=exif)
    return out.getvalue()


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path)


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


async def media(business: Business) -> list[tuple[Any, ...]]:
    async with business.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT state::text, stored_sha256, bytes, width, height, mime_type, attempts, error FROM media ORDER BY id"
        )
        return await cursor.fetchall()


async def fetch(business: Business, graph: Graph, settings: Settings, *, after: timedelta = timedelta()) -> int:
    at = clock.now() + after
    with clock.reading(lambda: at):
        return await worker.fetch_next(business.pool, graph, KEYRING, settings)


async def test_a_photo_is_fetched_checked_measured_and_told(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture()
    sha256 = hashlib.sha256(content).hexdigest()
    scripted.files["880"] = ({"mime_type": "image/jpeg", "sha256": sha256}, content)
    await tell(business, content)
    assert await fetch(business, graph, settings) == 1
    assert await media(business) == [("stored", sha256, len(content), 30, 20, "image/jpeg", 1, None)]
    assert {asked.token for asked in scripted.asked} == {TOKEN}
    with files.open_stored(settings.data_dir, sha256) as file:
        assert file.read() == content
    assert files.size_of(settings.data_dir, sha256) == len(content)
    assert files.path_of(settings.data_dir, sha256).parent.parent.name == sha256[:2]
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT kind, message_id FROM events ORDER BY id DESC LIMIT 1")).fetchone()
        message = await (await conn.execute("SELECT id FROM messages")).fetchone()
    assert message is not None
    assert row == ("message_changed", message[0])
    assert await fetch(business, graph, settings, after=timedelta(days=1)) == 0


async def test_the_same_file_again_is_not_fetched_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture()
    scripted.files["880"] = ({}, content)
    await tell(business, content)
    await fetch(business, graph, settings)
    asked = len(scripted.asked)
    await tell(business, content, wamid="wamid.AGAIN", id="881")
    await fetch(business, graph, settings)
    assert [row[0] for row in await media(business)] == ["stored", "stored"]
    assert len(scripted.asked) == asked


@pytest.mark.requirement("D10")
async def test_what_meta_no_longer_has_says_so(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell(business, b"x")
    for day in range(rules.MISSING_ATTEMPTS_MAX + 2):
        await fetch(business, graph, settings, after=timedelta(days=day))
    row = (await media(business))[0]
    assert (row[0], row[7]) == ("gone", rules.GONE)
    assert len(scripted.asked) == rules.MISSING_ATTEMPTS_MAX


async def test_a_file_without_an_id_says_that_it_cannot_come(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    await tell(business, b"x", id=None)
    await fetch(business, graphs[1], settings)
    assert (await media(business))[0][0] == "gone"


async def test_a_broken_download_is_tried_again_and_leaves_nothing(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture()
    scripted.files["880"] = ({}, content)
    await tell(business, content)
    scripted.answers.append(lambda asked: scripted._usual(asked))
    scripted.answers.extend([ConnectionResetError(), ConnectionResetError()])  # aiohttp itself tries a GET twice
    await fetch(business, graph, settings)
    row = (await media(business))[0]
    assert (row[0], row[6]) == ("waiting", 1)
    assert list((settings.data_dir / "media" / "incoming").iterdir()) == []
    assert await fetch(business, graph, settings) == 0
    assert await fetch(business, graph, settings, after=timedelta(minutes=1)) == 1
    assert (await media(business))[0][0] == "stored"


async def test_another_file_than_announced_is_not_taken_in(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, b"something else")
    await tell(business, picture())
    for day in range(rules.WRONG_ATTEMPTS_MAX + 1):
        await fetch(business, graph, settings, after=timedelta(days=day))
    row = (await media(business))[0]
    assert (row[0], row[1], row[7]) == ("failed", None, rules.DAMAGED)
    assert [path for path in (settings.data_dir / "media").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_file_beyond_the_limit_is_not_taken_in(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, is_announced: bool
) -> None:
    scripted, graph = graphs
    content = b"x" * 300_000
    scripted.files["880"] = ({"file_size": str(len(content))} if is_announced else {}, content)
    await tell(business, content, mime_type="application/pdf")
    await fetch(business, graph, replace(settings, media_max_bytes=200_000))
    row = (await media(business))[0]
    assert row[0] == "failed"
    assert "200,000" in row[7] or "200000" in row[7]


async def test_a_token_is_sent_to_no_other_host(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    async with scripted_graph() as (stranger, _):
        scripted.files["880"] = ({"url": f"{stranger.address}/bytes/880"}, b"x")
        await tell(business, b"x")
        await fetch(business, graph, settings)
        assert stranger.asked == []
    assert (await media(business))[0][0] == "waiting"


@pytest.mark.parametrize(
    ("content", "declared", "kept"),
    [
        (b"<html><script>alert(1)</script>", "image/jpeg", "application/octet-stream"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", "image/svg+xml", "application/octet-stream"),
        (b"MZ\x90\x00 not a song", "audio/mpeg", "application/octet-stream"),
        (b"OggS\x00\x02 a voice", "audio/ogg; codecs=opus", "audio/ogg; codecs=opus"),
        (b"\x00\x00\x00\x18ftypmp42 a film", "video/mp4", "video/mp4"),
        (b"%PDF-1.7", "application/pdf", "application/pdf"),
    ],
)
async def test_what_is_no_picture_is_not_shown_as_one(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings,
    content: bytes, declared: str, kept: str,
) -> None:  # fmt: skip
    scripted, graph = graphs
    scripted.files["880"] = ({}, content)
    await tell(business, content, mime_type=declared)
    await fetch(business, graph, settings)
    row = (await media(business))[0]
    assert (row[0], row[5]) == ("stored", kept)


async def test_a_turned_photo_has_the_size_it_is_shown_in(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture(orientation=6)
    scripted.files["880"] = ({}, content)
    await tell(business, content)
    await fetch(business, graph, settings)
    assert (await media(business))[0][3:5] == (20, 30)


async def test_a_refused_token_stops_fetching_until_the_number_is_authorised_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(190, status=401))
    await tell(business, b"x")
    await fetch(business, graph, settings)
    row = (await media(business))[0]
    assert (row[0], row[6]) == ("waiting", 0)
    assert await fetch(business, graph, settings, after=timedelta(hours=1)) == 0
    async with business.pool.connection() as conn:
        state = await (await conn.execute("SELECT state::text FROM inboxes")).fetchone()
    assert state == ("token_invalid",)


async def test_two_workers_fetch_each_file_once_and_a_dead_one_gives_its_claim_back(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.02
    for number in range(6):
        content = picture(10 + number)
        scripted.files[f"9{number}"] = ({}, content)
        await tell(business, content, wamid=f"wamid.{number}", id=f"9{number}")
    async with transaction(business.pool) as conn:
        dead = await store.claim(conn, 1)
    await asyncio.gather(*(worker.fetch_next(business.pool, graph, KEYRING, settings) for _ in range(3)))
    assert [row[0] for row in await media(business)].count("stored") == 5
    assert len(scripted.asked) == 10
    await fetch(business, graph, settings, after=timedelta(seconds=store.LEASE_S + 1))
    assert [row[0] for row in await media(business)].count("stored") == 6
    assert len(dead) == 1


async def test_a_file_that_takes_long_stays_with_whoever_fetches_it(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.4  # twice: for the look-up and for the bytes
    scripted.files["880"] = ({}, picture())
    await tell(business, picture())
    monkeypatch.setattr(store, "LEASE_S", 0.3)
    monkeypatch.setattr(worker, "RENEW_EVERY_S", 0.05)
    fetching = asyncio.create_task(worker.fetch_next(business.pool, graph, KEYRING, settings))
    while not scripted.asked:
        await asyncio.sleep(0.01)
    taken_by_others = 0
    while not fetching.done():
        taken_by_others += await worker.fetch_next(business.pool, graph, KEYRING, settings)
        await asyncio.sleep(0.02)
    assert (await fetching, taken_by_others) == (1, 0)
    assert [row[0] for row in await media(business)] == ["stored"]


async def test_one_file_that_breaks_us_does_not_stop_the_others(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted, graph = graphs
    for number in range(2):
        content = picture(10 + number)
        scripted.files[f"9{number}"] = ({}, content)
        await tell(business, content, wamid=f"wamid.{number}", id=f"9{number}")
    measure = worker.kinds.image_size  # type: ignore[attr-defined]

    def broken(path: Path) -> Any:
        size = measure(path)
        if size.width == 10:
            raise RuntimeError("a bug")
        return size

    monkeypatch.setattr("coexist.media.kinds.image_size", broken)
    assert await fetch(business, graph, settings) == 2
    assert sorted(row[0] for row in await media(business)) == ["stored", "waiting"]
