"""From the inbox to the phone and back, whatever happens in between: the phone shows each message once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from coexist.base.database import Pool, in_transaction, transaction
from coexist.outbound import actions
from coexist.people import actions as people
from coexist.people import store as people_store
from coexist.people.model import Member, Role
from tests.support.business import KEYRING
from tests.support.product import ACCOUNT, Phone, beside_the_phone, connect
from tests.support.waiting import until

QUIET: Final[dict[str, Any]] = {"message_count": 40}
"""A short past: these flows are about the present."""


async def agent(pool: Pool) -> Member:
    async with transaction(pool) as conn:
        account = await people_store.find_account(conn, ACCOUNT)
        return await people.add_user(conn, account.id, name="Ana", email="ana@example.com", role=Role.OWNER)


async def customer_writes(pool: Pool, phone: Phone) -> tuple[str, int]:
    """Somebody new writes; return their chat on the phone and the conversation here."""
    chat = (await phone.do("new-customer", phone="5511985500199", text="Têm orquídeas?"))["chat"]

    async def arrived() -> Any:
        async with pool.connection() as conn:
            cursor = await conn.execute("SELECT conversation_id FROM messages WHERE text = 'Têm orquídeas?'")
            return await cursor.fetchone()

    return chat, (await until(arrived, "the customer's message is here"))[0]


async def write(pool: Pool, member: Member, conversation_id: int, text: str, ref: UUID | None = None) -> int:
    return await in_transaction(
        pool, lambda conn: actions.send_text(conn, KEYRING, member, conversation_id, text, our_ref=ref or uuid4())
    )


async def outcome(pool: Pool, message_id: int) -> tuple[str, str | None, int]:
    """(outbox state, wamid, status) of a message."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT o.state::text, m.wamid, m.status FROM outbox o JOIN messages m ON m.id = o.message_id"
            " WHERE m.id = %s",
            (message_id,),
        )
        row = await cursor.fetchone()
    assert row is not None
    return row


async def on_phone(phone: Phone, chat: str) -> list[str]:
    return [message["text"] for message in await phone.messages(chat) if message["origin"] == "api"]


@pytest.mark.requirement("D2", "D13", "G3")
async def test_replies_reach_the_phone_once_and_their_ticks_come_back(
    database_url: str, pool: Pool, tmp_path: Path
) -> None:
    async with beside_the_phone(database_url, tmp_path, **QUIET) as (product, phone):
        await connect(product, phone, "--no-sync")
        member = await agent(pool)
        chat, conversation_id = await customer_writes(pool, phone)

        await phone.do("faults", echo_api=True, status_disorder=1.0, duplicate=0.5)
        message_id = await write(pool, member, conversation_id, "Temos sim!")

        async def is_read() -> bool:
            return (await outcome(pool, message_id))[2] == 5

        await until(is_read, "the message is read")
        state, wamid, _ = await outcome(pool, message_id)
        assert state == "accepted"
        assert [(one["wamid"], one["text"]) for one in await phone.messages(chat) if one["origin"] == "api"] == [
            (wamid, "Temos sim!")
        ]

        # Meta takes a message and does not answer: nobody knows, nobody sends it again, a status tells.
        await phone.do("faults", graph_timeout={"count": 1, "seconds": 40, "accepted": True, "path": "/messages"})
        lost = await write(pool, member, conversation_id, "Quantas quer?")

        async def is_settled() -> bool:
            return (await outcome(pool, lost))[0] == "accepted"

        await until(is_settled, "a status settles what had no answer")
        assert await on_phone(phone, chat) == ["Temos sim!", "Quantas quer?"]

        # The phone is changed: messages wait, and go when it is back.
        await phone.do("change-phone", reconnect_after_s=None)

        async def is_offboarded() -> bool:
            async with pool.connection() as conn:
                row = await (await conn.execute("SELECT state::text FROM inboxes")).fetchone()
            return row == ("offboarded",)

        await until(is_offboarded, "the number is offboarded")
        waiting = await write(pool, member, conversation_id, "Ainda aí?")
        assert (await outcome(pool, waiting))[0] == "queued"
        await phone.do("reconnect")

        async def is_sent() -> bool:
            return (await outcome(pool, waiting))[0] == "accepted"

        await until(is_sent, "what waited is sent")
        assert await on_phone(phone, chat) == ["Temos sim!", "Quantas quer?", "Ainda aí?"]


async def test_killing_the_worker_in_the_middle_of_a_call_sends_nothing_twice(
    database_url: str, pool: Pool, tmp_path: Path
) -> None:
    async with beside_the_phone(database_url, tmp_path, **QUIET) as (product, phone):
        await connect(product, phone, "--no-sync")
        member = await agent(pool)
        chat, conversation_id = await customer_writes(pool, phone)
        await phone.do("faults", graph_timeout={"count": 1, "seconds": 20, "accepted": True, "path": "/messages"})
        first = await write(pool, member, conversation_id, "um")

        async def is_under_way() -> bool:
            return await on_phone(phone, chat) == ["um"]

        await until(is_under_way, "Meta has it, and we do not know")
        product.kill_worker()
        second = await write(pool, member, conversation_id, "dois")

        async def are_settled() -> bool:
            return {(await outcome(pool, each))[0] for each in (first, second)} == {"accepted"}

        await until(are_settled, "statuses settle the first, and the second follows")
        assert await on_phone(phone, chat) == ["um", "dois"]
