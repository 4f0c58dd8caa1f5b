"""What happens to messages after they were written: edits, revokes, reactions and statuses.

Each is kept as its own row, keyed by the wamid it names, and waits there until that message is known. What a
message shows of them (``edited_text``, ``revoked_at``, ``reactions``, ``status``, ``errors``) is computed from those
rows, so it does not matter which came first. Callers hold the scope's apply lock (exclusively, when they add changes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from coexist.base.database import Connection
from coexist.meta import wording


class ChangeRow(msgspec.Struct, frozen=True, gc=False):
    """An edit (``text`` is the new one), a revoke, or a reaction (``text`` is the emoji, None takes it back)."""

    inbox_id: int
    wamid: str
    target: str
    kind: str
    by: str
    at: datetime
    text: str | None
    imported: bool = False
    journal_id: int | None = None


class StatusRow(msgspec.Struct, frozen=True, gc=False):
    """One status of one message, as told by Meta; ``status`` is a rank of ``STATUS_RANK``.

    ``refused_at`` says of each error code when it was told last, in Unix seconds.
    """

    inbox_id: int
    wamid: str
    status: int
    at: datetime
    our_ref: UUID | None
    pricing: msgspec.Raw | None
    errors: msgspec.Raw | None
    refused_at: Mapping[str, float] | None = None
    journal_id: int | None = None


MessageKey = tuple[int, str]
"""(inbox id, wamid)"""

# The same own wamid with other content is not foreseen by Meta, but for an edit whose text it could not give us at
# first; any text wins over that, else the greater row, so that order cannot matter. The message that it named before
# is returned: it has to be shown without it.
ADD_CHANGES = """
WITH told AS (
    SELECT DISTINCT ON (inbox_id, wamid) inbox_id, wamid, target, kind, by, at, text, journal_id
      FROM json_to_recordset(%(rows)s::json) AS c (inbox_id int, wamid text, target text, kind change_kind,
                                                   by message_direction, at timestamptz, text text,
                                                   journal_id bigint)
     ORDER BY inbox_id, wamid, at DESC, kind DESC, target DESC, by DESC, text IS DISTINCT FROM %(withheld)s::text DESC,
              text DESC NULLS LAST),
before AS (SELECT inbox_id, wamid, c.target FROM message_changes c JOIN told USING (inbox_id, wamid)),
added AS (
    INSERT INTO message_changes AS old (inbox_id, wamid, target, kind, by, at, text, journal_id)
    SELECT inbox_id, wamid, target, kind, by, at, text, journal_id FROM told
        ON CONFLICT (inbox_id, wamid) DO UPDATE
       SET target = excluded.target, kind = excluded.kind, by = excluded.by, at = excluded.at, text = excluded.text,
           journal_id = excluded.journal_id, is_waiting = true
     WHERE (excluded.at, excluded.kind, excluded.target, excluded.by,
            excluded.text IS DISTINCT FROM %(withheld)s::text, coalesce(excluded.text, ''))
         > (old.at, old.kind, old.target, old.by, old.text IS DISTINCT FROM %(withheld)s::text, coalesce(old.text, ''))
    RETURNING inbox_id, wamid, target)
SELECT inbox_id, before.target FROM before JOIN added USING (inbox_id, wamid) WHERE before.target <> added.target
"""

# A failure may be told more than once, with another code or time: one is shown, all of them are heeded.
REFUSED_AT = """(
    SELECT jsonb_object_agg(code, at)
      FROM (SELECT key AS code, max(value::numeric) AS at
              FROM (SELECT * FROM jsonb_each(old.refused_at)
                     UNION ALL
                    SELECT * FROM jsonb_each(excluded.refused_at)) told
             GROUP BY key) latest)"""

ADD_STATUSES = f"""
INSERT INTO message_statuses AS old (inbox_id, wamid, status, at, our_ref, pricing, errors, refused_at, journal_id)
SELECT inbox_id, wamid, status, min(at), max(our_ref::text)::uuid,
       (array_agg(pricing ORDER BY pricing DESC NULLS LAST))[1], (array_agg(errors ORDER BY errors DESC NULLS LAST))[1],
       (array_agg(refused_at ORDER BY refused_at DESC NULLS LAST))[1], max(journal_id)
  FROM json_to_recordset(%s::json) AS s (inbox_id int, wamid text, status smallint, at timestamptz,
                                         our_ref uuid, pricing jsonb, errors jsonb, refused_at jsonb, journal_id bigint)
 GROUP BY inbox_id, wamid, status
 ORDER BY inbox_id, wamid, status
    ON CONFLICT (inbox_id, wamid, status) DO UPDATE
   SET at = least(old.at, excluded.at), our_ref = greatest(old.our_ref, excluded.our_ref),
       pricing = greatest(old.pricing, excluded.pricing), errors = greatest(old.errors, excluded.errors),
       refused_at = {REFUSED_AT}, journal_id = greatest(old.journal_id, excluded.journal_id), is_waiting = true
 WHERE excluded.at < old.at OR greatest(old.our_ref, excluded.our_ref) IS DISTINCT FROM old.our_ref
    OR greatest(old.pricing, excluded.pricing) IS DISTINCT FROM old.pricing
    OR greatest(old.errors, excluded.errors) IS DISTINCT FROM old.errors
    OR excluded.refused_at IS NOT NULL AND {REFUSED_AT} IS DISTINCT FROM old.refused_at
"""


async def add_changes(conn: Connection, rows: Sequence[ChangeRow]) -> set[MessageKey]:
    """Keep edits, revokes and reactions; ``settle`` shows them on their messages. Returns what they no longer name."""
    if not rows:
        return set()
    values = {"rows": msgspec.json.encode(rows).decode(), "withheld": wording.UNAVAILABLE}
    cursor = await conn.execute(ADD_CHANGES, values)
    return {(inbox_id, wamid) for inbox_id, wamid in await cursor.fetchall()}


async def add_statuses(conn: Connection, rows: Sequence[StatusRow]) -> None:
    """Keep statuses; ``settle`` shows them on their messages."""
    if rows:
        await conn.execute(ADD_STATUSES, (msgspec.json.encode(_with_all_refusals(rows)).decode(),))


def _with_all_refusals(rows: Sequence[StatusRow]) -> list[StatusRow]:
    """The rows; what several of them tell of the failure of one message stands in each of those."""
    told: dict[tuple[int, str, int], dict[str, float]] = defaultdict(dict)
    for row in rows:
        known = told[row.inbox_id, row.wamid, row.status] if row.refused_at else {}
        for code, at in (row.refused_at or {}).items():
            known[code] = max(at, known.get(code, at))
    return [
        msgspec.structs.replace(row, refused_at=told[row.inbox_id, row.wamid, row.status]) if row.refused_at else row
        for row in rows
    ]


KEYS = "SELECT inbox_id, wamid FROM json_to_recordset(%(keys)s::json) AS k (inbox_id int, wamid text)"

ANY_WAITING = """
SELECT EXISTS (SELECT FROM message_changes WHERE is_waiting AND inbox_id = ANY(%(inboxes)s)),
       EXISTS (SELECT FROM message_statuses WHERE is_waiting AND inbox_id = ANY(%(inboxes)s))
"""

# Only the author of a message can edit or revoke it; a revoke wins over any edit by being shown first. Of reactions
# the newest of each side counts. Ties go to the greater value.
SETTLE_CHANGES = f"""
WITH woken AS (
    UPDATE message_changes w SET is_waiting = false
      FROM ({KEYS}) k JOIN messages m USING (inbox_id, wamid)
     WHERE w.is_waiting AND w.inbox_id = k.inbox_id AND w.target = k.wamid
    RETURNING w.inbox_id, w.target),
target AS (
    SELECT inbox_id, target FROM woken
     UNION
    SELECT inbox_id, wamid FROM json_to_recordset(%(left)s::json) AS l (inbox_id int, wamid text))
UPDATE messages m
   SET edited_text = e.text, edited_at = e.at, revoked_at = v.at, reactions = r.reactions
  FROM target t
  JOIN messages o ON o.inbox_id = t.inbox_id AND o.wamid = t.target
  LEFT JOIN LATERAL (SELECT text, at FROM message_changes
                      WHERE inbox_id = t.inbox_id AND target = t.target AND kind = 'edit' AND by = o.direction
                      ORDER BY at DESC, text DESC NULLS LAST LIMIT 1) e ON true
  LEFT JOIN LATERAL (SELECT min(at) AS at FROM message_changes
                      WHERE inbox_id = t.inbox_id AND target = t.target AND kind = 'revoke'
                        AND by = o.direction) v ON true
  LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('by', by, 'emoji', text, 'at', at) ORDER BY by)
                            FILTER (WHERE text IS NOT NULL) AS reactions
                       FROM (SELECT DISTINCT ON (by) by, text, at FROM message_changes
                              WHERE inbox_id = t.inbox_id AND target = t.target AND kind = 'reaction'
                              ORDER BY by, at DESC, text DESC NULLS LAST) newest) r ON true
 WHERE m.id = o.id
   AND (m.edited_text, m.edited_at, m.revoked_at, m.reactions) IS DISTINCT FROM (e.text, e.at, v.at, r.reactions)
RETURNING m.inbox_id, m.conversation_id, m.id, m.wamid
"""

SETTLE_STATUSES = f"""
WITH woken AS (
    UPDATE message_statuses w SET is_waiting = false
      FROM ({KEYS}) k JOIN messages m USING (inbox_id, wamid)
     WHERE w.is_waiting AND w.inbox_id = k.inbox_id AND w.wamid = k.wamid
    RETURNING w.inbox_id, w.wamid)
UPDATE messages m
   SET status = greatest(m.status, s.status), errors = s.errors
  FROM (SELECT DISTINCT inbox_id, wamid FROM woken) t
  CROSS JOIN LATERAL (SELECT max(status) AS status, max(errors::text)::jsonb AS errors FROM message_statuses
                       WHERE inbox_id = t.inbox_id AND wamid = t.wamid) s
 WHERE m.inbox_id = t.inbox_id AND m.wamid = t.wamid
   AND (m.status, m.errors) IS DISTINCT FROM (greatest(m.status, s.status), s.errors)
RETURNING m.inbox_id, m.conversation_id, m.id, m.wamid
"""


WAKE = f"""
WITH k AS ({KEYS}),
     changed AS (UPDATE message_changes c SET is_waiting = true
                   FROM k WHERE c.inbox_id = k.inbox_id AND c.target = k.wamid)
UPDATE message_statuses s SET is_waiting = true FROM k WHERE s.inbox_id = k.inbox_id AND s.wamid = k.wamid
"""


async def wake(conn: Connection, keys: Collection[MessageKey]) -> None:
    """Have ``settle`` show again what it showed before: a merge may have changed who wrote the message."""
    await conn.execute(WAKE, {"keys": _as_json(keys)})


async def settle(
    conn: Connection, keys: Collection[MessageKey], left: Collection[MessageKey] = ()
) -> dict[MessageKey, tuple[int, int, int]]:
    """Show on the messages ``keys`` whatever waits for them. Returns (inbox, conversation, message) ids.

    ``keys`` are the wamids that were added or named in this transaction, ``left`` those that a change no longer names.
    Statements see the rows that the transaction wrote before, and the lock keeps others from adding what would be
    missed.
    """
    if not keys:
        return {}
    changed: dict[MessageKey, tuple[int, int, int]] = {}
    inboxes = list({inbox_id for inbox_id, _ in keys})
    waiting = await (await conn.execute(ANY_WAITING, {"inboxes": inboxes})).fetchone()
    assert waiting is not None
    given: dict[str, str] = {}
    if any(waiting):  # an import has thousands of keys and seldom anything waits
        given = {"keys": _as_json(keys), "left": _as_json(left)}
    for is_waiting, statement in zip(waiting, (SETTLE_CHANGES, SETTLE_STATUSES), strict=True):
        if is_waiting:
            rows = await (await conn.execute(statement, given)).fetchall()
            changed |= {
                (inbox_id, wamid): (inbox_id, conversation_id, id_) for inbox_id, conversation_id, id_, wamid in rows
            }
    return changed


SHOW_WITHOUT = """
UPDATE message_changes c SET is_waiting = true
  FROM json_to_recordset(%s::json) AS k (inbox_id int, wamid text)
 WHERE c.inbox_id = k.inbox_id AND c.target = k.wamid
"""


async def show_without(conn: Connection, keys: Collection[MessageKey]) -> list[tuple[int, int, int]]:
    """Show these messages anew after some of their changes were removed. Returns (inbox, conversation, message) ids."""
    if not keys:
        return []
    await conn.execute(SHOW_WITHOUT, (_as_json(keys),))
    rows = await (await conn.execute(SETTLE_CHANGES, {"keys": _as_json(keys), "left": _as_json(keys)})).fetchall()
    return [(inbox_id, conversation_id, id_) for inbox_id, conversation_id, id_, _ in rows]


def _as_json(keys: Collection[MessageKey]) -> str:
    return msgspec.json.encode([{"inbox_id": inbox_id, "wamid": wamid} for inbox_id, wamid in keys]).decode()


# What waits hangs on no person: once its delivery is gone as well, nobody could tell any more whose words it holds.
GONE = """
       w.is_waiting AND CASE WHEN w.journal_id IS NULL THEN w.at < %(before)s AND w.at > 'epoch'
                             ELSE NOT EXISTS (SELECT FROM journal j WHERE j.id = w.journal_id) END
"""
FORGET_WAITING = f"""
WITH old_changes AS (
    DELETE FROM message_changes WHERE ctid = ANY(ARRAY(
           SELECT w.ctid FROM message_changes w WHERE {GONE} LIMIT %(limit)s FOR UPDATE OF w SKIP LOCKED))
    RETURNING 1),
old_statuses AS (
    DELETE FROM message_statuses WHERE ctid = ANY(ARRAY(
           SELECT w.ctid FROM message_statuses w WHERE {GONE} LIMIT %(limit)s FOR UPDATE OF w SKIP LOCKED))
    RETURNING 1)
SELECT greatest((SELECT count(*) FROM old_changes), (SELECT count(*) FROM old_statuses))
"""


async def forget_waiting(conn: Connection, before: datetime, limit: int) -> int:
    """Forget what waits for its message although its delivery is gone, at most ``limit`` of each kind.

    ``before`` counts for what came when deliveries were not noted yet: that happened before then.
    Returns how many that were of the kind with more.
    """
    row = await (await conn.execute(FORGET_WAITING, {"before": before, "limit": limit})).fetchone()
    assert row is not None
    return int(row[0])
