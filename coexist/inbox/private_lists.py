"""Every account's list of private numbers at one moment, as whoever applies deliveries looks it up.

The list itself must not give anybody away: ids are looked up by keyed hashes, and what people see of it is sealed.
Whoever applies deliveries holds ``LOCK`` shared until the commit; whoever adds to the list takes it alone. So nothing
that was read with an older list is stored after a number was added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection
from coexist.meta.private import IsPrivate

LOCK: Final = 0x50524956  # "PRIV"
SHARE: Final = f"SELECT pg_advisory_xact_lock_shared({LOCK})"
CHANNEL: Final = "coexist_private"
"""PostgreSQL's notification channel for "there is something to remove"."""

_USE: Final = "private numbers"


@dataclass(frozen=True, slots=True)
class Lists:
    """Every account's list at one moment."""

    keyring: Keyring
    accounts: Mapping[str, int]  # phone_number_id → account id
    keys: Mapping[int, set[bytes]]
    wabas: Mapping[str, Collection[int]]  # waba_id → account ids
    former: Sequence[tuple[str, range, int]] = ()  # phone_number_id, deliveries, account id: numbers that moved since

    def account_of(self, phone_number_id: str, journal_id: int) -> int | None:
        """Return the account whose list counts for a business phone number in a delivery."""
        for number, theirs, account_id in self.former:
            if number == phone_number_id and journal_id in theirs:
                return account_id
        return self.accounts.get(phone_number_id)

    def of(self, name: str, journal_id: int) -> IsPrivate | None:
        """Return the list that counts for a number, or for a WABA, in a delivery; None where nobody is private."""
        account_id = self.account_of(name, journal_id)
        account_ids = self.wabas.get(name, ()) if account_id is None else (account_id,)
        lists = [one for account_id in account_ids if (one := self.of_account(account_id)) is not None]
        return (lambda key: any(is_private(key) for is_private in lists)) if lists else None

    def of_account(self, account_id: int) -> IsPrivate | None:
        """Return the list of an account."""
        keys = self.keys.get(account_id)
        if not keys:
            return None
        return lambda key: not keys.isdisjoint(fingerprints(self.keyring, account_id, key))

    def take(self, account_id: int, key: str) -> None:
        """Count an id that was just learned, for the rest of this moment."""
        self.keys[account_id].update(fingerprints(self.keyring, account_id, key))


def fingerprints(keyring: Keyring, account_id: int, key: str) -> list[bytes]:
    """What stands for an id in an account's list: under each key, the newest first."""
    return keyring.fingerprints(f"{account_id}:{key}", use=_USE)


def row_of(account_id: int) -> str:
    """What an account's list is sealed for."""
    return f"private:{account_id}"


LOAD: Final = """
SELECT i.phone_number_id, coalesce(i.moved_waba, i.waba_id), p.account_id, p.keys, p.heads
  FROM (SELECT account_id, array_agg(key) AS keys, array_agg(DISTINCT substring(sealed FOR 5)) AS heads
          FROM private_ids GROUP BY account_id) AS p
  LEFT JOIN inboxes i ON i.account_id = p.account_id
"""


MOVED: Final = """
SELECT moved_number, journal_from, moved_to, account_id FROM inboxes WHERE moved_number IS NOT NULL
"""


async def load(conn: AsyncConnection[Any], keyring: Keyring) -> Lists | None:
    """Return every account's list, None when nobody has one.

    Raises ``SecretUnreadable`` when a list was made with a key that is not here: then nobody can be told from anybody.
    """
    rows = await (await conn.execute(LOAD)).fetchall()
    if not rows:
        return None
    for *_, heads in rows:
        if not all(keyring.knows(bytes(head)) for head in heads):
            raise SecretUnreadable(
                "The list of private numbers was made with a key that is not here.",
                next_step="Put the former key back into COEXIST_SECRET_KEY, after the new one.",
            )
    accounts, wabas = dict[str, int](), defaultdict[str, set[int]](set)
    for number, waba_id, account_id, *_ in rows:
        if number is not None:
            accounts[number] = account_id
            wabas[waba_id].add(account_id)
    moved = await (await conn.execute(MOVED)).fetchall()
    former = [(number, range(first + 1, last + 1), account_id) for number, first, last, account_id in moved]
    return Lists(keyring, accounts, {row[2]: {bytes(key) for key in row[3]} for row in rows}, wabas, former)


LEARN: Final = """
INSERT INTO private_ids (account_id, key, number_id, sealed, is_purge_wanted)
SELECT account_id, %(key)s, number_id, %(sealed)s, %(is_purge_wanted)s
  FROM private_ids WHERE account_id = %(account_id)s AND key = ANY(%(known)s) LIMIT 1
    ON CONFLICT (account_id, key) DO NOTHING
"""


async def learn(
    conn: Connection, keyring: Keyring, learned: Iterable[tuple[int, str, str]], *, is_purge_wanted: bool = True
) -> None:
    """Take further ids of private people into the list: (account id, an id that is known, the new one).

    What came under the new id alone, before anybody knew whose it was, is removed.
    """
    for account_id, known, key in sorted(set(learned)):
        values = {
            "account_id": account_id,
            "known": fingerprints(keyring, account_id, known),
            "key": fingerprints(keyring, account_id, key)[0],
            "sealed": keyring.encrypt(key.encode(), row=row_of(account_id)),
            "is_purge_wanted": is_purge_wanted,
        }
        added = await conn.execute(LEARN, values)
        if added.rowcount and is_purge_wanted:
            await conn.execute(f"NOTIFY {CHANNEL}")
