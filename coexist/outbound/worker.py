"""The sender: takes messages from the outbox to Meta, each attempt at most once.

An attempt is committed as ``sending`` before the call and settled after it, in two short transactions with no
connection held in between. A call whose outcome nobody knows (no answer, or this process died) becomes ``unclear``
and is never made again by itself: a status that carries our reference settles it, or a person does.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import psycopg

from coexist.base import clock, log
from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection, Pool, in_lasting_transaction, transaction
from coexist.base.errors import AppError, Conflict
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, credentials, pauses, private, refusals, sent, summary
from coexist.inbox.connection import Line
from coexist.inbox.refusals import Refusal
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass, explain
from coexist.meta.graph import Graph, GraphError, GraphNotSent, GraphUnclear, SentMessage
from coexist.outbound import attempts, payload, rules, templates, writing
from coexist.outbound.model import NONE, OutboxState, Reason, Sending
from coexist.outbound.rules import Decision, Step
from coexist.templates.rules import PAUSED

POLL_S: Final = 1.0
"""How long a lost notification, or a pause that has ended, can delay a message."""
PAUSE_AFTER_ERROR_S: Final = 1.0
IN_FLIGHT_COUNT: Final = 100
"""Calls under way at once in one process."""
DRAIN_S: Final = 15.0
"""How long stopping waits for the answers to calls under way. Whoever stops us kills us a little later."""

logger = log.get(__name__)


async def run(pool: Pool, graph: Graph, keyring: Keyring, *, sends_per_second: int, wake: asyncio.Event) -> None:
    """Send for ever. ``wake`` is set when something may be in line; when cancelled, calls under way are finished."""
    under_way: set[asyncio.Task[None]] = set()
    stopping = asyncio.Event()
    looking: asyncio.Task[bool] | None = None
    claimed_at: dict[int, float] = {}

    def start(sending: Sending) -> None:
        task = asyncio.create_task(send(pool, graph, keyring, sending))
        under_way.add(task)
        task.add_done_callback(ended)

    def ended(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        wake.set()  # the next message of that conversation may go
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("sending_failed", exc_info=error)

    async def look() -> bool:
        """Start what is due, number by number: what one claim took is on its way before the next can fail."""
        try:
            await sweep(pool)
            for inbox_id in await due(pool):
                free = IN_FLIGHT_COUNT - len(under_way)
                if free <= 0 or stopping.is_set():
                    continue
                # what is claimed is called at once: a number that rests holds up nobody's calls
                if await rests(pool, graph, keyring, inbox_id, claimed_at.get(inbox_id, -math.inf)):
                    continue
                for sending in await claim(pool, inbox_id, sends_per_second, free):
                    start(sending)
                    claimed_at[inbox_id] = time.monotonic()
        except (AppError, psycopg.Error) as error:
            logger.error("outbox_not_read", error=str(error), error_type=type(error).__name__)
            return False
        return True

    try:
        while True:
            wake.clear()
            looking = asyncio.create_task(look())
            if not await asyncio.shield(looking):  # a claim that is being committed must not lose its tasks
                await asyncio.sleep(PAUSE_AFTER_ERROR_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await wake.wait()
    finally:
        stopping.set()
        await _drain(looking, under_way)


async def _drain(looking: asyncio.Task[bool] | None, under_way: set[asyncio.Task[None]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            if looking is not None:
                await asyncio.wait({looking})
            while under_way:
                await asyncio.wait(under_way)
    for task in under_way:
        task.cancel()


async def sweep(pool: Pool) -> None:
    """Settle what time or a status has decided."""
    async with transaction(pool) as conn:
        await feed.append(conn, await attempts.sweep(conn))


async def due(pool: Pool) -> Sequence[int]:
    """Return the inboxes that have something to send now."""
    async with pool.connection() as conn:
        return await attempts.due_inboxes(conn)


async def rests(pool: Pool, graph: Graph, keyring: Keyring, inbox_id: int, claimed_at: float) -> bool:
    """Whether a number whose messages were claimed at that time waits before its next, for Meta's limits are near."""
    if not graph.usage.is_near:
        return False
    with suppress(SecretUnreadable):  # each message will say so
        async with pool.connection() as conn:
            token = await credentials.token_of(conn, keyring, inbox_id)
        return time.monotonic() < claimed_at + graph.usage.slowed_s(token, is_send=True)
    return False


async def claim(pool: Pool, inbox_id: int, sends_per_second: int, count: int) -> Sequence[Sending]:
    """Mark what may be sent now for one number as being sent, ``count`` at most; return it once that is committed."""
    async with transaction(pool) as conn:
        return await attempts.claim(conn, inbox_id, sends_per_second, count)


async def send(pool: Pool, graph: Graph, keyring: Keyring, sending: Sending) -> None:
    """Make one claimed attempt: call Meta once, and write down what became of it."""
    with log.context(our_ref=str(sending.our_ref), inbox_id=sending.inbox_id):
        try:
            async with pool.connection() as conn:
                await private.check_may_write(conn, keyring, sending.account_id, sending.conversation_id)
                await writing.check_theirs(conn, sending.our_ref, sending.payload)
                waits = await _waits_for_template(conn, sending)
                token = await credentials.token_of(conn, keyring, sending.inbox_id)
                is_ours = await attempts.renew(conn, sending)
        except Conflict as error:  # what has changed while it waited: the person, their wishes, the template
            logger.info("send_not_allowed", message_id=sending.message_id, why=error.message)
            await _settle(pool, sending, _decided(rules.FAIL, sending, Reason(str(error))))
            return
        except (AppError, psycopg.Error) as error:  # the database is away, or the secret does not open
            logger.warning("send_not_begun", error=str(error), error_type=type(error).__name__)
            await _settle(pool, sending, _not_sent(sending, error))
            return
        if not is_ours:
            logger.warning("send_given_up_before_its_call", message_id=sending.message_id)
            return
        if waits:
            await _settle(pool, sending, _again(rules.HOLD, NONE))
            return
        if token is None:
            await _settle(pool, sending, _no_token)
            return
        try:
            answer = await meta.send_message(graph, sending.phone_number_id, token, sending.payload)
        except GraphError as error:
            is_ours = error.meaning.kind is ErrorClass.CALLER
            what = {"shape": payload.shape(sending.payload)} if is_ours else {}
            logger.warning("send_refused", code=error.code, fbtrace_id=error.fbtrace_id, **what)
            await _settle(pool, sending, _refused(sending, error))
        except GraphNotSent as error:
            logger.warning("send_not_sent", error=str(error))
            await _settle(pool, sending, _not_sent(sending, error))
        except GraphUnclear as error:
            logger.warning("send_unclear", error=str(error))
            await _settle(pool, sending, _unclear)
        else:
            await _settle(pool, sending, _accepted(answer))


async def _waits_for_template(conn: Connection, sending: Sending) -> bool:
    """Whether the message's template has just been paused.

    Raises Conflict when it may not be sent any more, not to this person, or not in the words that are shown; and
    Unavailable while nobody knows that.
    """
    if not sending.is_template:
        return False
    template = await templates.known(conn, sending.account_id, sending.waba_id, sending.payload)
    if template.status == PAUSED:
        return True
    templates.check_sendable(template)
    await templates.check_wishes(conn, sending.conversation_id, template)
    templates.check_wording(template, sending.wording)
    templates.check_file(sending.file_given_at)
    return False


Outcome = Callable[[Connection, Sending], Awaitable[list[NewEvent]]]


async def _settle(pool: Pool, sending: Sending, outcome: Outcome) -> None:
    async def work(conn: Connection) -> None:
        await feed.append(conn, await outcome(conn, sending))

    await in_lasting_transaction(pool, work)  # an answer of Meta's is worth waiting for the database


def _accepted(answer: SentMessage) -> Outcome:
    async def outcome(conn: Connection, sending: Sending) -> list[NewEvent]:
        events = await sent.learn_wamid(conn, sending.message_id, answer.wamid)
        kept = Reason(rules.accepted(answer.message_status))
        await attempts.settle(conn, sending.our_ref, OutboxState.ACCEPTED, kept)
        return events

    return outcome


async def _unclear(conn: Connection, sending: Sending) -> list[NewEvent]:
    await attempts.settle(conn, sending.our_ref, OutboxState.UNCLEAR)
    return [_bubble(sending)]


def _not_sent(sending: Sending, error: Exception) -> Outcome:
    return _decided(rules.decide_not_sent(sending.attempts), sending, Reason(str(error)))


def _refused(sending: Sending, error: GraphError) -> Outcome:
    """Settle the message, and heed what the code asks for beyond it.

    It counts from the claim, before the token was read: what is renewed or settled from then on was not refused.
    """
    decision = rules.decide(
        error.code,
        sending.attempts,
        asked_attempts=sending.asked_attempts,
        is_template=sending.is_template,
        has_window=sending.has_window,
    )
    has_failed = decision.step is Step.FAIL and not sending.is_doubtful
    said = f"{error.message} {error.meaning.once_failed}".strip() if has_failed else str(error)
    settle = _decided(decision, sending, Reason(said, error.code, error.fbtrace_id))
    if error.code is None:
        return settle
    refusal = Refusal(sending.inbox_id, error.code, sending.sending_at, error.message, error.wait)

    async def outcome(conn: Connection, sending: Sending) -> list[NewEvent]:
        heeded = await refusals.heed(conn, [refusal])  # inboxes are locked before conversations (inbox.locks)
        return [*await settle(conn, sending), *heeded]

    return outcome


def _decided(decision: Decision, sending: Sending, reason: Reason) -> Outcome:
    match decision.step:
        case Step.AGAIN:
            return _again(decision, reason)
        case Step.FAIL if not sending.is_doubtful:
            return _fail(reason)
        case _:
            return _unclear


def _fail(reason: Reason) -> Outcome:
    async def outcome(conn: Connection, sending: Sending) -> list[NewEvent]:
        place = (sending.account_id, Kind.CONVERSATION_CHANGED, sending.inbox_id, sending.conversation_id)
        events = [_bubble(sending), NewEvent(*place)]
        if await attempts.settle(conn, sending.our_ref, OutboxState.FAILED, reason):
            await attempts.mark_failed(conn, sending.message_id, reason)
            await summary.refresh(conn, [sending.conversation_id])  # conversations before templates (inbox.locks)
            events += await refusals.heed_messages(conn, sending.account_id, [sending.message_id])
        return events

    return outcome


def _again(decision: Decision, reason: Reason) -> Outcome:
    """Back in line, and with it the whole number where that is what rests."""

    async def outcome(conn: Connection, sending: Sending) -> list[NewEvent]:
        await attempts.settle(
            conn,
            sending.our_ref,
            OutboxState.QUEUED,
            reason,
            next_at=clock.now() + decision.after,
            is_counted=decision.is_counted,
            is_asked=decision.is_asked,
            is_doubtful=explain(reason.code).kind is ErrorClass.AMBIGUOUS,
        )
        if decision.number_rests:
            await pauses.rest(conn, sending.inbox_id, decision.number_rests)
        return [_bubble(sending)]

    return outcome


async def _no_token(conn: Connection, sending: Sending) -> list[NewEvent]:
    """The queue of the number waits until somebody authorises it again."""
    error = "There is no access token."
    events = await _again(rules.NO_TOKEN, Reason(error))(conn, sending)
    line = Line(sending.inbox_id, sending.sending_at, connection.OURS, connection.TOKEN_REFUSED, {"reason": error})
    await connection.record(conn, [line])
    return events + await connection.refresh(conn, [sending.inbox_id])


def _bubble(sending: Sending) -> NewEvent:
    return attempts.changed(sending.account_id, sending.inbox_id, sending.conversation_id, sending.message_id)
