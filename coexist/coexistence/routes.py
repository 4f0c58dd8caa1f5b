"""Which numbers a fact is about that names a WABA, a portfolio or a printed number (meta-protocol 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coexist.base.database import Connection
from coexist.coexistence.moves import Tenure
from coexist.meta.model import AccountUpdated, NoticeGiven
from coexist.meta.phones import digits, match_key, same_number


@dataclass(frozen=True, slots=True)
class Route:
    """The names under which Meta may speak of an inbox, and the time in which it is meant by them."""

    inbox_id: int
    account_id: int
    waba_id: str
    phone_number_id: str
    portfolio_id: str
    display_phone_number: str
    tenure: Tenure


def of(fact: AccountUpdated | NoticeGiven, known: Sequence[Route]) -> list[Route]:
    """Return the inboxes that a fact is about, by the most exact name it gives.

    phone_number_id, then the WABA; an account event that names one is about no other. Without either, ``entry.id``
    as a WABA or as the portfolio it sometimes is, then the printed number alone. A printed number beside a WABA
    narrows it down: its other numbers are not concerned.
    """
    if fact.phone_number_id:
        return [route for route in known if route.phone_number_id == fact.phone_number_id]
    known = [route for route in known if route.tenure.covers(fact.journal_id, fact.at)]
    number = digits(fact.display_phone_number)
    entry_id = fact.entry_id if isinstance(fact, AccountUpdated) else None
    is_named = isinstance(fact, AccountUpdated) and fact.waba_id is not None
    groups = (
        [route for route in known if route.waba_id == fact.waba_id],
        [route for route in known if route.waba_id == entry_id],
        [route for route in known if route.portfolio_id == entry_id],
        list(known) if number else [],
    )
    group = groups[0] if is_named else next((group for group in groups if group), [])
    return [route for route in group if not number or same_number(number, route.display_phone_number)]


FIND: Final = """
SELECT i.id, i.account_id, coalesce(i.moved_waba, i.waba_id), i.phone_number_id, s.portfolio_id, i.display_phone_number,
       i.journal_from, i.owned_from, i.moved_to, i.moved_at
  FROM inboxes i JOIN contact_scopes s ON s.id = i.scope_id
 WHERE i.phone_number_id = ANY(%(names)s) OR i.waba_id = ANY(%(names)s) OR i.moved_waba = ANY(%(names)s)
    OR s.portfolio_id = ANY(%(names)s)
    OR right(i.display_phone_number, %(tail)s) = ANY(%(tails)s)
 ORDER BY i.id
"""

TAIL_DIGITS: Final = 8
"""National variants of a number differ before its last eight digits."""


async def find(conn: Connection, facts: Sequence[AccountUpdated | NoticeGiven]) -> Sequence[Route]:
    """Return every inbox that any of the facts might be about."""
    names = {fact.phone_number_id for fact in facts} | {fact.waba_id for fact in facts}
    names |= {fact.entry_id for fact in facts if isinstance(fact, AccountUpdated)}
    numbers = {digits(fact.display_phone_number) for fact in facts}
    values = {
        "names": [name for name in names if name],
        "tail": TAIL_DIGITS,
        "tails": [match_key(number)[-TAIL_DIGITS:] for number in numbers if number],
    }
    rows = await (await conn.execute(FIND, values)).fetchall()
    return [Route(row[0], row[1], row[2], row[3], row[4], row[5], Tenure(*row[6:])) for row in rows]
