"""What came when, as evidence for the checks: to the minute, and never in the way of what is applied."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

import psycopg
import structlog

from coexist.base import clock
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import AppError
from coexist.coexistence import checks_store
from coexist.coexistence.checks import REFUSED, VERIFIED
from coexist.coexistence.checks_self_test import nonces
from coexist.intake.store import Delivery
from coexist.meta.model import Parsed

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0
"""How often one process writes down that a field came for a number."""
REMEMBERED_COUNT: Final = 100_000
"""Numbers and fields that a process remembers having written: beyond it, it begins anew."""

_written: Final[WeakKeyDictionary[Pool, dict[tuple[str, str], float]]] = WeakKeyDictionary()
"""When each sighting was last written down by this process, by monotonic time, for each database."""


async def note_self_tests(conn: Connection, deliveries: Sequence[Delivery], parsed: Sequence[Parsed]) -> None:
    """Note which of these deliveries we sent ourselves, in the transaction that applies them."""
    ours = {
        nonce: delivery.journal_id
        for delivery, one in zip(deliveries, parsed, strict=True)
        for nonce in nonces(one.ignored)
    }
    if ours:
        await checks_store.self_tests_applied(conn, ours)


async def note(pool: Pool, deliveries: Sequence[Delivery], parsed: Sequence[Parsed]) -> None:
    """Note which fields these deliveries brought for whom, unless that was done within the last minute.

    In a transaction of its own: rows that every batch of a number writes must not make batches wait for each other.
    """
    now, written, fresh = time.monotonic(), _written.setdefault(pool, {}), dict[tuple[str, str], datetime]()
    for delivery, one in zip(deliveries, parsed, strict=True):
        for sighting in one.seen:
            if sighting[0] and now - written.get(sighting, -math.inf) >= EVERY_S:
                fresh[sighting] = max(delivery.received_at, fresh.get(sighting, delivery.received_at))
    if not fresh:
        return
    try:
        async with transaction(pool) as conn:
            await checks_store.saw(conn, fresh)
    except (AppError, psycopg.Error) as error:
        log.warning("sightings_not_noted", error=str(error))
        return
    if len(written) > REMEMBERED_COUNT:
        written.clear()
    written.update(dict.fromkeys(fresh, now))


async def note_refused(pool: Pool) -> None:
    """Note that a delivery had a signature, and not ours, unless that was done within the last minute.

    Anybody can send such deliveries, so that they cost a row a minute is all that they do.
    """
    now, written = time.monotonic(), _written.setdefault(pool, {})
    if now - written.get(REFUSED, -math.inf) < EVERY_S:
        return
    written[REFUSED] = now
    try:
        async with transaction(pool) as conn:
            await checks_store.saw(conn, {REFUSED: clock.now()})
    except (AppError, psycopg.Error) as error:
        log.warning("refused_signature_not_noted", error=str(error))


async def note_verification(pool: Pool) -> None:
    """Note that somebody who knows our verify token, which is Meta, has verified the webhook's address."""
    try:
        async with transaction(pool) as conn:
            await checks_store.saw(conn, {VERIFIED: clock.now()})
    except (AppError, psycopg.Error) as error:
        log.warning("verification_not_noted", error=str(error))
