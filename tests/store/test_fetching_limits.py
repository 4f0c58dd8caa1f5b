"""Fetching keeps its place: beside what stands still, within what Meta allows, for what a disk holds, as decided."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import Unavailable
from coexist.coexistence import switches
from coexist.exported_chats import worker as exported_chats
from coexist.inbox import files, private
from coexist.inbox.switches import Switch
from coexist.media import rules, wanted, worker
from coexist.media.disk import Disk
from coexist.media.model import Name, Reason, Wanted
from coexist.meta.graph import Graph
from tests.support.business import PHONE, Business, open_business
from tests.support.intake import KEYRING
from tests.support.kept_files import drain, fetch, means_of, media_rows, picture, read, reason, tell, tell_some
from tests.support.scripted_graph import Asked, ScriptedGraph, error
from tests.support.waiting import PATIENCE_S, looping, until


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=tmp_path)


async def test_a_download_that_stands_still_holds_nobody_up(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 6)
    stuck, usual = asyncio.Event(), scripted._usual

    async def answer(asked: Asked) -> Any:
        if asked.what == "GET /bytes/95":
            await stuck.wait()
        return usual(asked)

    scripted.answers.extend([answer] * 12)

    async def are_here() -> bool:
        return [row[0] for row in await media_rows(business)] == ["stored"] * 5 + ["waiting"]

    async with looping(worker.run(means_of(business.pool, graph, settings), wake=asyncio.Event())):
        try:
            await until(are_here, "the five others are here")
        finally:
            stuck.set()


async def test_a_number_has_no_more_than_its_share_of_downloads(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    are_two, usual = asyncio.Event(), scripted._usual

    async def answer(asked: Asked) -> Any:
        """The first waits until there is a second; and then for a while, in which a third could come."""
        if scripted.under_way > 1:
            are_two.set()
        async with asyncio.timeout(PATIENCE_S):
            await are_two.wait()
        await asyncio.sleep(0.05)
        return usual(asked)

    await tell_some(business, scripted, 6)
    scripted.answers.extend([answer] * 12)
    few = replace(settings, media_at_once_per_number=2)
    await asyncio.gather(*(drain(business, graph, few) for _ in range(5)))
    assert scripted.most_at_once == 2


async def test_imports_keep_to_their_hourly_number_and_leave_room_for_what_comes_now(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 8)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE media SET content_rank = 30 WHERE media_id <= '95'")
    measured = replace(settings, media_per_hour=4)
    assert await fetch(business, graph, measured) == 4, "two of now, two of the six imported ones"
    await tell(business, picture(50), wamid="wamid.NOW", id="99")
    scripted.files["99"] = ({}, picture(50))
    assert await fetch(business, graph, measured) == 1, "what comes now may use a quarter more"
    assert await fetch(business, graph, measured, after=timedelta(minutes=59)) == 0
    assert await fetch(business, graph, measured, after=timedelta(minutes=61)) == 4


@pytest.mark.parametrize(("code", "status"), [(80007, 400), (130429, 429)])
async def test_when_meta_asks_for_fewer_calls_the_whole_number_waits_longer_each_time(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, code: int, status: int
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 2)
    scripted.answers.extend([lambda asked: error(code, status=status)] * 2)
    assert await fetch(business, graph, settings) == 1
    assert len(scripted.asked) == 1, "asked once, not again at once"
    assert await reason(business) == Reason.THROTTLED
    assert await fetch(business, graph, settings, after=timedelta(seconds=40)) == 0
    assert await fetch(business, graph, settings, after=timedelta(seconds=61)) == 1
    assert await fetch(business, graph, settings, after=timedelta(seconds=61 + 90)) == 0, "twice as long"
    assert await fetch(business, graph, settings, after=timedelta(seconds=61 + 121)) == 2
    assert [(row[0], row[6]) for row in await media_rows(business)] == [("stored", 1), ("stored", 1)]
    async with business.pool.connection() as conn:
        assert await (await conn.execute("SELECT * FROM media_throttles")).fetchall() == []


async def test_the_address_of_the_webhook_saves_a_call_while_it_lives(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, picture())
    await tell(business, picture(), url=f"{scripted.address}/bytes/880")
    await fetch(business, graph, settings)
    assert [asked.what for asked in scripted.asked] == ["GET /bytes/880"]
    scripted.files["881"] = ({}, picture(31))
    await tell(business, picture(31), wamid="wamid.OLD", id="881", url=f"{scripted.address}/bytes/881")
    await fetch(business, graph, settings, after=rules.ADDRESS_LIFE)
    assert [asked.what for asked in scripted.asked][1:] == ["GET /v25.0/881", "GET /bytes/881"]


@pytest.mark.parametrize("url", ["{}/bytes/gone", "http://other.example/bytes/880"])
async def test_an_address_that_is_stale_or_of_a_stranger_is_asked_for_anew(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, url: str
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, picture())
    await tell(business, picture(), url=url.format(scripted.address))
    if "gone" in url:
        scripted.answers.append(lambda asked: web.Response(status=404, text="URL signature expired"))
    await fetch(business, graph, settings)
    assert [row[0] for row in await media_rows(business)] == ["stored"]


@pytest.mark.requirement("D10")
async def test_what_could_not_come_in_seven_days_says_so_after_one_last_attempt(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell(business, picture())
    scripted.answers.extend([lambda asked: error(131016, status=500)] * 60)
    attempts, hours = 0, 0
    while (await media_rows(business))[0][0] == "waiting":
        attempts += await fetch(business, graph, settings, after=timedelta(hours=hours))
        hours += 1
        assert hours < 24 * 8
    assert timedelta(days=6, hours=20) < timedelta(hours=hours) <= timedelta(days=7)
    assert 15 < attempts < 30
    assert (await media_rows(business))[0][7] == rules.SENTENCES[Reason.EXPIRED]


async def test_a_full_disk_makes_files_wait_and_they_say_so(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 2)
    full = replace(settings, media_min_free_bytes=2**60)
    assert await fetch(business, graph, full) == 0
    assert scripted.asked == []
    assert [row[7] for row in await media_rows(business)] == [rules.SENTENCES[Reason.NO_ROOM]] * 2
    async with business.pool.connection() as conn:
        told = await (await conn.execute("SELECT count(*) FROM events WHERE kind = 'message_changed'")).fetchone()
    assert told == (2,), "the bubbles say it"
    await fetch(business, graph, full, after=timedelta(minutes=2))
    async with business.pool.connection() as conn:
        again = await (await conn.execute("SELECT count(*) FROM events WHERE kind = 'message_changed'")).fetchone()
    assert again == told, "and say it once"
    assert await fetch(business, graph, settings, after=timedelta(minutes=4)) == 2
    assert [(row[0], row[6], row[7]) for row in await media_rows(business)] == [("stored", 1, None)] * 2


async def test_a_disk_that_fills_up_under_a_download_leaves_nothing_and_costs_no_attempt(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, tmp_path: Path
) -> None:
    scripted, graph = graphs
    content = b"x" * 200_000
    scripted.files["880"] = ({}, content)
    await tell(business, content, mime_type="application/pdf")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # EFBIG, as a quota
    try:
        await fetch(business, graph, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(row[0], row[6]) for row in await media_rows(business)] == [("waiting", 0)]
    assert await reason(business) == Reason.NO_ROOM
    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []
    assert await fetch(business, graph, settings, after=timedelta(minutes=2)) == 1
    assert [row[0] for row in await media_rows(business)] == ["stored"]


async def test_a_data_folder_that_is_gone_ends_no_loop(
    business: Business, graphs: tuple[ScriptedGraph, Graph], tmp_path: Path
) -> None:
    """All loops of a worker live and die together: messages must go on being applied while files cannot be kept."""
    (tmp_path / "no folder").write_bytes(b"")
    gone = replace(Settings(), data_dir=tmp_path / "no folder" / "data")
    _, graph = graphs
    await tell(business, picture())
    means = means_of(business.pool, graph, gone)
    fetching = worker.run(means, wake=asyncio.Event())
    importing = exported_chats.run(business.pool, gone, KEYRING, means.keep, wake=asyncio.Event())
    async with looping(fetching, importing):
        await asyncio.sleep(1)  # in which one that fails at once would have
    name = Name(1, "0" * 64)
    with pytest.raises(Unavailable):
        await Disk(gone.data_dir).size(name)
    with pytest.raises(Unavailable):
        await anext(Disk(gone.data_dir).read(name))


async def test_a_store_that_cannot_be_reached_costs_no_attempt(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, picture())
    await tell(business, picture())

    async def refuse(self: Disk, name: Name, source: Path) -> None:
        raise Unavailable("The file store cannot be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "put", refuse)
        await fetch(business, graph, settings)
    assert [(row[0], row[6]) for row in await media_rows(business)] == [("waiting", 0)]
    assert await fetch(business, graph, settings, after=timedelta(minutes=2)) == 1
    assert [row[0] for row in await media_rows(business)] == ["stored"]


async def test_another_account_with_the_same_bytes_has_its_own_file_and_never_ours(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    content = picture()
    scripted.files["880"] = ({}, content)
    await tell(business, content)
    await fetch(business, graph, settings)
    asked = len(scripted.asked)
    sha256 = hashlib.sha256(content).hexdigest()
    async with transaction(business.pool) as conn:  # the number changes hands; its file goes with the account
        row = await (await conn.execute("INSERT INTO accounts (name) VALUES ('Other') RETURNING id")).fetchone()
        assert row is not None
        await conn.execute("UPDATE inboxes SET account_id = %s", row)
        await conn.execute("DELETE FROM media")
    await tell(business, content, wamid="wamid.THEIRS", id="880")
    await fetch(business, graph, settings)
    assert len(scripted.asked) == asked + 2, "a known hash gives nobody a file: it is fetched with their own token"
    assert await read(Disk(settings.data_dir), Name(row[0], sha256)) == content


async def test_an_unwanted_file_is_neither_asked_for_nor_kept(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted, graph = graphs
    scripted.files["880"] = ({}, picture())
    answers = [None, "This number is private."]

    async def refusal(conn: Any, settings: Settings, keyring: Any, file: Wanted) -> str | None:
        return answers.pop(0)

    monkeypatch.setattr("coexist.media.wanted.refusal", refusal)
    await tell(business, picture())
    await fetch(business, graph, settings)
    assert [path for path in (settings.data_dir / "media").rglob("*") if path.is_file()] == [], "decided meanwhile"
    assert [(row[0], row[7]) for row in await media_rows(business)] == [("failed", "This number is private.")]
    answers[:] = ["This number is private."]
    asked = len(scripted.asked)
    await tell(business, picture(31), wamid="wamid.B", id="881")
    await fetch(business, graph, settings)
    assert len(scripted.asked) == asked


async def turn(business: Business, *, is_on: bool) -> None:
    """Switch the number's files on or off."""
    account_id, inbox_id = business.inbox.account_id, business.inbox.id
    async with transaction(business.pool) as conn:
        await switches.throw(
            conn, "Ana", account_id, inbox_id, Switch.MEDIA, is_on=is_on, installation=frozenset(Switch)
        )


@pytest.mark.requirement("B11")
async def test_files_that_are_switched_off_are_fetched_once_they_are_switched_on(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 1)
    await fetch(business, graph, replace(settings, sync_media=False))
    off = "Files are switched off here, for the"
    assert [row[7] for row in await media_rows(business)] == [f"{off} whole installation."]
    await turn(business, is_on=False)
    async with transaction(business.pool) as conn:
        await files.want_again(conn, [business.inbox.id])
    await fetch(business, graph, settings)
    assert [row[7] for row in await media_rows(business)] == [f"{off} number."]
    assert scripted.asked == []
    await turn(business, is_on=True)
    await fetch(business, graph, settings)
    assert [row[0] for row in await media_rows(business)] == ["stored"]


@pytest.mark.requirement("G11")
async def test_a_file_of_a_number_that_became_private_is_not_fetched(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await tell_some(business, scripted, 1)
    async with transaction(business.pool) as conn:
        await private.add(conn, KEYRING, "Ana", business.inbox.account_id, f"+{PHONE}")
        await conn.execute("UPDATE media SET state = 'waiting', reason = NULL")  # as one that was claimed just before
    await fetch(business, graph, settings)
    assert [row[7] for row in await media_rows(business)] == [wanted.PRIVATE]
    assert scripted.asked == []
