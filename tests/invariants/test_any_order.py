"""Any order, duplication, batching and concurrency of the same deliveries ends in the same tables."""

import asyncio
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coexist.base.database import open_pool, transaction
from tests.support import databases, intake, snapshot, wire
from tests.support.intake import BRANCH, SHOP

# A small world, so that collisions are the rule: three people, one of them in two national forms, two numbers.
PHONES = ["5511985500111", "551185500111", "351910559122", "351910559133"]
BSUIDS = ["BR.1001", "PT.2002", "PT.3003"]
WAMIDS = [f"wamid.{letter}" for letter in "abcdef"]
NUMBERS = [SHOP, BRANCH]

times = st.integers(0, 30)
ids = st.one_of(
    st.builds(lambda phone: {"phone": phone}, st.sampled_from(PHONES)),
    st.builds(lambda bsuid: {"bsuid": bsuid}, st.sampled_from(BSUIDS)),
    st.builds(lambda phone, bsuid: {"phone": phone, "bsuid": bsuid}, st.sampled_from(PHONES), st.sampled_from(BSUIDS)),
)
numbers = st.sampled_from(NUMBERS)
wamids = st.sampled_from(WAMIDS)
words = st.sampled_from(["Oi", "Bom dia", "Até já"])
own_wamids = st.integers(0, 10**6).map(lambda n: f"wamid.change.{n}")

UNAVAILABLE = {"type": "unsupported", "errors": [{"code": 131060, "title": "x"}]}
PLACEHOLDER = {"type": "media_placeholder"}
contents = st.one_of(words.map(wire.text), st.just(wire.image("8801", "foto")), st.just(UNAVAILABLE))
later = st.one_of(
    st.builds(wire.edit, wamids, words),
    st.builds(wire.revoke, wamids),
    st.builds(wire.reaction, wamids, st.sampled_from(["👍", "🌱", None])),
)


Who = dict[str, Any]


def _told(build: Any, wamid: str, at: int, what: Any, who: Who, number: Any) -> Any:
    return build(wamid, at, what, number=number, **who)


def _status(wamid: str, at: int, word: str, who: Who) -> Any:
    return wire.status(wamid, at, word, **who)


def _past(wamid: str, at: int, what: Any, who: Who, outbound: bool, word: str, number: Any, progress: int) -> Any:
    item = wire.past(wamid, at, what, outbound=outbound, word=word, number=number, **who)
    threads = [wire.thread(who.get("phone"), who.get("bsuid"), [item])]
    return wire.history(threads, order=at, progress=progress, number=number)


def _late(wamid: str, at: int, who: Who, outbound: bool, number: Any) -> Any:
    return wire.late_file(wamid, at, wire.image("8802"), outbound=outbound, number=number, **who)


def _entry(at: int, who: Who, name: str | None, number: Any) -> Any:
    return wire.entry(at, name=name, number=number, **who)


def _named(wamid: str, at: int, who: Who, name: str) -> Any:
    return wire.message(wamid, at, wire.text("Olá"), name=name, **who)


past_contents = st.one_of(contents, st.just(PLACEHOLDER))
past_words = st.sampled_from(["READ", "DELIVERED", "ERROR"])
statuses = st.sampled_from(["sent", "delivered", "read", "failed"])
book_names = st.sampled_from(["Inês", "Inês D.", None])
changes = st.one_of(
    st.builds(_told, st.sampled_from([wire.message, wire.echo]), wamids, times, contents, ids, numbers),
    st.builds(_told, st.sampled_from([wire.message, wire.echo]), own_wamids, times, later, ids, numbers),
    st.builds(_status, wamids, times, statuses, ids),
    st.builds(_past, wamids, times, past_contents, ids, st.booleans(), past_words, numbers, st.integers(0, 100)),
    st.builds(_late, wamids, times, ids, st.booleans(), numbers),
    st.builds(_entry, times, ids, book_names, numbers),
    st.builds(wire.rotated, st.sampled_from(BSUIDS), st.sampled_from(BSUIDS), times),
    st.builds(wire.moved, own_wamids, st.sampled_from(PHONES), st.sampled_from(PHONES), times),
    st.builds(_named, own_wamids, times, ids, words),
)
worlds = st.lists(changes, min_size=2, max_size=14)


async def outcome(
    server_url: str, template_name: str, schedules: list[list[bytes]], *, batch: int, appliers: int
) -> snapshot.Snapshot:
    """Return the tables after these deliveries: each schedule is journaled and applied before the next."""
    async with databases.clone(server_url, template_name) as url, open_pool(url, min_size=2, max_size=8) as pool:
        async with transaction(pool) as conn:
            await intake.connect(conn, SHOP, BRANCH)
        for bodies in schedules:
            await intake.journal(pool, bodies)
            await asyncio.gather(*(intake.apply_all(pool, batch=batch) for _ in range(appliers)))
        async with pool.connection() as conn:
            return await snapshot.take(conn)


def schedule(world: list[Any], chance: random.Random) -> list[list[bytes]]:
    """Shuffle, repeat, merge and split a world into deliveries, in several rounds."""
    items = [*world, *(change for change in world if chance.random() < 0.3)]
    chance.shuffle(items)
    rounds: list[list[bytes]] = [[]]
    while items:
        taken = [items.pop() for _ in range(min(len(items), chance.randint(1, 3)))]
        rounds[-1].append(intake.body_of(*taken))
        if chance.random() < 0.25:
            rounds.append([])
    return [bodies for bodies in rounds if bodies]


@pytest.mark.requirement("D1", "D12", "D14", "C3", "F1")
@settings(
    max_examples=int(os.environ.get("SCHEDULES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a failure is told at once: shrinking two databases takes minutes
)
@given(world=worlds, seed=st.integers(0, 2**32))
def test_any_schedule_gives_the_same_tables(server_url: str, template_name: str, world: list[Any], seed: int) -> None:
    chance = random.Random(seed)
    batch, appliers = chance.choice([1, 3, 100]), chance.choice([1, 1, 2, 3])

    async def both() -> tuple[snapshot.Snapshot, snapshot.Snapshot]:
        plain = [[intake.body_of(change)] for change in world]
        other = schedule(world, chance)
        return (
            await outcome(server_url, template_name, plain, batch=1, appliers=1),
            await outcome(server_url, template_name, other, batch=batch, appliers=appliers),
        )

    first, second = asyncio.run(both())
    for table, rows in first.items():
        assert second[table] == rows, table
