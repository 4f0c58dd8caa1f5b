"""A former key can go: everything that it encrypted is encrypted anew, in small steps beside whatever happens."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from coexist.base import clock
from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Pool, transaction
from coexist.coexistence import signup_store
from coexist.coexistence.signup_model import Party, Way
from coexist.inbox import credentials, private, private_lists
from coexist.intake import purging, resealing
from coexist.intake.sealing import Damaged, seal, unseal
from coexist.meta.phones import match_key
from coexist.webhooks import store as webhooks
from tests.support import private as somebody
from tests.support.business import KEYRING, Business, open_business
from tests.support.waiting import until

NEW = Keyring([b"n" * 32])
BOTH = Keyring([b"n" * 32, b"k" * 32])
SIGNUP = uuid4()
BODIES = [b'{"small":1}', b'{"large":"' + b"x" * 9_000 + b'"}', b'{"next":2}']


async def journal(pool: Pool, *stored: bytes) -> None:
    async with transaction(pool) as conn:
        for body in stored:
            await conn.execute("INSERT INTO journal (received_at, body) VALUES (now(), %s)", (body,))


async def bodies(pool: Pool) -> list[bytes]:
    async with pool.connection() as conn:
        return [row[0] for row in await (await conn.execute("SELECT body FROM journal ORDER BY id")).fetchall()]


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A number, an attempt, a webhook with two secrets, a private person with two ids, and a journal; of one key."""
    made = await open_business(pool)
    account_id = made.member.account_id
    async with transaction(pool) as conn:
        await signup_store.begin(conn, Party(account_id, "Inês"), SIGNUP, Way.TOKEN, None)
        await signup_store.authorise(conn, KEYRING, SIGNUP, "EAAattempt")
        about: dict[str, Any] = {"tells_syncs": False, "told_to": 0}
        webhook_id = await webhooks.insert(conn, account_id, "https://example.com/in", "Inês", **about)
        for secret in ("former", "present"):
            until = clock.now() + timedelta(days=1)
            await webhooks.seal_secret(conn, KEYRING, account_id, webhook_id, secret, until)
        await private.add(conn, KEYRING, "Inês", account_id, f"+{somebody.PHONE}")
        await private_lists.learn(conn, KEYRING, [(account_id, match_key(somebody.PHONE), somebody.BSUID)])
    await journal(pool, *(seal(KEYRING, body) for body in BODIES))
    return made


async def reseal(pool: Pool) -> dict[str, tuple[int, int]]:
    return {one.what: (one.count, one.unreadable) async for one in resealing.reseal(pool, BOTH)}


async def left(pool: Pool) -> dict[str, int]:
    async with pool.connection() as conn:
        return {one.what: one.count for one in await resealing.left(conn, BOTH) if one.count}


async def test_the_new_key_alone_opens_everything(business: Business) -> None:
    pool, account_id = business.pool, business.member.account_id
    before = await left(pool)
    assert before == {
        "Access tokens": 1, "Tokens of sign-ups": 1, "Secrets of webhooks": 1, "Former secrets of webhooks": 1,
        "Private numbers": 1, "Ids of private numbers": 2, "Journaled deliveries": 3,
    }  # fmt: skip
    assert await reseal(pool) == {what: (count, 0) for what, count in before.items()}
    assert await left(pool) == {}
    assert [unseal(NEW, body) for body in await bodies(pool)] == BODIES
    async with transaction(pool) as conn:
        assert await credentials.token_of(conn, NEW, business.inbox.id) == "EAAinvented"
        assert await signup_store.claim(conn, NEW, SIGNUP, None) == "EAAattempt"
        (row,) = await (await conn.execute("SELECT id, secret, former_secret FROM webhooks")).fetchall()
        opened = [NEW.decrypt(sealed, row=webhooks.row_name(row[0])) for sealed in row[1:]]
        assert opened == [b"present", b"former"]
        (listed,) = await private.numbers(conn, NEW, account_id)
        assert (listed.digits, listed.id_count) == (somebody.PHONE, 2)
        lists = await private_lists.load(conn, NEW)
    is_private = lists.of_account(account_id) if lists else None
    assert is_private is not None
    assert is_private(somebody.BSUID)
    assert is_private(match_key(somebody.WA_ID))
    assert not is_private(somebody.OTHER_BSUID)


async def test_what_dies_in_the_middle_is_gone_on_with(business: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "BATCH_ROWS", 1)
    steps = [f"{one.what} {one.count}" async for one in resealing.reseal(business.pool, BOTH)]
    assert "Journaled deliveries 1" in steps, "one transaction for each batch"
    await journal(business.pool, *(seal(KEYRING, body) for body in BODIES))
    monkeypatch.setattr(resealing, "BATCH_BYTES", 1)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 200)
    async for one in resealing.reseal(business.pool, BOTH):
        if one.what == resealing.JOURNAL:
            break
    assert await left(business.pool) == {resealing.JOURNAL: 2}
    assert (await reseal(business.pool))[resealing.JOURNAL] == (2, 0)
    assert [unseal(NEW, body) for body in await bodies(business.pool)] == BODIES * 2


async def test_what_was_renewed_meanwhile_is_newer(business: Business) -> None:
    # Of this database: the server is other tests' as well, and they wait for locks of theirs.
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def does_wait() -> bool:
        assert not task.done()
        async with business.pool.connection() as other:
            return await (await other.execute(waits)).fetchone() != (0,)

    async with transaction(business.pool) as conn:
        await credentials.seal_token(conn, KEYRING, business.inbox.id, "EAAnewer")
        task = asyncio.create_task(reseal(business.pool))  # reads the token of before, and waits to replace it
        await until(does_wait, "it waits to replace the token", pause_s=0.01)
    assert (await task)["Access tokens"] == (1, 0)
    async with business.pool.connection() as conn:
        assert await credentials.token_of(conn, NEW, business.inbox.id) == "EAAnewer"


async def test_an_id_that_was_learned_again_under_the_new_key_is_one(business: Business) -> None:
    pool, account_id = business.pool, business.member.account_id
    async with transaction(pool) as conn:
        await private_lists.learn(conn, BOTH, [(account_id, match_key(somebody.PHONE), somebody.BSUID)])
        await conn.execute(
            "UPDATE private_ids SET is_purging = true WHERE substring(sealed FOR 5) = %s", (KEYRING.head,)
        )
    assert (await left(pool))[resealing.IDS] == 2
    await reseal(pool)
    async with pool.connection() as conn:
        rows = await (await conn.execute("SELECT is_purge_wanted, is_purging FROM private_ids ORDER BY 1")).fetchall()
    assert rows == [(False, True), (True, True)]


async def test_what_was_damaged_or_never_sealed_keeps_no_key_in_use(business: Business) -> None:
    pool = business.pool
    torn = seal(KEYRING, b'{"torn":3}')
    await journal(pool, torn[:-1] + bytes([torn[-1] ^ 1]), b'{"plain":4}')
    assert (await reseal(pool))[resealing.JOURNAL] == (5, 0)
    assert await left(pool) == {}
    *others, damaged, plain = await bodies(pool)
    assert len(others) == 3
    assert unseal(NEW, plain) == b'{"plain":4}'
    assert plain[:1] == b"w", "nothing stays in the clear"
    with pytest.raises(Damaged):
        unseal(NEW, damaged)


async def test_what_was_sealed_with_a_key_that_is_not_here_is_counted_and_left(business: Business) -> None:
    pool, lost = business.pool, Keyring([b"l" * 32])
    stored = seal(lost, b'{"lost":5}')
    await journal(pool, stored)
    async with transaction(pool) as conn:
        await credentials.seal_token(conn, lost, business.inbox.id, "EAAlost")
    done = await reseal(pool)
    assert (done[resealing.JOURNAL], done["Access tokens"]) == ((3, 1), (0, 1))
    assert (await bodies(pool))[-1] == stored
    assert await left(pool) == {"Access tokens": 1, resealing.JOURNAL: 1}
    async with pool.connection() as conn:
        with pytest.raises(SecretUnreadable):
            await credentials.token_of(conn, BOTH, business.inbox.id)


async def test_what_a_removal_takes_out_meanwhile_stays_out(
    business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that is taken through the list, or purged, while it is encrypted anew."""
    pool, account_id = business.pool, business.member.account_id
    await journal(pool, *(seal(KEYRING, body) for body in somebody.deliveries()))
    async with transaction(pool) as conn:
        (one,) = await private.numbers(conn, KEYRING, account_id)
        await private.want_purge(conn, KEYRING, account_id, one.id, typed=somebody.PHONE)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 3)
    monkeypatch.setattr(purging, "WINDOW_ROWS", 5)

    async def purge() -> None:
        while await purging.step(pool, BOTH):
            pass

    await asyncio.gather(purge(), reseal(pool))
    await purge()
    assert await left(pool) == {}
    assert somebody.traces_in(b"".join(unseal(NEW, body) for body in await bodies(pool))) == []
