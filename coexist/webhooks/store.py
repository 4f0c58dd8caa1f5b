"""All SQL of outgoing webhooks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.coexistence.rules import CONTACTS_QUIET_MINUTES
from coexist.inbox.store import NAME
from coexist.webhooks import rules
from coexist.webhooks.body import ContactPart, ConversationRow
from coexist.webhooks.model import Attempt, Outcome, State, Telling, Turn, Webhook

LEASE_S: Final = 30
"""How long a claim lasts: what a worker claimed that died is told by another after that. A POST ends well before."""
ATTEMPTS_KEPT: Final = 25
"""Lines kept of each webhook that went well, and as many that did not."""
WAITING_COUNTED: Final = 1_000
"""Events that are not told yet are counted up to here."""

# ── people ────────────────────────────────────────────────────────────────────────────────────────────────

INSERT: Final = """
INSERT INTO webhooks (account_id, url, tells_syncs, told_to, added_by, added_at, next_at)
VALUES (%(account_id)s, %(url)s, %(tells_syncs)s, %(told_to)s, %(added_by)s, %(now)s, %(now)s)
RETURNING id
"""


async def insert(conn: Connection, account_id: int, url: str, added_by: str, *, tells_syncs: bool, told_to: int) -> int:
    """Insert a webhook that has no secret yet, and return its id."""
    values = {"account_id": account_id, "url": url, "tells_syncs": tells_syncs, "told_to": told_to}
    values |= {"added_by": added_by, "now": clock.now()}
    row = await (await conn.execute(INSERT, values)).fetchone()
    assert row is not None
    return int(row[0])


async def count(conn: Connection, account_id: int) -> int:
    """Return how many webhooks the account has; whoever else adds one waits, so that its limit holds."""
    await conn.execute("SELECT id FROM accounts WHERE id = %s FOR NO KEY UPDATE", (account_id,))
    row = await (await conn.execute("SELECT count(*) FROM webhooks WHERE account_id = %s", (account_id,))).fetchone()
    assert row is not None
    return int(row[0])


SEAL: Final = """
UPDATE webhooks SET former_secret = secret, former_until = %(former_until)s, secret = %(secret)s
 WHERE id = %(id)s AND account_id = %(account_id)s
RETURNING id
"""


async def seal_secret(
    conn: Connection, keyring: Keyring, account_id: int, webhook_id: int, secret: str, former_until: datetime | None
) -> None:
    """Keep a new secret; the one before counts until then. Raises NotFound."""
    sealed = keyring.encrypt(secret.encode(), row=row_name(webhook_id))
    values = {"id": webhook_id, "account_id": account_id, "secret": sealed, "former_until": former_until}
    _found(await (await conn.execute(SEAL, values)).fetchone())


def row_name(webhook_id: int) -> str:
    """What its secrets are sealed for."""
    return f"webhook:{webhook_id}:secret"


WEBHOOKS: Final = """
SELECT w.id, w.url, w.tells_syncs, w.state::text, w.added_by, w.added_at, w.next_at, w.failures, w.failing_since,
       w.is_test_wanted, CASE WHEN w.former_until > %(now)s THEN w.former_until END AS former_until,
       (SELECT count(*) FROM (SELECT FROM events e WHERE e.account_id = w.account_id AND e.id > w.told_to
                               LIMIT %(most)s) e) AS waiting_count,
       a.at AS last_at, a.error AS last_error
  FROM webhooks w
  LEFT JOIN LATERAL (SELECT at, error FROM webhook_attempts WHERE webhook_id = w.id AND NOT is_test
                      ORDER BY id DESC LIMIT 1) a ON true
 WHERE w.account_id = %(account_id)s AND (%(id)s::int IS NULL OR w.id = %(id)s)
 ORDER BY w.id
"""


async def webhooks(conn: Connection, account_id: int, webhook_id: int | None = None) -> Sequence[Webhook]:
    """Return the account's webhooks, oldest first, or the one of this id if it has it."""
    values = {"account_id": account_id, "id": webhook_id, "now": clock.now(), "most": WAITING_COUNTED}
    async with conn.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(WEBHOOKS, values)
        return await cursor.fetchall()


async def webhook(conn: Connection, account_id: int, webhook_id: int) -> Webhook:
    """Return one webhook of the account. Raises NotFound."""
    found = await webhooks(conn, account_id, webhook_id)
    _found(found)
    return found[0]


ATTEMPTS: Final = """
SELECT at, is_test, event_count, body_bytes, duration_ms, status, error
  FROM webhook_attempts WHERE webhook_id = %s ORDER BY id DESC
"""


async def attempts(conn: Connection, webhook_id: int) -> Sequence[Attempt]:
    """Return what is kept of a webhook's attempts, newest first."""
    async with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        await cursor.execute(ATTEMPTS, (webhook_id,))
        return await cursor.fetchall()


SET_STATE: Final = """
UPDATE webhooks SET state = %(state)s::webhook_state, failures = 0, failing_since = NULL, next_at = %(now)s
 WHERE id = %(id)s AND account_id = %(account_id)s
RETURNING id
"""


async def set_state(conn: Connection, account_id: int, webhook_id: int, state: State) -> None:
    """Pause a webhook, or let it go on at once from where it was. Raises NotFound."""
    values = {"id": webhook_id, "account_id": account_id, "state": state, "now": clock.now()}
    _found(await (await conn.execute(SET_STATE, values)).fetchone())


async def want_test(conn: Connection, account_id: int, webhook_id: int) -> None:
    """Have a worker post a test. Raises NotFound."""
    statement = "UPDATE webhooks SET is_test_wanted = true WHERE id = %s AND account_id = %s RETURNING id"
    _found(await (await conn.execute(statement, (webhook_id, account_id))).fetchone())


async def delete(conn: Connection, account_id: int, webhook_id: int) -> None:
    """Remove a webhook with its log. Raises NotFound."""
    statement = "DELETE FROM webhooks WHERE id = %s AND account_id = %s RETURNING id"
    _found(await (await conn.execute(statement, (webhook_id, account_id))).fetchone())


def _found(row: Sequence[Any] | None) -> None:
    if not row:
        raise NotFound("This webhook does not exist, or it belongs to another account.", next_step="Look at the list.")


# ── the worker ────────────────────────────────────────────────────────────────────────────────────────────

# Whoever waits longest comes first. A claim or a pause that ends later than any can was set by a clock that has jumped
# back since.
CLAIM: Final = """
WITH due AS (
    SELECT w.id FROM webhooks w
     WHERE (w.claimed_until IS NULL OR w.claimed_until NOT BETWEEN %(now)s AND %(leases_end)s)
       AND (w.is_test_wanted
            OR w.state = 'active' AND w.next_at NOT BETWEEN %(after_now)s AND %(pauses_end)s
               AND (EXISTS (SELECT FROM events e WHERE e.account_id = w.account_id AND e.id > w.told_to)
                    OR EXISTS (SELECT FROM feed_horizons h
                                WHERE h.account_id = w.account_id AND h.pruned_to > w.told_to)))
     ORDER BY w.next_at, w.id
     LIMIT %(count)s
       FOR UPDATE OF w SKIP LOCKED)
UPDATE webhooks w SET claimed_until = %(lease)s
  FROM due
 WHERE w.id = due.id
RETURNING w.id, w.account_id, w.url, w.tells_syncs, w.secret,
          CASE WHEN w.former_until > %(now)s THEN w.former_secret END AS former_secret, w.told_to, w.is_test_wanted,
          w.failures, w.failing_since, w.claimed_until
"""


async def claim(conn: Connection, count: int) -> Sequence[Turn]:
    """Take the turn of ``count`` webhooks at most that have something to tell now."""
    now = clock.now()
    lease = timedelta(seconds=LEASE_S)
    values = {
        "count": count,
        "now": now,
        "after_now": now + timedelta(microseconds=1),
        "lease": now + lease,
        "leases_end": now + 2 * lease,
        "pauses_end": now + timedelta(seconds=2 * rules.PAUSE_MAX_S),
    }
    async with conn.cursor(row_factory=class_row(Turn)) as cursor:
        await cursor.execute(CLAIM, values)
        return await cursor.fetchall()


TAKEN: Final = """
UPDATE webhooks
   SET told_to = greatest(told_to, %(told_to)s), failures = 0, failing_since = NULL, next_at = %(now)s,
       claimed_until = NULL, is_test_wanted = is_test_wanted AND NOT %(is_test)s
 WHERE id = %(id)s AND claimed_until = %(claimed_until)s
RETURNING id
"""


async def taken(conn: Connection, turn: Turn, telling: Telling) -> bool:
    """End a turn whose events were taken, or went nowhere; False when it was somebody else's by then."""
    values = {"id": turn.id, "claimed_until": turn.claimed_until, "told_to": telling.told_to, "now": clock.now()}
    cursor = await conn.execute(TAKEN, values | {"is_test": telling.is_test})
    return await cursor.fetchone() is not None


# A test that fails counts for nothing: whether the webhook fails is told by its events.
REFUSED: Final = """
UPDATE webhooks
   SET failures = failures + %(counted)s,
       failing_since = CASE WHEN %(counted)s = 1 THEN coalesce(failing_since, %(now)s) ELSE failing_since END,
       next_at = coalesce(%(next_at)s, next_at),
       state = CASE WHEN %(ends)s AND state = 'active' THEN 'disabled' ELSE state END,
       claimed_until = NULL, is_test_wanted = is_test_wanted AND %(counted)s = 1
 WHERE id = %(id)s AND claimed_until = %(claimed_until)s
RETURNING id
"""


async def refused(conn: Connection, turn: Turn, *, is_test: bool, next_at: datetime | None, ends: bool) -> bool:
    """End a turn that failed; False when it was somebody else's by then."""
    values = {"id": turn.id, "claimed_until": turn.claimed_until, "counted": 0 if is_test else 1}
    values |= {"now": clock.now(), "next_at": next_at, "ends": ends}
    return await (await conn.execute(REFUSED, values)).fetchone() is not None


LOG: Final = """
INSERT INTO webhook_attempts (webhook_id, at, is_test, event_count, first_event_id, last_event_id, body_bytes,
                              duration_ms, status, error)
VALUES (%(id)s, %(at)s, %(is_test)s, %(event_count)s, %(first)s, %(last)s, %(body_bytes)s, %(duration_ms)s, %(status)s,
        %(error)s)
"""
FORGET: Final = """
DELETE FROM webhook_attempts
 WHERE webhook_id = %(id)s AND (error IS NULL) = %(is_taken)s AND id <= (
       SELECT id FROM webhook_attempts WHERE webhook_id = %(id)s AND (error IS NULL) = %(is_taken)s
        ORDER BY id DESC OFFSET %(kept)s LIMIT 1)
"""


async def note(conn: Connection, turn: Turn, telling: Telling, outcome: Outcome, *, body_bytes: int) -> None:
    """Write an attempt into the webhook's log, and forget the oldest of its kind."""
    values = {
        "id": turn.id,
        "at": clock.now(),
        "is_test": telling.is_test,
        "event_count": len(telling.events),
        "first": min(telling.ids, default=None),
        "last": max(telling.ids, default=None),
        "body_bytes": body_bytes,
        "duration_ms": outcome.duration_ms,
        "status": outcome.status,
        "error": outcome.error,
    }
    await conn.execute(LOG, values)
    forget = {"id": turn.id, "is_taken": outcome.error is None, "kept": ATTEMPTS_KEPT}
    await conn.execute(FORGET, forget)


# ── what events are about ─────────────────────────────────────────────────────────────────────────────────

CONVERSATIONS: Final = """
SELECT c.id, c.inbox_id, c.contact_id, c.state::text, u.name AS assignee, c.unread_count, c.waiting_since,
       c.last_message_at, c.window_opened_at, c.window_refused_at
  FROM conversations c
  JOIN inboxes i ON i.id = c.inbox_id AND i.account_id = %s
  LEFT JOIN users u ON u.id = c.assignee_id
 WHERE c.id = ANY(%s)
"""


async def conversations(conn: Connection, account_id: int, ids: Collection[int | None]) -> dict[int, ConversationRow]:
    """Return those of the conversations that exist in the account, by id."""
    async with conn.cursor(row_factory=class_row(ConversationRow)) as cursor:
        await cursor.execute(CONVERSATIONS, (account_id, list(ids)))
        return {row.id: row for row in await cursor.fetchall()}


CONTACTS: Final = f"""
SELECT k.id, {NAME} AS name, k.phone, k.username,
       (SELECT value FROM identities WHERE contact_id = k.id AND kind = 'bsuid' AND NOT is_parent
         ORDER BY id DESC LIMIT 1) AS bsuid
  FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id AND s.account_id = %s
 WHERE k.id = ANY(%s)
"""


async def contacts(conn: Connection, account_id: int, ids: Collection[int]) -> dict[int, ContactPart]:
    """Return those of the contacts that exist in the account, by id."""
    async with conn.cursor(row_factory=class_row(ContactPart)) as cursor:
        await cursor.execute(CONTACTS, (account_id, list(ids)))
        return {row.id: row for row in await cursor.fetchall()}


# The address book has no end signal but silence; a history has its last part.
TOLD_BY_A_SYNC: Final = f"""
SELECT e.id FROM events e
 WHERE e.id = ANY(%s) AND EXISTS (
       SELECT FROM contacts k
         JOIN inboxes i ON i.scope_id = k.scope_id
         JOIN syncs s ON s.inbox_id = i.id
        WHERE k.id = (e.payload ->> 'contact_id')::bigint
          AND (s.state IN ('requesting', 'requested') OR s.state = 'not_requested' AND s.asked_again_at IS NOT NULL
               OR s.kind = 'contacts' AND s.state = 'receiving'
               OR e.at BETWEEN s.requested_at AND interval '{CONTACTS_QUIET_MINUTES} minutes' + CASE s.kind
                    WHEN 'contacts' THEN s.completed_at ELSE s.last_arrival_at END))
"""


async def told_by_a_sync(conn: Connection, event_ids: Collection[int]) -> set[int]:
    """Return which of these events about contacts happened while the phone's contacts or history came in.

    What the team did then is none of it: the caller leaves it out.
    """
    return {row[0] for row in await (await conn.execute(TOLD_BY_A_SYNC, (list(event_ids),))).fetchall()}


IDS_OF: Final = "SELECT contact_id, match_key FROM identities WHERE contact_id = ANY(%s)"


async def ids_of(conn: Connection, contact_ids: Collection[int]) -> list[tuple[int, str]]:
    """Return the ids (contact id, match key or BSUID) of contacts."""
    return [
        (contact_id, key) for contact_id, key in await (await conn.execute(IDS_OF, (list(contact_ids),))).fetchall()
    ]
