"""What was chosen for an account or a number, in one piece and in words, for the page and the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.coexistence import rules, store
from coexist.coexistence.model import SyncKind
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import Level, Off, Switch, offs, variable
from coexist.people import store as people

NAMES: Final = {Switch.HISTORY: "Chat history", Switch.CONTACTS: "Contacts", Switch.MEDIA: "Files"}
MEANINGS: Final = {
    Switch.HISTORY: "Chats of up to 180 days that the phone shares once, and exported chats.",
    Switch.CONTACTS: "The phone's address book, now and as it changes.",
    Switch.MEDIA: "Photos, voice notes and documents, old and new. The messages themselves come either way.",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One switch at every level: where it is off, the widest first."""

    switch: Switch
    offs: Sequence[Off]

    @property
    def name(self) -> str:
        """What people call it."""
        return NAMES[self.switch]

    @property
    def meaning(self) -> str:
        """What it covers."""
        return MEANINGS[self.switch]

    @property
    def is_on(self) -> bool:
        """Whether it is on at every level."""
        return not self.offs

    def off_at(self, level: str) -> Off | None:
        """Where it is off at a level, by whom and since when."""
        return next((off for off in self.offs if off.level == level), None)

    @property
    def first_off(self) -> Off | None:
        """The switch that has been off for longest; the installation's is not known."""
        return min((off for off in self.offs if off.at), key=lambda off: str(off.at), default=None)

    @property
    def words(self) -> str:
        """Who switched it off, for a person; empty when it is on."""
        return " ".join(self.words_at(off.level) for off in self.offs)

    def words_at(self, level: str) -> str:
        """The same for one level."""
        off = self.off_at(level)
        return _words(self.switch, off) if off else ""


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that was chosen. ``inbox`` is None for the account: what its next numbers begin with."""

    account_id: int
    account_name: str
    inbox: Inbox | None
    switches: Sequence[Choice]
    keep_open_days: int
    account_keep_open_days: int
    deadline_at: datetime | None
    """When what was not asked for yet can be asked for no more."""


async def choices_of(
    conn: Connection, installation: frozenset[Switch], account_id: int, inbox_id: int | None = None
) -> Choices:
    """Return what was chosen for a number, or for an account. Raises NotFound for another account's number."""
    account = await people.account_by_id(conn, account_id)
    if account is None:
        raise NotFound("This account does not exist.")
    inbox = None if inbox_id is None else await inboxes.get(conn, account_id, inbox_id)
    off = await offs(conn, installation, account_id, inbox_id)
    return Choices(
        account_id=account_id,
        account_name=account.name,
        inbox=inbox,
        switches=[Choice(switch, [one for one in off if one.kind == switch]) for switch in Switch],
        keep_open_days=inbox.keep_open_days if inbox else account.keep_open_days,
        account_keep_open_days=account.keep_open_days,
        deadline_at=await _deadline_of(conn, inbox) if inbox and inbox.is_coexistence else None,
    )


async def _deadline_of(conn: Connection, inbox: Inbox) -> datetime | None:
    """When the one chance to ask for contacts and chats ends; None when there is nothing to ask for any more."""
    is_open = rules.can_be_asked(await store.syncs(conn, inbox.id), list(SyncKind), clock.now())
    return rules.deadline(inbox.onboarded_at) if is_open else None


def _words(switch: Switch, off: Off) -> str:
    if off.level == Level.INSTALLATION:
        return f"Switched off by whoever runs this installation ({variable(switch)})."
    where = "for the whole account" if off.level == Level.ACCOUNT else "for this number"
    return f"Switched off {where} by {off.by}."
