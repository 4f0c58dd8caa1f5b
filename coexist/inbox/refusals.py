"""What an error of Meta's asks for beyond the message or the call that met it (meta-protocol 1.5).

Whoever meets one comes here: the sender, who looks something up or fetches a file, and who applies a ``failed`` status.
Which code asks for what is the table in `meta.errors`; what becomes of the message itself, `outbound.rules` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection, Pool, in_transaction
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, inboxes, pauses, waiting
from coexist.inbox.connection import Line
from coexist.meta.errors import MARKETING_RESTS_HOURS, Action, action_of, codes_of, explain
from coexist.meta.model import STATUS_RANK
from coexist.meta.transport import GraphError, GraphFailed
from coexist.templates import rules as template_rules
from coexist.templates import store as templates
from coexist.templates.model import Told


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a call of a number met, or that a status of its message told, with Meta's words in a sentence.

    ``wait`` is how long Meta's usage headers ask us to wait.
    """

    inbox_id: int
    code: int
    at: datetime
    said: str
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a refusal of ``refused_id`` may concern: itself, or another of its WhatsApp account."""

    refused_id: int
    id: int
    waba_id: str
    standing_codes: Sequence[int]


FRESH: Final = timedelta(hours=1)
"""How long ago an error can have come that still asks for a pause or a question."""
OF_ACCOUNT: Final = {Action.STOP_ACCOUNT, Action.HOLD_PAID}
"""What concerns all numbers of the WhatsApp Business account."""
STANDING: Final = {*OF_ACCOUNT, Action.HOLD_BUSINESS_INITIATED, Action.TELL_ADMINS}
"""What stands until Meta's health status, or a person, says that it is over."""

NUMBERS: Final = """
SELECT me.id AS refused_id, i.id, i.waba_id, i.standing_codes
  FROM inboxes me JOIN inboxes i ON i.account_id = me.account_id AND i.waba_id = me.waba_id
 WHERE me.id = ANY(%s)
 ORDER BY i.id
"""


async def heed(conn: Connection, refusals: Collection[Refusal]) -> list[NewEvent]:
    """Do for numbers and WhatsApp accounts what the codes ask for. Returns the events to append. Safe to repeat."""
    relevant = [each for each in refusals if action_of(each.code) in NUMBER_ACTIONS]
    if not relevant:
        return []
    async with conn.cursor(row_factory=class_row(Number)) as cursor:
        await cursor.execute(NUMBERS, (list({each.inbox_id for each in relevant}),))
        numbers = await cursor.fetchall()
    standing: list[Line] = []
    renewed: dict[tuple[int, int], Line] = {}
    doubted: set[int] = set()
    repeated: set[int] = set()
    for refusal in sorted(relevant, key=lambda each: each.at):
        action, code = action_of(refusal.code), refusal.code
        concerned = [
            each
            for each in numbers
            if each.refused_id == refusal.inbox_id and (action in OF_ACCOUNT or each.id == refusal.inbox_id)
        ]
        if action in STANDING:
            standing += [_line(each, refusal, connection.SENDING_REFUSED) for each in concerned]
            doubted |= {each.id for each in concerned if code not in each.standing_codes}
            repeated |= {each.id for each in concerned if code in each.standing_codes}
        elif action is Action.RENEW_ACCESS:
            for each in concerned:
                renewed.setdefault((each.id, code), _line(each, refusal, connection.TOKEN_REFUSED))
        elif refusal.at < clock.now() - FRESH:
            continue  # what a late or repeated delivery tells is over
        elif action is Action.ASK_META:
            doubted.add(refusal.inbox_id)
        else:
            await _slow_down(conn, action, refusal, concerned)
    lines = [*standing, *renewed.values()]
    await connection.doubt(conn, doubted)
    await conn.execute(STANDS_STILL, {"inbox_ids": sorted(repeated - doubted), "now": clock.now()})
    await connection.record(conn, lines)
    events = await connection.refresh(conn, {line.inbox_id for line in lines}) if lines else []
    if standing:  # after the refresh, whose lock lets us see what others have recorded
        await conn.execute(THIN_OUT, _days_of(standing))
    return events


# Meta's answer that is on its way does not know of a refusal that came since: then Meta is asked once more.
STANDS_STILL: Final = "UPDATE connection_questions SET since = %(now)s WHERE inbox_id = ANY(%(inbox_ids)s)"

# Which lines are left is a matter of their times alone, in whatever order they came.
THIN_OUT: Final = """
DELETE FROM inbox_timeline t
 USING (SELECT id, row_number() OVER (of_day ORDER BY at, digest) AS first,
               row_number() OVER (of_day ORDER BY at DESC, digest DESC) AS last
          FROM inbox_timeline
         WHERE inbox_id = ANY(%(inbox_ids)s) AND field = 'coexist' AND event = 'SENDING_REFUSED'
           AND at >= %(from)s AND at < %(until)s
        WINDOW of_day AS (PARTITION BY inbox_id, value -> 'code', date_trunc('day', at AT TIME ZONE 'UTC'))) told
 WHERE t.id = told.id AND told.first > 1 AND told.last > 1
"""


def _days_of(lines: Sequence[Line]) -> dict[str, Any]:
    """Where only the first and the last refusal with one code on a day (UTC) are to stay on a timeline.

    Both are needed: something may have been settled between them, and be told later.
    """
    days = [line.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) for line in lines]
    ids = sorted({line.inbox_id for line in lines})
    return {"inbox_ids": ids, "from": min(days), "until": max(days) + timedelta(days=1)}


def _line(number: Number, refusal: Refusal, event: str) -> Line:
    return Line(number.id, refusal.at, connection.OURS, event, {"code": refusal.code, "reason": refusal.said})


async def heed_error(pool: Pool, inbox_id: int, error: GraphError, *, asked_at: datetime) -> None:
    """Heed the error of a call that was no send: of a look-up, a sync, a file. In transactions of its own.

    ``asked_at`` is from before the token was read: what is renewed from then on was not refused.
    """
    if error.code is None:
        return
    refusal = Refusal(inbox_id, error.code, asked_at, error.message, error.wait)

    async def work(conn: Connection) -> None:
        await feed.append(conn, await heed(conn, [refusal]))

    await in_transaction(pool, work)


async def heed_limit(pool: Pool, error: GraphFailed, waba_id: str | None = None) -> None:
    """Rest as the error of a call asks that was about no number of ours: the app's own, or one of a sign-up.

    ``waba_id`` is the WhatsApp Business account that the call was about, if it was about one.
    """
    if not isinstance(error, GraphError) or error.code is None:
        return
    code, wait, action = error.code, error.wait, error.meaning.action
    rests = pauses.EVERYTHING if action is Action.PAUSE_ALL else waba_id
    if rests is not None and action in {Action.PAUSE_ALL, Action.PAUSE_ACCOUNT}:
        await in_transaction(pool, lambda conn: pauses.pause(conn, rests, code, wait))


NUMBER_ACTIONS: Final = {
    *STANDING,
    Action.RENEW_ACCESS,
    Action.ASK_META,
    Action.SLOW_NUMBER,
    Action.PAUSE_ACCOUNT,
    Action.PAUSE_ALL,
}


async def _slow_down(conn: Connection, action: Action, refusal: Refusal, concerned: Sequence[Number]) -> None:
    if action is Action.SLOW_NUMBER:
        await pauses.slow(conn, refusal.inbox_id, refusal.at)
    elif action is Action.PAUSE_ALL:
        await pauses.pause(conn, pauses.EVERYTHING, refusal.code, refusal.wait)
    else:
        for number in concerned:
            await pauses.pause(conn, number.waba_id, refusal.code, refusal.wait)


def told(inbox_id: int, errors: bytes, at: datetime) -> list[Refusal]:
    """The refusals in the ``errors[]`` of a status; what has no code asks for nothing."""
    found = msgspec.json.decode(errors)
    return [
        Refusal(inbox_id, error["code"], at, _said(error))
        for error in (found if isinstance(found, list) else ())
        if isinstance(error, dict) and isinstance(error.get("code"), int)
    ]


def _said(error: Mapping[str, Any]) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, Mapping) else None
    said = details or error.get("details") or error.get("message") or error.get("title")
    words = ": ".join(str(part) for part in (error["code"], said) if part)
    return f"{explain(error['code']).what} (Meta: {words})"


# ── the person a message was for ──────────────────────────────────────────────────────────────────────────

# A refusal at once has no status: it was told when it was written down. It is about the id that we wrote to: by which
# one Meta names the person elsewhere, and when we learn that, must make no difference. Of a failure that was told more
# than once, every telling counts, whichever of them the message shows.
REFUSED: Final = f"""
WITH refused AS (
    SELECT m.inbox_id, coalesce(o.peer, m.peer) AS peer, told.code, told.at, o.payload -> 'template' AS template
      FROM messages m
      LEFT JOIN outbox o ON o.message_id = m.id
      LEFT JOIN message_statuses s
             ON s.inbox_id = m.inbox_id AND s.wamid = m.wamid AND s.status = {STATUS_RANK["failed"]}
     CROSS JOIN LATERAL (
           SELECT key AS code, to_timestamp(value::double precision) AS at FROM jsonb_each_text(s.refused_at)
            UNION ALL
           SELECT error ->> 'code', %(now)s
             FROM jsonb_array_elements(CASE WHEN s.wamid IS NULL AND jsonb_typeof(m.errors) = 'array'
                                            THEN m.errors END) AS e (error)) told
     WHERE m.id = ANY(%(ids)s) AND m.origin = 'api')
"""

# The newest counts; of one moment, the refusal.
MARKETING: Final = f"""
{REFUSED}
UPDATE identities i
   SET marketing_wish = CASE WHEN r.stopped_at >= coalesce(i.marketing_wish_at, '-infinity')
                             THEN 'stop' ELSE i.marketing_wish END,
       marketing_wish_at = greatest(i.marketing_wish_at, r.stopped_at),
       marketing_rests_until = greatest(i.marketing_rests_until, r.rested_at + %(rests)s)
  FROM (SELECT n.scope_id, r.peer, max(r.at) FILTER (WHERE r.code = ANY(%(stopping)s)) AS stopped_at,
               max(r.at) FILTER (WHERE r.code = ANY(%(resting)s)) AS rested_at
          FROM refused r JOIN inboxes n ON n.id = r.inbox_id
         WHERE r.code = ANY(%(stopping)s) OR r.code = ANY(%(resting)s)
         GROUP BY 1, 2) r
 WHERE i.scope_id = r.scope_id AND i.kind <> 'former_phone' AND i.value = r.peer
   AND ((r.stopped_at, 'stop') > (coalesce(i.marketing_wish_at, '-infinity'), coalesce(i.marketing_wish, ''))
        OR r.rested_at + %(rests)s > coalesce(i.marketing_rests_until, '-infinity'))
RETURNING i.contact_id
"""


async def heed_messages(conn: Connection, account_id: int, message_ids: Collection[int]) -> list[NewEvent]:
    """Do what the errors of these messages ask for: for whom they were for, and for their templates.

    Returns the events to append.
    The caller's transaction has just written the errors. Safe to repeat. What a refusal says of the window, `summary`
    reads from the messages.
    """
    values: dict[str, Any] = {"ids": list(message_ids), "now": clock.now()}
    events = await _heed_templates(conn, values)
    values |= {
        "stopping": _written(Action.STOP_MARKETING),
        "resting": _written(Action.REST_MARKETING),
        "rests": timedelta(hours=MARKETING_RESTS_HOURS),
    }
    rows = await (await conn.execute(MARKETING, values)).fetchall()
    contact_ids = sorted({row[0] for row in rows})
    return events + [NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=id_) for id_ in contact_ids]


# In the order in which templates are written everywhere, so that two who write some at once do not wait for each other.
TEMPLATES: Final = f"""
{REFUSED}
SELECT i.account_id, i.waba_id, r.template ->> 'name', r.template -> 'language' ->> 'code', r.code::int, max(r.at)
  FROM refused r JOIN inboxes i ON i.id = r.inbox_id
 WHERE r.code = ANY(%(codes)s) AND r.template ->> 'name' <> '' AND r.template -> 'language' ->> 'code' <> ''
 GROUP BY 1, 2, 3, 4, 5
"""
OF_TEMPLATES: Final = (Action.READ_TEMPLATES, Action.HOLD_TEMPLATE, Action.BLOCK_TEMPLATE)


async def _heed_templates(conn: Connection, values: Mapping[str, Any]) -> list[NewEvent]:
    """Hold what was refused for its template, and have Meta asked how its templates are (132000-132018).

    Open lists of templates are told at once where that changes what a template is good for.
    """
    codes = [code for action in OF_TEMPLATES for code in _written(action)]
    rows = await (await conn.execute(TEMPLATES, {**values, "codes": codes})).fetchall()
    if not rows:
        return []
    of_code = template_rules.OF_CODE
    told = [
        Told(account_id, waba_id, name, language, of_code[code], at, reason=explain(code).what)
        for account_id, waba_id, name, language, code, at in rows
        if code in of_code
    ]
    news = await templates.news(conn, told)
    await templates.tell(conn, told)
    await templates.doubt(conn, {(row[0], row[1]) for row in rows}, clock.now())
    shown = await inboxes.of_wabas(conn, {waba_id for _, waba_id in news}) if news else ()
    return await waiting.of_templates(conn, {each.key for each in told}) + [
        NewEvent(each.account_id, Kind.INBOX_CHANGED, inbox_id=each.id)
        for each in shown
        if (each.account_id, each.waba_id) in news
    ]


OF_STATUSES: Final = """
SELECT m.conversation_id, m.id
  FROM unnest(%s::int[], %s::text[]) AS k (inbox_id, wamid) JOIN messages m USING (inbox_id, wamid)
"""


async def heed_statuses(
    conn: Connection, account_id: int, keys: Collection[tuple[int, str]]
) -> tuple[list[NewEvent], set[int]]:
    """Heed what statuses of the messages ``keys``, (inbox id, wamid), have just told, shown on them or not.

    Returns the events to append, and the conversations whose window it may concern.
    """
    if not keys:
        return [], set()
    inbox_ids, wamids = (list(column) for column in zip(*keys, strict=True))
    found = await (await conn.execute(OF_STATUSES, (inbox_ids, wamids))).fetchall()
    events = await heed_messages(conn, account_id, [id_ for _, id_ in found]) if found else []
    return events, {conversation_id for conversation_id, _ in found}


def _written(action: Action) -> list[str]:
    return [str(code) for code in codes_of(action)]
