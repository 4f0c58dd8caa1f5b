"""A one-shot request whose answer was lost: asked for once more when a person says so, never by itself.

Nobody knows whether Meta heard of it. If it did, the second request spends nothing: Meta answers 2593107, which counts
as taken. If it did not, the chance would be lost with the 24 hours (meta-protocol 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Conflict
from coexist.coexistence import rules
from coexist.coexistence.model import SyncKind
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, inboxes
from coexist.inbox.connection import Line, State

ASKED_AGAIN: Final = "SYNC_ASKED_AGAIN"
PATIENCE: Final = timedelta(minutes=30)
"""How long what was asked for may take to arrive before its answer counts as lost."""
SAME_CLICK: Final = timedelta(minutes=1)

LOST: Final = """
   FROM inboxes i
  WHERE i.id = s.inbox_id AND i.onboarded_at = s.onboarded_at AND s.inbox_id = %(inbox_id)s
    AND i.onboarded_at > %(too_old)s AND i.is_coexistence AND i.state = 'connected'
    AND s.state IN ('requesting', 'nothing_arrived') AND s.requested_at < %(lost)s AND s.request_id IS NULL
    AND s.answered_at IS NULL AND s.asked_again_at IS NULL
"""
FIND: Final = f"SELECT s.kind::text FROM syncs s, LATERAL (SELECT s.inbox_id {LOST}) one ORDER BY s.kind"
WANT_AGAIN: Final = f"""
UPDATE syncs s
   SET state = 'not_requested', requested_at = NULL, wanted_at = %(now)s, asked_again_at = %(now)s,
       error_code = NULL, error = NULL, error_at = NULL
{LOST}
RETURNING s.kind::text
"""


async def find(conn: Connection, inbox_id: int) -> Sequence[SyncKind]:
    """Return what was asked for of a number without an answer, and may be asked for once more by a person."""
    rows = await (await conn.execute(FIND, _values(inbox_id))).fetchall()
    return [SyncKind(kind) for (kind,) in rows]


async def was_just_asked(conn: Connection, inbox_id: int) -> bool:
    """Whether somebody has had it asked for a moment ago: a second click does the same."""
    since = clock.now() - SAME_CLICK
    found = await conn.execute("SELECT FROM syncs WHERE inbox_id = %s AND asked_again_at > %s", (inbox_id, since))
    return found.rowcount > 0


async def want_again(conn: Connection, by: str, account_id: int, inbox_id: int) -> None:
    """Have what ``find`` returns asked for once more, after a look; the timeline keeps who decided so.

    Raises NotFound; Conflict when there is nothing of that kind. Needs a transaction by the caller.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    rows = await (await conn.execute(WANT_AGAIN, _values(inbox_id))).fetchall()
    if not rows:
        raise Conflict(
            "There is no request whose answer is missing for long enough, and that was not repeated yet.",
            next_step="Wait for what arrives."
            if inbox.state == State.CONNECTED
            else "Its page (Numbers > its name) says how it is connected again.",
        )
    told = {"by": by, "kinds": sorted(kind for (kind,) in rows)}
    await connection.record(conn, [Line(inbox_id, clock.now(), connection.OURS, ASKED_AGAIN, told)])
    await feed.append(conn, [NewEvent(account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox_id)])


def _values(inbox_id: int) -> dict[str, Any]:
    now = clock.now()
    return {
        "inbox_id": inbox_id,
        "now": now,
        "lost": now - PATIENCE,
        "too_old": now - timedelta(hours=rules.REQUEST_HOURS),
    }
