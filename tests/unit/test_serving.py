"""Servers of the tests: one that does not start says so at once, and lets nobody wait for a page that never comes."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.serving import address_of, bound, serving


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """An application that ends during its start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "as scripted"})


async def page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"page"})


async def test_one_that_does_not_start_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    listening = bound()
    with pytest.raises(AssertionError, match=r"did not start: RuntimeError\('it gave up"):
        async with serving(broken, listening):
            pytest.fail("it started")
    assert "as scripted" in caplog.text
    assert listening.fileno() == -1


async def test_whoever_asks_before_it_listens_is_answered_when_it_does() -> None:
    listening = bound()
    async with aiohttp.ClientSession() as session:
        early = asyncio.create_task(session.get(address_of(listening)))
        async with serving(page, listening, lifespan="off"), await early as answer:
            assert await answer.text() == "page"
