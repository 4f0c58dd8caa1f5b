"""Between the intake and the quarantine: what a part that failed is, and its JSON when somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.events.feed import NewEvent
from coexist.intake.sealing import Damaged, unseal
from coexist.intake.store import Delivery, Guilty
from coexist.meta.parts import part_at
from coexist.quarantine import store
from coexist.quarantine.model import Failed, Quarantined


async def settle(
    conn: Connection,
    keyring: Keyring,
    deliveries: Sequence[Delivery],
    guilty: Sequence[Guilty],
    *,
    has_unrouted: bool = False,
) -> list[NewEvent]:
    """Write down what failed in these deliveries, and forget what failed before and no longer does.

    ``has_unrouted``: some of them name a number that is not connected here. Returns the events to append.
    """
    tried = [(one.journal_id, one.only_for) for one in deliveries]
    changed = await store.settle(conn, tried, _failed(keyring, deliveries, guilty))
    return await store.events_of(conn, changed) if changed or has_unrouted else []


def _failed(keyring: Keyring, deliveries: Sequence[Delivery], guilty: Sequence[Guilty]) -> list[Failed]:
    """One entry for each part: it can be flawed and its rest fail as well, which is both errors."""
    names = {one.journal_id for one in guilty}
    bodies = {one.journal_id: _body(keyring, one.stored) for one in deliveries if one.journal_id in names}
    failed: dict[tuple[int, str], Failed] = {}
    for one in guilty:
        part, error = one.problem.part, one.problem.error
        known = failed.get((one.journal_id, part))
        if known is None:
            found = part_at(bodies[one.journal_id], part)
            failed[one.journal_id, part] = Failed(
                one.journal_id, part, one.problem.phone_number_id, error, found.kind, found.field, len(found.json)
            )
        elif error not in known.error:
            both = "; ".join(sorted([*known.error.split("; "), error]))
            failed[one.journal_id, part] = replace(known, error=both)
    return list(failed.values())


def _body(keyring: Keyring, stored: bytes) -> bytes:
    """The delivery's body; nothing of one that was damaged on the disk, which is what made it fail."""
    try:
        return unseal(keyring, stored)
    except Damaged:
        return b""


BODY = "SELECT body FROM journal WHERE id = %s"


async def body_of(conn: Connection, keyring: Keyring, journal_id: int) -> bytes:
    """Return a delivery as Meta sent it. Raises NotFound when the journal does not hold it, and Damaged."""
    row = await (await conn.execute(BODY, (journal_id,))).fetchone()
    if row is None:
        raise NotFound(
            f"The journal has no delivery {journal_id}.", next_step="`coexist journal status` says what it has."
        )
    return unseal(keyring, row[0])


async def json_of(conn: Connection, keyring: Keyring, quarantined: Quarantined) -> bytes:
    """Return the JSON of a part that could not be applied, as Meta sent it."""
    return part_at(await body_of(conn, keyring, quarantined.journal_id), quarantined.part).json
