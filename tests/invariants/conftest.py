"""One loop and one database for all schedules of a module."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from tests.invariants.copies import Copies, open_copies


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The loop that the pool belongs to."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as opened:
        yield opened


@pytest.fixture(scope="module")
def copies(runner: asyncio.Runner, server_url: str, template_name: str) -> Iterator[Copies]:
    """The database in which worlds are told."""
    opening = open_copies(server_url, template_name)
    yield runner.run(opening.__aenter__())
    runner.run(opening.__aexit__(None, None, None))
