"""The receipt of an import: what came, what is missing and why, and that it disturbed nobody. Counted from rows.

Messages do not remember by which onboarding they came, so rows are counted for the whole number; chunks, gaps and
errors are those of one onboarding. Nothing here is a claim: each figure is a query, and each query that should
find nothing returns the ids of what it found (requirement D7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.coexistence import store
from coexist.coexistence.model import Sync
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import FROM_HISTORY, PLACEHOLDER, UNAVAILABLE

IDS_SHOWN: Final = 20
"""Ids given of what should not be there; the count goes on."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an import brought, as rows. ``media_on_phone`` are files that Meta never offered."""

    conversations: int
    messages: int
    media_on_phone: int
    content_on_phone: int
    contacts: int
    book_entries: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Files:
    """Files of imported messages that stand alike: a state, and the reason when they are not here."""

    state: str
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True)
class PhaseReceipt:
    """The chunks of one phase. ``missing`` are orders between the first and the last that never came."""

    phase: int
    chunk_count: int
    message_count: int
    progress: int
    missing: Sequence[int]


@dataclass(frozen=True, slots=True)
class Zero:
    """Something that an import must never do: how often it did, and the first IDS_SHOWN ids of it in ``table``."""

    name: str
    table: str
    count: int
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Receipt:
    """All that an import did. ``told_count`` is Meta's own number of messages, ``told_in_all`` that of all imports of
    the number, which its rows come from; the feed is kept ``events_since``.

    ``onboardings`` are all times at which the number was connected, oldest first; ``onboarded_at`` is one of them.
    """

    inbox_id: int
    onboarded_at: datetime
    counted_at: datetime
    onboardings: Sequence[datetime]
    contacts_sync: Sync
    history_sync: Sync
    told_count: int
    told_in_all: int
    figures: Figures
    files: Sequence[Files]
    phases: Sequence[PhaseReceipt]
    zeros: Sequence[Zero]
    events_since: datetime | None

    @property
    def is_last(self) -> bool:
        """Whether this is the import of the number as it is connected now."""
        return self.onboarded_at == self.onboardings[-1]

    @property
    def missing_count(self) -> int:
        """Parts between the first and the last of a phase that never came, at most IDS_SHOWN a phase."""
        return sum(len(phase.missing) for phase in self.phases)

    @property
    def not_new_count(self) -> int:
        """Messages that Meta told and that made no row: here already, told twice, a reaction, or left out."""
        return max(0, self.told_in_all - self.figures.messages)

    @property
    def disturbed(self) -> bool:
        """Whether the import did anything that it must not."""
        return any(zero.count for zero in self.zeros)


# A message that a person's exported chat made is no work of Meta's.
BROUGHT: Final = """
m.inbox_id = %(inbox_id)s AND m.imported AND NOT EXISTS (
SELECT FROM exported_messages x WHERE x.inbox_id = m.inbox_id AND x.wamid = m.wamid AND x.replaced IS NULL)
"""

FIGURES: Final = f"""
SELECT m.conversations, m.messages, m.media_on_phone, m.content_on_phone,
       (SELECT count(DISTINCT c.contact_id) FROM conversations c WHERE c.inbox_id = i.id) AS contacts,
       (SELECT count(*) FROM address_book_entries e WHERE e.inbox_id = i.id AND NOT e.is_removed) AS book_entries,
       (SELECT count(*) FROM quarantine q JOIN journal j ON j.id = q.journal_id
         WHERE q.phone_number_id = i.phone_number_id
           AND (j.lane = 1 OR EXISTS (SELECT FROM import_deliveries d WHERE d.journal_id = j.id))) AS quarantined
  FROM inboxes i,
       LATERAL (SELECT count(DISTINCT m.conversation_id) AS conversations, count(*) AS messages,
                       count(*) FILTER (WHERE content_rank = %(placeholder)s) AS media_on_phone,
                       count(*) FILTER (WHERE content_rank BETWEEN %(unavailable)s AND %(content)s - 1)
                       AS content_on_phone
                  FROM messages m WHERE {BROUGHT}) m
 WHERE i.id = %(inbox_id)s
"""

FILES: Final = f"""
SELECT f.state::text, f.reason, count(*) AS count
  FROM media f JOIN messages m ON m.inbox_id = f.inbox_id AND m.wamid = f.wamid
 WHERE f.inbox_id = %(inbox_id)s AND {BROUGHT}
 GROUP BY f.state, f.reason
 ORDER BY f.state, count(*) DESC, f.reason
"""

# What is missing is found between the orders that came: what follows the last is told by the progress alone.
PHASES: Final = """
SELECT p.phase, p.chunk_count, p.message_count, p.progress,
       ARRAY(SELECT n FROM generate_series(p.first_order, p.last_order) AS n
              WHERE NOT EXISTS (SELECT FROM history_chunks c
                                 WHERE c.inbox_id = %(inbox_id)s AND c.onboarded_at = %(onboarded_at)s
                                   AND c.phase = p.phase AND c.chunk_order = n)
              LIMIT %(shown)s) AS missing
  FROM (SELECT phase, count(*)::int AS chunk_count, sum(message_count)::int AS message_count,
               max(progress)::int AS progress,
               least(1, min(chunk_order) FILTER (WHERE chunk_order >= 0)) AS first_order,
               max(chunk_order) AS last_order
          FROM history_chunks WHERE inbox_id = %(inbox_id)s AND onboarded_at = %(onboarded_at)s GROUP BY phase) p
 ORDER BY p.phase
"""

NO_LIVE: Final = "NOT EXISTS (SELECT FROM messages l WHERE l.conversation_id = c.id AND NOT l.imported)"

ZEROS: Final = {
    "notifications": (
        "events",
        """SELECT e.id FROM events e JOIN messages m ON m.id = e.message_id
            WHERE e.account_id = %(account_id)s AND e.kind = 'message_added' AND m.inbox_id = %(inbox_id)s
              AND m.imported""",
    ),
    "webhooks": (
        "events",
        """SELECT e.id FROM events e JOIN messages m ON m.id = e.message_id
            WHERE e.account_id = %(account_id)s AND e.kind = 'message_added' AND m.inbox_id = %(inbox_id)s
              AND m.imported AND NOT e.payload ? 'is_import'
              AND EXISTS (SELECT FROM webhooks w WHERE w.account_id = e.account_id AND w.added_at <= e.at)""",
    ),
    "automations": (
        "messages",
        """SELECT m.id FROM outbox o JOIN messages m ON m.id = o.message_id
            WHERE o.inbox_id = %(inbox_id)s AND m.author_id IS NULL
              AND o.created_at BETWEEN %(first_at)s AND %(last_at)s""",
    ),
    "sends": (
        "outbox",
        """SELECT o.our_ref AS id FROM outbox o JOIN messages m ON m.id = o.message_id
            WHERE o.inbox_id = %(inbox_id)s AND m.imported""",
    ),
    "windows": (
        "conversations",
        """SELECT c.id FROM conversations c JOIN messages m ON m.id = c.window_message_id
            WHERE c.inbox_id = %(inbox_id)s AND m.imported""",
    ),
    "unread": (
        "conversations",
        """SELECT c.id FROM conversations c
            WHERE c.inbox_id = %(inbox_id)s AND c.unread_count > (
                  SELECT count(*) FROM messages l
                   WHERE l.conversation_id = c.id AND NOT l.imported AND l.direction = 'inbound')""",
    ),
    "waiting": (
        "conversations",
        f"""SELECT c.id FROM conversations c
             WHERE c.inbox_id = %(inbox_id)s AND c.waiting_since IS NOT NULL AND {NO_LIVE}""",
    ),
    "assigned": (
        "conversations",
        f"SELECT c.id FROM conversations c WHERE c.inbox_id = %(inbox_id)s AND c.assignee_id IS NOT NULL AND {NO_LIVE}",
    ),
}
"""What an import must never do: the table in which it would show, and the rows of it that do."""

TOLD_IN_ALL: Final = "SELECT coalesce(sum(message_count), 0)::int FROM history_chunks WHERE inbox_id = %s"

COUNT_ROWS: Final = "SELECT count(*), (array_agg(r.id::text ORDER BY r.id))[1:{shown}] FROM ({rows}) r"


async def receipt(conn: Connection, account_id: int, inbox_id: int, nth: int | None = None) -> Receipt | None:
    """Count what the import of a number did, up to now. None for a number without the phone app.

    ``nth`` is which of its onboardings, from 1; None is the last. Reads every imported message of the number.
    Raises NotFound.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    onboardings = await store.onboardings(conn, inbox_id)
    if not inbox.is_coexistence or not onboardings:
        return None
    if nth is not None and not 1 <= nth <= len(onboardings):
        raise NotFound("The number was not connected that often.")
    onboarded_at = onboardings[-1 if nth is None else nth - 1]
    contacts, history = await store.syncs(conn, inbox_id, onboarded_at)
    phases = await phases_of(conn, inbox_id, onboarded_at)
    zeros, events_since = await _zeros(conn, inbox, history)
    told = await (await conn.execute(TOLD_IN_ALL, (inbox_id,))).fetchone()
    assert told is not None
    async with conn.cursor(row_factory=class_row(Figures)) as cursor:
        await cursor.execute(FIGURES, _values(inbox))
        figures = await cursor.fetchone()
    assert figures is not None
    async with conn.cursor(row_factory=class_row(Files)) as files:
        await files.execute(FILES, _values(inbox))
        return Receipt(
            inbox_id=inbox_id,
            onboarded_at=onboarded_at,
            counted_at=clock.now(),
            onboardings=onboardings,
            contacts_sync=contacts,
            history_sync=history,
            told_count=sum(phase.message_count for phase in phases),
            told_in_all=told[0],
            figures=figures,
            files=await files.fetchall(),
            phases=phases,
            zeros=zeros,
            events_since=events_since,
        )


def _values(inbox: Inbox) -> dict[str, Any]:
    return {
        "inbox_id": inbox.id,
        "account_id": inbox.account_id,
        "placeholder": PLACEHOLDER,
        "unavailable": UNAVAILABLE,
        "content": FROM_HISTORY,
    }


async def phases_of(conn: Connection, inbox_id: int, onboarded_at: datetime) -> Sequence[PhaseReceipt]:
    """Return the phases of a history as they came with an onboarding, and which parts of them did not."""
    values = {"inbox_id": inbox_id, "onboarded_at": onboarded_at, "shown": IDS_SHOWN}
    async with conn.cursor(row_factory=class_row(PhaseReceipt)) as cursor:
        await cursor.execute(PHASES, values)
        return await cursor.fetchall()


async def _zeros(conn: Connection, inbox: Inbox, history: Sync) -> tuple[Sequence[Zero], datetime | None]:
    values = _values(inbox) | {"first_at": history.first_arrival_at, "last_at": history.last_arrival_at}
    found = []
    for name, (table, rows) in ZEROS.items():
        cursor = await conn.execute(COUNT_ROWS.format(shown=IDS_SHOWN, rows=rows), values)
        row = await cursor.fetchone()
        assert row is not None
        found.append(Zero(name, table, row[0], row[1] or ()))
    cursor = await conn.execute("SELECT at FROM events WHERE account_id = %s ORDER BY id LIMIT 1", (inbox.account_id,))
    oldest = await cursor.fetchone()
    return found, None if oldest is None else oldest[0]
