"""The stream: what happens goes to those whom it concerns, once, in order, and nothing grows without bound."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, timedelta

import aiohttp
import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox.model import Message
from coexist.people import actions as people
from coexist.people.model import Member
from coexist.web import live, stream
from coexist.web.live import STREAM_BYTES_MAX, Hub, Stream
from tests.support.business import PHONE, change, conversation_of, echo, inbound
from tests.support.waiting import PATIENCE_S, until
from tests.web.conftest import Site


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    name: str
    data: str
    id: str


class Line:
    """A browser's end of ``/live``."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def next(self, *names: str) -> Told:
        """The next event with one of these names; beats and others are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                told = await self._one()
                if told.name in names:
                    return told

    async def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._one()
        except TimeoutError:
            return True
        return False

    async def ends(self) -> bool:
        """Whether the server ends it, after whatever still comes."""
        async with asyncio.timeout(PATIENCE_S):
            async for _ in self._content:
                pass
        return True

    async def _one(self) -> Told:
        fields: dict[str, list[str]] = {}
        async for raw in self._content:
            text = raw.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields.setdefault(name, []).append(value)
            elif "data" in fields:
                name = fields.get("event", ["message"])[0]
                return Told(name, "\n".join(fields["data"]), fields.get("id", [""])[0])
            else:
                fields = {}
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listening(site: Site, path: str, **headers: str) -> AsyncIterator[Line]:
    """A stream that is ready."""
    async with site.http.get(site.url + path, headers=site.headers(**headers)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        line = Line(response.content)
        await line.next("ready")
        yield line


async def last_event(pool: Pool, account_id: int) -> int:
    async with transaction(pool) as conn:
        return await feed.last_id(conn, account_id)


async def here(site: Site) -> tuple[int, int]:
    """The only conversation, and the newest event of the account."""
    assert site.member is not None
    return await conversation_of(site.pool), await last_event(site.pool, site.member.account_id)


@pytest.mark.requirement("E3")
async def test_a_bubble_is_told_to_the_conversation_and_a_signal_to_the_list(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    conversation_id, after = await here(site)
    async with (
        listening(site, f"/live?conversation={conversation_id}&after={after}") as talk,
        listening(site, f"/live?after={after}") as anywhere,
    ):
        await site.deliver(echo("wamid.B", "Pode vir <b>já</b>"))
        told = await talk.next("message")
        assert 'hx-swap="place"' in told.data
        assert "Pode vir &lt;b&gt;já&lt;/b&gt;" in told.data
        assert "from-app" in told.data
        assert (await anywhere.next("list", "message")).name == "list"


async def test_a_stream_goes_on_where_it_stopped(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "one"))
    conversation_id, after = await here(site)
    await site.deliver(inbound("wamid.B", "two"))
    path = f"/live?conversation={conversation_id}"
    async with listening(site, f"{path}&after={after}") as line:
        told = await line.next("message")
        assert "two" in told.data
    await site.deliver(inbound("wamid.C", "three"))
    async with listening(site, f"{path}&after=0", Last_Event_ID=told.id) as line:
        told = await line.next("message")
        assert "three" in told.data
        assert "two" not in told.data


async def test_after_too_long_a_gap_the_page_is_loaded_anew(site: Site) -> None:
    assert site.member is not None
    events = [
        NewEvent(site.member.account_id, Kind.CONVERSATION_CHANGED, conversation_id=n + 1000)
        for n in range(live.GAP_EVENTS_MAX)
    ]
    async with transaction(site.pool) as conn:
        await feed.append(conn, events)
    async with listening(site, "/live?after=0") as line:
        await line.next("reload")
        assert await line.ends()


async def test_nothing_of_another_account_is_told(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    await site.sign_in(stranger)
    async with listening(site, "/live?after=0") as line:
        await site.deliver(inbound("wamid.B", "Segredo"))
        assert await line.is_silent(1)


async def test_who_is_signed_out_hears_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.1)
    monkeypatch.setattr(stream, "SESSION_CHECK_S", 0.2)
    async with listening(site, "/live?after=0") as line:
        await line.next("beat")
        assert (await site.post("/sign-out")).status == 303
        await line.next("reload")
        assert await line.ends()
    status, _ = await site.get("/live?after=0")
    assert status == 401


async def test_streams_end_at_once_when_the_process_stops(site: Site) -> None:
    site.server.config.timeout_graceful_shutdown = None  # nobody is cut off: each stream has to end by itself
    async with listening(site, "/live?after=0") as line:
        site.web.hub.close()
        site.server.should_exit = True
        assert await line.ends()


async def test_it_goes_on_when_the_listening_connection_was_lost(site: Site) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    conversation_id, after = await here(site)
    async with listening(site, f"/live?conversation={conversation_id}&after={after}") as line:
        async with transaction(site.pool) as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'coexist listen' AND datname = current_database()"
            )
        await site.deliver(inbound("wamid.B", "Ainda aí?"))
        assert "Ainda aí?" in (await line.next("message")).data


async def test_a_bubble_is_rendered_once_for_a_team(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.deliver(inbound("wamid.A", "Bom dia"))
    conversation_id, after = await here(site)
    rendered: list[int] = []
    original = site.web.hub._render

    def counting(message: object, zone: object, as_of: int) -> str:
        rendered.append(1)
        return original(message, zone, as_of)  # type: ignore[arg-type]

    monkeypatch.setattr(site.web.hub, "_render", counting)
    path = f"/live?conversation={conversation_id}&after={after}"
    async with listening(site, path) as one, listening(site, path) as two, listening(site, path) as three:
        await site.deliver(inbound("wamid.B", "Alô?"))
        for line in (one, two, three):
            assert "Alô?" in (await line.next("message")).data
    assert len(rendered) == 1


def test_a_slow_browser_costs_no_more_than_its_limit() -> None:
    slow = Stream(1, UTC, 1, 1)
    bubble = "x" * 10_000
    for event_id in range(1, 200):
        slow.push(bubble, event_id)
        slow.signal("list", event_id)
        assert slow._bytes <= STREAM_BYTES_MAX
    assert slow.is_closed
    last = slow.take()
    assert last.startswith(b"event: reload\n")
    assert len(last) < 200


def test_signals_wait_once_and_behind_the_bubbles() -> None:
    waiting = Stream(1, UTC, 1, 1)
    for event_id in (1, 2, 3):
        waiting.signal("list", event_id)
    waiting.push("<li>a\nb</li>", 4)
    assert waiting.take() == b"id: 4\ndata: <li>a\ndata: b</li>\n\nevent: list\nid: 4\ndata: -\n\n"
    assert waiting.take() == b""


async def test_an_account_without_streams_is_not_followed(site: Site, database_url: str) -> None:
    hub = Hub(database_url, site.pool, lambda message, zone, as_of: "")
    assert site.member is not None
    streams = [Stream(site.member.account_id, UTC, None, None) for _ in range(3)]
    for each in streams:
        await hub.open(each, 0)
    assert list(hub._followed) == [site.member.account_id]
    for each in streams:
        hub.shut(each)
    assert not hub._followed
    await asyncio.sleep(0)
    hub.close()
    late = Stream(site.member.account_id, UTC, None, None)
    await hub.open(late, 0)
    assert late.is_closed


async def test_what_a_page_missed_is_not_told_after_what_happened_since(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page opens and reads what it missed; before that is on its way, the same message is edited and told of."""
    await site.deliver(inbound("wamid.A", "Separei duas"))
    conversation_id, _ = await here(site)
    hub, read = site.web.hub, site.web.hub._messages
    is_read, may_go = asyncio.Event(), asyncio.Event()

    async def slow(account_id: int, changed: dict[int, dict[int, int]]) -> dict[int, Message]:
        found = await read(account_id, changed)
        if not is_read.is_set():
            is_read.set()
            await may_go.wait()
        return found

    monkeypatch.setattr(hub, "_messages", slow)
    assert site.member is not None
    stream = Stream(site.member.account_id, UTC, conversation_id, None)
    told = ""

    async def has_overtaken() -> bool:
        return stream._bytes > 0

    async def is_told() -> bool:
        nonlocal told
        told += stream.take().decode()
        return "Separei duas" in told and "Separei três" in told

    opening = asyncio.create_task(hub.open(stream, 0))
    await is_read.wait()
    edit = {"original_message_id": "wamid.A", "message": {"type": "text", "text": {"body": "Separei três"}}}
    said = {"from": PHONE, "id": "wamid.E", "timestamp": str(int(clock.now().timestamp())), "type": "edit"}
    await site.deliver(change("messages", messages=[{**said, "edit": edit}]))
    with suppress(AssertionError):
        await until(has_overtaken, "the edit overtakes", seconds=0.5)
    may_go.set()
    await opening
    await until(is_told, "both are told")
    assert "Separei três" in told[told.rindex("<hx-partial") :], "the last bubble is the newest"
    hub.shut(stream)


async def test_a_second_account_is_followed_apart(site: Site) -> None:
    async with transaction(site.pool) as conn:
        account = await people.create_account(conn, "Second")
    assert site.member is not None
    after = await last_event(site.pool, site.member.account_id)
    async with listening(site, f"/live?after={after}") as line:
        async with transaction(site.pool) as conn:
            await feed.append(conn, [NewEvent(account.id, Kind.INBOX_CHANGED)])
        assert await line.is_silent(0.5)


async def test_who_missed_what_the_feed_no_longer_has_loads_the_page_anew_once(site: Site) -> None:
    """The browser's place is older than the oldest event that is kept: one reload, and the page made then follows."""
    assert site.member is not None
    account_id = site.member.account_id
    await site.deliver(inbound("wamid.A", "Bom dia"))
    conversation_id, before = await here(site)
    await site.deliver(inbound("wamid.B", "Alguém?"))
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE events SET at = at - interval '8 days'")
        assert await feed.prune(conn, clock.now() - timedelta(days=feed.KEPT_DAYS), 1000) > 0
        assert await (await conn.execute("SELECT count(*) FROM events")).fetchone() == (0,)
        assert await feed.last_id(conn, account_id) > before, "an empty feed goes on where it was"
    path = f"/live?conversation={conversation_id}"
    async with listening(site, f"{path}&after=0", Last_Event_ID=str(before)) as line:
        await line.next("reload")
        assert await line.ends()
    _, page = await site.get(f"/conversations/{conversation_id}")
    (after,) = re.findall(r'data-after="(\d+)"', page)
    async with listening(site, f"{path}&after={after}") as line:
        await site.deliver(inbound("wamid.C", "Olá?"))
        assert "Olá?" in (await line.next("message", "reload")).data


async def test_pruning_leaves_what_is_young_and_whoever_has_seen_the_rest_misses_nothing(site: Site) -> None:
    assert site.member is not None
    account_id = site.member.account_id
    async with transaction(site.pool) as conn:
        await feed.append(conn, [NewEvent(account_id, Kind.CONVERSATION_CHANGED, conversation_id=n) for n in (1, 2, 3)])
        await conn.execute("UPDATE events SET at = at - interval '8 days' WHERE conversation_id IS DISTINCT FROM 3")
        old = clock.now() - timedelta(days=feed.KEPT_DAYS)
        total = len(await feed.since(conn, account_id, 0))
        assert [await feed.prune(conn, old, 1) for _ in range(total)] == [1] * (total - 1) + [0]
        (kept,) = await feed.since(conn, account_id, 0)
        assert kept.conversation_id == 3
        assert await feed.is_pruned_after(conn, account_id, kept.id - 2)
        assert not await feed.is_pruned_after(conn, account_id, kept.id - 1)
        assert await feed.last_id(conn, account_id) == kept.id
    async with listening(site, f"/live?after={kept.id - 1}") as line:
        assert (await line.next("list", "reload")).name == "list"
