"""A summary that grows by the customer's newest messages is what computing it from all rows comes to."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict
from coexist.inbox import actions, summary
from coexist.inbox.actions import mark_read
from coexist.outbound.actions import send_text
from tests.support import wire
from tests.support.business import KEYRING, PHONE, Business, deliver, echo, inbound, open_business, status

STEPS_COUNT: Final = 30
NOTHING: Final = summary.Refreshed(frozenset(), frozenset())


class World:
    """One conversation and what can happen to it, by chance; its wall clock goes on from step to step."""

    def __init__(self, business: Business, chance: random.Random) -> None:
        self.business, self.chance = business, chance
        self.at = clock.now()
        self.serial = 0
        self.ours: list[str] = []
        self.steps: list[str] = []

    def wamid(self) -> str:
        """A new one."""
        self.serial += 1
        return f"wamid.{self.serial}"

    async def ids(self) -> tuple[int, int]:
        """(conversation, newest message)"""
        async with self.business.pool.connection() as conn:
            row = await (await conn.execute("SELECT conversation_id, max(id) FROM messages GROUP BY 1")).fetchone()
        assert row is not None
        return row

    async def writes(self) -> None:
        """The customer writes one message or several, a little later, or in the same second."""
        told = []
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            self.at += timedelta(seconds=self.chance.choice([0, 0.4, 1, 30]))
            told.append(inbound(self.wamid(), "Olá", at=self.at))
        await deliver(self.business.pool, *told)

    async def wrote(self) -> None:
        """A message that comes late, some with one that does not."""
        late = inbound(self.wamid(), "Antes", at=self.at - timedelta(seconds=self.chance.choice([1, 40, 2000])))
        more = [inbound(self.wamid(), "Agora", at=self.at)] if self.chance.random() < 0.5 else []
        await deliver(self.business.pool, late, *more)

    async def again(self) -> None:
        """One comes that is known, with one that is not."""
        await deliver(self.business.pool, inbound("wamid.1", "Olá"), inbound(self.wamid(), "Mais", at=self.at))

    async def twice(self) -> None:
        """One that a history told of comes by itself as well, with one that is new."""
        wamid, seconds_ago = self.wamid(), wire.EPOCH - int(self.at.timestamp())
        past = wire.past(wamid, seconds_ago, wire.text("Antes"), phone=PHONE)
        await deliver(self.business.pool, wire.history([wire.thread(PHONE, None, [past])]))
        news = inbound(self.wamid(), "Agora", at=self.at)
        await deliver(self.business.pool, inbound(wamid, "Antes", at=self.at), news)

    async def phone(self) -> None:
        """The owner answers on the phone, and the customer in the same batch, or not."""
        told = [echo(self.wamid(), "Do telemóvel", at=self.at)]
        if self.chance.random() < 0.5:
            told.append(inbound(self.wamid(), "Obrigado", at=self.at))
        await deliver(self.business.pool, *told)

    async def read(self) -> None:
        """Somebody looks, at all of it or at what was there a while ago."""
        conversation_id, newest = await self.ids()
        async with transaction(self.business.pool) as conn:
            await mark_read(conn, self.business.member, conversation_id, newest - self.chance.choice([0, 0, 2]))

    async def decides(self) -> None:
        """Somebody resolves or opens it, now or (as the clock may have it) in ten days' time."""
        conversation_id, _ = await self.ids()
        async with transaction(self.business.pool) as conn:
            act = self.chance.choice([actions.resolve, actions.resolve, actions.reopen])
            await act(conn, self.business.member, conversation_id)
            if self.chance.random() < 0.5:
                await conn.execute("UPDATE conversations SET set_state_at = set_state_at + interval '10 days'")
                await summary.refresh(conn, [conversation_id])

    async def answers(self) -> None:
        """The team writes; Meta takes it, or says later that the window was closed."""
        conversation_id, _ = await self.ids()
        our_ref = uuid4()
        try:
            async with transaction(self.business.pool) as conn:
                await send_text(conn, KEYRING, self.business.member, conversation_id, "Bom dia", our_ref=our_ref)
        except Conflict:
            return  # the window is closed
        if self.chance.random() < 0.7:
            closed = [{"code": 131047, "title": "Re-engagement message"}]
            word, errors = self.chance.choice([("sent", []), ("delivered", []), ("failed", closed)])
            self.ours.append(self.wamid())
            told = status(self.ours[-1], word, our_ref=f"cx:{our_ref}", errors=errors)
            at_once = [inbound(self.wamid(), "E?", at=self.at)] if self.chance.random() < 0.5 else []
            await deliver(self.business.pool, told, *at_once)

    async def fails(self) -> None:
        """Meta says late that one of ours was not delivered, as the customer writes on."""
        if self.ours:
            told = status(self.chance.choice(self.ours), "failed", errors=[{"code": 131026, "title": "Undeliverable"}])
            await deliver(self.business.pool, told, inbound(self.wamid(), "E?", at=self.at))

    async def step(self) -> None:
        """Let one of these happen, now or a little later than now."""
        self.at = max(self.at, clock.now())
        happen: Step = self.chance.choice(
            [self.writes, self.writes, self.writes, self.wrote, self.again, self.twice, self.phone, self.read,
             self.decides, self.answers, self.fails]
        )  # fmt: skip
        self.steps.append(happen.__name__)
        await happen()


Step: TypeAlias = Callable[[], Awaitable[None]]


@pytest.mark.parametrize("seed", range(18))
async def test_a_summary_that_grew_is_what_its_rows_come_to(pool: Pool, seed: int) -> None:
    business = await open_business(pool)
    async with transaction(pool) as conn:
        since, effect = clock.now() - timedelta(minutes=30), ("leave", "reopen", "resolve")[seed % 3]
        await conn.execute("UPDATE inboxes SET echo_effect = %s, echo_effect_at = %s", (effect, since))
    world = World(business, random.Random(seed))
    await world.writes()
    for _ in range(STEPS_COUNT):
        await world.step()
        conversation_id, _ = await world.ids()
        async with transaction(pool) as conn:
            row = await (await conn.execute("SELECT to_jsonb(c) FROM conversations c")).fetchone()
            changed = await summary.refresh(conn, [conversation_id])
            anew = await (await conn.execute("SELECT to_jsonb(c) FROM conversations c")).fetchone()
        assert changed == NOTHING, (world.steps, row, anew)
