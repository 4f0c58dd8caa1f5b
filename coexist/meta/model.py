"""The facts: what Meta told us, one typed value each, after parsing and before anything is stored.

A fact is named in the past tense and says nothing about our tables. ``parse.facts_of`` makes them from a
delivery's bytes; ``inbox.apply`` and ``coexistence.apply`` merge them. Structs rather than dataclasses,
because a history chunk makes thousands of them (a frozen dataclass costs six times as much to build).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

OUR_REF_PREFIX = "cx:"
"""What our callback data starts with; other programs may send through the same number with theirs."""


class Direction(StrEnum):
    """Which way a message went, seen from the business."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Origin(StrEnum):
    """Who wrote a message: the contact, the phone app (or a linked device), or us through the API."""

    CONTACT = "contact"
    APP = "app"
    API = "api"


# How much a message's content is worth when two deliveries disagree: the higher replaces the lower.
# The numbers are stored (messages.content_rank): add between, never renumber.
PLACEHOLDER = 0  # history's media_placeholder: "there was a file"
UNAVAILABLE = 10  # 131060 and its like: "open the phone app to see it"
FROM_HISTORY = 20  # the content as a history chunk tells it (edits already folded in)
FROM_EXPORT = 25  # from a chat that a person exported on the phone: whole, but Meta's own word is better
FROM_HISTORY_MEDIA = 30  # the late detail of a file, still under field history
LIVE = 40  # messages and smb_message_echoes
SENT_BY_US = 50  # written here: we know best what we sent


class Person(msgspec.Struct, frozen=True, gc=False):
    """The ids under which Meta named the person on the other side. Any may be missing; never empty strings.

    ``phone`` is digits only, exactly the form received; ``is_wa_id`` when WhatsApp itself used it (wa_id,
    from) rather than a phone book. meta-protocol 6.1.
    """

    bsuid: str | None = None
    parent_bsuid: str | None = None
    phone: str | None = None
    username: str | None = None
    is_wa_id: bool = False

    @property
    def any_bsuid(self) -> str | None:
        """Their BSUID, else the one of the parent portfolio: either names one person for good, a phone does not."""
        return self.bsuid or self.parent_bsuid

    @property
    def is_known(self) -> bool:
        """Whether there is any id to file something under (a username alone is never a key)."""
        return bool(self.bsuid or self.parent_bsuid or self.phone)


class MediaFile(msgspec.Struct, frozen=True, gc=False):
    """A file that Meta holds for us. ``sha256`` is 64 hex digits whatever the wire's encoding was."""

    media_id: str | None
    mime_type: str | None = None
    sha256: str | None = None
    file_name: str | None = None
    url: str | None = None
    is_voice: bool = False
    is_animated: bool = False


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every fact carries: where in which delivery it stood, and the number it belongs to.

    ``part`` is a path such as ``entry[0].changes[1].messages[3]``, for the quarantine. ``journal_id`` is set by
    the intake. ``phone_number_id`` is None only for facts that name a WABA.
    """

    journal_id: int = 0
    part: str
    phone_number_id: str | None


class MessageTold(Fact, frozen=True):
    """A message, from whichever field. ``person`` is the contact, whoever wrote.

    ``text`` is what a person reads: body, caption, or a sentence for types without one. ``content`` is the JSON of
    what has more structure (location, contacts, order, interactive, referral, …), keyed by its wire name.
    ``status`` is one of ``STATUS_RANK`` or None. ``is_time_doubtful``: the wire's timestamp was unusable and
    ``sent_at`` is the delivery's time of receipt.
    """

    wamid: str
    person: Person
    direction: Direction
    origin: Origin
    imported: bool
    content_rank: int
    type: str
    sent_at: datetime
    text: str | None = None
    content: bytes | None = None
    media: MediaFile | None = None
    reply_to: str | None = None
    forwarded: int = 0  # 0 no, 1 forwarded, 2 frequently forwarded
    status: str | None = None
    opens_window: bool = False
    is_time_doubtful: bool = False


class ProfileSeen(Fact, frozen=True, kw_only=True):
    """A person's profile name or username, as it was at ``at``. From ``contacts[]`` and history contexts."""

    person: Person
    at: datetime
    name: str | None = None
    is_time_doubtful: bool = False


class MessageEdited(Fact, frozen=True, kw_only=True):
    """``wamid`` changed the text (or caption) of ``target``. Counts only if ``by`` wrote the target."""

    wamid: str
    target: str
    by: Direction
    at: datetime
    text: str | None
    is_time_doubtful: bool = False
    imported: bool = False


class MessageRevoked(Fact, frozen=True, kw_only=True):
    """``wamid`` deleted ``target`` for everyone. Counts only if ``by`` wrote the target."""

    wamid: str
    target: str
    by: Direction
    at: datetime
    is_time_doubtful: bool = False
    imported: bool = False


class MessageReacted(Fact, frozen=True, kw_only=True):
    """One reaction per side and target; the newest wins; ``emoji`` None takes it back."""

    wamid: str
    target: str
    by: Direction
    at: datetime
    emoji: str | None
    person: Person
    is_time_doubtful: bool = False
    imported: bool = False


STATUS_RANK: dict[str, int] = {
    "queued": 0,
    "pending": 1,
    "failed": 2,
    "sent": 3,
    "delivered": 4,
    "read": 5,
    "played": 6,
}
"""Status never goes backward (requirement D13). ``queued`` is ours: written, not yet handed to Meta."""


class StatusTold(Fact, frozen=True, kw_only=True):
    """What became of a message we sent. ``our_ref`` is our own id, given back in biz_opaque_callback_data."""

    wamid: str
    status: str
    at: datetime
    recipient: Person
    our_ref: str | None = None
    pricing: bytes | None = None
    errors: bytes | None = None


class HistoryProgressed(Fact, frozen=True, kw_only=True):
    """One chunk of the history sync arrived. ``progress`` 0-100, phase 0-2; None where the wire had nonsense.

    ``made_at`` is when Meta made the delivery, which it seldom tells: a delivery may come days after it.
    """

    phase: int | None
    chunk_order: int | None
    progress: int | None
    thread_count: int
    message_count: int
    made_at: datetime | None = None


class HistoryDeclined(Fact, frozen=True, kw_only=True):
    """The business chose not to share its history (2593109)."""

    at: datetime
    details: str | None


class HistoryFailed(Fact, frozen=True, kw_only=True):
    """Another error inside a history delivery: kept and shown, the sync goes on waiting."""

    at: datetime
    code: int | None
    details: str | None


class AddressBookChanged(Fact, frozen=True, kw_only=True):
    """The phone's address book: ``is_removed`` or (added or edited). Ordered by ``at``, not by arrival.

    ``made_at`` is when Meta made the delivery, where it tells.
    """

    person: Person
    at: datetime
    is_removed: bool
    full_name: str | None = None
    first_name: str | None = None
    is_time_doubtful: bool = False
    made_at: datetime | None = None


class IdentityChanged(Fact, frozen=True, kw_only=True):
    """One person goes on under another id: ``user_id_update`` or a system message.

    ``kind`` is ``bsuid`` (also of a parent BSUID that became another) or ``phone``.
    """

    kind: str
    previous: str
    current: str
    at: datetime


class MarketingWished(Fact, frozen=True, kw_only=True):
    """A person stopped (``wants`` is False) or resumed marketing messages (meta-protocol 5.10)."""

    person: Person
    at: datetime
    wants: bool
    is_time_doubtful: bool = False


class AccountUpdated(Fact, frozen=True, kw_only=True):
    """``account_update``: something happened to a WABA or one of its numbers (meta-protocol 5.7).

    ``waba_id`` only when the event named it; ``entry_id`` is a WABA or a portfolio, nobody says which.
    """

    event: str
    waba_id: str | None
    entry_id: str | None
    display_phone_number: str | None
    at: datetime
    reason: str | None = None
    initiated_by: str | None = None
    value: bytes = b"{}"


class NoticeGiven(Fact, frozen=True, kw_only=True):
    """Anything worth a line in the number's timeline: quality, name, alerts, security, templates, calls, errors.

    ``waba_id`` and ``display_phone_number`` route it when the wire named no phone_number_id.
    """

    field: str
    event: str | None
    waba_id: str | None
    display_phone_number: str | None
    at: datetime
    value: bytes = b"{}"


class Problem(msgspec.Struct, frozen=True):
    """A part of a delivery that could not be understood; it is quarantined and its neighbours go on."""

    part: str
    error: str
    phone_number_id: str | None = None


class Parsed(msgspec.Struct, frozen=True):
    """All that one delivery said. ``ignored`` counts what is kept in the journal on purpose, per field.

    ``seen`` are the fields that were read, each with the number that it named, else its entry.
    """

    facts: list[Fact]
    problems: list[Problem]
    ignored: dict[str, int]
    seen: frozenset[tuple[str, str]] = frozenset()
