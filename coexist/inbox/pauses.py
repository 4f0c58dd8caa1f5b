"""When Meta asks for fewer calls: how long which of them rest, on every host alike (meta-protocol 1.4 and 1.5)."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.meta.errors import Action, codes_of

EVERYTHING: Final = ""
"""Stands for all WhatsApp Business accounts: the app itself made too many calls."""
PAUSE_LEAST_S: Final = (60, 300)
"""The pause when Meta names none, at random between the two."""
PAUSE_MAX_S: Final = 3_900
"""The longest that Meta can ask for, and a little: who seems to wait longer was told so by a wrong clock."""

PAUSE: Final = """
INSERT INTO call_pauses AS p (waba_id, code, until) VALUES (%(waba_id)s, %(code)s, %(until)s)
    ON CONFLICT (waba_id) DO UPDATE SET code = EXCLUDED.code, until = EXCLUDED.until
 WHERE EXCLUDED.until > p.until OR p.until > %(ends)s
"""


async def pause(conn: Connection, waba_id: str, code: int, wait: timedelta) -> None:
    """Ask nothing about a WhatsApp Business account, or ``EVERYTHING``, for as long as Meta wants, or a few minutes."""
    least, most = PAUSE_LEAST_S
    lasts = max(wait, timedelta(seconds=random.uniform(least, most)))  # noqa: S311
    now = clock.now()
    ends = now + timedelta(seconds=PAUSE_MAX_S)
    await conn.execute(PAUSE, {"waba_id": waba_id, "code": code, "until": min(now + lasts, ends), "ends": ends})


# Conditions of statements over inboxes i, with now as a value: both for look-ups, the second for all else.
ACCOUNT_GOES_ON: Final = f"""NOT EXISTS (
    SELECT FROM call_pauses p WHERE p.waba_id IN ('{EVERYTHING}', i.waba_id)
       AND p.until > %(now)s AND p.until <= %(now)s + interval '{PAUSE_MAX_S} seconds')"""
APP_GOES_ON: Final = f"""NOT EXISTS (
    SELECT FROM call_pauses p WHERE p.waba_id = '{EVERYTHING}'
       AND p.until > %(now)s AND p.until <= %(now)s + interval '{PAUSE_MAX_S} seconds')"""


RESTING: Final = f"""
SELECT max(p.until) FROM inboxes i JOIN call_pauses p ON p.waba_id IN ('{EVERYTHING}', i.waba_id)
 WHERE i.id = %(inbox_id)s AND p.until > %(now)s AND p.until <= %(now)s + interval '{PAUSE_MAX_S} seconds'
"""


async def resting_until(conn: Connection, inbox_id: int) -> datetime | None:
    """Return until when Meta is not asked about a number, if that is so."""
    row = await (await conn.execute(RESTING, {"inbox_id": inbox_id, "now": clock.now()})).fetchone()
    return None if row is None else row[0]


# ── one number ────────────────────────────────────────────────────────────────────────────────────────────

# A condition of statements over inboxes i, with now as a value: whether the number, and all else, may send.
NUMBER_GOES_ON: Final = f"""({APP_GOES_ON} AND NOT EXISTS (
    SELECT FROM resting_numbers r WHERE r.inbox_id = i.id
       AND r.until > %(now)s AND r.until <= %(now)s + interval '{PAUSE_MAX_S} seconds'))"""

REST: Final = f"""
INSERT INTO resting_numbers AS r (inbox_id, until) VALUES (%(inbox_id)s, %(until)s)
    ON CONFLICT (inbox_id) DO UPDATE SET until = EXCLUDED.until
 WHERE EXCLUDED.until > r.until OR r.until > %(now)s + interval '{PAUSE_MAX_S} seconds'
"""


async def rest(conn: Connection, inbox_id: int, lasts: timedelta) -> None:
    """Let a number send nothing for a while: neither what waits, nor what is written meanwhile."""
    now = clock.now()
    await conn.execute(REST, {"inbox_id": inbox_id, "until": now + lasts, "now": now})


async def end_rest(conn: Connection, inbox_id: int) -> None:
    """Let a number send again."""
    await conn.execute("DELETE FROM resting_numbers WHERE inbox_id = %s", (inbox_id,))


WAITING: Final = codes_of(
    Action.RENEW_ACCESS, Action.STOP_ACCOUNT, Action.HOLD_PAID, Action.HOLD_BUSINESS_INITIATED, Action.ASK_META
)
"""Codes with which messages wait for what the number's timeline tells."""

# Whoever settles an attempt at this moment, or gives one up, decides about it alone.
RELEASE: Final = """
UPDATE outbox SET next_attempt_at = %(now)s
 WHERE our_ref IN (SELECT our_ref FROM outbox
                    WHERE inbox_id = %(inbox_id)s AND state = 'queued' AND next_attempt_at > %(now)s
                      AND error_code = ANY(%(codes)s)
                      FOR UPDATE SKIP LOCKED)
"""


async def release(conn: Connection, inbox_id: int) -> None:
    """Let what waited for the number go at once: its access was renewed, or what stood against it is over."""
    await end_rest(conn, inbox_id)
    await conn.execute(RELEASE, {"inbox_id": inbox_id, "now": clock.now(), "codes": WAITING})


HALVINGS_MAX: Final = 4
ONE_BURST_S: Final = 5
SLOWED_S: Final = 60
"""How long each halving of a number's rate lasts."""

# The halvings that are left, as a column of a statement over inboxes i; a time from the future is a wrong clock's.
HALVINGS: Final = f"""coalesce((
    SELECT greatest(0, s.halvings - floor(extract(epoch FROM %(now)s - s.at) / {SLOWED_S}))::int
      FROM slowed_numbers s WHERE s.inbox_id = i.id AND s.at <= %(now)s + interval '{SLOWED_S} seconds'), 0)"""

SLOW: Final = f"""
INSERT INTO slowed_numbers AS s (inbox_id, halvings, at)
SELECT i.id, 1, %(at)s FROM inboxes i WHERE i.id = %(inbox_id)s
    ON CONFLICT (inbox_id) DO UPDATE SET at = EXCLUDED.at, halvings = least({HALVINGS_MAX}, 1 + (
        SELECT {HALVINGS} FROM inboxes i WHERE i.id = %(inbox_id)s))
     WHERE EXCLUDED.at > s.at + interval '{ONE_BURST_S} seconds'
        OR s.at > %(now)s + interval '{SLOWED_S} seconds'
"""


async def slow(conn: Connection, inbox_id: int, at: datetime) -> None:
    """Let a number send at half of its rate, and at half of that the next time; each minute gives one half back.

    ``at`` is when Meta said so: calls that were under way together, or a status that comes twice, count once.
    """
    await conn.execute(SLOW, {"inbox_id": inbox_id, "at": at, "now": clock.now()})
