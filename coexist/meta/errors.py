"""Meta's error codes: what they mean, what to do, and the words for people (meta-protocol 1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """What a code asks of us; the letters of the fact sheet."""

    TRANSIENT = "T"
    """It passes: retry with backoff."""
    AMBIGUOUS = "A"
    """It may have happened: never do it again on our own."""
    PERMANENT = "P"
    """Final for this message."""
    HUMAN = "H"
    """Somebody at the business must act."""
    REAUTHORISE = "R"
    """The token or a permission is gone: connect again."""
    WINDOW = "W"
    """Outside of the customer service window: a template is needed."""
    CALLER = "C"
    """Our mistake, or bad input."""
    LIMIT = "L"
    """Too fast: slow down."""
    NOTICE = "N"
    """No failure: it tells of something."""


class Action(StrEnum):
    """What is done about a code. `outbound.rules` says what becomes of the message, `inbox.refusals` does the rest."""

    FAIL = "fail"
    """It has failed, and its sentence says why."""
    AGAIN = "again"
    """It certainly did not happen: again after a pause that grows."""
    AGAIN_IN_A_MINUTE = "again_in_a_minute"
    """Maintenance, which takes about that long."""
    AGAIN_ONCE = "again_once"
    """It may have happened, but an answer came: once more, then a person decides."""
    LEAVE_UNCLEAR = "leave_unclear"
    """It may have happened: a person decides."""
    SLOW_PERSON = "slow_person"
    """What is for this person waits, four times as long each time."""
    SLOW_NUMBER = "slow_number"
    """The number rests for a moment and goes on at half of its rate."""
    PAUSE_ACCOUNT = "pause_account"
    """Nothing is looked up in this WhatsApp Business account for a while; messages go on."""
    PAUSE_ALL = "pause_all"
    """Meta is asked nothing for as long as it says."""
    RENEW_ACCESS = "renew_access"
    """The number's queue waits until its access is renewed; Meta is asked what is wrong with the token."""
    ASK_META = "ask_meta"
    """Meta is asked whether the number is still there; only its answer disconnects it. The queue waits for it."""
    STOP_ACCOUNT = "stop_account"
    """All numbers of the WhatsApp Business account stop, until Meta's health status or a person says go on."""
    HOLD_BUSINESS_INITIATED = "hold_business_initiated"
    """Templates outside of an open window wait, until Meta's health status or a person says go on; replies go."""
    HOLD_PAID = "hold_paid"
    """Templates of the whole WhatsApp Business account wait likewise; replies go."""
    TELL_ADMINS = "tell_admins"
    """It has failed, and the number's page says so until Meta's health status or a person settles it."""
    CLOSE_WINDOW = "close_window"
    """The customer service window counts as closed until the customer writes again."""
    REST_MARKETING = "rest_marketing"
    """It is not sent to the person again for a day."""
    STOP_MARKETING = "stop_marketing"
    """The person wants no marketing: never again, and the contact says so."""
    READ_TEMPLATES = "read_templates"
    """It has failed; Meta is asked for its templates, so that the form is the current one."""
    HOLD_TEMPLATE = "hold_template"
    """It has failed; what else waits with this template waits until Meta resumes it."""
    BLOCK_TEMPLATE = "block_template"
    """It has failed, and nothing more is sent with this template until Meta lists it as approved again."""


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """One code explained. ``what`` and ``next_step`` are plain sentences; ``next_step`` is empty if there is none."""

    code: int | None
    kind: ErrorClass
    what: str
    next_step: str = ""
    details: str | None = None

    @property
    def action(self) -> Action:
        """What is done about it."""
        return action_of(self.code)

    @property
    def once_failed(self) -> str:
        """The next step when it has failed for good: nothing is tried again by itself any more."""
        return _ONCE_FAILED if self.next_step == _AGAIN else self.next_step

    @property
    def sentence(self) -> str:
        """What happened to what has failed, and what to do, in one line."""
        return f"{self.what} {self.once_failed}".strip()


TEMPLATE_COPY: Final = (
    "An owner or admin makes a copy of it with other words (Numbers > its name > Templates > Make a copy)."
)
"""What helps where Meta does not take a template any more."""

T, A, P, H = ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS, ErrorClass.PERMANENT, ErrorClass.HUMAN
R, W, C, L = ErrorClass.REAUTHORISE, ErrorClass.WINDOW, ErrorClass.CALLER, ErrorClass.LIMIT
N = ErrorClass.NOTICE

RENEW: Final = "An owner or admin renews the access (Numbers > its name > Renew access)."
"""What helps where Meta does not take our access to a number any more."""
_SIGN_UP: Final = "An owner or admin signs the number up again (Numbers > its name > Renew access)."
_ASKED: Final = (
    "Meta is asked about it; if the phone app still shows the connection, an owner or admin connects the number again "
    "on its page (Numbers > its name)."
)
_AGAIN: Final = "It is tried again by itself."
_ONCE_FAILED: Final = "Send it again in a few minutes."
_CHECK: Final = "Check the details below and correct the message."
_REPORT: Final = "Please report it with the details below."
_TEMPLATE: Final = "Choose the template again: its form is read anew from Meta."
_MANAGER: Final = "Open WhatsApp Manager to see and solve it."
_APPEAL: Final = "Ask Meta for a review in Business Support Home (business.facebook.com/business-support-home)."
_MIGRATION: Final = (H, "Moving the number is not possible.", "Such numbers stay in the phone app.")

MEANINGS: Final[dict[int, tuple[ErrorClass, str, str]]] = {
    # --- authorisation and integrity
    0: (R, "Meta no longer accepts the access token.", RENEW),
    3: (R, "The app lacks a permission for this.", "Check the app's permissions and its review at Meta."),
    10: (R, "The permission for this was not given or was taken back.", RENEW),
    33: (R, "The number does not exist any more, or our access to it was removed.", _ASKED),
    190: (R, "The access token has expired or was revoked.", RENEW),
    368: (H, "Meta blocked this WhatsApp Business account for breaking its policies.", _APPEAL),
    130497: (P, "This business may not write to people in that country.", "Reach the person in another way."),
    131005: (R, "Meta denied access.", RENEW),
    131031: (H, "Meta locked this WhatsApp Business account.", _APPEAL),
    # --- throttling
    4: (L, "The app made too many calls to Meta.", _AGAIN),
    80007: (L, "Too many calls were made for this WhatsApp Business account.", _AGAIN),
    130429: (L, "Messages were sent faster than this number may.", _AGAIN),
    131048: (H, "Meta limits this number because people blocked or reported it.", "Answer customers; pause campaigns."),
    131056: (L, "Too many messages were sent to this person in a short time.", _AGAIN),
    133016: (L, "The number was registered too often.", "Wait 72 hours."),
    131057: (T, "Meta is doing maintenance on this account.", _AGAIN),
    # --- generic
    1: (A, "Meta had an unknown fault.", "It may or may not have worked: look at the phone before trying again."),
    2: (T, "Meta's service is down for a moment.", _AGAIN),
    100: (C, "Meta did not accept a part of the request.", _CHECK),
    131000: (A, "Meta had an unknown fault.", "It may or may not have worked: look at the phone before trying again."),
    131008: (C, "A part of the message is missing.", _CHECK),
    131009: (C, "A part of the message has a value that Meta does not accept.", _CHECK),
    131016: (T, "Meta's service is unavailable for a moment.", _AGAIN),
    133004: (T, "Meta's server is unavailable for a moment.", _AGAIN),
    135000: (C, "Meta did not accept the request.", _REPORT),
    # --- delivery
    130472: (P, "Meta withheld this marketing message: the person is in one of its experiments.", ""),
    131021: (P, "A number cannot write to itself.", "Choose another person."),
    131026: (
        P,
        "WhatsApp could not deliver it: no WhatsApp, an old version, new terms not accepted, or they blocked you.",
        "Reach the person in another way.",
    ),
    131030: (C, "A test number may only write to the people on its list.", "Add the person to the list at Meta."),
    131037: (H, "The display name of this number is not approved yet.", _MANAGER),
    131042: (
        H,
        "Meta could not charge for the message.",
        "In Meta Business Suite, under Billing & payments, add or renew the payment method of the WhatsApp account.",
    ),
    131045: (H, "The number is not registered properly.", _ASKED),
    131047: (W, "More than 24 hours have passed since this person last wrote.", "Send a template instead."),
    131049: (P, "Meta withheld this marketing message to protect the person.", "Wait at least a day before the next."),
    131050: (P, "This person stopped marketing messages from you.", "Do not send them any more."),
    131051: (P, "WhatsApp does not support this kind of message here.", "Open the WhatsApp app to see or send it."),
    131052: (P, "Meta could not fetch the file that was sent.", "Ask the person to send it again."),
    131053: (C, "Meta could not use the file.", "Check its type and size."),
    131055: (C, "This way of sending is not allowed for this kind of message.", _REPORT),
    131060: (N, "This message is not available here.", "Open the WhatsApp app to see it."),
    131062: (P, "Such a template can only be sent to a phone number, and this person's is hidden.", ""),
    133010: (H, "The number is not connected to the platform any more.", _ASKED),
    137000: (P, "The person's WhatsApp identity changed.", "Make sure who they are before you write again."),
    # --- templates
    132000: (C, "The template wants another number of values.", _TEMPLATE),
    132001: (
        C,
        "The template does not exist in this language, or is not approved.",
        "Choose another; this one is offered again once Meta lists it as approved.",
    ),
    132005: (C, "The template's text is too long with these values.", "Choose it again and shorten them."),
    132007: (H, "The template's content breaks a rule of Meta.", "Change the template."),
    132012: (C, "A value has the wrong form for the template.", _TEMPLATE),
    132015: (P, "The template is paused because people reported it.", "Use another until it is resumed."),
    132016: (P, "The template was disabled for good.", TEMPLATE_COPY),
    132018: (C, "The values of one part of the template are not right.", _TEMPLATE),
    132068: (H, "The form in this message is blocked.", "Repair the form."),
    132069: (H, "The form in this message is slowed down because it fails too often.", "Repair the form."),
    134011: (H, "The terms for payments were not accepted.", _MANAGER),
    134100: (C, "Only marketing templates may be sent this way.", "Choose another template."),
    134101: (T, "The template is still being prepared at Meta.", _AGAIN),
    134102: (H, "The template cannot be used.", "Choose another template."),
    2388019: (H, "This account has as many templates as it may have.", "Delete some."),
    2388040: (C, "A part of the template is too long.", _CHECK),
    2388047: (C, "The template's header is not right.", _CHECK),
    2388072: (C, "The template's body is not right.", _CHECK),
    2388073: (C, "The template's footer is not right.", _CHECK),
    2388293: (C, "The template has too many variables for so little text.", _CHECK),
    2388299: (C, "A variable may not stand at the start or the end of the template.", _CHECK),
    # --- registration, groups, other
    133000: (H, "An earlier deregistration did not finish.", _SIGN_UP),
    133005: (H, "The two-step PIN is wrong.", "Enter the right one."),
    133006: (H, "The number must be verified first.", _SIGN_UP),
    133008: (L, "The two-step PIN was tried too often.", "Wait before trying again."),
    133009: (L, "The two-step PIN was entered too fast.", "Wait before trying again."),
    133015: (L, "The number was deleted a moment ago.", "Wait five minutes."),
    131215: (P, "This number may not use groups.", ""),
    139100: (P, "Some people could not be blocked.", "Only people who wrote in the last 24 hours can be."),
    147001: (P, "The business username is not available.", "Choose another."),
    147002: (P, "This business may not have a username.", ""),
    147003: (H, "The username belongs to a Facebook page that is not linked.", "Link the page first."),
    147004: (H, "The username belongs to an Instagram account that is not linked.", "Link the account first."),
    200005: (H, "There are no figures for templates on this account.", ""),
    200006: (H, "Figures for templates cannot be switched off.", ""),
    200007: (H, "Figures for templates are not switched on.", "Switch them on in WhatsApp Manager."),
    1752041: (C, "This onboarding was already requested.", ""),
    **dict.fromkeys((2388001, 2388012, 2388091, 2388093, 2388103), _MIGRATION),
    2494100: (T, "The account is in maintenance.", _AGAIN),
    # --- coexistence
    2593107: (N, "This sync was already requested since the number was connected.", "What arrives is still taken in."),
    2593108: (
        P,
        "More than 24 hours have passed since the number was connected.",
        "Only disconnecting in the phone app and signing up again can bring the past.",
    ),
    2593109: (N, "The business chose not to share its history.", ""),
    3441041: (H, "The number cannot be connected yet: too new, or the previous provider is still attached.", ""),
    2655093: (H, "The number cannot be connected yet: too new, or the previous provider is still attached.", ""),
}

RANGES: Final[tuple[tuple[range, tuple[ErrorClass, str, str]], ...]] = (
    (range(200, 300), (R, "A permission is missing.", RENEW)),
    (range(131201, 131216), (P, "This cannot be done in a group.", "")),
)
GROUP_CODES: Final = frozenset({130501, 131020, 131041, 131059})
UNKNOWN: Final = (P, "Meta refused the message.", "See the details below.")


OF_CLASS: Final = {
    ErrorClass.TRANSIENT: Action.AGAIN,
    ErrorClass.AMBIGUOUS: Action.LEAVE_UNCLEAR,
    ErrorClass.PERMANENT: Action.FAIL,
    ErrorClass.HUMAN: Action.TELL_ADMINS,
    ErrorClass.REAUTHORISE: Action.RENEW_ACCESS,
    ErrorClass.WINDOW: Action.CLOSE_WINDOW,
    ErrorClass.CALLER: Action.FAIL,
    ErrorClass.LIMIT: Action.FAIL,
    ErrorClass.NOTICE: Action.FAIL,
}
OF_CODE: Final = {
    4: Action.PAUSE_ALL,
    33: Action.ASK_META,
    368: Action.STOP_ACCOUNT,
    80007: Action.PAUSE_ACCOUNT,
    130429: Action.SLOW_NUMBER,
    131000: Action.AGAIN_ONCE,
    131031: Action.STOP_ACCOUNT,
    131042: Action.HOLD_PAID,
    131045: Action.ASK_META,
    131048: Action.HOLD_BUSINESS_INITIATED,
    131049: Action.REST_MARKETING,
    131050: Action.STOP_MARKETING,
    131056: Action.SLOW_PERSON,
    131057: Action.AGAIN_IN_A_MINUTE,
    132000: Action.READ_TEMPLATES,
    132001: Action.BLOCK_TEMPLATE,
    132012: Action.READ_TEMPLATES,
    132015: Action.HOLD_TEMPLATE,
    132016: Action.BLOCK_TEMPLATE,
    132018: Action.READ_TEMPLATES,
    133010: Action.ASK_META,
    2494100: Action.AGAIN_IN_A_MINUTE,
}
"""Codes that ask for something else than others of their class."""
NEVER_AGAIN: Final = frozenset({131021})
"""What nobody can send again with another outcome."""
MARKETING_RESTS_HOURS: Final = 24
"""How long a person gets no marketing after Meta withheld some (131049)."""


def action_of(code: int | None) -> Action:
    """What is done about a code; nothing is known of an error without one, so it may have happened."""
    if code is None:
        return Action.LEAVE_UNCLEAR
    return OF_CODE.get(code) or OF_CLASS[explain(code).kind]


def codes_of(*actions: Action) -> list[int]:
    """The codes of the table that ask for one of these actions, smallest first."""
    return [code for code in sorted(MEANINGS) if action_of(code) in actions]


def explain(code: int | None, details: str | None = None) -> ErrorMeaning:
    """The meaning of a code; `details` are Meta's own words and are passed on. Never fails: new codes appear."""
    meaning = MEANINGS.get(code) if code is not None else None
    if meaning is None and code in GROUP_CODES:
        meaning = (P, "This cannot be done in a group.", "")
    if meaning is None and code is not None:
        meaning = next((told for codes, told in RANGES if code in codes), None)
    kind, what, next_step = meaning or UNKNOWN
    return ErrorMeaning(code, kind, what, next_step, details or None)
