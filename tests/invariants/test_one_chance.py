"""The one chance to sync, a thousand times: clicks and workers side by side, dying anywhere, Meta answering anyhow.

Nothing is asked for twice, and nothing is lost in silence: in the end each sync was asked for and that is known, or its
answer is unknown and said to be, or Meta's refusal is there with its reason and it may be asked for again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from coexist.base import clock, database
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import AppError
from coexist.coexistence import actions, oneshot, overview, rules, store, worker
from coexist.coexistence.model import SyncState
from coexist.meta import graph as graph_calls
from coexist.meta.graph import Graph, GraphError, GraphNotSent, GraphUnclear
from coexist.meta.transport import _Error
from tests.support.business import KEYRING, Business, open_business
from tests.support.ready import passed

ROUNDS: Final = 500
ACTORS: Final = 4
DEATHS_AND_CLICKS: Final = 1_000
STEPS_MAX: Final = 30
"""How many suspensions an actor may live through: asking for both syncs takes some forty, a click ten."""
LATER: Final = timedelta(minutes=rules.CALL_MINUTES + 1)
ANSWERS: Final = ("ok", "ok", "refused", "unknown", "taken", "lost_after", "lost_before", "not_sent")


@dataclass
class Meta:
    """What Meta heard: for each onboarding and type its answers, in order. ``refused`` is not having been asked.

    Until ``is_reached`` the way to it may be closed.
    """

    chance: random.Random
    is_reached: bool = False
    heard: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def request_sync(self, graph: Graph, phone_number_id: str, token: str, sync_type: str) -> str:
        """As ``meta.request_sync``: it may be cancelled before Meta hears of it, and after."""
        await asyncio.sleep(0)
        answer = self.chance.choice(ANSWERS[:-1] if self.is_reached else ANSWERS)
        if answer == "not_sent":
            raise GraphNotSent("no way to Meta")
        if answer != "lost_before":
            self.heard[sync_type].append(answer)
        await asyncio.sleep(0)
        match answer:
            case "lost_after" | "lost_before":
                raise GraphUnclear("no answer")
            case "refused":
                raise GraphError(400, _Error(code=100, message="not like this"))
            case "unknown":
                raise GraphError(500, _Error(code=131000, message="something"))
            case "taken":
                raise GraphError(400, _Error(code=rules.ALREADY_REQUESTED, message="already"))
        return f"req-{len(self.heard[sync_type])}"


class Dying:
    """An awaitable that ends like its process at its nth suspension: whatever it waits for, nobody comes back to it."""

    def __init__(self, work: Awaitable[Any], steps: int) -> None:
        self._work, self._steps = work, steps
        self.has_died = False

    def __await__(self) -> Generator[Any, Any, Any]:
        running = self._work.__await__()
        left = self._steps
        waited_for = next(running, None)
        while True:
            if left == 0:
                self.has_died = True
                with suppress(asyncio.CancelledError, StopIteration):
                    waited_for = running.throw(asyncio.CancelledError())
                    while True:  # on the way out, such as to give a connection back, it may wait again
                        yield waited_for
                        waited_for = running.send(None)
                return None
            left -= 1
            yield waited_for
            try:
                waited_for = running.send(None)
            except StopIteration:
                return None


@dataclass
class Round:
    """One onboarding and all that befalls it."""

    business: Business
    chance: random.Random
    meta: Meta
    events: Counter[str]

    async def click(self) -> None:
        business = self.business
        ids = business.member.account_id, business.inbox.id
        await in_transaction(business.pool, lambda conn: actions.request_syncs(conn, *ids))

    async def ask(self) -> None:
        await oneshot.ask(self.business.pool, GRAPH, KEYRING, self.business.inbox.id)

    async def step(self) -> None:
        await worker.step(self.business.pool, GRAPH, KEYRING)

    async def act(self) -> None:
        """One click, or one worker, which may die on the way."""
        what = self.chance.choice((self.click, self.ask, self.step))
        steps = self.chance.randrange(STEPS_MAX) if self.chance.random() < 0.7 else -1
        await asyncio.sleep(0)
        work = Dying(what(), steps)
        with suppress(AppError, psycopg.Error):
            await work
        self.events["deaths"] += work.has_died
        self.events["clicks"] += what == self.click

    async def cut(self) -> None:
        """The database's connections break, all of them."""
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        async with await database.connect(str(self.business.pool.conninfo), application="cutter") as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )


GRAPH: Final[Any] = None
"""No call of these tests leaves the process: ``Meta`` stands where Graph is asked."""


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.mark.requirement("B3")
async def test_a_thousand_crashes_and_double_clicks_ask_once(
    business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LASTING_PAUSE_S", 0.002)
    chance = random.Random(2593107)
    ends, events = Counter[tuple[str, ...]](), Counter[str]()
    for number in range(ROUNDS):
        meta = Meta(chance)
        monkeypatch.setattr(graph_calls, "request_sync", meta.request_sync)
        since = clock.now() - timedelta(minutes=59) + timedelta(milliseconds=number)
        async with transaction(business.pool) as conn:
            await conn.execute("UPDATE inboxes SET onboarded_at = %s", (since,))
            await store.put_syncs(conn, business.inbox.id, since)
            await passed(conn)
        one = Round(business, chance, meta, events)
        await one.click()
        cuts = [one.cut()] if chance.random() < 0.05 else []
        await asyncio.gather(*(one.act() for _ in range(ACTORS)), *cuts)
        ends[await _after_the_restart(one, f"round {number}")] += 1
    assert len(ends) >= 6, f"the rounds ended alike, so they prove little: {dict(ends)}"
    assert events["deaths"] + events["clicks"] > DEATHS_AND_CLICKS, events
    assert min(events["deaths"], events["clicks"]) > DEATHS_AND_CLICKS / 5, events


async def _ask_until_it_can(one: Round) -> None:
    """The pool may still hand out connections that were cut: each costs one try."""
    for _ in range(one.business.pool.max_size):
        with suppress(psycopg.OperationalError):
            return await one.ask()
    return await one.ask()


async def _after_the_restart(one: Round, where: str) -> tuple[str, ...]:
    """Let a worker that does not die go on, at once and when lost calls count as lost; then look at what is known.

    Meta can be reached now: what never got there was kept for this.
    """
    one.meta.is_reached = True
    await _ask_until_it_can(one)
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        await one.ask()
    for sync_type, answers in one.meta.heard.items():
        assert set(answers[:-1]) <= {"refused"}, f"{where}: {sync_type} was asked for again after {answers}"
    async with one.business.pool.connection() as conn:
        panel = await overview.sync_panel(conn, one.business.member.account_id, one.business.inbox.id)
    for report, sync_type in ((panel.contacts, "smb_app_state_sync"), (panel.history, "history")):
        sync, answers = report.sync, one.meta.heard[sync_type]
        known = f"{where}: {sync_type} is {sync.state}, Meta heard {answers}"
        match sync.state:
            case SyncState.REQUESTED:
                assert answers[-1] in ("ok", "taken"), known
                assert sync.request_id or answers[-1] == "taken", known
            case SyncState.REQUESTING:  # it waits for what arrives, and a person is told so
                assert sync.requested_at is not None, known
                assert "not known" in report.sentence, known
            case SyncState.NOT_REQUESTED | SyncState.FAILED:  # Meta certainly refused: asking again is right
                assert set(answers) <= {"refused"}, known
                waits = sync.wanted_at is not None and panel.contacts.sync.refusals > 0
                assert (sync.refusals > 0 and sync.error) or (sync is panel.history.sync and waits), known
            case _:
                pytest.fail(known)
    return tuple(f"{report.sync.state}:{report.sync.refusals}" for report in (panel.contacts, panel.history))
