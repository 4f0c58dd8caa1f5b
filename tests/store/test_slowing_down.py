"""Near Meta's limits every loop slows down while its calls still succeed: files, look-ups, syncs, and sends last."""

from __future__ import annotations

from dataclasses import replace
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
from tests.support.business import KEYRING, NUMBER, TOKEN, Business, deliver, inbound, open_business
from tests.support.kept_files import fetch, tell
from tests.support.outbox import send_due, states, write
from tests.support.scripted_graph import ScriptedGraph

NEAR: Final = {"X-Business-Use-Case-Usage": '{"701": [{"type": "messaging", "call_count": 99}]}'}


@pytest.fixture
async def business(pool: Pool) -> Business:
    opened = await open_business(pool)
    await deliver(pool, inbound("wamid.IN", "Olá"))
    return opened


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, bool]]:
    """How long each call waited before it was made, and whether it was a send."""
    found: list[tuple[float, bool]] = []

    async def ease(self: Usage, token: str | None = None, *, is_send: bool = False) -> None:
        found.append((self.pause_s(token, is_send=is_send), is_send))

    monkeypatch.setattr(Usage, "ease", ease)
    return found


async def test_a_success_that_tells_of_the_limit_slows_all_that_follows(
    business: Business, graphs: tuple[ScriptedGraph, Graph], tmp_path: Path, waits: list[tuple[float, bool]]
) -> None:
    scripted, graph = graphs
    sent = {"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": "wamid.OUT"}]}
    scripted.answers.append(web.json_response(sent, headers=NEAR))
    await write(business)
    assert await send_due(business, graph) == 1
    assert waits == [(0.0, True)], "nothing was known before"
    waits.clear()

    await write(business, "Mais uma")
    await send_due(business, graph)
    scripted.files["880"] = ({}, b"x")
    await tell(business, b"x")
    await fetch(business, graph, replace(Settings(), data_dir=tmp_path))
    async with transaction(business.pool) as conn:
        await connection.doubt(conn, [business.inbox.id])
        await actions.request_syncs(conn, business.inbox.account_id, business.inbox.id)
    scripted.files[NUMBER] = ({"id": NUMBER}, b"")
    await life_watch.ask_due(business.pool, graph, KEYRING)
    await oneshot.ask(business.pool, graph, KEYRING, business.inbox.id)
    assert await states(business) == ["accepted", "accepted"], "a message goes all the same"
    sends = [pause_s for pause_s, is_send in waits if is_send]
    others = [pause_s for pause_s, is_send in waits if not is_send]
    assert len(sends) == 1
    assert len(others) == 4, "a file, a look-up, two syncs"
    assert 0 < max(sends) < min(others)
    assert graph.usage.pause_s(TOKEN) > graph.usage.pause_s("EAAother") == 0
