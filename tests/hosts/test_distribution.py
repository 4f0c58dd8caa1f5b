"""How far the schema is from being cut into pieces, by account, by number, by time. docs/scaling.md tells it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import psycopg
import pytest

from coexist.base.database import Connection, Pool, open_pool, transaction
from tests.hosts import keys
from tests.support import databases, intake, snapshot, wire
from tests.support.intake import BRANCH, SHOP

HEART: Final = frozenset(
    {
        *("contact_scopes", "inboxes", "inbox_timeline", "syncs", "history_chunks", "events", "outbox", "media"),
        *("contacts", "identities", "identity_sightings", "identity_changes", "address_book_entries"),
        *("conversations", "drafts", "messages", "message_changes", "message_statuses"),
    }
)


async def test_every_table_of_the_heart_can_carry_its_account(pool: Pool) -> None:
    async with pool.connection() as conn:
        found = await keys.read(conn)
    assert set(found.spread) >= HEART, HEART - set(found.spread)
    # Meta knows a number once in the world: who connects it must be asked in one place.
    assert {table: indexes for table, indexes in found.worldwide.items() if table in HEART} == {
        "inboxes": ["inboxes_phone_number_id"]
    }
    # What is journaled is nobody's until it is read, and people may belong to several accounts.
    assert {"journal", "backlog", "unrouted", "quarantine", "users", "sessions"} <= set(found.homeless)


# ── messages by number ────────────────────────────────────────────────────────────────────────────────────

PIECES_COUNT: Final = 4


async def indexes_of(conn: Connection, table: str) -> list[str]:
    """The statements that made a table's indexes."""
    cursor = await conn.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY indexname", (table,))
    return [str(row[0]) for row in await cursor.fetchall()]


async def set_aside(conn: Connection, table: str, by: str) -> list[str]:
    """Begin a partitioned table of the same columns; return the statements that made the former's indexes."""
    indexes = await indexes_of(conn, table)
    await conn.execute(f"ALTER TABLE {table} RENAME TO plain_{table}".encode())
    await conn.execute(f"CREATE TABLE {table} (LIKE plain_{table} INCLUDING ALL EXCLUDING INDEXES) {by}".encode())
    return indexes


def on_parts(index: str, key: str = "") -> str:
    """The same index for the partitioned table, under a new name; with ``key`` in front of its columns."""
    index = re.sub(r"INDEX (\w+) ON", r"INDEX parts_\1 ON", index)
    return re.sub(r"\((?=\w)", f"({key}, ", index, count=1) if key else index


async def refusal(conn: Connection, statement: str) -> str:
    """What the database says against a statement."""
    with pytest.raises(psycopg.Error) as refused:
        async with conn.transaction():
            await conn.execute(statement.encode())
    return str(refused.value).split("\n", 1)[0]


async def part_messages(conn: Connection) -> None:
    """Cut ``messages`` by number, as far as that goes: all unique keys get the number, and no key points at it."""
    pointing = await (
        await conn.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE confrelid = 'messages'::regclass"
        )
    ).fetchall()
    indexes = await set_aside(conn, "messages", "PARTITION BY HASH (inbox_id)")
    for n in range(PIECES_COUNT):
        piece = (
            f"CREATE TABLE messages_{n} PARTITION OF messages FOR VALUES WITH (MODULUS {PIECES_COUNT}, REMAINDER {n})"
        )
        await conn.execute(piece.encode())
    for index in indexes:
        is_unique, names_number = index.startswith("CREATE UNIQUE"), "(inbox_id" in index
        if is_unique and not names_number:
            assert "must include all partitioning columns" in await refusal(conn, on_parts(index)) or (
                "unique constraint on partitioned table" in await refusal(conn, on_parts(index))
            )
        await conn.execute(on_parts(index, "inbox_id" if is_unique and not names_number else "").encode())
    for table, name in pointing:
        await conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
        again = f"ALTER TABLE {table} ADD FOREIGN KEY (message_id) REFERENCES messages (id)"
        assert "no unique constraint matching" in await refusal(conn, again)
    await conn.execute(b"DROP TABLE plain_messages")


def week() -> Sequence[bytes]:
    """A history and what happened since, at two numbers: everything that inserts, merges and rewrites messages."""
    bodies = []
    for number, phone in ((SHOP, "447700900101"), (BRANCH, "447700900102")):
        past = [
            wire.past(f"wamid.{number.display}.{n}", n, wire.text(f"antes {n}"), phone=phone, outbound=n % 2 == 0,
                      number=number)
            for n in range(1, 40)
        ]  # fmt: skip
        live = [
            wire.message(f"wamid.{number.display}.l{n}", n, wire.text(f"agora {n}"), phone=phone, number=number)
            for n in range(20)
        ]
        echo = wire.echo(f"wamid.{number.display}.e", 30, wire.text("eco"), phone=phone, number=number)
        seen = wire.status(f"wamid.{number.display}.e", 31, "read", phone=phone, number=number)
        target = f"wamid.{number.display}.l3"
        edited = wire.message(
            f"wamid.{number.display}.x", 32, wire.edit(target, "corrigido"), phone=phone, number=number
        )
        liked = wire.message(f"wamid.{number.display}.r", 33, wire.reaction(target, "👍"), phone=phone, number=number)
        history = wire.history([wire.thread(phone, None, past)], progress=100, number=number)
        bodies += [intake.body_of(change) for change in (*live[:10], history, echo, seen, edited, liked, *live)]
    return [*bodies, *bodies[::-1]]  # and all of it again, backwards


async def told(database_url: str, *, in_parts: bool) -> snapshot.Snapshot:
    """What the tables hold after that week, in whole or in pieces."""
    async with open_pool(database_url, application="test") as pool:
        async with transaction(pool) as conn:
            await intake.connect(conn, SHOP, BRANCH)
            if in_parts:
                await part_messages(conn)
                await part_journal(conn)
        await intake.deliver(pool, week())
        async with pool.connection() as conn:
            if in_parts:
                used = await (await conn.execute("SELECT count(DISTINCT tableoid) FROM messages")).fetchone()
                assert used == (2,), "both numbers fell into the same piece"
            return await snapshot.take(conn)


async def test_messages_by_number_and_the_journal_by_id_end_in_the_same_tables(
    server_url: str, template_name: str
) -> None:
    async with databases.clone(server_url, template_name) as whole, databases.clone(server_url, template_name) as parts:
        assert await told(whole, in_parts=False) == await told(parts, in_parts=True)


async def test_merge_works_on_messages_by_number(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
        await part_messages(conn)
    await intake.deliver(pool, [intake.body_of(wire.message("wamid.1", 1, wire.text("um"), phone="447700900101"))])
    merge = """
        MERGE INTO messages m USING (VALUES ('wamid.1', 'dois'), ('wamid.2', 'três')) AS t (wamid, text)
           ON m.inbox_id = (SELECT id FROM inboxes) AND m.wamid = t.wamid
         WHEN MATCHED THEN UPDATE SET text = t.text
         WHEN NOT MATCHED THEN DO NOTHING
    """
    async with transaction(pool) as conn:
        assert (await conn.execute(merge.encode())).rowcount == 1
        assert await (await conn.execute("SELECT text FROM messages")).fetchall() == [("dois",)]


# ── the journal by id, which is by time ───────────────────────────────────────────────────────────────────


async def part_journal(conn: Connection) -> None:
    """Cut ``journal`` by id, which rises with time: every key and every statement stays as it is."""
    pointing = await (
        await conn.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE confrelid = 'journal'::regclass AND contype = 'f'"
        )
    ).fetchall()
    for table, name, _ in pointing:
        await conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    indexes = await set_aside(conn, "journal", "PARTITION BY RANGE (id)")
    for first, end in ((1, 50), (50, 100), (100, 10_000)):
        piece = f"CREATE TABLE journal_{first} PARTITION OF journal FOR VALUES FROM ({first}) TO ({end})"
        await conn.execute(piece.encode())
    for index in indexes:
        await conn.execute(on_parts(index).encode())
    for table, name, definition in pointing:
        await conn.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}".encode())
    await conn.execute(b"DROP TABLE plain_journal")


async def test_an_old_piece_of_the_journal_goes_at_once_unless_something_of_it_is_still_needed(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
        await part_journal(conn)
    texts = [wire.message(f"wamid.{n}", n, wire.text("oi"), phone="447700900101") for n in range(60)]
    unknown = wire.message("wamid.u", 1, wire.text("oi"), phone="447700900101", number=BRANCH)
    await intake.deliver(pool, [intake.body_of(each) for each in [unknown, *texts]])
    async with transaction(pool) as conn:
        needed = "removing partition"
        assert needed in await refusal(conn, "ALTER TABLE journal DETACH PARTITION journal_1")
        await conn.execute("DELETE FROM unrouted")
        await conn.execute("ALTER TABLE journal DETACH PARTITION journal_1")
        await conn.execute("DROP TABLE journal_1")
        assert await (await conn.execute("SELECT min(id), count(*) FROM journal")).fetchone() == (50, 12)


async def test_the_journal_by_time_of_receipt_would_lose_its_key(pool: Pool) -> None:
    async with transaction(pool) as conn:
        indexes = await set_aside(conn, "journal", "PARTITION BY RANGE (received_at)")
        (key,) = (index for index in indexes if index.startswith("CREATE UNIQUE"))
        assert "unique constraint on partitioned table" in await refusal(conn, on_parts(key))
