"""Inboxes: our face of one business phone number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from coexist.base.errors import NotFound


@dataclass(frozen=True, slots=True)
class Inbox:
    """One business phone number as connected. ``sync_enabled`` already includes the account's switch."""

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
    sync_enabled: bool
    keep_open_days: int


COLUMNS = """
SELECT i.id, i.account_id, i.scope_id, i.name, i.waba_id, i.phone_number_id, i.display_phone_number, i.verified_name,
       i.is_coexistence, i.onboarded_at, i.state::text, i.state_reason, i.state_initiated_by, i.state_at,
       i.sync_enabled AND a.sync_enabled AS sync_enabled, i.keep_open_days
  FROM inboxes i JOIN accounts a ON a.id = i.account_id
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


async def get(conn: AsyncConnection[Any], account_id: int, inbox_id: int) -> Inbox:
    """Return one inbox of the account, or raise NotFound: another account's inbox does not exist here."""
    async with conn.cursor(row_factory=class_row(Inbox)) as cursor:
        await cursor.execute(COLUMNS + "WHERE i.account_id = %s AND i.id = %s", (account_id, inbox_id))
        inbox = await cursor.fetchone()
    if inbox is None:
        raise NotFound("This inbox does not exist, or it belongs to another account.")
    return inbox
