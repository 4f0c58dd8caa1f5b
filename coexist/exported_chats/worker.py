"""The loop that brings decided exports in and takes them back, one at a time, each safe to be broken off anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError, Unavailable
from coexist.coexistence import coverage
from coexist.events import feed
from coexist.events.feed import Kind as EventKind
from coexist.events.feed import NewEvent
from coexist.exported_chats import bringing, made, store, told_again
from coexist.exported_chats.actions import FOLDER, WithPrivateNumber, path_of
from coexist.exported_chats.model import Chat, State
from coexist.inbox import inboxes, purge
from coexist.media.keeping import Keep

POLL_S: Final = 5.0
PAUSE_AFTER_ERROR_S: Final = 2.0
RENEW_EVERY_S: Final = store.LEASE_S / 3
UPLOAD_LIFE: Final = timedelta(hours=24)
"""How long a file waits for somebody to decide: it is a whole chat, lying in a folder."""
TIDY_EVERY_S: Final = 600.0
YOUNG_S: Final = 60.0
"""How old a file is before anybody asks whether its import is known: it gets its name just before that commits."""
BROKEN: Final = "Something broke on our side; the error is in the log. What was brought in so far is here."

logger = log.get(__name__)


async def run(pool: Pool, settings: Settings, keyring: Keyring, keep: Keep, *, wake: asyncio.Event) -> None:
    """Work for ever. ``wake`` is set when an import may have been decided."""
    tidied_at = 0.0
    while True:
        wake.clear()
        try:
            if time.monotonic() - tidied_at > TIDY_EVERY_S:
                await tidy(pool, settings)
                tidied_at = time.monotonic()
            if await work_next(pool, settings, keyring, keep) or await told_again.compare_next(pool):
                continue
        except (AppError, psycopg.Error, OSError) as error:
            logger.error("exported_chats_not_worked", error=str(error), error_type=type(error).__name__)
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await wake.wait()


async def work_next(pool: Pool, settings: Settings, keyring: Keyring, keep: Keep, *, only: int | None = None) -> bool:
    """Do the next import, or its undoing, to its end. False when nothing waits that this host can do.

    ``only`` is the one import to look at.
    """
    async with transaction(pool) as conn:
        for chat_id in await store.waiting(conn):
            if only is None or chat_id == only:
                chat = await store.claim(conn, chat_id)
                if chat is not None and _is_for_this_host(settings, chat):
                    break
                if chat is not None:
                    await store.release(conn, chat_id)
        else:
            return False
    try:
        async with _held(pool, chat):
            if chat.state is State.UNDOING:
                await _undo(pool, chat)
            else:
                await bringing.bring_in(pool, settings, keyring, keep, chat)
    except (Unavailable, psycopg.OperationalError):
        with suppress(AppError, psycopg.Error):  # not the import's fault: it is taken up again soon
            async with transaction(pool) as conn:
                await store.release(conn, chat.id)
        raise
    except AppError as error:
        if isinstance(error, WithPrivateNumber):
            path_of(settings.data_dir, chat.id).unlink(missing_ok=True)
            async with transaction(pool) as conn:
                await purge.forget_unwritten(conn, [chat.id])
                await store.forget_person(conn, chat.id)
        await _failed(pool, chat, str(error))
    except Exception:
        logger.exception("exported_chat_failed", chat=chat.id)
        await _failed(pool, chat, BROKEN)
    return True


def _is_for_this_host(settings: Settings, chat: Chat) -> bool:
    """Whether its file is here, or nowhere any more after a day: then it ends with that error."""
    is_old = chat.started_at is not None and clock.now() - chat.started_at > UPLOAD_LIFE
    return chat.state is State.UNDOING or is_old or path_of(settings.data_dir, chat.id).exists()


async def _failed(pool: Pool, chat: Chat, error: str) -> None:
    logger.warning("exported_chat_not_brought_in", chat=chat.id, error=error)
    async with transaction(pool) as conn:
        await feed.append(conn, [await store.finish(conn, chat, State.FAILED, error=error)])


@asynccontextmanager
async def _held(pool: Pool, chat: Chat) -> AsyncIterator[None]:
    """Keep the claim inside the block, however long it takes."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(AppError, psycopg.Error):
                async with transaction(pool) as conn:
                    await store.renew(conn, chat.id)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


# ── taking back ───────────────────────────────────────────────────────────────────────────────────────────


async def _undo(pool: Pool, chat: Chat) -> None:
    assert chat.inbox_id is not None
    undone = kept = 0
    while True:
        async with transaction(pool) as conn:
            inbox = await inboxes.get(conn, chat.account_id, chat.inbox_id)
            taken = await made.take_back(conn, chat.id, inbox)
            undone, kept = undone + taken.undone_count, kept + taken.count - taken.undone_count
            if taken.count == 0:
                events = [await store.finish(conn, chat, State.UNDONE, error=_said(kept))]
                await coverage.forget(conn, inbox.id)
            else:
                events = [await store.progress(conn, chat, undone)]
            events += [
                NewEvent(chat.account_id, EventKind.CONVERSATION_CHANGED, inbox.id, conversation_id, is_import=True)
                for conversation_id in taken.conversation_ids
            ]
            await feed.append(conn, events)
        if taken.count == 0:
            break
    logger.info("exported_chat_taken_back", chat=chat.id, messages=undone, kept=kept)


def _said(kept: int) -> str | None:
    return f"{counted(kept, 'message')} stayed: changed since, or told by WhatsApp itself by now." if kept else None


async def tidy(pool: Pool, settings: Settings) -> None:
    """Forget uploads that nobody decided about for UPLOAD_LIFE, and delete files that no import needs any more."""
    since = clock.now() - UPLOAD_LIFE
    paths = await asyncio.to_thread(lambda: list((settings.data_dir / FOLDER).glob("*")))
    async with transaction(pool) as conn:
        await store.forgotten(conn, since)
        needed = await store.with_file(conn, [int(path.name) for path in paths if path.name.isdecimal()], since)
    await asyncio.to_thread(_delete_unneeded, paths, needed)


def _delete_unneeded(paths: Sequence[Path], needed: Collection[int]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):  # another worker came first
            age_s = time.time() - path.stat().st_mtime
            is_import = path.name.isdecimal()  # else a draft, or a file on its way
            if (is_import and int(path.name) not in needed and age_s > YOUNG_S) or (
                not is_import and age_s > UPLOAD_LIFE.total_seconds()
            ):
                path.unlink()
