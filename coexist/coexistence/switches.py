"""Throwing the switches of what is taken in, and what follows: what is asked of Meta, what of its deliveries counts.

A kind that is switched off is never asked for; the one chance to ask is kept while the 24 hours last. What comes all
the same stays in the journal and can be applied again later.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Invalid
from coexist.coexistence import rules, store, words
from coexist.coexistence.model import SyncKind
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, files, inboxes, locks, summary
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import Level, Switch
from coexist.meta.model import (
    AddressBookChanged,
    Fact,
    HistoryDeclined,
    HistoryFailed,
    HistoryProgressed,
    MessageTold,
)

SWITCHED_ON: Final = "SWITCHED_ON"
SWITCHED_OFF: Final = "SWITCHED_OFF"
KEEP_OPEN_CHANGED: Final = "KEEP_OPEN_CHANGED"
KEEP_OPEN_DAYS_MAX: Final = 180
"""Meta's history reaches no further back."""
REFRESHED_COUNT: Final = 1_000
"""Conversations computed anew in one statement."""

# ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────

_CHANGE: Final = re.compile(r".*?(?:changes\[\d+\]|value)")


def wanted(facts: Sequence[Fact], known: Mapping[str, Inbox]) -> list[Fact]:
    """Leave out what names a number that is not connected, and what is switched off for its number (B11).

    ``known`` are the connected ones by phone_number_id. A change under field ``history`` or ``smb_app_state_sync`` goes
    as a whole: profiles and edits in it, too. Files are not facts of their own: ``media.wanted`` decides about them.
    """
    told = [fact for fact in facts if fact.phone_number_id is None or fact.phone_number_id in known]
    if not any(inbox.switched_off for inbox in known.values()):
        return told
    off = {change_of(fact) for fact in told if (kind := _kind_of(fact)) and _is_off(fact, kind, known)}
    return [fact for fact in told if change_of(fact) not in off]


def _kind_of(fact: Fact) -> Switch | None:
    if isinstance(fact, MessageTold):
        return Switch.HISTORY if fact.imported else None
    if isinstance(fact, HistoryProgressed | HistoryDeclined | HistoryFailed):
        return Switch.HISTORY
    return Switch.CONTACTS if isinstance(fact, AddressBookChanged) else None


def _is_off(fact: Fact, kind: Switch, known: Mapping[str, Inbox]) -> bool:
    return fact.phone_number_id is not None and not known[fact.phone_number_id].takes(kind)


def change_of(fact: Fact) -> tuple[int, str]:
    """Return the change a fact stood in: its delivery, and its part up to ``changes[n]``."""
    change = _CHANGE.match(fact.part)
    return fact.journal_id, change[0] if change else fact.part


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────

# What was to be asked for is put off while its switch is off, and taken up again when it is on. A switch of the
# installation changes with a restart, so this is looked at again and again.
RECONCILE: Final = """
WITH standing AS (
    SELECT s.inbox_id, s.kind, s.onboarded_at, i.account_id, s.onboarded_at <= %(too_old)s AS is_too_late,
           s.kind::text = ANY(%(allowed)s) AND NOT EXISTS (
               SELECT FROM switched_off o
                WHERE o.account_id = i.account_id AND (o.inbox_id IS NULL OR o.inbox_id = i.id)
                  AND o.kind::text = s.kind::text) AS is_on
      FROM syncs s JOIN inboxes i ON i.id = s.inbox_id AND i.onboarded_at = s.onboarded_at
     WHERE s.requested_at IS NULL
       AND (s.state = 'switched_off' OR s.state = 'not_requested' AND s.wanted_at IS NOT NULL)
       AND (%(account_id)s::int IS NULL OR i.account_id = %(account_id)s))
UPDATE syncs s
   SET state = CASE WHEN NOT t.is_on THEN 'switched_off' WHEN t.is_too_late THEN 'failed'
                    ELSE 'not_requested' END::sync_state,
       wanted_at = CASE WHEN t.is_on THEN %(now)s::timestamptz END,
       error_code = CASE WHEN t.is_on AND t.is_too_late THEN %(code)s::int END,
       error = CASE WHEN t.is_on AND t.is_too_late THEN %(error)s::text END,
       error_at = CASE WHEN t.is_on AND t.is_too_late THEN %(now)s::timestamptz END
  FROM standing t
 WHERE s.inbox_id = t.inbox_id AND s.kind = t.kind AND s.onboarded_at = t.onboarded_at
   AND s.requested_at IS NULL AND (s.state = 'switched_off') = t.is_on
RETURNING t.account_id, s.inbox_id, s.state = 'not_requested'
"""


async def reconcile(
    conn: Connection, installation: frozenset[Switch], account_id: int | None = None
) -> list[tuple[int, int]]:
    """Put off what is wanted and switched off, take up again what is on again, and wake whoever asks.

    Returns (account id, inbox id) of what changed; of every account unless one is named.
    """
    now = clock.now()
    values: dict[str, Any] = {
        "account_id": account_id,
        "allowed": [str(kind) for kind in installation],
        "now": now,
        "too_old": now - timedelta(hours=rules.REQUEST_HOURS),
        "code": rules.TOO_LATE,
        "error": words.TOO_LATE_WORDS,
    }
    rows = await (await conn.execute(RECONCILE, values)).fetchall()
    for inbox_id in sorted({inbox_id for _, inbox_id, is_wanted in rows if is_wanted}):
        await conn.execute("SELECT pg_notify(%s, %s)", (store.CHANNEL, str(inbox_id)))
    return sorted({(account, inbox_id) for account, inbox_id, _ in rows})


def split(inbox: Inbox, installation: frozenset[Switch]) -> tuple[list[SyncKind], list[SyncKind]]:
    """Return what may be asked for of a number, and what is switched off."""
    there = inbox.within(installation)
    on = [kind for kind in SyncKind if there.takes(Switch(kind))]
    return on, [kind for kind in SyncKind if kind not in on]


# ── throwing ──────────────────────────────────────────────────────────────────────────────────────────────

SWITCH_OFF: Final = """
INSERT INTO switched_off (account_id, inbox_id, kind, by, at)
VALUES (%(account_id)s, %(inbox_id)s, %(kind)s::switch_kind, %(by)s, %(at)s)
    ON CONFLICT (account_id, inbox_id, kind) DO NOTHING
"""

SWITCH_ON: Final = """
DELETE FROM switched_off
 WHERE account_id = %(account_id)s AND inbox_id IS NOT DISTINCT FROM %(inbox_id)s AND kind = %(kind)s::switch_kind
"""


async def throw(
    conn: Connection,
    by: str,
    account_id: int,
    inbox_id: int | None,
    switch: Switch,
    *,
    is_on: bool,
    installation: frozenset[Switch],
) -> bool:
    """Throw a switch of a number, or (``inbox_id`` None) of the account; False when it stood so already.

    ``by`` is shown to people. What is on at every level from now on and was put off is asked for, while the 24 hours
    last; files that were left out are tried again. Each number's timeline has a line of it. Needs a transaction by the
    caller; appends the events last. Raises NotFound for another account's number.
    """
    concerned = await _concerned(conn, account_id, inbox_id)
    values = {"account_id": account_id, "inbox_id": inbox_id, "kind": switch, "by": by, "at": clock.now()}
    thrown = await conn.execute(SWITCH_ON if is_on else SWITCH_OFF, values)
    if not thrown.rowcount:
        return False
    level = Level.ACCOUNT if inbox_id is None else Level.INBOX
    told = {"kind": switch, "level": level, "by": by}
    await _record(conn, concerned, SWITCHED_ON if is_on else SWITCHED_OFF, told)
    if is_on and switch is Switch.MEDIA:
        await files.want_again(conn, concerned)
    moved = await reconcile(conn, installation, account_id)
    changed = [NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id=id_) for id_ in concerned]
    await feed.append(conn, [*changed, *(NewEvent(one, Kind.SYNC_PROGRESSED, inbox_id=id_) for one, id_ in moved)])
    return True


async def keep_open(conn: Connection, by: str, account_id: int, inbox_id: int | None, days: int) -> bool:
    """Choose how far back conversations of an import stay open; False when it was so already.

    Days before the number was connected in which a customer had the last word. For a number at once, for the account
    (``inbox_id`` None) for numbers that are connected from now on. Raises Invalid. Needs a transaction by the caller.
    """
    if not 0 <= days <= KEEP_OPEN_DAYS_MAX:
        raise Invalid(f"Conversations can stay open for 0 to {KEEP_OPEN_DAYS_MAX} days back.")
    if inbox_id is None:
        changed = await conn.execute(
            "UPDATE accounts SET keep_open_days = %s WHERE id = %s AND keep_open_days <> %s", (days, account_id, days)
        )
        return changed.rowcount > 0
    inbox = await inboxes.get(conn, account_id, inbox_id)
    if inbox.keep_open_days == days:
        return False
    await locks.own_apply(conn, inbox.scope_id)
    await conn.execute("UPDATE inboxes SET keep_open_days = %s WHERE id = %s", (days, inbox_id))
    await _record(conn, [inbox_id], KEEP_OPEN_CHANGED, {"days": days, "before": inbox.keep_open_days, "by": by})
    await _reopen(conn, inbox, sorted((days, inbox.keep_open_days)))
    events = [NewEvent(account_id, kind, inbox_id=inbox_id) for kind in (Kind.INBOX_CHANGED, Kind.SYNC_PROGRESSED)]
    await feed.append(conn, events)
    return True


BETWEEN: Final = """
SELECT id FROM conversations
 WHERE inbox_id = %(inbox_id)s AND last_message_at >= %(since)s AND last_message_at < %(until)s
 ORDER BY id
"""


async def _reopen(conn: Connection, inbox: Inbox, days: Sequence[int]) -> None:
    """Compute those anew whose last message lies between the two limits: nobody else's state can change."""
    until, since = (inbox.onboarded_at - timedelta(days=each) for each in days)
    cursor = await conn.execute(BETWEEN, {"inbox_id": inbox.id, "since": since, "until": until})
    ids = [int(row[0]) for row in await cursor.fetchall()]
    for start in range(0, len(ids), REFRESHED_COUNT):
        await summary.refresh(conn, ids[start : start + REFRESHED_COUNT])


async def _concerned(conn: Connection, account_id: int, inbox_id: int | None) -> list[int]:
    if inbox_id is not None:
        return [(await inboxes.get(conn, account_id, inbox_id)).id]
    return [inbox.id for inbox in await inboxes.of_account(conn, account_id)]


async def _record(conn: Connection, inbox_ids: Collection[int], event: str, told: Mapping[str, Any]) -> None:
    now = clock.now()
    await connection.record(conn, [Line(id_, now, connection.OURS, event, told) for id_ in inbox_ids])
