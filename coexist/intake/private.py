"""Private numbers on their way through the journal: taken out of a delivery before it is read, and of older ones later.

The delivery itself stays in the journal, without those parts, sealed again. One of which nothing is left keeps its id
and its time of receipt.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.inbox import private_lists
from coexist.inbox.private_lists import Lists
from coexist.inbox.purge import forget_waiting
from coexist.intake.sealing import Damaged, seal, unseal
from coexist.intake.store import Delivery
from coexist.meta.private import IsPrivate, ListOf, Redaction, redact

NOTHING_LEFT: Final = b'{"object":"private"}'
"""What stands in the journal for a delivery that was about private numbers alone. It is read as nobody's, silently."""

IN_THREAD_BYTES: Final = 32 * 1024
"""Deliveries from this sealed size on are searched in a thread: a chunk takes tens of milliseconds."""

REWRITE: Final = "UPDATE journal SET body = %s WHERE id = %s"

FORGET_ERRORS: Final = (
    "UPDATE quarantine SET error = %(words)s, previous_error = NULL WHERE journal_id = %(id)s",
    "UPDATE quarantine_settled SET error = %(words)s WHERE journal_id = %(id)s",
)
NOT_KEPT: Final = "What was wrong is not kept: the delivery had a part of a private number."
"""An error can quote what it was about. What is wrong with the rest is told when it is tried again."""


async def rewrite(conn: Connection, journal_id: int, stored: bytes) -> None:
    """Keep a delivery without its private parts, and forget what was said of them."""
    await conn.execute(REWRITE, (stored, journal_id))
    for statement in FORGET_ERRORS:
        await conn.execute(statement, {"id": journal_id, "words": NOT_KEPT})


async def withheld(conn: Connection, keyring: Keyring, deliveries: list[Delivery]) -> list[Delivery]:
    """Return the deliveries without what is about private numbers, and rewrite them in the journal.

    Costs one look-up while nobody has a list. Needs the transaction in which they are applied, with ``SHARE`` held.
    """
    lists = await private_lists.load(conn, keyring)
    if lists is None:
        return deliveries
    return [await _withheld(conn, lists, delivery) for delivery in deliveries]


async def _withheld(conn: Connection, lists: Lists, delivery: Delivery) -> Delivery:
    def list_of(number: str) -> IsPrivate | None:
        return lists.of(number, delivery.journal_id)

    found, stored = await searched(lists.keyring, delivery.stored, list_of)
    if stored is None:
        return delivery
    learned = [
        (account_id, known, key)
        for number, known, key in found.learned
        if (account_id := lists.account_of(number, delivery.journal_id)) is not None
    ]
    await private_lists.learn(conn, lists.keyring, learned)
    for account_id, _, key in learned:
        lists.take(account_id, key)
    await rewrite(conn, delivery.journal_id, stored)
    # Of a delivery that is applied again: from here on nothing tells whose they were.
    await forget_waiting(conn, found.wamids)
    return replace(delivery, stored=stored)


async def searched(keyring: Keyring, stored: bytes, list_of: ListOf) -> tuple[Redaction, bytes | None]:
    """Search a journaled body; return what was found, and the body to keep instead if anything was.

    In one that is damaged nobody finds anything any more.
    """

    def search() -> tuple[Redaction, bytes | None]:
        try:
            found = redact(unseal(keyring, stored), list_of)
        except Damaged:
            return Redaction(None), None
        return found, seal(keyring, found.body or NOTHING_LEFT) if found.removed_count else None

    return await asyncio.to_thread(search) if len(stored) >= IN_THREAD_BYTES else search()
