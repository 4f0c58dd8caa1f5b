"""Templates as Meta lists them, and messages written with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Raw

from coexist.base import clock
from coexist.base.database import Pool, in_transaction, transaction
from coexist.meta.answers import Template as Listed
from coexist.outbound import actions
from coexist.outbound.templates import send_template
from coexist.templates import store
from coexist.templates.model import Template
from tests.support.business import KEYRING, Business, conversation_of, deliver, inbound, open_business

READY: Final = "order_ready"
BODY: Final = {
    "type": "BODY",
    "text": "Olá {{1}}, o pedido {{2}} está pronto.",
    "example": {"body_text": [["Ana", "7"]]},
}
VALUES: Final = {"body.1": "Rui", "body.2": "1042"}


def listed(name: str = READY, **other: Any) -> Listed:
    """A template as Graph lists it: approved, utility, with two places in its body, unless told otherwise."""
    components = other.pop("components", [BODY])
    told: dict[str, Any] = {
        "id": "9007199254740993", "language": "pt_PT", "status": "APPROVED", "category": "UTILITY",
        "parameter_format": "POSITIONAL", **other,
    }  # fmt: skip
    return Listed(name=name, components=Raw(msgspec.json.encode(components)), **told)


async def open_closed(pool: Pool) -> Business:
    """A number to which a customer wrote two days ago: the window is closed."""
    opened = await open_business(pool)
    await two_days_ago(opened)
    return opened


async def tell(business: Business, event: str) -> None:
    """Meta tells by webhook, now, what became of the template."""
    value = {"event": event, "message_template_name": READY, "message_template_language": "pt-PT"}
    await deliver(business.pool, {"field": "message_template_status_update", "value": value})


async def problem(business: Business) -> str:
    """What stands beside the only message in line."""
    async with business.pool.connection() as conn:
        row = await (await conn.execute("SELECT error FROM outbox")).fetchone()
    return "" if row is None else row[0] or ""


async def retry(business: Business, message_id: int) -> int:
    """Send a message again."""
    return await in_transaction(business.pool, lambda conn: actions.retry(conn, KEYRING, business.member, message_id))


async def keep(business: Business, *told: Listed, waba_id: str = "", at: datetime | None = None) -> None:
    """Have Meta list these templates, an hour ago unless told otherwise."""
    key = (business.member.account_id, waba_id or business.inbox.waba_id)
    async with transaction(business.pool) as conn:
        await store.keep_list(conn, key, told, at or clock.now() - timedelta(hours=1))


async def templates(business: Business, waba_id: str = "") -> Sequence[Template]:
    """What is known of the templates."""
    async with business.pool.connection() as conn:
        return await store.of_waba(conn, business.member.account_id, waba_id or business.inbox.waba_id)


async def write(
    business: Business,
    conversation_id: int,
    values: Mapping[str, str] = VALUES,
    *,
    name: str = READY,
    waba_id: str = "",
    our_ref: UUID | None = None,
) -> int:
    """Write to the customer with a template; return the message's id."""
    (template,) = [each for each in await templates(business, waba_id) if each.name == name]

    async def work(conn: Any) -> int:
        return await send_template(
            conn, KEYRING, business.member, conversation_id, template.id, values,
            our_ref=our_ref or uuid4(), revision=template.revision,
        )  # fmt: skip

    return await in_transaction(business.pool, work)


async def write_listed(business: Business) -> int:
    """Write to the only customer with a template that Meta lists."""
    await keep(business, listed())
    return await write(business, await conversation_of(business.pool))


ASKED: Final = """
INSERT INTO template_lists (account_id, waba_id, since, next_at, listed_at, problem)
VALUES (%s, %s, now(), now() + interval '5 hours', CASE WHEN %s THEN now() - interval '1 hour' END, %s)
"""


async def asked(business: Business, problem: str | None = None, *, was_listed: bool = True) -> None:
    """Meta was asked for the list an hour ago, and is asked again in five; what it did not answer is ``problem``."""
    async with transaction(business.pool) as conn:
        await conn.execute(ASKED, (business.member.account_id, business.inbox.waba_id, was_listed, problem))


async def two_days_ago(business: Business) -> None:
    """A customer wrote two days ago, to a number that was there already: the window is closed."""
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET onboarded_at = now() - interval '9 days'")
    await deliver(business.pool, inbound("wamid.A", "Bom dia", at=clock.now() - timedelta(days=2)))
