"""The account's list of private numbers: people whose content is never kept (requirement G11).

How it is looked up, and how it is kept from giving anybody away, stands in ``private_lists``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.errors import LockNotAvailable
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, Invalid, NotFound, Unavailable
from coexist.inbox import private_lists
from coexist.meta.phones import digits, match_key, same_number
from coexist.meta.private import PHONE_DIGITS, names

NOT_SENT: Final = "This is a private number: what is written with it is not kept here, so nothing was sent."
NOT_KEPT: Final = "This is nothing but a private number, of which nothing is kept here."
OFF_THE_LIST: Final = (
    "An owner or admin can take the number off the list (Numbers > its name > Choices > Private numbers)."
)

# ── keeping the list ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PrivateNumber:
    """One number of the list, with its digits. ``purge_share`` is 0 to 1 while what was here is being removed."""

    id: int
    digits: str
    added_by: str
    added_at: datetime
    id_count: int
    purge_share: float | None
    purged_at: datetime | None
    purged_messages: int
    purged_parts: int


NUMBERS: Final = """
SELECT n.id, n.sealed, n.added_by, n.added_at, count(i.key)::int AS id_count,
       CASE WHEN bool_or(i.is_purge_wanted OR i.is_purging)
            THEN least(1, n.purged_to::float / greatest(coalesce(n.purge_to, 1), 1)) END AS purge_share,
       n.purged_at, n.purged_messages, n.purged_parts
  FROM private_numbers n LEFT JOIN private_ids i ON i.number_id = n.id
 WHERE n.account_id = %s
 GROUP BY n.id
 ORDER BY n.id DESC
"""


async def numbers(conn: Connection, keyring: Keyring, account_id: int) -> Sequence[PrivateNumber]:
    """Return an account's list, the newest first. Raises ``SecretUnreadable`` when its key is not here."""
    rows = await (await conn.execute(NUMBERS, (account_id,))).fetchall()
    return [
        PrivateNumber(id_, keyring.decrypt(bytes(sealed), row=private_lists.row_of(account_id)).decode(), *rest)
        for id_, sealed, *rest in rows
    ]


async def count(conn: Connection, account_id: int) -> int:
    """Return how many numbers an account's list has."""
    row = await (
        await conn.execute("SELECT count(*) FROM private_numbers WHERE account_id = %s", (account_id,))
    ).fetchone()
    assert row is not None
    return int(row[0])


async def find(conn: Connection, keyring: Keyring, account_id: int, number_id: int) -> PrivateNumber:
    """Return one number of an account's list, or raise NotFound."""
    found = [one for one in await numbers(conn, keyring, account_id) if one.id == number_id]
    if not found:
        raise NotFound("This number is not on the list of private numbers.")
    return found[0]


def checked(raw: str) -> str:
    """A number as somebody wrote it, as digits. Raises Invalid for what is none."""
    number = digits(raw.strip())
    if number is None or len(number) not in PHONE_DIGITS or number.startswith("0"):
        raise Invalid(f"{raw.strip()[:40]!r} is not a phone number.", next_step="Give it with its country code.")
    return number


INSERT: Final = """
WITH made AS (
    INSERT INTO private_numbers (account_id, sealed, added_by, added_at)
    VALUES (%(account_id)s, %(sealed)s, %(by)s, %(at)s) RETURNING id),
known AS (
    INSERT INTO private_ids (account_id, key, number_id, sealed)
    SELECT %(account_id)s, %(key)s, id, %(sealed_key)s FROM made)
SELECT id FROM made
"""


async def add(conn: Connection, keyring: Keyring, by: str, account_id: int, raw: str) -> int:
    """Put a number on the list, and return its id there: from the commit on nothing of it is kept.

    Waits until whatever is being applied has ended. BSUIDs that are known to be the number's come along. What is here
    already stays until ``want_purge``, but its files are not fetched any more, and exported chats that nobody has
    decided about go: nobody knows whose they are. Raises Invalid, Conflict, Unavailable.
    """
    number = checked(raw)
    key = match_key(number)
    await _own_list(conn)
    cursor = await conn.execute("SELECT display_phone_number FROM inboxes WHERE account_id = %s", (account_id,))
    if any(same_number(number, ours) for (ours,) in await cursor.fetchall()):
        raise Invalid("That is a number of your own.", next_step="Give the number of the person.")
    held = await conn.execute(
        "SELECT FROM private_ids WHERE account_id = %s AND key = ANY(%s)",
        (account_id, private_lists.fingerprints(keyring, account_id, key)),
    )
    if held.rowcount:
        raise Conflict("This number is on the list already, in this form or another.")
    values = {
        "account_id": account_id,
        "sealed": keyring.encrypt(number.encode(), row=private_lists.row_of(account_id)),
        "by": by,
        "at": clock.now(),
        "key": private_lists.fingerprints(keyring, account_id, key)[0],
        "sealed_key": keyring.encrypt(key.encode(), row=private_lists.row_of(account_id)),
    }
    row = await (await conn.execute(INSERT, values)).fetchone()
    assert row is not None
    theirs = [(account_id, key, bsuid) for bsuid in await _bsuids(conn, account_id, key)]
    await private_lists.learn(conn, keyring, theirs, is_purge_wanted=False)
    await conn.execute(LEAVE_FILES, {"account_id": account_id, "ids": [key, *(one[2] for one in theirs)]})
    await conn.execute(FORGET_UPLOADS, (account_id,))
    return int(row[0])


BSUIDS: Final = """
SELECT s.bsuid FROM identity_sightings s JOIN contact_scopes c ON c.id = s.scope_id
 WHERE c.account_id = %(account_id)s AND s.match_key = %(key)s
 UNION
SELECT b.value FROM identities p JOIN contact_scopes c ON c.id = p.scope_id
  JOIN identities b ON b.contact_id = p.contact_id AND b.kind = 'bsuid'
 WHERE c.account_id = %(account_id)s AND p.match_key = %(key)s AND NOT p.is_contested
"""


async def _bsuids(conn: Connection, account_id: int, key: str) -> list[str]:
    rows = await (await conn.execute(BSUIDS, {"account_id": account_id, "key": key})).fetchall()
    return [row[0] for row in rows]


THEIRS: Final = """
SELECT DISTINCT i.contact_id FROM identities i JOIN contact_scopes c ON c.id = i.scope_id
 WHERE c.account_id = %(account_id)s AND i.match_key = ANY(%(ids)s)
"""

LEAVE_FILES: Final = f"""
UPDATE media f SET state = 'gone', reason = 'unwanted', claimed_until = NULL,
       error = 'This is on the account''s list of private numbers.'
  FROM messages m JOIN conversations c ON c.id = m.conversation_id
 WHERE c.contact_id IN ({THEIRS}) AND f.inbox_id = m.inbox_id AND f.wamid = m.wamid AND f.state = 'waiting'
"""


FORGET_UPLOADS: Final = "DELETE FROM exported_chats WHERE account_id = %s AND state = 'uploaded'"


async def _own_list(conn: Connection) -> None:
    try:
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", (private_lists.LOCK,))
    except LockNotAvailable as error:
        raise Unavailable("Much is being applied at this moment.", next_step="Try again in a minute.") from error


async def wait_for_older_lists(conn: Connection) -> None:
    """Wait until nobody applies deliveries with a list that was read before now."""
    await _own_list(conn)


async def remove(conn: Connection, account_id: int, number_id: int) -> None:
    """Take a number off the list: from now on it is kept again. What was not kept cannot come back."""
    gone = await conn.execute("DELETE FROM private_numbers WHERE account_id = %s AND id = %s", (account_id, number_id))
    if not gone.rowcount:
        raise NotFound("This number is not on the list of private numbers.")


# ── what is here already ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the tables hold of a private number's person."""

    contacts: int
    conversations: int
    messages: int
    files: int
    entries: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the person is here."""
        return not (self.contacts or self.conversations or self.messages or self.entries)


HOLDINGS: Final = f"""
WITH theirs AS ({THEIRS}),
talks AS (SELECT c.id FROM conversations c JOIN theirs t ON t.contact_id = c.contact_id)
SELECT (SELECT count(*) FROM theirs) AS contacts, (SELECT count(*) FROM talks) AS conversations,
       (SELECT count(*) FROM messages WHERE conversation_id IN (SELECT id FROM talks)) AS messages,
       (SELECT count(*) FROM messages m JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid
         WHERE m.conversation_id IN (SELECT id FROM talks) AND f.state = 'stored') AS files,
       (SELECT count(*) FROM address_book_entries e JOIN inboxes x ON x.id = e.inbox_id
          JOIN identities i ON i.scope_id = x.scope_id AND i.kind = e.kind AND i.value = e.value
         WHERE i.contact_id IN (SELECT contact_id FROM theirs)) AS entries
"""

IDS: Final = "SELECT sealed FROM private_ids WHERE account_id = %s AND number_id = %s AND (is_purging OR NOT %s)"


async def ids_of(
    conn: Connection, keyring: Keyring, account_id: int, number_id: int, *, are_purging: bool = False
) -> list[str]:
    """Return the ids of a private number's person in the clear, or those alone of which all is being removed."""
    rows = await (await conn.execute(IDS, (account_id, number_id, are_purging))).fetchall()
    return [keyring.decrypt(bytes(sealed), row=private_lists.row_of(account_id)).decode() for (sealed,) in rows]


async def holdings(conn: Connection, keyring: Keyring, account_id: int, number_id: int) -> Holdings:
    """Return what is here of a number of the list."""
    ids = await ids_of(conn, keyring, account_id, number_id)
    async with conn.cursor(row_factory=class_row(Holdings)) as cursor:
        await cursor.execute(HOLDINGS, {"account_id": account_id, "ids": ids})
        found = await cursor.fetchone()
    assert found is not None
    return found


async def want_purge(conn: Connection, keyring: Keyring, account_id: int, number_id: int, *, typed: str) -> None:
    """Have everything removed that is here of a number. ``typed`` is the number once more, by a person's hand.

    Raises Invalid when it is another one, NotFound.
    """
    number = await find(conn, keyring, account_id, number_id)
    if not same_number(digits(typed.strip()), number.digits):
        raise Invalid("What you typed is not this number: nothing was removed.", next_step="Type the number in full.")
    await conn.execute(
        "UPDATE private_numbers SET purge_to = NULL, purged_to = 0, purged_at = NULL WHERE id = %s", (number_id,)
    )
    await conn.execute("UPDATE private_ids SET is_purge_wanted = true WHERE number_id = %s", (number_id,))
    await conn.execute(f"NOTIFY {private_lists.CHANNEL}")


# ── writing to them ───────────────────────────────────────────────────────────────────────────────────────

PEERS: Final = """
SELECT i.match_key FROM conversations c JOIN inboxes x ON x.id = c.inbox_id
  JOIN identities i ON i.contact_id = c.contact_id
 WHERE c.id = %s AND x.account_id = %s
"""


async def check_may_write(conn: Connection, keyring: Keyring, account_id: int, conversation_id: int) -> None:
    """Raise Conflict when a conversation is with a private number."""
    lists = await private_lists.load(conn, keyring)
    is_private = lists.of_account(account_id) if lists else None
    if is_private is None:
        return
    peers = await (await conn.execute(PEERS, (conversation_id, account_id))).fetchall()
    if any(is_private(key) for (key,) in peers):
        raise Conflict(NOT_SENT, next_step=f"Write to them in the phone app. {OFF_THE_LIST}")


async def shows(conn: Connection, keyring: Keyring, account_id: int, text: str) -> bool:
    """Whether what somebody of the account has written is nothing but a private number, or its person's BSUID.

    Of such a text nothing may be kept. Until the caller's transaction ends nobody becomes private. Costs nothing for
    any other text.
    """
    if not names(text, lambda _: True):
        return False
    await conn.execute(private_lists.SHARE)
    lists = await private_lists.load(conn, keyring)
    is_private = lists.of_account(account_id) if lists else None
    return is_private is not None and names(text, is_private)


async def check_shows_nobody(conn: Connection, keyring: Keyring, account_id: int, text: str | None) -> None:
    """Raise Conflict for a text that is nothing but a private number."""
    if text is not None and await shows(conn, keyring, account_id, text):
        raise Conflict(NOT_KEPT, next_step=f"Write it in the phone app. {OFF_THE_LIST}")


async def is_listed(conn: Connection, keyring: Keyring, account_id: int, raw_phone: str | None) -> bool:
    """Whether a phone as somebody wrote it is on the account's list."""
    number = digits(raw_phone)
    lists = await private_lists.load(conn, keyring) if number else None
    is_private = lists.of_account(account_id) if lists else None
    return is_private is not None and number is not None and is_private(match_key(number))
