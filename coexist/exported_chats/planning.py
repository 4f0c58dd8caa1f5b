"""What an import would do: proposed from evidence, decided by a person, worked out before anything is written."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.exported_chats import archive, matching, reading, threads, zones
from coexist.exported_chats.archive import Package
from coexist.exported_chats.matching import Known, Told
from coexist.exported_chats.model import (
    FILES,
    SKIPPED,
    Choices,
    Contact,
    Decision,
    Entry,
    Kind,
    Report,
    Survey,
    Verdict,
)
from coexist.exported_chats.stamps import DateOrder
from coexist.exported_chats.telling import Message, Teller
from coexist.exported_chats.zones import Pair, Proposal
from coexist.inbox.inboxes import Inbox
from coexist.meta.phones import digits, same_number

SHOWN_COUNT: Final = 4
"""Messages of the beginning, and of the end, that a preview shows."""
AROUND: Final = timedelta(hours=2)
"""How far beyond the file's own times messages of the thread are compared."""
MINUTE_S: Final = 60.0
SECOND_S: Final = 1.0
BEGINNING_OF_TIME: Final = datetime.min.replace(tzinfo=UTC)
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


def latest_date() -> date:
    """The date after which no message can have been written, anywhere on earth."""
    return (clock.now() + timedelta(days=1)).date()


def survey(path: Path) -> tuple[Survey, str]:
    """Read an export once: what it holds, and the name of the text in it. Blocking; see ``reading.survey``."""
    with archive.opened(path) as package:
        return reading.survey(package.lines, package.files, latest_date()), package.chat_name


# ── proposing ─────────────────────────────────────────────────────────────────────────────────────────────


async def candidates(pool: Pool, inbox: Inbox, found: Survey, file_name: str) -> list[Contact]:
    """Return whose chat this may be in an inbox, the likeliest first: by name, by number, by texts they share."""
    names = list(found.names)
    phones = [phone for name in names if (phone := digits(name))]
    async with transaction(pool) as conn:
        named = await threads.contacts_named(conn, inbox.scope_id, names=names, file_name=file_name, phones=phones)
        texts = [sample.text for sample in found.samples]
        shared = {
            contact.id: len(await threads.shared_texts(conn, inbox.id, contact.id, texts)) if texts else 0
            for contact in named
        }
    weighed = [replace(contact, shared_count=shared[contact.id]) for contact in named]
    return sorted(weighed, key=lambda contact: -contact.shared_count)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the thread with a contact tells: who wrote which of the texts, and when."""

    pairs: Sequence[tuple[str, str, datetime, str]]  # (direction, sender in the file, time, phone's clock in ISO)

    def own_name(self, names: Sequence[str]) -> str | None:
        """Return who of ``names`` wrote what went out, None when nothing tells."""
        votes = Counter[str]()
        for direction, sender, _, _ in self.pairs:
            votes[sender] += 1 if direction == "outbound" else -1
        if not votes:
            return None
        name, count = max(votes.items(), key=lambda vote: vote[1])
        if count > 0:
            return name
        return next((other for other in names if other not in votes), "")


async def evidence(pool: Pool, inbox: Inbox, contact: Contact | None, found: Survey, order: DateOrder) -> Evidence:
    """Look for the file's texts in the thread with a contact. Only what occurs once on both sides counts."""
    if contact is None or not found.samples:
        return Evidence([])
    samples = {sample.text: sample for sample in found.samples}
    async with transaction(pool) as conn:
        shared = await threads.shared_texts(conn, inbox.id, contact.id, list(samples))
    pairs = []
    for direction, text, at, count in shared:
        local = samples[text].stamp.local(order)
        if count == 1 and local is not None:
            pairs.append((direction, samples[text].sender, at, local.isoformat()))
    return Evidence(pairs)


def propose_zone(known: Evidence, preferred: Sequence[str], *, has_seconds: bool, only: bool = False) -> Proposal:
    """Return the phone's time zone as far as the thread tells, else the first ``preferred``.

    ``only`` looks at no others: how well does what somebody chose agree with what is known?
    """
    pairs = []
    for _, _, at, local in known.pairs:
        whole = at if has_seconds else at.replace(second=0, microsecond=0)
        pairs.append(Pair(datetime.fromisoformat(local), whole))
    return zones.propose(pairs, preferred, only=only)


def propose_own_name(
    found: Survey, contact: Contact | None, known: Evidence, *, file_name: str, our_names: Sequence[str]
) -> str | None:
    """Return who of the names in the file is us, "" for none of them, None when nothing tells.

    Evidence, the strongest first: texts in the thread; the contact's name or number; the file's name, which has the
    contact's; our own names.
    """
    names = list(found.names)
    proven = known.own_name(names)
    if proven is not None:
        return proven
    phone = contact.phone if contact else None
    theirs = [
        name
        for name in names
        if (contact is not None and name.casefold() == contact.name.casefold()) or same_number(digits(name), phone)
    ] or [name for name in names if len(name) >= threads.NAME_CHARS_MIN and name.casefold() in file_name.casefold()]
    if len(theirs) == 1:
        return next((name for name in names if name != theirs[0]), "")
    ours = [name for name in names if name.casefold() in {ours.casefold() for ours in our_names}]
    return ours[0] if len(ours) == 1 else None


# ── planning ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Plan:
    """What is to be done with each message of the file, in its order, and the counts of it."""

    told: list[Told] = field(default_factory=list)
    decisions: Sequence[Decision] = ()
    has_file: set[int] = field(default_factory=set)  # places of messages whose file is in the package
    missing_files: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first: list[Message] = field(default_factory=list)
    last: deque[Message] = field(default_factory=lambda: deque(maxlen=SHOWN_COUNT))
    first_at: datetime = END_OF_TIME
    last_at: datetime = BEGINNING_OF_TIME

    def report(self) -> Report:
        """Return the counts: what an import would do."""
        verdicts = Counter(decision.verdict for decision in self.decisions)
        return Report(
            new=verdicts[Verdict.NEW],
            filled=verdicts[Verdict.FILL],
            here=verdicts[Verdict.HERE],
            moved=verdicts[Verdict.MOVED],
            files=sum(self.decisions[place].verdict in (Verdict.NEW, Verdict.FILL) for place in self.has_file),
            refused_files=0,
            missing_files=self.missing_files,
            skipped=dict(self.skipped),
            first_at=self.first_at,
            last_at=self.last_at,
        )


def entries_of(package: Package, choices: Choices) -> Iterator[Entry]:
    """Yield the package's entries with its dates read as chosen."""
    colon_names = [name for name in choices.names if ": " in name]
    return reading.entries(package.lines(), package.files, choices.order, colon_names)


def _read(path: Path, choices: Choices) -> Plan:
    """Read the file as chosen. Blocking."""
    plan = Plan()
    teller = Teller(choices)
    with archive.opened(path) as package:
        kept = (entry for entry in entries_of(package, choices) if not _is_skipped(plan, entry))
        for place, message in enumerate(teller.messages(kept)):
            plan.told.append(message.told)
            if message.entry.kind in FILES - {Kind.CONTACTS}:  # cards become words
                plan.has_file.add(place)
            plan.missing_files += message.entry.kind is Kind.OMITTED
            plan.first_at, plan.last_at = min(plan.first_at, message.at), max(plan.last_at, message.at)
            if len(plan.first) < SHOWN_COUNT:
                plan.first.append(message)
            else:
                plan.last.append(message)
    return plan


def _is_skipped(plan: Plan, entry: Entry) -> bool:
    if entry.kind in SKIPPED or entry.sender is None:
        plan.skipped[entry.kind] += 1
        return True
    return False


async def plan(
    pool: Pool,
    path: Path,
    chat_id: int,
    inbox: Inbox,
    contact_id: int | None,
    choices: Choices,
    *,
    has_seconds: bool,
    to: int | None = None,
) -> Plan:
    """Work out what an import as chosen would do with each message. Reads; writes nothing.

    ``to`` is the last message that it is compared with, None for all that are here.
    """
    made = await asyncio.to_thread(_read, path, choices)
    known: list[Known] = []
    async with transaction(pool) as conn:
        if contact_id is not None:
            first_at, last_at = made.first_at - AROUND, made.last_at + AROUND
            known = [one async for one in threads.known(conn, chat_id, inbox.id, contact_id, first_at, last_at, to=to)]
        taken = await threads.taken(conn, chat_id, inbox.id, [message.wamid for message in made.told])
    span_s = SECOND_S if has_seconds else MINUTE_S
    made.decisions = await asyncio.to_thread(matching.decide, made.told, known, span_s=span_s, taken=taken)
    return made
