"""From the journal into the tables: claim a batch, parse it, apply it, take it off the backlog.

Claims are row locks, so a worker that dies leaves nothing half done and its batch is free at once. Several workers on
several hosts take different deliveries (SKIP LOCKED); what they apply at the same time commutes, and the locks of
``inbox.locks`` keep apart what does not. They are locks of a contact scope: what a batch says of several scopes is
applied side by side, in a transaction each, so that a scope whose lock is taken (by its import, for a status of it)
holds up no other. Only then is the batch off the backlog: a crash in between applies some of it again, which changes
nothing. What fails is halved until the guilty part stands alone: that part is quarantined with its error and nothing
waits behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import structlog
from psycopg.errors import QueryCanceled

from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import moves
from coexist.coexistence.apply import apply as apply_connection
from coexist.coexistence.switches import wanted
from coexist.events import feed
from coexist.events.feed import NewEvent
from coexist.inbox import inboxes as inbox_rows
from coexist.inbox.apply import apply as apply_inbox
from coexist.inbox.apply import with_people
from coexist.inbox.inboxes import Inbox
from coexist.inbox.private_lists import SHARE
from coexist.inbox.resolution import People
from coexist.inbox.switches import EVERYTHING, Switch
from coexist.intake import imports, private, quarantine, sightings, store
from coexist.intake.sealing import unseal
from coexist.intake.store import Delivery, Guilty
from coexist.meta.model import (
    AccountUpdated,
    Fact,
    MessageTold,
    NoticeGiven,
    Parsed,
    Problem,
)
from coexist.meta.parse import facts_of

log = structlog.get_logger(__name__)

LIVE_LANE, BULK_LANE = 0, 1

DELIVERIES_COUNT = {LIVE_LANE: 1200, BULK_LANE: 2}
"""Deliveries claimed at once: a live one is a message or a few, a bulk one is a chunk of up to 3 MB. The more come
together, the more of them are of the same people, whose conversation is locked, looked up and summed up once."""

BATCH_BYTES = 2 * 1024 * 1024
"""Sealed bodies claimed at once at most, unless one alone is larger; large ones unfold to about eight times that."""

POLL_S = 1.0
"""How long a lost notification can delay a delivery."""

REST_SHARE = 0.1
"""After a full live batch, the part of its time for which the next one waits: while more comes than can be applied, who
answers Meta on the same processors keeps its time, and what waits in line comes a tenth later."""

PAUSE_AFTER_ERROR_S = 1.0
"""Between attempts while the database is away or a batch cannot be applied at all."""

STAND_BACK_S = 60.0
"""How long the second live loop leaves the lane to the first after a batch of its own failed: longer than any batch."""

SCOPES_AT_ONCE = 4
"""Contact scopes of one batch that are applied side by side, each on a connection of the pool."""

CLAIM_IDLE_MS = 10 * 60 * 1000
"""How long a claim may wait for what is applied on other connections: then PostgreSQL frees it for other workers. A
guilty part among thousands takes minutes to find; a worker that is stuck must not hold its batch for ever."""

REQUEUE_EVERY_S = 5.0
"""How often somebody looks for deliveries that came before their number was connected."""

PASSING_CLASSES = ("08", "25", "40", "53", "55", "57", "58")
"""SQLSTATE classes that are not the fault of what is applied (connection, read-only or ended transaction, deadlock, out
of disk or memory, locks, shutdown, input/output): the same batch, later, can succeed."""


TOO_MUCH_CLASSES = ("53", "54", "57014")
"""SQLSTATEs that a smaller batch may not meet: out of memory or disk, beyond a limit, out of time."""

# Nobody becomes private between the look at the lists and the commit.
BEGIN = f"""
SET LOCAL idle_in_transaction_session_timeout = {CLAIM_IDLE_MS};
{SHARE};
"""

Known = Mapping[str, Inbox]
T = TypeVar("T")


@dataclass(slots=True)
class Outcome:
    """What applying some facts came to."""

    events: list[NewEvent] = field(default_factory=list)
    guilty: list[Guilty] = field(default_factory=list)


async def run(
    pool: Pool, keyring: Keyring, lane: int, *, installation: frozenset[Switch] = EVERYTHING, wake: asyncio.Event
) -> None:
    """Apply the lane's backlog for ever. ``wake`` is set when something may have been journaled.

    While the live lane has more than one batch waiting, a second loop takes batches as well: what one reads and writes
    in Python then falls into the time in which the other waits for the database.
    """
    is_deep = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_run(pool, keyring, lane, installation, wake, is_deep))
        if lane == LIVE_LANE:
            group.create_task(_run_while_deep(pool, keyring, installation, is_deep))


async def _run(
    pool: Pool,
    keyring: Keyring,
    lane: int,
    installation: frozenset[Switch],
    wake: asyncio.Event,
    is_deep: asyncio.Event,
) -> None:
    count = DELIVERIES_COUNT[lane]
    looked_at = 0.0
    unnamed: int | None = 0
    while True:
        wake.clear()  # before looking: what is journaled from here on sets it again
        try:
            if lane == BULK_LANE and time.monotonic() - looked_at > REQUEUE_EVERY_S:
                async with transaction(pool) as conn:
                    await store.requeue_routed(conn)
                if unnamed is not None:
                    unnamed = await imports.name_some(pool, keyring, unnamed)
                looked_at = time.monotonic()
            began = time.monotonic()
            if applied := await apply_next(pool, keyring, lane, installation=installation, count=count):
                if lane == LIVE_LANE and applied == DELIVERIES_COUNT[lane]:
                    is_deep.set()
                    await asyncio.sleep(REST_SHARE * (time.monotonic() - began))
                count = min(count * 2, DELIVERIES_COUNT[lane])
                continue
        except (AppError, psycopg.Error) as error:
            is_deep.clear()  # what failed is looked for here, in smaller and smaller batches: nobody else may take it
            if isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(TOO_MUCH_CLASSES):
                count = max(1, count // 2)  # it must not be so for ever
            log.error(
                "batch_not_applied", lane=lane, next_count=count, error_type=type(error).__name__, error=str(error)
            )
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await wake.wait()


async def _run_while_deep(
    pool: Pool, keyring: Keyring, installation: frozenset[Switch], is_deep: asyncio.Event
) -> None:
    while True:
        await is_deep.wait()
        try:
            applied = await apply_next(pool, keyring, LIVE_LANE, installation=installation)
        except (AppError, psycopg.Error) as error:
            log.error("batch_not_applied", lane=LIVE_LANE, error_type=type(error).__name__, error=str(error))
            await asyncio.sleep(STAND_BACK_S)  # so that the first loop meets it next, and finds the guilty part
            applied = 0
        if applied < DELIVERIES_COUNT[LIVE_LANE]:
            is_deep.clear()


async def apply_next(
    pool: Pool,
    keyring: Keyring,
    lane: int,
    *,
    installation: frozenset[Switch] = EVERYTHING,
    count: int | None = None,
) -> int:
    """Apply the lane's next batch. Returns how many deliveries that were; 0 means that nothing waits.

    ``count`` is how many at most. What takes too long is looked for within a delivery only when that is 1: whoever asks
    for so few has seen time-outs of more, and a database that stands still for a moment makes nothing guilty.
    """
    async with transaction(pool) as conn:
        deliveries = await store.claim(conn, lane, count or DELIVERIES_COUNT[lane], BATCH_BYTES)
        if not deliveries:
            return 0
        await conn.execute(BEGIN)
        deliveries = await private.withheld(conn, keyring, deliveries)
        whole = [_parse(keyring, delivery) for delivery in deliveries]
        await imports.note(conn, deliveries, whole)
        parsed = [imports.share(*told) for told in zip(deliveries, whole, strict=True)]
        facts = await moves.owned(conn, [fact for one in parsed for fact in one.facts])
        known, unrouted = await _route(conn, facts, installation)
        moves.check_owned(facts, known)
        await store.keep_unrouted(conn, unrouted)
        outcome = await _apply_or_halve(conn, pool, known, wanted(facts, known), is_alone=count == 1)
        problems = [
            (delivery.journal_id, problem)
            for delivery, one in zip(deliveries, parsed, strict=True)
            for problem in one.problems
        ]
        guilty = [Guilty(*one) for one in await moves.of_owners(conn, problems)] + outcome.guilty
        outcome.events += await quarantine.settle(conn, keyring, deliveries, guilty, has_unrouted=bool(unrouted))
        await sightings.note_self_tests(conn, deliveries, parsed)
        await store.done(conn, lane, deliveries)
        await feed.append(conn, outcome.events)
    await sightings.note(pool, deliveries, parsed)
    return len(deliveries)


def _parse(keyring: Keyring, delivery: Delivery) -> Parsed:
    try:
        return facts_of(unseal(keyring, delivery.stored), delivery.received_at, journal_id=delivery.journal_id)
    except SecretUnreadable:
        raise  # the key is missing, not the delivery at fault: it stays in line until the key is back
    except Exception as error:  # a bug in the parser must not stop what is behind this delivery
        log.exception("delivery_not_parsed", journal_id=delivery.journal_id)
        return Parsed(facts=[], problems=[Problem(part="", error=_in_words(error))], ignored={})


async def _route(
    conn: Connection, facts: Iterable[Fact], installation: frozenset[Switch]
) -> tuple[dict[str, Inbox], set[tuple[str, int]]]:
    """Return the inboxes the facts name, and (name, journal id) of what is not connected here yet (A6).

    What names a WABA is for those of its numbers that are connected. Another one, connected later, misses nothing: what
    happened before its onboarding does not count for it (``connection.verdict``), however late it is told.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    wabas: dict[str, set[int]] = defaultdict(set)
    for fact in facts:
        if fact.phone_number_id:
            numbers[fact.phone_number_id].add(fact.journal_id)
        elif isinstance(fact, AccountUpdated | NoticeGiven):
            name = fact.waba_id or (fact.entry_id if isinstance(fact, AccountUpdated) else None)
            if name:
                wabas[name].add(fact.journal_id)
    known = await inbox_rows.by_phone_number_ids(conn, numbers)
    known_wabas = {row.waba_id for row in await inbox_rows.of_wabas(conn, wabas)} if wabas else set()
    known_wabas |= await moves.former_wabas(conn, wabas.keys() - known_wabas) if wabas.keys() - known_wabas else set()
    missing = {name: ids for name, ids in numbers.items() if name not in known}
    missing |= {name: ids for name, ids in wabas.items() if name not in known_wabas}
    return {name: row.within(installation) for name, row in known.items()}, {
        (name, journal_id) for name, ids in missing.items() for journal_id in ids
    }


async def _apply_or_halve(
    conn: Connection, pool: Pool, known: Known, facts: Sequence[Fact], *, is_alone: bool
) -> Outcome:
    """Apply ``facts``: of one contact scope in the claim's transaction, of several side by side in their own.

    ``is_alone``: they are of one delivery, so a time-out can only be helped by applying fewer of them at once.
    """
    shares = _by_scope(known, facts)
    if not shares:
        return Outcome()
    if len(shares) > 1:
        return Outcome(guilty=await _apply_apart(pool, known, shares, is_alone=is_alone))

    async def merge(people: People | None) -> list[NewEvent]:
        async with conn.transaction():  # rolling back gives the scope's lock free for whoever changes people
            return await _merge(conn, known, people, facts)

    try:
        return Outcome(events=await _with_people(pool, known, facts, merge))
    except Exception as error:
        return Outcome(guilty=await _halve(pool, known, facts, error, is_alone=is_alone))


def _by_scope(known: Known, facts: Iterable[Fact]) -> list[list[Fact]]:
    """Split by contact scope; what names no number of ours, but a WABA, is one share more."""
    shares: dict[int | None, list[Fact]] = defaultdict(list)
    for fact in facts:
        shares[None if fact.phone_number_id is None else known[fact.phone_number_id].scope_id].append(fact)
    return list(shares.values())


async def _apply_apart(
    pool: Pool, known: Known, shares: Iterable[Sequence[Fact]], *, is_alone: bool, at_once: int = SCOPES_AT_ONCE
) -> list[Guilty]:
    """Apply each of ``shares`` in a transaction of its own, all but the guilty parts, which are returned.

    One that cannot be applied now, for no fault of its own, keeps no other from being applied; then it raises.
    """
    free = asyncio.Semaphore(at_once)

    async def apply_one(facts: Sequence[Fact]) -> list[Guilty]:
        async def merge(people: People | None) -> None:
            async with transaction(pool) as conn:
                await feed.append(conn, await _merge(conn, known, people, facts))

        async with free:
            try:
                await _with_people(pool, known, facts, merge)
            except Exception as error:
                return await _halve(pool, known, facts, error, is_alone=is_alone)
        return []

    guilty: list[Guilty] = []
    for outcome in await asyncio.gather(*map(apply_one, shares), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        guilty += outcome
    return guilty


async def _halve(pool: Pool, known: Known, facts: Sequence[Fact], error: Exception, *, is_alone: bool) -> list[Guilty]:
    """Find the guilty parts of ``facts``, which failed together with ``error``, and apply the others.

    Each half commits on its own, because the locks of one must be free when the next one's people are resolved. A
    crash on the way is harmless: the deliveries are still in the backlog, and applying them again changes nothing.
    """
    if not (is_alone and isinstance(error, QueryCanceled)):
        _raise_if_passing(error)
    if len(facts) == 1:
        (guilty,) = facts
        log.error("part_quarantined", journal_id=guilty.journal_id, part=guilty.part, exc_info=error)
        problem = Problem(part=guilty.part, error=_in_words(error), phone_number_id=guilty.phone_number_id)
        return [Guilty(guilty.journal_id, problem)]
    log.warning("batch_halved", facts=len(facts), error=_in_words(error))
    middle = len(facts) // 2
    # What always takes too long must stand alone in the end: from here on a time-out counts as a fault.
    return await _apply_apart(pool, known, (facts[:middle], facts[middle:]), is_alone=True, at_once=1)


def _raise_if_passing(error: Exception) -> None:
    """Raise what is not the fault of what was applied: the whole batch is tried again, later."""
    if isinstance(error, AppError):
        raise error
    if isinstance(error, psycopg.Error) and (error.sqlstate is None or error.sqlstate.startswith(PASSING_CLASSES)):
        raise error


async def _with_people(
    pool: Pool, known: Known, facts: Sequence[Fact], merge: Callable[[People | None], Awaitable[T]]
) -> T:
    """What ``merge`` returns for the people that the facts of one share name; None where they name no number."""
    inbox = _inbox_of(known, facts)
    return await merge(None) if inbox is None else await with_people(pool, inbox.scope_id, known, facts, merge)


async def _merge(conn: Connection, known: Known, people: People | None, facts: Sequence[Fact]) -> list[NewEvent]:
    """Merge the facts of one share into the tables. Returns the events to append."""
    inbox = _inbox_of(known, facts)
    events = await apply_inbox(conn, inbox.account_id, known, people, facts) if inbox and people else []
    return events + await apply_connection(conn, known, [fact for fact in facts if type(fact) is not MessageTold])


def _inbox_of(known: Known, facts: Iterable[Fact]) -> Inbox | None:
    """One of the numbers of a share: all have the same account and contacts."""
    return next((known[fact.phone_number_id] for fact in facts if fact.phone_number_id), None)


def _in_words(error: Exception) -> str:
    """The error for the quarantine: its type and first line, without the values that a database adds below."""
    first_line = str(error).split("\n", 1)[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
