"""The two advisory locks under which contacts and messages of one contact scope are written.

- *apply*: shared by batches that only add messages to known people; exclusive for what rewrites existing rows
  (statuses, edits, reactions, moving messages between contacts). It makes "does what I name exist yet?" a safe
  question: the answer cannot change before the asker commits.
- *people*: exclusive for who makes new contacts, so that one new person is made once.

Taken in this order only: people, then apply; several scopes in ascending order. Both end with the transaction.

Rows are locked after these, and in this order: questions to Meta, inboxes, outbox, conversations, contacts, templates,
exported chats; of one table in the order of their ids. Whoever learns something of a number besides a message writes
down the former first.
"""

from __future__ import annotations

from coexist.base.database import Connection

APPLY = 0x41504C59  # "APLY"
PEOPLE = 0x50454F50  # "PEOP"


async def share_apply(conn: Connection, scope_id: int) -> None:
    """Wait until nobody rewrites rows of the scope; others may add at the same time."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (APPLY, scope_id))


async def own_apply(conn: Connection, scope_id: int) -> None:
    """Wait until nobody else writes messages of the scope at all."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", (APPLY, scope_id))


async def own_people(conn: Connection, scope_id: int) -> None:
    """Wait until nobody else makes or joins contacts of the scope."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", (PEOPLE, scope_id))
