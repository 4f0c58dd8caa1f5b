"""What people do with accounts and with themselves: begin, join, sign in and out."""

from __future__ import annotations

import re
import zoneinfo
from datetime import timedelta
from typing import Final

from coexist.base.database import Connection
from coexist.base.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated
from coexist.people import passwords, sessions, store
from coexist.people.model import Account, Member, Role
from coexist.people.throttle import Throttle

NAME_CHARS: Final = 200
EMAIL_CHARS: Final = 254
EMAIL: Final = re.compile(r"[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+")
THROTTLE_WINDOW: Final = timedelta(minutes=15)
failures_by_email = Throttle(10, THROTTLE_WINDOW)
failures_by_address = Throttle(30, THROTTLE_WINDOW)


async def create_account(conn: Connection, name: str) -> Account:
    """Create a tenant. Raises Conflict when the name is taken, Invalid when it cannot be used."""
    wanted = _name(name, "account")
    account = await store.insert_account(conn, wanted)
    if account is None:
        raise Conflict(f"There is already an account named {wanted!r}.")
    return account


async def create_owner(
    conn: Connection, *, account_name: str, name: str, email: str, password: str, time_zone: str = "UTC"
) -> Member:
    """The first run: create the account and its owner. Raises Conflict when somebody owns one already.

    An account of that name which nobody belongs to yet (``coexist connect`` made it) becomes the owner's.
    """
    await store.lock_first_run(conn)
    if await store.has_owner(conn):
        raise Conflict("This installation already has an owner.", next_step="Sign in, or ask them to add you.")
    account = await store.account_by_name(conn, _name(account_name, "account"))
    if account is None:
        account = await create_account(conn, account_name)
    elif not await store.is_without_members(conn, account.id):
        raise Conflict(f"There is already an account named {account.name!r}.")
    return await add_user(
        conn, account.id, name=name, email=email, role=Role.OWNER, password=password, time_zone=time_zone
    )


async def add_user(
    conn: Connection,
    account_id: int,
    *,
    name: str,
    email: str,
    role: Role,
    password: str | None = None,
    time_zone: str = "UTC",
) -> Member:
    """Add somebody to an account; without a password they come in by a sign-in link.

    Raises Conflict when the e-mail belongs to somebody, Invalid when a value cannot be used.
    """
    address = _email(email)
    if time_zone not in zoneinfo.available_timezones():
        raise Invalid(f"{time_zone!r} is not a time zone.", next_step="Give a name such as Europe/Lisbon.")
    password_hash = None if password is None else await passwords.hashed(password)
    user_id = await store.insert_user(
        conn, email=address, name=_name(name, "person"), password_hash=password_hash, time_zone=time_zone
    )
    if user_id is None:
        raise Conflict(f"Somebody already uses the e-mail {address}.")
    await store.insert_membership(conn, account_id=account_id, user_id=user_id, role=role)
    member = await store.member(conn, user_id)
    assert member is not None
    return member


async def sign_in(
    conn: Connection, email: str, password: str, user_agent: str | None, *, address: str | None = None
) -> str:
    """Check the password and return the cookie of a new session.

    ``address`` is where the request came from. Raises Unauthenticated, the same for an unknown e-mail as for
    a wrong password, and TooMany after too many failures of this e-mail or address.
    """
    key = email.strip().lower()
    counted = [(failures_by_email, key)] + ([(failures_by_address, address)] if address else [])
    if any(failures.is_closed(each) for failures, each in counted):
        raise TooMany(
            "Too many attempts to sign in.",
            next_step=f"Wait {THROTTLE_WINDOW.seconds // 60} minutes, or use a sign-in link.",
        )
    known = await store.credentials(conn, key) if EMAIL.fullmatch(key) else None
    stored = known.password_hash if known else None
    if not await passwords.fits(password, stored) or known is None or stored is None:
        for failures, each in counted:
            failures.failed(each)
        raise Unauthenticated("This e-mail and password do not belong together.")
    failures_by_email.succeeded(key)
    if passwords.is_outdated(stored):
        await store.set_password_hash(conn, known.user_id, await passwords.hashed(password))
    return await sessions.start(conn, known.user_id, user_agent)


async def sign_out(conn: Connection, cookie: str) -> None:
    """End the session of this cookie."""
    await sessions.end(conn, cookie)


async def set_password(conn: Connection, user_id: int, password: str) -> None:
    """Give a user a new password. Every session and link of theirs ends."""
    await store.set_password_hash(conn, user_id, await passwords.hashed(password))
    await sessions.end_all(conn, user_id)


async def create_sign_in_link(conn: Connection, user_id: int, *, uses: int = 1) -> str:
    """Return a token that signs an active user in, ``uses`` times, within 24 hours. Raises NotFound for nobody."""
    if await store.member(conn, user_id) is None:
        raise NotFound("This person does not exist or may not sign in.")
    return await sessions.make_link(conn, user_id, uses=uses)


async def use_sign_in_link(conn: Connection, token: str, user_agent: str | None) -> str:
    """Spend a sign-in link and return the cookie of a new session, or raise Unauthenticated."""
    user_id = await sessions.use_link(conn, token)
    if user_id is None or await store.member(conn, user_id) is None:
        raise Unauthenticated(
            "This sign-in link was used before or is too old.",
            next_step="Ask whoever runs this installation for a new one.",
        )
    return await sessions.start(conn, user_id, user_agent)


def _name(raw: str, what: str) -> str:
    name = " ".join(raw.split())
    if not name or len(name) > NAME_CHARS or not name.isprintable():
        raise Invalid(f"The name of the {what} must have 1 to {NAME_CHARS} readable characters.")
    return name


def _email(raw: str) -> str:
    email = raw.strip().lower()
    if len(email) > EMAIL_CHARS or not EMAIL.fullmatch(email):
        raise Invalid(f"{raw.strip()[:60]!r} is not an e-mail address.")
    return email
