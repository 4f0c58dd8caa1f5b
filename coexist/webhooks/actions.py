"""What owners and admins do with webhooks."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, Forbidden
from coexist.events import feed
from coexist.people.model import Member, Role
from coexist.webhooks import rules, store
from coexist.webhooks.model import State

PER_ACCOUNT_MAX: Final = 10
"""Webhooks of one account."""
SECRET_PREFIX: Final = "cxw_"  # noqa: S105 - by which people and scanners know one
SECRET_BYTES: Final = 32
FORMER_HOURS: Final = 24
"""How long the secret before the present one signs as well."""


def check_may_keep(member: Member) -> None:
    """Raise Forbidden for an agent: where messages go is for the account's owner and admins to say."""
    if member.role == Role.AGENT:
        raise Forbidden("Only owners and admins look after webhooks.", next_step="Ask one of them.")


async def add(
    conn: Connection, keyring: Keyring, member: Member, url: str, *, tells_syncs: bool, may_be_private: bool
) -> tuple[int, str]:
    """Have a program told from now on; return the webhook's id, and its secret, which cannot be read again.

    ``may_be_private`` is the installation's setting. Raises Invalid for an address that cannot be used, Conflict for
    one more than PER_ACCOUNT_MAX.
    """
    check_may_keep(member)
    checked = rules.checked_url(url, may_be_private=may_be_private)
    if await store.count(conn, member.account_id) >= PER_ACCOUNT_MAX:
        raise Conflict(f"An account can have {PER_ACCOUNT_MAX} webhooks.", next_step="Remove one that is not needed.")
    told_to = await feed.last_id(conn, member.account_id)
    webhook_id = await store.insert(
        conn, member.account_id, checked, member.name, tells_syncs=tells_syncs, told_to=told_to
    )
    return webhook_id, await _seal_new(conn, keyring, member, webhook_id, keeps_former=False)


async def rotate(conn: Connection, keyring: Keyring, member: Member, webhook_id: int) -> str:
    """Return a new secret; the former one signs as well for FORMER_HOURS. Raises NotFound."""
    check_may_keep(member)
    return await _seal_new(conn, keyring, member, webhook_id, keeps_former=True)


async def _seal_new(conn: Connection, keyring: Keyring, member: Member, webhook_id: int, *, keeps_former: bool) -> str:
    secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    former_until = clock.now() + timedelta(hours=FORMER_HOURS) if keeps_former else None
    await store.seal_secret(conn, keyring, member.account_id, webhook_id, secret, former_until)
    return secret


async def pause(conn: Connection, member: Member, webhook_id: int) -> None:
    """Tell the program nothing until it is resumed. Raises NotFound."""
    check_may_keep(member)
    await store.set_state(conn, member.account_id, webhook_id, State.PAUSED)


async def resume(conn: Connection, member: Member, webhook_id: int) -> None:
    """Go on from where it stopped, now: also for one that is failing or disabled. Raises NotFound."""
    check_may_keep(member)
    await store.set_state(conn, member.account_id, webhook_id, State.ACTIVE)


async def test(conn: Connection, member: Member, webhook_id: int) -> None:
    """Have a worker post a test event within a second, whatever the state. Raises NotFound."""
    check_may_keep(member)
    await store.want_test(conn, member.account_id, webhook_id)


async def remove(conn: Connection, member: Member, webhook_id: int) -> None:
    """Tell the program nothing any more. Raises NotFound."""
    check_may_keep(member)
    await store.delete(conn, member.account_id, webhook_id)
