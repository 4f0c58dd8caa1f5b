"""Ctrl-C with a page open: the stand-in goes without a word."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

import aiohttp
import pytest


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_a_page_that_is_open_does_not_make_it_complain(told: signal.Signals) -> None:
    command = (sys.executable, "-m", "simulator", "--port", "0", "--app-secret", "invented", "--messages", "50")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{address}control/stream") as stream:
            assert await stream.content.readline()
            process.send_signal(told)
            _, complaints = await process.communicate()
        assert complaints.decode() == ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
