"""The world behind the phone: people, chats, messages, files, and what Meta holds about the number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator import chance

Json = dict[str, Any]


@dataclass
class Person:
    """Somebody who may write to the shop; `key` also names the chat with them.

    `phone` is the `wa_id` form in digits, `book_phone` the form in the phone's address book; the two differ for
    Brazil's ninth digit, Mexico's 521 and Argentina's 549. `phone_hidden`: has a username, so Meta withholds the phone.
    `window_until`: Unix seconds to which the customer service window is open; 0 is closed.
    """

    key: str
    language: str
    profile_name: str
    bsuid: str
    phone: str | None
    username: str | None = None
    phone_hidden: bool = False
    book_name: str | None = None
    book_phone: str | None = None
    book_at: int = 0
    reads: bool = True
    unread: int = 0
    window_until: int = 0

    @property
    def name(self) -> str:
        """What the phone shows: address book, then profile, then username, then the number."""
        return self.book_name or self.profile_name or self.username or f"+{self.phone}"

    @property
    def first_name(self) -> str:
        return (self.book_name or self.profile_name or "").split(" ")[0]

    @property
    def shown_phone(self) -> str | None:
        """The phone as Meta tells it to the platform: withheld from everybody but the phone's owner when hidden."""
        return None if self.phone_hidden else self.phone

    @property
    def dialled_phone(self) -> str | None:
        """The phone as the phone app dials it: the address book's form when there is one."""
        return None if self.phone_hidden else (self.book_phone or self.phone)


@dataclass
class Edit:
    """What stood in a message before an edit at `at`."""

    at: int
    content: Json


@dataclass
class Reaction:
    """One side's reaction; an empty emoji is a removed one."""

    wamid: str
    emoji: str
    at: int


@dataclass
class Message:
    """One message as the phone shows it.

    `content` is the object under the type's key without the media fields; `file` names the bytes (see `files`).
    `told` says by which way the platform heard of it: `history`, `live`, `api`, `unavailable` (131060), or None with
    `not_told_why`. `media_told`: the platform was given a media id. `filled`: a template as the customer sees it.
    `held`: Meta assesses the template's quality first, and has not sent the message yet.
    """

    wamid: str
    chat: str
    origin: str
    type: str
    at: int
    content: Json
    status: str = "read"
    file: str | None = None
    media_id: str | None = None
    reply_to: str | None = None
    forwarded: bool = False
    edits: list[Edit] = field(default_factory=list)
    revoked_at: int | None = None
    reactions: dict[str, Reaction] = field(default_factory=dict)
    errors: list[Json] = field(default_factory=list)
    opaque: str | None = None
    recipient: Json = field(default_factory=dict)
    category: str = "service"
    unavailable: bool = False
    told: str | None = None
    not_told_why: str | None = None
    media_told: bool = False
    filled: Json | None = None
    held: bool = False

    @property
    def inbound(self) -> bool:
        return self.origin == "contact"


@dataclass
class Template:
    """A message template of the WABA: one name in one language (meta-protocol.md 9.1).

    `pauses`: how often it was paused for its quality. `was`: what Graph told of it before its last change, empty when
    it was not there; `changed_at` is when that was (Unix seconds). A deleted one stays, for its name is blocked.
    """

    id: str
    name: str
    language: str
    category: str
    status: str
    components: list[Json]
    parameter_format: str = "POSITIONAL"
    quality: str = "UNKNOWN"
    rejected_reason: str = "NONE"
    previous_category: str | None = None
    correct_category: str | None = None
    pauses: int = 0
    was: Json | None = None
    changed_at: float = 0.0
    deleted_at: int | None = None

    def part(self, kind: str) -> Json | None:
        """Its HEADER, BODY, FOOTER, BUTTONS or CAROUSEL; None when it has none."""
        return next((one for one in self.components if one.get("type") == kind), None)

    @property
    def buttons(self) -> list[Json]:
        return list((self.part("BUTTONS") or {}).get("buttons", ()))


@dataclass
class MediaHandle:
    """A media id at Meta: which file, and until when (Unix seconds)."""

    id: str
    file: str
    mime_type: str
    expires_at: int


@dataclass
class Upload:
    """Bytes sent to us, by their hex SHA-256."""

    sha256: str
    mime_type: str
    data: bytes


@dataclass
class Grant:
    """An OAuth code or a business token. `waba_id` is the account it covers; empty, that of the phone's business."""

    value: str
    kind: str
    issued_at: float
    ended: bool = False
    waba_id: str = ""


@dataclass
class Connection:
    """What Meta knows of the number's coexistence. `state`: none, connected, offboarded, removed."""

    state: str = "none"
    onboarded_at: int | None = None
    share: bool = True
    requested: dict[str, str] = field(default_factory=dict)
    waba_subscribed: bool = False
    waba_override: str | None = None
    number_override: str | None = None
    reconnect_at: float | None = None
    key: str = "connection"


@dataclass
class App:
    """The app's webhook settings at Meta, as its dashboard shows them."""

    callback_url: str | None
    verify_token: str
    fields: list[str]
    key: str = "app"


@dataclass
class Counters:
    """Running numbers from which ids are made; kept, so no id is given twice."""

    numbers: dict[str, int] = field(default_factory=dict)
    key: str = "counters"


Thing = Person | Message | Template | MediaHandle | Upload | Grant | Connection | App | Counters


@dataclass
class World:
    """Everything that is kept. Changes are announced through `changed`, once each."""

    seed: int
    started_at: int
    connection: Connection
    app: App
    counters: Counters = field(default_factory=Counters)
    people: dict[str, Person] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    chats: dict[str, list[str]] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    handles: dict[str, MediaHandle] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    listeners: list[Callable[[Thing], None]] = field(default_factory=list)

    @property
    def epoch(self) -> str:
        """What ids are made from: this world and no other."""
        return f"{self.seed}:{self.started_at}"

    def changed(self, thing: Thing) -> None:
        for listener in self.listeners:
            listener(thing)

    def number(self, kind: str) -> int:
        """The next running number of a kind."""
        value = self.counters.numbers.get(kind, 0) + 1
        self.counters.numbers[kind] = value
        self.changed(self.counters)
        return value

    def new_wamid(self) -> str:
        return chance.wamid(self.epoch, self.number("wamid"))

    def add_person(self, person: Person) -> None:
        self.people[person.key] = person
        self.chats.setdefault(person.key, [])
        self.changed(person)

    def add_message(self, message: Message) -> None:
        """File a message in its chat by time; equal times keep the order of arrival."""
        self.messages[message.wamid] = message
        chat = self.chats.setdefault(message.chat, [])
        place = len(chat)
        while place and self.messages[chat[place - 1]].at > message.at:
            place -= 1
        chat.insert(place, message.wamid)
        self.changed(message)

    def chat_messages(self, key: str) -> Iterator[Message]:
        return (self.messages[wamid] for wamid in self.chats.get(key, ()))

    def add_template(self, template: Template) -> None:
        self.templates[template.id] = template
        self.changed(template)

    def find_template(self, name: str, language: str) -> Template | None:
        """The template of that name in exactly that language, unless it was deleted."""
        living = (one for one in self.templates.values() if one.deleted_at is None)
        return next((one for one in living if (one.name, one.language) == (name, language)), None)

    def handle_for(self, message: Message, mime_type: str, expires_at: int) -> MediaHandle:
        """The media id of a message's file, made when first told; it is the same id ever after."""
        if message.media_id in self.handles:
            return self.handles[message.media_id]
        assert message.file is not None, "only a message with a file has a media id"
        handle = self.new_handle(message.file, mime_type, expires_at)
        message.media_id = handle.id
        return handle

    def new_handle(self, file: str, mime_type: str, expires_at: int) -> MediaHandle:
        media_id = chance.digits(self.epoch, "media", self.number("media"))
        handle = MediaHandle(media_id, file, mime_type, expires_at)
        self.handles[media_id] = handle
        self.changed(handle)
        return handle

    def find_person(self, text: str) -> Person | None:
        """By chat key, BSUID, username or phone in any national form."""
        wanted = text.removeprefix("@").lower()
        digits = "".join(sign for sign in text if sign.isdigit())
        for person in self.people.values():
            if wanted in (person.key, (person.username or "").lower()) or text == person.bsuid:
                return person
        if "." in text or not digits:
            return None
        forms = phone_forms(digits)
        for person in self.people.values():
            if person.phone and forms & phone_forms(person.phone):
                return person
        return None


def phone_forms(digits: str) -> frozenset[str]:
    """All national ways to write one mobile number (meta-protocol.md, 6.3)."""
    forms = {digits}
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9":
        forms.add(digits[:4] + digits[5:])
    elif digits.startswith("55") and len(digits) == 12 and digits[4] in "6789":
        forms.add(digits[:4] + "9" + digits[4:])
    elif digits.startswith("521") and len(digits) == 13:
        forms.add("52" + digits[3:])
    elif digits.startswith("52") and len(digits) == 12:
        forms.add("521" + digits[2:])
    elif digits.startswith("549") and len(digits) == 13:
        forms.add("54" + digits[3:])
    elif digits.startswith("54") and len(digits) == 12:
        forms.add("549" + digits[2:])
    return frozenset(forms)
