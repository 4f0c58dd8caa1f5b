"""Files: fetched while Meta has them, checked, kept once, and never a danger to who opens them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.media import fetch as fetching
from coexist.media import rules, store, thumbnails, worker
from coexist.media.disk import Disk
from coexist.media.model import Name, Reason, Wanted
from coexist.meta.graph import Graph
from tests.support.business import TOKEN, Business, open_business
from tests.support.kept_files import drain, fetch, means_of, media_rows, picture, read, tell, tell_some
from tests.support.scripted_graph import Asked, ScriptedGraph, error, scripted_graph
from tests.support.waiting import until


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path)


async def test_a_photo_is_fetched_checked_measured_and_told(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture()
    sha256 = hashlib.sha256(content).hexdigest()
    scripted.files["880"] = ({"mime_type": "image/jpeg", "sha256": sha256}, content)
    await tell(business, content)
    assert await fetch(business, graph, settings) == 1
    assert await media_rows(business) == [("stored", sha256, len(content), 30, 20, "image/jpeg", 1, None)]
    assert {asked.token for asked in scripted.asked} == {TOKEN}
    name = Name(business.inbox.account_id, sha256)
    assert await read(Disk(settings.data_dir), name) == content
    assert Disk(settings.data_dir).path(name).parent.name == sha256[:2]
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
    assert [row[0] for row in await media_rows(business)] == ["stored", "stored"]
    assert len(scripted.asked) == asked


@pytest.mark.requirement("D10")
async def test_what_meta_no_longer_has_says_so(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell(business, b"x")
    for day in range(rules.MISSING_ATTEMPTS_MAX + 2):
        await fetch(business, graph, settings, after=timedelta(days=day))
    row = (await media_rows(business))[0]
    assert (row[0], row[7]) == ("gone", rules.SENTENCES[Reason.UNKNOWN_TO_META])
    assert len(scripted.asked) == rules.MISSING_ATTEMPTS_MAX


async def test_a_file_without_an_id_says_that_it_cannot_come(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    await tell(business, b"x", id=None)
    await fetch(business, graphs[1], settings)
    assert (await media_rows(business))[0][0] == "gone"


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
    row = (await media_rows(business))[0]
    assert (row[0], row[6]) == ("waiting", 1)
    assert list((settings.data_dir / "media" / "incoming").iterdir()) == []
    assert await fetch(business, graph, settings) == 0
    assert await fetch(business, graph, settings, after=timedelta(minutes=1)) == 1
    assert (await media_rows(business))[0][0] == "stored"


async def test_another_file_than_announced_is_not_taken_in(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, b"something else")
    await tell(business, picture())
    for day in range(rules.WRONG_ATTEMPTS_MAX + 1):
        await fetch(business, graph, settings, after=timedelta(days=day))
    row = (await media_rows(business))[0]
    assert (row[0], row[1], row[7]) == ("failed", None, rules.SENTENCES[Reason.DAMAGED])
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
    row = (await media_rows(business))[0]
    assert row[0] == "failed"
    assert row[7].startswith("At most 0.2 MB are taken in here")


async def test_a_token_is_sent_to_no_other_host(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    async with scripted_graph() as (stranger, _):
        scripted.files["880"] = ({"url": f"{stranger.address}/bytes/880"}, b"x")
        await tell(business, b"x")
        await fetch(business, graph, settings)
        assert stranger.asked == []
    assert (await media_rows(business))[0][0] == "waiting"


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
    row = (await media_rows(business))[0]
    assert (row[0], row[5]) == ("stored", kept)


async def test_a_turned_photo_has_the_size_it_is_shown_in(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture(orientation=6)
    scripted.files["880"] = ({}, content)
    await tell(business, content)
    await fetch(business, graph, settings)
    assert (await media_rows(business))[0][3:5] == (20, 30)


async def test_a_refused_token_stops_fetching_until_the_number_is_authorised_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.answers.append(error(190, status=401))
    await tell(business, b"x")
    await fetch(business, graph, settings)
    row = (await media_rows(business))[0]
    assert (row[0], row[6]) == ("waiting", 0)
    assert await fetch(business, graph, settings, after=timedelta(hours=1)) == 0
    async with business.pool.connection() as conn:
        state = await (await conn.execute("SELECT state::text FROM inboxes")).fetchone()
    assert state == ("token_invalid",)


async def claim(business: Business) -> Wanted | None:
    async with transaction(business.pool) as conn:
        return await store.claim(conn, at_once_per_number=9, per_hour=100)


async def test_two_workers_fetch_each_file_once_and_a_dead_one_gives_its_claim_back(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.02
    await tell_some(business, scripted, 6)
    assert await claim(business) is not None, "by one that dies"
    await asyncio.gather(*(drain(business, graph, settings) for _ in range(3)))
    assert [row[0] for row in await media_rows(business)].count("stored") == 5
    assert len(scripted.asked) == 10
    await fetch(business, graph, settings, after=timedelta(seconds=store.LEASE_S + 1))
    assert [row[0] for row in await media_rows(business)].count("stored") == 6


async def test_a_file_that_takes_long_stays_with_whoever_fetches_it(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lasts for many leases, and each sign of life comes just before one is over."""
    scripted, graph = graphs
    may_come, usual = asyncio.Event(), scripted._usual

    async def slow(asked: Asked) -> Any:
        await may_come.wait()
        return usual(asked)

    async def is_renewed() -> bool:
        assert not under_way.done()
        async with business.pool.connection() as conn:
            return await (await conn.execute("SELECT claimed_until FROM media")).fetchone() == (at + lease,)

    scripted.answers.append(slow)
    scripted.files["880"] = ({}, picture())
    await tell(business, picture())
    at, lease = clock.now(), timedelta(seconds=store.LEASE_S)
    monkeypatch.setattr(fetching, "RENEW_EVERY_S", 0.01)
    means = means_of(business.pool, graph, settings)
    with clock.reading(lambda: at):
        under_way = asyncio.create_task(worker.fetch_next(means))
        for _ in range(10):
            await until(is_renewed, "a sign of life")
            at += lease - timedelta(milliseconds=1)
            assert not await worker.fetch_next(means), "somebody else took it"
        may_come.set()
        assert await under_way
    assert [row[0] for row in await media_rows(business)] == ["stored"]


async def test_one_file_that_breaks_us_does_not_stop_the_others(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 2)
    draw = thumbnails.draw

    async def broken(source: Path, mime_type: str, target: Path) -> Any:
        measured = await draw(source, mime_type, target)
        if measured is not None and measured.width == 10:
            raise RuntimeError("a bug")
        return measured

    monkeypatch.setattr(thumbnails, "draw", broken)
    assert await fetch(business, graph, settings) == 2
    assert sorted(row[0] for row in await media_rows(business)) == ["stored", "waiting"]
