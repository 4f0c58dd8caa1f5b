"""A host that differs from the others in what all must have in common says so when it starts."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coexist.base import clock, config, log
from coexist.base.database import Pool, transaction
from coexist.worker import check_host
from tests.support.business import open_business

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
STORED = """
INSERT INTO media (inbox_id, wamid, content_rank, told_at, state, stored_sha256)
VALUES (%s, 'wamid.1', 40, now(), 'stored', repeat('ab', 32))
"""


async def told(pool: Pool, folder: Path, key: bytes, capsys: pytest.CaptureFixture[str]) -> Sequence[str]:
    """The names of the lines that a host with this key and this data folder writes."""
    given = {
        "COEXIST_DATA_DIR": str(folder),
        "COEXIST_SECRET_KEY": base64.b64encode(key).decode(),
        "COEXIST_LOG_FORMAT": "json",
    }
    settings = config.load(given)
    log.configure(settings)
    await check_host(settings, pool)
    return [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("logging_restored")
async def test_a_host_says_what_it_lacks(pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    business = await open_business(pool)
    assert await told(pool, tmp_path, KEY, capsys) == []
    async with transaction(pool) as conn:
        await conn.execute(STORED, (business.inbox.id,))
    with clock.reading(lambda: datetime.now(UTC) + timedelta(seconds=5)):
        lines = await told(pool, tmp_path, OTHER_KEY, capsys)
    assert lines == ["clock_differs", "secret_key_differs", "files_not_shared"]
