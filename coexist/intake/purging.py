"""Removing what is here of private numbers, in the background: from the tables, then from the journal.

What is to be removed stands in the list with how far the journal has been searched, so whoever dies on the way leaves
it to the next. Several workers take different numbers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import AppError
from coexist.events import feed
from coexist.inbox import inboxes, private, private_lists, purge
from coexist.inbox.purge import Slice
from coexist.intake.private import rewrite, searched
from coexist.meta.private import IsPrivate, names

log = structlog.get_logger(__name__)

POLL_S: Final = 5.0
"""How late a lost notification is noticed, and how long to wait for what must end by itself."""
WINDOW_ROWS: Final = 200
WINDOW_BYTES: Final = 4 * 1024 * 1024
"""Deliveries searched in one transaction at most, unless one alone is larger: unfolded, eight times that."""

MAX_ID: Final = 2**63 - 1

PERSONAL_FIELDS: Final = (
    "messages", "history", "smb_message_echoes", "message_echoes", "user_preferences", "calls",
    "group_lifecycle_update", "group_participants_update", "group_settings_update", "group_status_update",
)  # fmt: skip
"""Fields of which a timeline's line can tell of a person."""

TOUCHED: Final = (
    "messages", "conversations", "contacts", "identities", "identity_sightings", "identity_changes",
    "address_book_entries", "message_changes", "message_statuses", "media", "outbox", "drafts", "inbox_timeline",
    "exported_chats", "exported_messages", "quarantine", "quarantine_settled", "journal",
)  # fmt: skip
"""Tables of which a purge removes or rewrites rows."""


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to be removed of one number, and how far that is."""

    id: int
    account_id: int
    purge_to: int
    purged_to: int
    rest_place: int
    rest_after: int


async def run(pool: Pool, keyring: Keyring, *, wake: asyncio.Event) -> None:
    """Remove what is wanted gone for ever. ``wake`` is set when there may be something."""
    while True:
        wake.clear()
        try:
            while await step(pool, keyring):
                pass
        except (AppError, psycopg.Error) as error:
            log.error("private_numbers_not_purged", error_type=type(error).__name__, error=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await wake.wait()


BEGIN: Final = (
    """
UPDATE private_numbers n
   SET purge_to = (SELECT coalesce(max(id), 0) FROM journal), purged_to = 0, rest_place = 0, rest_after = 0
 WHERE purge_to IS NULL AND EXISTS (SELECT FROM private_ids i WHERE i.number_id = n.id AND i.is_purge_wanted)
""",
    """
UPDATE private_ids i SET is_purging = true, is_purge_wanted = false
  FROM private_numbers n
 WHERE n.id = i.number_id AND n.purge_to IS NOT NULL AND n.purged_to = 0 AND i.is_purge_wanted
""",
)

NEXT: Final = """
SELECT id, account_id, purge_to, purged_to, rest_place, rest_after FROM private_numbers
 WHERE purge_to IS NOT NULL ORDER BY id LIMIT 1
   FOR NO KEY UPDATE SKIP LOCKED
"""

REMOVED: Final = """
UPDATE private_numbers SET purged_messages = purged_messages + %s, purged_parts = purged_parts + %s,
       purged_to = greatest(purged_to, %s)
 WHERE id = %s
"""

DONE: Final = (
    "UPDATE private_numbers SET purged_at = %(now)s, purge_to = NULL, purged_to = 0 WHERE id = %(id)s",
    "UPDATE private_ids SET is_purging = false WHERE number_id = %(id)s",
)


async def step(pool: Pool, keyring: Keyring) -> bool:
    """Remove one slice of one number; False when there is nothing, or nothing now, to remove."""
    await _begin(pool)
    async with transaction(pool) as conn:
        async with conn.cursor(row_factory=class_row(Purge)) as cursor:
            await cursor.execute(NEXT)
            wanted = await cursor.fetchone()
        if wanted is None:
            return False
        ids = await private.ids_of(conn, keyring, wanted.account_id, wanted.id, are_purging=True)
        await _learn_beside(conn, keyring, wanted.account_id, ids)
        removed = await purge.purge_some(conn, wanted.account_id, ids)
        await conn.execute(REMOVED, (removed.message_count, 0, 0, wanted.id))
        is_ended = False
        # Not with the locks that a slice has taken: whoever applies locks a delivery first, and then waits for those.
        if not removed.is_left and not removed.events:
            found = await _search_window(conn, keyring, wanted, frozenset(ids))
            is_ended = found is None
            removed.message_count = found.message_count if found else 0
            removed.events += found.events if found else []
        if is_ended:
            rest, is_ended = await _forget_some_of_the_rest(conn, wanted, frozenset(ids).__contains__)
            await conn.execute(REMOVED, (rest.message_count, 0, 0, wanted.id))
            removed.message_count, removed.is_left = removed.message_count + rest.message_count, rest.is_left
            removed.events += rest.events
        if is_ended:
            for statement in DONE:
                await conn.execute(statement, {"now": clock.now(), "id": wanted.id})
        await feed.append(conn, removed.events)
    if is_ended:
        log.info("private_number_purged", private_number_id=wanted.id)
        await vacuum(pool)
    return is_ended or not removed.is_left or removed.message_count > 0


BESIDE: Final = """
SELECT DISTINCT p.match_key, b.value
  FROM identities p JOIN contact_scopes c ON c.id = p.scope_id
  JOIN identities b ON b.contact_id = p.contact_id AND b.kind = 'bsuid'
 WHERE c.account_id = %s AND p.match_key = ANY(%s) AND NOT p.is_contested
"""


async def _learn_beside(conn: Connection, keyring: Keyring, account_id: int, ids: Collection[str]) -> None:
    """Take the BSUIDs of whoever is about to be forgotten into the list: no delivery may tell of them any more."""
    rows = await (await conn.execute(BESIDE, (account_id, list(ids)))).fetchall()
    await private_lists.learn(conn, keyring, [(account_id, known, value) for known, value in rows if value not in ids])


async def _begin(pool: Pool) -> None:
    """Begin with what is newly wanted, once nobody applies deliveries any more with a list from before."""
    async with transaction(pool) as conn:
        waiting = await conn.execute(
            "SELECT FROM private_numbers n WHERE n.purge_to IS NULL AND EXISTS"
            " (SELECT FROM private_ids i WHERE i.number_id = n.id AND i.is_purge_wanted) LIMIT 1"
        )
        if waiting.rowcount:
            await private.wait_for_older_lists(conn)
            for statement in BEGIN:
                await conn.execute(statement)


# Under locks: whoever applies a delivery may be taking somebody else out of it, and what was written last would stay.
WINDOW: Final = """
WITH sized AS (
    SELECT id, body, sum(octet_length(body)) OVER (ORDER BY id) AS bytes_so_far, row_number() OVER (ORDER BY id) AS n
      FROM (SELECT id, body FROM journal WHERE id > %(after)s AND id <= %(to)s ORDER BY id LIMIT %(rows)s
               FOR NO KEY UPDATE) AS j)
SELECT id, body FROM sized WHERE n = 1 OR bytes_so_far <= %(bytes)s ORDER BY id
"""

# A number that went to another account: what came before is in the journal under Meta's own id of it.
MOVED: Final = """
SELECT moved_number, id, journal_from, moved_to, moved_waba FROM inboxes
 WHERE account_id = %s AND moved_number IS NOT NULL
"""

# The places of what could not be applied are counted anew when the delivery is tried again.
RETRY: Final = """
INSERT INTO backlog (lane, journal_id) SELECT DISTINCT 1, journal_id FROM quarantine WHERE journal_id = ANY(%s)
    ON CONFLICT DO NOTHING
"""


async def _search_window(conn: Connection, keyring: Keyring, wanted: Purge, ids: Collection[str]) -> Slice | None:
    """Take the person out of the next deliveries of the journal, and return what went with that; None at its end."""
    mine = await inboxes.of_account(conn, wanted.account_id)
    own = [(inbox.phone_number_id, inbox.id, range(inbox.journal_from + 1, MAX_ID)) for inbox in mine]
    wabas = {inbox.waba_id for inbox in mine}
    for number, inbox_id, first, last, waba_id in await (await conn.execute(MOVED, (wanted.account_id,))).fetchall():
        own.append((number, inbox_id, range(first + 1, last + 1)))
        wabas.add(waba_id)
    values = {"after": wanted.purged_to, "to": wanted.purge_to, "rows": WINDOW_ROWS, "bytes": WINDOW_BYTES}
    rows = await (await conn.execute(WINDOW, values)).fetchall()
    if not rows:
        return None
    rewritten: list[int] = []
    named: dict[int, set[str]] = defaultdict(set)
    parts = 0
    for journal_id, body in rows:
        here = {number: inbox_id for number, inbox_id, theirs in own if journal_id in theirs}
        found, stored = await searched(keyring, body, dict.fromkeys([*here, *wabas], ids.__contains__).get)
        if stored is None:
            continue
        await rewrite(conn, journal_id, stored)
        learned = [(wanted.account_id, known, key) for _, known, key in found.learned]
        await private_lists.learn(conn, keyring, learned)
        rewritten.append(journal_id)
        parts += found.removed_count
        for number, wamid in found.wamids:
            named[here[number]].add(wamid)
    removed = await purge.purge_messages(conn, wanted.account_id, {inbox.scope_id for inbox in mine}, named)
    await conn.execute(RETRY, (rewritten,))
    await conn.execute(REMOVED, (removed.message_count, parts, rows[-1][0], wanted.id))
    return removed


REST: Final = "UPDATE private_numbers SET rest_place = %s, rest_after = %s WHERE id = %s"


async def _forget_some_of_the_rest(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, bool]:
    """Remove some of what hangs on no contact of theirs, and may be in no delivery any more; whether that was all.

    Exported chats that never came to a conversation; lines of the timeline; and messages of others, drafts and notes
    that show them. What comes meanwhile is searched before it is applied, and what is written before it is kept, so
    nothing of theirs appears where this has been.
    """
    removed, after = await REST_PLACES[wanted.rest_place](conn, wanted, is_theirs)
    place = (wanted.rest_place, after) if after is not None else (wanted.rest_place + 1, 0)
    await conn.execute(REST, (*place, wanted.id))
    return removed, place[0] == len(REST_PLACES)


async def _forget_exported(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, int | None]:
    chats = await purge.exported_chats_of(conn, wanted.account_id, wanted.rest_after)
    await purge.forget_exported_chats(conn, [id_ for id_, choices in chats if names(choices, is_theirs)])
    return Slice(), chats[-1][0] if chats else None


async def _forget_lines(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, int | None]:
    lines = await purge.lines_of(conn, wanted.account_id, PERSONAL_FIELDS, wanted.rest_after)
    await purge.forget_lines(conn, [id_ for id_, value in lines if names(value, is_theirs)])
    return Slice(), lines[-1][0] if lines else None


async def _forget_shown(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, int | None]:
    mine = await inboxes.of_account(conn, wanted.account_id)
    found, after = await purge.shown_in(conn, [inbox.id for inbox in mine], wanted.rest_after)
    shown: dict[int, set[str]] = defaultdict(set)
    unnamed: set[int] = set()
    for id_, inbox_id, wamid, told in found:
        if not names(told, is_theirs):
            continue
        if wamid is None:
            unnamed.add(id_)
        else:
            shown[inbox_id].add(wamid)
    scopes = {inbox.scope_id for inbox in mine}
    removed = await purge.purge_messages(conn, wanted.account_id, scopes, shown, unnamed)
    return removed, wanted.rest_after if removed.is_left else after


async def _forget_drafts(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, int | None]:
    drafts = await purge.drafts_of(conn, wanted.account_id)
    await purge.forget_drafts(conn, [draft for draft in drafts if names(draft[2], is_theirs)])
    return Slice(), None


async def _forget_notes(conn: Connection, wanted: Purge, is_theirs: IsPrivate) -> tuple[Slice, int | None]:
    notes = await purge.notes_of(conn, wanted.account_id, wanted.rest_after)
    scopes = {inbox.scope_id for inbox in await inboxes.of_account(conn, wanted.account_id)}
    found = [(id_, note) for id_, note in notes if names(note, is_theirs)]
    return await purge.forget_notes(conn, wanted.account_id, scopes, found), notes[-1][0] if notes else None


REST_PLACES: Final = (_forget_exported, _forget_lines, _forget_shown, _forget_drafts, _forget_notes)


async def vacuum(pool: Pool, *, is_full: bool = False) -> None:
    """Give the room of removed rows back for use; with ``is_full`` write the tables anew, which locks each meanwhile.

    Only the latter takes the bytes themselves off the tables' files at once: see docs/privacy.md.
    """
    async with pool.connection() as conn:
        await conn.execute("SET statement_timeout = 0")
        try:
            for table in TOUCHED:
                await conn.execute(f"VACUUM ({'FULL, ' if is_full else ''}ANALYZE) {table}".encode())
            if is_full:  # samples of the tables' values
                await conn.execute("VACUUM (FULL) pg_catalog.pg_statistic")
        finally:
            await conn.execute("RESET statement_timeout")
