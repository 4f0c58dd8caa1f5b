"""The doctor: four questions about a number, each answered from evidence (requirement G12)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.crypto import Keyring, SecretUnreadable
from coexist.base.database import Connection
from coexist.coexistence import (
    checks,
    checks_evidence,
    checks_kept_back,
    checks_rules,
    checks_store,
    lost_requests,
    receipts,
    rules,
    store,
    words,
)
from coexist.coexistence.checks_evidence import Failure, Lack, Line, Waiting
from coexist.coexistence.checks_model import SEVERITY, Check, Diagnosis, Level, Name, Question, worst
from coexist.coexistence.model import Sync, SyncKind, SyncState
from coexist.inbox import connection, credentials, inboxes
from coexist.inbox.inboxes import Inbox
from coexist.inbox.restrictions import FOREVER
from coexist.inbox.switches import Switch, allowed
from coexist.meta.errors import RENEW, ErrorClass, explain

FIRST_ECHO: Final = timedelta(hours=24)
"""After this long without one, an owner who writes on the phone would have been seen."""
LATE_SEND: Final = timedelta(minutes=10)
NAMED_COUNT: Final = 3
"""Paused templates that are named."""

ROAD: Final = (
    Name.CONNECTION, Name.WORKER, Name.DATABASE, Name.WEBHOOK, Name.FIELDS, Name.SUBSCRIBED, Name.SIGNED,
    Name.META_HEARD,
)  # fmt: skip
"""What everything that comes from Meta needs, causes first."""
KEPT_BACK: Final = (Name.QUARANTINE, Name.UNROUTED)
QUESTIONS: Final[Mapping[str, tuple[str, Name, Sequence[Name]]]] = {
    "history": (
        "The history didn't appear", Name.HISTORY,
        (*ROAD, Name.TOKEN, Name.NUMBER, Name.CLOCK, Name.HISTORY, Name.HISTORY_SEEN, *KEPT_BACK, Name.STORAGE,
         Name.MEDIA),
    ),
    "app_messages": (
        "Messages of the phone app don't appear", Name.ECHOES_SEEN,
        (*ROAD, Name.NUMBER, Name.ECHOES_SEEN, Name.MESSAGES_SEEN, *KEPT_BACK),
    ),
    "contacts": (
        "Contacts are missing", Name.CONTACTS,
        (*ROAD, Name.TOKEN, Name.NUMBER, Name.CLOCK, Name.CONTACTS, Name.CONTACTS_SEEN, *KEPT_BACK),
    ),
    "sending": (
        "Sending fails", Name.FAILURES,
        (Name.CONNECTION, Name.HELD, Name.ACCESS, Name.TOKEN, Name.WORKER, Name.NUMBER, Name.OUTBOX, Name.FAILURES,
         Name.QUARANTINE),
    ),
}  # fmt: skip
"""Each question in words, the check that answers it when all is well, and all that it rests on."""
OWN_FIELDS: Final = {"history": "history", "app_messages": "smb_message_echoes", "contacts": "smb_app_state_sync"}
"""The webhook field that brings what each question asks for, and nothing else; all others concern every question."""
OVER: Final = {SyncState.COMPLETED, SyncState.DECLINED, SyncState.SWITCHED_OFF}
AFTERWARDS: Final = (Name.HISTORY, Name.HISTORY_SEEN, Name.CONTACTS, Name.CONTACTS_SEEN, *KEPT_BACK, Name.MEDIA)
"""What still counts for a sync that has come to its end: the road of today is none of its business."""

STATES: Final = {
    connection.State.CONNECTED: "It is connected.",
    connection.State.OFFBOARDED: "The phone was changed or set up again, so the number is disconnected for now.",
    connection.State.REMOVED: "The number was disconnected from here.",
    connection.State.TOKEN_INVALID: "WhatsApp no longer accepts our access.",
    connection.State.RESTRICTED: "WhatsApp restricted this number.",
}
STEPS: Final = {
    connection.State.OFFBOARDED: "Open the WhatsApp Business app on the phone: it usually comes back within minutes.",
    connection.State.REMOVED: f"{words.CONNECT_AGAIN[0].upper()}{words.CONNECT_AGAIN[1:]}",
    connection.State.TOKEN_INVALID: RENEW,
    connection.State.RESTRICTED: "Look at the app or at Meta Business Suite for the reason.",
}
MOVED_STEP: Final = "Nothing: it is that account's now. The chats so far stay here."
KEEP_OPEN: Final = (
    "Keep the WhatsApp Business app open on the phone. If nothing comes, Meta's support can look up the request id."
)
ANOTHER_CHANCE: Final = (
    f"For another chance: on the phone, Settings > Account > Business Platform > Disconnect; then {words.CONNECT_AGAIN}"
)
WHY_AGAIN: Final = (
    "nobody knows whether WhatsApp heard of the request. If it did, asking changes nothing; if not, it saves the one "
    "chance."
)
EACH_SAYS: Final = "Each message that failed says why where it stands."
AT_META: Final = "Look into WhatsApp Manager and Business Support Home for the reason."
SYNC_LEVELS: Final = {
    **dict.fromkeys(OVER, Level.GREEN),
    **dict.fromkeys((SyncState.NOTHING_ARRIVED, SyncState.FAILED), Level.RED),
}


async def diagnose(conn: Connection, keyring: Keyring, settings: Settings, account_id: int, inbox_id: int) -> Diagnosis:
    """Answer the four questions about a number from our own tables and from what Meta said when it was last asked.

    Asks nobody: ``checks.look`` does. Raises NotFound.
    """
    inbox = (await inboxes.get(conn, account_id, inbox_id)).within(allowed(settings))
    now = clock.now()
    found = {check.name: check for check in await checks.at_home(conn, settings)}
    look = await checks_store.preflight(conn, inbox_id)
    if look is not None and look.checks:
        found = {check.name: check for check in look.checks} | found
    syncs = {SyncKind(sync.kind): sync for sync in await store.syncs(conn, inbox_id)}
    seen = await checks_store.sightings(conn, checks_rules.names_of(inbox), since=inbox.owned_from)
    unnamed = await checks_store.sightings(conn, [checks.REFUSED[0]])
    phases = await receipts.phases_of(conn, inbox_id, inbox.onboarded_at)
    missing_count = sum(len(phase.missing) for phase in phases)
    lost = await lost_requests.find(conn, inbox_id)
    failed = await checks_evidence.failures(conn, inbox_id)
    parts = await checks_evidence.kept_back(conn, inbox)
    ours = [
        _connection(inbox, now),
        _held(inbox, now),
        await _access(conn, keyring, inbox, now),
        *(
            _sync(sync, missing_count if kind is SyncKind.HISTORY else 0, now, is_lost=kind in lost)
            for kind, sync in syncs.items()
        ),
        *_sightings(inbox, syncs, seen, now),
        _signed(unnamed.get(checks.REFUSED[1]), [await checks_store.last_from_meta(conn), *seen.values()], now),
        _unrouted(await checks_evidence.waiting(conn, inbox), now),
        _media(await checks_evidence.lacks(conn, inbox_id), inbox, now),
        _outbox(await checks_evidence.line(conn, inbox_id), inbox, now),
        _failures(failed, await checks_evidence.last_sent_at(conn, inbox_id), now),
    ]
    found |= {check.name: check for check in ours}
    kept_back = {name: checks_kept_back.check(name, parts, now) for name in QUESTIONS}
    if inbox.is_moved:
        found, kept_back = {Name.CONNECTION: found[Name.CONNECTION]}, {}
    over = {name for kind, name in ((SyncKind.HISTORY, "history"), (SyncKind.CONTACTS, "contacts"))
            if kind in syncs and syncs[kind].state in OVER}  # fmt: skip
    questions = [
        _question(name, _concerning(name, inbox, found, kept_back.get(name)), is_over=name in over)
        for name in QUESTIONS
    ]
    level = max((Level(one.level) for one in questions), key=SEVERITY.index)
    return Diagnosis(inbox_id, now, level, questions, look.checked_at if look and look.checks else None)


def _question(name: str, found: Mapping[str, Check], *, is_over: bool) -> Question:
    asked, key, names = QUESTIONS[name]
    rests_on = [found[one] for one in names if one in found and (one in AFTERWARDS or not is_over)]
    level = worst(rests_on)
    if level is Level.GREEN:
        answer = found.get(key)
        connected = found.get(Name.CONNECTION)
        otherwise = (connected and connected.next_step) or "This number is not in the phone app."
        verdict = f"Nothing is wrong. {answer.seen}" if answer else otherwise
    else:
        cause = next(check for check in rests_on if check.level == level)
        verdict = f"{cause.title}: {cause.seen}"
    return Question(name, asked, level, verdict, rests_on)


def _concerning(
    question: str, inbox: Inbox, found: Mapping[str, Check], kept_back: Check | None
) -> Mapping[str, Check]:
    """Return the checks that may tell why.

    A field that is missing keeps back what comes under it alone; and what comes by itself needs no access of ours.
    """
    others = {field for name, field in OWN_FIELDS.items() if name != question}
    needless = {name for name, check in found.items() if check.fields and not set(check.fields) - others}
    if inbox.state == connection.State.REMOVED:  # connecting it again brings a new one
        needless |= {Name.ACCESS, Name.TOKEN}
    if question == "app_messages" and inbox.state == connection.State.TOKEN_INVALID:
        needless.add(Name.CONNECTION)
    concerning = {name: check for name, check in found.items() if name not in needless}
    return concerning | ({kept_back.name: kept_back} if kept_back else {})


# ── one check each ────────────────────────────────────────────────────────────────────────────────────────


def _connection(inbox: Inbox, now: datetime) -> Check:
    state = connection.State(inbox.state)
    why = words.why(inbox.state_reason, inbox.state_initiated_by).rstrip(".")
    is_well = state is connection.State.CONNECTED or inbox.is_moved  # another account's: nothing is to be mended here
    level = Level.GREEN if is_well else Level.RED
    seen = f"{STATES[state]}{f' Why: {why}.' if why else ''} Since {_at(inbox.state_at)}."
    step = MOVED_STEP if inbox.is_moved else STEPS.get(state, "")
    return Check(Name.CONNECTION, level, "Connection of the number", seen, now, step)


HELD_BACK: Final = ("begin conversations", "answer customers", "send utility templates")
"""What Meta can keep a number from, in the order of ``Inbox.held_until``."""


def _held(inbox: Inbox, now: datetime) -> Check:
    """What Meta refused to send, or does not let the number do, until that is over."""
    title, troubles = "What Meta holds back", [explain(code) for code in inbox.standing_codes]
    told = [f"Meta refused to send ({trouble.code}): {trouble.what}" for trouble in troubles]
    steps = [trouble.next_step for trouble in troubles]
    for what, until in zip(HELD_BACK, inbox.held_until.values(), strict=True):
        if until is not None and until > now:
            told.append(
                f"WhatsApp does not let this number {what}{'' if until == FOREVER else f' until {_at(until)}'}."
            )
            steps.append("Look at Business Support Home for the reason; what waits goes out by itself when it is over.")
    if not told:
        return Check(Name.HELD, Level.GREEN, title, "Nothing.", now)
    step = " ".join(dict.fromkeys(filter(None, steps))) or AT_META
    return Check(Name.HELD, Level.AMBER, title, " ".join(told), now, step)


async def _access(conn: Connection, keyring: Keyring, inbox: Inbox, now: datetime) -> Check:
    title = "Our access"
    try:
        token = await credentials.token_of(conn, keyring, inbox.id)
    except SecretUnreadable as error:
        return Check(Name.ACCESS, Level.RED, title, error.message, now, error.next_step or RENEW)
    if token is None:
        return Check(Name.ACCESS, Level.RED, title, "There is no access token here.", now, RENEW)
    return Check(Name.ACCESS, Level.GREEN, title, "There is an access token, and it can be read.", now)


def _sync(sync: Sync, missing_count: int, now: datetime, *, is_lost: bool) -> Check:
    """Where a sync stands. Contacts that come in are in order: WhatsApp never says which is the last.

    ``is_lost``: its request got no answer, and a person may have it asked for once more.
    """
    name, title = (Name.HISTORY, "History") if sync.kind == SyncKind.HISTORY else (Name.CONTACTS, "Contacts")
    state = SyncState(sync.state)
    level = SYNC_LEVELS.get(state, Level.AMBER)
    said, step = words.sentence(sync, now), "" if state in OVER else KEEP_OPEN
    if state is SyncState.RECEIVING and name is Name.CONTACTS:
        level, step = Level.GREEN, ""
    elif state is SyncState.COMPLETED and missing_count:
        level, said, step = Level.AMBER, words.with_a_gap(missing_count), words.AFTER_A_GAP
    elif state in (SyncState.NOT_REQUESTED, SyncState.FAILED):
        deadline = rules.deadline(sync.onboarded_at)
        is_late = now >= deadline or sync.requested_at is not None or sync.refusals >= rules.REFUSALS_IN_ALL
        level = Level.RED if is_late else level
        step = (
            ANOTHER_CHANCE
            if is_late
            else f"Mend what is red, then ask (Numbers > its name > Sync) before {_at(deadline)}."
        )
    elif is_lost:
        level = Level.RED  # who does nothing now may lose the one chance
        step = f"Ask once more (Numbers > its name > Sync) before {_at(rules.deadline(sync.onboarded_at))}: {WHY_AGAIN}"
    asked = (
        f" Asked at {_at(sync.requested_at)}, request id {sync.request_id or 'unknown'}." if sync.requested_at else ""
    )
    came = f" Last arrival at {_at(sync.last_arrival_at)}." if sync.last_arrival_at else ""
    return Check(name, level, title, f"{said}{asked}{came}", now, step)


def _sightings(
    inbox: Inbox, syncs: Mapping[SyncKind, Sync], seen: Mapping[str, datetime], now: datetime
) -> list[Check]:
    """When something last came under each field. That nothing came is a trouble only where something is owed."""
    made = [_seen(Name.MESSAGES_SEEN, "Field messages", seen.get("messages"), now, Level.GREEN)]
    if not inbox.is_coexistence:
        return made
    is_owed = now - inbox.onboarded_at > FIRST_ECHO
    step = (
        "Write to somebody in the phone app and look here again. Windows and WearOS companions are not passed on, and "
        "all companions must be linked again after connecting."
    )
    level = Level.AMBER if is_owed else Level.GREEN
    none = "Nothing that was written on the phone has come yet."
    echoed_at = seen.get("smb_message_echoes")
    made.append(_seen(Name.ECHOES_SEEN, "Field smb_message_echoes", echoed_at, now, level, step, none))
    for kind, name, field in (
        (SyncKind.HISTORY, Name.HISTORY_SEEN, "history"),
        (SyncKind.CONTACTS, Name.CONTACTS_SEEN, "smb_app_state_sync"),
    ):
        is_owed = kind in syncs and syncs[kind].requested_at is not None and syncs[kind].state not in OVER
        step = "Keep the WhatsApp Business app open on the phone."
        level = Level.AMBER if is_owed else Level.GREEN
        made.append(_seen(name, f"Field {field}", seen.get(field), now, level, step))
    return made


def _signed(refused_at: datetime | None, came_at: Collection[datetime | None], now: datetime) -> Check:
    """Whether what came last was signed with our secret. Anybody can sign with another, so it is amber at most.

    ``came_at``: when deliveries with our signature came. The journal does not keep all of them.
    """
    title = "Signature of deliveries"
    if refused_at is None:
        return Check(Name.SIGNED, Level.GREEN, title, "None came that was signed with another secret than ours.", now)
    seen = f"One that was signed with another secret than ours was refused at {_at(refused_at)}"
    if any(at is not None and at > refused_at for at in came_at):
        return Check(Name.SIGNED, Level.GREEN, title, f"{seen}; signed ones have come since.", now)
    step = (
        "If it was Meta's, the app secret was changed: give COEXIST_APP_SECRET the new one and the old one "
        "(new,old), and restart. Meta sends again what was refused, for seven days."
    )
    return Check(Name.SIGNED, Level.AMBER, title, f"{seen}, and none with ours has come since.", now, step)


def _seen(
    name: Name,
    title: str,
    at: datetime | None,
    now: datetime,
    missing: Level,
    step: str = "",
    none: str = "Nothing has come yet.",
) -> Check:
    if at is not None:
        return Check(name, Level.GREEN, title, f"Last delivery at {_at(at)}.", now)
    return Check(name, missing, title, none, now, step if missing is not Level.GREEN else "")


def _unrouted(waiting: Waiting, now: datetime) -> Check:
    strangers = f" Numbers or accounts that are not connected here: {waiting.strangers:,}." if waiting.strangers else ""
    routed = Check(Name.UNROUTED, Level.GREEN, "Deliveries without an inbox", f"None for this number.{strangers}", now)
    if waiting.unrouted:
        deliveries = counted(waiting.unrouted, "delivery", "deliveries")
        seen = f"To be put in line for this number: {deliveries}.{strangers}"
        routed = replace(routed, level=Level.AMBER, seen=seen, next_step="They apply by themselves within seconds.")
    return routed


def _media(lacks: Sequence[Lack], inbox: Inbox, now: datetime) -> Check:
    title = "Files"
    if not inbox.takes(Switch.MEDIA):
        return Check(Name.MEDIA, Level.GREEN, title, "Taking in files is switched off.", now)
    gone = [lack for lack in lacks if lack.state == "failed" or (lack.state == "waiting" and lack.reason)]
    if not gone:
        waiting = sum(lack.count for lack in lacks if lack.state == "waiting")
        seen = f"On their way: {waiting:,}. None failed." if waiting else "All are here that could be fetched."
        return Check(Name.MEDIA, Level.GREEN, title, seen, now)
    reasons = ", ".join(f"{lack.count:,} × {(lack.reason or lack.state).replace('_', ' ')}" for lack in gone[:4])
    seen = f"Not here: {reasons}. Last tried at {_at(max(lack.last_at for lack in gone))}."
    return Check(
        Name.MEDIA, Level.AMBER, title, seen, now, "Each message says why, and has Try again where that helps."
    )


def _outbox(line: Line, inbox: Inbox, now: datetime) -> Check:
    title = "Messages in line"
    besides = f" Nobody knows whether they went out: {line.unclear:,}." if line.unclear else ""
    if line.paused:
        names = ", ".join(line.paused[:NAMED_COUNT]) + (", …" if len(line.paused) > NAMED_COUNT else "")
        besides += f" For a template that WhatsApp has paused ({names}): {line.paused_count:,}."
    if line.oldest_queued_at and now - line.oldest_queued_at > LATE_SEND:
        seen = f"Waiting to be sent: {line.queued:,}, the oldest since {_at(line.oldest_queued_at)}.{besides}"
        return Check(Name.OUTBOX, Level.RED, title, seen, now, "Look at what is not in order above: it holds them up.")
    seen = f"Waiting to be sent: {line.queued:,}.{besides}"
    if line.unclear:
        step = "Look at the phone whether they are there, then press Retry or Discard at each where it stands."
        return Check(Name.OUTBOX, Level.AMBER, title, seen, now, step)
    if line.paused:
        step = "They go out when WhatsApp resumes the template. Discard those that must not go out so late."
        return Check(Name.OUTBOX, Level.AMBER, title, seen, now, step)
    return Check(Name.OUTBOX, Level.GREEN, title, seen, now)


def _failures(failures: Sequence[Failure], last_sent_at: datetime | None, now: datetime) -> Check:
    """Red while somebody here or at Meta must act; amber once Meta has taken a message since."""
    title, days = "Failed messages", checks_evidence.RECENT_DAYS
    if not failures:
        return Check(Name.FAILURES, Level.GREEN, title, f"No message failed in the last {days} days.", now)
    told = "; ".join(
        f"{one.count:,} × {one.code or 'no code'} ({explain(one.code).what.rstrip('.')})" for one in failures[:3]
    )
    needing_us = [
        one
        for one in failures
        if explain(one.code).kind in (ErrorClass.REAUTHORISE, ErrorClass.HUMAN)
        and (last_sent_at is None or one.last_at > last_sent_at)
    ]
    first = explain((needing_us or failures)[0].code)
    since = f" Meta took one at {_at(last_sent_at)}." if last_sent_at else ""
    seen = f"In the last {days} days: {told}. Last at {_at(max(one.last_at for one in failures))}.{since}"
    level = Level.RED if needing_us else Level.AMBER
    return Check(Name.FAILURES, level, title, seen, now, (first.once_failed if first.code else "") or EACH_SAYS)


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
