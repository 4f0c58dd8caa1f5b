"""A connected number with its owner and one customer who has just written: where most store tests begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.coexistence import actions
from coexist.inbox.inboxes import Inbox
from coexist.intake.worker import BULK_LANE, LIVE_LANE, apply_next
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support import intake
from tests.support.ready import passed

KEYRING = intake.KEYRING
NUMBER, WABA, DISPLAY = "555100020003000", "701122334455667", "351210559000"
PHONE, BSUID = "351910559111", "PT.40010020030040050"
TOKEN = "EAAinvented"


@dataclass(frozen=True)
class Business:
    """One account with one coexistence number."""

    pool: Pool
    inbox: Inbox
    member: Member


async def open_business(pool: Pool, *, onboarded_at: datetime | None = None) -> Business:
    """Make the account, its owner and its number, connected an hour ago unless told otherwise."""
    async with transaction(pool) as conn:
        account = await people.create_account(conn, "Ótica Duarte")
        member = await people.add_user(conn, account.id, name="Inês Duarte", email="ines@example.com", role=Role.OWNER)
        inbox = await actions.connect(
            conn,
            KEYRING,
            account_id=account.id,
            waba_id=WABA,
            phone_number_id=NUMBER,
            display_phone_number=DISPLAY,
            token=TOKEN,
            is_coexistence=True,
            onboarded_at=onboarded_at or clock.now() - timedelta(hours=1),
        )
        await passed(conn)
    return Business(pool, inbox, member)


def change(field: str, **value: Any) -> dict[str, Any]:
    """One change of a webhook about the number."""
    metadata = {"display_phone_number": DISPLAY, "phone_number_id": NUMBER}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def inbound(
    wamid: str, text: str, *, phone: str | None = PHONE, bsuid: str | None = None, at: datetime | None = None
) -> dict[str, Any]:
    """A text message of a customer, sent now unless told otherwise."""
    ids = {"from": phone, "from_user_id": bsuid}
    person = {"wa_id": phone, "user_id": bsuid}
    message = {"id": wamid, "timestamp": _seconds(at), "type": "text", "text": {"body": text}}
    return change(
        "messages",
        contacts=[{"profile": {"name": "Rui"}, **{key: value for key, value in person.items() if value}}],
        messages=[{**message, **{key: value for key, value in ids.items() if value}}],
    )


def status(
    wamid: str, name: str, *, our_ref: str | None = None, errors: Sequence[Any] = (), at: datetime | None = None
) -> dict[str, Any]:
    """What became of a message of ours, now unless told otherwise."""
    told: dict[str, Any] = {"id": wamid, "status": name, "timestamp": _seconds(at), "recipient_id": PHONE}
    if our_ref:
        told["biz_opaque_callback_data"] = our_ref
    if errors:
        told["errors"] = list(errors)
    return change("messages", statuses=[told])


def echo(wamid: str, text: str, *, at: datetime | None = None) -> dict[str, Any]:
    """A text message written on the phone, now unless told otherwise."""
    message = {"from": DISPLAY, "to": PHONE, "id": wamid, "timestamp": _seconds(at), "type": "text"}
    return change("smb_message_echoes", message_echoes=[{**message, "text": {"body": text}}])


def _seconds(at: datetime | None) -> str:
    return str(int((at or clock.now()).timestamp()))


async def deliver(pool: Pool, *changes: dict[str, Any], at: datetime | None = None) -> None:
    """Journal each change as a delivery of its own, received now and made at ``at``, and apply what waits."""
    made = {} if at is None else {"time": int(at.timestamp())}
    async with transaction(pool) as conn:
        for each in changes:
            entry = {"id": WABA, **made, "changes": [each]}
            body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
            await conn.execute(
                "WITH j AS (INSERT INTO journal (received_at, body) VALUES (%s, %s) RETURNING id)"
                " INSERT INTO backlog SELECT 0, id FROM j",
                (datetime.now(UTC), body),
            )
    for lane in (LIVE_LANE, BULK_LANE):
        while await apply_next(pool, KEYRING, lane):
            pass


async def conversation_of(pool: Pool, name: str = "") -> int:
    """The id of the only conversation, or of the one with this peer."""
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT DISTINCT conversation_id FROM messages WHERE %s IN ('', peer)", (name,))
        rows = await cursor.fetchall()
    assert len(rows) == 1
    return int(rows[0][0])
