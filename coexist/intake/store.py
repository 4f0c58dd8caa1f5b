"""SQL of the journal, its backlog, and what could not be applied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

import msgspec
import structlog

from coexist.base.database import Connection
from coexist.meta.model import Problem

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook POST as it lies in the journal; ``sealing.unseal`` gives what Meta sent.

    ``only_for`` is the number of which alone it is applied again; empty for all that it says.
    """

    journal_id: int
    received_at: datetime
    stored: bytes
    only_for: str = ""


BACKLOG_CHANNEL = "coexist_backlog"
"""Told with each commit, so that a worker claims at once."""

# One statement, one round trip and one commit for all that came in while the last commit was under way (group commit).
# The bodies come as one value with their sizes: a list of them would be packed one by one, in Python.
APPEND = f"""
WITH delivery AS (
    INSERT INTO journal (received_at, lane, body)
    SELECT %(received_at)s, lane, substring(%(bodies)s::bytea FROM first_byte FOR size)
      FROM unnest(%(lanes)s::smallint[], %(firsts)s::int[], %(sizes)s::int[]) AS d (lane, first_byte, size)
    RETURNING lane, id),
waiting AS (INSERT INTO backlog (lane, journal_id) SELECT lane, id FROM delivery)
SELECT pg_notify('{BACKLOG_CHANNEL}', '')
"""


async def append(conn: Connection, received_at: datetime, lanes: Sequence[int], bodies: Sequence[bytes]) -> None:
    """Write sealed bodies, each with its lane, to the journal and its backlog, in the order given."""
    sizes = list(map(len, bodies))
    given = {
        "bodies": b"".join(bodies),
        "received_at": received_at,
        "lanes": _array(lanes),
        "firsts": _array(accumulate(sizes[:-1], initial=1)),
        "sizes": _array(sizes),
    }
    await conn.execute(APPEND, given, binary=True)


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


# By bytes as well as by number: 400 deliveries can be 400 messages, or 400,000 statuses after an outage.
CLAIM = """
WITH claimed AS (
    SELECT journal_id, only_for FROM backlog
     WHERE lane = %(lane)s
     ORDER BY journal_id, only_for
     LIMIT %(count)s
       FOR UPDATE SKIP LOCKED),
sized AS (
    SELECT c.journal_id, j.received_at, j.body, c.only_for,
           sum(octet_length(j.body)) OVER (ORDER BY c.journal_id, c.only_for) AS bytes_so_far,
           row_number() OVER (ORDER BY c.journal_id, c.only_for) AS n
      FROM claimed c LEFT JOIN journal j ON j.id = c.journal_id)
SELECT journal_id, received_at, body, only_for, (SELECT count(*) FROM claimed)
  FROM sized
 WHERE n = 1 OR body IS NULL OR bytes_so_far <= %(max_bytes)s
 ORDER BY journal_id, only_for
"""


async def claim(conn: Connection, lane: int, count: int, max_bytes: int) -> list[Delivery]:
    """Take the oldest deliveries of the lane that nobody else has taken: at most ``count``, and one or ``max_bytes``.

    The claim is this transaction's row locks: if we die, they are free at once and nothing is half done. What stands in
    line but not in the journal (deleted by hand, or by half of a restore) is nothing to apply, and leaves the line.
    """
    while True:
        rows = await _lock(conn, {"lane": lane, "count": count, "max_bytes": max_bytes})
        lost = [Delivery(*row) for row in rows if row[2] is None]
        if lost:
            log.error("not_in_the_journal", lane=lane, journal_ids=[one.journal_id for one in lost])
            await done(conn, lane, lost)
        deliveries = [Delivery(*row) for row in rows if row[2] is not None]
        if deliveries or not lost:
            return deliveries


async def _lock(conn: Connection, given: Mapping[str, int]) -> list[tuple[int, datetime, bytes, str]]:
    """Lock the first in line. Those that are too many bytes stay free for other workers."""
    async with conn.transaction() as locking:
        rows = await (await conn.execute(CLAIM, given, binary=True)).fetchall()
        locking.force_rollback = bool(rows) and len(rows) < rows[0][4]
    if locking.force_rollback:
        rows = await (await conn.execute(CLAIM, {**given, "count": len(rows)}, binary=True)).fetchall()
    return [row[:4] for row in rows]


DONE = "DELETE FROM backlog WHERE lane = %s AND only_for = %s AND journal_id = ANY(%s)"


async def done(conn: Connection, lane: int, deliveries: Iterable[Delivery]) -> None:
    """Take the deliveries off the backlog: their effects commit together with this."""
    taken: dict[str, list[int]] = defaultdict(list)
    for delivery in deliveries:
        taken[delivery.only_for].append(delivery.journal_id)
    for only_for, journal_ids in taken.items():
        await conn.execute(DONE, (lane, only_for, journal_ids))


# Of a delivery from before they were noted it is known from here on whose it is.
NOTE_IMPORTS = """
WITH carried AS (
    SELECT journal_id, phone_number_id
      FROM json_to_recordset(%s::json) AS c (journal_id bigint, phone_number_id text)),
known AS (
    DELETE FROM import_deliveries d USING carried c WHERE d.journal_id = c.journal_id AND d.phone_number_id = '')
INSERT INTO import_deliveries (journal_id, phone_number_id) SELECT DISTINCT journal_id, phone_number_id FROM carried
    ON CONFLICT DO NOTHING
"""


async def note_imports(conn: Connection, carried: Iterable[tuple[int, str]]) -> None:
    """Note (journal_id, phone_number_id) of what carries a part of a number's import."""
    rows = [{"journal_id": journal_id, "phone_number_id": number} for journal_id, number in carried]
    if rows:
        await conn.execute(NOTE_IMPORTS, (msgspec.json.encode(rows).decode(),))


UNNAMED_IMPORTS = """
SELECT j.id, j.received_at, j.body FROM import_deliveries d JOIN journal j ON j.id = d.journal_id
 WHERE d.phone_number_id = '' AND d.journal_id > %s
 ORDER BY d.journal_id LIMIT %s
   FOR UPDATE OF d SKIP LOCKED
"""


async def unnamed_imports(conn: Connection, after: int, count: int) -> list[Delivery]:
    """Return, and lock, the next deliveries after an id that came before whose import they carry was noted."""
    return [Delivery(*row) for row in await (await conn.execute(UNNAMED_IMPORTS, (after, count))).fetchall()]


async def forget_unnamed(conn: Connection, journal_ids: Sequence[int]) -> None:
    """Note that it is known of these deliveries whose import they carry, or that they carry none."""
    statement = "DELETE FROM import_deliveries WHERE phone_number_id = '' AND journal_id = ANY(%s)"
    await conn.execute(statement, (list(journal_ids),))


UNROUTED = """
INSERT INTO unrouted (phone_number_id, journal_id)
SELECT phone_number_id, journal_id FROM json_to_recordset(%s::json) AS u (phone_number_id text, journal_id bigint)
    ON CONFLICT DO NOTHING
"""


async def keep_unrouted(conn: Connection, pairs: Iterable[tuple[str, int]]) -> None:
    """Keep (phone_number_id, journal_id) of what names a number that nobody has connected here yet (A6)."""
    rows = [{"phone_number_id": number, "journal_id": journal_id} for number, journal_id in pairs]
    if rows:
        await conn.execute(UNROUTED, (msgspec.json.encode(rows).decode(),))


# A number may be connected while a batch that names it is under way: the batch kept its deliveries as unrouted, and
# whoever connected found none to put in line. So somebody looks again.
REQUEUE_ROUTED = f"""
WITH routed AS (
    DELETE FROM unrouted u
     WHERE EXISTS (SELECT FROM inboxes i WHERE u.phone_number_id IN (i.phone_number_id, i.waba_id))
    RETURNING journal_id),
waiting AS (
    INSERT INTO backlog (lane, journal_id)
    SELECT DISTINCT j.lane, j.id FROM routed r JOIN journal j ON j.id = r.journal_id
        ON CONFLICT DO NOTHING)
SELECT pg_notify('{BACKLOG_CHANNEL}', '') FROM routed LIMIT 1
"""


async def requeue_routed(conn: Connection) -> None:
    """Put deliveries in line again whose number (or WABA) was not connected when they came, and is now (A6)."""
    await conn.execute(REQUEUE_ROUTED)


@dataclass(frozen=True, slots=True)
class Guilty:
    """A part of a delivery that could not be applied, and why."""

    journal_id: int
    problem: Problem
