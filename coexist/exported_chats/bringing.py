"""Brings a decided export in: batch by batch, each safe to repeat after a crash at any line.

Messages go through the inbox's own apply, silent like every import. What is to be done is worked out anew whenever an
import is taken up, from the file and from what is here but for its own work: so it always ends in the same rows. Before
a batch is written it is noted what it will make, and its files are kept, so that nothing stays that nobody knows of.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from coexist.base import clock, log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import Invalid, TooLarge
from coexist.coexistence import coverage
from coexist.events import feed
from coexist.events.feed import Kind as EventKind
from coexist.events.feed import NewEvent
from coexist.exported_chats import archive, cards, made, planning, store, told_again
from coexist.exported_chats.actions import FOLDER, check_public, check_wanted, file_of
from coexist.exported_chats.archive import Package
from coexist.exported_chats.made import Original
from coexist.exported_chats.model import FILES, Chat, Choices, Decision, Kind, State, Verdict
from coexist.exported_chats.planning import Plan
from coexist.exported_chats.telling import Message, Teller, mime_type, told
from coexist.inbox import inboxes, private_lists
from coexist.inbox.apply import apply, with_people
from coexist.inbox.inboxes import Inbox
from coexist.inbox.resolution import Mention, People, resolve
from coexist.inbox.switches import Switch, allowed
from coexist.media import disk, keeping
from coexist.media.keeping import Keep
from coexist.meta.model import MessageTold
from coexist.meta.private import names

BATCH_MESSAGES: Final = 500
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
CLOSE: Final = timedelta(seconds=60)
"""How long a printed time lasts at most: within it the order of the file is kept."""
STEP: Final = timedelta(milliseconds=1)
_IOS_NUMBER: Final = re.compile(r"^\d{8}-")

logger = log.get(__name__)


@dataclass(slots=True)
class _Batch:
    """Messages of the file that are to be written, and how far into the file they reach."""

    messages: list[tuple[Message, Decision]] = field(default_factory=list)
    done_count: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """One import under way."""

    pool: Pool
    keyring: Keyring
    keep: Keep
    chat: Chat
    inbox: Inbox
    choices: Choices
    package: Package


async def bring_in(pool: Pool, settings: Settings, keyring: Keyring, keep: Keep, chat: Chat) -> None:
    """Bring an import in, to its end. Raises AppErrors: Unavailable for now, the others for good."""
    choices, path, now = chat.choices, file_of(settings, chat), clock.now()
    assert choices is not None
    async with transaction(pool) as conn:
        inbox = (await inboxes.get(conn, chat.account_id, choices.inbox_id)).within(allowed(settings))
        await check_public(conn, keyring, inbox, choices.person)
        to = await told_again.compared_to(conn, chat.id, inbox.scope_id)
    check_wanted(settings, inbox)
    found, _ = await asyncio.to_thread(planning.survey, path)
    people = await resolve(pool, inbox.scope_id, [Mention(choices.person, now, inbox.id)])
    contact_id = people.contact_id(choices.person, now)
    plan = await planning.plan(pool, path, chat.id, inbox, contact_id, choices, has_seconds=found.has_seconds, to=to)
    with archive.opened(path) as package:
        work = _Work(pool, keyring, keep, chat, inbox, choices, package)
        batches = _batches(package, choices, plan)
        while batch := await asyncio.to_thread(next, batches, None):
            await _write(work, batch)
    async with transaction(pool) as conn:
        await told_again.begin(conn, chat.id, inbox.scope_id)
        here = await made.counts(conn, chat.id)
        would = plan.report()
        report = replace(
            would, new=here.new, filled=here.filled, files=here.files, refused_files=max(0, would.files - here.files)
        )
        conversation_id = here.conversation_id or people.conversation_id(inbox.id, choices.person, now)
        events = [await store.finish(conn, chat, State.APPLIED, report=report, conversation_id=conversation_id)]
        if here.new or here.filled:
            place = (chat.account_id, EventKind.CONVERSATION_CHANGED, inbox.id, conversation_id)
            events.append(NewEvent(*place, is_import=True))
        await coverage.forget(conn, inbox.id)
        await feed.append(conn, events)
    path.unlink(missing_ok=True)
    logger.info("exported_chat_brought_in", chat=chat.id, new=here.new, filled=here.filled, here=report.here)


def _batches(package: Package, choices: Choices, plan: Plan) -> Iterator[_Batch]:
    """Read the file once more, and yield what is to be written. Blocking."""
    batch, before = _Batch(), BEGINNING
    messages = Teller(choices).messages(planning.entries_of(package, choices))
    for message, decision in zip(messages, plan.decisions, strict=True):
        batch.done_count += 1
        before = _time_of(message, decision, before)
        if decision.verdict in (Verdict.NEW, Verdict.FILL):
            batch.messages.append((message._replace(at=before), decision))
        if len(batch.messages) == BATCH_MESSAGES:
            yield batch
            batch = _Batch(done_count=batch.done_count)
    yield batch


def _time_of(message: Message, decision: Decision, before: datetime) -> datetime:
    """When a message was sent: as Meta told it, or as printed, but after the one before it that has the same print."""
    if decision.at is not None:
        return datetime.fromtimestamp(decision.at, UTC)
    is_close = message.at <= before < message.at + CLOSE
    return before + STEP if is_close else message.at


async def _write(work: _Work, batch: _Batch) -> None:
    fills = [decision.wamid for _, decision in batch.messages if decision.verdict is Verdict.FILL]
    new = [decision.wamid for _, decision in batch.messages if decision.verdict is Verdict.NEW]
    async with transaction(work.pool) as conn:
        # What Meta has told better since the plan was made is left alone; what this import has filled already is not.
        found = await made.originals(conn, work.chat.id, work.inbox.id, fills)
        await made.record(conn, work.chat.id, work.inbox.id, new, list(found.values()))
    facts = []
    for message, decision in batch.messages:
        original = found.get(decision.wamid)
        if decision.verdict is Verdict.FILL and original is None:
            continue
        fact = await _told(work, message, decision.wamid, original)
        if fact is not None:
            facts.append(fact)
    await _put(work, facts, batch.done_count)


async def _told(work: _Work, message: Message, wamid: str, original: Original | None) -> MessageTold | None:
    """The message as the inbox takes it, its file kept; None when a placeholder stays one."""
    entry, card = message.entry, None
    if entry.kind in FILES and entry.file is not None:
        if entry.kind is Kind.CONTACTS:
            card = await asyncio.to_thread(_card, work.package, entry.file)
        if card is None and not await _keep_file(work, message, wamid):
            if original is not None:
                return None
            message = message._replace(entry=entry._replace(kind=Kind.OMITTED))
    fact = told(message, work.choices, work.inbox.phone_number_id, card)
    if original is None:
        return fact
    return msgspec.structs.replace(
        fact, wamid=wamid, sent_at=original.sent_at, reply_to=original.reply_to, forwarded=original.forwarded
    )


async def _put(work: _Work, facts: Sequence[MessageTold], done_count: int) -> None:
    """Write the batch's messages and the progress, with one event: an import tells of nothing else."""
    known = {work.inbox.phone_number_id: work.inbox}

    async def merge(people: People | None) -> None:
        async with transaction(work.pool) as conn:
            await conn.execute(private_lists.SHARE)
            await check_public(conn, work.keyring, work.inbox, work.choices.person)
            if people is not None:
                public = await _public(conn, work, facts)
                await apply(conn, work.inbox.account_id, known, people, public)
            await feed.append(conn, [await store.progress(conn, work.chat, done_count)])

    if facts:
        await with_people(work.pool, work.inbox.scope_id, known, facts, merge)
    else:
        await merge(None)


async def _public(conn: Connection, work: _Work, facts: Sequence[MessageTold]) -> list[MessageTold]:
    """Leave out what shows somebody private: their contact card, or a text that is nothing but their number (G11)."""
    lists = await private_lists.load(conn, work.keyring)
    is_private = lists.of_account(work.inbox.account_id) if lists else None
    if is_private is None:
        return list(facts)
    shown = [[fact.text, msgspec.json.decode(fact.content) if fact.content else None] for fact in facts]
    return [fact for fact, told in zip(facts, shown, strict=True) if not names(told, is_private)]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _keep_file(work: _Work, message: Message, wamid: str) -> bool:
    """Keep a message's file, before the message is written, so that it is silent. False if it cannot be kept."""
    name = message.entry.file
    assert name is not None
    if not work.inbox.takes(Switch.MEDIA):
        return False
    async with transaction(work.pool) as conn:
        if await made.has_file(conn, work.inbox.id, wamid):
            return True  # from before this import was broken off
    unpacked = work.keep.settings.data_dir / FOLDER / f"{uuid.uuid4().hex}.file"
    try:
        await asyncio.to_thread(_unpack, work.package, name, unpacked, work.keep.settings.media_max_bytes)
        await keeping.bring(
            work.keep,
            work.inbox.id,
            wamid,
            unpacked,
            mime_type=mime_type(name),
            file_name=_IOS_NUMBER.sub("", name),
            is_voice=message.entry.kind is Kind.AUDIO and (name.startswith("PTT-") or "-AUDIO-" in name),
            told_at=message.at,
        )
    except (TooLarge, Invalid) as error:
        logger.warning("exported_file_refused", chat=work.chat.id, line=message.entry.line, error=str(error))
        return False
    finally:
        unpacked.unlink(missing_ok=True)
    return True


def _unpack(package: Package, name: str, target: Path, max_bytes: int) -> None:
    """Write one file of the package to disk, as much of it as is taken in. Blocking."""
    size = 0
    with target.open("xb") as file:
        for chunk in package.chunks(name):
            size += len(chunk)
            if size > max_bytes:
                raise TooLarge(f"The file is larger than the {max_bytes:,} bytes that are taken in here.")
            try:
                file.write(chunk)
            except OSError as error:
                raise disk.failed(error) from error


def _card(package: Package, name: str) -> tuple[str, bytes] | None:
    read = b""
    with suppress(Invalid):
        for chunk in package.chunks(name):
            read += chunk
            if len(read) > cards.CARD_BYTES_MAX:
                return None
    return cards.contacts_of(read)
