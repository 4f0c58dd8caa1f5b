"""Which tables a database that is spread by account could hold: `python -m tests.hosts.keys` lists what could not.

Citus and its like ask for the account in every primary key, unique key and foreign key of a spread table. A table can
carry it when each row belongs to one account for certain, and when adding the account to a unique key would allow
nothing that the key forbids now: the key names something of the account already, or an id that we draw ourselves.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coexist.base import database, migrate, postgres
from coexist.base.database import Connection

ROOT: Final = "accounts"

NAMED: Final = {
    "account_id": ROOT,
    "scope_id": "contact_scopes",
    "inbox_id": "inboxes",
    "contact_id": "contacts",
    "conversation_id": "conversations",
    "message_id": "messages",
}
"""What a column of that name refers to, also where no foreign key checks it."""

COLUMNS: Final = """
SELECT c.relname, a.attname, a.attnotnull, a.attidentity <> '' OR a.atttypid = 'uuid'::regtype
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname !~ '^_?yoyo'
 ORDER BY 1, a.attnum
"""
# Expressions, as in lower(name), have no column: they are left out, and count as naming nothing.
UNIQUE: Final = """
SELECT t.relname, i.relname, array_remove(array_agg(a.attname), NULL)
  FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
 CROSS JOIN unnest(x.indkey::int[]) AS k (number)
  LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number AND k.number > 0
 WHERE x.indisunique AND t.relnamespace = 'public'::regnamespace AND t.relname !~ '^_?yoyo'
 GROUP BY 1, 2 ORDER BY 1, 2
"""
FOREIGN: Final = """
SELECT t.relname, a.attname, f.relname
  FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
 WHERE k.contype = 'f' AND t.relnamespace = 'public'::regnamespace AND array_length(k.conkey, 1) = 1
 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Keys:
    """The tables that can be spread by account, and why the others cannot."""

    spread: Sequence[str]
    homeless: Sequence[str]
    """Rows that are nobody's, or of several accounts: a copy on every node, or one node for all."""
    worldwide: Mapping[str, Sequence[str]]
    """By spread table, its unique keys that reach beyond one account: some directory would have to hold them."""


async def read(conn: Connection) -> Keys:
    """Look at the schema as it is."""
    columns: dict[str, dict[str, tuple[bool, bool]]] = defaultdict(dict)
    for table, column, is_required, is_ours in await (await conn.execute(COLUMNS)).fetchall():
        columns[table][column] = (is_required, is_ours)
    foreign = set(await (await conn.execute(FOREIGN)).fetchall())
    foreign |= {(table, column, NAMED[column]) for table, of_one in columns.items() for column in of_one.keys() & NAMED}
    owned: dict[str, set[str]] = {ROOT: set()}  # by table, the columns that tell whose a row is
    while True:
        found = {
            (table, column)
            for table, column, target in foreign
            if target in owned and columns[table][column][0] and table != ROOT
        }
        now = {ROOT: set[str](), **{table: {c for t, c in found if t == table} for table, _ in found}}
        if now == owned:
            break
        owned = now
    worldwide: dict[str, list[str]] = defaultdict(list)
    for table, index, names in await (await conn.execute(UNIQUE)).fetchall():
        if table in owned and table != ROOT:
            is_ours = any(columns[table][name][1] for name in names)
            if not is_ours and not owned[table] & set(names):
                worldwide[table].append(index)
    spread = sorted(owned.keys() - {ROOT})
    return Keys(spread, sorted(columns.keys() - owned.keys()), dict(worldwide))


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="coexist-keys-") as folder:
        async with postgres.running(Path(folder)) as url:
            await migrate.apply_pending(url)
            async with await database.connect(url, application="keys") as conn:
                keys = await read(conn)
    sys.stdout.write(f"By account: {', '.join(keys.spread)}\n")
    sys.stdout.write(f"Nobody's, or of several accounts: {', '.join(keys.homeless)}\n")
    for table, indexes in keys.worldwide.items():
        sys.stdout.write(f"{table} is unique beyond an account: {', '.join(indexes)}\n")


if __name__ == "__main__":
    asyncio.run(_main())
