"""One connected shop for all flows of a module that leave it as they found it: they write in chats of their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.flows.shop import Shop, open_shop
from tests.support import databases
from tests.support.product import connect


@pytest_asyncio.fixture(scope="module", loop_scope="module")
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
