"""All SQL of connecting a number and of its one-shot sync."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.coexistence import rules, words
from coexist.coexistence.model import (
    Existing,
    Phase,
    Request,
    Sync,
    SyncKind,
)
from coexist.inbox.pauses import ACCOUNT_GOES_ON

CHANNEL: Final = "coexist_syncs"
"""PostgreSQL's notification channel for "somebody wants a sync"; the payload is the inbox's id."""

# ── connecting ────────────────────────────────────────────────────────────────────────────────────────────


async def scope_of(conn: Connection, phone_number_id: str) -> int | None:
    """Return the contact scope of a connected number."""
    cursor = await conn.execute("SELECT scope_id FROM inboxes WHERE phone_number_id = %s", (phone_number_id,))
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def conversations(conn: Connection, inbox_id: int) -> list[int]:
    """Return the ids of all conversations of an inbox, in order."""
    cursor = await conn.execute("SELECT id FROM conversations WHERE inbox_id = %s ORDER BY id", (inbox_id,))
    return [int(row[0]) for row in await cursor.fetchall()]


FIND_NUMBER: Final = """
SELECT id, account_id, waba_id, is_coexistence, onboarded_at, state::text, state_at
  FROM inboxes WHERE phone_number_id = %s FOR NO KEY UPDATE
"""


async def find_number(conn: Connection, phone_number_id: str) -> Existing | None:
    """Return, and lock, what is known of a number that is connected in any account."""
    async with conn.cursor(row_factory=class_row(Existing)) as cursor:
        await cursor.execute(FIND_NUMBER, (phone_number_id,))
        return await cursor.fetchone()


PUT_SCOPE: Final = """
INSERT INTO contact_scopes (account_id, portfolio_id) VALUES (%s, %s)
    ON CONFLICT (account_id, portfolio_id) DO UPDATE SET portfolio_id = EXCLUDED.portfolio_id
RETURNING id
"""


async def put_scope(conn: Connection, account_id: int, portfolio_id: str) -> int:
    """Return the id of the account's contact scope for a portfolio, made if it is new."""
    cursor = await conn.execute(PUT_SCOPE, (account_id, portfolio_id))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


INSERT_INBOX: Final = """
INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number,
                     is_coexistence, onboarded_at, state_at, journal_from, owned_from, keep_open_days)
VALUES (%(account_id)s, %(scope_id)s, %(name)s, %(waba_id)s, %(phone_number_id)s, %(display_phone_number)s,
        %(is_coexistence)s, %(onboarded_at)s, %(onboarded_at)s, %(journal_from)s, %(owned_from)s,
        (SELECT keep_open_days FROM accounts WHERE id = %(account_id)s))
    ON CONFLICT (phone_number_id) DO NOTHING
RETURNING id
"""


async def insert_inbox(conn: Connection, values: Mapping[str, Any]) -> int | None:
    """Insert an inbox and return its id; None when somebody connected the number a moment ago."""
    cursor = await conn.execute(INSERT_INBOX, values)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


UPDATE_INBOX: Final = """
UPDATE inboxes
   SET waba_id = %(waba_id)s, display_phone_number = %(display_phone_number)s,
       is_coexistence = %(is_coexistence)s, onboarded_at = %(onboarded_at)s, name = coalesce(%(name)s, name)
 WHERE id = %(id)s
"""


async def update_inbox(conn: Connection, values: Mapping[str, Any]) -> None:
    """Bring an inbox up to date with a connection that was authorised again."""
    await conn.execute(UPDATE_INBOX, values)


PUT_SYNCS: Final = """
INSERT INTO syncs (inbox_id, kind, onboarded_at)
SELECT %(inbox_id)s, kind, %(onboarded_at)s FROM unnest(enum_range(NULL::sync_kind)) AS kind
    ON CONFLICT (inbox_id, kind, onboarded_at) DO NOTHING
"""


async def put_syncs(conn: Connection, inbox_id: int, onboarded_at: datetime) -> None:
    """Give an onboarding its right to ask, once for each kind."""
    await conn.execute(PUT_SYNCS, {"inbox_id": inbox_id, "onboarded_at": onboarded_at})


# unrouted and backlog are the intake's tables: only connecting a number can know that its time has come (A6).
REQUEUE_UNROUTED: Final = """
WITH routed AS (DELETE FROM unrouted WHERE phone_number_id = ANY(%s) RETURNING journal_id)
INSERT INTO backlog (lane, journal_id) SELECT DISTINCT 1, journal_id FROM routed ON CONFLICT DO NOTHING
"""


async def requeue_unrouted(conn: Connection, names: Collection[str]) -> int:
    """Have deliveries applied that came before their number was connected; return how many."""
    cursor = await conn.execute(REQUEUE_UNROUTED, (list(names),))
    return cursor.rowcount


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────

SYNCS: Final = """
SELECT s.inbox_id, s.kind::text, s.onboarded_at, s.state::text, s.wanted_at, s.requested_at, s.request_id,
       s.refusals, s.first_arrival_at, s.last_arrival_at, s.completed_at, s.declined_at,
       s.error_code, s.error, s.error_at
  FROM syncs s JOIN inboxes i ON i.id = s.inbox_id
 WHERE s.inbox_id = %s AND s.onboarded_at = coalesce(%s, i.onboarded_at)
 ORDER BY s.kind
"""


async def syncs(conn: Connection, inbox_id: int, onboarded_at: datetime | None = None) -> Sequence[Sync]:
    """Return the two syncs of an onboarding of the inbox, of the present one unless told, contacts first."""
    async with conn.cursor(row_factory=class_row(Sync)) as cursor:
        await cursor.execute(SYNCS, (inbox_id, onboarded_at))
        return await cursor.fetchall()


ONBOARDINGS: Final = "SELECT DISTINCT onboarded_at FROM syncs WHERE inbox_id = %s ORDER BY 1"


async def onboardings(conn: Connection, inbox_id: int) -> list[datetime]:
    """Return when the inbox's number was connected together with its phone app, every time of it, oldest first."""
    return [row[0] for row in await (await conn.execute(ONBOARDINGS, (inbox_id,))).fetchall()]


MARK: Final = """
UPDATE syncs SET state = %(state)s::sync_state, wanted_at = %(wanted_at)s, error_code = %(code)s,
                 error = %(error)s, error_at = %(error_at)s
 WHERE inbox_id = %(inbox_id)s AND onboarded_at = %(onboarded_at)s AND kind::text = ANY(%(kinds)s)
   AND requested_at IS NULL AND state IN ('not_requested', 'switched_off') AND refusals < %(refusals)s
"""


async def want(conn: Connection, inbox_id: int, onboarded_at: datetime, kinds: Collection[SyncKind]) -> int:
    """Mark what has never been asked for as wanted, and wake whoever asks; return how many syncs."""
    wanted = await conn.execute(MARK, _mark(inbox_id, onboarded_at, kinds, "not_requested", wanted_at=clock.now()))
    await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(inbox_id)))  # something may be wanted since before
    return wanted.rowcount


# Never what Meta may have taken up: that has the time at which it was asked for.
WANT_REFUSED: Final = """
UPDATE syncs SET state = 'not_requested', wanted_at = %(now)s
 WHERE inbox_id = %(inbox_id)s AND onboarded_at = %(onboarded_at)s AND kind::text = ANY(%(kinds)s)
   AND requested_at IS NULL AND state = 'failed' AND refusals BETWEEN %(failed)s AND %(all)s - 1
   AND onboarded_at > %(too_old)s
"""


async def want_refused(conn: Connection, inbox_id: int, onboarded_at: datetime, kinds: Collection[SyncKind]) -> int:
    """Mark as wanted what failed for Meta's refusals, as a person wishes who has mended that; return how many syncs."""
    now = clock.now()
    values = {"inbox_id": inbox_id, "onboarded_at": onboarded_at, "kinds": [str(kind) for kind in kinds], "now": now}
    values |= {"failed": rules.REFUSALS_MAX, "all": rules.REFUSALS_IN_ALL}
    values["too_old"] = now - timedelta(hours=rules.REQUEST_HOURS)
    return (await conn.execute(WANT_REFUSED, values)).rowcount


async def switch_off(conn: Connection, inbox_id: int, onboarded_at: datetime, kinds: Collection[SyncKind]) -> None:
    """Note that a switch kept us from asking. Switched on again, it can still be asked for."""
    await conn.execute(MARK, _mark(inbox_id, onboarded_at, kinds, "switched_off"))


async def give_up(
    conn: Connection, inbox_id: int, onboarded_at: datetime, kinds: Collection[SyncKind], code: int, error: str
) -> None:
    """Note that it is no use to ask any more, and why."""
    await conn.execute(MARK, _mark(inbox_id, onboarded_at, kinds, "failed", code=code, error=error))


def _mark(
    inbox_id: int,
    onboarded_at: datetime,
    kinds: Collection[SyncKind],
    state: str,
    *,
    wanted_at: datetime | None = None,
    code: int | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "inbox_id": inbox_id,
        "onboarded_at": onboarded_at,
        "kinds": [str(kind) for kind in kinds],
        "state": state,
        "wanted_at": wanted_at,
        "code": code,
        "error": error,
        "error_at": clock.now() if error else None,
        "refusals": rules.REFUSALS_MAX,
    }


WANTED: Final = """
SELECT DISTINCT s.inbox_id
  FROM syncs s JOIN inboxes i ON i.id = s.inbox_id AND i.onboarded_at = s.onboarded_at
 WHERE s.wanted_at IS NOT NULL AND s.requested_at IS NULL AND s.state = 'not_requested'
   AND i.state = 'connected'
"""


async def wanted_inboxes(conn: Connection) -> list[int]:
    """Return the inboxes with a sync that is wanted and was never asked for."""
    cursor = await conn.execute(WANTED)
    return [int(row[0]) for row in await cursor.fetchall()]


# The one guard of the one chance (B3): who turns requested_at from null may call Meta, and nobody else ever.
# Only after a look that found all in order (A1), and not while Meta wants to be asked nothing.
# The history waits until Meta has taken up the contacts, or until that answer was lost (B1); not until it is too late.
CLAIM: Final = f"""
UPDATE syncs s
   SET state = 'requesting', requested_at = %(now)s, error_code = NULL, error = NULL, error_at = NULL
  FROM inboxes i
 WHERE s.inbox_id = %(inbox_id)s AND s.kind = %(kind)s::sync_kind
   AND i.id = s.inbox_id AND i.onboarded_at = s.onboarded_at
   AND s.wanted_at IS NOT NULL AND s.requested_at IS NULL AND s.state = 'not_requested'
   AND i.is_coexistence AND i.state = 'connected'
   AND NOT EXISTS (SELECT FROM switched_off o WHERE o.account_id = i.account_id AND o.kind::text = %(kind)s::text
                                                AND (o.inbox_id IS NULL OR o.inbox_id = i.id))
   AND i.onboarded_at > %(too_old)s AND {ACCOUNT_GOES_ON}
   AND EXISTS (SELECT FROM preflights p
                WHERE p.inbox_id = i.id AND p.onboarded_at = i.onboarded_at AND p.passed_until > %(now)s)
   AND (s.kind = 'contacts' OR EXISTS (
       SELECT FROM syncs c
        WHERE c.inbox_id = s.inbox_id AND c.kind = 'contacts' AND c.onboarded_at = s.onboarded_at
          AND (c.state <> 'not_requested' AND (c.state <> 'requesting' OR c.requested_at < %(lost)s)
               OR c.refusals > 0 AND i.onboarded_at < %(short)s)))
RETURNING s.inbox_id, i.account_id, s.kind::text, s.onboarded_at, s.requested_at, i.phone_number_id
"""


async def claim(conn: Connection, inbox_id: int, kind: SyncKind) -> Request | None:
    """Take the one right to ask for a sync: once this is committed, Meta may be called. None: it may not."""
    now = clock.now()
    values = {
        "inbox_id": inbox_id,
        "kind": kind,
        "now": now,
        "too_old": now - timedelta(hours=rules.REQUEST_HOURS),
        "short": now - timedelta(hours=rules.REQUEST_HOURS - rules.ALONE_HOURS),
        "lost": now - timedelta(minutes=rules.CALL_MINUTES),
    }
    async with conn.cursor(row_factory=class_row(Request)) as cursor:
        await cursor.execute(CLAIM, values)
        return await cursor.fetchone()


# What arrived meanwhile has moved the state on already; then only the request's own columns are written.
SETTLE: Final = """
UPDATE syncs
   SET request_id = coalesce(%(request_id)s, request_id),
       answered_at = CASE WHEN %(state)s <> 'requesting' THEN %(now)s ELSE answered_at END,
       state = CASE WHEN state = 'requesting' THEN %(state)s::sync_state ELSE state END,
       error_code = coalesce(%(code)s, error_code), error = coalesce(%(error)s, error),
       error_at = coalesce(%(error_at)s, error_at)
 WHERE inbox_id = %(inbox_id)s AND kind = %(kind)s::sync_kind AND onboarded_at = %(onboarded_at)s
   AND requested_at = %(requested_at)s
"""


async def settle(
    conn: Connection,
    request: Request,
    state: str,
    *,
    request_id: str | None = None,
    code: int | None = None,
    error: str | None = None,
) -> None:
    """Write down Meta's answer to a request."""
    answer = {"state": state, "request_id": request_id, "code": code, "error": error}
    now = clock.now()
    await conn.execute(SETTLE, {**_key(request), **answer, "now": now, "error_at": now if error else None})


GIVE_BACK: Final = """
UPDATE syncs
   SET requested_at = NULL, wanted_at = CASE WHEN %(stays)s THEN wanted_at END, refusals = refusals + %(counted)s,
       put_off = put_off + %(put_off)s, error_code = %(code)s, error = %(error)s, error_at = %(error_at)s,
       state = CASE WHEN %(counted)s > 0 AND refusals + %(counted)s >= %(refusals)s THEN 'failed'
                    ELSE 'not_requested' END::sync_state
 WHERE inbox_id = %(inbox_id)s AND kind = %(kind)s::sync_kind AND onboarded_at = %(onboarded_at)s
   AND requested_at = %(requested_at)s AND state = 'requesting'
"""


async def give_back(conn: Connection, request: Request, code: int | None, error: str) -> None:
    """Give the right back after an answer that proves the request was not accepted; ``code`` None: it reached nobody.

    One that says nothing of the request never ends it: it stays wanted, and is asked for when the way is free.
    """
    values = {
        "counted": int(not rules.passes(code)),
        "put_off": int(code is not None and rules.passes(code)),
        "stays": rules.passes(code),
        "code": code,
        "error": error,
        "error_at": clock.now(),
        "refusals": rules.REFUSALS_MAX,
    }
    await conn.execute(GIVE_BACK, {**_key(request), **values})


def _key(request: Request) -> dict[str, Any]:
    return {
        "inbox_id": request.inbox_id,
        "kind": request.kind,
        "onboarded_at": request.onboarded_at,
        "requested_at": request.requested_at,
    }


# What time alone decides. A request that was lost in a crash counts like one that Meta took.
SWEEP: Final = """
UPDATE syncs s
   SET state = CASE WHEN s.state = 'receiving' THEN 'completed'
                    WHEN s.state = 'not_requested' AND s.asked_again_at IS NULL THEN 'failed'
                    ELSE 'nothing_arrived' END::sync_state,
       completed_at = CASE WHEN s.state = 'receiving' THEN s.last_arrival_at END,
       error_code = CASE WHEN s.state = 'not_requested' THEN %(too_late)s ELSE s.error_code END,
       error = CASE WHEN s.state = 'not_requested' THEN %(too_late_words)s ELSE s.error END,
       error_at = CASE WHEN s.state = 'not_requested' THEN %(now)s ELSE s.error_at END
  FROM inboxes i
 WHERE i.id = s.inbox_id
   AND (s.state IN ('requesting', 'requested') AND s.requested_at < %(silent)s
     OR s.state = 'receiving' AND s.kind = 'contacts' AND s.last_arrival_at < %(quiet)s
     OR s.state = 'not_requested' AND s.onboarded_at <= %(too_old)s
        AND (s.wanted_at IS NOT NULL
             OR EXISTS (SELECT FROM preflights p
                         WHERE p.inbox_id = s.inbox_id AND p.onboarded_at = s.onboarded_at AND p.is_waiting)))
RETURNING i.account_id, i.id
"""


async def sweep(conn: Connection) -> list[tuple[int, int]]:
    """Move on what silence or the 24 hours have decided; return (account id, inbox id) of what changed."""
    now = clock.now()
    values = {
        "now": now,
        "silent": now - timedelta(hours=rules.SILENCE_HOURS),
        "quiet": now - timedelta(minutes=rules.CONTACTS_QUIET_MINUTES),
        "too_old": now - timedelta(hours=rules.REQUEST_HOURS),
        "too_late": rules.TOO_LATE,
        "too_late_words": words.TOO_LATE_WORDS,
    }
    cursor = await conn.execute(SWEEP, values)
    return sorted({(int(account_id), int(inbox_id)) for account_id, inbox_id in await cursor.fetchall()})


# ── the panel ─────────────────────────────────────────────────────────────────────────────────────────────

PHASES: Final = """
SELECT c.phase, max(c.progress) AS progress, count(*)::int AS chunk_count,
       sum(c.thread_count)::int AS thread_count, sum(c.message_count)::int AS message_count
  FROM history_chunks c JOIN inboxes i ON i.id = c.inbox_id AND i.onboarded_at = c.onboarded_at
 WHERE c.inbox_id = %s
 GROUP BY c.phase ORDER BY c.phase
"""


async def phases(conn: Connection, inbox_id: int) -> Sequence[Phase]:
    """Return the phases of the present onboarding's history that have come, in order."""
    async with conn.cursor(row_factory=class_row(Phase)) as cursor:
        await cursor.execute(PHASES, (inbox_id,))
        return await cursor.fetchall()
