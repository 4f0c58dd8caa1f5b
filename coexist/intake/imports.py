"""Which deliveries carry an import, and what of one is applied when the import of a single number is brought back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coexist.base.database import Connection
from coexist.intake import store
from coexist.intake.store import Delivery
from coexist.meta.model import Parsed
from coexist.meta.route import BULK_FIELDS

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
