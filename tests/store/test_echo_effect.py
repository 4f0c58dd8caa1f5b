"""What an answer on the phone makes of its conversation is chosen for each number."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, open_pool, transaction
from coexist.base.errors import NotFound
from coexist.inbox import actions
from coexist.inbox.echoes import EchoEffect, choose
from tests.support import databases, wire
from tests.support.business import PHONE, Business, conversation_of, deliver, echo, inbound, open_business

BY: Final = "Inês Duarte"
LEAVE, REOPEN, RESOLVE = EchoEffect


async def state(pool: Pool) -> str:
    """Of the only conversation."""
    async with pool.connection() as conn:
        ((found,),) = await (await conn.execute("SELECT state::text FROM conversations")).fetchall()
    return str(found)


async def chosen(business: Business, effect: EchoEffect) -> None:
    async with transaction(business.pool) as conn:
        await choose(conn, BY, business.member.account_id, business.inbox.id, effect)


async def resolve(business: Business) -> None:
    async with transaction(business.pool) as conn:
        await actions.resolve(conn, business.member, await conversation_of(business.pool))


def at(minutes: int) -> datetime:
    """So many minutes from now."""
    return clock.now() + timedelta(minutes=minutes)


@pytest.mark.requirement("E4")
@pytest.mark.parametrize(
    ("effect", "answered", "was_resolved"),
    [(LEAVE, "open", "resolved"), (REOPEN, "open", "open"), (RESOLVE, "resolved", "resolved")],
)
async def test_an_echo_does_what_was_chosen_and_the_customer_opens_again(
    pool: Pool, effect: EchoEffect, answered: str, was_resolved: str
) -> None:
    business = await open_business(pool)
    await chosen(business, effect)
    await deliver(pool, inbound("wamid.1", "Tem jiboia?", at=at(1)))
    assert await state(pool) == "open"
    await deliver(pool, echo("wamid.2", "Tem", at=at(2)))
    assert await state(pool) == answered
    await deliver(pool, inbound("wamid.3", "Quanto custa?", at=at(3)))
    assert await state(pool) == "open"
    await resolve(business)
    await deliver(pool, echo("wamid.4", "40", at=at(4)))
    assert await state(pool) == was_resolved
    await deliver(pool, inbound("wamid.5", "Fico com ela", at=at(5)))
    assert await state(pool) == "open"


@pytest.mark.requirement("E4", "E8")
@pytest.mark.parametrize("effect", EchoEffect)
async def test_an_echo_of_before_a_decision_or_of_before_the_choice_changes_nothing(
    pool: Pool, effect: EchoEffect
) -> None:
    business = await open_business(pool, onboarded_at=at(-60))
    await deliver(pool, inbound("wamid.1", "Oi", at=at(-50)))
    await resolve(business)
    await deliver(pool, echo("wamid.2", "Olá", at=at(-40)))
    await chosen(business, effect)
    await deliver(pool, echo("wamid.3", "Diga", at=at(-30)))
    assert await state(pool) == "resolved"
    await deliver(pool, inbound("wamid.4", "Outra coisa", at=at(-20)))
    assert await state(pool) == "open"
    await deliver(pool, echo("wamid.5", "Pois não", at=at(-10)))
    assert await state(pool) == "open"


@pytest.mark.requirement("D7", "E4")
@pytest.mark.parametrize("effect", EchoEffect)
@pytest.mark.parametrize("last_word", ["customer", "phone"])
async def test_an_import_is_never_touched(
    server_url: str, template_name: str, effect: EchoEffect, last_word: str
) -> None:
    """Told of the past, of today, and of the time after a decision: with any choice as without one."""
    states = []
    for each in (None, effect):
        async with databases.clone(server_url, template_name) as url, open_pool(url) as pool:
            business = await open_business(pool)
            if each:
                await chosen(business, each)
            outbound = last_word == "phone"
            items = [
                wire.past("wamid.1", 90, wire.text("Oi"), outbound=not outbound, phone=PHONE),
                wire.past("wamid.2", 60, wire.text("Olá"), outbound=outbound, phone=PHONE),
            ]
            await deliver(pool, wire.history([wire.thread(PHONE, None, items)]))
            states.append([await state(pool)])
            await resolve(business)
            late = wire.past("wamid.3", -9_000_000, wire.text("Tchau"), outbound=True, phone=PHONE)
            await deliver(pool, wire.history([wire.thread(PHONE, None, [late])], order=2))
            states[-1].append(await state(pool))
    assert states[0] == states[1]


@pytest.mark.requirement("C3", "E4")
@pytest.mark.parametrize("effect", EchoEffect)
async def test_the_order_of_deliveries_makes_no_difference(
    server_url: str, template_name: str, effect: EchoEffect
) -> None:
    told: list[dict[str, Any]] = [
        inbound("wamid.1", "Oi", at=at(1)),
        echo("wamid.2", "Olá", at=at(2)),
        inbound("wamid.3", "E o preço?", at=at(3)),
        echo("wamid.4", "40", at=at(4)),
    ]
    states = set()
    for order in list(permutations(range(4)))[::7]:
        async with databases.clone(server_url, template_name) as url, open_pool(url) as pool:
            await chosen(await open_business(pool), effect)
            for n in order:
                await deliver(pool, told[n])
            states.add(await state(pool))
    assert states == {"resolved" if effect is RESOLVE else "open"}


@pytest.mark.requirement("E4")
async def test_what_an_echo_did_goes_with_the_choice(pool: Pool) -> None:
    business = await open_business(pool)
    await chosen(business, RESOLVE)
    await deliver(pool, inbound("wamid.1", "Oi", at=at(1)), echo("wamid.2", "Olá", at=at(2)))
    assert await state(pool) == "resolved"
    await chosen(business, LEAVE)
    assert await state(pool) == "open"
    async with transaction(pool) as conn:
        assert not await choose(conn, BY, business.member.account_id, business.inbox.id, LEAVE)
        with pytest.raises(NotFound):
            await choose(conn, BY, business.member.account_id + 1, business.inbox.id, REOPEN)
