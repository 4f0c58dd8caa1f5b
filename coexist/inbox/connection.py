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

from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.meta.phones import digits, same_number

OURS: Final = "coexist"
"""The field of lines that we write ourselves; every other field is Meta's name for it."""
CONNECTED: Final = "CONNECTED"
AUTHORISED: Final = "AUTHORISED"
TOKEN_REFUSED: Final = "TOKEN_REFUSED"  # noqa: S105  a name of an event
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
TIES: Final = {event: rank for rank, event in enumerate(PHONE_EVENTS)}


def verdict(number: Number, lines: Iterable[Line]) -> Verdict:
    """Return the state that the lines amount to. What happened before the onboarding is stale.

    PARTNER_REMOVED counts only if it names this number, or if the WABA has no other (requirement G2). Meta's answer
    about the number itself settles what was told before it.
    meta-protocol 5.7.
    """
    since = number.onboarded_at.replace(microsecond=0)  # the wire knows whole seconds
    current = [line for line in lines if line.at >= since and concerns(line, number)]
    current.sort(key=lambda line: (line.at, TIES.get(line.event, -1), line.event))
    phone = Verdict(State.CONNECTED, number.onboarded_at)
    token = restriction = phone
    for line in current:
        if line.field == "account_update" and line.event in PHONE_EVENTS:
            told = line.value.get("disconnection_info")
            details = told if isinstance(told, dict) else {}
            reason, by = _word(details.get("reason")), _word(details.get("initiated_by"))
            phone = Verdict(PHONE_EVENTS[line.event], line.at, reason, by)
        elif (line.field, line.event) == (OURS, META_TOLD):
            phone = _confirmed(line, phone)
        elif line.field == "account_update" and line.event == "DISABLED_UPDATE":
            restriction = _ban(line, restriction)
        elif (line.field, line.event) == (OURS, TOKEN_REFUSED):
            token = Verdict(State.TOKEN_INVALID, line.at, _word(line.value.get("reason")))
        elif (line.field, line.event) == (OURS, AUTHORISED):
            token = Verdict(State.CONNECTED, line.at)
    for each in (phone, token, restriction):
        if each.state is not State.CONNECTED:
            return each
    return max((phone, token, restriction), key=lambda each: each.at)


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
    ban = line.value.get("ban_info")
    told = ban.get("waba_ban_state") if isinstance(ban, dict) else None
    words = told if isinstance(told, list) else [told]
    if "REINSTATE" in words:
        return Verdict(State.CONNECTED, line.at)
    return Verdict(State.RESTRICTED, line.at, "DISABLED") if "DISABLE" in words else before


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


RECORD = """
INSERT INTO inbox_timeline (inbox_id, at, field, event, value, digest)
SELECT inbox_id, at, field, event, value, digest
  FROM json_to_recordset(%s::json) AS line (
       inbox_id int, at timestamptz, field text, event text, value jsonb, digest text)
    ON CONFLICT (inbox_id, field, event, at, digest) DO NOTHING
"""


async def record(conn: Connection, lines: Sequence[Line]) -> None:
    """Add lines to the timelines; one that is there already is not added again."""
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
UPDATE inboxes
   SET state = %(state)s::inbox_state, state_at = %(at)s,
       state_reason = %(reason)s, state_initiated_by = %(by)s
 WHERE id = %(id)s
   AND (state, state_at, state_reason, state_initiated_by)
       IS DISTINCT FROM (%(state)s::inbox_state, %(at)s, %(reason)s, %(by)s)
"""


async def refresh(conn: Connection, inbox_ids: Collection[int]) -> list[NewEvent]:
    """Compute the states of the inboxes from their timelines, and return an event for each that changed."""
    async with conn.cursor(row_factory=class_row(Number)) as cursor:
        await cursor.execute(LOCK_NUMBERS, (sorted(inbox_ids),))
        numbers = await cursor.fetchall()
    async with conn.cursor(row_factory=class_row(Line)) as lines_cursor:
        await lines_cursor.execute(LINES, (sorted(inbox_ids),))
        found = await lines_cursor.fetchall()
    lines = {inbox_id: list(group) for inbox_id, group in groupby(found, key=lambda line: line.inbox_id)}
    events = []
    for number in numbers:
        told = verdict(number, lines.get(number.id, []))
        row = {"id": number.id, "state": told.state, "at": told.at}
        changed = await conn.execute(SET_STATE, {**row, "reason": told.reason, "by": told.initiated_by})
        if changed.rowcount:
            events.append(NewEvent(number.account_id, Kind.INBOX_CHANGED, inbox_id=number.id))
    return events
