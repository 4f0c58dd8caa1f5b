"""Inboxes: our face of one business phone number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from coexist.base.errors import NotFound
from coexist.inbox.restrictions import HOLDING
from coexist.inbox.switches import EVERYTHING, Switch


@dataclass(frozen=True, slots=True)
class Inbox:
    """One business phone number as connected. ``switched_off``: what its own or the account's switch leaves out.

    ``standing_codes``: errors with which Meta refused to send, until that is over. ``begins_held_until``,
    ``replies_held_until``, ``utility_held_until``: until then it may not begin conversations, answer in them, or send
    utility templates; None and the past: it may.
    Deliveries up to ``journal_from``, and what happened before ``owned_from``, were another account's. ``is_moved``:
    the number is another account's now, and only the chats so far are here.
    """

    id: int
    account_id: int
    scope_id: int
    name: str
    waba_id: str
    phone_number_id: str
    display_phone_number: str
    verified_name: str | None
    is_coexistence: bool
    onboarded_at: datetime
    state: str
    state_reason: str | None
    state_initiated_by: str | None
    state_at: datetime
    switched_off: Sequence[str]
    keep_open_days: int
    standing_codes: Sequence[int]
    begins_held_until: datetime | None
    replies_held_until: datetime | None
    utility_held_until: datetime | None
    echo_effect: str
    journal_from: int
    owned_from: datetime | None
    is_moved: bool

    @property
    def held_until(self) -> dict[str, datetime | None]:
        """Until when Meta keeps the number from what, by Meta's word for it (``restrictions``)."""
        until = (self.begins_held_until, self.replies_held_until, self.utility_held_until)
        return dict(zip(HOLDING, until, strict=True))

    def takes(self, switch: Switch) -> bool:
        """Whether contacts, history or files of this number are taken in."""
        return switch not in self.switched_off

    def within(self, installation: frozenset[Switch]) -> Inbox:
        """The same number in an installation that takes in no more than this."""
        if installation == EVERYTHING:
            return self
        return replace(self, switched_off=[*self.switched_off, *(EVERYTHING - installation)])


COLUMNS = """
SELECT i.id, i.account_id, i.scope_id, i.name, i.waba_id, i.phone_number_id, i.display_phone_number, i.verified_name,
       i.is_coexistence, i.onboarded_at, i.state::text, i.state_reason, i.state_initiated_by, i.state_at,
       ARRAY(SELECT o.kind::text FROM switched_off o
              WHERE o.account_id = i.account_id AND (o.inbox_id IS NULL OR o.inbox_id = i.id)) AS switched_off,
       i.keep_open_days, i.standing_codes, i.begins_held_until, i.replies_held_until, i.utility_held_until,
       i.echo_effect::text,
       i.journal_from, i.owned_from, i.moved_number IS NOT NULL AS is_moved
  FROM inboxes i
"""


async def by_phone_number_ids(conn: AsyncConnection[Any], phone_number_ids: Collection[str]) -> dict[str, Inbox]:
    """Return the connected inboxes among ``phone_number_ids``, keyed by phone_number_id."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "WHERE i.phone_number_id = ANY(%s)", (list(phone_number_ids),))
        return {inbox.phone_number_id: inbox for inbox in await cursor.fetchall()}


async def of_wabas(conn: AsyncConnection[Any], waba_ids: Collection[str]) -> Sequence[Inbox]:
    """Return every inbox of the given WABAs: what names a WABA may concern several numbers (G2)."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "WHERE i.waba_id = ANY(%s) ORDER BY i.id", (list(waba_ids),))
        return await cursor.fetchall()


async def of_account(conn: AsyncConnection[Any], account_id: int) -> Sequence[Inbox]:
    """Return an account's inboxes, oldest first."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "WHERE i.account_id = %s ORDER BY i.id", (account_id,))
        return await cursor.fetchall()


async def of_installation(conn: AsyncConnection[Any]) -> Sequence[Inbox]:
    """Return every inbox of every account, for whoever runs the installation, oldest first."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "ORDER BY i.id")
        return await cursor.fetchall()


async def get(conn: AsyncConnection[Any], account_id: int, inbox_id: int) -> Inbox:
    """Return one inbox of the account, or raise NotFound: another account's inbox does not exist here."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "WHERE i.account_id = %s AND i.id = %s", (account_id, inbox_id))
        inbox = await cursor.fetchone()
    if inbox is None:
        raise NotFound("This inbox does not exist, or it belongs to another account.")
    return inbox
