"""Signing a number up: through Meta's window or with a token, by a member or by a client over a link.

Access comes first and is kept at once (a code lives for 30 seconds); all the rest can be done again from there, by
whoever comes back: nothing depends on the page that began it.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Final
from uuid import UUID

from coexist.base import clock, log
from coexist.base.config import Settings, require
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_lasting_transaction, in_transaction, transaction
from coexist.base.errors import AppError, Conflict, Invalid, NotFound, TooMany
from coexist.coexistence import signup_rules as rules
from coexist.coexistence import signup_store as store
from coexist.coexistence.actions import has_left
from coexist.coexistence.onboarding import (
    Connected,
    NewNumber,
    NotListening,
    begin_syncs,
    connect_number,
    listen,
)
from coexist.coexistence.signup_model import Party, Problem, Signup, State, Stopped, Way
from coexist.inbox import inboxes, refusals
from coexist.meta import graph as meta
from coexist.meta.embedded_signup import Cancelled, Failed, Finished, parse_event
from coexist.meta.graph import Graph, GraphError, GraphFailed, PhoneNumber, Waba

LAG_TRIES_COUNT: Final = 6
LAG_PAUSE_S: Final = 1.5
"""Graph's lists lag behind a sign-up: how often to look, and how long to wait in between (meta-protocol 2.5)."""
LINK_SIGNUPS_COUNT: Final = 50
"""Attempts over one link: more is no client who tries again."""
LINK_ASKS_COUNT: Final = 30
USER_ASKS_COUNT: Final = 120
ASKS_WITHIN: Final = timedelta(hours=1)
"""How often Meta is asked within this time for a code or to finish an attempt, over one link and by one user. A sign-up
takes two of them."""
LEFT_AFTER: Final = timedelta(minutes=1)
LEFT_COUNT: Final = 20
"""Access that came so long ago, and that nobody has used, was left by a process that died: a worker goes on with so
many attempts at a time."""
PASSING: Final = (Problem.UNREACHABLE, Problem.TOO_OFTEN, Problem.NOT_SUBSCRIBED, Problem.OVERRIDE_REFUSED)
LAGGING: Final = (Problem.NO_NUMBER, Problem.NOT_IN_APP)
"""What may pass by itself, the latter when Meta's lists lag: the page may be closed, and the 24 hours run."""
SECRET: Final = re.compile(r"[\x21-\x7e]{1,4096}")
REVIEW_PENDING: Final = "PENDING"

logger = log.get(__name__)


async def begin(
    conn: Connection, party: Party, signup_id: UUID, *, way: Way = Way.DIALOG, renews_id: int | None = None
) -> Signup:
    """Begin an attempt, or find the one that a double click or another tab has begun under this id.

    ``renews_id`` names an inbox of the account whose access shall be renewed. Raises NotFound when the id, or
    the inbox, is not the party's; Conflict when that inbox's number is another account's now; TooMany when a link is
    used like a toy.
    """
    found = await store.get(conn, party, signup_id)
    if found is not None:
        return found
    if renews_id is not None and (await inboxes.get(conn, party.account_id, renews_id)).is_moved:
        raise Conflict(
            "This number was connected to another account of this installation.",
            next_step="To have it back, disconnect it there on its phone; then connect it here as a new number.",
        )
    await _check_attempts(conn, party)
    await store.begin(conn, party, signup_id, way, renews_id)
    return await find(conn, party, signup_id)


async def _check_attempts(conn: Connection, party: Party) -> None:
    if party.link_id is not None and len(await store.of_link(conn, party.link_id)) >= LINK_SIGNUPS_COUNT:
        raise TooMany("This link was tried too often.", next_step="Ask for a new one.")


async def _may_ask(conn: Connection, party: Party) -> bool:
    most = USER_ASKS_COUNT if party.link_id is None else LINK_ASKS_COUNT
    return await store.ask(conn, party, most, ASKS_WITHIN)


async def find(conn: Connection, party: Party, signup_id: UUID) -> Signup:
    """Return an attempt of the party, or raise NotFound."""
    signup = await store.get(conn, party, signup_id)
    if signup is None:
        raise NotFound("This attempt to connect a number does not exist.", next_step="Begin again under Numbers.")
    return signup


async def hear(conn: Connection, party: Party, signup_id: UUID, raw: str) -> Signup:
    """Note what Meta's window told the page: ``raw`` is the text of its message. Nothing of it is believed."""
    await find(conn, party, signup_id)
    match parse_event(raw):
        case Finished(waba_id):
            if waba_id is not None:
                await store.note_told(conn, signup_id, waba_id)
        case Cancelled(step):
            await store.end(conn, signup_id, State.CANCELLED, Problem.LEFT, step=step)
        case Failed(error, message, session_id, step):
            await store.end(
                conn,
                signup_id,
                State.FAILED,
                Problem.REPORTED,
                detail=message,
                error=error,
                session=session_id,
                step=step,
            )
            logger.warning("signup_failed_at_meta", signup_id=str(signup_id), error_id=error, session_id=session_id)
    return await find(conn, party, signup_id)


async def close(conn: Connection, party: Party, signup_id: UUID) -> Signup:
    """Note that Meta's window closed without giving access. What it told about that itself says more."""
    signup = await find(conn, party, signup_id)
    problem = Problem.WITHOUT_CODE if signup.waba_id else Problem.CLOSED
    await store.end(conn, signup_id, State.CANCELLED, problem, yields=True)
    return await find(conn, party, signup_id)


async def give_up(conn: Connection, party: Party, signup_id: UUID) -> Signup:
    """End an attempt for good, such as one with the wrong business: nobody is asked to go on with it any more."""
    await find(conn, party, signup_id)
    await store.give_up(conn, signup_id)
    return await find(conn, party, signup_id)


async def take_code(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    settings: Settings,
    party: Party,
    signup_id: UUID,
    code: str,
    *,
    renews_id: int | None = None,
) -> None:
    """Exchange a code for access, at once, and keep that. A code that Meta refuses ends the attempt.

    The same code twice is no harm: Meta refuses the second, and an attempt that has access keeps it. Raises TooMany
    before Meta is asked when that was done very often for the party.
    """
    app_id, secret = _app(settings)
    _check_secret(code, "code")
    async with transaction(pool) as conn:
        if await store.get(conn, party, signup_id) is None:
            await _check_attempts(conn, party)
        if not await _may_ask(conn, party):
            raise TooMany(
                "Meta was asked for this very often, so this sign-up was not gone on with.",
                next_step="Wait an hour, then open Meta's window again. It is short then: what was done stays done.",
            )
    try:
        given = await meta.exchange_code(graph, app_id, secret, code, redirect_uri=settings.signup_redirect_uri)
    except GraphFailed as failed:
        error = failed

        async def refused(conn: Connection) -> None:
            await begin(conn, party, signup_id, renews_id=renews_id)
            why = rules.stopped_by(error, Problem.CODE_REFUSED)
            await store.end(
                conn, signup_id, State.FAILED, why.problem, detail=why.detail, error=why.error, session=why.trace
            )

        logger.warning("signup_code_refused", signup_id=str(signup_id), meta_code=_code(error))
        await refusals.heed_limit(pool, error)
        await in_lasting_transaction(pool, refused)
        return

    async def granted(conn: Connection) -> None:
        await begin(conn, party, signup_id, renews_id=renews_id)
        await store.authorise(conn, keyring, signup_id, given.access_token)

    await in_lasting_transaction(pool, granted)
    logger.info("signup_authorised", signup_id=str(signup_id))


async def take_token(
    conn: Connection, keyring: Keyring, settings: Settings, party: Party, signup_id: UUID, token: str, *,
    waba_id: str | None = None, renews_id: int | None = None,
) -> None:  # fmt: skip
    """Begin an attempt with an access token that somebody holds. ``waba_id`` is needed when it covers everything.

    Raises Invalid when either cannot be one, or without the settings by which a token is proven.
    """
    _app(settings)
    _check_secret(token, "access token")
    if waba_id is not None and not re.fullmatch("[0-9]{1,32}", waba_id):
        raise Invalid(f"{waba_id[:40]!r} is not the id of a WhatsApp account: Meta's ids are digits.")
    await begin(conn, party, signup_id, way=Way.TOKEN, renews_id=renews_id)
    await store.authorise(conn, keyring, signup_id, token, waba_id)


async def advance(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    settings: Settings,
    party: Party,
    signup_id: UUID,
    *,
    chosen_id: str | None = None,
) -> Signup:
    """Do all that is left of an attempt that has access, as far as it goes, and return it.

    Prove the access, find the number, connect it, have its webhooks sent here, ask for its syncs. ``chosen_id`` is
    the phone_number_id that a person chose. May be called at any time by anybody, again after a crash, twice at once:
    one works, the other sees it.
    """
    async with transaction(pool) as conn:
        signup = await find(conn, party, signup_id)
        token = await store.claim(conn, keyring, signup_id, chosen_id)
        if token is not None and not await _may_ask(conn, party):
            await store.stop(conn, signup_id, Stopped(Problem.TOO_OFTEN))
            token = None
        signup = await find(conn, party, signup_id)
    if token is None:
        return signup
    with log.context(signup_id=str(signup_id)):
        try:
            await _finish(pool, graph, keyring, settings, signup, token)
        except Stopped as error:
            stopped = error
            logger.warning("signup_stopped", problem=stopped.problem, meta_code=stopped.error, fbtrace_id=stopped.trace)
            await in_lasting_transaction(pool, lambda conn: store.stop(conn, signup_id, stopped))
    async with transaction(pool) as conn:
        return await find(conn, party, signup_id)


async def go_on_with_left(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings) -> None:
    """Finish the attempts of whoever died over them, or was stopped by what may pass.

    Each until it is connected or has a reason why not that is for a person. One's trouble stops no other.
    """
    async with transaction(pool) as conn:
        left = await store.left(conn, PASSING, LAGGING, LEFT_AFTER, LEFT_COUNT)
    for signup in left:
        party = Party(signup.account_id, signup.person, user_id=signup.user_id, link_id=signup.link_id)
        try:
            await advance(pool, graph, keyring, settings, party, signup.id)
        except AppError as error:
            logger.warning("signup_not_gone_on_with", signup_id=str(signup.id), error=str(error))


async def _finish(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, signup: Signup, token: str) -> None:
    try:
        waba_id, number = await _find_number(pool, graph, settings, signup, token)
        waba = await _waba(graph, waba_id, token)
        connected = await in_transaction(pool, lambda conn: _connect(conn, keyring, signup, waba, number, token))
        await listen(graph, settings, waba_id, token)
    except NotListening as error:
        await refusals.heed_limit(pool, error.cause, waba_id)
        problem = Problem.OVERRIDE_REFUSED if error.is_override else Problem.NOT_SUBSCRIBED
        raise rules.stopped_by(error.cause, problem) from error
    except GraphFailed as error:
        await refusals.heed_limit(pool, error, signup.waba_id)
        raise rules.stopped_by(error) from error
    except (Conflict, Invalid) as error:
        raise Stopped(Problem.REFUSED, str(error)) from error
    if connected.is_onboarding and connected.inbox.is_coexistence:
        try:
            await begin_syncs(pool, graph, keyring, settings, connected.inbox)
        except Conflict as error:  # the number's page says the same, and when it can be asked for
            logger.warning("signup_without_syncs", inbox_id=connected.inbox.id, error=str(error))
    await in_lasting_transaction(pool, lambda conn: store.finish(conn, signup.id))
    logger.info("signup_connected", inbox_id=connected.inbox.id, is_onboarding=connected.is_onboarding)


async def _find_number(
    pool: Pool, graph: Graph, settings: Settings, signup: Signup, token: str
) -> tuple[str, PhoneNumber]:
    """The WABA and the number that the token proves to be meant; lists that lag are read again."""
    app_id, secret = _app(settings)
    info = await meta.debug_token(graph, token, app_id, secret)
    waba_ids = rules.proven_wabas(info, app_id, signup.waba_id, clock.now())
    renewed_id = None
    if signup.renews_id is not None:
        async with transaction(pool) as conn:
            renewed_id = (await inboxes.get(conn, signup.account_id, signup.renews_id)).phone_number_id
    for attempt in range(LAG_TRIES_COUNT):
        numbers = [
            (waba_id, number) for waba_id in waba_ids for number in await meta.phone_numbers(graph, waba_id, token)
        ]
        try:
            return rules.chosen(signup, numbers, renewed_id)
        except Stopped as stopped:
            is_lag = stopped.problem in LAGGING
            if not is_lag or attempt + 1 == LAG_TRIES_COUNT:
                raise
        await asyncio.sleep(LAG_PAUSE_S)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _waba(graph: Graph, waba_id: str, token: str) -> Waba:
    """What Meta tells of the account. Not being told is no reason to lose a number."""
    try:
        return await meta.waba(graph, waba_id, token)
    except GraphFailed as error:
        logger.warning("signup_account_not_read", meta_code=_code(error))
        return Waba(waba_id)


async def _connect(
    conn: Connection, keyring: Keyring, signup: Signup, waba: Waba, number: PhoneNumber, token: str
) -> Connected:
    known = (await inboxes.by_phone_number_ids(conn, [number.id])).get(number.id)
    onboarded_at = rules.onboarded_at(number, known, clock.now())
    if known is not None and known.account_id != signup.account_id:
        if not has_left(known.state, known.state_at, onboarded_at):
            raise Stopped(Problem.TAKEN)
        known = None
    if signup.link_id is not None and not await store.use_link(conn, signup.link_id, known.id if known else None):
        raise Stopped(Problem.LINK_ENDED)
    connected = await connect_number(
        conn,
        keyring,
        signup.account_id,
        NewNumber(
            waba_id=waba.id,
            phone_number_id=number.id,
            display_phone_number=number.display_phone_number or "",
            token=token,
            is_coexistence=number.is_coexistence,
            onboarded_at=onboarded_at,
            first_name=number.verified_name,
            portfolio_id=waba.owner_business_info.id,
            by=signup.person,
        ),
    )
    is_onboarding = connected.is_onboarding or signup.is_onboarding
    is_in_review = waba.account_review_status == REVIEW_PENDING
    inbox_id = connected.inbox.id
    await store.note_connected(conn, signup.id, inbox_id, is_onboarding=is_onboarding, is_in_review=is_in_review)
    return Connected(connected.inbox, is_onboarding)


def _app(settings: Settings) -> tuple[str, str]:
    require(settings, "app_id", "app_secrets")
    return settings.app_id or "", settings.app_secrets[0].decode()


def _check_secret(raw: str, what: str) -> None:
    if not SECRET.fullmatch(raw):
        raise Invalid(f"The {what} is empty, or has spaces or signs that none has.")


def _code(error: GraphFailed) -> int | None:
    return error.code if isinstance(error, GraphError) else None
