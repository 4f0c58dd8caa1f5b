"""Connecting a number: the one way that the command line, Meta's window, a token and a client's link end in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, in_transaction, transaction
from coexist.base.errors import Invalid
from coexist.coexistence import actions, checks, checks_store, lost_requests, oneshot, rules, store, switches, words
from coexist.coexistence.checks_model import Preflight
from coexist.coexistence.checks_self_test import WEBHOOK_PATH
from coexist.coexistence.model import Sync, SyncState
from coexist.coexistence.signup_rules import onboarding_time
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import connection, inboxes
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import allowed
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import Graph, GraphError, GraphFailed, PhoneNumber
from coexist.meta.phones import digits, pretty, same_number
from coexist.people import actions as people
from coexist.people import store as people_store
from coexist.people.model import Account

NOT_VISIBLE: Final = 33
"""The number is gone, or this token may not see it: no word about the token itself (meta-protocol 1.5)."""
ANSWER_WAIT_S: Final = 40
"""How long to wait for Meta's answers when a worker has asked: longer than its calls may last."""
POLL_S: Final = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NewNumber:
    """A number, and who connects it. ``name`` renames an inbox that is there, ``first_name`` only names a new one."""

    waba_id: str
    phone_number_id: str
    display_phone_number: str
    token: str
    is_coexistence: bool
    onboarded_at: datetime | None = None
    name: str | None = None
    first_name: str | None = None
    portfolio_id: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """A number as connected. ``is_onboarding``: it came to the API anew, which gives a right to ask for syncs."""

    inbox: Inbox
    is_onboarding: bool


class NotListening(GraphFailed):
    """The number is connected, but Meta does not send its webhooks here; ``cause`` is Meta's refusal."""

    def __init__(self, cause: GraphFailed, *, is_override: bool) -> None:
        super().__init__(cause.message, next_step=cause.next_step)
        self.cause = cause
        self.is_override = is_override


async def connect_number(conn: Connection, keyring: Keyring, account_id: int, number: NewNumber) -> Connected:
    """Connect a number, or authorise a connected one again. Nothing is asked of Meta.

    Raises what ``actions.connect`` raises; then nothing has changed. Needs a transaction by the caller.
    """
    known = await inboxes.by_phone_number_ids(conn, [number.phone_number_id])
    before = known.get(number.phone_number_id)
    if before is not None and before.account_id != account_id:
        before = None  # it becomes another inbox, or is refused
    inbox = await actions.connect(
        conn,
        keyring,
        account_id=account_id,
        waba_id=number.waba_id,
        phone_number_id=number.phone_number_id,
        display_phone_number=number.display_phone_number,
        token=number.token,
        is_coexistence=number.is_coexistence,
        onboarded_at=number.onboarded_at,
        name=number.name or (None if before else number.first_name),
        portfolio_id=number.portfolio_id,
        by=number.by,
    )
    return Connected(inbox, before is None or inbox.onboarded_at > before.onboarded_at)


async def listen(graph: Graph, settings: Settings, waba_id: str, token: str) -> None:
    """Subscribe our app to a WABA and, where the settings say so, have its webhooks sent to this installation.

    First the one, then the other, as Meta wants it (requirement A3). May be repeated. Raises NotListening.
    """
    try:
        await meta.subscribe(graph, waba_id, token)
    except GraphFailed as error:
        raise NotListening(error, is_override=False) from error
    if settings.webhook_override:
        uri = settings.base_url + WEBHOOK_PATH
        try:
            await meta.subscribe(
                graph, waba_id, token, override_callback_uri=uri, verify_token=settings.verify_token or ""
            )
        except GraphFailed as error:
            raise NotListening(error, is_override=True) from error


async def begin_syncs(
    pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, inbox: Inbox, *, by_itself: bool = False
) -> Preflight | None:
    """Ask for the contacts and history of a number that is listened to, if all is in order for it (requirement A1).

    Every way of asking comes through here, and may come again: each sync is asked for once. What Meta has refused
    several times is asked for as a person wishes, and not ``by_itself``. Returns the look at the number that decided;
    None when there was nothing to ask for. Of one that is not connected Meta is asked how it is; once it is, a worker
    goes on. Raises what ``actions.request_syncs`` raises.
    """
    installation = allowed(settings)

    async def ask(conn: Connection) -> None:
        await actions.request_syncs(conn, inbox.account_id, inbox.id, installation=installation)

    async with transaction(pool) as conn:
        fresh = await inboxes.get(conn, inbox.account_id, inbox.id)
        on, _ = switches.split(fresh, installation)
        can_be_asked = fresh.is_coexistence and rules.can_be_asked(await store.syncs(conn, inbox.id), on, clock.now())
        is_connected = fresh.state == connection.State.CONNECTED
        if can_be_asked:
            await checks_store.wait(conn, fresh.id, fresh.onboarded_at)
        if can_be_asked and not by_itself and await store.want_refused(conn, fresh.id, fresh.onboarded_at, on):
            await checks_store.expire(conn, fresh.id)  # whatever a look found before: Meta has refused since
        if can_be_asked and not is_connected:  # what is told of the very second of signing up may be of before it
            await connection.doubt(conn, [fresh.id])
    if not (can_be_asked and is_connected):
        await in_transaction(pool, ask)  # which says why, where that is to be said
        return None
    found = await checks.look(pool, graph, keyring, settings, fresh)

    async def decide(conn: Connection) -> Preflight:
        kept = await checks.settle(conn, found)
        if kept.is_waiting:
            await feed.append(conn, [NewEvent(fresh.account_id, Kind.SYNC_PROGRESSED, inbox_id=fresh.id)])
        else:
            await ask(conn)
        return kept

    return await in_transaction(pool, decide)


async def ask_again(pool: Pool, graph: Graph, keyring: Keyring, settings: Settings, inbox: Inbox, by: str) -> None:
    """Have what was asked for without an answer asked for once more: now if all is in order for it, else when it is.

    Raises what ``lost_requests.want_again`` and ``actions.request_syncs`` raise.
    """
    found = await checks.look(pool, graph, keyring, settings, inbox)

    async def decide(conn: Connection) -> None:
        kept = await checks.settle(conn, found)
        await lost_requests.want_again(conn, by, inbox.account_id, inbox.id)
        if not kept.is_waiting:
            await actions.request_syncs(conn, inbox.account_id, inbox.id, installation=allowed(settings))

    await in_transaction(pool, decide)


async def ask_anyway(
    conn: Connection, settings: Settings, account_id: int, inbox_id: int, by: str, reason: str
) -> None:
    """Ask for syncs although a check of the last look is amber. Raises what ``checks.overrule`` raises.

    Needs a transaction by the caller.
    """
    inbox = await inboxes.get(conn, account_id, inbox_id)
    await checks.overrule(conn, inbox, await checks_store.preflight(conn, inbox_id), by, reason)
    await actions.request_syncs(conn, account_id, inbox_id, installation=allowed(settings))


# ── by hand, on the command line ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Findings:
    """What Meta told. ``doubts`` are sentences about what did not fit or could not be checked."""

    onboarded_at: datetime | None
    doubts: Sequence[str]


async def look_up(graph: Graph, number: NewNumber) -> Findings:
    """Read the number from Graph, which changes nothing there.

    Raises Invalid when Meta refuses the token. Everything else that does not fit is a doubt: Meta's answers lag
    behind a sign-up, and a number is better connected with a doubt than lost.
    """
    try:
        told = await meta.phone_number(graph, number.phone_number_id, number.token)
    except GraphFailed as error:
        is_refused = isinstance(error, GraphError) and error.meaning.kind is ErrorClass.REAUTHORISE
        if is_refused and isinstance(error, GraphError) and error.code != NOT_VISIBLE:
            raise Invalid(
                f"Meta refuses this token. {error.message}",
                next_step="Give a token that may manage and message this WhatsApp Business account.",
            ) from error
        return Findings(None, [f"The token could not be checked. {error}"])
    doubts = _doubts(told, number.display_phone_number, number.is_coexistence)
    return Findings(onboarding_time(told.last_onboarded_time), doubts)


def _doubts(number: PhoneNumber, display_phone_number: str, is_coexistence: bool) -> list[str]:
    doubts = []
    told = digits(number.display_phone_number)
    if told and not same_number(told, digits(display_phone_number)):
        doubts.append(f"Meta says that this phone_number_id is {pretty(told)}: is the display number right?")
    if number.is_on_biz_app is not None and number.is_coexistence != is_coexistence:
        where = "in the WhatsApp Business app and on the API" if number.is_coexistence else "on the API alone"
        doubts.append(f"Meta says that this number is {where}: is --coexistence or --no-coexistence right?")
    return doubts


async def connect_by_hand(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    settings: Settings,
    account: str,
    number: NewNumber,
    *,
    verifies: bool,
    asks_for_syncs: bool,
    say: Say,
) -> None:
    """Connect a number that somebody describes who holds its token; ``say`` tells every step in a sentence.

    ``account`` is a name or an id, made if it is new. The syncs are asked for only when the subscription stands:
    without it their data would go to nobody, and they can be asked for once (requirement A1). Raises what
    ``look_up`` and ``connect_number`` raise; then nothing has changed.
    """
    if verifies:
        found = await look_up(graph, number)
        for doubt in found.doubts:
            say(doubt)
        number = replace(number, onboarded_at=number.onboarded_at or found.onboarded_at)

    async def work(conn: Connection) -> Inbox:
        owner = await _account(conn, account, say)
        return (await connect_number(conn, keyring, owner.id, number)).inbox

    inbox = await in_transaction(pool, work)
    say(f"{inbox.name} is inbox {inbox.id} of the account now. Its state: {inbox.state}.")
    try:
        await listen(graph, settings, number.waba_id, number.token)
    except NotListening as error:
        say(f"Our app could not be subscribed to WABA {number.waba_id}, so nothing will come in yet. {error}")
        say("Next: solve that and run the same command again. No sync was asked for.")
        return
    say(f"Our app receives the webhooks of WABA {number.waba_id}.")
    if inbox.state == connection.State.REMOVED:
        _say_removed(inbox, say)
        return
    if not (inbox.is_coexistence and asks_for_syncs):
        say("Next: write to the number from another phone; the message appears in the inbox.")
        return
    look = await begin_syncs(pool, graph, keyring, settings, inbox)
    if look is not None and look.is_waiting:
        _say_waiting(look, say)
        return
    for sync in await _asked(pool, graph, keyring, inbox.id):
        say(words.sentence(sync, clock.now()))
    say("Next: keep the phone's app open, and watch the number's page in the inbox (Numbers).")


def _say_removed(inbox: Inbox, say: Say) -> None:
    """Meta's lists do not say that it came back since, and a guess would promise a chance that is not there."""
    at = f"{inbox.state_at:%Y-%m-%dT%H:%M:%SZ}"
    say(f"Meta told that this number was disconnected ({at}), and names no sign-up since.")
    say("No sync was asked for: the right to ask comes with a new sign-up, for 24 hours.")
    say(
        "Next: if it was signed up again since, run the same command with --since and the time of that. If not, do so "
        "first: on its page in the inbox (Numbers > its name > Connect again), or in the phone app with whoever "
        "connects it."
    )


def _say_waiting(found: Preflight, say: Say) -> None:
    say("No sync was asked for: there is one chance, and not all is in order for it.")
    for check in checks.needing(found.checks):
        say(f"{check.level.upper()}  {check.title}: {check.seen} {check.next_step}")
    say(
        "Next: mend that. A running worker looks again by itself, and the number's page has the list (Numbers > its "
        "name > Sync)."
    )


async def _account(conn: Connection, name_or_id: str, say: Say) -> Account:
    account = await people_store.account_by_name(conn, name_or_id)
    if account is None and name_or_id.isdecimal():
        account = await people_store.find_account(conn, name_or_id)
    if account is None:
        account = await people.create_account(conn, name_or_id)
        say(f"The account {account.name!r} is new. The first run in the browser can make you its owner.")
    return account


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
