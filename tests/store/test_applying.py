"""From the journal into the tables: what fails is put aside alone, what cannot succeed now waits, nothing is lost."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from coexist.base.database import Pool, transaction
from coexist.base.errors import Unavailable
from coexist.intake import store, worker
from coexist.intake.replay import Span, replay
from coexist.intake.worker import BULK_LANE, LIVE_LANE, apply_next
from tests.support import business, intake, wire
from tests.support.intake import KEYRING, ONBOARDED_AT, RECEIVED_AT, SHOP, body_of
from tests.support.switches import switch_off
from tests.support.waiting import looping, until

PHONE: Final = "351910559122"
DISK_FULL, CANCELED, BAD_DATA = "53100", "57014", "22000"
PART: Final = "entry[0].changes[0].messages[0]"


def message(name: str, body: str = "Oi") -> dict[str, Any]:
    return wire.message(f"wamid.{name}", 1, wire.text(body), phone=PHONE)


def several(*bodies: str) -> bytes:
    """One delivery with several messages, each named by its text."""
    told = message("", "")
    told["value"]["messages"] = [message(body, body)["value"]["messages"][0] for body in bodies]
    return body_of(told)


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


async def texts(pool: Pool) -> list[str]:
    return [row[0] for row in await rows(pool, "SELECT text FROM messages ORDER BY text")]


async def backlog(pool: Pool) -> int:
    return len(await rows(pool, "SELECT FROM backlog"))


async def refuse(pool: Pool, condition: str, sqlstate: str) -> None:
    """From now on the database answers ``sqlstate`` to a message for which ``condition`` holds."""
    async with transaction(pool) as conn:
        await conn.execute(
            f"""
            CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{sqlstate}'; END $$;
            CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON messages
                FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()"""
        )


async def cancel_more_than(pool: Pool, count: int) -> None:
    """From now on a statement that adds more than ``count`` messages takes too long."""
    async with transaction(pool) as conn:
        await conn.execute(
            f"""
            CREATE FUNCTION limit_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT count(*) FROM added) > {count} THEN
                    RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '{CANCELED}';
                END IF;
                RETURN NULL; END $$;
            CREATE TRIGGER limit_rows AFTER INSERT ON messages REFERENCING NEW TABLE AS added
                FOR EACH STATEMENT EXECUTE FUNCTION limit_rows()"""
        )


async def allow(pool: Pool) -> None:
    """Take back ``refuse``."""
    async with transaction(pool) as conn:
        await conn.execute("DROP TRIGGER refuse ON messages")


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    """The pool, with a connected number."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    return pool


# ── what fails ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C4")
async def test_a_part_that_is_flawed_and_fails_as_well_is_one_row_with_both_errors(shop: Pool) -> None:
    guilty = message("guilty", "guilty")
    guilty["value"]["messages"][0]["context"] = "not an object"
    await refuse(shop, "NEW.text = 'guilty'", BAD_DATA)
    await intake.deliver(shop, [body_of(message("a", "before")), body_of(guilty), body_of(message("b", "behind"))])
    assert await texts(shop) == ["before", "behind"]
    assert await backlog(shop) == 0
    ((part, error),) = await rows(shop, "SELECT part, error FROM quarantine")
    assert part == PART
    assert "context" in error
    assert "refused by the test" in error


@pytest.mark.requirement("C4")
async def test_what_is_repaired_leaves_the_quarantine_though_another_delivery_fails_at_the_same_place(
    shop: Pool,
) -> None:
    await refuse(shop, "NEW.text IN ('repaired', 'broken')", BAD_DATA)
    await intake.deliver(shop, [body_of(message("a", "repaired")), body_of(message("b", "broken"))])
    assert await rows(shop, "SELECT journal_id, part FROM quarantine ORDER BY 1") == [(1, PART), (2, PART)]
    await refuse(shop, "NEW.text = 'broken'", BAD_DATA)
    async with transaction(shop) as conn:
        assert await replay(conn, Span(is_quarantined=True)) == 2
    assert await apply_next(shop, KEYRING, BULK_LANE) == 2  # in one batch
    assert await texts(shop) == ["repaired"]
    assert await rows(shop, "SELECT journal_id, part, attempts FROM quarantine") == [(2, PART, 2)]


@pytest.mark.requirement("C4")
async def test_a_full_disk_is_nobodys_fault_and_what_met_it_is_applied_when_there_is_room(shop: Pool) -> None:
    await intake.journal(shop, [body_of(message(name, name)) for name in "abc"])
    await refuse(shop, "true", DISK_FULL)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await apply_next(shop, KEYRING, LIVE_LANE)
    assert (await texts(shop), await backlog(shop)) == ([], 3)
    await allow(shop)
    await intake.apply_all(shop)
    assert (await texts(shop), await backlog(shop)) == (["a", "b", "c"], 0)
    assert await rows(shop, "SELECT FROM quarantine") == []


# ── what takes too long ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C1", "C4")
async def test_one_delivery_that_takes_too_long_at_once_is_applied_in_smaller_pieces(shop: Pool) -> None:
    await cancel_more_than(shop, 2)
    await intake.deliver(shop, [several(*"abcdefg")], batch=1)
    assert await texts(shop) == list("abcdefg")
    assert await backlog(shop) == 0
    assert await rows(shop, "SELECT FROM quarantine") == []


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("bodies", [["guilty"], ["a", "b", "guilty", "c", "d"]])
async def test_only_the_message_that_always_takes_too_long_is_put_aside(shop: Pool, bodies: list[str]) -> None:
    await refuse(shop, "NEW.text = 'guilty'", CANCELED)
    await intake.journal(shop, [several(*bodies)])
    await apply_next(shop, KEYRING, LIVE_LANE, count=1)
    others = [body for body in bodies if body != "guilty"]
    assert (await texts(shop), await backlog(shop)) == (others, 0)
    ((part, error),) = await rows(shop, "SELECT part, error FROM quarantine")
    assert part.endswith(f"messages[{bodies.index('guilty')}]")
    assert error.startswith("QueryCanceled")


@pytest.mark.requirement("C1", "C4")
async def test_a_database_that_stands_still_for_a_moment_makes_nothing_guilty(shop: Pool) -> None:
    await refuse(shop, "true", CANCELED)
    await intake.journal(shop, [body_of(message("a", "a"))])
    with pytest.raises(psycopg.errors.QueryCanceled):
        await apply_next(shop, KEYRING, LIVE_LANE)
    async with transaction(shop) as conn:
        await conn.execute("DROP TRIGGER refuse ON messages")
    await apply_next(shop, KEYRING, LIVE_LANE)
    assert (await texts(shop), await backlog(shop)) == (["a"], 0)
    assert await rows(shop, "SELECT FROM quarantine") == []


@pytest.mark.requirement("C4")
async def test_a_batch_that_takes_too_long_is_kept_and_goes_through_one_by_one(shop: Pool) -> None:
    await cancel_more_than(shop, 1)
    await intake.journal(shop, [body_of(message(name, name)) for name in "ab"])
    with pytest.raises(psycopg.errors.QueryCanceled):
        await apply_next(shop, KEYRING, LIVE_LANE)
    assert (await texts(shop), await backlog(shop)) == ([], 2)
    assert [await apply_next(shop, KEYRING, LIVE_LANE, count=1) for _ in range(3)] == [
        1,
        1,
        0,
    ]
    assert await texts(shop) == ["a", "b"]


@pytest.mark.requirement("C4")
async def test_the_worker_takes_fewer_at_once_until_a_batch_goes_through(
    shop: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAUSE_AFTER_ERROR_S", 0.0)
    await cancel_more_than(shop, 3)
    await intake.journal(shop, [body_of(message(name, name)) for name in "abcdefgh"])

    async def is_done() -> bool:
        return not await backlog(shop)

    async with looping(worker.run(shop, KEYRING, LIVE_LANE, wake=asyncio.Event())):
        await until(is_done, "all of it is applied")
    assert await texts(shop) == list("abcdefgh")
    assert await rows(shop, "SELECT FROM quarantine") == []


# ── what is claimed ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C1")
@pytest.mark.parametrize(
    ("count", "max_bytes", "claimed"),
    [(10, 1, [1]), (10, 299, [1, 2]), (10, 300, [1, 2, 3]), (10, 1000, [1, 2, 3]), (2, 1000, [1, 2])],
)
async def test_a_claim_is_the_oldest_that_fit_and_never_nothing(
    pool: Pool, count: int, max_bytes: int, claimed: list[int]
) -> None:
    async with transaction(pool) as conn:
        await store.append(conn, RECEIVED_AT, [LIVE_LANE] * 3, [b" " * 100] * 3)
        await store.append(conn, RECEIVED_AT, [BULK_LANE], [b" "])
        deliveries = await store.claim(conn, LIVE_LANE, count, max_bytes)
    assert [delivery.journal_id for delivery in deliveries] == claimed


@pytest.mark.requirement("C1")
async def test_what_a_claim_leaves_is_free_for_other_workers(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await store.append(conn, RECEIVED_AT, [LIVE_LANE] * 5, [b" " * 100] * 5)
    async with transaction(pool) as one, transaction(pool) as other:
        claims = [await store.claim(conn, LIVE_LANE, 10, 200) for conn in (one, other)]
    assert [[delivery.journal_id for delivery in deliveries] for deliveries in claims] == [[1, 2], [3, 4]]


@pytest.mark.requirement("C4")
async def test_what_is_in_line_but_not_in_the_journal_stops_nothing_behind_it(shop: Pool) -> None:
    await intake.journal(shop, [body_of(message(name, name)) for name in "abcd"])
    async with transaction(shop) as conn:
        await conn.execute("DELETE FROM journal WHERE id <= 2 OR id = 4")
    assert await apply_next(shop, KEYRING, LIVE_LANE, count=1) == 1
    assert await texts(shop) == ["c"]
    assert await apply_next(shop, KEYRING, LIVE_LANE, count=1) == 0
    assert await backlog(shop) == 0


# ── what names a number ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("A6")
async def test_a_number_connected_while_its_first_delivery_is_under_way_gets_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_unrouted: Callable[..., Any] = store.keep_unrouted

    async def connected_meanwhile(*args: Any) -> None:
        await keep_unrouted(*args)
        await business.open_business(pool)  # it cannot see what the batch has not committed yet

    with monkeypatch.context() as patch:
        patch.setattr(store, "keep_unrouted", connected_meanwhile)
        await intake.deliver(pool, [body_of(message("a", "first"))])
    assert (await texts(pool), await backlog(pool)) == ([], 0)
    async with transaction(pool) as conn:
        await store.requeue_routed(conn)
    await intake.apply_all(pool)
    assert (await texts(pool), await backlog(pool)) == (["first"], 0)
    assert await rows(pool, "SELECT FROM unrouted") == []


@pytest.mark.requirement("A6")
async def test_what_names_a_number_that_is_still_unknown_stays_where_it_is(shop: Pool) -> None:
    await intake.deliver(
        shop, [body_of(wire.message("wamid.a", 1, wire.text("Oi"), phone=PHONE, number=intake.BRANCH))]
    )
    async with transaction(shop) as conn:
        await store.requeue_routed(conn)
    assert await backlog(shop) == 0
    assert await rows(shop, "SELECT phone_number_id FROM unrouted") == [(intake.BRANCH.phone_number_id,)]


@pytest.mark.requirement("A6", "C7")
async def test_a_number_of_a_waba_is_not_concerned_by_what_its_sisters_had_before_it_was_connected(pool: Pool) -> None:
    value = {"event": "PARTNER_REMOVED", "phone_number": intake.BRANCH.display}
    update = {"id": intake.SHOP.waba_id, "time": int(ONBOARDED_AT.timestamp()) - 60}
    update |= {"changes": [{"field": "account_update", "value": value}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [update]}).encode()
    async with transaction(pool) as conn:
        await intake.connect(conn, intake.SHOP)
    await intake.deliver(pool, [body])
    async with transaction(pool) as conn:
        await intake.connect(conn, intake.BRANCH, account="Filial")
        await store.requeue_routed(conn)
    await intake.deliver(pool, [body])
    assert await rows(pool, "SELECT state::text, count(*) FROM inboxes GROUP BY 1") == [("connected", 2)]


@pytest.mark.requirement("B11", "C2", "C9")
@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_with_syncing_switched_off_live_messages_beside_a_chunk_are_still_applied(
    shop: Pool, is_wrapped: bool
) -> None:
    past = wire.past("wamid.past", 9, wire.text("past"), phone=PHONE)
    chunk = wire.history([wire.thread(PHONE, None, [past])])
    chunk["value"]["contacts"] = [wire.person(phone=PHONE, name="Rui")]
    entry = wire.entry(1, phone=PHONE, name="Rui")
    mixed = body_of(message("a", "live"), chunk, entry, message("b", "too"))
    body = b"[%b,%b]" % (mixed, body_of(message("c", "another body"))) if is_wrapped else mixed
    async with transaction(shop) as conn:
        await switch_off(conn)
    await intake.deliver(shop, [body])
    assert await texts(shop) == (["another body", "live", "too"] if is_wrapped else ["live", "too"])
    assert await rows(shop, "SELECT FROM address_book_entries") == []
    assert await rows(shop, "SELECT display_name FROM contacts") == [("",)]


# ── what has no time ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.requirement("C8")
@pytest.mark.parametrize("is_later_first", [False, True])
async def test_without_a_usable_time_the_first_receipt_counts_whatever_the_order(
    shop: Pool, is_later_first: bool
) -> None:
    timeless = message("a")
    timeless["value"]["messages"][0]["timestamp"] = "soon"
    receipts = [RECEIVED_AT, RECEIVED_AT + timedelta(days=1)]
    for received_at in reversed(receipts) if is_later_first else receipts:
        await intake.journal(shop, [body_of(timeless)], received_at=received_at)
        await intake.apply_all(shop)
    assert await rows(shop, "SELECT sent_at, is_time_doubtful FROM messages") == [(RECEIVED_AT, True)]


@pytest.mark.requirement("C8")
@pytest.mark.parametrize("is_told_first", [False, True])
async def test_a_time_that_was_told_beats_any_receipt(shop: Pool, is_told_first: bool) -> None:
    timeless, timed = message("a"), message("a")
    del timeless["value"]["messages"][0]["timestamp"]
    await intake.deliver(shop, [body_of(each) for each in ((timed, timeless) if is_told_first else (timeless, timed))])
    told = "SELECT extract(epoch FROM sent_at)::bigint, is_time_doubtful FROM messages"
    assert await rows(shop, told) == [(wire.EPOCH + 1, False)]


@pytest.mark.requirement("C3", "C8")
async def test_a_wish_without_a_time_does_not_become_newer_each_time_it_comes(shop: Pool) -> None:
    stop = body_of(wire.wished("stop", None, phone=PHONE))
    resume = body_of(wire.wished("resume", 1, phone=PHONE))
    for number, body in enumerate((stop, resume, stop)):
        await intake.journal(shop, [body], received_at=RECEIVED_AT + timedelta(days=number))
        await intake.apply_all(shop)
        wish = await rows(shop, "SELECT marketing_wish FROM identities")
        assert wish == [("stop" if number == 0 else "resume",)]


async def test_what_cannot_be_applied_now_for_one_number_is_no_obstacle_for_another_and_stays_in_line(
    pool: Pool,
) -> None:
    elsewhere = intake.Number("555100020003009", "351210559000", "701122334455999", "880011223344999")
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
        await intake.connect(conn, elsewhere, account="Casa Branca")
    told = wire.message("wamid.b", 1, wire.text("b"), phone=PHONE, number=elsewhere)
    bodies = [body_of(message("a", "a")), body_of(told, waba_id=elsewhere.waba_id)]
    await intake.journal(pool, bodies, at_once=True)
    await refuse(pool, "NEW.text = 'a'", CANCELED)
    with pytest.raises(psycopg.Error):
        await apply_next(pool, KEYRING, LIVE_LANE)
    assert await texts(pool) == ["b"]
    assert await backlog(pool) > 0
