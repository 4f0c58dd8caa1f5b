"""A one-shot request whose answer was lost: once more when a person says so, and no other."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict, NotFound
from coexist.coexistence import actions, checks_doctor, lost_requests, store, worker
from coexist.coexistence.checks_model import Level, Name
from coexist.coexistence.model import Request, SyncKind
from coexist.meta.graph import Graph
from tests.support.business import KEYRING, Business, change, deliver, open_business
from tests.support.ready import passed
from tests.support.scripted_graph import ScriptedGraph, error

LATER = lost_requests.PATIENCE + timedelta(minutes=1)


@pytest.fixture
async def business(pool: Pool) -> Business:
    """A number for which both syncs are wanted."""
    opened = await open_business(pool)
    ids = opened.member.account_id, opened.inbox.id
    await in_transaction(pool, lambda conn: actions.request_syncs(conn, *ids))
    return opened


async def lose_an_answer(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> tuple[ScriptedGraph, Graph]:
    """Ask for both syncs; the connection breaks before Meta answers the first."""
    scripted, graph = graphs
    scripted.answers.append(ConnectionResetError())
    await worker.step(business.pool, graph, KEYRING)
    return graphs


async def found(business: Business) -> list[str]:
    async with transaction(business.pool) as conn:
        return [str(kind) for kind in await lost_requests.find(conn, business.inbox.id)]


async def again(business: Business, by: str = "Inês") -> None:
    ids = business.member.account_id, business.inbox.id
    await in_transaction(business.pool, lambda conn: lost_requests.want_again(conn, by, *ids))
    async with transaction(business.pool) as conn:
        await passed(conn)


async def states(business: Business) -> list[str]:
    async with transaction(business.pool) as conn:
        return [sync.state for sync in await store.syncs(conn, business.inbox.id)]


def asked(scripted: ScriptedGraph) -> list[str]:
    return [call.body["sync_type"] for call in scripted.of("smb_app_data")]


@pytest.mark.requirement("B3", "B10")
@pytest.mark.parametrize("was_heard", [True, False])
async def test_a_request_without_an_answer_is_made_once_more_when_a_person_says_so(
    business: Business, graphs: tuple[ScriptedGraph, Graph], was_heard: bool
) -> None:
    scripted, graph = await lose_an_answer(business, graphs)
    assert await states(business) == ["requesting", "not_requested"]
    assert await found(business) == [], "what was asked for this minute may still be answered by what arrives"
    with pytest.raises(Conflict):
        await again(business)
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        await worker.step(business.pool, graph, KEYRING)
        assert await states(business) == ["requesting", "requested"]
        assert await found(business) == ["contacts"]
        await again(business)
        if was_heard:
            scripted.answers.append(error(2593107))
        await worker.step(business.pool, graph, KEYRING)
        assert await states(business) == ["requested", "requested"]
    assert asked(scripted) == ["smb_app_state_sync", "history", "smb_app_state_sync"]
    much_later = later + LATER
    with clock.reading(lambda: much_later):
        assert await found(business) == []
        with pytest.raises(Conflict):
            await again(business)
    async with business.pool.connection() as conn:
        told = await (
            await conn.execute("SELECT value FROM inbox_timeline WHERE event = %s", (lost_requests.ASKED_AGAIN,))
        ).fetchall()
    assert told == [({"by": "Inês", "kinds": ["contacts"]},)]


@pytest.mark.requirement("B3", "B7")
async def test_contacts_that_arrive_before_the_second_request_is_made_are_the_answer_to_the_first(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = await lose_an_answer(business, graphs)
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        ids = business.member.account_id, business.inbox.id
        await in_transaction(business.pool, lambda conn: lost_requests.want_again(conn, "Inês", *ids))
        async with transaction(business.pool) as conn:  # what is delivered here comes now, and not later
            await conn.execute("UPDATE syncs SET asked_again_at = now() - interval '1 minute' WHERE kind = 'contacts'")
        contact = {"full_name": "Zé", "phone_number": "351910559144"}
        item = {"type": "contact", "action": "add", "contact": contact, "metadata": {"timestamp": "1794000000"}}
        await deliver(business.pool, change("smb_app_state_sync", state_sync=[item]))
        assert (await states(business))[0] == "receiving"
        async with transaction(business.pool) as conn:
            await passed(conn)
        await worker.step(business.pool, graph, KEYRING)
    assert asked(scripted).count("smb_app_state_sync") == 1


@pytest.mark.requirement("B3")
async def test_a_second_answer_that_is_lost_gives_no_third_try(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = await lose_an_answer(business, graphs)
    later, much_later = clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=3)
    with clock.reading(lambda: later):
        await again(business)
        scripted.answers.append(ConnectionResetError())
        await worker.step(business.pool, graph, KEYRING)
        assert (await states(business))[0] == "requesting"
    with clock.reading(lambda: much_later):
        assert "contacts" not in await found(business)


async def test_two_people_at_once_have_it_asked_for_once(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = await lose_an_answer(business, graphs)
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        ended = await asyncio.gather(again(business), again(business, "Rui"), return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["Conflict", "NoneType"]
        await worker.step(business.pool, graph, KEYRING)
    assert asked(scripted).count("smb_app_state_sync") == 2


UNUSABLE = {
    "answered": "UPDATE syncs SET answered_at = now()",
    "known to support": "UPDATE syncs SET request_id = 'req'",
    "arriving": "UPDATE syncs SET state = 'receiving'",
    "disconnected": "UPDATE inboxes SET state = 'removed'",
    "too late": "UPDATE syncs SET onboarded_at = onboarded_at - interval '1 day'; "
    "UPDATE inboxes SET onboarded_at = onboarded_at - interval '1 day'",
    "another onboarding": "UPDATE inboxes SET onboarded_at = onboarded_at + interval '1 minute'",
}


@pytest.mark.parametrize("why", UNUSABLE)
async def test_nothing_else_is_asked_for_once_more(
    business: Business, graphs: tuple[ScriptedGraph, Graph], why: str
) -> None:
    await lose_an_answer(business, graphs)
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        assert await found(business) == ["contacts"]
        async with transaction(business.pool) as conn:
            await conn.execute(UNUSABLE[why].encode())
        assert await found(business) == []
        with pytest.raises(Conflict):
            await again(business)
        with pytest.raises(NotFound):
            await in_transaction(business.pool, lambda conn: lost_requests.want_again(conn, "x", 77, business.inbox.id))


async def test_what_meta_called_taken_is_not_lost(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(2593107), error(2593107)])
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requested", "requested"]
    later = clock.now() + timedelta(hours=7)
    with clock.reading(lambda: later):
        await worker.step(business.pool, graph, KEYRING)
        assert await states(business) == ["nothing_arrived", "nothing_arrived"]
        assert await found(business) == []


async def test_the_late_answer_to_the_first_request_is_not_the_seconds(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    await lose_an_answer(business, graphs)
    later = clock.now() + LATER
    async with transaction(business.pool) as conn:
        first = (await store.syncs(conn, business.inbox.id))[0]
    assert first.requested_at is not None
    with clock.reading(lambda: later):
        await again(business)
        request = Request(
            first.inbox_id, 1, SyncKind.CONTACTS, first.onboarded_at, first.requested_at, business.inbox.phone_number_id
        )
        async with transaction(business.pool) as conn:
            await store.give_back(conn, request, 100, "late")
            await store.settle(conn, request, "requested", request_id="late")
            contacts = (await store.syncs(conn, business.inbox.id))[0]
    assert (contacts.state, contacts.request_id, contacts.refusals) == ("not_requested", None, 0)
    assert contacts.wanted_at is not None


@pytest.mark.requirement("B3", "B5", "G12")
async def test_the_doctor_names_asking_once_more_while_that_can_be_done(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    await lose_an_answer(business, graphs)

    async def next_step() -> tuple[str, bool]:
        async with business.pool.connection() as conn:
            ids = business.member.account_id, business.inbox.id
            told = await checks_doctor.diagnose(conn, KEYRING, Settings(), *ids)
        check = next(one for question in told.questions for one in question.checks if one.name == Name.CONTACTS)
        return check.level, check.next_step.startswith("Ask once more (Numbers > its name > Sync) before ")

    assert await next_step() == (Level.AMBER, False), "it may still arrive"
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        assert await next_step() == (Level.RED, True)
        await again(business)
        assert (await next_step())[1] is False
