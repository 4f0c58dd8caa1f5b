"""A number that goes from one account of the installation to another, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import actions
from coexist.inbox import connection
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.intake.worker import apply_next
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.business import DISPLAY, KEYRING, NUMBER, TOKEN, WABA, Business, open_business
from tests.support.hearing import ask
from tests.support.outbox import write

BEFORE: Final = timedelta(hours=30)
"""How long before now the former account wrote and read; it was disconnected a day ago."""
STRANGER: Final = "351910559122"


@dataclass
class Two:
    """The account that had the number, and the one that gets it."""

    former: Business
    taker: Member
    since: datetime
    inbox: Inbox | None = None

    @property
    def pool(self) -> Pool:
        return self.former.pool

    async def move(self) -> Inbox:
        """The number is signed up for the other account."""
        async with transaction(self.pool) as conn:
            self.inbox = await actions.connect(
                conn, KEYRING, account_id=self.taker.account_id, waba_id=WABA, phone_number_id=NUMBER,
                display_phone_number=DISPLAY, token=TOKEN, is_coexistence=True, onboarded_at=self.since,
            )  # fmt: skip
        return self.inbox

    async def whose(self) -> Mapping[str, int]:
        """The messages with a wamid, each with its inbox."""
        rows = await ask(self.pool, "SELECT wamid, inbox_id FROM messages WHERE wamid IS NOT NULL")
        return dict(rows)

    async def wrote(self) -> None:
        """The former account has written something, while it could."""
        await ask(self.pool, "UPDATE inboxes SET state = 'connected' RETURNING 1")
        await ask(self.pool, "UPDATE conversations SET window_opened_at = now() RETURNING 1")
        await write(self.former)
        await ask(self.pool, "UPDATE inboxes SET state = 'removed' RETURNING 1")

    async def apply(self) -> None:
        for lane in (0, 1):
            while await apply_next(self.pool, KEYRING, lane):
                pass


async def open_two(pool: Pool) -> Two:
    """One account has the number and was disconnected a day ago; another signs it up now."""
    now = clock.now()
    business = await open_business(pool, onboarded_at=now - timedelta(days=3))
    async with transaction(pool) as conn:
        account = await people.create_account(conn, "Another")
        taker = await people.add_user(conn, account.id, name="Rui", email="rui@example.com", role=Role.OWNER)
        gone = Line(business.inbox.id, now - timedelta(days=1), "account_update", "PARTNER_REMOVED", {})
        await connection.record(conn, [gone])
        await connection.refresh(conn, [business.inbox.id])
    return Two(business, taker, now - timedelta(minutes=5))


async def journaled(two: Two, *changes: dict[str, Any], age: timedelta) -> None:
    """Deliveries that wait, received so long ago."""
    async with transaction(two.pool) as conn:
        for each in changes:
            body = msgspec.json.encode(
                {"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [each]}]}
            )
            await conn.execute(
                "WITH j AS (INSERT INTO journal (received_at, body) VALUES (%s, %s) RETURNING id)"
                " INSERT INTO backlog SELECT 0, id FROM j",
                (clock.now() - age, body),
            )
