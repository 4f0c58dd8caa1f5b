"""All SQL of accounts, users and memberships."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from psycopg.rows import class_row

from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.people.model import Account, Credentials, Member

ACCOUNT: Final = "SELECT id, name, keep_open_days, created_at FROM accounts "


async def accounts(conn: Connection) -> Sequence[Account]:
    """Return every account, oldest first."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(ACCOUNT + "ORDER BY id")
        return await cursor.fetchall()


async def account_by_id(conn: Connection, account_id: int) -> Account | None:
    """Return the account with this id."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(ACCOUNT + "WHERE id = %s", (account_id,))
        return await cursor.fetchone()


async def account_by_name(conn: Connection, name: str) -> Account | None:
    """Return the account of this name, in whatever case it is written."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(ACCOUNT + "WHERE lower(name) = lower(%s)", (name,))
        return await cursor.fetchone()


async def find_account(conn: Connection, name_or_id: str) -> Account:
    """Return the account of this name, else the one with this id; NotFound names those that exist."""
    account = await account_by_name(conn, name_or_id)
    if account is None and re.fullmatch("[0-9]{1,9}", name_or_id):
        account = await account_by_id(conn, int(name_or_id))
    if account is None:
        known = ", ".join(repr(each.name) for each in await accounts(conn))
        raise NotFound(f"There is no account {name_or_id!r}.", next_step=f"Accounts: {known or 'none yet'}.")
    return account


INSERT_ACCOUNT = """
INSERT INTO accounts (name) VALUES (%s)
ON CONFLICT ((lower(name))) DO NOTHING
RETURNING id, name, keep_open_days, created_at
"""


async def insert_account(conn: Connection, name: str) -> Account | None:
    """Insert an account; None when the name is taken."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(INSERT_ACCOUNT, (name,))
        return await cursor.fetchone()


async def has_owner(conn: Connection) -> bool:
    """Whether anybody owns an account: if not, the first run is still to be done."""
    cursor = await conn.execute("SELECT EXISTS (SELECT FROM memberships WHERE role = 'owner')")
    return await cursor.fetchone() == (True,)


FIRST_RUN_LOCK: Final = 0x4F574E52  # "OWNR": two first runs at once make one owner


async def lock_first_run(conn: Connection) -> None:
    """Hold, until the end of the transaction, the right to make the first owner."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (FIRST_RUN_LOCK,))


async def is_without_members(conn: Connection, account_id: int) -> bool:
    """Whether nobody belongs to the account yet."""
    cursor = await conn.execute("SELECT NOT EXISTS (SELECT FROM memberships WHERE account_id = %s)", (account_id,))
    return await cursor.fetchone() == (True,)


INSERT_USER = """
INSERT INTO users (email, name, password_hash, time_zone) VALUES (%s, %s, %s, %s)
ON CONFLICT (email) DO NOTHING
RETURNING id
"""


async def insert_user(
    conn: Connection, *, email: str, name: str, password_hash: str | None, time_zone: str
) -> int | None:
    """Insert a user and return the id; None when the e-mail is taken."""
    cursor = await conn.execute(INSERT_USER, (email, name, password_hash, time_zone))
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def insert_membership(conn: Connection, *, account_id: int, user_id: int, role: str) -> None:
    """Let the user belong to the account; an existing membership takes the role."""
    await conn.execute(
        "INSERT INTO memberships (account_id, user_id, role) VALUES (%s, %s, %s)"
        " ON CONFLICT (account_id, user_id) DO UPDATE SET role = EXCLUDED.role",
        (account_id, user_id, role),
    )


MEMBER: Final = """
SELECT u.id AS user_id, m.account_id, u.name, u.email, m.role::text, u.time_zone
  FROM users u JOIN memberships m ON m.user_id = u.id
 WHERE u.is_active
"""


async def member(conn: Connection, user_id: int) -> Member | None:
    """Return the active user in the account they joined first."""
    async with conn.cursor(row_factory=class_row(Member)) as cursor:
        await cursor.execute(MEMBER + "AND u.id = %s ORDER BY m.created_at, m.account_id LIMIT 1", (user_id,))
        return await cursor.fetchone()


async def members(conn: Connection, account_id: int | None = None) -> Sequence[Member]:
    """Return the active members of one account, or of all, in the order of accounts and names."""
    async with conn.cursor(row_factory=class_row(Member)) as cursor:
        await cursor.execute(
            MEMBER + "AND (%(id)s::int IS NULL OR m.account_id = %(id)s) ORDER BY m.account_id, u.name, u.id",
            {"id": account_id},
        )
        return await cursor.fetchall()


async def credentials(conn: Connection, email: str) -> Credentials | None:
    """Return what signing in with this e-mail compares; only of active users who belong to an account."""
    async with conn.cursor(row_factory=class_row(Credentials)) as cursor:
        await cursor.execute(
            "SELECT id AS user_id, password_hash FROM users u WHERE email = %s AND is_active"
            " AND EXISTS (SELECT FROM memberships m WHERE m.user_id = u.id)",
            (email,),
        )
        return await cursor.fetchone()


async def set_password_hash(conn: Connection, user_id: int, password_hash: str) -> None:
    """Replace a user's password hash."""
    await conn.execute("UPDATE users SET password_hash = %s WHERE id = %s", (password_hash, user_id))
