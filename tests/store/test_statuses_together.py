"""Statuses that say different parts of one thing: however they come together, all parts are kept."""

import itertools
from typing import Any, Final
from uuid import UUID

import pytest

from coexist.base.database import Pool, transaction
from coexist.meta.model import OUR_REF_PREFIX
from tests.support import intake, wire
from tests.support.intake import SHOP, body_of

PHONE: Final = "351910559122"
REFS: Final = [UUID(int=1), UUID(int=2)]
PRICING: Final = {"billable": True, "pricing_model": "PMP", "category": "utility"}
PARTS: Final[list[dict[str, Any]]] = [
    {"biz_opaque_callback_data": f"{OUR_REF_PREFIX}{REFS[0]}"},
    {"biz_opaque_callback_data": f"{OUR_REF_PREFIX}{REFS[1]}"},
    {"pricing": PRICING},
    {"errors": [{"code": 131049, "title": "not delivered"}]},
]


@pytest.mark.requirement("C2", "D13")
@pytest.mark.parametrize("at_once", [True, False])
async def test_every_part_is_kept_in_any_order_and_batching(pool: Pool, at_once: bool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    orders = list(itertools.permutations(PARTS))
    for number, order in enumerate(orders):
        told = [body_of(wire.status(f"wamid.{number}", 5, "failed", phone=PHONE, **part)) for part in order]
        await intake.deliver(pool, told, batch=None if at_once else 1)
    async with pool.connection() as conn:
        rows = await (await conn.execute("SELECT DISTINCT our_ref, pricing, errors FROM message_statuses")).fetchall()
    ((our_ref, pricing, errors),) = rows
    assert (our_ref, errors[0]["code"]) == (REFS[1], 131049)
    assert PRICING.items() <= pricing.items()


async def test_what_comes_again_tells_of_no_change(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    first = body_of(wire.message("wamid.1", 1, wire.text("Oi"), phone=PHONE))
    second = body_of(wire.message("wamid.2", 2, wire.reaction("wamid.1", "👍"), phone=PHONE))
    await intake.deliver(pool, [first, second])
    async with pool.connection() as conn:
        count = "SELECT count(*) FROM events WHERE kind IN ('message_changed', 'conversation_changed')"
        before = await (await conn.execute(count)).fetchone()
        await intake.deliver(pool, [first])
        assert await (await conn.execute(count)).fetchone() == before
