"""The pre-flight: everything that must be in order before the one chance to sync is spent (requirement A1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import checks_rules as rules
from coexist.coexistence import checks_self_test as self_test
from coexist.coexistence import checks_store as store
from coexist.coexistence.checks_model import Check, Level, Name, Preflight
from coexist.coexistence.signup_rules import DEAD_TOKEN
from coexist.inbox import connection, credentials, refusals
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.meta import graph as meta
from coexist.meta.errors import RENEW
from coexist.meta.graph import Graph, GraphError, GraphFailed, GraphUnclear

META_S: Final = 12.0
"""How long one question to Meta may take, its retries included."""
VERIFIED: Final = ("", "verification")
"""The sighting of Meta's verification of the address: it names nobody."""
REFUSED: Final = ("", "signature refused")
"""The sighting of a delivery that was signed with another secret than ours: it names nobody either."""
OVERRULED: Final = "SYNC_ASKED_ANYWAY"
REASON_CHARS: Final = 500

T = TypeVar("T")
logger = log.get(__name__)


async def look(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, inbox: Inbox) -> Preflight:
    """Look at everything, here and at Meta, and return what was found; some 30 seconds at most.

    Changes nothing about the number. What Meta's refusals ask for is done: it is asked less, a dead token is noted.
    """
    asked_at = clock.now()
    async with transaction(pool) as conn:
        token = await credentials.token_of(conn, keyring, inbox.id)
    (at_meta, refused), at_home = await asyncio.gather(
        _at_meta(graph, settings, inbox, token), _at_home(pool, graph, settings)
    )
    for error in refused:
        await _heed(pool, inbox, error, asked_at)
    found = {check.name: check for check in (*at_home, *at_meta)}
    checks = [found[name] for name in Name if name in found]
    look = Preflight(inbox.id, inbox.onboarded_at, clock.now(), checks, is_waiting=False)
    logger.info(
        "checked",
        inbox_id=inbox.id,
        level=look.level,
        not_green=[one.name for one in checks if one.level != Level.GREEN],
    )
    return look


async def _at_home(pool: Pool, graph: Graph, settings: Settings) -> list[Check]:
    """The self-test, then what it may have changed: a worker that has just been started has told of itself by now."""
    sent = await self_test.run(pool, graph, settings)
    async with transaction(pool) as conn:
        found = await at_home(conn, settings)
    has_worker = any(check.name == Name.WORKER and check.level == Level.GREEN for check in found)
    return [rules.webhook(sent, settings, graph.base_url, has_worker), *found]


async def at_home(conn: Connection, settings: Settings) -> list[Check]:
    """Look at our own parts, without asking anybody else."""
    beats = await store.beats(conn)
    state = await store.database_state(conn)
    last_at = await store.last_from_meta(conn)
    verified_at = (await store.sightings(conn, [VERIFIED[0]])).get(VERIFIED[1])
    now = clock.now()
    return [
        rules.meta_heard(last_at, verified_at, now),
        rules.worker(beats, now),
        rules.storage(beats, settings.media_min_free_bytes, now),
        rules.database(state, now),
        rules.clocks(state, beats, now),
    ]


async def _heed(pool: Pool, inbox: Inbox, error: GraphFailed, asked_at: datetime) -> None:
    """Of what concerns access, only a dead token: a permission that this look needs says nothing about sending."""
    if isinstance(error, GraphError) and error.code in DEAD_TOKEN:
        await refusals.heed_error(pool, inbox.id, error, asked_at=asked_at)
    else:
        await refusals.heed_limit(pool, error, inbox.waba_id)


async def _at_meta(
    graph: Graph, settings: Settings, inbox: Inbox, token: str | None
) -> tuple[list[Check], list[GraphFailed]]:
    """Ask Meta; return the checks, and the failures of the calls that were made with the number's own token."""
    now, address = clock.now(), self_test.address_of(settings)
    app_id, secret = settings.app_id, settings.app_secrets[0].decode() if settings.app_secrets else None
    if token is None:
        missing = "There is no access token here, so Meta could not be asked."
        names = (Name.SUBSCRIBED, Name.TOKEN, Name.NUMBER)
        return [rules.made(name, Level.RED, missing, now, RENEW) for name in names], []
    accounts, number = await asyncio.gather(
        _asked(meta.subscriptions(graph, inbox.waba_id, token)),
        _asked(meta.phone_number(graph, inbox.phone_number_id, token)),
    )
    refused = [answer for answer in (accounts, number) if isinstance(answer, GraphFailed)]
    if isinstance(accounts, GraphFailed):
        checks, override = [rules.not_asked(Name.SUBSCRIBED, accounts, now)], None
    else:
        checks = [rules.subscribed(accounts, app_id, inbox.waba_id, address, now)]
        override = next((app.override_callback_uri for app in accounts if app.app_id == app_id), None)
    if isinstance(number, GraphFailed):
        checks.append(rules.not_asked(Name.NUMBER, number, now))
    else:
        checks.append(rules.number(number, now))
    if app_id is None or secret is None:
        unnamed = [rules.app_not_named(Name.FIELDS, now), rules.app_not_named(Name.TOKEN, now)]
        return [*checks, *unnamed], refused
    apps, info = await asyncio.gather(
        _asked(meta.app_subscriptions(graph, app_id, secret)), _asked(meta.debug_token(graph, token, app_id, secret))
    )
    if isinstance(apps, GraphFailed):
        checks.append(rules.not_asked(Name.FIELDS, apps, now))
    else:
        checks.append(rules.fields(apps, app_id, address, override, now))
    if isinstance(info, GraphFailed):
        checks.append(rules.not_asked(Name.TOKEN, info, now))
    else:
        checks.append(rules.token(info, app_id, inbox.waba_id, now))
    return checks, refused


async def _asked(question: Awaitable[T]) -> T | GraphFailed:
    """Meta's answer, or why there is none."""
    try:
        async with asyncio.timeout(META_S):
            return await question
    except TimeoutError:
        return GraphUnclear(f"no answer within {META_S:.0f} seconds.")
    except GraphFailed as error:
        return error


# ── the gate ──────────────────────────────────────────────────────────────────────────────────────────────


async def settle(conn: Connection, found: Preflight) -> Preflight:
    """Keep a look that decides about the syncs: all green lets them be asked for, for a while; else they wait."""
    passes = found.level is Level.GREEN
    return await _keep(conn, found, passes=passes)


async def overrule(conn: Connection, inbox: Inbox, look: Preflight | None, by: str, reason: str) -> Preflight:
    """Let the syncs be asked for although something is amber; the timeline keeps who decided so, and why.

    Raises Invalid without a reason, Conflict when something is red or nothing waits. ``look`` is the last one.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > REASON_CHARS:
        raise Invalid(f"Give a reason of 1 to {REASON_CHARS} characters: it stays in the number's timeline.")
    if look is None or look.onboarded_at != inbox.onboarded_at or not look.may_be_overruled:
        raise Conflict(
            "There is nothing that may be passed over: a check is red, or nothing waits any more.",
            next_step="Mend what is red, then check again.",
        )
    told = {"by": by, "reason": reason, "amber": [check.name for check in look.of(Level.AMBER)]}
    await connection.record(conn, [Line(inbox.id, clock.now(), connection.OURS, OVERRULED, told)])
    return await _keep(conn, look, passes=True)


async def _keep(conn: Connection, found: Preflight, *, passes: bool) -> Preflight:
    until = clock.now() + timedelta(minutes=store.PASSED_MINUTES) if passes else None
    kept = Preflight(
        found.inbox_id, found.onboarded_at, found.checked_at, found.checks, is_waiting=not passes, passed_until=until
    )
    await store.put_preflight(conn, kept)
    return kept


def needing(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that somebody has to do something about, the worst first."""
    return [check for level in (Level.RED, Level.AMBER) for check in checks if check.level == level]
