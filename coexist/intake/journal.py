"""The journal's one writer in a process: group commit.

Deliveries that arrive while a commit is under way wait for the next one and share it. No timer: an idle journal writes
at once, a busy one writes as fast as the disk commits, and the busier it is the more each commit carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from coexist.base import clock
from coexist.base.database import Connection, connect
from coexist.base.errors import Unavailable
from coexist.intake.store import append

log = structlog.get_logger(__name__)

GROUP_BYTES = 16 * 1024 * 1024
"""Bodies that share a commit at most; what is beyond waits for the next one."""

WAITING_BYTES = 256 * 1024 * 1024
"""Bodies waiting for a commit at most: beyond it deliveries are refused with 503 and Meta sends them again."""


NOT_STORED = "The delivery could not be stored; it is not acknowledged."

STORE_TIMEOUT_MS = 10_000
"""How long one group may take; then its deliveries are refused with 503 and Meta sends them again."""


@dataclass(slots=True)
class _Waiting:
    lane: int
    stored: bytes
    committed: asyncio.Future[None]


@dataclass(slots=True)
class Journal:
    """Where deliveries are made durable. Make one with ``open_journal``."""

    _database_url: str
    _conn: Connection | None = None
    _queue: list[_Waiting] = field(default_factory=list)
    _waiting_bytes: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, stored: bytes, *, lane: int) -> None:
        """Return once the sealed body is durable. Raises ``Unavailable`` when it is not: nobody may say 200 then."""
        await self.put(stored, lane=lane)

    def put(self, stored: bytes, *, lane: int) -> asyncio.Future[None]:
        """Put a sealed body in line. What is returned is done once it is durable, or holds ``Unavailable``.

        Raises ``Unavailable`` when there is no room for it.
        """
        if self._waiting_bytes + len(stored) > WAITING_BYTES:
            raise Unavailable("More deliveries are waiting for the database than fit in memory.")
        waiting = _Waiting(lane, stored, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._waiting_bytes += len(stored)
        self._wake.set()
        return waiting.committed

    async def write(self) -> None:
        """Write whatever waits, for ever. One task per journal."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := self._take_group():
                await self._commit(group)

    def _take_group(self) -> list[_Waiting]:
        size = count = 0
        for waiting in self._queue:
            size += len(waiting.stored)
            if count and size > GROUP_BYTES:
                break
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            await self._insert(group)
        except Exception as failure:  # whatever it was: nobody may wait for ever, and the next group is tried
            log.error("journal_not_written", deliveries=len(group), error=str(failure), exc_info=failure)
            error = Unavailable(NOT_STORED)
        except asyncio.CancelledError:  # we stop: whether it was committed nobody knows, so Meta shall send it again
            error = Unavailable(NOT_STORED)
            raise
        finally:
            self._waiting_bytes -= sum(len(waiting.stored) for waiting in group)
            for waiting in group:
                if not waiting.committed.done():  # a caller that hung up no longer waits
                    waiting.committed.set_exception(error) if error else waiting.committed.set_result(None)

    async def _insert(self, group: list[_Waiting]) -> None:
        """Insert and commit, on the journal's own connection; one that broke is replaced for the next group."""
        if self._conn is None:
            self._conn = await connect(
                self._database_url, application="coexist journal", statement_timeout_ms=STORE_TIMEOUT_MS
            )
        try:
            received_at = clock.now()  # one time for all: they differ by less than a commit lasts
            await append(self._conn, received_at, [one.lane for one in group], [one.stored for one in group])
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection back; the next group opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()


@asynccontextmanager
async def open_journal(database_url: str) -> AsyncIterator[Journal]:
    """A journal whose writer runs until the block ends; what still waits then is written first."""
    journal = Journal(database_url)
    writer = asyncio.create_task(journal.write(), name="journal writer")
    try:
        yield journal
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        while group := journal._take_group():
            await journal._commit(group)
        await journal.close()
