"""What tests of several subjects share."""

from collections.abc import AsyncIterator

import pytest

from coexist.meta.graph import Graph
from tests.support.scripted_graph import ScriptedGraph, scripted_graph


@pytest.fixture
async def graphs() -> AsyncIterator[tuple[ScriptedGraph, Graph]]:
    """A Graph that answers as the test scripts it, and the client that speaks to it."""
    async with scripted_graph() as both:
        yield both
