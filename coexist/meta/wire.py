"""Meta's webhook bodies as types: only what is read, every field optional (meta-protocol 4.3 and 5).

``Raw`` is what is passed on as it stands or looked at later; ``Any`` is what comes in several JSON types and is
coerced where it is used.
"""

# ruff: noqa: RUF012 (msgspec gives each struct an empty list of its own)

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from coexist.meta.decode import Item

NOTHING: Final = Raw(b"")
"""The value of a part that was not sent."""


# --- the envelope (4.3) --------------------------------------------------------------------------------------------


class Change(Item):
    """One change. ``rejection_info`` sometimes stands beside the value it belongs to."""

    field: str | None = None
    value: Raw = NOTHING
    rejection_info: Raw = NOTHING


class Entry(Item):
    """One entry; some samples put a change's ``field`` and ``value``, and the body's ``object``, in here."""

    id: str | int | None = None
    time: Any = None
    changes: list[Change] = []
    object: str | None = None
    field: str | None = None
    value: Raw = NOTHING


class Body(Item):
    """A whole body, or a bare change (``field`` and ``value``), or a bare value that tells of a ``history``."""

    object: str | None = None
    entry: list[Entry] = []
    field: str | None = None
    value: Raw = NOTHING
    history: Raw = NOTHING


class Metadata(Item):
    """The business phone number that a value is about."""

    phone_number_id: str | int | None = None
    display_phone_number: str | int | None = None


# --- people --------------------------------------------------------------------------------------------------------


class Profile(Item):
    name: str | None = None
    username: str | None = None


class Contact(Item):
    """One of ``contacts[]``: belongs to the messages whose ids it shares, never to the one at its own index."""

    profile: Profile | None = None
    wa_id: str | int | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    username: str | None = None


class PreviousAndCurrent(Item):
    previous: str | None = None
    current: str | None = None


class UserIdUpdate(Item):
    wa_id: str | int | None = None
    user_id: PreviousAndCurrent | None = None
    parent_user_id: PreviousAndCurrent | None = None
    timestamp: Any = None


# --- messages (5.1), also inside history (5.4) and echoes (5.6) ----------------------------------------------------


class Text(Item):
    body: str | None = None


class Media(Item):
    """image, video, audio, document, sticker."""

    id: str | int | None = None
    mime_type: str | None = None
    sha256: str | None = None
    caption: str | None = None
    filename: str | None = None
    url: str | None = None
    voice: bool | None = None
    animated: bool | None = None


class Context(Item):
    """What a message answers or where it comes from."""

    id: str | None = None
    forwarded: bool | None = None
    frequently_forwarded: bool | None = None
    referred_product: Raw = NOTHING
    group_id: Any = None


class HistoryContext(Item):
    status: str | None = None
    from_me: bool | None = None


class Reaction(Item):
    message_id: str | None = None
    emoji: str | None = None


class Revoke(Item):
    original_message_id: str | None = None


class Edit(Item):
    """``message`` has the shape of a message without ids."""

    original_message_id: str | None = None
    message: Raw = NOTHING


class Message(Item, rename={"from_": "from"}):
    """One message of any type: the object named like its ``type`` is the one that counts.

    The fields that most messages have stand first, in Meta's order, in which they are found fastest.
    """

    from_: str | int | None = None
    from_user_id: str | None = None
    from_parent_user_id: str | None = None
    to: str | int | None = None
    to_user_id: str | None = None
    to_parent_user_id: str | None = None
    id: str | None = None
    timestamp: Any = None
    type: str | None = None
    text: Text | None = None
    history_context: HistoryContext | None = None
    context: Context | None = None
    image: Media | None = None
    video: Media | None = None
    audio: Media | None = None
    voice: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    reaction: Reaction | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    location: Raw = NOTHING
    contacts: Raw = NOTHING
    origin: Raw = NOTHING
    interactive: Raw = NOTHING
    button: Raw = NOTHING
    order: Raw = NOTHING
    template: Raw = NOTHING
    system: Raw = NOTHING
    unsupported: Raw = NOTHING
    referral: Raw = NOTHING
    errors: Raw = NOTHING
    group_id: Any = None
    recipient_type: Any = None


class MessagesValue(Item):
    """The value of field ``messages``; ``statuses`` and ``errors`` are told under the same field."""

    metadata: Metadata | None = None
    contacts: list[Contact] = []
    messages: list[Message] = []
    statuses: list[Status] = []
    errors: list[Raw] = []


class EchoesValue(Item):
    """The value of ``smb_message_echoes``."""

    metadata: Metadata | None = None
    contacts: list[Contact] = []
    message_echoes: list[Message] = []


class Status(Item):
    """One of ``statuses[]`` (5.3); its parent id came under three names so far, a group's participant under two."""

    id: str | None = None
    status: str | None = None
    timestamp: Any = None
    recipient_id: str | int | None = None
    recipient_type: Any = None
    recipient_user_id: str | None = None
    recipient_parent_user_id: str | None = None
    parent_recipient_user_id: str | None = None
    parent_user_id: str | None = None
    recipient_participant_id: Any = None
    participant_recipient_id: Any = None
    recipient_participant_user_id: Any = None
    biz_opaque_callback_data: str | None = None
    pricing: Raw = NOTHING
    errors: Raw = NOTHING


# --- errors (1.3) -----------------------------------------------------------------------------------------------------


class ErrorData(Item):
    details: str | None = None


class ErrorObject(Item):
    """An error inside a webhook (1.3); old captures have ``details`` at the top."""

    code: Any = None
    title: str | None = None
    message: str | None = None
    details: str | None = None
    error_data: ErrorData | None = None


# --- history (5.4) -------------------------------------------------------------------------------------------------


class ThreadContext(Item):
    wa_id: str | int | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    username: str | None = None
    profile: Profile | None = None


class Thread(Item):
    """All messages with one contact, or a slice of them."""

    id: str | int | None = None
    context: ThreadContext | None = None
    messages: list[Message] = []


class ChunkMetadata(Item):
    phase: Any = None
    chunk_order: Any = None
    progress: Any = None


class Chunk(Item):
    """A part of the history. Each of ``threads`` is a `Thread`, read one after the other to spare memory."""

    metadata: ChunkMetadata | None = None
    threads: list[Raw] = []
    errors: list[ErrorObject] = []


class HistoryValue(Item):
    """The value of ``history``: chunks, or the late detail of files as ``messages`` or ``message_echoes``."""

    metadata: Metadata | None = None
    history: list[Chunk] = []
    contacts: list[Contact] = []
    messages: list[Message] = []
    message_echoes: list[Message] = []
    errors: list[ErrorObject] = []


# --- the address book (5.5) ----------------------------------------------------------------------------------------


class AddressBookContact(Item):
    full_name: str | None = None
    first_name: str | None = None
    phone_number: str | int | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    username: str | None = None


class ChangeMetadata(Item):
    timestamp: Any = None


class AddressBookItem(Item):
    type: str | None = None
    action: str | None = None
    metadata: ChangeMetadata | None = None
    contact: AddressBookContact | None = None


class StateSyncValue(Item):
    metadata: Metadata | None = None
    state_sync: list[AddressBookItem] = []


class UserIdUpdateValue(Item):
    metadata: Metadata | None = None
    contacts: list[Contact] = []
    user_id_update: list[UserIdUpdate] = []


# --- the account (5.7 to 5.13) -------------------------------------------------------------------------------------


class WabaInfo(Item):
    waba_id: str | int | None = None


class DisconnectionInfo(Item):
    reason: str | None = None
    initiated_by: str | None = None


class AccountUpdate(Item):
    event: str | None = None
    waba_info: WabaInfo | None = None
    phone_number: str | int | None = None
    display_phone_number: str | int | None = None
    disconnection_info: DisconnectionInfo | None = None


class AlertInfo(Item):
    alert_type: Any = None


class Notice(Item):
    """What names and routes a notice, wherever its field keeps it."""

    metadata: Metadata | None = None
    waba_info: WabaInfo | None = None
    phone_number_settings: Metadata | None = None
    display_phone_number: str | int | None = None
    entity_type: Any = None
    entity_id: str | int | None = None
    alert_info: AlertInfo | None = None
    timestamp: Any = None
    event: Any = None
    decision: Any = None
    value: Any = None
    status: Any = None
    type: Any = None
    category: Any = None
    code: Any = None
    new_quality_score: Any = None


class CallsValue(Item):
    metadata: Metadata | None = None
    calls: list[Raw] = []
    statuses: list[Raw] = []
    errors: list[Raw] = []


class Preference(Item):
    wa_id: str | int | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    category: str | None = None
    value: str | None = None
    timestamp: Any = None


class PreferencesValue(Item):
    metadata: Metadata | None = None
    user_preferences: list[Raw] = []


class GroupsValue(Item):
    metadata: Metadata | None = None
    groups: list[Raw] = []
