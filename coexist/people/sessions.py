"""Sessions and one-time sign-in links. Only SHA-256 hashes are stored: the tokens live in browsers."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.people import store
from coexist.people.model import Member

TOKEN_BYTES: Final = 32
IDLE_DAYS: Final = 30
"""A session that nobody uses for this long ends."""
MAX_DAYS: Final = 180
"""However busy, a session ends after this long."""
TOUCH_MINUTES: Final = 10
"""How exactly the last use is kept: writing at every request would cost more than it tells."""
LINK_HOURS: Final = 24
"""How long a sign-in link can be used, once."""
USER_AGENT_CHARS: Final = 300

INSERT_SESSION = """
INSERT INTO sessions (token_hash, user_id, created_at, last_seen_at, expires_at, user_agent)
VALUES (%(hash)s, %(user_id)s, %(now)s, %(now)s, %(expires_at)s, %(user_agent)s)
"""


async def start(conn: Connection, user_id: int, user_agent: str | None) -> str:
    """Begin a session and return the cookie's value."""
    cookie = secrets.token_urlsafe(TOKEN_BYTES)
    now = clock.now()
    values = {
        "hash": _hash(cookie),
        "user_id": user_id,
        "now": now,
        "expires_at": now + timedelta(days=IDLE_DAYS),
        "user_agent": (user_agent or "").replace("\0", "")[:USER_AGENT_CHARS] or None,
    }
    await conn.execute("DELETE FROM sessions WHERE expires_at <= %s", (now,))
    await conn.execute(INSERT_SESSION, values)
    return cookie


FIND_SESSION = """
SELECT user_id, last_seen_at, created_at FROM sessions WHERE token_hash = %s AND expires_at > %s
"""


async def user_of(conn: Connection, cookie: str | None) -> Member | None:
    """Return who is signed in with this cookie, None for nobody. Using a session keeps it alive."""
    if not cookie:
        return None
    now = clock.now()
    cursor = await conn.execute(FIND_SESSION, (_hash(cookie), now))
    row = await cursor.fetchone()
    if row is None:
        return None
    user_id, last_seen_at, created_at = row
    if now - last_seen_at >= timedelta(minutes=TOUCH_MINUTES):
        expires_at = min(now + timedelta(days=IDLE_DAYS), created_at + timedelta(days=MAX_DAYS))
        await conn.execute(
            "UPDATE sessions SET last_seen_at = %s, expires_at = %s WHERE token_hash = %s",
            (now, expires_at, _hash(cookie)),
        )
    return await store.member(conn, user_id)


async def end(conn: Connection, cookie: str) -> None:
    """End the session of this cookie."""
    await conn.execute("DELETE FROM sessions WHERE token_hash = %s", (_hash(cookie),))


async def end_all(conn: Connection, user_id: int) -> None:
    """End every session of a user, and every link that could start one."""
    await conn.execute("DELETE FROM sessions WHERE user_id = %s", (user_id,))
    await conn.execute("DELETE FROM sign_in_links WHERE user_id = %s", (user_id,))


async def make_link(conn: Connection, user_id: int, *, uses: int = 1) -> str:
    """Return a token that signs the user in ``uses`` times, within LINK_HOURS."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await conn.execute(
        "INSERT INTO sign_in_links (token_hash, user_id, expires_at, uses_left) VALUES (%s, %s, %s, %s)",
        (_hash(token), user_id, clock.now() + timedelta(hours=LINK_HOURS), uses),
    )
    return token


USE_LINK = """
UPDATE sign_in_links SET uses_left = uses_left - 1
 WHERE token_hash = %(hash)s AND uses_left > 0 AND expires_at > %(now)s
RETURNING user_id
"""


async def use_link(conn: Connection, token: str) -> int | None:
    """Spend a link's token and return its user; None when it is unknown, used or too old."""
    cursor = await conn.execute(USE_LINK, {"hash": _hash(token), "now": clock.now()})
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
