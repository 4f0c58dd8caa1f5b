"""Files that are here: deleted when nobody names them, never under who has just named them, brought from elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, TooLarge
from coexist.inbox import files
from coexist.media import actions, adopt, drafts, keeping, rules, store, worker
from coexist.media.disk import Disk
from coexist.media.keeping import Keep
from coexist.media.model import Name, Reason
from coexist.media.sweep import Swept, sweep
from coexist.meta.graph import Graph
from tests.support.business import Business, inbound, open_business
from tests.support.business import deliver as deliver_changes
from tests.support.kept_files import keep_of, means_of, picture, read, tell
from tests.support.scripted_graph import ScriptedGraph
from tests.support.waiting import looping, until


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path)


@pytest.fixture
def keep(business: Business, settings: Settings) -> Keep:
    return keep_of(business.pool, settings)


async def names(keep: Keep) -> list[Name]:
    return sorted([name async for name in keep.storage.names()], key=lambda name: name.key)


async def fetch_photo(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, wamid: str = "wamid.IMG"
) -> Name:
    """A photo with a thumbnail, fetched; returns its name."""
    scripted, graph = graphs
    content = picture(1200, 900)
    scripted.files["880"] = ({}, content)
    await tell(business, content, wamid=wamid)
    means = means_of(business.pool, graph, settings)
    while await worker.fetch_next(means):
        pass
    return Name(business.inbox.account_id, hashlib.sha256(content).hexdigest())


async def test_files_that_messages_name_stay_and_others_go(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, keep: Keep
) -> None:
    name = await fetch_photo(business, graphs, settings)
    assert await names(keep) == [name, name.thumbnail]
    stray, foreign = Name(name.account_id, "e" * 64), Name(name.account_id + 1, name.sha256)
    for each in (stray, stray.thumbnail, foreign):
        draft = drafts.new_path(settings.data_dir)
        draft.write_bytes(b"stray")
        await keep.storage.put(each, draft)
    dead = drafts.new_path(settings.data_dir)
    dead.write_bytes(b"half")
    os.utime(dead, (0, 0))
    assert await sweep(keep) == Swept(2, 1, 0)
    assert await names(keep) == [name, name.thumbnail]
    async with transaction(business.pool) as conn:
        await conn.execute("DELETE FROM media")
    assert await sweep(keep) == Swept(1, 0, 0)
    assert await names(keep) == []
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT * FROM media_doomed")).fetchall() == []


@pytest.mark.requirement("G11")
async def test_forgotten_files_go_at_once_unless_another_message_has_them(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, keep: Keep
) -> None:
    name = await fetch_photo(business, graphs, settings)
    await fetch_photo(business, graphs, settings, "wamid.SAME")
    async with transaction(business.pool) as conn:
        await files.forget_files(conn, business.inbox.id, ["wamid.IMG"])
    assert (await sweep(keep, is_thorough=False)).file_count == 0
    assert await keep.storage.size(name) is not None
    async with transaction(business.pool) as conn:
        await files.forget_files(conn, business.inbox.id, ["wamid.SAME", "wamid.never-had-one"])
    assert (await sweep(keep, is_thorough=False)).file_count == 1
    assert await names(keep) == []
    found = [path for path in settings.data_dir.rglob("*") if path.is_file() and b"JFIF" in path.read_bytes()]
    assert found == []


@pytest.mark.requirement("G11")
async def test_what_is_forgotten_while_it_is_put_there_is_not_kept(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Disk.put

    async def forget_then_put(self: Disk, name: Name, source: Path) -> None:
        async with transaction(business.pool) as conn:
            await files.forget_files(conn, business.inbox.id, ["wamid.IMG"])
        await sweep(keep_of(business.pool, settings), is_thorough=False)
        await put(self, name, source)

    monkeypatch.setattr(Disk, "put", forget_then_put)
    await fetch_photo(business, graphs, settings)
    assert [path for path in settings.data_dir.rglob("*") if path.is_file()] == []


async def test_the_worker_deletes_forgotten_files_when_it_is_told(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, keep: Keep
) -> None:
    await fetch_photo(business, graphs, settings)
    wake = asyncio.Event()

    async def is_gone() -> bool:
        return not await names(keep)

    async with looping(worker.run_sweeps(keep, wake=wake)):
        async with transaction(business.pool) as conn:
            await files.forget_files(conn, business.inbox.id, ["wamid.IMG"])
        wake.set()
        await until(is_gone, "the file is deleted")


async def test_the_same_bytes_that_come_again_while_they_are_deleted_are_here_afterwards(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, keep: Keep
) -> None:
    """A hundred rounds of deleting and fetching the same content side by side: no row ever names what is not there."""
    scripted, graph = graphs
    content = b"%PDF-1.7 the same"
    scripted.files["880"] = ({}, content)
    name = Name(business.inbox.account_id, hashlib.sha256(content).hexdigest())
    means = means_of(business.pool, graph, settings)
    for number in range(100):
        wamid = f"wamid.{number}"
        await tell(business, content, wamid=wamid, mime_type="application/pdf")
        async with transaction(business.pool) as conn:
            await conn.execute("DELETE FROM media WHERE wamid <> %s", (wamid,))
        await asyncio.gather(worker.fetch_next(means), sweep(keep))
        async with business.pool.connection() as conn:
            row = await (await conn.execute("SELECT state::text, reason FROM media")).fetchone()
        if row == ("waiting", Reason.NOT_KEPT):
            continue  # it came at the very moment, and is fetched again in a minute
        assert row == ("stored", None)
        assert await read(keep.storage, name) == content


async def test_a_deletion_that_died_is_finished_by_the_next_sweep(
    business: Business, settings: Settings, keep: Keep
) -> None:
    name = Name(business.inbox.account_id, "d" * 64)
    draft = drafts.new_path(settings.data_dir)
    draft.write_bytes(b"doomed")
    await keep.storage.put(name, draft)
    async with transaction(business.pool) as conn:
        assert await store.doom(conn, name)
    assert (await sweep(keep)).file_count == 0, "somebody may be at it"
    later = clock.now() + timedelta(minutes=11)
    with clock.reading(lambda: later):
        assert (await sweep(keep, is_thorough=False)).file_count == 1
    assert await names(keep) == []


async def test_files_of_the_former_place_come_to_the_accounts_that_name_them(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, keep: Keep
) -> None:
    name = await fetch_photo(business, graphs, settings)
    former = settings.data_dir / "media" / name.sha256[:2] / name.sha256[2:4] / name.sha256
    former.parent.mkdir(parents=True)
    disk = Disk(settings.data_dir)
    disk.path(name).rename(former)
    unnamed = former.with_name(name.sha256[:4] + "0" * 60)
    unnamed.write_bytes(b"named by nobody")
    assert await adopt.adopt(keep) == 2
    assert await read(disk, name) == picture(1200, 900)
    assert not (settings.data_dir / "media" / name.sha256[:2]).exists()
    assert await adopt.adopt(keep) == 0


async def test_what_no_number_could_ask_for_in_time_is_given_up(
    business: Business, settings: Settings, keep: Keep
) -> None:
    await tell(business, b"x")
    later = clock.now() + rules.FORGOTTEN_AFTER + timedelta(minutes=1)
    with clock.reading(lambda: later):
        assert (await sweep(keep)).expired_count == 1
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT state::text, reason FROM media")).fetchone()
    assert row == ("gone", Reason.EXPIRED)


async def test_a_file_from_elsewhere_becomes_a_message_s_file(
    business: Business, settings: Settings, keep: Keep, tmp_path: Path
) -> None:
    await deliver_changes(business.pool, inbound("wamid.OLD", "IMG-20240101-WA0001.jpg (file attached)"))
    source = tmp_path / "IMG-20240101-WA0001.jpg"
    source.write_bytes(picture(1200, 900))

    async def bring(limited: Keep) -> None:
        await keeping.bring(
            limited, business.inbox.id, "wamid.OLD", source,
            mime_type="image/jpeg", file_name=source.name, told_at=clock.now(),
        )  # fmt: skip

    with pytest.raises(TooLarge):
        await bring(replace(keep, settings=replace(settings, media_max_bytes=100)))
    await bring(keep)
    async with business.pool.connection() as conn:
        row = await (
            await conn.execute("SELECT state::text, width, height, file_name, thumbnail_bytes > 0 FROM media")
        ).fetchone()
    assert row == ("stored", 1200, 900, source.name, True)
    assert source.exists(), "it is copied"
    with pytest.raises(Conflict):
        await bring(keep)


async def test_a_person_can_ask_again_as_long_as_meta_has_the_file(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell(business, picture())
    means = means_of(business.pool, graph, replace(settings, media_max_bytes=50))
    scripted.files["880"] = ({}, picture())
    await worker.fetch_next(means)
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT id, (SELECT reason FROM media) FROM messages")).fetchone()
    assert row is not None
    assert row[1] == Reason.TOO_LARGE
    async with transaction(business.pool) as conn:
        await actions.fetch_again(conn, business.member, row[0])
    assert await worker.fetch_next(means_of(business.pool, graph, settings))
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT state::text FROM media")).fetchone() == ("stored",)
    async with transaction(business.pool) as conn:
        with pytest.raises(Conflict):
            await actions.fetch_again(conn, business.member, row[0])


class Large(web.Response):
    """A body that is sent a block at a time."""

    def __init__(self, block: bytes, count: int) -> None:
        super().__init__()
        self._block, self._count = block, count

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it."""
        stream = web.StreamResponse(headers={"Content-Length": str(self._count * len(self._block))})
        writer = await stream.prepare(request)
        for _ in range(self._count):
            await stream.write(self._block)
        await stream.write_eof()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """All was sent."""


async def test_a_100_mb_document_passes_through_in_pieces(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    block, count = os.urandom(1024 * 1024), 100
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(block)
    scripted.files["880"] = ({"sha256": digest.hexdigest()}, b"")
    await tell(business, b"", mime_type="application/pdf", sha256=digest.hexdigest())

    scripted.answers.append(lambda asked: scripted._usual(asked))
    scripted.answers.append(lambda asked: Large(block, count))
    means = means_of(business.pool, graph, settings)
    tracemalloc.start()
    try:
        assert await worker.fetch_next(means)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT state::text, bytes FROM media")).fetchone()
    assert row == ("stored", count * len(block))
    assert most < 20 * 1024 * 1024
    async with aclosing(means.keep.storage.read(Name(1, digest.hexdigest()), 0, 10)) as pieces:
        assert await anext(pieces) == block[:10]
