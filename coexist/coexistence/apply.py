"""Merges what Meta told about a number's connection and its sync. Order-free, duplicate-free, batch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from coexist.base.database import Connection
from coexist.coexistence import arrivals, life_store, routes, rules
from coexist.coexistence.arrivals import UNKNOWN, Batch, Chunk, Place
from coexist.coexistence.model import SyncKind
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, refusals, waiting
from coexist.inbox.connection import Line
from coexist.inbox.inboxes import Inbox
from coexist.inbox.refusals import Refusal
from coexist.meta.model import (
    AccountUpdated,
    AddressBookChanged,
    Fact,
    HistoryDeclined,
    HistoryFailed,
    HistoryProgressed,
    NoticeGiven,
)
from coexist.templates import apply as templates

SyncFact: TypeAlias = HistoryProgressed | HistoryDeclined | HistoryFailed | AddressBookChanged
AccountFact: TypeAlias = AccountUpdated | NoticeGiven
HISTORY_FACTS: Final = (HistoryProgressed, HistoryDeclined, HistoryFailed)


async def apply(conn: Connection, inboxes: Mapping[str, Inbox], facts: Sequence[Fact]) -> list[NewEvent]:
    """Merge the facts about syncs and connections; facts of other kinds are left alone.

    ``inboxes`` are the connected ones that the facts name, by phone_number_id; each fact's delivery must be
    in the journal. What is switched off is left out before (``switches.wanted``). Returns the events to append
    last in the transaction.
    """
    sync_facts = [fact for fact in facts if isinstance(fact, (*HISTORY_FACTS, AddressBookChanged))]
    account_facts = [fact for fact in facts if isinstance(fact, AccountUpdated | NoticeGiven)]
    return [
        *(await _apply_sync(conn, inboxes, sync_facts) if sync_facts else ()),
        *(await _apply_account(conn, account_facts) if account_facts else ()),
    ]


async def _apply_sync(conn: Connection, inboxes: Mapping[str, Inbox], facts: Sequence[SyncFact]) -> list[NewEvent]:
    named = [(inboxes.get(fact.phone_number_id or ""), fact) for fact in facts]
    wanted = [(inbox, fact) for inbox, fact in named if inbox is not None]
    received_at = await arrivals.received_at(conn, {fact.journal_id for _, fact in wanted})
    asked = await arrivals.asked(conn, {inbox.id for inbox, _ in wanted})
    batch = Batch()
    for inbox, fact in wanted:
        came_at = received_at[fact.journal_id]
        kind = SyncKind.HISTORY if isinstance(fact, HISTORY_FACTS) else SyncKind.CONTACTS
        made_at = rules.made_at(came_at, _told(fact))
        since = rules.onboarding_of(made_at, asked.get((inbox.id, kind)) or {inbox.onboarded_at: None})
        place = Place(inbox.id, kind, since)
        told = batch.arrivals[place]
        match fact:
            case HistoryProgressed():
                phase = UNKNOWN if fact.phase is None else fact.phase
                order = UNKNOWN if fact.chunk_order is None else fact.chunk_order
                batch.chunks[place].append(
                    Chunk(phase, order, fact.progress or 0, fact.thread_count, fact.message_count, came_at)
                )
            case HistoryDeclined():
                told.declined(fact.at)
            case HistoryFailed():
                told.failed((fact.at, fact.code or 0, fact.details or "Meta told an error without details."))
            case AddressBookChanged(is_removed=False):  # a removal is a change of the book, and shares none
                told.received_at.add(came_at)
    await arrivals.put_chunks(conn, batch.chunks)
    await arrivals.merge(conn, batch.arrivals)
    places = list(batch.arrivals)
    await arrivals.refresh_history(conn, [place for place in places if place.kind is SyncKind.HISTORY])
    await arrivals.refresh_contacts(conn, [place for place in places if place.kind is SyncKind.CONTACTS])
    return [NewEvent(inbox.account_id, Kind.SYNC_PROGRESSED, inbox_id=inbox.id) for inbox, _ in wanted]


def _told(fact: SyncFact) -> datetime | None:
    """When Meta says that it made what is told; of an error the time that is told is that."""
    return fact.at if isinstance(fact, HistoryDeclined | HistoryFailed) else fact.made_at


async def _apply_account(conn: Connection, facts: Sequence[AccountFact]) -> list[NewEvent]:
    known = await routes.find(conn, facts)
    lines: list[Line] = []
    refused: list[Refusal] = []
    noticed: list[tuple[int, NoticeGiven]] = []
    concerned = {}
    for fact in facts:
        for route in routes.of(fact, known):
            lines.append(_line(route.inbox_id, fact))
            if isinstance(fact, NoticeGiven) and fact.field == "messages":  # an error of the number itself
                refused += refusals.told(route.inbox_id, b"[" + fact.value + b"]", fact.at)
            if isinstance(fact, NoticeGiven):
                noticed.append((route.account_id, fact))
            concerned[route.inbox_id] = route.account_id
    await connection.record(conn, lines)
    await life_store.question(conn, lines)
    await connection.refresh(conn, concerned)
    heeded = await refusals.heed(conn, refused)
    told = await templates.apply(conn, noticed)  # after the numbers, as whoever settles a refused message
    heeded += await waiting.of_templates(conn, {each.key for each in told})
    return heeded + [
        NewEvent(account_id, Kind.INBOX_CHANGED, inbox_id=inbox_id) for inbox_id, account_id in concerned.items()
    ]


def _line(inbox_id: int, fact: AccountFact) -> Line:
    field = fact.field if isinstance(fact, NoticeGiven) else "account_update"
    value = msgspec.json.decode(fact.value)
    return Line(inbox_id, fact.at, field, fact.event or "", value if isinstance(value, dict) else {"value": value})
