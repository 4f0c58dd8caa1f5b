"""The one-shot call: each sync is asked for once per onboarding, whatever happens (requirement B3).

The intent is committed before the call. If this process dies in between, the row goes on saying "requested, answer
unknown": what arrives moves it on, and nobody calls again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from coexist.base import clock, log
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_lasting_transaction, transaction
from coexist.coexistence import checks_store, rules, store
from coexist.coexistence.model import Request, SyncKind, SyncState
from coexist.coexistence.rules import Answer
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import credentials, refusals
from coexist.meta import graph as meta
from coexist.meta.graph import Graph, GraphError, GraphNotSent, GraphUnclear

SYNC_TYPES: Final = {SyncKind.CONTACTS: "smb_app_state_sync", SyncKind.HISTORY: "history"}
"""Meta's words for what is asked (meta-protocol 3)."""

logger = log.get(__name__)


async def ask(pool: Pool, graph: Graph, keyring: Keyring, inbox_id: int) -> None:
    """Ask Meta for what is wanted of a number and was never asked for: contacts first, then history (B1)."""
    for kind in SyncKind:
        asked_at = clock.now()
        async with pool.connection() as conn:
            token = await credentials.token_of(conn, keyring, inbox_id)
        if token is None:
            return
        await graph.usage.ease(token)
        async with transaction(pool) as conn:
            request = await store.claim(conn, inbox_id, kind)
            if request is not None:
                await feed.append(conn, [_progressed(request)])
        if request is not None:
            await _call(pool, graph, token, request, asked_at)


async def _call(pool: Pool, graph: Graph, token: str, request: Request, asked_at: datetime) -> None:
    sync_type = SYNC_TYPES[SyncKind(request.kind)]
    with log.context(inbox_id=request.inbox_id, sync_type=sync_type):
        try:
            request_id = await meta.request_sync(graph, request.phone_number_id, token, sync_type)
        except GraphError as error:
            logger.warning("sync_refused", code=error.code, fbtrace_id=error.fbtrace_id)
            await _answered(pool, request, rules.answer_of(error.code), code=error.code, error=str(error))
            await refusals.heed_error(pool, request.inbox_id, error, asked_at=asked_at)
        except GraphNotSent as error:
            logger.warning("sync_not_asked", error=str(error))
            await _answered(pool, request, Answer.REFUSED, error=str(error))
        except GraphUnclear as error:
            logger.warning("sync_answer_unknown", error=str(error))
            await _answered(pool, request, Answer.UNKNOWN, error=str(error))
        else:
            logger.info("sync_requested", request_id=request_id)
            await _answered(pool, request, Answer.TAKEN, request_id=request_id)


async def _answered(
    pool: Pool,
    request: Request,
    answer: Answer,
    *,
    request_id: str | None = None,
    code: int | None = None,
    error: str | None = None,
) -> None:
    async def work(conn: Connection) -> None:
        match answer:
            case Answer.TAKEN:
                await store.settle(conn, request, SyncState.REQUESTED, request_id=request_id)
            case Answer.TOO_LATE:
                await store.settle(conn, request, SyncState.FAILED, code=code, error=error)
            case Answer.REFUSED:
                await store.give_back(conn, request, code, error or "")
                if code is not None and rules.passes(code):  # not in a loop: Meta is looked at before
                    await checks_store.expire(conn, request.inbox_id)
            case Answer.UNKNOWN:
                await store.settle(conn, request, SyncState.REQUESTING, code=code, error=error)
        await feed.append(conn, [_progressed(request)])

    await in_lasting_transaction(pool, work)


def _progressed(request: Request) -> NewEvent:
    return NewEvent(request.account_id, Kind.SYNC_PROGRESSED, inbox_id=request.inbox_id)
