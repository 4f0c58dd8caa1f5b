"""Encrypting anew, under the newest key, what former keys encrypted: so that those can go.

In small transactions beside everything that runs; broken off anywhere, it goes on when it is run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from psycopg.errors import LockNotAvailable

from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection, Pool, transaction
from coexist.coexistence import signup_store
from coexist.inbox import credentials, private_lists
from coexist.intake.sealing import Damaged, seal, unseal
from coexist.webhooks import store as webhooks

BATCH_ROWS: Final = 200
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Encrypted anew in one transaction at most, unless one delivery alone is larger: unfolded, eight times that."""
VACUUM_BYTES: Final = 1024 * 1024 * 1024
"""After how much of the journal was written anew the room of what it replaced is given back: it grows by no more."""


@dataclass(slots=True)
class Resealed:
    """How far one kind of what is encrypted is. ``unreadable``: the key is not here, or a token is damaged."""

    what: str
    count: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A column of sealed values. ``owner`` is the column by which ``row_of`` names what they are sealed for."""

    what: str
    table: str
    column: str
    owner: str
    row_of: Callable[[Any], str]


PLACES: Final = (
    Place("Access tokens", "inboxes", "token", "id", credentials.row_of),
    Place("Tokens of sign-ups", "signups", "token", "id", signup_store.row_of),
    Place("Secrets of webhooks", "webhooks", "secret", "id", webhooks.row_name),
    Place("Former secrets of webhooks", "webhooks", "former_secret", "id", webhooks.row_name),
    Place("Private numbers", "private_numbers", "sealed", "account_id", private_lists.row_of),
)
IDS: Final = "Ids of private numbers"
JOURNAL: Final = "Journaled deliveries"

# ── what is left ──────────────────────────────────────────────────────────────────────────────────────────

# A body that begins like no sealed one was journaled by a version that did not seal.
IS_OLD: Final = r"(substring(body FOR 1) NOT IN ('w', 'z') OR substring(body FROM 2 FOR 5) <> %(head)s)"


async def left(conn: Connection, keyring: Keyring) -> list[Resealed]:
    """Count what the newest key did not encrypt, by kind. Reads the head of every journaled delivery."""
    counted = [(place.what, f"{place.table} WHERE substring({place.column} FOR 5) <> %(head)s") for place in PLACES]
    counted += [(IDS, "private_ids WHERE substring(sealed FOR 5) <> %(head)s"), (JOURNAL, f"journal WHERE {IS_OLD}")]
    found = []
    for what, rows in counted:
        row = await (await conn.execute(f"SELECT count(*) FROM {rows}".encode(), {"head": keyring.head})).fetchone()
        assert row is not None
        found.append(Resealed(what, int(row[0])))
    return found


# ── encrypting anew ───────────────────────────────────────────────────────────────────────────────────────


async def reseal(pool: Pool, keyring: Keyring) -> AsyncIterator[Resealed]:
    """Encrypt everything anew, kind by kind; yields how far a kind is after each batch, and once it is done.

    Raises SecretUnreadable when the list of private numbers was made with a key that is not here.
    """
    for place in PLACES:
        async for done in _reseal_place(pool, keyring, place):
            yield done
    async for done in _reseal_ids(pool, keyring):
        yield done
    async for done in _reseal_journal(pool, keyring):
        yield done


async def _reseal_place(pool: Pool, keyring: Keyring, place: Place) -> AsyncIterator[Resealed]:
    find = f"""
SELECT id, {place.owner}, {place.column} FROM {place.table}
 WHERE substring({place.column} FOR 5) <> %(head)s AND NOT id::text = ANY(%(passed_over)s)
 ORDER BY id LIMIT %(rows)s
"""
    # Who renews it meanwhile has written what is newer.
    swap = f"UPDATE {place.table} SET {place.column} = %s WHERE id = %s AND {place.column} = %s"
    done, passed_over = Resealed(place.what), list[str]()
    while True:
        async with transaction(pool) as conn:
            given = {"head": keyring.head, "passed_over": passed_over, "rows": BATCH_ROWS}
            rows = await (await conn.execute(find.encode(), given)).fetchall()
            for id_, owner, sealed in rows:
                row = place.row_of(owner)
                try:
                    renewed = keyring.encrypt(keyring.decrypt(bytes(sealed), row=row), row=row)
                except SecretUnreadable:
                    passed_over.append(str(id_))
                    done.unreadable += 1
                    continue
                done.count += (await conn.execute(swap.encode(), (renewed, id_, sealed))).rowcount
        yield done
        if not rows:
            return


FIND_IDS: Final = """
SELECT account_id, key, sealed FROM private_ids WHERE substring(sealed FOR 5) <> %s
 ORDER BY account_id, key LIMIT %s FOR UPDATE
"""

# One id may have been learned once more under the new key.
JOIN_ID: Final = """
UPDATE private_ids n
   SET is_purge_wanted = n.is_purge_wanted OR o.is_purge_wanted, is_purging = n.is_purging OR o.is_purging
  FROM private_ids o
 WHERE n.account_id = %(account_id)s AND o.account_id = %(account_id)s AND n.key = %(key)s AND o.key = %(former)s
"""
FORGET_ID: Final = "DELETE FROM private_ids WHERE account_id = %(account_id)s AND key = %(former)s"
RENEW_ID: Final = """
UPDATE private_ids SET key = %(key)s, sealed = %(sealed)s WHERE account_id = %(account_id)s AND key = %(former)s
"""


async def _reseal_ids(pool: Pool, keyring: Keyring) -> AsyncIterator[Resealed]:
    """The ids of the list are found by hashes under a key: those are made anew with it."""
    done = Resealed(IDS)
    while True:
        async with transaction(pool) as conn:
            rows = await (await conn.execute(FIND_IDS, (keyring.head, BATCH_ROWS))).fetchall()
            for account_id, former, sealed in rows:
                row = private_lists.row_of(account_id)
                plain = keyring.decrypt(bytes(sealed), row=row)
                values = {
                    "account_id": account_id,
                    "former": former,
                    "key": private_lists.fingerprints(keyring, account_id, plain.decode())[0],
                    "sealed": keyring.encrypt(plain, row=row),
                }
                is_there = (await conn.execute(JOIN_ID, values)).rowcount
                await conn.execute(FORGET_ID if is_there else RENEW_ID, values)
        done.count += len(rows)
        yield done
        if not rows:
            return


# Under locks: whoever applies a delivery may be taking somebody private out of it, and that must stay out.
WINDOW: Final = f"""
WITH sized AS (
    SELECT id, body, sum(octet_length(body)) OVER (ORDER BY id) AS bytes_so_far, row_number() OVER (ORDER BY id) AS n
      FROM (SELECT id, body FROM journal WHERE id > %(after)s AND {IS_OLD} ORDER BY id LIMIT %(rows)s
               FOR NO KEY UPDATE) AS j)
SELECT id, body FROM sized WHERE n = 1 OR bytes_so_far <= %(bytes)s ORDER BY id
"""
REWRITE: Final = "UPDATE journal SET body = %s WHERE id = %s"


async def _reseal_journal(pool: Pool, keyring: Keyring) -> AsyncIterator[Resealed]:
    done, after, written = Resealed(JOURNAL), 0, 0
    while True:
        async with transaction(pool) as conn:
            given = {"head": keyring.head, "after": after, "rows": BATCH_ROWS, "bytes": BATCH_BYTES}
            rows = await (await conn.execute(WINDOW, given, binary=True)).fetchall()
            renewed = await asyncio.to_thread(_renewed, keyring, [body for _, body in rows])
            readable = [(body, id_) for body, (id_, _) in zip(renewed, rows, strict=True) if body is not None]
            for body, id_ in readable:
                await conn.execute(REWRITE, (body, id_))
        done.count, done.unreadable = done.count + len(readable), done.unreadable + len(rows) - len(readable)
        written += sum(len(body) for body, _ in readable)
        yield done
        if written and (written >= VACUUM_BYTES or not rows):
            await _vacuum(pool)
            written = 0
        if not rows:
            return
        after = rows[-1][0]


def _renewed(keyring: Keyring, bodies: Sequence[bytes]) -> list[bytes | None]:
    """Bodies under the newest key; None for one whose own is not here. What was damaged stays so."""
    renewed: list[bytes | None] = []
    for stored in bodies:
        try:
            renewed.append(seal(keyring, unseal(keyring, stored)))
        except Damaged:
            renewed.append(stored[:1] + keyring.own(stored[1:]))
        except SecretUnreadable:
            renewed.append(None)
    return renewed


async def _vacuum(pool: Pool) -> None:
    async with pool.connection() as conn:
        with suppress(LockNotAvailable):  # somebody else is at it
            await conn.execute("VACUUM journal")
