"""The loop beside the connections: asks Meta what events left open, watches tokens, and reminds people in time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_transaction, transaction
from coexist.base.errors import AppError
from coexist.coexistence import life_rules as rules
from coexist.coexistence import life_store as store
from coexist.coexistence.life_rules import Forecast, Stage
from coexist.coexistence.life_store import Question
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, credentials, inboxes, pauses, refusals
from coexist.inbox.connection import Line, State
from coexist.meta import graph as meta
from coexist.meta.errors import Action
from coexist.meta.graph import Graph, GraphError, GraphFailed, Health, PhoneNumber

STEP_S: Final = 3.0
REMIND_S: Final = 300.0
"""How late a reminder can be given."""
CLAIMED_COUNT: Final = 20
ASK_AGAIN: Final = timedelta(seconds=60)
"""When Meta is asked again that did not answer, or that said otherwise than its events: its answers lag (2.5)."""
ASKED_COUNT: Final = 5
"""How often Meta is asked about one event at most."""
TOKEN_EVERY: Final = timedelta(days=1)
TOKEN_AGAIN: Final = timedelta(hours=1)
HEALTH_EVERY: Final = timedelta(minutes=15)
"""How often Meta is asked whether what stands against sending is over."""
NODE_GONE: Final = frozenset({33, 100})
"""How Graph says that it has no such node, or none that this token may see."""
TOKEN_LOOKED_AT: Final = "TOKEN_LOOKED_AT"  # noqa: S105  a name of an event
PHONE_QUIET: Final = "PHONE_QUIET"
TOKEN_ENDS: Final = "TOKEN_ENDS"  # noqa: S105  a name of an event

logger = log.get(__name__)


async def run(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> None:
    """Ask, watch and remind for ever."""
    reminded_at = -REMIND_S
    while True:
        try:
            await ask_due(pool, graph, keyring)
            await watch_tokens(pool, graph, keyring, settings)
            if time.monotonic() - reminded_at >= REMIND_S:
                await remind_all(pool)
                reminded_at = time.monotonic()
        except (AppError, psycopg.Error) as error:
            logger.error("connections_not_watched", error=str(error), error_type=type(error).__name__)
        await asyncio.sleep(STEP_S)


# ── what events left open ─────────────────────────────────────────────────────────────────────────────────


async def ask_due(pool: Pool, graph: Graph, keyring: Keyring) -> int:
    """Ask Meta about every number that is due, and let its answers decide; return how many were asked about."""
    async with transaction(pool) as conn:
        asked = await store.claim_questions(conn, CLAIMED_COUNT, clock.now() + ASK_AGAIN)
    for each in asked:
        try:
            await _ask(pool, graph, keyring, each)
        except AppError as error:
            logger.error("number_not_asked_about", inbox_id=each.inbox_id, error=str(error))
    return len(asked)


async def _ask(pool: Pool, graph: Graph, keyring: Keyring, question: Question) -> None:
    asked_at = clock.now()
    later = asked_at + HEALTH_EVERY if question.is_stopped else None
    async with pool.connection() as conn:
        token = await credentials.token_of(conn, keyring, question.inbox_id)
    if token is None:
        return await _settle(pool, question, asked_at, None, {"error": "There is no access token."}, later)
    await graph.usage.ease(token)
    try:
        number = await _number(graph, question, token)
        health = await meta.health(graph, question.phone_number_id, token) if question.is_stopped else None
    except GraphFailed as error:
        code = error.code if isinstance(error, GraphError) else None
        logger.warning("number_not_read", inbox_id=question.inbox_id, code=code, error=str(error))
        if isinstance(error, GraphError) and error.meaning.action is not Action.ASK_META:  # which is being done
            await refusals.heed_error(pool, question.inbox_id, error, asked_at=asked_at)
        if question.attempts < ASKED_COUNT:
            return None  # it is due again by itself
        return await _settle(pool, question, asked_at, None, {"error": str(error), "code": code}, later)
    if number is None:
        return await _settle(pool, question, asked_at, State.REMOVED, {"status": "not in the WhatsApp account"}, None)
    state = rules.state_of(number, is_coexistence=question.is_coexistence)
    told = _told(number, health)
    if health is not None and rules.goes_on(health, question.since, asked_at):
        return await _settle(pool, question, asked_at, state, told, None, goes_on=True)
    if health is not None:
        return await _settle(pool, question, asked_at, state, told, later)
    is_doubtful = state != question.state and question.attempts < ASKED_COUNT
    return await _settle(pool, question, asked_at, state, told, asked_at + ASK_AGAIN if is_doubtful else None)


async def _number(graph: Graph, question: Question, token: str) -> PhoneNumber | None:
    """The number as Meta knows it; None when its WhatsApp account does not have it any more (meta-protocol 1.5, 33)."""
    try:
        return await meta.phone_number(graph, question.phone_number_id, token)
    except GraphError as error:
        if error.code not in NODE_GONE:
            raise
    numbers = await meta.phone_numbers(graph, question.waba_id, token)
    return next((each for each in numbers if each.id == question.phone_number_id), None)


def _told(number: PhoneNumber, health: Health | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "is_on_biz_app": number.is_on_biz_app,
        "platform_type": number.platform_type,
        "status": number.status,
    }
    if health is not None:
        told |= {"quality": number.quality_rating, "health": health.can_send_message, "problems": health.errors or None}
    return {name: value for name, value in told.items() if value is not None}


async def _settle(
    pool: Pool,
    question: Question,
    at: datetime,
    state: State | None,
    told: dict[str, Any],
    again: datetime | None,
    *,
    goes_on: bool = False,
) -> None:
    """Keep an answer, unless it is the same as before and will be asked for again; ``goes_on``: nothing stands.

    It counts from when Meta was asked: what happened while the answer was on its way happened after it. What waited
    for it goes on.
    """
    value = {**told, "state": state} if state else told

    async def work(conn: Connection) -> None:
        lines = [Line(question.inbox_id, at, connection.OURS, connection.META_TOLD, value)]
        if again is not None and await store.last_told(conn, question.inbox_id) == value:
            lines = []
        if goes_on:
            health = {"health": told["health"]}
            lines.append(Line(question.inbox_id, at, connection.OURS, connection.SENDING_GOES_ON, health))
        await connection.record(conn, lines)
        await store.settle_question(conn, question, again)
        await pauses.end_rest(conn, question.inbox_id)
        changed = await connection.refresh(conn, [question.inbox_id])
        await feed.append(conn, changed or [NewEvent(question.account_id, Kind.INBOX_CHANGED, question.inbox_id)])

    await in_transaction(pool, work)
    logger.info("number_asked_about", inbox_id=question.inbox_id, state=state, was=question.state)


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────


async def watch_tokens(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> int:
    """Ask Meta about every token that is due: daily, and when it is new. Needs the app's id and secret.

    One that Meta no longer accepts has the effect of a refused call. Returns how many were looked at.
    """
    if not settings.app_id or not settings.app_secrets:
        return 0
    asked_at = clock.now()
    async with transaction(pool) as conn:
        due = await store.claim_tokens(conn, CLAIMED_COUNT, asked_at, asked_at + TOKEN_AGAIN)
    for inbox_id in due:
        try:
            await _watch_token(pool, graph, keyring, settings, inbox_id, asked_at)
        except AppError as error:
            logger.warning("token_not_checked", inbox_id=inbox_id, error=str(error))
            if isinstance(error, GraphFailed):  # the app itself asked
                await refusals.heed_limit(pool, error)
            problem = str(error)
            async with transaction(pool) as conn:
                await store.note_token_problem(conn, inbox_id, problem)
    return len(due)


async def _watch_token(
    pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, inbox_id: int, asked_at: datetime
) -> None:
    """Look at one token. The answer counts from when it was asked for: a renewal or a refusal since then is newer."""
    async with pool.connection() as conn:
        token = await credentials.token_of(conn, keyring, inbox_id)
    if token is None:
        return
    await graph.usage.ease()  # the app asks
    info = await meta.debug_token(graph, token, settings.app_id or "", settings.app_secrets[0].decode())
    now = clock.now()

    async def work(conn: Connection) -> None:
        if await credentials.token_of(conn, keyring, inbox_id) != token:
            return  # a new one came meanwhile, and has its own turn
        noted = await store.note_token(conn, inbox_id, now + TOKEN_EVERY, info.ends_at)
        if noted is None:
            return
        account_id, state, state_at = noted
        if state == State.TOKEN_INVALID:  # why is worth knowing, whatever Meta says
            if asked_at <= state_at:
                return  # it was refused since Meta was asked, which is asked about that once more
            line = Line(inbox_id, asked_at, connection.OURS, TOKEN_LOOKED_AT, rules.token_evidence(info, now))
        elif not info.is_valid:
            why = {"reason": "Meta says that the access token is not valid any more."}
            line = Line(inbox_id, asked_at, connection.OURS, connection.TOKEN_REFUSED, why)
        else:
            return
        await connection.record(conn, [line])
        changed = await connection.refresh(conn, [inbox_id])
        await feed.append(conn, changed or [NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id=inbox_id)])

    await in_transaction(pool, work)
    if not info.is_valid:
        logger.error("token_not_valid", inbox_id=inbox_id, next_step="Renew the access under Numbers.")


# ── reminders ─────────────────────────────────────────────────────────────────────────────────────────────


async def remind_all(pool: Pool) -> None:
    """Remind of every phone that has been silent for long and every token that ends soon, once per stage."""
    async with transaction(pool) as conn:
        living = await store.living(conn)
    for account_id, inbox_id in living:
        async with transaction(pool) as conn:
            await _remind(conn, account_id, inbox_id)


async def _remind(conn: Connection, account_id: int, inbox_id: int) -> None:
    now = clock.now()
    inbox = await inboxes.get(conn, account_id, inbox_id)
    sign, watch = await store.sign(conn, inbox_id), await store.token_watch(conn, inbox_id)
    forecast = rules.phone_forecast(inbox.state, sign, now)
    if sign and await _is_news(conn, inbox, "phone", PHONE_QUIET, forecast, sign.at):
        logger.warning(
            "phone_inactive", inbox_id=inbox_id, stage=forecast.stage, last_sign_at=sign.at.isoformat(),
            disconnects_at=forecast.ends_at and forecast.ends_at.isoformat(),
            next_step="Open the WhatsApp Business app on the phone.",
        )  # fmt: skip
    if watch and watch.expires_at:
        forecast = rules.token_forecast(watch.checked_at, watch.expires_at, now)
        if await _is_news(conn, inbox, "token", TOKEN_ENDS, forecast, watch.expires_at):
            logger.warning(
                "token_expires", inbox_id=inbox_id, stage=forecast.stage, at=watch.expires_at.isoformat(),
                next_step="Renew the access under Numbers.",
            )  # fmt: skip


async def _is_news(
    conn: Connection, inbox: inboxes.Inbox, about: str, event: str, forecast: Forecast, since: datetime
) -> bool:
    """Give a reminder to the account's people, unless it is not due or was given before."""
    if forecast.stage not in (Stage.AMBER, Stage.RED) or forecast.ends_at is None:
        return False
    if not await store.remind(conn, inbox.id, about, forecast.stage, since):
        return False
    value = {"stage": forecast.stage, "since": since.isoformat(), "ends_at": forecast.ends_at.isoformat()}
    await connection.record(conn, [Line(inbox.id, clock.now(), connection.OURS, event, value)])
    await feed.append(conn, [NewEvent(inbox.account_id, Kind.INBOX_CHANGED, inbox_id=inbox.id)])
    return True
