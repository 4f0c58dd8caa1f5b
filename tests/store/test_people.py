"""Accounts, users, sessions and sign-in links on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated
from coexist.people import actions, passwords, sessions, store
from coexist.people.model import Member, Role
from coexist.people.throttle import Throttle

PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _cheap_hashes_and_no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords._nobodys_hash.cache_clear()
    monkeypatch.setattr(actions, "failures_by_email", Throttle(3, actions.THROTTLE_WINDOW))
    monkeypatch.setattr(actions, "failures_by_address", Throttle(3, actions.THROTTLE_WINDOW))


async def _owner(pool: Pool, email: str = "ines@example.com") -> Member:
    async with transaction(pool) as conn:
        return await actions.create_owner(
            conn, account_name="Ótica Duarte", name="Inês Duarte", email=email, password=PASSWORD
        )


async def test_the_first_run_makes_one_owner_even_when_two_are_made_at_once(pool: Pool) -> None:
    async with transaction(pool) as conn:
        assert not await store.has_owner(conn)
    made = await asyncio.gather(_owner(pool), _owner(pool, "other@example.com"), return_exceptions=True)
    assert sorted(isinstance(each, Conflict) for each in made) == [False, True]
    async with transaction(pool) as conn:
        assert await store.has_owner(conn)
        assert len(await store.members(conn)) == 1


async def test_the_first_run_takes_over_an_account_that_nobody_belongs_to(pool: Pool) -> None:
    async with transaction(pool) as conn:
        account = await actions.create_account(conn, "ótica duarte")
    assert (await _owner(pool)).account_id == account.id


async def test_signing_in_gives_a_cookie_that_is_not_in_the_database(pool: Pool) -> None:
    owner = await _owner(pool)
    async with transaction(pool) as conn:
        cookie = await actions.sign_in(conn, " Ines@Example.com ", PASSWORD, "Firefox\0" * 100)
        assert await sessions.user_of(conn, cookie) == owner
        stored = await (await conn.execute("SELECT token_hash, user_agent FROM sessions")).fetchone()
    assert stored is not None
    assert cookie.encode() not in stored[0]
    assert len(stored[1]) <= sessions.USER_AGENT_CHARS


@pytest.mark.parametrize("cookie", [None, "", "nonsense", "\ud800", "\0"])
async def test_nobody_is_signed_in_by_a_wrong_cookie(pool: Pool, cookie: str | None) -> None:
    await _owner(pool)
    async with transaction(pool) as conn:
        assert await sessions.user_of(conn, cookie) is None


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ines@example.com", "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("no address \0", PASSWORD),
        ("ines@example.com", "x" * 100_000),
    ],
)
async def test_a_wrong_password_and_an_unknown_e_mail_get_the_same_answer(
    pool: Pool, email: str, password: str
) -> None:
    await _owner(pool)
    async with transaction(pool) as conn:
        with pytest.raises(Unauthenticated, match="do not belong together"):
            await actions.sign_in(conn, email, password, None)


async def test_an_unknown_e_mail_costs_a_hash_like_a_known_one(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await _owner(pool)
    verified: list[str] = []
    verify = PasswordHasher.verify

    def spy(self: PasswordHasher, hash: str, password: str) -> bool:
        verified.append(hash)
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    async with transaction(pool) as conn:
        with pytest.raises(Unauthenticated):
            await actions.sign_in(conn, "nobody@example.com", PASSWORD, None)
    assert len(verified) == 1


async def test_guessing_is_slowed_down_per_e_mail_and_forgiven_after_a_while(pool: Pool) -> None:
    await _owner(pool)
    async with transaction(pool) as conn:
        for _ in range(3):
            with pytest.raises(Unauthenticated):
                await actions.sign_in(conn, "ines@example.com", "wrong password", None)
        with pytest.raises(TooMany):
            await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
        later = clock.now() + actions.THROTTLE_WINDOW
        with clock.reading(lambda: later):
            assert await actions.sign_in(conn, "ines@example.com", PASSWORD, None)


async def test_guessing_is_slowed_down_per_address(pool: Pool) -> None:
    await _owner(pool)
    async with transaction(pool) as conn:
        for name in ("a", "b", "c"):
            with pytest.raises(Unauthenticated):
                await actions.sign_in(conn, f"{name}@example.com", PASSWORD, None, address="192.0.2.7")
        with pytest.raises(TooMany):
            await actions.sign_in(conn, "ines@example.com", PASSWORD, None, address="192.0.2.7")
        assert await actions.sign_in(conn, "ines@example.com", PASSWORD, None, address="192.0.2.8")


async def test_a_password_hashed_with_old_parameters_is_hashed_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _owner(pool)
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    async with transaction(pool) as conn:
        await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
        known = await store.credentials(conn, "ines@example.com")
        assert known is not None
        assert known.password_hash is not None
        assert "t=2" in known.password_hash
        assert await actions.sign_in(conn, "ines@example.com", PASSWORD, None)


async def test_a_session_slides_while_used_and_ends_at_last(pool: Pool) -> None:
    await _owner(pool)
    at = NOW
    with clock.reading(lambda: at):
        async with transaction(pool) as conn:
            cookie = await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
            while at < NOW + timedelta(days=sessions.MAX_DAYS - 20):
                at += timedelta(days=20)
                assert await sessions.user_of(conn, cookie) is not None
            at = NOW + timedelta(days=sessions.MAX_DAYS, seconds=1)
            assert await sessions.user_of(conn, cookie) is None


async def test_an_idle_session_ends(pool: Pool) -> None:
    await _owner(pool)
    at = NOW
    with clock.reading(lambda: at):
        async with transaction(pool) as conn:
            cookie = await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
            at += timedelta(days=sessions.IDLE_DAYS, seconds=1)
            assert await sessions.user_of(conn, cookie) is None


async def test_signing_out_ends_the_session(pool: Pool) -> None:
    await _owner(pool)
    async with transaction(pool) as conn:
        cookie = await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
        await actions.sign_out(conn, cookie)
        assert await sessions.user_of(conn, cookie) is None


async def test_a_sign_in_link_works_once_and_not_for_ever(pool: Pool) -> None:
    owner = await _owner(pool)
    async with transaction(pool) as conn:
        token = await actions.create_sign_in_link(conn, owner.user_id)
        cookie = await actions.use_sign_in_link(conn, token, "Firefox")
        assert await sessions.user_of(conn, cookie) == owner
        with pytest.raises(Unauthenticated):
            await actions.use_sign_in_link(conn, token, "Firefox")
        late = await actions.create_sign_in_link(conn, owner.user_id)
        after = clock.now() + timedelta(hours=sessions.LINK_HOURS, seconds=1)
        with clock.reading(lambda: after), pytest.raises(Unauthenticated):
            await actions.use_sign_in_link(conn, late, "Firefox")
        with pytest.raises(NotFound):
            await actions.create_sign_in_link(conn, owner.user_id + 1)


async def test_a_new_password_ends_every_session_and_link(pool: Pool) -> None:
    owner = await _owner(pool)
    async with transaction(pool) as conn:
        cookie = await actions.sign_in(conn, "ines@example.com", PASSWORD, None)
        token = await actions.create_sign_in_link(conn, owner.user_id)
        await actions.set_password(conn, owner.user_id, "another long password")
        assert await sessions.user_of(conn, cookie) is None
        with pytest.raises(Unauthenticated):
            await actions.use_sign_in_link(conn, token, None)
        assert await actions.sign_in(conn, "ines@example.com", "another long password", None)


async def test_people_without_a_password_or_switched_off_cannot_sign_in(pool: Pool) -> None:
    owner = await _owner(pool)
    async with transaction(pool) as conn:
        added = await actions.add_user(conn, owner.account_id, name="Rui", email="rui@example.com", role=Role.AGENT)
        with pytest.raises(Unauthenticated):
            await actions.sign_in(conn, "rui@example.com", "", None)
        cookie = await actions.use_sign_in_link(conn, await actions.create_sign_in_link(conn, added.user_id), None)
        await conn.execute("UPDATE users SET is_active = false WHERE id = %s", (added.user_id,))
        assert await sessions.user_of(conn, cookie) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "short"},
        {"password": "x" * 1001},
        {"email": "not an address"},
        {"name": "  "},
        {"name": "a\x07b"},
        {"account_name": ""},
        {"time_zone": "Mars/Olympus"},
    ],
)
async def test_what_cannot_be_used_is_refused_with_a_sentence(pool: Pool, wrong: dict[str, str]) -> None:
    given = {
        "account_name": "Ótica",
        "name": "Inês",
        "email": "ines@example.com",
        "password": PASSWORD,
    }
    async with transaction(pool) as conn:
        with pytest.raises(Invalid):
            await actions.create_owner(conn, **(given | wrong))


async def test_accounts_are_found_by_name_or_id(pool: Pool) -> None:
    async with transaction(pool) as conn:
        account = await actions.create_account(conn, "Ótica  Duarte")
        assert await store.find_account(conn, "ótica duarte") == account
        assert await store.find_account(conn, str(account.id)) == account
        with pytest.raises(NotFound, match="Accounts: 'Ótica Duarte'"):
            await store.find_account(conn, "99999999999999999999")
        with pytest.raises(Conflict):
            await actions.create_account(conn, "ÓTICA DUARTE")
