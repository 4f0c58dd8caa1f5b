"""The access token of a number: when Meta is asked about it, and what becomes of the answer in every order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import in_transaction, transaction
from coexist.coexistence import life_store, life_watch
from coexist.inbox import connection, refusals
from coexist.inbox.connection import Line
from coexist.inbox.refusals import Refusal
from coexist.meta.graph import Graph
from tests.store.test_life import business, settings, state, timeline
from tests.support.business import Business
from tests.support.intake import KEYRING
from tests.support.scripted_graph import ScriptedGraph, error

__all__ = ["business", "settings"]


async def refused(business: Business) -> None:
    """A call is refused for the token now."""
    refusal = Refusal(business.inbox.id, 190, clock.now(), "as Meta says it")
    await in_transaction(business.pool, lambda conn: refusals.heed(conn, [refusal]))


def token_info(*, days: float | None = None, is_valid: bool = True) -> web.Response:
    expires_at = 0 if days is None else int((clock.now() + timedelta(days=days)).timestamp())
    return web.json_response({"data": {"is_valid": is_valid, "app_id": "1900100200300", "expires_at": expires_at}})


async def test_a_token_is_looked_at_daily_and_when_it_is_new(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    pool, inbox = business.pool, business.inbox

    async def watch(after: timedelta = timedelta(0)) -> int:
        at = clock.now() + after
        with clock.reading(lambda: at):
            return await life_watch.watch_tokens(pool, graph, KEYRING, settings)

    scripted.answers.append(token_info(days=6))
    assert await watch() == 1
    assert await watch() == 0
    await life_watch.remind_all(pool)
    await life_watch.remind_all(pool)
    assert [value["stage"] for value in await timeline(business, life_watch.TOKEN_ENDS)] == ["amber"]
    scripted.answers.append(token_info())
    assert await watch(timedelta(days=1, minutes=1)) == 1
    async with transaction(pool) as conn:
        found = await life_store.token_watch(conn, inbox.id)
        assert found is not None
        assert found.expires_at is None
        at = clock.now() + timedelta(days=1, minutes=5)
        await connection.record(conn, [Line(inbox.id, at, connection.OURS, connection.AUTHORISED, {})])
    scripted.answers.append(token_info(days=60))
    assert await watch(timedelta(days=1, minutes=6)) == 1


async def test_a_token_that_is_not_valid_any_more_stops_the_number(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.answers.append(token_info(is_valid=False))
    await life_watch.watch_tokens(business.pool, graph, KEYRING, settings)
    assert await state(business) == "token_invalid"


@pytest.mark.requirement("G1")
async def test_a_token_whose_end_has_come_is_never_called_valid(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    """Meta may call one valid for a little longer than it is, which is no reason to stop what goes."""
    scripted, graph = graphs
    scripted.answers.append(token_info(days=-0.5))
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    assert await state(business) == "connected", "by our clock alone nothing is stopped"
    await refused(business)
    scripted.answers.append(token_info(days=-0.5))
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    (seen,) = await timeline(business, life_watch.TOKEN_LOOKED_AT)
    assert seen["is_valid"] is False
    assert clock.now() - datetime.fromisoformat(seen["ended_at"]) > timedelta(hours=11)


@pytest.mark.requirement("G1")
@pytest.mark.parametrize("is_valid", [True, False])
async def test_what_meta_said_before_a_refusal_is_no_answer_to_it(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings, is_valid: bool
) -> None:
    """A call is refused while Meta's answer about the token is on its way."""
    scripted, graph = graphs

    async def refuse_meanwhile(_asked: Any) -> web.Response:
        await refused(business)
        return token_info(is_valid=is_valid)

    scripted.answers.append(refuse_meanwhile)
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    assert await timeline(business, life_watch.TOKEN_LOOKED_AT) == []
    scripted.answers.append(token_info(is_valid=False))
    assert [await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) for _ in range(2)] == [1, 0]
    assert [seen["is_valid"] for seen in await timeline(business, life_watch.TOKEN_LOOKED_AT)] == [False]
    assert len(await timeline(business, connection.TOKEN_REFUSED)) == 1


async def test_what_meta_said_before_a_person_settled_it_does_not_stop_the_number_again(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs

    async def settle_meanwhile(_asked: Any) -> web.Response:
        by = Line(business.inbox.id, clock.now(), connection.OURS, connection.SENDING_GOES_ON, {"by": "Inês Duarte"})
        async with transaction(business.pool) as conn:
            await connection.record(conn, [by])
        return token_info(is_valid=False)

    scripted.answers.append(settle_meanwhile)
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    assert await state(business) == "connected"
    await refused(business)
    assert await state(business) == "token_invalid"


async def test_a_refused_token_is_looked_at_again_when_meta_did_not_answer(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    await refused(business)
    scripted.answers.extend([error(2, status=500)] * 9)
    assert [await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) for _ in range(2)] == [1, 0]
    later = clock.now() + life_watch.TOKEN_AGAIN + timedelta(minutes=1)
    scripted.answers.clear()
    scripted.answers.append(token_info(is_valid=False))
    with clock.reading(lambda: later):
        assert [await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) for _ in range(2)] == [1, 0]
    assert len(await timeline(business, life_watch.TOKEN_LOOKED_AT)) == 1


async def test_a_look_that_fails_says_why_and_stops_nothing(
    business: Business, graphs: tuple[ScriptedGraph, Graph], settings: Settings
) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(190, status=400)] * 4)
    assert await life_watch.watch_tokens(business.pool, graph, KEYRING, settings) == 1
    async with transaction(business.pool) as conn:
        found = await life_store.token_watch(conn, business.inbox.id)
    assert found is not None
    assert found.problem
    assert await state(business) == "connected", "it was the app's access that was refused"
