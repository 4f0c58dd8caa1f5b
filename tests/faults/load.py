"""The steady load: customers, the owner at the phone, the address book, the team at the pages, browsers that watch."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aiohttp

from simulator.delivery import Delivery
from tests.faults.machine import Machine
from tests.flows.agent import Agent
from tests.support.waiting import until

ACTS_PER_S: Final = 14.0
WRITES_PER_S: Final = 2.0
WRITE_AGAIN_S: Final = 0.5
TEMPLATES_SHARE: Final = 0.25
"""How many of the team's messages are written with a template."""
TEMPLATE: Final = "order_ready"
ANSWERS_SHARE: Final = 0.3
"""How many of the owner's messages quote one that was there."""
ANSWER_LIMIT_S: Final = 15.0
STREAMS_COUNT: Final = 3
TEAM_COUNT: Final = 8
"""So many people write at the pages: as many messages wait for their page at most."""
WAITING_COUNT: Final = 300
"""While more deliveries than this wait at Meta, a machine that is too slow for the load is given time."""
CUSTOMERS: Final = ("Alba", "Berta", "Clara", "Dalva", "Elsa", "Flora", "Greta", "Hilda")
DIALS: Final = {
    "duplicate": 0.1,
    "reorder": 0.2,
    "merge": 3,
    "drop_then_retry": 0.03,
    "status_disorder": 0.2,
    "echo_api": True,
}
"""What Meta does on an ordinary day."""


@dataclass
class Written:
    """What somebody of the team wrote: ``is_taken`` once a page has said so, ``is_mistimed`` by a wrong clock.

    ``answer`` is the status of the last page, and what it said where that is strange; 0 is no page.
    """

    our_ref: UUID
    text: str
    conversation: str
    answer: str = ""
    is_taken: bool = False
    is_mistimed: bool = False


@dataclass
class Sender:
    """What Meta noted about its deliveries."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """SHA-256 of each body that was answered 200, and how often it was."""
    answers: Counter[int] = field(default_factory=Counter)
    """Every POST by its status; 0 is no answer."""
    again_count: int = 0
    """POSTs of a body that had been posted before."""

    def note(self, delivery: Delivery) -> None:
        if not delivery.attempts:
            return
        status = delivery.attempts[-1].status
        self.answers[status] += 1
        self.again_count += len(delivery.attempts) > 1
        if status == 200:
            self.acknowledged[hashlib.sha256(delivery.body).hexdigest()] += 1


@dataclass
class Load:
    """Everybody who uses the machine. All chance comes from ``rng``."""

    machine: Machine
    agent: Agent
    rng: random.Random
    sender: Sender = field(default_factory=Sender)
    written: list[Written] = field(default_factory=list)
    page_answers: Counter[int] = field(default_factory=Counter)
    strange_pages: Counter[str] = field(default_factory=Counter)
    """What a page said that neither took the message nor asked to try again later."""
    streams: set[int] = field(default_factory=set)
    """Which browsers have an open stream."""
    broken_streams: int = 0
    conversations: list[str] = field(default_factory=list)
    template: tuple[str, str] = ("", "")
    """What is behind a conversation's path for the form of the template, and the revision in it."""
    _fresh: list[tuple[str, str, str]] = field(default_factory=list)
    """(chat, side, wamid) of messages with which nothing more happened yet."""
    _saved: set[str] = field(default_factory=set)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _count: int = 0

    async def begin(self) -> None:
        """Let the customers write for the first time, and find their conversations."""
        shop = self.machine.shop
        tell = self.machine.meta.deliveries.changed

        def noted(delivery: Delivery) -> None:
            self.sender.note(delivery)
            tell(delivery)

        self.machine.meta.deliveries.changed = noted
        await shop.tell("faults", **DIALS)
        for number, name in enumerate(CUSTOMERS):
            await shop.tell("new-customer", name=name, phone=f"4477009002{number:02}", text=f"Olá, sou a {name}")
        for name in CUSTOMERS:
            self.conversations.append(await self._conversation(name))
        self.template = await until(self._form, f"{TEMPLATE} is offered")

    async def _form(self) -> tuple[str, str] | None:
        talk = self.conversations[0]
        page = await self.agent.page(f"{talk}/templates?q={TEMPLATE}")
        path = re.search(rf'href="{talk}(/templates/\d+)"', page)
        if path is None:
            return None
        form = re.search(r'name="revision" value="([^"]+)"', await self.agent.page(f"{talk}{path[1]}"))
        return (path[1], form[1]) if form else None

    async def _conversation(self, name: str) -> str:
        async def found() -> str | None:
            with suppress(ValueError):
                return await self.agent.conversation(name)
            return None

        return str(await until(found, f"{name} is here"))

    async def run(self) -> None:
        """Go on until cancelled; then nothing new begins, and ``finish`` brings to an end what was begun."""
        async with asyncio.TaskGroup() as everybody:
            everybody.create_task(self._talk())
            everybody.create_task(self._write())

    async def finish(self) -> None:
        """Wait until the pages have taken everything that the team wrote."""
        await asyncio.gather(*self._open)

    @property
    def not_taken(self) -> list[str]:
        """What the team wrote and no page has taken, with the last answer."""
        return [f"{one.text} in {one.conversation}: {one.answer}" for one in self.written if not one.is_taken]

    # ── at the phones ─────────────────────────────────────────────────────────────────────────────────────

    async def _talk(self) -> None:
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self._customer_writes: 6,
            self._owner_writes: 4,
            self.customer_sends_file: 1,
            self._owner_sends_file: 1,
            self._second_thought: 4,
            self._address_book: 2,
        }
        while True:
            (act,) = self.rng.choices(list(acts), list(acts.values()))
            if len(self.machine.meta.deliveries.pending) < WAITING_COUNT:
                await act()
            await asyncio.sleep(self.rng.expovariate(ACTS_PER_S))

    def _someone(self) -> str:
        return f"4477009002{self.rng.randrange(len(CUSTOMERS)):02}"

    def _words(self) -> str:
        """A text that nobody else writes."""
        self._count += 1
        return f"Mensagem {self._count}"

    async def customer_says(self, text: str) -> None:
        """A customer writes this, and has no second thoughts about it."""
        await self.machine.shop.tell("customer/send", chat=self._someone(), text=text)

    async def _customer_writes(self) -> None:
        await self._said("customer", text=self._words())

    async def _owner_writes(self) -> None:
        if self._fresh and self.rng.random() < ANSWERS_SHARE:
            chat, _, wamid = self.rng.choice(self._fresh)
            await self._said("owner", chat=chat, text=self._words(), reply_to=wamid)
        else:
            await self._said("owner", text=self._words())

    async def customer_sends_file(self) -> None:
        """A customer sends a photo, a voice note or a document."""
        await self._said("customer", media=self.rng.choice(("photo", "voice", "document")))

    async def _owner_sends_file(self) -> None:
        await self._said("owner", media="photo", caption=self._words())

    async def _said(self, side: str, **asked: str) -> None:
        chat = asked.pop("chat", None) or self._someone()
        message = await self.machine.shop.tell(f"{side}/send", chat=chat, **asked)
        if "text" in asked:
            self._fresh.append((chat, side, message["wamid"]))

    async def _second_thought(self) -> None:
        """One message is edited, deleted or reacted to: the wire's seconds order no more than one of these."""
        if len(self._fresh) < 5:
            return
        _, side, wamid = self._fresh.pop(self.rng.randrange(len(self._fresh)))
        match self.rng.choice(("edit", "delete", "react")):
            case "edit":
                await self.machine.shop.tell(f"{side}/edit", message=wamid, text=self._words())
            case "delete":
                await self.machine.shop.tell(f"{side}/delete", message=wamid)
            case _:
                other = self.rng.choice(("customer", "owner"))
                await self.machine.shop.tell(f"{other}/react", message=wamid, emoji=self.rng.choice("👍🌵❤🙏"))

    async def _address_book(self) -> None:
        chat = self._someone()
        if chat in self._saved and self.rng.random() < 0.4:
            await self.machine.shop.tell("contact/remove", chat=chat)
            self._saved.discard(chat)
        else:
            await self.machine.shop.tell("contact/save", chat=chat, name=f"Cliente {self._words()}")
            self._saved.add(chat)

    # ── at the pages ──────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(WRITES_PER_S))
            if len(self._open) >= TEAM_COUNT:
                continue
            task = asyncio.create_task(self._send(self.rng.choice(self.conversations)))
            self._open.add(task)
            task.add_done_callback(self._written_down)

    def _written_down(self, done: asyncio.Task[None]) -> None:
        """Those that failed stay, for ``finish`` to raise."""
        if done.cancelled() or done.exception() is None:
            self._open.discard(done)

    async def _send(self, conversation: str) -> None:
        """Press send, and again with the same form while no page comes back, as a browser or its user does."""
        begun, clock = time.monotonic(), self.machine.clock
        one = Written(UUID(int=self.rng.getrandbits(128), version=4), f"Resposta {self._words()}", conversation)
        self.written.append(one)
        url, (path, data) = self.agent.shop.url, self._filled(one)
        while not one.is_taken:
            status, said = 0, ""
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.agent.session.post(
                    f"{url}{conversation}{path}",
                    data=data,
                    headers={"Origin": url, "Sec-Fetch-Site": "same-origin"},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S),
                ) as response:
                    status = response.status
                    if status not in (200, 303, 503):
                        said = _sentence(await response.text())
                        self.strange_pages[f"{status}: {said}"] += 1
            self.page_answers[status] += 1
            one.answer = f"{status} {said}".strip()
            one.is_mistimed = clock is not None and clock.was_wrong(begun)
            one.is_taken = status in (200, 303)
            if not one.is_taken:
                await asyncio.sleep(WRITE_AGAIN_S)

    def _filled(self, one: Written) -> tuple[str, dict[str, str]]:
        """Where a form goes, and what is in it: the composer's, or a template's."""
        if self.rng.random() >= TEMPLATES_SHARE:
            return "/messages", {"text": one.text, "our_ref": str(one.our_ref), "reply_to": ""}
        path, revision = self.template
        values = {"value.body.1": "Alba", "value.body.2": one.text}
        return path, {**values, "our_ref": str(one.our_ref), "revision": revision}

    async def watch(self, number: int) -> None:
        """One browser that watches the list, and comes back a second after its stream ended."""
        last_id, timeout = "0", aiohttp.ClientTimeout(total=None, connect=5)
        while True:
            try:
                async with self.agent.session.get(
                    f"{self.agent.shop.url}/live", params={"after": last_id}, timeout=timeout
                ) as response:
                    if response.status == 200:
                        self.streams.add(number)
                    async for line in response.content:
                        if found := re.match(rb"id: (\d+)", line):
                            last_id = found[1].decode()
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.broken_streams += number in self.streams
            finally:
                self.streams.discard(number)
            await asyncio.sleep(1)


def _sentence(page: str) -> str:
    """The words of a page, without its tags."""
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).split())[:200]


@asynccontextmanager
async def watched(load: Load) -> AsyncIterator[None]:
    """Browsers watch inside the block."""
    browsers = [asyncio.create_task(load.watch(number)) for number in range(STREAMS_COUNT)]
    try:
        yield
    finally:
        for browser in browsers:
            browser.cancel()
        await asyncio.gather(*browsers, return_exceptions=True)
