"""The one chance to sync, a thousand times: clicks and workers side by side, dying anywhere, Meta answering anyhow.

Nothing is asked for twice, and nothing is lost in silence: in the end each sync was asked for and that is known, or its
answer is unknown and said to be, or Meta's refusal is there with its reason and it may be asked for again.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import psycopg
import pytest
from psycopg_pool.base import AttemptWithBackoff

from coexist.base import clock, database
from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import AppError
from coexist.coexistence import actions, oneshot, overview, rules, store, worker
from coexist.coexistence.model import SyncKind, SyncState
from coexist.inbox import connection
from coexist.meta import graph as graph_calls
from coexist.meta.graph import Graph, GraphError, GraphNotSent, GraphUnclear
from coexist.meta.transport import _Error
from tests.support.business import KEYRING, Business, open_business
from tests.support.ready import passed

ROUNDS: Final = 1_000
ACTORS: Final = 4
ENOUGH: Final = 1_000
CUTS: Final = 0.02
"""The share of rounds in which the database's connections break besides."""
STEPS_MAX: Final = 50
"""How many suspensions an actor may live through: asking for both syncs takes some forty, a click ten."""
LATER: Final = timedelta(minutes=rules.CALL_MINUTES + 1)
ERRORS: Final = {
    "refused": (400, 100),
    "unknown": (500, 131000),
    "nameless": (500, None),
    "taken": (400, rules.ALREADY_REQUESTED),
    "too_late": (400, rules.TOO_LATE),
    "limited": (400, 4),
    "away": (503, 2),
    "no_access": (401, 190),
}
"""HTTP status and code of Meta's refusals. Of the last five Meta has certainly taken nothing up."""
NOT_TAKEN: Final = {"refused", "too_late", "limited", "away", "no_access"}
WAITING: Final = {"limited", "away", "no_access"}
"""What says nothing of the request: it stays wanted, and a worker looks at the number again before it asks."""
ANSWERS: Final = ("ok", "ok", "ok", *ERRORS, "refused", "lost_after", "lost_before", "not_sent", "not_sent")
AWAITED: Final = {
    node.lineno for node in ast.walk(ast.parse(inspect.getsource(oneshot))) if isinstance(node, ast.Await)
}
"""The lines of the one-shot call at which something is waited for: somebody dies at each of them."""


@dataclass
class Meta:
    """What Meta heard: for each type its answers, in order, and the types in the order in which it was asked.

    Until ``is_reached`` the way to it may be closed.
    """

    chance: random.Random
    is_reached: bool = False
    heard: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    order: list[str] = field(default_factory=list)

    async def request_sync(self, graph: Graph, phone_number_id: str, token: str, sync_type: str) -> str:
        """As ``meta.request_sync``: it may be cancelled before Meta hears of it, and after."""
        await asyncio.sleep(0)
        answer = self.chance.choice(ANSWERS[:-2] if self.is_reached else ANSWERS)
        if answer == "not_sent":
            raise GraphNotSent("no way to Meta")
        self.order.append(sync_type)
        self.heard[sync_type].append(answer)  # what was lost on the way there counts: we cannot know
        await asyncio.sleep(0)
        if answer in ("lost_after", "lost_before"):
            raise GraphUnclear("no answer")
        if answer in ERRORS:
            status, code = ERRORS[answer]
            raise GraphError(status, _Error(code=code, message=answer))
        return f"req-{len(self.heard[sync_type])}"


class Dying:
    """An awaitable that ends like its process: whatever it waits for, nobody comes back to it.

    At its nth suspension, or as soon as it waits at a line of the one-shot call.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], steps: int, line: int | None) -> None:
        self._work, self._steps, self._line = work, steps, line
        self.has_died = False
        self.died_at: set[int] = set()
        """The lines of the one-shot call at which it was suspended."""

    def _lines(self) -> Iterator[int]:
        inner: Any = self._work
        while inner is not None and getattr(inner, "cr_frame", None) is not None:
            if inner.cr_frame.f_code.co_filename == oneshot.__file__:
                yield inner.cr_frame.f_lineno
            inner = inner.cr_await

    def __await__(self) -> Generator[Any, Any, Any]:
        running = self._work.__await__()
        left = self._steps
        waited_for = next(running, None)
        while True:
            if left == 0 or (self._line is not None and self._line in self._lines()):
                self.has_died, self.died_at = True, set(self._lines())
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
    since: datetime
    chance: random.Random
    meta: Meta
    events: Counter[str]
    died_at: Counter[int]

    async def click(self) -> None:
        business = self.business
        ids = business.member.account_id, business.inbox.id
        await in_transaction(business.pool, lambda conn: actions.request_syncs(conn, *ids))

    async def ask(self) -> None:
        await oneshot.ask(self.business.pool, GRAPH, KEYRING, self.business.inbox.id)

    async def step(self) -> None:
        await worker.step(self.business.pool, GRAPH, KEYRING)

    async def insist(self) -> None:
        """A person asks again for what Meta refused too often, and a look finds all in order."""
        inbox, since = self.business.inbox, self.since
        async with transaction(self.business.pool) as conn:
            await store.want_refused(conn, inbox.id, since, list(SyncKind))
        await self.mend()

    async def act(self, *more: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One click, or one worker, which may die on the way."""
        what = self.chance.choice((self.click, self.ask, self.step, *more))
        steps = self.chance.randrange(STEPS_MAX) if self.chance.random() < 0.8 else -1
        line = min(AWAITED, key=lambda each: self.died_at[each]) if self.chance.random() < 0.3 else None
        await asyncio.sleep(0)
        work = Dying(what(), steps, line)
        with suppress(AppError, psycopg.Error):
            await work
        self.events["deaths"] += work.has_died
        self.died_at.update(work.died_at)
        self.events["clicks"] += what == self.click

    async def mend(self) -> None:
        """What Meta named is mended, and a look has found all in order: nothing of a round before stands any more."""
        async with transaction(self.business.pool) as conn:
            await conn.execute("DELETE FROM call_pauses")
            await conn.execute("DELETE FROM inbox_timeline WHERE event IN ('TOKEN_REFUSED', 'SENDING_REFUSED')")
            await connection.refresh(conn, [self.business.inbox.id])
            await passed(conn)

    async def cut(self) -> None:
        """The database's connections break, all of them."""
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        async with await database.connect(str(self.business.pool.conninfo), application="cutter") as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )


GRAPH: Final[Any] = SimpleNamespace(usage=SimpleNamespace(ease=lambda token: asyncio.sleep(0)))
"""No call of these tests leaves the process: ``Meta`` stands where Graph is asked. Before it, one may have to wait."""


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


@pytest.mark.requirement("B3")
async def test_a_thousand_crashes_and_double_clicks_ask_once(
    business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LASTING_PAUSE_S", 0.002)
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.01)  # of a pool whose connections were cut
    chance = random.Random(2593107)
    ends, events, died_at = Counter[tuple[str, ...]](), Counter[str](), Counter[int]()
    for number in range(ROUNDS):
        meta = Meta(chance)
        monkeypatch.setattr(graph_calls, "request_sync", meta.request_sync)
        since = clock.now() - timedelta(minutes=59) + timedelta(milliseconds=number)
        one = Round(business, since, chance, meta, events, died_at)
        async with transaction(business.pool) as conn:
            await conn.execute("UPDATE inboxes SET onboarded_at = %s", (since,))
            await store.put_syncs(conn, business.inbox.id, since)
        await one.mend()
        await one.click()
        cuts = [one.cut()] if chance.random() < CUTS else []
        await asyncio.gather(*(one.act() for _ in range(ACTORS)), *cuts)
        ends[await _after_the_restart(one, f"round {number}")] += 1
    assert len(ends) >= 12, f"the rounds ended alike, so they prove little: {dict(ends)}"
    assert min(events["deaths"], events["clicks"]) >= ENOUGH, events
    assert died_at.keys() >= AWAITED, "nobody died at some lines of the one-shot call"


@pytest.mark.requirement("B3", "B10")
async def test_who_asks_again_after_refusals_is_never_heard_twice(
    business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LASTING_PAUSE_S", 0.002)
    chance = random.Random(31)
    ends = Counter[tuple[str, bool]]()
    for number in range(ROUNDS // 10):
        meta = Meta(chance, is_reached=True)
        monkeypatch.setattr(graph_calls, "request_sync", meta.request_sync)
        since = clock.now() - timedelta(minutes=59) + timedelta(milliseconds=number)
        one = Round(business, since, chance, meta, Counter(), Counter())
        async with transaction(business.pool) as conn:
            await conn.execute("UPDATE inboxes SET onboarded_at = %s", (since,))
            await store.put_syncs(conn, business.inbox.id, since)
            failed = "UPDATE syncs SET state = 'failed', refusals = %s, error = 'refused' WHERE onboarded_at = %s"
            await conn.execute(failed, (rules.REFUSALS_MAX, since))
        for _ in range(2):
            await one.insist()
            await asyncio.gather(*(one.act(one.insist) for _ in range(ACTORS)))
        await one.mend()
        await one.ask()
        async with business.pool.connection() as conn:
            for sync in await store.syncs(conn, business.inbox.id):
                answers = meta.heard["history" if sync.kind == SyncKind.HISTORY else "smb_app_state_sync"]
                known = f"round {number}: {sync.kind} is {sync.state}, Meta heard {answers}"
                assert set(answers[:-1]) <= NOT_TAKEN - {"too_late"}, known
                heard = rules.REFUSALS_MAX + answers.count("refused")
                assert sync.refusals == heard or sync.state == SyncState.REQUESTING, known  # who was told may have died
                assert heard <= rules.REFUSALS_IN_ALL, known
                if sync.state == SyncState.REQUESTED:
                    assert answers[-1] in ("ok", "taken"), known
                elif sync.state == SyncState.REQUESTING:
                    assert sync.requested_at is not None, known
                elif sync.state == SyncState.FAILED:
                    assert sync.error, known
                    assert answers[-1] in ("refused", "too_late"), known
                else:  # a worker takes it up again
                    assert (sync.state, sync.wanted_at is not None) == (SyncState.NOT_REQUESTED, True), known
                ends[sync.state, len(answers) > 1] += 1
    assert len(ends) >= 6, ends


async def _after_the_restart(one: Round, where: str) -> tuple[str, ...]:
    """Let a worker that does not die go on, at once and when lost calls count as lost; then look at what is known.

    Meta can be reached now: what never got there was kept for this.
    """
    one.meta.is_reached = True
    await one.business.pool.check()  # what was cut is not handed out any more
    await one.mend()
    await one.ask()
    await one.mend()
    later = clock.now() + LATER
    with clock.reading(lambda: later):
        await one.ask()
    for sync_type, answers in one.meta.heard.items():
        assert set(answers[:-1]) <= NOT_TAKEN - {"too_late"}, f"{where}: {sync_type} was asked for after {answers}"
    assert one.meta.order == sorted(one.meta.order, reverse=True), f"{where}: the history came first"
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
            case SyncState.NOT_REQUESTED:  # Meta has certainly taken nothing up: asking again is right
                assert set(answers) <= NOT_TAKEN - {"too_late"}, known
                if answers and answers[-1] == "refused":
                    assert sync.refusals > 0, known
                    assert sync.error, known
                else:  # it waits for a look, or behind the contacts; a worker takes it up again
                    assert sync.wanted_at is not None, known
                    assert answers or sync is panel.history.sync, known
            case SyncState.FAILED:
                assert answers[-1] == "too_late" or answers.count("refused") == rules.REFUSALS_MAX, known
                assert sync.error, known
            case _:
                pytest.fail(known)
    return tuple(f"{report.sync.state}:{report.sync.refusals}" for report in (panel.contacts, panel.history))
