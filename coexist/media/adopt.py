"""Files of the first release lay in one place for all accounts, ``media/ab/cd/abcd…``: each account gets its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from coexist.base import log
from coexist.base.database import transaction
from coexist.media import disk, drafts, store
from coexist.media.keeping import Keep
from coexist.media.model import SHA256_HEX, Name

logger = log.get(__name__)


async def adopt(keep: Keep) -> int:
    """Bring every file that stands in the former place to the accounts that name it. Returns how many there were."""
    count = 0
    for path in await asyncio.to_thread(lambda: list(_former(keep.settings.data_dir / disk.FOLDER))):
        async with transaction(keep.pool) as conn:
            accounts = await store.accounts_with(conn, path.name)
        with suppress(FileNotFoundError):  # another worker came first
            for account_id in accounts:
                draft = drafts.new_path(keep.settings.data_dir)
                await asyncio.to_thread(os.link, path, draft)
                await keep.storage.put(Name(account_id, path.name), draft)
                draft.unlink(missing_ok=True)
            await asyncio.to_thread(_remove, path)
            count += 1
    if count:
        logger.info("files_adopted", files=count)
    return count


def _former(folder: Path) -> Iterator[Path]:
    for path in folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
        if SHA256_HEX.fullmatch(path.name):
            yield path


def _remove(path: Path) -> None:
    path.unlink()
    with suppress(OSError):  # others may still be in it
        path.parent.rmdir()
        path.parent.parent.rmdir()
