"""What a stand-in is started with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulator.passing import Clock

DAY_S = 86_400
HISTORY_DAYS = 180
MEDIA_DETAIL_DAYS = 14
SYNC_DEADLINE_S = 24 * 3600
WINDOW_S = 24 * 3600
CODE_LIFE_S = 30
MEDIA_URL_LIFE_S = 300
MEDIA_LIFE_S = 7 * DAY_S
UPLOAD_LIFE_S = 30 * DAY_S

MESSAGE_FIELDS = frozenset(
    {"messages", "history", "smb_app_state_sync", "smb_message_echoes", "user_preferences", "user_id_update"}
)
"""Fields that follow a callback override (meta-protocol.md, 2.6)."""

SUBSCRIBED_FIELDS = (
    "messages",
    "history",
    "smb_app_state_sync",
    "smb_message_echoes",
    "account_update",
    "user_id_update",
    "message_template_status_update",
    "message_template_quality_update",
    "message_template_components_update",
    "template_category_update",
)
"""What the app's dashboard has ticked when the stand-in starts."""


@dataclass(frozen=True)
class Business:
    """The business on the phone, and its ids at Meta. No such shop, number or account exists."""

    name: str = "Jardim Verde"
    portfolio_id: str = "880011223344556"
    waba_id: str = "701122334455667"
    phone_number_id: str = "555100020003000"
    digits: str = "5511985500101"
    display_phone_number: str = "+55 11 98550-0101"


OTHER_BUSINESS = Business(
    name="Casa das Pedras",
    portfolio_id="880011223344557",
    waba_id="702233445566778",
    phone_number_id="555100020004000",
    digits="5511985500199",
    display_phone_number="+55 11 98550-0199",
)
"""What somebody can choose by mistake in Meta's window: its number is on the API alone."""


@dataclass
class Pace:
    """How fast things happen. Zero everywhere is as fast as the receiver answers.

    `retry_max_ms` is the longest pause before a webhook is posted again. `review_ms` is how long Meta takes to review
    a template.
    """

    chunk_delay_ms: int = 0
    delivered_ms: int = 600
    read_ms: tuple[int, int] = (1_500, 6_000)
    auto_read: bool = True
    auto_reply: bool = False
    parallel_count: int = 1
    retry_max_ms: int = 60_000
    review_ms: int = 1_500


@dataclass(frozen=True)
class Config:
    """Everything from the command line. `started_at` (Unix seconds) fixes the world's first moment."""

    app_id: str
    app_secret: str
    verify_token: str = ""
    webhook_url: str | None = None
    inbox_url: str | None = None
    seed: int = 7
    message_count: int = 2_000
    state: Path | None = None
    started_at: int | None = None
    pace: Pace = field(default_factory=Pace)
    business: Business = field(default_factory=Business)
    clock: Callable[[], float] = field(default_factory=lambda: Clock(None))
