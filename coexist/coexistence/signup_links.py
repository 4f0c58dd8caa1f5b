"""Links with which a client connects a number of theirs, once, without being a user here."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import AppError, Invalid, NotFound
from coexist.coexistence import signup_store as store
from coexist.coexistence.signup_model import Link, Party
from coexist.people.model import Member

TOKEN_BYTES: Final = 32
NAME_CHARS: Final = 100
DAYS_MAX: Final = 30
DAYS_USUAL: Final = 7


class LinkEnded(AppError):
    """The link was good once."""

    status = 410


async def make(conn: Connection, member: Member, made_for: str, *, days: int = DAYS_USUAL) -> str:
    """Make a link for a client, ``made_for`` as the team calls them, and return its token: it is not kept here.

    Raises Invalid for a name or a number of days that cannot be used.
    """
    if not 1 <= days <= DAYS_MAX:
        raise Invalid(f"A link can be good for 1 to {DAYS_MAX} days.")
    name = _name(made_for)
    if name is None:
        raise Invalid(f"Say whom the link is for, in 1 to {NAME_CHARS} readable characters.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = clock.now() + timedelta(days=days)
    await store.insert_link(conn, member.account_id, _hash(token), name, member.user_id, expires_at)
    return token


async def find(conn: Connection, token: str) -> Link:
    """Return the link of a token, or raise: NotFound for none, LinkEnded when it was taken back or is too old.

    A link that was used is returned: whoever used it may see what became of it. So is one that became too old while
    Meta's window was open.
    """
    link = await store.link_by_hash(conn, _hash(token))
    if link is None:
        raise NotFound("This link does not exist.", next_step="Check that it was copied whole.")
    if link.revoked_at is not None:
        raise LinkEnded("This link was taken back.", next_step=f"Ask {link.account_name} for a new one.")
    if link.used_at is None and link.open_until <= clock.now():
        raise LinkEnded("This link is too old.", next_step=f"Ask {link.account_name} for a new one.")
    return link


async def revoke(conn: Connection, member: Member, link_id: int) -> None:
    """Take a link back, or raise NotFound when the account has none of this id that was not used."""
    if not await store.revoke_link(conn, member.account_id, link_id):
        raise NotFound("There is no such link to take back.", next_step="If it was used, the number is connected.")


def party_of(link: Link, person: str) -> Party:
    """Who connects a number over a link: by the name they give, else by the one that it was made for."""
    return Party(link.account_id, _name(person) or link.made_for, link_id=link.id)


def _name(raw: str) -> str | None:
    name = " ".join(raw.split())
    return name if name.isprintable() and 0 < len(name) <= NAME_CHARS else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
