"""An attempt to connect a number: who makes it, where it stands, and what stopped it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Way(StrEnum):
    """How the access was given: through Meta's window, or as a token that somebody holds."""

    DIALOG = "dialog"
    TOKEN = "token"  # noqa: S105  a name of a way


class State(StrEnum):
    """Where an attempt stands. ``authorised``: the token is here, and the rest can be done again at any time."""

    OPENED = "opened"
    CANCELLED = "cancelled"
    FAILED = "failed"
    AUTHORISED = "authorised"
    CONNECTED = "connected"


class Problem(StrEnum):
    """What stopped an attempt; ``signup_words`` has the sentences."""

    # in Meta's window
    CLOSED = "closed"
    LEFT = "left"
    REPORTED = "reported"
    WITHOUT_CODE = "without_code"
    CODE_REFUSED = "code_refused"
    # what the token proves
    TOKEN_REFUSED = "token_refused"  # noqa: S105  a name of a problem
    OTHER_APP = "other_app"
    SCOPE_MISSING = "scope_missing"
    NO_ACCOUNT = "no_account"
    WRONG_ACCOUNT = "wrong_account"
    # which number it is
    NO_NUMBER = "no_number"
    NOT_IN_APP = "not_in_app"
    WHICH_NUMBER = "which_number"
    ANOTHER_NUMBER = "another_number"
    # connecting it
    TAKEN = "taken"
    REFUSED = "refused"
    LINK_ENDED = "link_ended"
    NOT_SUBSCRIBED = "not_subscribed"
    OVERRIDE_REFUSED = "override_refused"
    META_REFUSED = "meta_refused"
    UNREACHABLE = "unreachable"
    TOO_OFTEN = "too_often"
    APP_SECRET = "app_secret"  # noqa: S105  a name of a problem
    FORGOTTEN = "forgotten"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Party:
    """Who connects a number for an account: a member, or a client over a link. ``person`` is their name."""

    account_id: int
    person: str
    user_id: int | None = None
    link_id: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A number that may be meant. ``display_phone_number`` is digits."""

    waba_id: str
    phone_number_id: str
    display_phone_number: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Signup:
    """One attempt. ``renews_id`` is the inbox whose access it shall renew, ``inbox_id`` the one it connected.

    ``waba_id`` is the one that was told, ``chosen_id`` the number that a person chose among ``choices``.
    ``detail`` is Meta's own sentence, or ours about one case; ``is_onboarding`` tells that the number was connected
    to the API anew, which gives a new right to sync; ``is_busy`` that somebody is at it this moment.
    """

    id: UUID
    account_id: int
    link_id: int | None
    user_id: int | None
    person: str
    way: str
    renews_id: int | None
    state: str
    problem: str | None
    detail: str | None
    meta_error: str | None
    meta_session: str | None
    meta_step: str | None
    waba_id: str | None
    chosen_id: str | None
    choices: Sequence[Choice]
    inbox_id: int | None
    is_onboarding: bool
    is_in_review: bool
    began_at: datetime
    changed_at: datetime
    is_busy: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A link for a client. ``used_by`` is the name they gave, ``inbox_name`` the number they connected.

    ``open_until`` is when it ends: after ``expires_at`` if a sign-up was begun before, so that it can be finished.
    """

    id: int
    account_id: int
    account_name: str
    made_for: str
    made_by: str | None
    made_at: datetime
    expires_at: datetime
    open_until: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    used_by: str | None = None
    inbox_name: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What an attempt came to, in words: a title, what happened, and what to do.

    ``way_on`` is "again" for Meta's window once more, "on" for another try with the access that is here,
    "choose" for a number to be chosen, "wait" while there is something to wait for; "" when it is over.
    """

    colour: str
    title: str
    sentence: str
    steps: Sequence[str] = field(default=())
    way_on: str = ""


class Stopped(Exception):
    """Why an attempt cannot go on now, with Meta's error code and trace id if it was Meta. The row keeps it."""

    def __init__(
        self,
        problem: Problem,
        detail: str | None = None,
        choices: Sequence[Choice] = (),
        *,
        error: str | None = None,
        trace: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem, self.detail, self.choices, self.error, self.trace = problem, detail, choices, error, trace
