"""The life of one number: its state, who may send from where, what happened, and what will if nobody does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base import clock
from coexist.base.database import Connection, transaction
from coexist.coexistence import checks_store
from coexist.coexistence import life_rules as rules
from coexist.coexistence import life_store as store
from coexist.coexistence.checks_model import Level, Preflight
from coexist.coexistence.life_rules import Forecast, Sign, Stage
from coexist.coexistence.model import SyncState
from coexist.coexistence.rules import deadline, was_refused
from coexist.coexistence.store import syncs
from coexist.coexistence.words import why
from coexist.events import feed
from coexist.inbox import inboxes, pauses
from coexist.inbox.connection import State
from coexist.inbox.inboxes import Inbox
from coexist.inbox.restrictions import FOREVER
from coexist.meta.errors import Action, ErrorMeaning, explain
from coexist.people.model import Role
from coexist.web import life_words as words
from coexist.web.access import Viewer
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.strip import Strip, strip_of

PAGE_COUNT: Final = 30
LAST_CALL: Final = timedelta(hours=4)
"""When what is left of the 24 hours in which a sync can be asked for is more than a warning."""

CHIPS: Final = {
    Stage.GREEN: ("good", "check", "In order"),
    Stage.AMBER: ("busy", "circle-help", "Soon"),
    Stage.RED: ("bad", "circle-alert", "Now"),
    Stage.UNKNOWN: ("quiet", "circle-help", "Not known"),
}
"""Colour, icon and word of a stage."""

ON_PHONE: Final = {
    "connected": "Everybody who has the phone, at any time.",
    "offboarded": "Everybody who has the phone, once it is set up. What is written there now does not come in.",
    "removed": "Everybody who has the phone. It does not come in here any more.",
    "token_invalid": "Everybody who has the phone, at any time.",
    "restricted": "WhatsApp's restriction may hold there too: look into the app.",
}
FROM_HERE: Final = {
    "connected": "Every member of this account: freely for 24 hours after a customer wrote, and templates at any time.",
    "offboarded": "Every member of this account. What is sent waits, drafts stay, and all goes out in order when the "
    "phone is back.",
    "removed": "Nobody, until the number is connected again. Drafts stay.",
    "token_invalid": "Nobody, until the access is renewed. Drafts stay.",
    "restricted": "Nobody, until WhatsApp lifts the restriction. Drafts stay.",
}

FROM_HERE_MOVED: Final = "Nobody any more: the number is another account's."
FROM_HERE_HELD: Final = "Every member of this account, and it waits: WhatsApp does not let the number answer now."
MEANING_HELD: Final = "Messages come in. What is sent from here waits."
"""The two sentences of a connected number that may not answer."""

ONLY_ON_PHONE: Final = (
    ("Groups", "On the phone only: WhatsApp gives no groups to a number that is in the app."),
    ("Calls", "On the phone only: WhatsApp passes no calls on from a number that is in the app."),
)
NOT_HERE: Final = (
    ("Groups", "Not here: what comes from a group is shown in no chat with one person."),
    ("Calls", "Not here: a call is only noted in the log."),
)
"""What a number can do besides chats, by whether it is in the phone app (meta-protocol 8.1, 9.3, 9.4; G8)."""


BEGINS_HELD: Final = "WhatsApp does not let this number begin conversations. Replies go."
REPLIES_HELD: Final = "WhatsApp does not let this number answer customers. What is sent from here waits."
UTILITY_HELD: Final = "WhatsApp does not let this number send utility templates. Everything else goes."
HOLDING: Final = {Action.STOP_ACCOUNT, Action.HOLD_BUSINESS_INITIATED, Action.HOLD_PAID}


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a number's connection at this moment.

    ``held``: what Meta keeps it from doing, each with its end, None when Meta named none. ``rejected_at``: when its
    WhatsApp account was not approved, if that was the last review. ``unasked_until``: when the one chance to ask for
    contacts and chats ends, while something keeps them from being asked for.
    """

    state: str
    sign: Sign | None
    phone: Forecast
    token: Forecast
    token_checked_at: datetime | None
    token_problem: str | None
    waiting_count: int
    troubles: Sequence[ErrorMeaning]
    held: Sequence[tuple[str, datetime | None]]
    rejected_at: datetime | None
    told: Mapping[str, Any]
    calls_rest_until: datetime | None
    unasked_until: datetime | None
    is_moved: bool

    @property
    def phone_days_left(self) -> int:
        """Days until WhatsApp may disconnect the number, the last one counted in full; 0 when that is now."""
        if self.phone.ends_at is None:
            return 0
        return max(0, -((clock.now() - self.phone.ends_at) // timedelta(days=1)))

    @property
    def is_token_over(self) -> bool:
        """Whether the access token has come to its end, which nothing that was refused has told yet."""
        return self.token.ends_at is not None and self.token.ends_at <= clock.now()

    @property
    def is_held(self) -> bool:
        """Whether messages wait until a trouble is over; the others are only told of."""
        return bool(self.held) or any(trouble.action in HOLDING for trouble in self.troubles)

    @property
    def is_worth_a_word(self) -> bool:
        """Whether people should be told without asking."""
        is_ending = not {self.phone.stage, self.token.stage}.isdisjoint({Stage.AMBER, Stage.RED})
        return bool(self.troubles or self.held or self.rejected_at or self.unasked_until or is_ending)

    @property
    def is_told(self) -> bool:
        """Whether a line above the chats says what is the matter."""
        return not self.is_moved and (self.is_worth_a_word or self.state != State.CONNECTED)

    @property
    def is_red(self) -> bool:
        """Whether that line is more than a warning."""
        nothing_goes = (State.REMOVED, State.RESTRICTED, State.TOKEN_INVALID)
        is_last_call = self.unasked_until is not None and self.unasked_until - clock.now() < LAST_CALL
        return is_last_call or self.state in nothing_goes or Stage.RED in (self.phone.stage, self.token.stage)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one number stands, above the list: its history while it comes in, and what it needs."""

    inbox: Inbox
    life: Life
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the timeline in words."""

    at: datetime
    said: str
    details: str


async def life_of(conn: Connection, inbox: Inbox) -> Life:
    """Return what is known of a number's connection."""
    now = clock.now()
    sign, watch = await store.sign(conn, inbox.id), await store.token_watch(conn, inbox.id)
    checked_at = watch.checked_at if watch else None
    return Life(
        state=inbox.state,
        sign=sign,
        phone=rules.phone_forecast(inbox.state, sign, now),
        token=rules.UNKNOWN
        if inbox.state in (State.REMOVED, State.TOKEN_INVALID)  # over, whatever Meta told of it before
        else rules.token_forecast(checked_at, watch.expires_at if watch else None, now),
        token_checked_at=checked_at,
        token_problem=watch.problem if watch else None,
        waiting_count=await store.waiting_count(conn, inbox.id),
        troubles=[explain(code) for code in inbox.standing_codes],
        held=_held(inbox, now),
        rejected_at=await store.rejected_at(conn, inbox.id),
        told=await store.last_told(conn, inbox.id) or {},
        calls_rest_until=await pauses.resting_until(conn, inbox.id),
        unasked_until=deadline(inbox.onboarded_at) if await unasked(conn, inbox, now) else None,
        is_moved=inbox.is_moved,
    )


async def unasked(conn: Connection, inbox: Inbox, now: datetime) -> Preflight | None:
    """Return the look whose troubles keep contacts and chats from being asked for, while there is a chance to ask."""
    is_over = now >= deadline(inbox.onboarded_at)
    if not inbox.is_coexistence or inbox.is_moved or inbox.state != State.CONNECTED or is_over:
        return None
    look = await checks_store.preflight(conn, inbox.id)
    if look is None or not look.checks or look.onboarded_at != inbox.onboarded_at:
        return None
    is_about_to_be_asked = look.is_waiting and look.level is Level.GREEN
    waits = any(
        (one.state == SyncState.NOT_REQUESTED or was_refused(one)) and not one.wanted_at
        for one in await syncs(conn, inbox.id)
    )
    return look if waits and not is_about_to_be_asked else None


def _held(inbox: Inbox, now: datetime) -> list[tuple[str, datetime | None]]:
    held = zip((BEGINS_HELD, REPLIES_HELD, UTILITY_HELD), inbox.held_until.values(), strict=True)
    return [(said, None if until == FOREVER else until) for said, until in held if until is not None and until > now]


async def show_life(request: Request, web: Web, viewer: Viewer) -> Response:
    """The page of one number; ``?before=`` is the id of the timeline's last line on the page before."""
    before = _before(request)
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, request.path_params["inbox_id"])
        life = await life_of(conn, inbox)
        shown, older = await store.timeline(conn, inbox.id, PAGE_COUNT, before)
    is_held = inbox.state == State.CONNECTED and any(said == REPLIES_HELD for said, _ in life.held)
    return html(
        web,
        "life.html",
        **shell(viewer),
        event_id=event_id,
        inbox=inbox,
        why=why(inbox.state_reason, inbox.state_initiated_by),
        life=life,
        chips=CHIPS,
        signs=words.SIGNS,
        on_phone=ON_PHONE[inbox.state],
        from_here=FROM_HERE_MOVED if inbox.is_moved else FROM_HERE_HELD if is_held else FROM_HERE[inbox.state],
        meaning=MEANING_HELD if is_held else words.state_of(inbox)[2],
        besides_chats=ONLY_ON_PHONE if inbox.is_coexistence else NOT_HERE,
        happened=[Happened(entry.at, words.sentence(entry), words.details(entry, viewer.zone)) for entry in shown],
        before=before,
        older=older,
        may_decide=viewer.member.role != Role.AGENT,
    )


async def show_notice(request: Request, web: Web, viewer: Viewer) -> Response:
    """The line above a conversation that says what its number needs soon."""
    async with transaction(web.pool) as conn:
        inbox = await inboxes.get(conn, viewer.account_id, request.path_params["inbox_id"])
        life = await life_of(conn, inbox)
    return html(web, "parts/life_notice.html", **shell(viewer), inbox_id=inbox.id, inbox=inbox, life=life)


async def show_standing(request: Request, web: Web, viewer: Viewer) -> Response:
    """What is the matter with the account's numbers; also the end of a history that the page saw ``?moving``."""
    saw = request.query_params.getlist("moving")
    async with transaction(web.pool) as conn:
        connected = await inboxes.of_account(conn, viewer.account_id)
        standing = [Standing(one, await life_of(conn, one), await strip_of(conn, one.id)) for one in connected]
    standing = [
        one if one.strip and (one.strip.is_moving or str(one.inbox.id) in saw) else replace(one, strip=None)
        for one in standing
    ]
    return html(web, "parts/standing.html", **shell(viewer), standing=standing)


def _before(request: Request) -> int | None:
    raw = request.query_params.get("before")
    return None if raw is None else id_of(raw, back_to="the top of the number's page")
