"""Connecting a number, and asking for its one-shot sync."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, Invalid
from coexist.coexistence import moves, rules, store, switches, words
from coexist.coexistence.model import Existing
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, credentials, inboxes, summary
from coexist.inbox.connection import Line, State
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import EVERYTHING, Switch
from coexist.meta.phones import digits, pretty

CLOCK_SKEW: Final = timedelta(minutes=5)
NAME_CHARS: Final = 100
REFRESHED_COUNT: Final = 1_000
"""Conversations computed anew in one statement: an inbox may have more than the statement timeout allows for."""
DISPLAY_DIGITS: Final = range(5, 16)  # E.164 allows 15; short codes are no WhatsApp numbers


async def connect(
    conn: Connection,
    keyring: Keyring,
    *,
    account_id: int,
    waba_id: str,
    phone_number_id: str,
    display_phone_number: str,
    token: str,
    is_coexistence: bool,
    onboarded_at: datetime | None = None,
    name: str | None = None,
    portfolio_id: str | None = None,
    by: str | None = None,
) -> Inbox:
    """Connect a business phone number, or authorise a connected one again, and return its inbox.

    The same number in the same account stays the same inbox and takes the new token. A later ``onboarded_at``
    gives it a new right to sync; None keeps the one it has, or means now. The timeline tells that it was done ``by``
    somebody. Nothing is asked of Meta here.

    A number that was disconnected in another account, and has been onboarded anew since, becomes a new inbox here: its
    chats so far stay there. Raises Conflict for any other number of another account (A8), for a plain Cloud API form
    over a coexistence number (A9) and for another WABA without a new onboarding (A7); Invalid for what cannot be used.
    Needs a transaction by the caller; appends the events last.
    """
    values = {
        "account_id": account_id, "is_coexistence": is_coexistence, "name": _name(name),
        "waba_id": _checked_id(waba_id, "WABA id"),
        "phone_number_id": _checked_id(phone_number_id, "phone_number_id"),
        "display_phone_number": _number(display_phone_number),
    }  # fmt: skip
    portfolio_id = _checked_id(portfolio_id or waba_id, "portfolio id")
    _check_token(token)
    told_since = _checked_time(onboarded_at)
    since = told_since or clock.now()
    existing = await _known(conn, phone_number_id)
    journal_from, events = await _move_away(conn, account_id, existing, told_since)
    existing = None if events else existing
    new = {**values, "onboarded_at": since, "journal_from": journal_from, "owned_from": since if events else None}
    inbox_id = None if existing else await _insert(conn, new, portfolio_id)
    if inbox_id is None:  # known before, or connected by somebody else this very moment
        existing = existing or await _known(conn, phone_number_id)
        assert existing is not None
        _may_replace(existing, account_id, waba_id, told_since, is_coexistence)
        inbox_id, since = existing.id, max(told_since or existing.onboarded_at, existing.onboarded_at)
        await store.update_inbox(conn, {**values, "id": inbox_id, "onboarded_at": since})
        if since > existing.onboarded_at:
            await _close_windows(conn, inbox_id)
    await store.put_syncs(conn, inbox_id, since)
    await credentials.seal_token(conn, keyring, inbox_id, token)
    event = connection.AUTHORISED if existing else connection.CONNECTED
    is_anew = existing is not None and since > existing.onboarded_at
    told = {"is_coexistence": is_coexistence} | ({"by": by} if by else {}) | ({"is_anew": True} if is_anew else {})
    await connection.record(conn, [Line(inbox_id, clock.now(), connection.OURS, event, told)])
    await connection.refresh(conn, [inbox_id])
    await store.requeue_unrouted(conn, [phone_number_id, waba_id, portfolio_id])
    inbox = await _as_it_is(conn, account_id, inbox_id)
    await feed.append(conn, [*events, NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id=inbox_id)])
    return inbox


async def _as_it_is(conn: Connection, account_id: int, inbox_id: int) -> Inbox:
    """Return the inbox. One that is not connected may be back, of which no event tells for sure: then Meta is asked."""
    inbox = await inboxes.get(conn, account_id, inbox_id)
    if inbox.state != State.CONNECTED:
        await connection.doubt(conn, [inbox_id])
    return inbox


def has_left(state: str, state_at: datetime, onboarded_at: datetime | None) -> bool:
    """Whether a number was disconnected where it was, and onboarded since: then it may go to another account."""
    return state == State.REMOVED and onboarded_at is not None and onboarded_at > state_at


async def _move_away(
    conn: Connection, account_id: int, existing: Existing | None, since: datetime | None
) -> tuple[int, list[NewEvent]]:
    """Take the number from another account that it has left; return the last delivery that is theirs, and events."""
    if existing is None or existing.account_id == account_id or since is None:
        return 0, []
    if not has_left(existing.state, existing.state_at, since):
        return 0, []
    journal_from, events = await moves.move_away(conn, existing.id, since)
    await connection.record(conn, [Line(existing.id, clock.now(), connection.OURS, connection.MOVED_AWAY, {})])
    await connection.refresh(conn, [existing.id])
    return journal_from, [*events, NewEvent(existing.account_id, Kind.INBOX_CHANGED, inbox_id=existing.id)]


async def _close_windows(conn: Connection, inbox_id: int) -> None:
    """Compute every conversation anew: with a new onboarding, windows begin closed.

    In the order of ids, and touching no contact, so that the slices lock like one statement.
    """
    ids = await store.conversations(conn, inbox_id)
    for start in range(0, len(ids), REFRESHED_COUNT):
        await summary.refresh(conn, ids[start : start + REFRESHED_COUNT])


async def _known(conn: Connection, phone_number_id: str) -> Existing | None:
    """Return, and lock, the number if it is connected. Nobody applies messages of its scope meanwhile."""
    scope_id = await store.scope_of(conn, phone_number_id)
    if scope_id is None:
        return None
    await moves.lock_all(conn, scope_id)
    return await store.find_number(conn, phone_number_id)


async def _insert(conn: Connection, values: dict[str, Any], portfolio_id: str) -> int | None:
    scope_id = await store.put_scope(conn, values["account_id"], portfolio_id)
    name = values["name"] or pretty(values["display_phone_number"])
    return await store.insert_inbox(conn, {**values, "scope_id": scope_id, "name": name})


async def request_syncs(
    conn: Connection, account_id: int, inbox_id: int, *, installation: frozenset[Switch] = EVERYTHING
) -> int:
    """Ask for the contacts and the history of a number, as far as they were never asked for.

    Only marks them as wanted and wakes the worker, which asks Meta once. Returns how many are wanted now:
    none when both were asked for before. ``installation`` is what it takes in at all; what is off there, for the
    account or for the number is not asked for, and its sync says so (requirement B11).

    Raises Conflict when asking is no use: not a coexistence number, not connected, or the 24 hours are over.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    if not inbox.is_coexistence:
        raise Conflict("This number is not in the WhatsApp Business app: it has no contacts or history to share.")
    changed = NewEvent(account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox_id)
    on, off = switches.split(inbox, installation)
    await store.switch_off(conn, inbox_id, inbox.onboarded_at, off)
    if not on:
        await feed.append(conn, [changed])
        return 0
    if inbox.state != State.CONNECTED:
        raise Conflict(
            "The number is not connected at the moment.",
            next_step="Its page (Numbers > its name) says how it is connected again. Then ask.",
        )
    if clock.now() >= rules.deadline(inbox.onboarded_at):
        await store.give_up(conn, inbox_id, inbox.onboarded_at, on, rules.TOO_LATE, words.TOO_LATE_WORDS)
        await feed.append(conn, [changed])
        return 0
    wanted = await store.want(conn, inbox_id, inbox.onboarded_at, on)
    await feed.append(conn, [changed])
    return wanted


# Meta's clock, or another host's, may be ahead of ours: what is settled now is later than all that it settles.
GOING_ON: Final = """
SELECT i.id, greatest(%(now)s::timestamptz, interval '1 microsecond' + (
           SELECT max(t.at) FROM inbox_timeline t
            WHERE t.inbox_id = i.id AND t.at <= %(now)s::timestamptz + %(skew)s::interval
              AND (t.field, t.event) IN (('coexist', 'SENDING_REFUSED'), ('coexist', 'TOKEN_REFUSED'),
                                         ('account_update', 'DISABLED_UPDATE'),
                                         ('account_update', 'ACCOUNT_RESTRICTION'))))
  FROM inboxes me JOIN inboxes i ON i.account_id = me.account_id AND i.waba_id = me.waba_id
 WHERE me.id = %(inbox_id)s AND (i.id = me.id OR cardinality(i.standing_codes) > 0 OR i.state = 'restricted'
        OR greatest(i.begins_held_until, i.replies_held_until, i.utility_held_until) > %(now)s)
 ORDER BY i.id
"""


async def go_on(conn: Connection, by: str, account_id: int, inbox_id: int) -> None:
    """Send again from a number that Meta's errors stopped, and from the others of its WhatsApp account.

    What waits goes out; if Meta refuses it again, it stops again. Raises NotFound; Conflict when nothing is stopped.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    is_held = any(until and until > clock.now() for until in inbox.held_until.values())
    if not inbox.standing_codes and not is_held and inbox.state not in (State.TOKEN_INVALID, State.RESTRICTED):
        raise Conflict("Nothing keeps this number from sending that could be tried again.")
    values = {"inbox_id": inbox_id, "now": clock.now(), "skew": CLOCK_SKEW}
    rows = await (await conn.execute(GOING_ON, values)).fetchall()
    lines = [Line(id_, at, connection.OURS, connection.SENDING_GOES_ON, {"by": by}) for id_, at in rows]
    await connection.record(conn, lines)
    await feed.append(conn, await connection.refresh(conn, [line.inbox_id for line in lines]))


def _may_replace(
    existing: Existing, account_id: int, waba_id: str, since: datetime | None, is_coexistence: bool
) -> None:
    if existing.account_id != account_id:
        raise Conflict(
            "This number is already connected to another account of this Coexist.",
            next_step="To move it: on its phone, Settings > Account > Business Platform > Disconnect, then sign up.",
        )
    if existing.is_coexistence and not is_coexistence:
        raise Conflict(
            "This number is connected together with the WhatsApp Business app, and that stays so.",
            next_step="Give --coexistence to renew its token.",
        )
    is_new_onboarding = since is not None and since > existing.onboarded_at
    if existing.waba_id != waba_id and not is_new_onboarding:
        raise Conflict(
            f"This number belongs to WABA {existing.waba_id}, not {waba_id}.",
            next_step="Give that WABA id; or, if the number was connected anew, the time of it (--since).",
        )


def _number(raw: str) -> str:
    number = digits(raw)
    if number is None or len(number) not in DISPLAY_DIGITS or number.startswith("0"):
        raise Invalid(
            f"{raw[:40]!r} is not a phone number.",
            next_step="Give it with its country code, such as +351 21 055 9000.",
        )
    return number


def _checked_id(raw: str, what: str) -> str:
    if not re.fullmatch("[0-9]{1,32}", raw):
        raise Invalid(f"{raw[:40]!r} is not a {what}: Meta's ids are digits.")
    return raw


def _check_token(token: str) -> None:
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", token):
        raise Invalid("The token is empty, or has spaces or signs that no access token has.")


def _checked_time(given: datetime | None) -> datetime | None:
    if given is not None and given.tzinfo is None:
        raise Invalid("The time of onboarding needs a time zone, such as 2026-11-01T09:30:00Z.")
    if given is not None and given > clock.now() + CLOCK_SKEW:
        raise Invalid("The time of onboarding lies in the future.")
    return given


def _name(raw: str | None) -> str | None:
    name = " ".join((raw or "").split())
    if not name.isprintable() or len(name) > NAME_CHARS:
        raise Invalid(f"The name of an inbox may have at most {NAME_CHARS} readable characters.")
    return name or None
