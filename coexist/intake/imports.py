"""Which deliveries carry an import, and what of one is applied when the import of a single number is brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coexist.base import log
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.intake import store
from coexist.intake.sealing import unseal
from coexist.intake.store import Delivery
from coexist.meta.model import Parsed
from coexist.meta.parse import facts_of
from coexist.meta.route import BULK_FIELDS

logger = log.get(__name__)

UNNAMED_COUNT: Final = 4
"""Deliveries that are opened in one transaction to see whose import they carry; each may be a chunk of 3 MB."""
FIELDS: Final = frozenset(field.decode() for field in BULK_FIELDS)


async def note(conn: Connection, deliveries: Sequence[Delivery], parsed: Sequence[Parsed]) -> None:
    """Note of which numbers these deliveries carry history or contacts, in whichever lane they came."""
    carried = {
        (delivery.journal_id, number)
        for delivery, one in zip(deliveries, parsed, strict=True)
        for number, field in one.seen
        if field in FIELDS and number
    }
    await store.note_imports(conn, sorted(carried))


async def name_some(pool: Pool, keyring: Keyring, after: int) -> int | None:
    """Note of some deliveries after an id whose import they carry: those from before that was noted (migration 0036).

    Until then each counts as everybody's. Returns the last id; None once there is no more. One that cannot be read
    stays as it is.
    """
    read: list[tuple[Delivery, Parsed]] = []
    async with transaction(pool) as conn:
        deliveries = await store.unnamed_imports(conn, after, UNNAMED_COUNT)
        for delivery in deliveries:
            try:
                body = unseal(keyring, delivery.stored)
                read.append((delivery, facts_of(body, delivery.received_at, journal_id=delivery.journal_id)))
            except Exception as error:  # also a bug in the parser: applying has told of it
                logger.warning("import_not_named", journal_id=delivery.journal_id, error_type=type(error).__name__)
        await note(conn, [delivery for delivery, _ in read], [parsed for _, parsed in read])
        await store.forget_unnamed(conn, [delivery.journal_id for delivery, _ in read])
    return deliveries[-1].journal_id if deliveries else None


def share(delivery: Delivery, parsed: Parsed) -> Parsed:
    """What of a delivery is to be applied: all of it, or what it says of the number for which it stands in line."""
    number = delivery.only_for
    if not number:
        return parsed
    return Parsed(
        facts=[fact for fact in parsed.facts if fact.phone_number_id == number],
        problems=[problem for problem in parsed.problems if problem.phone_number_id == number],
        ignored={},
        seen=parsed.seen,
    )
