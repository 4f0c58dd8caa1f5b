"""Facts about people and messages, merged into the tables: one statement per table, whatever the batch's size.

``mentions`` says whom a batch names; they are resolved (``resolution.resolve``) before the transaction in which
``apply`` runs: ``with_people`` does both. Nothing here depends on the order, duplication or batching of facts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from coexist.base import log
from coexist.base.database import Connection, Pool
from coexist.base.errors import Unavailable
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import changes, locks, refusals, sent, summary, told_again
from coexist.inbox.book import EntryRow, ProfileRow, WishRow, store_entries, store_profiles, store_wishes
from coexist.inbox.changes import ChangeRow, MessageKey, StatusRow
from coexist.inbox.files import FileRow, store_files
from coexist.inbox.identity import Change
from coexist.inbox.inboxes import Inbox
from coexist.inbox.merge import Merged, MessageRow, merge
from coexist.inbox.refusals import Refusal
from coexist.inbox.resolution import Mention, People, as_known, moved_away, resolve
from coexist.meta import model
from coexist.meta.model import (
    OUR_REF_PREFIX,
    AddressBookChanged,
    Fact,
    IdentityChanged,
    MarketingWished,
    MessageEdited,
    MessageReacted,
    MessageRevoked,
    MessageTold,
    ProfileSeen,
    StatusTold,
)

T = TypeVar("T")
logger = log.get(__name__)

TOLD_CONTACTS_COUNT = 20
"""Above this many changed contacts in one batch (a first address book), screens hear of the sync alone."""


STALE_ATTEMPTS = 20
"""How often one batch may find its people changed under it before it waits its turn."""


class StalePeople(Exception):
    """Identities changed hands between resolving and applying: resolve again."""


async def with_people(
    pool: Pool,
    scope_id: int,
    inboxes: Mapping[str, Inbox],
    facts: Sequence[Fact],
    merge: Callable[[People], Awaitable[T]],
) -> T:
    """Return what ``merge`` returns for the people whom the facts of a scope name; again when they changed under it.

    ``merge`` calls ``apply`` inside a transaction, or a savepoint, that it leaves by the exception. Raises Unavailable
    when they changed every time, or when a number has gone to another account; then nobody was made.
    """
    for _ in range(STALE_ATTEMPTS):
        people = await resolve(
            pool, scope_id, mentions(facts, inboxes), identity_changes(facts), names=_names(inboxes, scope_id)
        )
        try:
            return await merge(people)
        except StalePeople:
            logger.info("people_changed", facts=len(facts))
    raise Unavailable(f"People changed under a batch {STALE_ATTEMPTS} times.")


def _names(inboxes: Mapping[str, Inbox], scope_id: int) -> dict[str, int]:
    return {name: inbox.id for name, inbox in inboxes.items() if inbox.scope_id == scope_id}


def mentions(facts: Iterable[Fact], inboxes: Mapping[str, Inbox]) -> list[Mention]:
    """Return whom ``facts`` name. Statuses tell only of pairs: a status alone makes nobody a contact."""
    found: dict[tuple[int, int | None, datetime | None], Mention] = {}
    for fact in facts:
        inbox_id = None
        if type(fact) is MessageTold:  # thousands in a chunk: asked first, and without a pattern
            person, at = fact.person, fact.sent_at
            inbox_id = inboxes[fact.phone_number_id or ""].id
        elif isinstance(fact, ProfileSeen | AddressBookChanged | MarketingWished):
            person, at = fact.person, fact.at
        elif isinstance(fact, StatusTold) and fact.recipient.phone and fact.recipient.any_bsuid:
            person, at = fact.recipient, fact.at
        else:
            continue
        # A phone's owner may depend on the time, so phone-only mentions keep theirs; others fold to the earliest. The
        # parser makes one Person per thread: its id is a cheaper key than its fields, and equal ones do no harm.
        is_timeless = person.any_bsuid
        if is_timeless or person.phone:
            key = (id(person), inbox_id, None if is_timeless else at)
            known = found.get(key)
            if known is None or at < known.at:
                found[key] = Mention(person, at, inbox_id)
    return list(found.values())


def identity_changes(facts: Iterable[Fact]) -> list[Change]:
    """Return the changes of identity that ``facts`` tell."""
    return [Change(f.kind, f.previous, f.current, f.at) for f in facts if isinstance(f, IdentityChanged)]


@dataclass(slots=True)
class Rows:
    """One scope's facts as rows, ready for one statement per table."""

    inboxes: Mapping[str, Inbox]
    people: People
    messages: list[MessageRow] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    statuses: list[StatusRow] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    profiles: list[ProfileRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    wishes: list[WishRow] = field(default_factory=list)
    conversations: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        """File ``fact`` under its table. Facts about connections are not ours and pass by."""
        match fact:
            case MessageTold():
                self._add_message(fact)
            case StatusTold():
                self._add_status(fact)
            case MessageEdited():
                self._add_change(fact, "edit", fact.text)
            case MessageRevoked():
                self._add_change(fact, "revoke", None)
            case MessageReacted():
                self._add_change(fact, "reaction", fact.emoji)
            case ProfileSeen():
                self._add_profile(fact)
            case AddressBookChanged():
                self._add_entry(fact)
            case MarketingWished():
                self._add_wish(fact)

    def _inbox_id(self, fact: Fact) -> int:
        assert fact.phone_number_id is not None
        return self.inboxes[fact.phone_number_id].id

    def _conversation_id(self, inbox_id: int, person: model.Person, at: datetime) -> int:
        key = (inbox_id, id(person))  # a history chunk asks for the same few people thousands of times
        known = self.conversations.get(key)
        if known is None:
            known = self.people.conversation_id(inbox_id, person, at)
            if person.any_bsuid or person.phone not in self.people.contested:  # else it depends on the time
                self.conversations[key] = known
        return known

    def _add_message(self, fact: MessageTold) -> None:
        inbox_id, person = self._inbox_id(fact), fact.person
        peer = person.any_bsuid or person.phone
        assert peer is not None
        self.messages.append(
            MessageRow(
                inbox_id,
                fact.wamid,
                self._conversation_id(inbox_id, person, fact.sent_at),
                peer,
                fact.direction,
                fact.origin,
                fact.imported,
                fact.opens_window,
                fact.is_time_doubtful,
                fact.content_rank,
                _direction_rank(fact),
                fact.forwarded,
                model.STATUS_RANK[fact.status] if fact.status else None,
                fact.type,
                fact.sent_at,
                fact.text,
                msgspec.Raw(fact.content) if fact.content else None,
                fact.reply_to,
            )
        )
        if fact.media is not None:
            self.files.append(
                FileRow.of(inbox_id, fact.wamid, fact.media, fact.content_rank, _order_at(fact, fact.sent_at))
            )

    def _add_status(self, fact: StatusTold) -> None:
        refused = refusals.told(self._inbox_id(fact), fact.errors, fact.at) if fact.errors else []
        self.refusals += refused
        self.statuses.append(
            StatusRow(
                inbox_id=self._inbox_id(fact),
                wamid=fact.wamid,
                status=model.STATUS_RANK[fact.status],
                at=fact.at,
                our_ref=our_ref_of(fact.our_ref),
                pricing=msgspec.Raw(fact.pricing) if fact.pricing else None,
                errors=msgspec.Raw(fact.errors) if fact.errors else None,
                refused_at={str(one.code): fact.at.timestamp() for one in refused} or None,
                journal_id=fact.journal_id,
            )
        )

    def _add_change(self, fact: MessageEdited | MessageRevoked | MessageReacted, kind: str, text: str | None) -> None:
        at = _order_at(fact, fact.at)
        row = ChangeRow(
            self._inbox_id(fact), fact.wamid, fact.target, kind, fact.by, at, text, fact.imported, fact.journal_id
        )
        self.changes.append(row)

    def _add_profile(self, fact: ProfileSeen) -> None:
        person = fact.person
        value = person.any_bsuid or person.phone
        if value and (fact.name or person.username):
            kind = "phone" if value == person.phone else "bsuid"
            self.profiles.append(
                ProfileRow(self.people.scope_id, kind, value, fact.name, person.username, _order_at(fact, fact.at))
            )

    def _add_entry(self, fact: AddressBookChanged) -> None:
        person = fact.person
        value = person.phone or person.any_bsuid
        if value:
            kind = "phone" if person.phone else "bsuid"
            self.entries.append(
                EntryRow(
                    self._inbox_id(fact),
                    kind,
                    value,
                    fact.full_name,
                    fact.first_name,
                    fact.is_removed,
                    _order_at(fact, fact.at),
                )
            )

    def _add_wish(self, fact: MarketingWished) -> None:
        value = fact.person.any_bsuid or fact.person.phone
        if value:
            kind = "phone" if value == fact.person.phone else "bsuid"
            wish = "resume" if fact.wants else "stop"
            self.wishes.append(WishRow(self.people.scope_id, kind, value, wish, _order_at(fact, fact.at)))


NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where only the order of times counts, this stands for one that nobody told: the time of receipt would make the same
delivery newer each time Meta sends it. It loses against any time, and equal ones are decided by value."""


TimedFact: TypeAlias = (
    MessageTold | MessageEdited | MessageRevoked | MessageReacted | ProfileSeen | AddressBookChanged | MarketingWished
)


def _order_at(fact: TimedFact, at: datetime) -> datetime:
    return NEVER if fact.is_time_doubtful else at


def _direction_rank(fact: MessageTold) -> int:
    """How good a witness of the direction a fact is (meta-protocol 10, row 4)."""
    if not fact.imported:
        return model.LIVE
    return model.PLACEHOLDER if fact.content_rank == model.FROM_HISTORY_MEDIA else model.FROM_HISTORY


def our_ref_of(callback_data: str | None) -> UUID | None:
    """Return the reference that we gave Meta along with a message; None when it is somebody else's."""
    if callback_data is None or not callback_data.startswith(OUR_REF_PREFIX):
        return None
    try:
        return UUID(callback_data.removeprefix(OUR_REF_PREFIX))
    except ValueError:
        return None


async def apply(
    conn: Connection, account_id: int, inboxes: Mapping[str, Inbox], people: People, facts: Sequence[Fact]
) -> list[NewEvent]:
    """Merge the facts of one contact scope. Returns the events to append, live changes only.

    Raises ``StalePeople`` when ``people`` is no longer true; the caller rolls back and resolves again.
    """
    rows = Rows(inboxes, people)
    for fact in facts:
        rows.add(fact)
    if rows.changes or rows.statuses:
        await locks.own_apply(conn, people.scope_id)
    else:
        await locks.share_apply(conn, people.scope_id)
    version, is_here = await as_known(conn, people.scope_id, _names(inboxes, people.scope_id))
    if not is_here:  # it went to another account since these facts were given their inbox
        raise moved_away()
    if version != people.version:
        raise StalePeople
    named = await store_profiles(conn, rows.profiles)
    contact_ids = await store_entries(conn, rows.entries) | await store_wishes(conn, rows.wishes)
    return await _apply_messages(conn, account_id, rows, contact_ids, named)


async def _apply_messages(
    conn: Connection,
    account_id: int,
    rows: Rows,
    contact_ids: Collection[int],
    named: Mapping[int, Collection[summary.ProfileName]],
) -> list[NewEvent]:
    heeded = await refusals.heed(conn, rows.refusals)
    await summary.lock(conn, {row.conversation_id for row in rows.messages if not row.imported})
    merged = await merge(conn, rows.messages) if rows.messages else Merged((), (), frozenset())
    await store_files(conn, rows.files)
    left = await changes.add_changes(conn, rows.changes)
    await changes.add_statuses(conn, rows.statuses)
    references = [(row.inbox_id, row.our_ref, row.wamid) for row in rows.statuses if row.our_ref]
    events = await sent.name_by_reference(conn, references)
    live: set[MessageKey] = left | {(row.inbox_id, row.target) for row in rows.changes if not row.imported}
    live |= {(row.inbox_id, row.wamid) for row in rows.statuses}
    live |= {(row.inbox_id, row.wamid) for row in rows.messages if not row.imported}
    past = {(row.inbox_id, row.target) for row in rows.changes if row.imported}
    imported = [*past, *((row.inbox_id, row.wamid) for row in rows.messages if row.imported)]
    if merged.is_merged:
        await changes.wake(conn, [*live, *imported])
    settled = await changes.settle(conn, [*live, *imported], left)
    failed = {(row.inbox_id, row.wamid) for row in rows.statuses if row.errors}
    told, refused = await refusals.heed_statuses(conn, account_id, failed)
    events += told + heeded
    conversations = merged.conversation_ids | refused | {place for _, place, _ in settled.values()}
    extended = await summary.extend(conn, _added_alone(rows.messages, merged, settled))
    refreshed = await summary.refresh(conn, conversations - extended, contact_ids, named)
    if past_in := {row.conversation_id for row in rows.messages if row.imported}:
        await told_again.want(conn, past_in)
    if len(refreshed.contact_ids) <= TOLD_CONTACTS_COUNT:
        events += [NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=id_) for id_ in sorted(refreshed.contact_ids)]
    changed = {*merged.changed, *(ids for key, ids in settled.items() if key in live)} - set(merged.added)
    events += [NewEvent(account_id, Kind.MESSAGE_ADDED, *ids) for ids in sorted(merged.added, key=lambda ids: ids[2])]
    events += [NewEvent(account_id, Kind.MESSAGE_CHANGED, *ids) for ids in sorted(changed)]
    shown = {ids[:2] for ids in changed | set(merged.added)}
    events += [NewEvent(account_id, Kind.CONVERSATION_CHANGED, *place) for place in sorted(shown)]
    # What a history tells of messages that are here, such as a reaction: bubbles show it, nobody is told.
    quiet = {ids for key, ids in settled.items() if key in past} - changed - set(merged.added)
    events += [NewEvent(account_id, Kind.MESSAGE_CHANGED, *ids, is_import=True) for ids in sorted(quiet)]
    places = sorted({ids[:2] for ids in quiet} - shown)
    return events + [NewEvent(account_id, Kind.CONVERSATION_CHANGED, *place, is_import=True) for place in places]


def _added_alone(
    rows: Sequence[MessageRow], merged: Merged, settled: Mapping[MessageKey, tuple[int, int, int]]
) -> list[int]:
    """The live messages that are new, of conversations to which this batch does nothing else."""
    if merged.is_merged or not merged.added:
        return []
    others = {row.conversation_id for row in rows if row.imported}
    others |= {conversation_id for _, conversation_id, _ in settled.values()}
    return [id_ for _, conversation_id, id_ in merged.added if conversation_id not in others]
