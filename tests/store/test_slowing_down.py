"""Near Meta's limits every loop slows down while its calls still succeed: files, look-ups, syncs, and sends last."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.coexistence import actions, life_watch, oneshot
from coexist.inbox import connection
from coexist.meta.graph import Graph
from coexist.meta.usage import Usage
from coexist.outbound import worker
from tests.support.business import (
    KEYRING,
    NUMBER,
    PHONE,
    TOKEN,
    Business,
    conversation_of,
    deliver,
    inbound,
    open_business,
)
from tests.support.kept_files import fetch, tell
from tests.support.outbox import send_due, states, write
from tests.support.scripted_graph import ScriptedGraph
from tests.support.waiting import looping, until

NEAR: Final = {"X-Business-Use-Case-Usage": '{"701": [{"type": "messaging", "call_count": 99}]}'}
OTHER: Final = "351910559222"


@pytest.fixture
async def business(pool: Pool) -> Business:
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each call that is no send waited before it was made."""
    found: list[float] = []

    async def ease(self: Usage, token: str | None = None) -> None:
        found.append(self.pause_s(token))

    monkeypatch.setattr(Usage, "ease", ease)
    return found


async def rests(business: Business, graph: Graph) -> bool:
    """Whether the number waits, had its last message gone a moment ago."""
    return await worker.rests(business.pool, graph, KEYRING, business.inbox.id, time.monotonic())


async def test_a_success_that_tells_of_the_limit_slows_all_that_follows(
    business: Business, graphs: tuple[ScriptedGraph, Graph], tmp_path: Path, waits: list[float]
) -> None:
    scripted, graph = graphs
    sent = {"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": "wamid.OUT"}]}
    scripted.answers.append(web.json_response(sent, headers=NEAR))
    await write(business)
    assert (graph.usage.is_near, await rests(business, graph)) == (False, False), "nothing was known before"
    assert await send_due(business, graph) == 1
    assert await rests(business, graph)
    scripted.files["880"] = ({}, b"x")
    await tell(business, b"x")
    await fetch(business, graph, replace(Settings(), data_dir=tmp_path))
    async with transaction(business.pool) as conn:
        await connection.doubt(conn, [business.inbox.id])
        await actions.request_syncs(conn, business.inbox.account_id, business.inbox.id)
    scripted.files[NUMBER] = ({"id": NUMBER}, b"")
    await life_watch.ask_due(business.pool, graph, KEYRING)
    await oneshot.ask(business.pool, graph, KEYRING, business.inbox.id)
    assert len(waits) == 4, "a file, a look-up, two syncs"
    assert 0 < graph.usage.pause_s(TOKEN, is_send=True) < min(waits)
    assert graph.usage.pause_s(TOKEN) > graph.usage.pause_s("EAAother") == 0


async def test_a_number_that_rests_marks_nothing_as_being_sent_and_holds_up_nobody(
    business: Business, graphs: tuple[ScriptedGraph, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one place for a call. A number at its limit takes it for no longer than a call lasts."""
    scripted, graph = graphs
    pool, looks, pause_s = business.pool, 0, 3600.0
    sweep = worker.sweep

    async def counted(pool: Pool) -> None:
        nonlocal looks
        await sweep(pool)
        looks += 1

    def long_pause(self: Usage, token: str | None = None, *, is_send: bool = False) -> float:
        return pause_s if token == TOKEN and self.share(token) > 95 else 0.0

    monkeypatch.setattr(worker, "IN_FLIGHT_COUNT", 1)
    monkeypatch.setattr(worker, "sweep", counted)
    monkeypatch.setattr(Usage, "pause_s", long_pause)
    await another_number(business)
    graph.usage.hear(TOKEN, NEAR)
    wake = asyncio.Event()

    async def are(*expected: str) -> None:
        async def hold() -> bool:
            return await states(business) == list(expected)

        await until(hold, f"the messages are {expected}")

    async def has_looked_since(before: int) -> bool:
        wake.set()
        return looks >= before + 3

    async with looping(worker.run(pool, graph, KEYRING, sends_per_second=20, wake=wake)):
        await write(business, "one", conversation_id=await conversation_of(pool, PHONE))
        await are("accepted")
        await write(business, "two", conversation_id=await conversation_of(pool, PHONE))
        await until(partial(has_looked_since, looks), "it looks a few times")
        assert await states(business) == ["accepted", "queued"], "it is not marked before it is called"
        await write(business, "other", conversation_id=await conversation_of(pool, OTHER))
        await are("accepted", "queued", "accepted")
        pause_s = 0.0
        await are("accepted", "accepted", "accepted")
    assert [asked.body["text"]["body"] for asked in scripted.of("/messages")] == ["one", "other", "two"]


async def another_number(business: Business) -> None:
    """Connect a second number of another WhatsApp account, to which a customer has just written."""
    async with transaction(business.pool) as conn:
        await actions.connect(
            conn, KEYRING, account_id=business.member.account_id, waba_id="701122334455668",
            phone_number_id="555100020003001", display_phone_number="351210559001", token="EAAother",
            is_coexistence=True,
        )  # fmt: skip
    told = inbound("wamid.OTHER", "Olá", phone=OTHER)
    told["value"]["metadata"]["phone_number_id"] = "555100020003001"
    await deliver(business.pool, told)
