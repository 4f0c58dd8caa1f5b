"""One connected shop for all flows of a module that leave it as they found it: they write in chats of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.shop import Shop, open_shop
from tests.support import databases
from tests.support.command_line import Coexist, command_line
from tests.support.product import connect
from tests.support.scripted_graph import ScriptedGraph, scripted_graph


@pytest.fixture(scope="module")
async def shop(server_url: str, template_name: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """A shop with a short past, connected and synced."""
    folder = tmp_path_factory.mktemp("shop")
    async with (
        databases.clone(server_url, template_name) as url,
        open_shop(url, folder, message_count=60) as opened,
    ):
        await connect(opened.product, opened.phone)
        await opened.quiet()
        yield opened


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedGraph]:
    """A Graph API that answers as the test says."""
    async with scripted_graph() as (opened, _):
        yield opened


@pytest.fixture
def coexist(database_url: str, scripted: ScriptedGraph, tmp_path: Path) -> Coexist:
    """The command line, on the test's own database."""
    return command_line(database_url, tmp_path, scripted.address)
