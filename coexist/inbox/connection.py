"""The life of a number's connection: its timeline as a set of lines, and the state they amount to.

The state is computed from the lines, so it cannot depend on the order or number of deliveries. Meta's own
lines (account_update) and ours (token refused, authorised again) count alike, each at its own time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import pauses, restrictions
from coexist.inbox.restrictions import Restrictions
from coexist.meta.errors import Action, codes_of, explain
from coexist.meta.phones import digits, same_number

OURS: Final = "coexist"
"""The field of lines that we write ourselves; every other field is Meta's name for it."""
CONNECTED: Final = "CONNECTED"
AUTHORISED: Final = "AUTHORISED"
TOKEN_REFUSED: Final = "TOKEN_REFUSED"  # noqa: S105  a name of an event
SENDING_REFUSED: Final = "SENDING_REFUSED"
"""Meta refused to send for a reason that stands; its ``code`` says which."""
SENDING_GOES_ON: Final = "SENDING_GOES_ON"
"""What stood is settled: by Meta's ``health`` status, or ``by`` a person."""
MOVED_AWAY: Final = "MOVED_AWAY"
"""The number was connected to another account: it is gone from here for good, whatever is told of it."""
META_TOLD: Final = "META_TOLD"
"""Meta's answer when asked about the number; its ``state``, if it has one, is what the answer means."""


class State(StrEnum):
    """What a number's connection is good for."""

    CONNECTED = "connected"
    OFFBOARDED = "offboarded"
    REMOVED = "removed"
    TOKEN_INVALID = "token_invalid"  # noqa: S105  a name of a state
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened to a number. ``value`` is what Meta said, cleaned for jsonb."""

    inbox_id: int
    at: datetime
    field: str
    event: str
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Number:
    """What the rule needs to know about an inbox. ``is_only_number``: no other inbox has its WABA."""

    id: int
    account_id: int
    display_phone_number: str
    onboarded_at: datetime
    is_only_number: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state, since when, and why in Meta's words."""

    state: State
    at: datetime
    reason: str | None = None
    initiated_by: str | None = None


PHONE_EVENTS: Final = {
    # the newest decides; at the same second the later in this list does
    "ACCOUNT_OFFBOARDED": State.OFFBOARDED,
    "ACCOUNT_RECONNECTED": State.CONNECTED,
    "PARTNER_REMOVED": State.REMOVED,
    "ACCOUNT_DELETED": State.REMOVED,
}
STOPPING: Final = codes_of(Action.STOP_ACCOUNT)
TIES: Final = {event: rank for rank, event in enumerate(PHONE_EVENTS)}


def verdict(number: Number, lines: Iterable[Line]) -> Verdict:
    """Return the state that the lines amount to. What happened before the onboarding is stale.

    PARTNER_REMOVED counts only if it names this number, or if the WABA has no other (requirement G2). Meta's answer
    about the number itself settles what was told before it.
    meta-protocol 5.7.
    """
    phone = Verdict(State.CONNECTED, number.onboarded_at)
    token = restriction = refusal = phone
    for line in _current(number, lines):
        if (line.field, line.event) == (OURS, MOVED_AWAY):
            return Verdict(State.REMOVED, line.at, MOVED_AWAY)
        if line.field == "account_update" and line.event in PHONE_EVENTS:
            told = line.value.get("disconnection_info")
            details = told if isinstance(told, dict) else {}
            reason, by = _word(details.get("reason")), _word(details.get("initiated_by"))
            phone = Verdict(PHONE_EVENTS[line.event], line.at, reason, by)
        elif (line.field, line.event) == (OURS, META_TOLD):
            phone = _confirmed(line, phone)
        elif line.field == "account_update" and line.event == "DISABLED_UPDATE":
            restriction = _ban(line, restriction)
            refusal = Verdict(State.CONNECTED, line.at) if _reinstates(line) else refusal
        elif (line.field, line.event) == (OURS, SENDING_REFUSED) and line.value.get("code") in STOPPING:
            refused = Verdict(State.RESTRICTED, line.at, explain(line.value["code"]).what.rstrip("."))
            refusal = refusal if refusal.state is State.RESTRICTED else refused
        elif (line.field, line.event) == (OURS, SENDING_GOES_ON):
            refusal = restriction = Verdict(State.CONNECTED, line.at)
            token = Verdict(State.CONNECTED, line.at) if "by" in line.value else token
        elif (line.field, line.event) == (OURS, TOKEN_REFUSED):
            refused = Verdict(State.TOKEN_INVALID, line.at, _word(line.value.get("reason")))
            token = token if token.state is State.TOKEN_INVALID else refused
        elif (line.field, line.event) == (OURS, AUTHORISED) and token.state is State.TOKEN_INVALID:
            token = Verdict(State.CONNECTED, line.at)
    for each in (phone, token, restriction, refusal):
        if each.state is not State.CONNECTED:
            return each
    return max((phone, token, restriction, refusal), key=lambda each: each.at)


def standing_codes(number: Number, lines: Iterable[Line]) -> list[int]:
    """Return the codes with which Meta refused to send, and that nobody has settled since, smallest first."""
    codes: set[int] = set()
    for line in _current(number, lines):
        if (line.field, line.event) == (OURS, SENDING_REFUSED) and isinstance(line.value.get("code"), int):
            codes.add(line.value["code"])
        elif (line.field, line.event) == (OURS, SENDING_GOES_ON) or _reinstates(line):
            codes.clear()
    return sorted(codes)


def held(number: Number, lines: Iterable[Line]) -> Restrictions:
    """Return what Meta keeps the number from doing, and until when; what is over by then is for who asks to see."""
    deciding = {("account_update", restrictions.EVENT), (OURS, SENDING_GOES_ON)}
    found = [line for line in lines if (line.field, line.event) in deciding]
    found.sort(key=lambda line: msgspec.json.encode(line.value, order="deterministic"))  # of one second, any order
    holds = Restrictions()
    for line in _current(number, found):
        if line.event == restrictions.EVENT:
            holds = holds.with_told(line.value)
        else:
            holds = holds.settled(by_a_person="by" in line.value)
    return holds


def _current(number: Number, lines: Iterable[Line]) -> list[Line]:
    """What happened to the number since its onboarding, in the order in which it counts."""
    since = number.onboarded_at.replace(microsecond=0)  # the wire knows whole seconds
    current = [line for line in lines if line.at >= since and concerns(line, number)]
    return sorted(current, key=lambda line: (_counts_at(line), TIES.get(line.event, -1), line.event))


def _counts_at(line: Line) -> datetime:
    """What happens in the second of Meta's answer is later than it: Meta is asked seconds after an event."""
    return line.at.replace(microsecond=0) if (line.field, line.event) == (OURS, META_TOLD) else line.at


def concerns(line: Line, number: Number) -> bool:
    """Whether a line that may have named the whole WABA is about this number."""
    named = _word(line.value.get("phone_number"))
    if named is not None:
        return same_number(digits(named), number.display_phone_number)
    return line.event != "PARTNER_REMOVED" or number.is_only_number


def _confirmed(line: Line, before: Verdict) -> Verdict:
    """Meta's answer decides what events left open; one that confirms them keeps their time and reason.

    A phone that is merely away, as Meta puts it, does not undo a removal.
    """
    told = _word(line.value.get("state"))
    if told is None or told not in PHONE_EVENTS.values() or told == before.state:
        return before
    if (before.state, told) == (State.REMOVED, State.OFFBOARDED):
        return before
    return Verdict(State(told), line.at)


def _ban(line: Line, before: Verdict) -> Verdict:
    """DISABLED_UPDATE: the state is a word, in an older sample an array of words (meta-protocol 10.25)."""
    if _reinstates(line):
        return Verdict(State.CONNECTED, line.at)
    return Verdict(State.RESTRICTED, line.at, "DISABLED") if disables(line) else before


def disables(line: Line) -> bool:
    """Whether Meta tells with this line that it has disabled the WhatsApp account."""
    return line.field == "account_update" and line.event == "DISABLED_UPDATE" and "DISABLE" in _ban_words(line)


def _reinstates(line: Line) -> bool:
    return line.field == "account_update" and line.event == "DISABLED_UPDATE" and "REINSTATE" in _ban_words(line)


def _ban_words(line: Line) -> list[Any]:
    ban = line.value.get("ban_info")
    told = ban.get("waba_ban_state") if isinstance(ban, dict) else None
    return told if isinstance(told, list) else [told]


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


# An access that was refused before, and not renewed since, was found refused once more: that is no news.
RECORD = """
INSERT INTO inbox_timeline (inbox_id, at, field, event, value, digest)
SELECT line.inbox_id, line.at, line.field, line.event, line.value, line.digest
  FROM json_to_recordset(%s::json) AS line (
       inbox_id int, at timestamptz, field text, event text, value jsonb, digest text)
 WHERE NOT (line.field = 'coexist' AND line.event = 'TOKEN_REFUSED' AND EXISTS (
       SELECT FROM inbox_timeline t JOIN inboxes i ON i.id = t.inbox_id
        WHERE t.inbox_id = line.inbox_id AND t.field = 'coexist' AND t.event = 'TOKEN_REFUSED' AND t.at <= line.at
          AND t.at >= date_trunc('second', i.onboarded_at)
          AND NOT EXISTS (
              SELECT FROM inbox_timeline r
               WHERE r.inbox_id = t.inbox_id AND r.field = 'coexist' AND r.at BETWEEN t.at AND line.at
                 AND (r.event = 'AUTHORISED' OR r.event = 'SENDING_GOES_ON' AND r.value ? 'by'))))
    ON CONFLICT (inbox_id, field, event, at, digest) DO NOTHING
"""


async def record(conn: Connection, lines: Sequence[Line]) -> None:
    """Add lines to the timelines; one that is there already, or is no news, is not added."""
    if any(line.event == TOKEN_REFUSED for line in lines):  # calls under way together see each other's
        await conn.execute(LOCK_NUMBERS, (sorted({line.inbox_id for line in lines}),))
    rows = [
        {
            "inbox_id": line.inbox_id,
            "at": line.at,
            "field": line.field,
            "event": line.event,
            "value": line.value,
            "digest": hashlib.sha256(msgspec.json.encode(line.value, order="deterministic")).hexdigest(),
        }
        for line in lines
    ]
    if rows:
        await conn.execute(RECORD, (msgspec.json.encode(rows).decode(),))


# NO KEY: every message that is inserted locks its inbox's key, and must not wait here.
LOCK_NUMBERS = """
SELECT i.id, i.account_id, i.display_phone_number, i.onboarded_at,
       NOT EXISTS (SELECT FROM inboxes o WHERE o.waba_id = i.waba_id AND o.id <> i.id) AS is_only_number
  FROM inboxes i
 WHERE i.id = ANY(%s)
 ORDER BY i.id
   FOR NO KEY UPDATE OF i
"""

LINES = """
SELECT inbox_id, at, field, event, value FROM inbox_timeline
 WHERE inbox_id = ANY(%s) AND field IN ('account_update', 'coexist')
 ORDER BY inbox_id
"""

SET_STATE = """
UPDATE inboxes i
   SET state = %(state)s::inbox_state, state_at = %(at)s,
       state_reason = %(reason)s, state_initiated_by = %(by)s, standing_codes = %(standing)s,
       begins_held_until = %(begins)s, replies_held_until = %(replies)s, utility_held_until = %(utility)s
  FROM inboxes was
 WHERE i.id = %(id)s AND was.id = i.id
   AND (i.state, i.state_at, i.state_reason, i.state_initiated_by, i.standing_codes,
        i.begins_held_until, i.replies_held_until, i.utility_held_until)
       IS DISTINCT FROM (%(state)s::inbox_state, %(at)s, %(reason)s, %(by)s, %(standing)s::integer[],
        %(begins)s::timestamptz, %(replies)s::timestamptz, %(utility)s::timestamptz)
RETURNING i.state = 'connected' AND (was.state <> 'connected' OR NOT was.standing_codes <@ i.standing_codes)
"""

DOUBT = """
INSERT INTO connection_questions (inbox_id, since, next_at)
SELECT unnest(%(inbox_ids)s::integer[]), %(now)s, %(now)s
    ON CONFLICT (inbox_id) DO UPDATE SET since = EXCLUDED.since, next_at = EXCLUDED.next_at, attempts = 0
"""


async def doubt(conn: Connection, inbox_ids: Collection[int]) -> None:
    """Have Meta asked how these numbers are: `coexistence.life_watch` does, and its answer decides."""
    if inbox_ids:
        await conn.execute(DOUBT, {"inbox_ids": sorted(inbox_ids), "now": clock.now()})


async def refresh(conn: Connection, inbox_ids: Collection[int]) -> list[NewEvent]:
    """Compute the states of the inboxes from their timelines, and return an event for each that changed.

    What waited for one that goes on is released.
    """
    async with conn.cursor(row_factory=class_row(Number)) as cursor:
        await cursor.execute(LOCK_NUMBERS, (sorted(inbox_ids),))
        numbers = await cursor.fetchall()
    async with conn.cursor(row_factory=class_row(Line)) as lines_cursor:
        await lines_cursor.execute(LINES, (sorted(inbox_ids),))
        found = await lines_cursor.fetchall()
    lines = {inbox_id: list(group) for inbox_id, group in groupby(found, key=lambda line: line.inbox_id)}
    events = []
    for number in numbers:
        of_number = lines.get(number.id, [])
        told = verdict(number, of_number)
        row = {"id": number.id, "state": told.state, "at": told.at, "standing": standing_codes(number, of_number)}
        holds = held(number, of_number)
        row |= {"reason": told.reason, "by": told.initiated_by}
        row |= {"begins": holds.begins_until, "replies": holds.replies_until, "utility": holds.utility_until}
        changed = await (await conn.execute(SET_STATE, row)).fetchone()
        if changed is not None:
            if changed[0]:
                await pauses.release(conn, number.id)
            events.append(NewEvent(number.account_id, Kind.INBOX_CHANGED, inbox_id=number.id))
    return events
