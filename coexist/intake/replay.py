"""Putting deliveries of the journal in line again: after a fix, or to fill an empty database."""

from __future__ import annotations

from typing import Final

from coexist.base.database import Connection

# In the bulk lane: what happens now goes first. What is in line anyway is not put there twice.
REPLAY: Final = """
INSERT INTO backlog (lane, journal_id)
SELECT 1, j.id FROM journal j
 WHERE j.id BETWEEN coalesce(%(first)s, 1) AND coalesce(%(last)s, 9223372036854775807)
   AND (NOT %(quarantined)s OR EXISTS (SELECT FROM quarantine q WHERE q.journal_id = j.id))
   AND NOT EXISTS (SELECT FROM backlog b WHERE b.journal_id = j.id)
    ON CONFLICT DO NOTHING
"""


async def replay(
    conn: Connection, *, first: int | None = None, last: int | None = None, is_quarantined: bool = False
) -> int:
    """Have journaled deliveries applied again, and return how many: applying is harmless the second time.

    From the journal id ``first`` to ``last``, both included; with ``is_quarantined`` only those of which a part
    could not be applied.
    """
    values = {"first": first, "last": last, "quarantined": is_quarantined}
    return (await conn.execute(REPLAY, values)).rowcount
