"""`screen`: from the POST of an echo to its bubble in a browser's DOM, while other streams are open.

One clock: the POST reads the system's, the page adds ``performance.now()`` to ``performance.timeOrigin``, and both are
compared before and after. The limit is a page beside a server that passes on what is posted to every stream, and does
nothing else.
"""

import asyncio
import os
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

from coexist.base import database
from tests.bench import machine
from tests.bench.client import signed
from tests.bench.machine import Running, Server
from tests.bench.results import Result, Target, milliseconds
from tests.bench.usage import Spent
from tests.support import intake, wire

CHROMIUM_ARGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EMAIL: Final = "bench@example.com"
CUSTOMER: Final = "5511985500199"
CLOCKS_APART_MS: Final = 2.0
JITTER: Final = 0.2
"""Of the pause between two echoes, so that they fall in with nothing that happens at regular times."""

ARRIVAL_WAIT_S: Final = 30.0

WATCH: Final = """
() => {
  const seen = (window.seen = {});
  new MutationObserver((changes) => {
    const now = performance.timeOrigin + performance.now();
    for (const change of changes)
      for (const added of change.addedNodes)
        for (const [, name] of (added.textContent ?? "").matchAll(/(Echo \\d+)\\./g)) seen[name] ??= now;
  }).observe(document.body, { childList: true, subtree: true });
}
"""


async def run(server: Server, *, echoes: int = 300, streams: int = 100, every_ms: float = 200) -> Result:
    """Measure both and report the median in ms."""
    spent = Spent()
    async with machine.connected(server) as ours, _browser() as browser:
        async with machine.product(ours, workers=1) as running, aiohttp.ClientSession() as session:
            cookie = await _sign_in(running, session)
            await _post(session, running.address, wire.message("wamid.FIRST", 0, wire.text("Bom dia"), phone=CUSTOMER))
            talk, after = await _where(ours)
            page = await browser.new_page()
            await page.context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": running.address}])
            await page.goto(f"{running.address}/conversations/{talk}")
            await page.wait_for_selector(".bubble")
            paths = [f"/live?after={after}", f"/live?after={after}&conversation={talk}"]
            listened = [paths[n % 2] for n in range(streams)]
            async with _streams(running.address, listened, Cookie="=".join(cookie)):
                with spent:
                    times = await _watch(page, session, running.address, echoes, every_ms / 1000)
            await page.close()
        async with machine.bare("bare_screen") as bare, aiohttp.ClientSession() as session:
            page = await browser.new_page()
            await page.goto(bare)
            async with _streams(bare, ["/live"] * streams):
                limits = await _watch(page, session, bare, echoes, every_ms / 1000)
            await page.close()
    p50, p99, limit = milliseconds(times, 0.5), milliseconds(times, 0.99), milliseconds(limits, 0.5)
    return Result(
        "screen",
        p50,
        "ms",
        limit,
        "a server that passes on what is posted, and a page that appends it",
        limit / p50,
        targets={"p50, ms": Target(p50, at_most=60), "p99, ms": Target(p99, at_most=250)},
        spent=spent,
        sizes={"echoes": echoes, "streams": streams, "every_ms": every_ms},
        machine=server.facts,
        further={"max_ms": max(times) * 1000, "limit_p99_ms": milliseconds(limits, 0.99)},
    )


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: bin/check finds or installs one, or set CHROMIUM=/path"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        yield browser
        await browser.close()


async def _sign_in(running: Running, session: aiohttp.ClientSession) -> tuple[str, str]:
    """Somebody of the account: (name, value) of their cookie."""
    link = await machine.run_command(
        running, "user", "add", "--account", "Jardim Verde", "--email", EMAIL, "--name", "Bench"
    )
    path = link[link.index("/sign-in/link/") :].split()[0]
    async with session.post(running.address + path, allow_redirects=False) as response:
        assert response.status == 303, response.status
        cookie = next(iter(response.cookies.values()))
        return cookie.key, cookie.value


async def _where(database_url: str) -> tuple[int, int]:
    """The only conversation, once it is there, and the newest event."""
    async with await database.connect(database_url, application="bench") as conn:
        await machine.until_queryable(conn)
        talk = await machine.count(conn, "SELECT id FROM conversations")
        return talk, await machine.count(conn, "SELECT max(id) FROM events")


@asynccontextmanager
async def _streams(address: str, paths: list[str], **headers: str) -> AsyncIterator[None]:
    """So many open streams, each read as it comes."""

    async def read(response: aiohttp.ClientResponse) -> None:
        async for _ in response.content.iter_any():
            pass

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
        AsyncExitStack() as stack,
    ):
        responses = [await stack.enter_async_context(session.get(address + path)) for path in paths]
        assert all(response.status == 200 for response in responses)
        readers = [asyncio.create_task(read(response)) for response in responses]
        yield
        assert not any(reader.done() for reader in readers), "a stream ended"
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _watch(page: Page, session: aiohttp.ClientSession, address: str, count: int, every_s: float) -> list[float]:
    """Post echoes at their times, whatever becomes of those before; return how long each took to the DOM, in s.

    One before them, not counted, shows that the page hears its stream.
    """
    await page.evaluate(WATCH)
    await _post(session, address, wire.echo("wamid.READY", 1, wire.text("Echo 999999."), phone=CUSTOMER))
    await _until_seen(page, 1)
    await _compare_clocks(page)
    chance = random.Random(5)
    posted: dict[str, float] = {}
    posts = []
    begin = time.perf_counter()
    for n in range(count):
        due = begin + every_s * (n + 1 + chance.uniform(-JITTER, JITTER))
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        text = f"Echo {n}"
        echo = wire.echo(f"wamid.ECHO{n:08d}", n + 1, wire.text(f"{text}."), phone=CUSTOMER)
        posted[text] = time.time()
        posts.append(asyncio.create_task(_post(session, address, echo)))
    await asyncio.gather(*posts)
    await _until_seen(page, count + 1)
    await _compare_clocks(page)
    seen: dict[str, float] = await page.evaluate("seen")
    return [seen[text] / 1000 - at for text, at in posted.items()]


async def _until_seen(page: Page, count: int) -> None:
    await page.wait_for_function("count => Object.keys(seen).length >= count", arg=count, timeout=ARRIVAL_WAIT_S * 1000)


async def _post(session: aiohttp.ClientSession, address: str, change: wire.Json) -> None:
    body = intake.body_of(change)
    async with session.post(f"{address}/webhook", data=body, headers=signed(body)) as response:
        assert response.status == 200, response.status


async def _compare_clocks(page: Page) -> None:
    """The page's clock must lie between two readings of ours."""
    before = time.time() * 1000
    there = await page.evaluate("performance.timeOrigin + performance.now()")
    after = time.time() * 1000
    assert before - CLOCKS_APART_MS <= there <= after + CLOCKS_APART_MS, (before, there, after)
