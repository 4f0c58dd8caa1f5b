"""Whether files can be kept: a small one is written and taken away again."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Final

from coexist.base.config import Settings
from coexist.media import disk, drafts
from coexist.media.model import Name
from coexist.media.storage import Storage

PROBE_ACCOUNT: Final = 0
"""No account has this id: nobody's file is touched."""
PROBE_BYTES: Final = 64


async def probe(settings: Settings, storage: Storage) -> int | None:
    """Keep a file and delete it; return the free bytes of the data folder's disk, through which every file comes.

    Raises Unavailable or OSError when either cannot be done.
    """
    content = secrets.token_bytes(PROBE_BYTES)
    name = Name(PROBE_ACCOUNT, hashlib.sha256(content).hexdigest())
    draft = await asyncio.to_thread(drafts.new_path, settings.data_dir)
    try:
        await asyncio.to_thread(draft.write_bytes, content)
        await storage.put(name, draft)
    finally:
        await asyncio.to_thread(draft.unlink, missing_ok=True)
    await storage.delete(name)
    return await asyncio.to_thread(disk.free_bytes, settings.data_dir)
