"""Connecting a number by somebody who holds its token: look, connect, subscribe, then ask for the syncs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_transaction
from coexist.base.errors import Invalid
from coexist.coexistence import actions, oneshot, store, words
from coexist.coexistence.model import Sync, SyncState
from coexist.inbox.inboxes import Inbox
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import Graph, GraphError, GraphFailed, PhoneNumber
from coexist.meta.phones import digits, pretty, same_number
from coexist.people import actions as people
from coexist.people import store as people_store

NOT_VISIBLE: Final = 33
"""The number is gone, or this token may not see it: no word about the token itself (meta-protocol 1.5)."""


ANSWER_WAIT_S: Final = 40
"""How long to wait for Meta's answers when a worker has asked: longer than its calls may last."""
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Findings:
    """What Meta told. ``doubts`` are sentences about what did not fit or could not be checked."""

    onboarded_at: datetime | None
    doubts: Sequence[str]


async def look_up(
    graph: Graph, *, phone_number_id: str, display_phone_number: str, token: str, is_coexistence: bool
) -> Findings:
    """Read the number from Graph, which changes nothing there.

    Raises Invalid when Meta refuses the token. Everything else that does not fit is a doubt: Meta's answers lag
    behind a sign-up, and a number is better connected with a doubt than lost.
    """
    try:
        number = await meta.phone_number(graph, phone_number_id, token)
    except GraphFailed as error:
        is_refused = isinstance(error, GraphError) and error.meaning.kind is ErrorClass.REAUTHORISE
        if is_refused and isinstance(error, GraphError) and error.code != NOT_VISIBLE:
            raise Invalid(
                f"Meta refuses this token. {error.message}",
                next_step="Give a token that may manage and message this WhatsApp Business account.",
            ) from error
        return Findings(None, [f"The token could not be checked. {error}"])
    return Findings(_time(number.last_onboarded_time), _doubts(number, display_phone_number, is_coexistence))


def _doubts(number: PhoneNumber, display_phone_number: str, is_coexistence: bool) -> list[str]:
    doubts = []
    told = digits(number.display_phone_number)
    if told and not same_number(told, digits(display_phone_number)):
        doubts.append(f"Meta says that this phone_number_id is {pretty(told)}: is the display number right?")
    if number.is_on_biz_app is not None and number.is_coexistence != is_coexistence:
        where = "in the WhatsApp Business app and on the API" if number.is_coexistence else "on the API alone"
        doubts.append(f"Meta says that this number is {where}: is --coexistence or --no-coexistence right?")
    return doubts


def _time(raw: str | int | None) -> datetime | None:
    """``last_onboarded_time``: seconds, or ISO 8601 with or without a colon in the offset."""
    try:
        if isinstance(raw, int) or (raw and raw.isdecimal()):
            return datetime.fromtimestamp(int(raw), UTC)
        told = datetime.fromisoformat(raw) if raw else None
    except (ValueError, OverflowError, OSError):
        return None
    return told if told is None or told.tzinfo else told.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewNumber:
    """A number to connect, as somebody described it who holds its token."""

    account: str
    waba_id: str
    phone_number_id: str
    display_phone_number: str
    token: str
    is_coexistence: bool
    onboarded_at: datetime | None = None
    name: str | None = None
    portfolio_id: str | None = None


async def connect_number(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    number: NewNumber,
    *,
    verifies: bool,
    asks_for_syncs: bool,
    is_sync_switched_on: bool,
    say: Callable[[str], None],
) -> None:
    """Connect a number, subscribe our app to its WABA, and ask for its syncs; ``say`` tells every step in a sentence.

    The syncs are asked for only when the subscription stands: without it their data would go to nobody, and they
    can be asked for once (requirement A1). Raises what ``look_up`` and ``actions.connect`` raise; then nothing
    has changed.
    """
    found = await _verified(graph, number, say) if verifies else Findings(None, [])
    inbox = await in_transaction(pool, lambda conn: _connected(conn, keyring, number, found, say))
    say(f"{inbox.name} is inbox {inbox.id} of the account now. Its state: {inbox.state}.")
    try:
        await meta.subscribe(graph, number.waba_id, number.token)
    except GraphFailed as error:
        say(f"Our app could not be subscribed to WABA {number.waba_id}, so nothing will come in yet. {error}")
        say("Next: solve that and run the same command again. No sync was asked for.")
        return
    say(f"Our app receives the webhooks of WABA {number.waba_id}.")
    if not (inbox.is_coexistence and asks_for_syncs):
        say("Next: write to the number from another phone; the message appears in the inbox.")
        return
    ids = inbox.account_id, inbox.id
    await in_transaction(pool, lambda conn: actions.request_syncs(conn, *ids, is_switched_on=is_sync_switched_on))
    for sync in await _asked(pool, graph, keyring, inbox.id):
        say(words.sentence(sync, clock.now()))
    say("Next: keep the phone's app open, and watch the number's page in the inbox (Settings > Numbers).")


async def _asked(pool: Pool, graph: Graph, keyring: Keyring, inbox_id: int) -> Sequence[Sync]:
    """Ask for what is wanted, here or in a worker that was faster, and return the syncs once Meta has answered."""
    deadline = clock.now() + timedelta(seconds=ANSWER_WAIT_S)
    while True:
        await oneshot.ask(pool, graph, keyring, inbox_id)
        async with pool.connection() as conn:
            syncs = await store.syncs(conn, inbox_id)
        is_open = any(
            sync.state == SyncState.REQUESTING or (sync.state == SyncState.NOT_REQUESTED and sync.wanted_at)
            for sync in syncs
        )
        if not is_open or clock.now() > deadline:
            return syncs
        await asyncio.sleep(POLL_S)


async def _verified(graph: Graph, number: NewNumber, say: Callable[[str], None]) -> Findings:
    found = await look_up(
        graph,
        phone_number_id=number.phone_number_id,
        display_phone_number=number.display_phone_number,
        token=number.token,
        is_coexistence=number.is_coexistence,
    )
    for doubt in found.doubts:
        say(doubt)
    return found


async def _connected(
    conn: Connection, keyring: Keyring, number: NewNumber, found: Findings, say: Callable[[str], None]
) -> Inbox:
    account = await people_store.account_by_name(conn, number.account)
    if account is None and number.account.isdecimal():
        account = await people_store.find_account(conn, number.account)
    if account is None:
        account = await people.create_account(conn, number.account)
        say(f"The account {account.name!r} is new. The first run in the browser can make you its owner.")
    return await actions.connect(
        conn,
        keyring,
        account_id=account.id,
        waba_id=number.waba_id,
        phone_number_id=number.phone_number_id,
        display_phone_number=number.display_phone_number,
        token=number.token,
        is_coexistence=number.is_coexistence,
        onboarded_at=number.onboarded_at or found.onboarded_at,
        name=number.name,
        portfolio_id=number.portfolio_id,
    )
