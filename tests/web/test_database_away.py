"""While the database goes away, is away and comes back: every page says so calmly, and nothing is doubled or lost."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import psycopg
import pytest
from psycopg import errors
from structlog.testing import capture_logs

from coexist.base import database, migrate, postgres
from coexist.base.database import DatabaseAway, transaction
from tests.support.business import conversation_of, inbound, open_business
from tests.support.waiting import PATIENCE_S
from tests.web.conftest import Site, served

POOL_S: Final = 0.5
"""How long a page waits for a connection here; the product waits longer."""
LOOKS_COUNT: Final = 25


def postmaster(data_dir: Path) -> int:
    return int((postgres.places(data_dir).cluster / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Site, Path]]:
    """A site on a server that is nobody else's, so that it can be stopped."""
    with tempfile.TemporaryDirectory(prefix="coexist-t-") as folder:
        data_dir = Path(folder) / "data"
        async with postgres.running(data_dir) as url:
            await migrate.apply_pending(url)
            async with database.open_pool(url, application="away") as pool, served(pool, url, tmp_path) as site:
                pool.timeout = POOL_S
                site.business = await open_business(pool)
                await site.sign_in(site.business.member)
                yield site, data_dir


async def stop(data_dir: Path) -> None:
    """Stop the server as an administrator does, which ends every session; its keeper starts it again in a while."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(postmaster(data_dir), signal.SIGINT)


async def test_every_page_and_form_answers_503_while_the_database_goes_away_and_works_again_afterwards(
    own: tuple[Site, Path],
) -> None:
    site, data_dir = own
    await site.deliver(inbound("wamid.1", "Olá"))
    talk = f"/conversations/{await conversation_of(site.pool)}"
    assert site.business is not None
    number = f"/inboxes/{site.business.inbox.id}"
    paths = ["/", "/conversations", "/conversations/list", talk, f"{talk}/messages", number, f"{number}/sync"]
    paths += [f"{number}/doctor", f"{number}/notice", f"{number}/doctor/bundle", "/reports", "/inboxes", "/quarantine"]
    seen: dict[int, int] = {}
    is_over = asyncio.Event()

    async def look(path: str) -> None:
        while not is_over.is_set():
            status, _ = await site.get(path)
            seen[status] = seen.get(status, 0) + 1

    async def write() -> None:
        while not is_over.is_set():
            answer = await site.post(f"{talk}/draft", method="PUT", text="Meu rascunho")
            seen[answer.status] = seen.get(answer.status, 0) + 1

    looking = [asyncio.create_task(look(path)) for path in paths] + [asyncio.create_task(write())]
    async with asyncio.timeout(PATIENCE_S):
        while seen.get(503, 0) < LOOKS_COUNT:
            await stop(data_dir)
            await asyncio.sleep(0.2)
        is_over.set()
        await asyncio.gather(*looking)
        while (await site.get(talk))[0] != 200:
            await asyncio.sleep(0.2)
    assert set(seen) <= {200, 204, 303, 503}, seen
    assert "Olá" in (await site.get(talk))[1]


async def test_a_form_says_that_nothing_is_lost_and_the_same_text_can_be_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    talk = f"/conversations/{await conversation_of(site.pool)}/messages"
    our_ref = str(uuid4())
    with monkeypatch.context() as away:
        away.setattr(site.pool, "connection", _unreachable)
        url, headers = site.url + talk, site.headers(Origin=site.url)
        async with site.http.post(url, data={"text": "Oi", "our_ref": our_ref}, headers=headers) as answer:
            page = await answer.text()
        assert (answer.status, answer.headers["Retry-After"], "Refresh" in answer.headers) == (503, "5", False)
        assert "send it once more" in page
        assert "COEXIST_DATABASE_URL" not in page
        async with site.http.get(site.url + "/conversations", headers=site.headers()) as answer:
            assert (answer.status, answer.headers["Refresh"]) == (503, "5")
            assert "comes back by itself" in await answer.text()
    for _ in range(2):
        assert (await site.post(talk, text="Oi", our_ref=our_ref)).status == 303
    async with transaction(site.pool) as conn:
        cursor = await conn.execute("SELECT count(*) FROM messages WHERE origin = 'api'")
        assert await cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (psycopg.OperationalError("the connection is closed"), 503),
        (errors.AdminShutdown("terminating connection"), 503),
        (errors.DeadlockDetected("deadlock detected"), 503),
        (errors.SerializationFailure("could not serialize"), 503),
        (errors.QueryCanceled("statement timeout"), 503),
        (errors.LockNotAvailable("lock timeout"), 503),
        (errors.OutOfMemory("out of memory"), 503),
        (errors.DiskFull("no space left"), 503),
        (errors.ReadOnlySqlTransaction("read-only"), 503),
        (errors.ProgramLimitExceeded("index row too large"), 500),
        (errors.UniqueViolation("duplicate key"), 500),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else str(each),
)
async def test_what_passes_is_a_503_and_what_is_our_fault_a_500(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: psycopg.Error, status: int
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("coexist.web.conversations.feed.last_id", fails)
    assert (await site.get("/conversations"))[0] == status


async def test_whatever_a_statement_says_of_a_connection_that_is_gone_the_database_is_away(site: Site) -> None:
    """One that was idle in its transaction for too long is told so with a code that is no connection's."""
    with pytest.raises(DatabaseAway):
        async with transaction(site.pool) as conn:
            await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
            while not conn.closed:
                await asyncio.sleep(0.1)
                await conn.execute("SELECT 1")


async def test_a_line_whose_database_goes_away_ends_without_a_traceback(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise DatabaseAway("The database cannot be reached.")

    monkeypatch.setattr(site.web.hub, "open", away)
    with capture_logs() as logs:
        async with site.http.get(site.url + "/live?after=0", headers=site.headers()) as answer:
            with suppress(aiohttp.ClientError):
                await answer.content.read()
        async with asyncio.timeout(PATIENCE_S):
            while not any(line["event"] == "stream_ended" for line in logs):
                await asyncio.sleep(0.01)
    assert answer.status == 200


async def test_a_browser_that_leaves_while_it_saves_a_draft_is_no_error(site: Site) -> None:
    await site.deliver(inbound("wamid.1", "Olá"))
    path = f"/conversations/{await conversation_of(site.pool)}/draft"
    host, port = site.url.removeprefix("http://").split(":")
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {site.url}\r\nContent-Length: 100\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in site.headers().items())
    under_way = site.server.server_state.tasks
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}\r\ntext=Ol".encode())
        async with asyncio.timeout(PATIENCE_S):
            while not under_way:
                await asyncio.sleep(0.01)
            writer.close()
            while under_way:
                await asyncio.sleep(0.01)
    assert logs == []


def _unreachable(*_: Any, **__: Any) -> None:
    raise psycopg.OperationalError("connection refused")
