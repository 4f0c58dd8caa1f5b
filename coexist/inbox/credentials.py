"""The access token of an inbox, sealed in its row."""

from __future__ import annotations

from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection


async def token_of(conn: Connection, keyring: Keyring, inbox_id: int) -> str | None:
    """Return the inbox's access token, None when it has none. Raises SecretUnreadable."""
    cursor = await conn.execute("SELECT token FROM inboxes WHERE id = %s", (inbox_id,))
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return None
    return keyring.decrypt(row[0], row=row_of(inbox_id)).decode()


async def unreadable(conn: Connection, keyring: Keyring) -> list[int]:
    """Return the inboxes whose token this keyring cannot open: another host sealed it with a key of its own."""
    found = []
    rows = await (await conn.execute("SELECT id, token FROM inboxes WHERE token IS NOT NULL ORDER BY id")).fetchall()
    for inbox_id, sealed in rows:
        try:
            keyring.decrypt(sealed, row=row_of(inbox_id))
        except SecretUnreadable:
            found.append(int(inbox_id))
    return found


async def seal_token(conn: Connection, keyring: Keyring, inbox_id: int, token: str) -> None:
    """Keep a new access token for the inbox."""
    sealed = keyring.encrypt(token.encode(), row=row_of(inbox_id))
    await conn.execute("UPDATE inboxes SET token = %s WHERE id = %s", (sealed, inbox_id))


def row_of(inbox_id: int) -> str:
    """What a token is sealed for."""
    return f"inbox:{inbox_id}:token"
