"""What is let go of: applied deliveries in time, never what waits; and replays by range of what is left."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import psycopg
import pytest
from structlog.testing import capture_logs

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.base.errors import Invalid
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.intake import retention
from coexist.intake.replay import Extent, Span, check, count, extent, in_line, replay, window_end
from coexist.intake.retention import Kept, Pruned, count_old, prune_journal
from coexist.quarantine import actions, store
from coexist.quarantine.model import Keeper
from tests.store.test_applying import BAD_DATA, message, refuse, rows, texts
from tests.support import intake, wire
from tests.support.intake import SHOP, Number, body_of
from tests.support.waiting import looping, until

STRANGE: Final = Number("555100020009999", "5511985500199", "709999999999999", "880011223344556")
OPERATOR: Final = Keeper("Root on the command line", None)
KEPT: Final = Kept(live_days=90, import_days=0)


def days_ago(days: float) -> datetime:
    return clock.now() - timedelta(days=days)


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


async def receive(pool: Pool, days: float, *bodies: bytes) -> None:
    """Journal and apply deliveries that came so long ago."""
    await intake.journal(pool, bodies, received_at=days_ago(days))
    await intake.apply_all(pool)


def live(name: str) -> bytes:
    return body_of(message(name, name))


def chunk(name: str) -> bytes:
    past = wire.past(f"wamid.P{name}", 60, wire.text(name), phone="351910559122")
    return body_of(wire.history([wire.thread("351910559122", None, [past])]))


async def left(pool: Pool) -> list[int]:
    return [row[0] for row in await rows(pool, "SELECT id FROM journal ORDER BY id")]


# ── the journal ───────────────────────────────────────────────────────────────────────────────────────────


async def test_old_live_deliveries_go_and_imports_stay(shop: Pool) -> None:
    await receive(shop, 100, live("a"), chunk("h"))
    await receive(shop, 91, live("b"))
    await receive(shop, 89, live("c"), chunk("i"))
    before = await texts(shop)
    assert await left(shop) == [1, 2, 3, 4, 5]
    counted = await count_old(shop, KEPT)
    removed = await prune_journal(shop, KEPT)
    assert (removed.live, removed.imports) == (2, 0)
    assert removed == counted
    assert removed.removed_bytes > 0
    assert await left(shop) == [2, 4, 5]
    assert await texts(shop) == before, "what is applied does not need its delivery"
    assert await prune_journal(shop, KEPT) == Pruned()


async def test_imports_go_by_their_own_days(shop: Pool) -> None:
    await receive(shop, 100, live("a"), chunk("h"))
    await receive(shop, 20, chunk("i"))
    assert (await prune_journal(shop, Kept(live_days=0, import_days=30))).imports == 1
    assert await left(shop) == [1, 3]


async def test_0_days_are_for_ever(shop: Pool) -> None:
    await receive(shop, 5000, live("a"), chunk("h"))
    assert await count_old(shop, Kept(0, 0)) == Pruned()
    assert await prune_journal(shop, Kept(0, 0)) == Pruned()
    assert await left(shop) == [1, 2]


@pytest.mark.requirement("C4")
async def test_what_still_waits_is_never_removed(shop: Pool) -> None:
    """In line, in quarantine, dismissed there, for a number that is not connected: all older than anything is kept."""
    await refuse(shop, "NEW.text IN ('guilty', 'dismissed')", BAD_DATA)
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await receive(shop, 400, live("applied"), live("guilty"), live("dismissed"))
    await receive(shop, 400, body_of(strangers, waba_id=STRANGE.waba_id), b"{")
    async with transaction(shop) as conn:
        parts, _ = await store.page(conn, OPERATOR)
        (dismissed,) = [part.id for part in parts if part.journal_id == 3]
        await actions.dismiss(conn, OPERATOR, [dismissed], why="an advert")
        await actions.dismiss_number(conn, OPERATOR, STRANGE.phone_number_id, why="not ours")
    await intake.journal(shop, [live("in line"), chunk("in line")], received_at=days_ago(400))
    assert (await prune_journal(shop, Kept(1, 14))).live == 1
    assert await left(shop) == [2, 3, 4, 5, 6, 7]
    await intake.apply_all(shop)
    assert (await prune_journal(shop, Kept(1, 14))) != Pruned()
    assert await left(shop) == [2, 3, 4, 5]


@pytest.mark.parametrize("table", ["message_changes", "message_statuses"])
async def test_what_waits_for_its_message_goes_with_its_delivery_and_not_by_its_own_time(
    shop: Pool, table: str
) -> None:
    """A reaction of long ago may come with a history; what came long ago may belong to what could not be applied."""
    phone, long_ago = "351910559122", -(10**7)
    reaction = wire.message("wamid.R", long_ago, wire.reaction("wamid.never", "👍"), phone=phone)
    await receive(shop, 0, body_of(reaction), body_of(wire.status("wamid.never", long_ago, "read", phone=phone)))
    waiting = f"SELECT count(*) FROM {table} WHERE is_waiting"
    await retention.run_once(shop, KEPT)
    assert await rows(shop, waiting) == [(1,)], "it has just been told"
    await rows(shop, "UPDATE journal SET received_at = now() - interval '91 days' RETURNING 1")
    await rows(
        shop,
        "WITH j AS (INSERT INTO journal (received_at, body) VALUES (now(), '') RETURNING id)"
        " INSERT INTO quarantine (journal_id, part, phone_number_id, error)"
        f" SELECT id, '', '{SHOP.phone_number_id}', 'x' FROM j RETURNING 1",
    )
    await retention.run_once(shop, KEPT)
    assert await rows(shop, waiting) == [(1,)], "its message may be in what could not be read"
    assert len(await left(shop)) == 3
    await rows(shop, "DELETE FROM quarantine RETURNING 1")
    await retention.run_once(shop, KEPT)
    assert await rows(shop, waiting) == [(0,)]
    assert len(await left(shop)) == 1


async def test_the_database_itself_holds_fast_what_waits(shop: Pool) -> None:
    strangers = wire.message("wamid.S", 1, wire.text("Olá"), phone="351910559122", number=STRANGE)
    await receive(shop, 400, b"{", body_of(strangers, waba_id=STRANGE.waba_id))
    for journal_id in (1, 2):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await rows(shop, f"DELETE FROM journal WHERE id = {journal_id} RETURNING id")


async def test_it_goes_in_small_batches_past_what_stays(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 3)
    await receive(shop, 100, *(chunk(f"h{n}") for n in range(7)))
    await receive(shop, 100, *(live(f"a{n}") for n in range(7)))
    await receive(shop, 10, *(live(f"b{n}") for n in range(7)))
    assert (await prune_journal(shop, KEPT, pause_share=0)).live == 7
    assert await left(shop) == [*range(1, 8), *range(15, 22)]


async def test_large_bodies_make_a_batch_small(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await receive(shop, 100, *(live(f"a{n}") for n in range(6)))
    ((size,),) = await rows(shop, "SELECT max(pg_column_size(body)) FROM journal")
    monkeypatch.setattr(retention, "BATCH_BYTES", 2 * size)
    batches: list[Pruned] = []
    original = retention._step

    async def watched(*arguments: object) -> tuple[Pruned, int | None]:
        found = await original(*arguments)  # type: ignore[arg-type]
        batches.append(found[0])
        return found

    monkeypatch.setattr(retention, "_step", watched)
    assert (await prune_journal(shop, KEPT, pause_share=0)).live == 6
    assert max(batch.live for batch in batches) == 2


async def test_one_process_at_a_time_and_none_while_old_ones_are_put_in_line(shop: Pool) -> None:
    await receive(shop, 100, live("a"))
    async with transaction(shop) as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", (retention.LOCK,))
        assert await prune_journal(shop, KEPT) == Pruned()
    async with transaction(shop) as conn:
        assert await replay(conn, Span()) == 1
        assert await prune_journal(shop, KEPT) == Pruned(), (
            "the replay is not committed: its row of the backlog is unseen"
        )
    assert await prune_journal(shop, KEPT) == Pruned(), "it is in line"
    await intake.apply_all(shop)
    assert (await prune_journal(shop, KEPT)).live == 1


async def test_applying_goes_first(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BUSY_COUNT", 2)
    await receive(shop, 100, live("a"))
    await intake.journal(shop, [live("b"), live("c")])
    assert await prune_journal(shop, KEPT) == Pruned()
    await intake.apply_all(shop)
    assert (await prune_journal(shop, KEPT)).live >= 1


async def test_the_loop_lets_go_of_everything_that_is_old(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVERY_S", 0.05)
    await receive(shop, 100, live("a"))
    async with transaction(shop) as conn:
        await feed.append(conn, [NewEvent(1, Kind.INBOX_CHANGED)])
        await conn.execute("UPDATE events SET at = at - interval '8 days'")
        await conn.execute(
            "INSERT INTO quarantine_settled (journal_id, part, error, attempts, since, settled_at)"
            " VALUES (1, '', 'x', 1, now(), now() - interval '31 days')"
        )

    async def is_empty(table: str) -> bool:
        return not await rows(shop, f"SELECT FROM {table}")

    async with looping(retention.run(shop, KEPT)):
        for table in ("journal", "events", "quarantine_settled"):
            await until(partial(is_empty, table), f"{table} is empty")


async def test_the_loop_survives_a_database_that_fails(shop: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVERY_S", 0.02)
    await receive(shop, 100, live("a"))
    async with transaction(shop) as conn:
        await conn.execute("ALTER TABLE quarantine_settled RENAME TO gone")

    async def has_failed() -> bool:
        return [line["event"] for line in logged].count("retention_failed") > 1

    async def is_empty() -> bool:
        return not await rows(shop, "SELECT FROM journal")

    with capture_logs() as logged:
        async with looping(retention.run(shop, KEPT)):
            await until(has_failed, "it fails, and again")
            async with transaction(shop) as conn:
                await conn.execute("ALTER TABLE gone RENAME TO quarantine_settled")
            await receive(shop, 100, live("b"))
            await until(is_empty, "it goes on")


# ── replay by range ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_range_is_of_ids_or_times_or_both(shop: Pool) -> None:
    for days in (5, 4, 3, 2, 1):
        await receive(shop, days, live(f"a{days}"))
    async with transaction(shop) as conn:
        assert await count(conn, Span(first=2, last=4)) == 3
        assert await count(conn, Span(since=days_ago(3.5))) == 3
        assert await count(conn, Span(until=days_ago(3.5))) == 2
        assert await count(conn, Span(first=4, since=days_ago(4.5), until=days_ago(0.5))) == 2
        assert [await window_end(conn, first, 2) for first in (1, 3, 5, 6)] == [2, 4, 5, None]
        assert await replay(conn, Span(first=2, last=3)) == 2
        assert await replay(conn, Span()) == 3, "two are in line already"
        assert await in_line(conn, Span(last=2)) == 2
    await intake.apply_all(shop)
    async with transaction(shop) as conn:
        assert await in_line(conn, Span()) == 0
        assert await replay(conn, Span(is_quarantined=True)) == 0


NOW: Final = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
HAS: Final = Extent(100, NOW - timedelta(days=10), 200, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (Span(first=150, last=120), "ends before it begins: 150 comes after 120"),
        (Span(since=NOW - timedelta(days=1), until=NOW - timedelta(days=2)), "ends before it begins"),
        (Span(since=NOW + timedelta(days=1)), "in the future"),
        (Span(first=201), "The journal ends before that, with delivery 200"),
        (Span(since=NOW - timedelta(minutes=1)), "The journal ends before that"),
        (Span(last=99), "begins after that, with delivery 100 of 2026-11-10 12:00:00"),
        (Span(until=NOW - timedelta(days=11)), "COEXIST_JOURNAL_DAYS has let go of them"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_with_a_sentence(span: Span, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        check(span, HAS, NOW)


@pytest.mark.parametrize("span", [Span(), Span(100, 200), Span(1, 10**9), Span(since=NOW - timedelta(days=99))])
def test_a_range_that_reaches_into_the_journal_is_taken(span: Span) -> None:
    check(span, HAS, NOW)


async def test_an_empty_journal_has_nothing_to_replay(pool: Pool) -> None:
    async with transaction(pool) as conn:
        has = await extent(conn)
    with pytest.raises(Invalid, match="The journal is empty"):
        check(Span(), has, NOW)
