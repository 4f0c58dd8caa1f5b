"""A customer's program beside the whole product: what happens on the phone and here reaches it, whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from coexist.base.config import Settings
from coexist.base.crypto import open_keyring
from coexist.base.database import Pool, in_transaction
from coexist.outbound import actions as outbound
from coexist.people import actions as people
from coexist.people import store as people_store
from coexist.people.model import Member, Role
from coexist.webhooks import actions, store
from tests.flows.shop import Shop, open_shop
from tests.support.listener import Listener
from tests.support.product import ACCOUNT, connect
from tests.support.waiting import until
from tests.unit.test_webhook_docs import example

ALLOWED: Final = {"COEXIST_WEBHOOKS_TO_PRIVATE": "true"}
MESSAGES: Final = 30


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop that is connected to nothing yet, whose operator allows webhooks on this host."""
    async with open_shop(database_url, tmp_path, settings=ALLOWED, message_count=60) as opened:
        yield opened


async def subscribe(pool: Pool, shop: Shop, url: str) -> tuple[Member, str]:
    """The owner adds a webhook; return them and its secret."""
    keyring = open_keyring(Settings(data_dir=shop.folder))

    async def act(conn: Any) -> tuple[Member, str]:
        account = await people_store.find_account(conn, ACCOUNT)
        owner = await people.add_user(conn, account.id, name="Ana", email="ana@example.com", role=Role.OWNER)
        _, secret = await actions.add(conn, keyring, owner, url, tells_syncs=False, may_be_private=True)
        return owner, secret

    return await in_transaction(pool, act)


def said(program: Listener) -> list[str]:
    """The texts of new messages, each once, in the order in which the program heard of them first."""
    return list(dict.fromkeys(event["message"]["text"] for event in program.of_kind("message.added")))


@pytest.mark.requirement("D7", "E3")
async def test_an_import_is_not_told_and_what_happens_then_is(pool: Pool, shop: Shop, program: Listener) -> None:
    await connect(shop.product, shop.phone)
    owner, secret = await subscribe(pool, shop, program.url)
    await shop.quiet()
    assert await shop.ask("SELECT count(*) FROM messages WHERE imported") > 50
    assert [event for event in program.events if event["kind"] != "connection.changed"] == []

    chat = (await shop.tell("new-customer", text="Têm orquídeas?"))["chat"]
    await shop.quiet()  # Meta posts in parallel: what is under way together is told in the order in which it arrives
    await shop.tell("owner/send", chat=chat, text="Temos três")
    await shop.quiet()
    conversation_id = await shop.ask("SELECT conversation_id FROM messages WHERE text = 'Têm orquídeas?'")
    keyring = open_keyring(Settings(data_dir=shop.folder))
    await in_transaction(
        pool,
        lambda conn: outbound.send_text(conn, keyring, owner, conversation_id, "Quer ver?", our_ref=uuid4()),
    )

    async def is_read() -> bool:
        return any(
            event["message"]["status"] == "read" and event["message"]["text"] == "Quer ver?"
            for event in program.of_kind("message.changed")
        )

    await until(is_read, "the program hears that the customer has read it")
    told = [(event["message"]["origin"], event["message"]["text"]) for event in program.of_kind("message.added")]
    assert told == [("contact", "Têm orquídeas?"), ("app", "Temos três"), ("api", "Quer ver?")]
    documented: dict[str, Any] = {}
    exec(example("python"), documented)
    assert all(documented["is_from_coexist"](secret, post.headers, post.body) for post in program.posts)


@pytest.mark.requirement("E3")
async def test_a_worker_that_is_killed_and_a_program_that_stumbles_lose_nothing_and_keep_the_order(
    pool: Pool, shop: Shop, program: Listener
) -> None:
    await connect(shop.product, shop.phone, "--no-sync")
    await subscribe(pool, shop, program.url)
    chat = (await shop.tell("new-customer", text="0"))["chat"]
    for number in range(1, MESSAGES):
        await shop.tell("owner/send", chat=chat, text=str(number))
        if number == 8:
            program.hold = asyncio.Event()  # the answer of what is under way gets lost with the worker
            heard = len(program.posts)
            await shop.tell("owner/send", chat=chat, text="and a half")

            async def is_under_way(heard: int = heard) -> bool:
                return len(program.posts) > heard

            await until(is_under_way, "a POST is under way")
            shop.product.kill_worker()
            program.hold.set()
            program.hold = None
            program.answers.extend([500, 429])

    async def is_told() -> bool:
        return len(said(program)) == MESSAGES + 1

    await until(is_told, "all of it is told")
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT m.text FROM events e JOIN messages m ON m.id = e.message_id WHERE e.kind = 'message_added'"
            " ORDER BY e.id"
        )
        assert said(program) == [text for (text,) in await cursor.fetchall()]
    ids = [int(event["id"].removeprefix("evt-")) for event in program.events]
    again = [later for earlier, later in pairwise(ids) if later <= earlier]
    assert again, "what was under way when a worker was killed is told again, under the same id"
    async with pool.connection() as conn:
        attempts = await store.attempts(conn, 1)
    assert {attempt.status for attempt in attempts if attempt.error} == {500, 429}
