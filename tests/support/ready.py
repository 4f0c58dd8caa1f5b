"""Everything in order for the one chance to sync: in rows, or as Meta, our webhook and a worker would have it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from coexist.base import clock
from coexist.base.crypto import verify_signature
from coexist.base.database import Connection, Pool, transaction
from coexist.coexistence import checks_store
from coexist.coexistence.checks import VERIFIED
from coexist.coexistence.checks_rules import NEEDED_FIELDS
from tests.support import intake
from tests.support.scripted_graph import ScriptedGraph

WORKER: Final = UUID("7f1c0000-0000-4000-8000-0000000000aa")
ROOM_BYTES: Final = 50 * 1024**3

PASSED: Final = """
INSERT INTO preflights (inbox_id, onboarded_at, checked_at, checks, is_waiting, passed_until)
SELECT id, onboarded_at, now(), '[]', false, now() + interval '10 years' FROM inboxes
    ON CONFLICT (inbox_id) DO UPDATE SET onboarded_at = EXCLUDED.onboarded_at, passed_until = EXCLUDED.passed_until
"""


async def passed(conn: Connection) -> None:
    """Have every number looked at, as it is onboarded now, and all found in order."""
    await conn.execute(PASSED)


@dataclass
class Ready:
    """Meta as scripted and our own address, beside it, both as they should be until a test changes something."""

    pool: Pool
    scripted: ScriptedGraph
    app_id: str
    waba_id: str
    secret: bytes = b"secret"
    fields: list[str] = field(default_factory=lambda: list(NEEDED_FIELDS))
    applies: bool = True

    async def begin(self) -> None:
        """Let Meta have verified the address, a worker run, and everything be subscribed."""
        async with transaction(self.pool) as conn:
            await checks_store.saw(conn, {VERIFIED: clock.now()})
        await self.beat()
        self.scripted.webhook = self.receive
        self.subscribe(self.app_id)
        self.tick(*self.fields)

    async def beat(self, **told: Any) -> None:
        """A worker's sign of life."""
        async with transaction(self.pool) as conn:
            await checks_store.beat(conn, WORKER, "host-1", "0.1.0", clock.now(), **{"free_bytes": ROOM_BYTES, **told})

    def tick(self, *fields: str, callback_url: str | None = None) -> None:
        """The fields that the app's dashboard has ticked from now on, and where they go."""
        told = {
            "object": "whatsapp_business_account",
            "callback_url": callback_url or f"{self.scripted.address}/webhook",
            "active": True,
            "fields": [{"name": name, "version": "v25.0"} for name in fields],
        }
        self.scripted.files["subscriptions"] = ({"data": [told]}, b"")

    def subscribe(self, *app_ids: str, override: str | None = None) -> None:
        """The apps that the WhatsApp account sends its webhooks to from now on."""
        more = {"override_callback_uri": override} if override else {}
        data = [{"whatsapp_business_api_data": {"id": app_id, "name": "Ours"}, **more} for app_id in app_ids]
        self.scripted.files["subscribed_apps"] = ({"data": data}, b"")

    async def receive(self, body: bytes, signature: str | None) -> int:
        """Our webhook and a worker in one."""
        if not verify_signature([self.secret], body, signature):
            return 401
        await intake.journal(self.pool, [body], received_at=clock.now())
        if self.applies:
            await asyncio.shield(intake.apply_all(self.pool))
        return 200
