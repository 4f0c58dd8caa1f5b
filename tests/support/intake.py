"""Numbers to deliver to, and deliveries put into the journal and applied, without any server."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from coexist.base.crypto import KEY_BYTES, Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.intake import worker
from coexist.intake.sealing import seal
from coexist.intake.store import append
from coexist.meta.route import lane_of

KEY: Final = b"k" * KEY_BYTES
KEYRING: Final = Keyring([KEY])
ONBOARDED_AT: Final = datetime(2026, 11, 1, tzinfo=UTC)
RECEIVED_AT: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Number:
    """A business phone number that tests connect."""

    phone_number_id: str
    display: str
    waba_id: str
    portfolio_id: str


SHOP: Final = Number("555100020003000", "5511985500101", "701122334455667", "880011223344556")
BRANCH: Final = Number("555100020003001", "5511985500102", "701122334455667", "880011223344556")


async def connect(conn: Connection, *numbers: Number, account: str = "Jardim Verde") -> int:
    """Make an account with these numbers, as rows. Returns the account's id."""
    row = await (await conn.execute("INSERT INTO accounts (name) VALUES (%s) RETURNING id", (account,))).fetchone()
    assert row is not None
    for number in numbers:
        await conn.execute(
            "INSERT INTO contact_scopes (account_id, portfolio_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (row[0], number.portfolio_id),
        )
        await conn.execute(
            """INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number,
                                    is_coexistence,
                                    onboarded_at, state_at)
               SELECT %s, id, %s, %s, %s, %s, true, %s, %s
                 FROM contact_scopes WHERE account_id = %s AND portfolio_id = %s""",
            (row[0], number.display, number.waba_id, number.phone_number_id, number.display, ONBOARDED_AT,
             ONBOARDED_AT, row[0], number.portfolio_id),
        )  # fmt: skip
        await conn.execute(
            """INSERT INTO syncs (inbox_id, kind, onboarded_at)
               SELECT id, kind, onboarded_at FROM inboxes, unnest('{contacts,history}'::sync_kind[]) AS kind
                WHERE phone_number_id = %s""",
            (number.phone_number_id,),
        )
    return int(row[0])


def body_of(*changes: dict[str, Any], waba_id: str = SHOP.waba_id) -> bytes:
    """Return one POST's body with these changes in one entry, escaped as Meta does."""
    entry = {"id": waba_id, "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


async def journal(
    pool: Pool, bodies: Iterable[bytes], *, received_at: datetime = RECEIVED_AT, at_once: bool = False
) -> None:
    """Put deliveries into the journal as the endpoint does, each in a commit of its own or all ``at_once``."""
    rows = [(received_at, lane_of(body), seal(KEYRING, body)) for body in bodies]
    for group in [rows] if at_once else [[row] for row in rows]:
        async with transaction(pool) as conn:
            await append(conn, group)


async def apply_all(pool: Pool, *, batch: int | None = None) -> None:
    """Apply the whole backlog, live before bulk, ``batch`` deliveries at a time."""
    for lane in (worker.LIVE_LANE, worker.BULK_LANE):
        while await apply_next(pool, lane, batch=batch):
            pass


async def apply_next(pool: Pool, lane: int, *, batch: int | None = None) -> int:
    """Apply the lane's next ``batch`` deliveries; return how many those were."""
    return await worker.apply_next(pool, KEYRING, lane, count=batch)


async def deliver(pool: Pool, bodies: Sequence[bytes], *, batch: int | None = None) -> None:
    """Journal and apply ``bodies``."""
    await journal(pool, bodies)
    await apply_all(pool, batch=batch)
