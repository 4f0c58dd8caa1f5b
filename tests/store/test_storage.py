"""Where files are kept: the same promises by a folder and by a bucket of a real S3 server."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coexist.base.config import Settings
from coexist.base.errors import Invalid, NotFound, Unavailable
from coexist.media import drafts
from coexist.media.disk import Disk
from coexist.media.model import Name
from coexist.media.move import Moved, move
from coexist.media.s3 import PART_BYTES, S3
from coexist.media.storage import Storage, open_storage
from tests.support.kept_files import read
from tests.support.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server
from tests.support.waiting import until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
async def settings(s3_address: str, tmp_path: Path) -> Settings:
    chosen = replace(
        Settings(),
        data_dir=tmp_path,
        s3_bucket=BUCKET,
        s3_endpoint=s3_address,
        s3_region="us-east-1",
        s3_prefix=f"{tmp_path.name}/",
        s3_access_key=ACCESS_KEY,
        s3_secret_key=SECRET_KEY,
    )
    async with aclosing(S3(chosen)) as storage:
        why = ""

        async def has_bucket() -> bool:
            nonlocal why
            try:
                await storage.delete(Name(1, "0" * 64))
            except Unavailable as error:
                why = str(error)
                return False
            return True

        try:  # the bucket is made a moment after the port is open
            await until(has_bucket, "the bucket is there")
        except AssertionError:
            pytest.fail(f"there is no bucket: {why}")
    return chosen


@pytest.fixture(params=["disk", "s3"])
async def storage(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Storage]:
    async with aclosing(open_storage(settings, request.param)) as opened:
        yield opened


async def put(storage: Storage, settings: Settings, content: bytes, account_id: int = 1) -> Name:
    source = drafts.new_path(settings.data_dir)
    source.write_bytes(content)
    name = Name(account_id, hashlib.sha256(content).hexdigest())
    await storage.put(name, source)
    source.unlink(missing_ok=True)
    return name


async def names(storage: Storage) -> list[Name]:
    return sorted([name async for name in storage.names()], key=lambda name: name.key)


async def test_what_is_kept_comes_back_whole_and_in_parts(storage: Storage, settings: Settings) -> None:
    content = bytes(range(256)) * 1200
    name = await put(storage, settings, content)
    assert await storage.size(name) == len(content)
    assert await read(storage, name) == content
    assert await read(storage, name, 100, 50) == content[100:150]
    assert await read(storage, name, len(content) - 7) == content[-7:]
    assert await read(storage, name, 5, 0) == b""
    assert name.key == f"accounts/1/{name.sha256[:2]}/{name.sha256}"


async def test_each_account_has_its_own_and_names_tell_all(storage: Storage, settings: Settings) -> None:
    mine = await put(storage, settings, b"the same")
    theirs = await put(storage, settings, b"the same", account_id=2)
    await storage.put(mine.thumbnail, _source(settings, b"small"))
    assert await names(storage) == [mine, mine.thumbnail, theirs]
    await storage.delete(mine)
    await storage.delete(mine)
    assert await storage.size(mine) is None
    assert await read(storage, theirs) == b"the same"
    with pytest.raises(NotFound):
        await read(storage, mine)
    with pytest.raises(NotFound):
        await read(storage, mine, 3, 2)


def _source(settings: Settings, content: bytes) -> Path:
    source = drafts.new_path(settings.data_dir)
    source.write_bytes(content)
    return source


async def test_the_same_name_again_is_the_same_file(storage: Storage, settings: Settings) -> None:
    name = await put(storage, settings, b"once")
    assert await put(storage, settings, b"once") == name
    assert await names(storage) == [name]


async def test_a_reader_who_goes_away_leaves_nothing_open(storage: Storage, settings: Settings) -> None:
    name = await put(storage, settings, os.urandom(3 * MIB))
    for _ in range(20):
        async with aclosing(storage.read(name)) as pieces:
            assert await anext(pieces)
    assert len(await read(storage, name)) == 3 * MIB
    assert not [path for path in _open_files() if name.sha256 in path]


def _open_files() -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return found


async def test_a_file_of_100_mb_needs_a_few_of_them_in_memory(storage: Storage, settings: Settings) -> None:
    block = os.urandom(MIB)
    source = drafts.new_path(settings.data_dir)
    digest = hashlib.sha256()
    with source.open("wb") as file:
        for _ in range(100):
            file.write(block)
            digest.update(block)
    name = Name(1, digest.hexdigest())
    await storage.size(name)  # what a client needs once does not count
    tracemalloc.start()
    try:
        await storage.put(name, source)
        found = hashlib.sha256()
        async with aclosing(storage.read(name)) as pieces:
            async for piece in pieces:
                found.update(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.hexdigest() == name.sha256
    assert most < 4 * PART_BYTES
    await storage.delete(name)


async def test_a_crash_while_a_file_is_put_on_the_disk_leaves_none_of_it(settings: Settings) -> None:
    disk = Disk(settings.data_dir)
    source = drafts.new_path(settings.data_dir)
    source.write_bytes(b"half")
    assert await names(disk) == [], "a draft has no name"
    assert drafts.sweep(settings.data_dir) == 0, "it may still be on its way"
    os.utime(source, (0, 0))
    assert drafts.sweep(settings.data_dir) == 1
    assert not source.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"s3_secret_key": "another"},
        {"s3_bucket": "no-such-bucket"},
        {"s3_endpoint": "http://127.0.0.1:9"},
    ],
)
async def test_a_bucket_that_cannot_be_used_says_so_without_a_secret(settings: Settings, wrong: dict[str, Any]) -> None:
    async with aclosing(S3(replace(settings, **wrong))) as storage:
        with pytest.raises(Unavailable) as raised:
            await storage.put(Name(1, "a" * 64), _source(settings, b"x"))
    assert "COEXIST_S3_" in str(raised.value)
    assert SECRET_KEY not in str(raised.value)
    assert "another" not in str(raised.value)


async def test_a_bucket_must_be_named(settings: Settings) -> None:
    with pytest.raises(Invalid, match="COEXIST_S3_BUCKET"):
        open_storage(replace(settings, s3_bucket=None, media_store="s3"))


async def test_moving_compares_every_copy_and_deletes_only_what_is_proven(settings: Settings) -> None:
    async with aclosing(Disk(settings.data_dir)) as disk, aclosing(S3(settings)) as bucket:
        kept = [await put(disk, settings, os.urandom(1000 + number)) for number in range(5)]
        await disk.put(kept[0].thumbnail, _source(settings, b"small"))
        damaged = await put(disk, settings, b"sound")
        disk.path(damaged).write_bytes(b"bitten")

        first = await move(settings.data_dir, disk, bucket, deletes=False)
        assert (first.copied_count, first.present_count, first.damaged) == (6, 0, (damaged,))
        assert len(await names(disk)) == 7
        late = await put(disk, settings, b"came meanwhile")

        again = await move(settings.data_dir, disk, bucket, deletes=True)
        assert again == Moved(1, 6, (damaged,), len(b"came meanwhile"))
        assert await names(disk) == [damaged], "what is damaged stays where somebody can look at it"
        assert {name.key for name in await names(bucket)} == {name.key for name in (*kept, kept[0].thumbnail, late)}

        back = await move(settings.data_dir, bucket, disk, deletes=True)
        assert back.copied_count == 7
        assert await names(bucket) == []
        assert await read(disk, late) == b"came meanwhile"
    assert list((settings.data_dir / "media" / "incoming").iterdir()) == []
