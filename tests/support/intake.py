"""Numbers to deliver to, and deliveries put into the journal and applied, without any server."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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


CONNECT: Final = """
WITH told AS (
    SELECT * FROM json_to_recordset(%(numbers)s::json) AS t (
        account text, phone_number_id text, display text, waba_id text, portfolio_id text)),
account AS (INSERT INTO accounts (name) SELECT DISTINCT account FROM told ORDER BY 1 RETURNING id, name),
scope AS (
    INSERT INTO contact_scopes (account_id, portfolio_id)
    SELECT DISTINCT a.id, t.portfolio_id FROM told t JOIN account a ON a.name = t.account ORDER BY 1, 2
    RETURNING id, account_id, portfolio_id),
inbox AS (
    INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number,
                         is_coexistence, onboarded_at, state_at)
    SELECT a.id, s.id, t.display, t.waba_id, t.phone_number_id, t.display, true, %(at)s, %(at)s
      FROM told t
      JOIN account a ON a.name = t.account
      JOIN scope s ON s.account_id = a.id AND s.portfolio_id = t.portfolio_id
     ORDER BY t.phone_number_id
    RETURNING id),
sync AS (
    INSERT INTO syncs (inbox_id, kind, onboarded_at)
    SELECT id, kind, %(at)s FROM inbox, unnest('{contacts,history}'::sync_kind[]) AS kind)
SELECT name, id FROM account
"""


async def connect(conn: Connection, *numbers: Number, account: str = "Jardim Verde") -> int:
    """Make an account with these numbers, as rows. Returns the account's id."""
    return (await connect_each(conn, {account: numbers}))[account]


async def connect_each(conn: Connection, numbers: Mapping[str, Iterable[Number]]) -> dict[str, int]:
    """Make accounts, by their names, with these numbers each, in one statement. Returns the ids of the accounts."""
    rows = [{"account": account, **asdict(number)} for account, of_it in numbers.items() for number in of_it]
    cursor = await conn.execute(CONNECT, {"numbers": json.dumps(rows), "at": ONBOARDED_AT})
    return {account: int(id_) for account, id_ in await cursor.fetchall()}


def body_of(*changes: dict[str, Any], waba_id: str = SHOP.waba_id) -> bytes:
    """Return one POST's body with these changes in one entry, escaped as Meta does."""
    entry = {"id": waba_id, "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


async def journal(
    pool: Pool,
    bodies: Iterable[bytes],
    *,
    received_at: datetime = RECEIVED_AT,
    at_once: bool = False,
    keyring: Keyring = KEYRING,
) -> None:
    """Put deliveries into the journal as the endpoint does, each in a commit of its own or all ``at_once``."""
    each = list(bodies)
    for group in [each] if at_once else [[body] for body in each]:
        async with transaction(pool) as conn:
            await append(conn, received_at, [lane_of(body) for body in group], [seal(keyring, body) for body in group])


async def apply_all(pool: Pool, *, batch: int | None = None) -> None:
    """Apply the whole backlog, live before bulk, ``batch`` deliveries at a time."""
    for lane in (worker.LIVE_LANE, worker.BULK_LANE):
        while await apply_next(pool, lane, batch=batch):
            pass


async def apply_next(pool: Pool, lane: int, *, batch: int | None = None, keyring: Keyring = KEYRING) -> int:
    """Apply the lane's next ``batch`` deliveries; return how many those were."""
    return await worker.apply_next(pool, keyring, lane, count=batch)


async def deliver(pool: Pool, bodies: Sequence[bytes], *, batch: int | None = None) -> None:
    """Journal and apply ``bodies``."""
    await journal(pool, bodies)
    await apply_all(pool, batch=batch)
