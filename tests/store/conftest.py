"""What tests of several subjects share."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.media.keeping import open_keep
from coexist.media.storage import open_storage
from coexist.meta.graph import Graph
from tests.support.business import open_business
from tests.support.exported_desk import ONBOARDED_AT, Desk
from tests.support.scripted_graph import ScriptedGraph, scripted_graph


@pytest.fixture
async def graphs() -> AsyncIterator[tuple[ScriptedGraph, Graph]]:
    """A Graph that answers as the test scripts it, and the client that speaks to it."""
    async with scripted_graph() as both:
        yield both


@pytest.fixture
async def desk(pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    """One number, and somebody who brings exported chats in."""
    business = await open_business(pool, onboarded_at=ONBOARDED_AT)
    settings = replace(Settings(), data_dir=tmp_path)
    async with aclosing(open_storage(settings)) as storage:
        yield Desk(business, settings, open_keep(pool, settings, storage))
