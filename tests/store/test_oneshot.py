"""The one-shot sync: each right to ask is spent once, whatever happens in between."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from coexist.base import clock, database
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict, Unavailable
from coexist.coexistence import actions, oneshot, overview, rules, store, words, worker
from coexist.coexistence.model import Sync, SyncKind
from coexist.inbox.switches import EVERYTHING, Switch
from coexist.meta.graph import Graph
from tests.support.business import KEYRING, NUMBER, Business, change, deliver, open_business
from tests.support.ready import passed
from tests.support.scripted_graph import ScriptedGraph, error
from tests.support.switches import switch_off, switch_on


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


async def want(business: Business) -> int:
    ids = business.member.account_id, business.inbox.id
    return await in_transaction(business.pool, lambda conn: actions.request_syncs(conn, *ids))


async def syncs(business: Business) -> list[Sync]:
    async with business.pool.connection() as conn:
        return list(await store.syncs(conn, business.inbox.id))


async def states(business: Business) -> list[str]:
    return [sync.state for sync in await syncs(business)]


def asked(scripted: ScriptedGraph) -> list[str]:
    return [request.body["sync_type"] for request in scripted.of(f"/{NUMBER}/smb_app_data")]


@pytest.mark.requirement("B1")
async def test_contacts_are_asked_for_first_and_both_ids_are_kept(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    assert await want(business) == 2
    await worker.step(business.pool, graph, KEYRING)
    assert asked(scripted) == ["smb_app_state_sync", "history"]
    assert [(sync.state, sync.request_id) for sync in await syncs(business)] == [
        ("requested", "req-1"),
        ("requested", "req-2"),
    ]
    assert all(sync.requested_at for sync in await syncs(business))


@pytest.mark.requirement("B3")
async def test_many_clicks_and_many_workers_ask_once(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.delay_s = 0.05
    await asyncio.gather(*(want(business) for _ in range(10)))
    await asyncio.gather(*(oneshot.ask(business.pool, graph, KEYRING, business.inbox.id) for _ in range(5)))
    await asyncio.gather(*(worker.step(business.pool, graph, KEYRING) for _ in range(3)))
    assert await want(business) == 0
    await worker.step(business.pool, graph, KEYRING)
    assert sorted(asked(scripted)) == ["history", "smb_app_state_sync"]
    assert asked(scripted)[0] == "smb_app_state_sync"


@pytest.mark.requirement("B3")
async def test_however_often_we_die_nothing_is_asked_for_twice(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    """Cancelling stands for a crash: it ends the asker at whatever await it has reached."""
    scripted, graph = graphs
    business = await open_business(pool)
    chance = random.Random(31)
    scripted.delay_s = 0.004
    outcomes = set()
    lasts_s = 0.0
    for day in range(60):
        scripted.asked.clear()
        since = clock.now() - timedelta(minutes=59) + timedelta(seconds=day)
        async with transaction(pool) as conn:
            await conn.execute("UPDATE inboxes SET onboarded_at = %s", (since,))
            await store.put_syncs(conn, business.inbox.id, since)
            await passed(conn)
        for _ in range(4):
            await want(business)
            begun = time.monotonic()
            task = asyncio.create_task(oneshot.ask(pool, graph, KEYRING, business.inbox.id))
            if lasts_s:
                await asyncio.sleep(chance.uniform(0, lasts_s))
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            lasts_s = lasts_s or time.monotonic() - begun  # the first lives, and tells how long a life is here
        found = asked(scripted)
        assert len(found) == len(set(found)), f"round {day}"
        outcomes.add(tuple(await states(business)))
    assert len(outcomes) > 1, "every crash came at the same place: the test proves nothing"


@pytest.mark.requirement("B1")
async def test_an_answer_outlasts_a_database_that_is_away_for_a_moment(
    business: Business, graphs: tuple[ScriptedGraph, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = graphs
    settle, errors = store.settle, [psycopg.OperationalError("the connection is lost"), Unavailable("away")]

    async def late(*args: Any, **options: Any) -> None:
        if errors:
            raise errors.pop()
        await settle(*args, **options)

    monkeypatch.setattr(store, "settle", late)
    monkeypatch.setattr(database, "LASTING_PAUSE_S", 0.01)
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    assert [sync.request_id for sync in await syncs(business)] == ["req-1", "req-2"]


async def test_one_number_whose_token_cannot_be_read_stops_no_other(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    async with transaction(business.pool) as conn:
        other = await actions.connect(
            conn,
            KEYRING,
            account_id=business.member.account_id,
            waba_id="702",
            phone_number_id="2",
            display_phone_number="351210559001",
            token="EAA2",
            is_coexistence=True,
        )
        await conn.execute("UPDATE inboxes SET token = 'damaged' WHERE id = %s", (business.inbox.id,))
        await passed(conn)
        await actions.request_syncs(conn, other.account_id, other.id)
        await conn.execute(  # silent for long: the sweep has something to do
            "UPDATE syncs SET state = 'requested', requested_at = now() - interval '99 hours'"
            " WHERE inbox_id = %s AND kind = 'history'",
            (business.inbox.id,),
        )
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    assert [asked.body["sync_type"] for asked in scripted.of("/2/smb_app_data")] == ["smb_app_state_sync", "history"]
    assert await states(business) == ["not_requested", "nothing_arrived"]


@pytest.mark.requirement("B3")
async def test_a_lost_answer_waits_for_what_arrives_and_asks_no_more(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.extend([ConnectionResetError(), ConnectionResetError()])
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requesting", "not_requested"]  # the history waits for the contacts' answer
    later = clock.now() + timedelta(minutes=6)
    with clock.reading(lambda: later):
        await want(business)
        await worker.step(business.pool, graph, KEYRING)
        await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requesting", "requesting"]
    assert asked(scripted) == ["smb_app_state_sync", "history"]
    chunk = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 20}, "threads": []}
    await deliver(business.pool, change("history", history=[chunk]))
    assert await states(business) == ["requesting", "receiving"]


async def test_already_requested_counts_as_requested(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(2593107), error(2593107)])
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requested", "requested"]


@pytest.mark.requirement("B2")
async def test_too_late_says_the_way_out(business: Business, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    scripted.answers.extend([error(2593108), error(2593108)])
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["failed", "failed"]
    async with business.pool.connection() as conn:
        panel = await overview.sync_panel(conn, business.member.account_id, business.inbox.id)
    assert "disconnecting in the phone app" in panel.history.sentence
    assert panel.deadline_at == business.inbox.onboarded_at + timedelta(hours=24)


@pytest.mark.requirement("B2")
async def test_after_24_hours_nothing_is_asked_at_all(pool: Pool, graphs: tuple[ScriptedGraph, Graph]) -> None:
    scripted, graph = graphs
    business = await open_business(pool, onboarded_at=clock.now() - timedelta(hours=25))
    assert await want(business) == 0
    await worker.step(pool, graph, KEYRING)
    assert await states(business) == ["failed", "failed"]
    assert scripted.asked == []


@pytest.mark.requirement("B2")
async def test_a_wish_that_could_not_be_asked_in_time_fails_in_words(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await want(business)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET state = 'offboarded'")
    later = clock.now() + timedelta(hours=24)
    with clock.reading(lambda: later):
        await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["failed", "failed"]
    assert scripted.asked == []


@pytest.mark.requirement("B10")
async def test_a_refusal_gives_the_right_back_a_few_times(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    scripted.answers.extend(error(100) for _ in range(5))
    for refusals in (1, 2):
        assert await want(business) == 2
        await worker.step(business.pool, graph, KEYRING)
        contacts, history = await syncs(business)
        assert (contacts.state, contacts.requested_at, contacts.refusals) == ("not_requested", None, refusals)
        assert contacts.error is not None
        assert "Meta" in contacts.error
        assert history.refusals == 0
        await worker.step(business.pool, graph, KEYRING)  # nobody wants it any more
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    contacts, history = await syncs(business)
    assert (contacts.state, history.state) == ("failed", "not_requested")
    assert len(scripted.asked) == 4  # the contacts three times; then the history could be asked for
    assert history.refusals == 1


@pytest.mark.requirement("B1", "B10")
@pytest.mark.parametrize("hours_left", [3, 1])
async def test_contacts_that_are_refused_do_not_cost_the_history_when_time_is_short(
    pool: Pool, graphs: tuple[ScriptedGraph, Graph], hours_left: int
) -> None:
    scripted, graph = graphs
    business = await open_business(pool, onboarded_at=clock.now() - timedelta(hours=24 - hours_left))
    scripted.answers.append(error(100))
    await want(business)
    await worker.step(pool, graph, KEYRING)
    is_short = hours_left < rules.ALONE_HOURS
    assert asked(scripted) == ["smb_app_state_sync", "history"][: 1 + is_short]
    assert await states(business) == ["not_requested", "requested" if is_short else "not_requested"]


@pytest.mark.requirement("B2", "B10")
def test_what_was_refused_says_whether_it_can_be_asked_again_and_how() -> None:
    now = clock.now()
    sync = Sync(
        inbox_id=1, kind="history", onboarded_at=now, state="failed", wanted_at=None, requested_at=None,
        request_id=None, refusals=3, first_arrival_at=None, last_arrival_at=None, completed_at=None, declined_at=None,
        error_code=100, error="Meta: no.", error_at=now,
    )  # fmt: skip
    day = timedelta(hours=24)
    for one, said in (
        (sync, "Once the reason is mended"),
        (replace(sync, refusals=10), "refused this 10 times"),
        (replace(sync, onboarded_at=now - day), "More than 24 hours"),
        (replace(sync, onboarded_at=now - day, state="not_requested", refusals=1), "More than 24 hours"),
        (replace(sync, state="not_requested", refusals=1), "Meta: no."),
    ):
        assert said in words.sentence(one, now), said
    assert "again" not in words.sentence(replace(sync, requested_at=now, refusals=0), now)


@pytest.mark.requirement("B11")
@pytest.mark.parametrize("switch", ["installation", "account", "inbox"])
async def test_a_switch_that_is_off_asks_for_nothing_and_can_be_switched_on(
    business: Business, graphs: tuple[ScriptedGraph, Graph], switch: str
) -> None:
    scripted, graph = graphs
    ids = business.member.account_id, business.inbox.id

    async def flip(is_on: bool) -> int:
        async with transaction(business.pool) as conn:
            if is_on:
                await switch_on(conn)
            elif switch != "installation":
                await switch_off(conn, whole_account=switch == "account")
            is_allowed = is_on or switch != "installation"
            return await actions.request_syncs(conn, *ids, installation=EVERYTHING if is_allowed else frozenset())

    assert await flip(False) == 0
    installation = frozenset[Switch]() if switch == "installation" else EVERYTHING
    await worker.step(business.pool, graph, KEYRING, installation=installation)
    assert await states(business) == ["switched_off", "switched_off"]
    assert scripted.asked == []
    assert await flip(True) == 2
    await worker.step(business.pool, graph, KEYRING)
    assert await states(business) == ["requested", "requested"]


async def test_a_switch_thrown_between_wish_and_call_counts(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    await want(business)
    async with transaction(business.pool) as conn:
        await switch_off(conn)
    await worker.step(business.pool, graph, KEYRING)
    assert scripted.asked == []


async def test_only_a_connected_coexistence_number_can_be_asked(business: Business) -> None:
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET state = 'removed'")
    with pytest.raises(Conflict, match="not connected"):
        await want(business)
    async with transaction(business.pool) as conn:
        await conn.execute("UPDATE inboxes SET state = 'connected', is_coexistence = false")
    with pytest.raises(Conflict, match="not in the WhatsApp Business app"):
        await want(business)


async def test_what_arrives_before_the_answer_is_not_undone_by_it(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    await want(business)
    async with transaction(business.pool) as conn:
        request = await store.claim(conn, business.inbox.id, SyncKind.CONTACTS)
    assert request is not None
    entry = {"type": "contact", "action": "add", "metadata": {"timestamp": str(int(clock.now().timestamp()))}}
    contact = {"contact": {"full_name": "Rui", "phone_number": "351910559111"}}
    await deliver(business.pool, change("smb_app_state_sync", state_sync=[{**entry, **contact}]))
    async with transaction(business.pool) as conn:
        await store.settle(conn, request, "requested", request_id="late")
    contacts = (await syncs(business))[0]
    assert (contacts.state, contacts.request_id) == ("receiving", "late")


@pytest.mark.requirement("B5")
async def test_somebody_taken_out_of_the_address_book_is_not_the_answer_to_the_request(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    """Whoever deletes a contact on the phone while nothing is shared has not shared it."""
    _, graph = graphs
    await want(business)
    await worker.step(business.pool, graph, KEYRING)
    told = {"type": "contact", "metadata": {"timestamp": str(int(clock.now().timestamp()))}}
    person = {"phone_number": "351910559111"}
    await deliver(
        business.pool, change("smb_app_state_sync", state_sync=[{**told, "action": "remove", "contact": person}])
    )
    assert await states(business) == ["requested", "requested"]
    items = [{**told, "action": action, "contact": person} for action in ("remove", "add")]
    await deliver(business.pool, change("smb_app_state_sync", state_sync=items))
    assert await states(business) == ["receiving", "requested"]


@pytest.mark.requirement("B3", "B10")
async def test_what_never_reached_meta_is_asked_for_again_however_often(
    business: Business, graphs: tuple[ScriptedGraph, Graph]
) -> None:
    scripted, graph = graphs
    nowhere = replace(graph, base_url="http://127.0.0.1:9")
    await want(business)
    for _ in range(rules.REFUSALS_MAX + 1):
        await worker.step(business.pool, nowhere, KEYRING)
        assert [(sync.state, sync.refusals) for sync in await syncs(business)] == [("not_requested", 0)] * 2
    await worker.step(business.pool, graph, KEYRING)
    assert asked(scripted) == ["smb_app_state_sync", "history"]
    assert await states(business) == ["requested", "requested"]
