"""A large database from a small one: every row as often as wanted, under other ids, as if other people had come.

The rows are those which the product wrote, so whatever it keeps true of them is true of the copies. Only what names
rows and people is changed; `tests/bench/test_multiplying.py` compares the outcome with the product's own.
"""

from collections.abc import Callable, Mapping
from typing import Final

from coexist.base import database
from tests.bench import machine

STEP_ROWS: Final = 1_000_000
"""Messages made in one transaction, about."""

_PHONE: Final = "({0}::bigint + n * %(people)s)::text"
_BSUID: Final = "'BR.' || (substr({0}, 4)::bigint + n * %(people)s)"


def _id(table: str, column: str = "id") -> str:
    return f"{column} + n * %({table})s"


def _name(column: str) -> str:
    return f"CASE WHEN {column} LIKE 'BR.%%' THEN {_BSUID.format(column)} ELSE {_PHONE.format(column)} END"


CHANGED: Final[Mapping[str, Mapping[str, str]]] = {
    "contacts": {"id": _id("contacts"), "phone": _PHONE.format("phone")},
    "identities": {
        "id": _id("identities"),
        "contact_id": _id("contacts", "contact_id"),
        "value": _name("value"),
        "match_key": _name("match_key"),
    },
    "identity_sightings": {
        "phone": _PHONE.format("phone"),
        "match_key": _PHONE.format("match_key"),
        "bsuid": _BSUID.format("bsuid"),
    },
    "conversations": {
        "id": _id("conversations"),
        "contact_id": _id("contacts", "contact_id"),
        "last_message_id": _id("messages", "last_message_id"),
        "window_message_id": _id("messages", "window_message_id"),
    },
    "messages": {
        "id": _id("messages"),
        "conversation_id": _id("conversations", "conversation_id"),
        "wamid": f"'wamid.HBgN' || {_PHONE.format('substr(wamid, 11, 13)')} || substr(wamid, 24)",
        "peer": _name("peer"),
    },
}
"""What is different in copy ``n`` (from 1). Every other column is as it was."""

NUMBERED: Final = [table for table, columns in CHANGED.items() if "id" in columns]

FOREIGN_KEYS: Final = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'f' AND conrelid = ANY(%s::regclass[])
"""

COLUMNS: Final = """
SELECT column_name::text FROM information_schema.columns
 WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position
"""


async def multiply(
    database_url: str, times: int, *, people: int, say: Callable[[str], None] = lambda said: None
) -> None:
    """Make what ``importing.chunks`` left ``times`` as much. The copies' people have numbers ``people`` apart."""
    async with await database.connect(database_url, application="bench") as conn:
        given = {"people": people}
        for table in CHANGED:
            await conn.execute(f"CREATE TEMPORARY TABLE original_{table} AS TABLE {table}")
            await conn.execute(f"ANALYZE original_{table}")
        for table in NUMBERED:
            given[table] = await machine.count(conn, f"SELECT coalesce(max(id), 0) FROM {table}")
        step = max(1, STEP_ROWS // max(1, given["messages"]))
        statements = [await _statement(conn, table) for table in CHANGED]
        # Checked once at the end, all rows together: row by row they would take half of the time.
        foreign_keys = await (await conn.execute(FOREIGN_KEYS, (list(CHANGED),))).fetchall()
        for table, name, _ in foreign_keys:
            await conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for first in range(1, times, step):
            async with conn.transaction():
                for statement in statements:
                    await conn.execute(statement, given | {"first": first, "last": min(first + step, times) - 1})
            say(f"{min(first + step, times) * given['messages']:,} messages are there")
        for table, name, definition in foreign_keys:
            await conn.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        for table in NUMBERED:
            await conn.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        await conn.execute("VACUUM (ANALYZE)")


async def _statement(conn: database.Connection, table: str) -> str:
    columns = [row[0] for row in await (await conn.execute(COLUMNS, (table,))).fetchall()]
    values = [CHANGED[table].get(column, column) for column in columns]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE SELECT {', '.join(values)}"
        f" FROM generate_series(%(first)s::bigint, %(last)s) AS n CROSS JOIN original_{table}"
    )
