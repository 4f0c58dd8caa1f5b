"""What Graph answers, as types: the part of it that we read (meta-protocol 2, 7 and 9).

Fields that were asked for and are not available are left out by Meta (1.1), so nearly all may be missing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from coexist.meta.decode import Item, clean, compact, given, read


class Answer(msgspec.Struct, frozen=True):
    """An answer of Graph, or a part of one."""


class SentMessage(Answer, frozen=True):
    """What Meta accepted. ``wa_id`` is missing when sent by BSUID, ``user_id`` when sent by phone alone (7.1)."""

    wamid: str
    wa_id: str | None = None
    user_id: str | None = None
    message_status: str | None = None


class SentContact(Answer, frozen=True):
    wa_id: str | None = None
    user_id: str | None = None


class SentId(Answer, frozen=True):
    id: str
    message_status: str | None = None


class SendAnswer(Answer, frozen=True):
    messages: list[SentId]
    contacts: list[SentContact] = []


class Success(Answer, frozen=True):
    success: bool = True


class SyncRequested(Answer, frozen=True):
    request_id: str | None = None


class MediaInfo(Answer, frozen=True):
    """Where a file can be fetched for five minutes. ``sha256`` is 64 hex digits, sizes are bytes."""

    url: str
    mime_type: str | None
    sha256: str | None
    file_size: int | None


class Media(Answer, frozen=True):
    url: str
    mime_type: str | None = None
    sha256: str | None = None
    file_size: int | str | None = None


class Created(Answer, frozen=True):
    id: str


class Throughput(Answer, frozen=True):
    level: str | None = None


class PhoneNumber(Answer, frozen=True):
    """A business phone number as Graph tells it; ``display_phone_number`` is formatted here, digits in webhooks."""

    id: str
    display_phone_number: str | None = None
    verified_name: str | None = None
    is_on_biz_app: bool | None = None
    platform_type: str | None = None
    quality_rating: str | None = None
    code_verification_status: str | None = None
    status: str | None = None
    throughput: Throughput | None = None
    last_onboarded_time: str | int | None = None

    @property
    def is_coexistence(self) -> bool:
        """Whether it lives in the phone app and on the Cloud API at once (2.5)."""
        return self.is_on_biz_app is True and self.platform_type == "CLOUD_API"


class HealthError(Answer, frozen=True):
    error_code: int | None = None
    error_description: str | None = None
    possible_solution: str | None = None


class HealthEntity(Answer, frozen=True):
    entity_type: str | None = None
    can_send_message: str | None = None
    errors: list[HealthError] = []


class Health(Answer, frozen=True):
    """``can_send_message`` is AVAILABLE, LIMITED or BLOCKED: the worst of the entities' (1.6)."""

    can_send_message: str | None = None
    entities: list[HealthEntity] = []

    @property
    def errors(self) -> list[str]:
        """What stands against sending, in Meta's words, each once."""
        told = [error for entity in self.entities for error in entity.errors]
        words = (f"{error.error_description or ''} {error.possible_solution or ''}".strip() for error in told)
        return list(dict.fromkeys(word for word in words if word))


class HealthAnswer(Answer, frozen=True):
    health_status: Health = Health()


class Owner(Answer, frozen=True):
    """The business portfolio that owns a WABA."""

    id: str | None = None
    name: str | None = None


class Waba(Answer, frozen=True):
    """A WhatsApp Business account. ``account_review_status`` is APPROVED, PENDING, REJECTED, or something new."""

    id: str
    name: str | None = None
    account_review_status: str | None = None
    owner_business_info: Owner = Owner()


class Cursors(Answer, frozen=True):
    after: str | None = None


class Paging(Answer, frozen=True):
    next: str | None = None
    cursors: Cursors = Cursors()


class Page(Answer, frozen=True):
    data: list[Raw] = []
    paging: Paging = Paging()


class SubscribedApp(Answer, frozen=True):
    """An app that receives the webhooks of a WABA."""

    app_id: str
    name: str | None = None
    override_callback_uri: str | None = None


class AppData(Answer, frozen=True):
    id: str
    name: str | None = None


class Subscription(Answer, frozen=True):
    whatsapp_business_api_data: AppData
    override_callback_uri: str | None = None


class FieldTicked(Answer, frozen=True):
    name: str


class AppSubscription(Answer, frozen=True):
    """What an app receives of one kind of object, and where it is sent."""

    object: str
    callback_url: str | None = None
    active: bool = True
    fields: list[FieldTicked | str] = []

    @property
    def field_names(self) -> frozenset[str]:
        """The names of the fields that are ticked."""
        return frozenset(field if isinstance(field, str) else field.name for field in self.fields)


class Quality(Answer, frozen=True):
    score: str | None = None


class Template(Item):
    """A message template. ``components`` is JSON as Graph tells it, fit for PostgreSQL."""

    id: str | int = ""
    name: str = ""
    language: str = ""
    status: str = ""
    category: str | None = None
    parameter_format: str | None = None
    rejected_reason: str | None = None
    quality_score: Quality | None = None
    components: Raw = Raw(b"[]")

    @classmethod
    def of(cls, told: Raw) -> Template | None:
        """What is readable of a listed template; None without its name, its language or its status."""
        template = read(clean(bytes(told)), cls)
        if not (template.name and template.language and template.status):
            return None
        template.components = Raw(compact(template.components) if given(template.components) else b"[]")
        return template


class AccessToken(Answer, frozen=True):
    """A customer's token. When it expires is read where it is proven (``TokenInfo``)."""

    access_token: str


class GranularScope(Answer, frozen=True):
    scope: str
    target_ids: list[str] = []


class TokenInfo(Answer, frozen=True):
    """What a token may do. ``expires_at`` is in Unix seconds, 0 for never."""

    is_valid: bool
    app_id: str | None = None
    scopes: list[str] = []
    granular_scopes: list[GranularScope] = []
    expires_at: int = 0

    @property
    def ends_at(self) -> datetime | None:
        """When it ends; None for never, and a time beyond the calendar is as good as never."""
        try:
            return datetime.fromtimestamp(self.expires_at, UTC) if self.expires_at > 0 else None
        except (OverflowError, ValueError, OSError):
            return None

    def has_ended(self, now: datetime) -> bool:
        """Whether its end has come, whatever ``is_valid`` says: Meta may call it valid a little longer."""
        return self.ends_at is not None and self.ends_at <= now


class TokenAnswer(Answer, frozen=True):
    data: TokenInfo
