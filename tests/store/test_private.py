"""The list of private numbers: what is never kept, what is removed later, and what a search for bytes still finds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from coexist.base import database, migrate, postgres
from coexist.base.config import Settings
from coexist.base.crypto import KEY_BYTES, Keyring, SecretUnreadable
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Invalid
from coexist.inbox import private as listing
from coexist.inbox import private_lists
from coexist.intake import purging
from coexist.intake.private import searched
from coexist.intake.sealing import unseal
from coexist.media.keeping import Keep, open_keep
from coexist.media.model import Name
from coexist.media.storage import open_storage
from coexist.media.sweep import sweep
from tests.support import intake, private, snapshot, wire
from tests.support.intake import KEYRING, SHOP, body_of

BY: Final = "Inês Duarte"


async def rows(pool: Pool, query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode(), values or None)).fetchall()


async def dump(pool: Pool) -> bytes:
    """Every table as text, as a dump has it, and the journal's bodies in the clear."""
    parts: list[bytes] = []
    async with pool.connection() as conn:
        tables = await (await conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).fetchall()
        for (table,) in tables:
            async with conn.cursor().copy(f'COPY "{table}" TO STDOUT'.encode()) as copy:
                parts += [bytes(piece) async for piece in copy]
        for (body,) in await (await conn.execute("SELECT body FROM journal")).fetchall():
            parts.append(unseal(KEYRING, body))
    return b"".join(parts)


def bytes_below(folder: Path, *, without: str = "") -> bytes:
    """Every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not (without and without in path.parts)]
    return b"".join(path.read_bytes() for path in files)


async def put_on_list(pool: Pool, raw: str = f"+{private.PHONE}", account_id: int = 1) -> int:
    async with transaction(pool) as conn:
        return await listing.add(conn, KEYRING, BY, account_id, raw)


async def purge(pool: Pool, number_id: int, typed: str = private.PHONE) -> None:
    """Want everything of a number gone, and remove it."""
    async with transaction(pool) as conn:
        await listing.want_purge(conn, KEYRING, 1, number_id, typed=typed)
    await work(pool)


async def work(pool: Pool) -> None:
    while await purging.step(pool, KEYRING):
        pass


async def store_file(keep: Keep, content: bytes, path: Path, wamid: str) -> Name:
    """A file that was fetched for a message."""
    name = Name(1, hashlib.sha256(content).hexdigest())
    await asyncio.to_thread(path.write_bytes, content)
    await keep.storage.put(name, path)
    async with transaction(keep.pool) as conn:
        await conn.execute(
            "UPDATE media SET state = 'stored', stored_sha256 = %s WHERE wamid = %s", (name.sha256, wamid)
        )
    return name


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


# ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Pool]:
    """A database server of its own with a connected number; stopping it writes everything to its files."""
    async with postgres.running(folder) as url:
        await migrate.apply_pending(url)
        async with database.open_pool(url, application="test") as pool:
            async with transaction(pool) as conn:
                await intake.connect(conn, SHOP)
            yield pool


@pytest.mark.requirement("G11")
async def test_of_what_was_never_kept_no_byte_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In no table, no delivery, no file of the database with its write-ahead log, and no line of the log."""
    async with cluster(tmp_path) as pool:
        await put_on_list(pool)
        await intake.deliver(pool, private.deliveries(), batch=3)
        await intake.deliver(pool, private.deliveries())
        await work(pool)
        dumped = await dump(pool)
        assert private.traces_in(dumped) == []
        assert {b"antes", b"Rui Duarte"} == {one for one in (b"antes", b"Rui Duarte") if one in dumped}
        assert await rows(pool, "SELECT FROM quarantine UNION ALL SELECT FROM unrouted") == []
        texts = await rows(pool, "SELECT text FROM messages ORDER BY wamid")
        assert texts == [("Olá",), ("antes",)]
        assert await rows(pool, "SELECT phone FROM contacts") == [(private.OTHER,)]
    found = bytes_below(tmp_path)
    assert b"antes" in found, "the search sees what was kept"
    assert private.traces_in(found) == []
    said = capfd.readouterr()
    assert private.traces_in((said.out + said.err).encode()) == []


@pytest.mark.requirement("G11")
async def test_of_what_is_removed_later_no_byte_is_left_in_tables_and_files(tmp_path: Path) -> None:
    """The write-ahead log alone still has it, until PostgreSQL has used its files again (docs/privacy.md)."""
    settings = replace(Settings(), data_dir=tmp_path)
    async with cluster(tmp_path) as pool, aclosing(open_storage(settings)) as storage:
        keep = open_keep(pool, settings, storage)
        await intake.deliver(pool, private.deliveries())
        content = f"{private.WORDS} in a file".encode()
        await store_file(keep, content, tmp_path / "draft", "wamid.P4")
        assert set(private.traces_in(await dump(pool))) >= {private.WA_ID, private.BSUID, private.WORDS}
        assert private.WORDS.encode() in bytes_below(tmp_path / "media")
        number_id = await put_on_list(pool)
        async with transaction(pool) as conn:
            here = await listing.holdings(conn, KEYRING, 1, number_id)
        assert (here.contacts, here.files, here.entries) == (1, 1, 2)
        assert here.messages > 8
        await purge(pool, number_id)
        await intake.apply_all(pool)
        await sweep(keep, is_thorough=False)
        assert private.traces_in(await dump(pool)) == []
        assert await rows(pool, "SELECT text FROM messages ORDER BY wamid") == [("Olá",), ("antes",)]
        async with transaction(pool) as conn:
            (number,) = await listing.numbers(conn, KEYRING, 1)
        count = here.messages + 1  # and the card that somebody else showed
        assert (number.digits, number.purge_share, number.purged_messages) == (private.PHONE, None, count)
        assert number.purged_parts > 40
        await purging.vacuum(pool, is_full=True)
    assert private.traces_in(bytes_below(tmp_path, without="pg_wal")) == []


# ── order, restart, race ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("G11")
async def test_what_came_under_an_id_that_is_learned_later_goes_by_itself(shop: Pool) -> None:
    await put_on_list(shop)
    await intake.deliver(shop, [body_of(change) for change in reversed(list(private.theirs()))], batch=1)
    assert await rows(shop, "SELECT FROM messages WHERE text LIKE %s", f"{private.WORDS}%") != [], "a BSUID came first"
    await work(shop)
    assert private.traces_in(await dump(shop)) == []


@pytest.mark.requirement("G11")
async def test_a_removal_that_dies_is_gone_on_with(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coexist.inbox.purge.SLICE_MESSAGES", 2)
    monkeypatch.setattr(purging, "WINDOW_ROWS", 3)
    await intake.deliver(shop, private.deliveries())
    number_id = await put_on_list(shop)
    async with transaction(shop) as conn:
        await listing.want_purge(conn, KEYRING, 1, number_id, typed="+55 11 98550-0188")
    shares: list[float] = []
    steps = 0
    while True:
        with monkeypatch.context() as dying:
            dying.setattr("coexist.events.feed.append", _die)
            with suppress(RuntimeError):
                assert not await purging.step(shop, KEYRING), "whatever removes something dies"
        if not await purging.step(shop, KEYRING):
            break
        steps += 1
        async with transaction(shop) as conn:
            shares += [
                one.purge_share for one in await listing.numbers(conn, KEYRING, 1) if one.purge_share is not None
            ]
    assert steps > 10
    assert shares == sorted(shares)
    await intake.apply_all(shop)
    assert private.traces_in(await dump(shop)) == []


async def _die(*_: object) -> None:
    raise RuntimeError("killed by the test")


@pytest.mark.requirement("G11")
async def test_a_number_is_added_once_nobody_applies_with_the_older_list(shop: Pool) -> None:
    async with transaction(shop) as applying:
        await applying.execute(private_lists.SHARE.encode())
        async with shop.connection() as conn:
            await conn.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="Much is being applied"):
                await listing.add(conn, KEYRING, BY, 1, private.PHONE)
            await conn.execute("RESET lock_timeout")


@pytest.mark.requirement("G11")
async def test_without_a_list_nothing_changes_and_with_one_others_end_in_the_same_tables(shop: Pool) -> None:
    await put_on_list(shop, "+351 910 559 199")
    await intake.deliver(shop, private.deliveries())
    async with transaction(shop) as conn:
        with_list = await snapshot.take(conn)
        await conn.execute("DELETE FROM private_numbers")
        await conn.execute("INSERT INTO backlog (lane, journal_id) SELECT 1, id FROM journal")
    await intake.apply_all(shop)
    async with transaction(shop) as conn:
        assert await snapshot.take(conn) == with_list


@pytest.mark.requirement("G11")
async def test_a_removal_and_whoever_applies_do_not_undo_each_other(
    shop: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people in one delivery: one is being removed from the journal while the other is taken out by applying."""
    first, second = await put_on_list(shop), await put_on_list(shop, "+351 910 559 122")
    assert second != first
    both = [
        wire.message("wamid.P1", 1, private.text("1"), phone=private.WA_ID),
        wire.message("wamid.O1", 2, wire.text("o outro"), phone=private.OTHER),
    ]
    await intake.journal(shop, [body_of(*both)])
    async with transaction(shop) as conn:
        await listing.want_purge(conn, KEYRING, 1, first, typed=private.PHONE)
    search, applied = searched, list[asyncio.Task[None]]()

    async def slowly(*given: Any) -> Any:
        """As applying the same delivery overtakes the search."""
        found = await search(*given)
        applied.append(asyncio.create_task(intake.apply_all(shop)))
        await asyncio.wait(applied, timeout=1)
        return found

    monkeypatch.setattr(purging, "searched", slowly)
    await work(shop)
    await asyncio.gather(*applied)
    await intake.apply_all(shop)
    dumped = await dump(shop)
    assert private.traces_in(dumped) == []
    assert b"o outro" not in dumped


@pytest.mark.requirement("G11")
async def test_a_delivery_that_was_damaged_on_the_disk_holds_no_removal_up(shop: Pool) -> None:
    await intake.deliver(shop, private.deliveries())
    await rows(shop, "UPDATE journal SET body = overlay(body PLACING '\\x00000000' FROM 40) WHERE id = 1 RETURNING id")
    await purge(shop, await put_on_list(shop))
    async with transaction(shop) as conn:
        (number,) = await listing.numbers(conn, KEYRING, 1)
    assert number.purged_at is not None
    await rows(shop, "DELETE FROM quarantine RETURNING id")
    await rows(shop, "DELETE FROM backlog RETURNING journal_id")
    await rows(shop, "DELETE FROM journal WHERE id = 1 RETURNING id")
    assert private.traces_in(await dump(shop)) == []


# ── the list ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("G11")
async def test_the_list_gives_nobody_away(shop: Pool) -> None:
    await intake.deliver(shop, [body_of(wire.message("wamid.A", 1, wire.text("Oi"), phone=private.OTHER))])
    await put_on_list(shop)
    assert private.traces_in(await dump(shop)) == []


async def test_what_cannot_be_meant_is_refused(shop: Pool) -> None:
    for raw in ("", "Rui", "0123", "+12", SHOP.display):
        with pytest.raises(Invalid):
            await put_on_list(shop, raw)
    number_id = await put_on_list(shop)
    with pytest.raises(Conflict, match="on the list already"):
        await put_on_list(shop, f"+{private.WA_ID}")
    with pytest.raises(Invalid, match="not this number"):
        await purge(shop, number_id, typed="+351 910 559 199")


@pytest.mark.requirement("G11")
async def test_taken_off_the_list_it_is_kept_again(shop: Pool) -> None:
    number_id = await put_on_list(shop)
    message = [body_of(wire.message(f"wamid.{n}", n, private.text(f"{n}"), phone=private.WA_ID)) for n in (1, 2)]
    await intake.deliver(shop, message[:1])
    async with transaction(shop) as conn:
        await listing.remove(conn, 1, number_id)
    await intake.deliver(shop, message[1:])
    assert await rows(shop, "SELECT wamid FROM messages") == [("wamid.2",)]


@pytest.mark.requirement("G11")
async def test_nothing_is_written_to_them(shop: Pool) -> None:
    await intake.deliver(shop, [body_of(wire.message("wamid.1", 1, private.text("1"), phone=private.WA_ID))])
    ((conversation_id,),) = await rows(shop, "SELECT id FROM conversations")
    async with transaction(shop) as conn:
        await listing.check_may_write(conn, KEYRING, 1, conversation_id)
    await put_on_list(shop)
    async with transaction(shop) as conn:
        with pytest.raises(Conflict, match="private number"):
            await listing.check_may_write(conn, KEYRING, 1, conversation_id)


async def test_files_that_were_not_fetched_yet_stay_away(shop: Pool) -> None:
    file = wire.message("wamid.1", 1, wire.image("77"), phone=private.WA_ID)
    other = wire.message("wamid.2", 1, wire.image("78"), phone=private.OTHER)
    await intake.deliver(shop, [body_of(file, other)])
    await put_on_list(shop)
    assert await rows(shop, "SELECT wamid, state::text FROM media ORDER BY 1") == [
        ("wamid.1", "gone"),
        ("wamid.2", "waiting"),
    ]


async def test_a_key_that_rotates_keeps_the_list_and_one_that_is_lost_stops_everything(shop: Pool) -> None:
    await put_on_list(shop)
    new = b"n" * KEY_BYTES
    async with transaction(shop) as conn:
        lists = await private_lists.load(conn, Keyring([new, intake.KEY]))
        assert lists is not None
        is_private = lists.of(SHOP.phone_number_id, 1)
        assert is_private is not None
        assert is_private("551185500188")
        with pytest.raises(SecretUnreadable, match="private numbers"):
            await private_lists.load(conn, Keyring([new]))
