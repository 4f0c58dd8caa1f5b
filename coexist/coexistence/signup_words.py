"""What an attempt to connect a number came to, in words for the person who made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from coexist.coexistence.checks_model import Preflight
from coexist.coexistence.signup_model import Ending, Link, Problem, Signup, State, Way
from coexist.coexistence.signup_rules import Cause, causes_of

PATIENCE: Final = timedelta(minutes=30)
"""Meta's window is rarely open for longer: what was begun before and never told of again was left."""
HAND_OVER: Final = timedelta(seconds=10)
"""Access that came just now is being used already, or will be in a moment."""

CAUSES: Final[Mapping[Cause, str]] = {
    Cause.TOO_NEW: "The number is too new, or hardly used, in the WhatsApp Business app. Use it for some days "
    "as you always do, then try again.",
    Cause.APP_VERSION: "The WhatsApp Business app is too old. Update it (2.24.17 or newer), open it, then try again.",
    Cause.PREVIOUS_PROVIDER: "The number is still attached to another provider. On the phone: Settings > Account > "
    "Business Platform > Disconnect. Wait some minutes, then try again.",
    Cause.CREDIT_LINE: "The WhatsApp account still uses the credit line of another provider. Ask them to take it back, "
    "or remove them under Partners in WhatsApp Manager.",
    Cause.PAYMENT: "The WhatsApp account has no way to pay. Add a payment method in WhatsApp Manager.",
    Cause.COUNTRY: "WhatsApp may not offer this yet for numbers of this country. Meta decides, and changes its list.",
    Cause.ADVANCED_ACCESS: "The app at Meta lacks Advanced Access to whatsapp_business_management or "
    "whatsapp_business_messaging. Whoever runs this installation asks for it under App Review.",
    Cause.OWN_PORTFOLIO: "A business portfolio that owns the app itself cannot be signed up through it. Choose another "
    "portfolio, or make a new one in the window.",
}
CHECKLIST: Final = tuple(CAUSES[cause] for cause in (Cause.TOO_NEW, Cause.APP_VERSION, Cause.PREVIOUS_PROVIDER))

STEPS: Final[Mapping[str, str]] = {
    "BUSINESS_ACCOUNT_SELECTION": "while a business was being chosen",
    "WABA_PHONE_PROFILE_PICKER": "while a WhatsApp account was being chosen",
    "WHATSAPP_BUSINESS_PROFILE_SETUP": "while the business was being described",
    "PHONE_NUMBER_SETUP": "while the number was being entered",
    "PHONE_NUMBER_VERIFICATION": "while the phone was being asked",
}

# title, what happened, what to do, and the way on (see Ending)
PROBLEMS: Final[Mapping[Problem, tuple[str, str, str, str]]] = {
    Problem.CLOSED: (
        "The window was closed",
        "Meta's window was closed before it was done. Nothing was changed.",
        "",
        "again",
    ),
    Problem.LEFT: ("Stopped half-way", "Meta's window was left{step}. Nothing was changed here.", "", "again"),
    Problem.REPORTED: (
        "Meta could not sign this number up",
        "The window ended with an error, and nothing was changed here.",
        "",
        "again",
    ),
    Problem.WITHOUT_CODE: (
        "One more click",
        "Meta says that the number was signed up, but gave us no access to it.",
        "Open the window once more. It is short this time: what was done stays done.",
        "again",
    ),
    Problem.CODE_REFUSED: (
        "One more click",
        "Meta took back the key to this sign-up before we could use it: it lives for 30 seconds.",
        "Open the window once more. It is short this time: what was done stays done.",
        "again",
    ),
    Problem.TOKEN_REFUSED: (
        "Meta refuses this access",
        "The access token is not valid, or not any more.",
        "Sign up again, or give another token.",
        "again",
    ),
    Problem.OTHER_APP: (
        "A token of another app",
        "The access token was made for another Meta app, whose webhooks do not come here.",
        "Give a token of the app that this installation uses.",
        "again",
    ),
    Problem.SCOPE_MISSING: (
        "A permission is missing",
        "The access does not include all that an inbox needs.",
        "Sign up again and leave every permission ticked. Whoever runs this installation checks that the app has "
        "Advanced Access to both.",
        "again",
    ),
    Problem.NO_ACCOUNT: (
        "No WhatsApp account was shared",
        "The access covers no WhatsApp Business account.",
        "Sign up again and share the account of this number; with a token, name the account's id.",
        "again",
    ),
    Problem.WRONG_ACCOUNT: (
        "Another account was shared",
        "Meta's window spoke of one WhatsApp account, and the access is for another. We connect only what is proven.",
        "Sign up again and choose the business that owns the number.",
        "again",
    ),
    Problem.NO_NUMBER: (
        "No number yet",
        "The WhatsApp account has no phone number, or Meta does not show it yet.",
        "Wait a minute and try again. If it stays, sign up again and choose the right business.",
        "on",
    ),
    Problem.NOT_IN_APP: (
        "This number is not in the WhatsApp Business app",
        "Meta knows the number, but says that it does not live in the phone app.",
        "If the phone has only just been asked, wait a minute and try again. Otherwise sign up again and choose the "
        "number that is in the WhatsApp Business app.",
        "on",
    ),
    Problem.WHICH_NUMBER: ("Which number?", "Several numbers were shared. Choose the one to connect.", "", "choose"),
    Problem.ANOTHER_NUMBER: (
        "That is another number",
        "You wanted to renew the access of an inbox, and another number was shared.",
        "Sign up again for the right one, or connect this one as a new inbox.",
        "choose",
    ),
    Problem.TAKEN: (
        "This number is connected elsewhere",
        "It belongs to another account of this installation. One number can be in one place only.",
        "To move it here: on its phone, in the WhatsApp Business app, Settings > Account > Business Platform > "
        "Disconnect. Wait a minute, then sign up again. Its chats so far stay in the other account.",
        "again",
    ),
    Problem.REFUSED: (
        "This number cannot be connected like this",
        "It does not fit what is known of it here.",
        "",
        "on",
    ),
    Problem.LINK_ENDED: (
        "This link was used already",
        "Somebody connected a number with it, or it was taken back, while you were in Meta's window.",
        "Ask for a new link.",
        "",
    ),
    Problem.NOT_SUBSCRIBED: (
        "Connected, but nothing comes in yet",
        "Meta did not let us subscribe to the account's messages. Contacts and history were not asked for.",
        "Solve what Meta names, then try again.",
        "on",
    ),
    Problem.OVERRIDE_REFUSED: (
        "Connected, but nothing comes in yet",
        "Meta refused to send this number's messages to this installation. Contacts and history were not asked for.",
        "The webhook address must be reachable from outside, over HTTPS, and know the verify token. Then try again.",
        "on",
    ),
    Problem.META_REFUSED: ("Meta refused", "One of the steps was refused.", "", "on"),
    Problem.UNREACHABLE: (
        "Meta does not answer",
        "The access is here and safe; only the rest is missing.",
        "Try again in a moment.",
        "on",
    ),
    Problem.TOO_OFTEN: (
        "Tried very often",
        "The access is here and safe; only the rest is missing. Meta is not asked any more for the moment.",
        "Wait an hour, then try again.",
        "on",
    ),
    Problem.APP_SECRET: (
        "This installation's app secret is not right",
        "Meta does not take the secret of our app: it was changed there, or set wrongly here. The number is not the "
        "cause.",
        "Whoever runs this installation sets COEXIST_APP_SECRET to what Meta shows under App settings > Basic, and "
        "restarts. Then try again.",
        "on",
    ),
    Problem.GIVEN_UP: (
        "Given up",
        "Somebody decided not to go on, and the access was forgotten. Nothing was connected here.",
        "",
        "again",
    ),
    Problem.FORGOTTEN: (
        "Never finished",
        "Nobody went on within a day, so the access was forgotten.",
        "Sign up again. It is short this time: what was done stays done.",
        "again",
    ),
}

QUIET: Final = {Problem.CLOSED, Problem.LEFT, Problem.WHICH_NUMBER, Problem.GIVEN_UP}
"""What is no trouble: somebody decided, or has to."""

AFTERWARDS: Final = (
    "Keep the WhatsApp Business app open on the phone until contacts and chats are here: it takes minutes, sometimes "
    "hours.",
    "Link WhatsApp Web and the desktop app again on the phone: signing up logged them out. Windows and WearOS stay "
    "out.",
    "Open the app at least every two weeks: after 14 days without it, WhatsApp ends the connection.",
)
IN_REVIEW: Final = (
    "Meta is still reviewing this WhatsApp account. That is not a disconnection: messages may be refused until it is "
    "done, and nothing needs to be connected again."
)


def ending_of(signup: Signup, now: datetime, unasked: Preflight | None = None) -> Ending:
    """Return what an attempt came to so far, with the next step.

    ``unasked`` is the look for which contacts and chats of the number that it connected wait.
    """
    match State(signup.state):
        case State.CONNECTED:
            return _connected(signup, unasked)
        case State.OPENED if now - signup.began_at > PATIENCE:
            return Ending(
                "quiet",
                "Left open",
                "Meta's window was opened, and nothing came back: it or this page was closed. Nothing has changed.",
                ("If the phone says that it is connected, open the window once more: it is short this time.",),
                "again",
            )
        case State.OPENED:
            return Ending("busy", "Meta's window is open", "Finish there. This page goes on by itself.", way_on="again")
        case State.AUTHORISED if signup.is_busy or (signup.problem is None and now - signup.changed_at < HAND_OVER):
            return Ending(
                "busy", "Connecting", "Meta said yes. Now we prove the access and find the number.", way_on="wait"
            )
        case State.AUTHORISED if signup.problem is None:
            return Ending(
                "busy", "Interrupted", "Meta said yes, and then the last steps were interrupted. Nothing is lost.",
                way_on="on",
            )  # fmt: skip
        case _:
            return _problem(signup)


def _connected(signup: Signup, unasked: Preflight | None) -> Ending:
    review = (IN_REVIEW,) if signup.is_in_review else ()
    if signup.is_onboarding and unasked:
        return Ending("busy", "Connected", _waiting(signup, unasked), (*review, *AFTERWARDS))
    if signup.is_onboarding:
        return Ending("good", "Connected", "The number is on the phone and in the inbox now.", (*review, *AFTERWARDS))
    return Ending(
        "good",
        "Access renewed",
        "This number was connected here already. Its access was renewed; chats, settings and past stay as they were. "
        "Contacts and history were not asked for again.",
        review,
    )


def _waiting(signup: Signup, unasked: Preflight) -> str:
    said = (
        "The number is on the phone and in the inbox now. Its contacts and chats wait: there is one chance to ask for"
    )
    if signup.link_id is not None:
        return f"{said} them, and something is still missing here. Whoever sent you the link sees what it is."
    checks = ", ".join(check.title for check in unasked.of(unasked.level))
    return f"{said} them, within 24 hours, and not all is in order for it ({checks}). They are asked for once it is."


def _problem(signup: Signup) -> Ending:
    problem = Problem(signup.problem or Problem.CLOSED)
    title, sentence, step, way_on = PROBLEMS[problem]
    where = STEPS.get(signup.meta_step or "", f"at the step {signup.meta_step}" if signup.meta_step else "")
    sentence = sentence.replace("{step}", f" {where}" if where else "")
    steps = [step] if step else []
    if problem in (Problem.REPORTED, Problem.META_REFUSED, Problem.NOT_SUBSCRIBED):
        steps += [CAUSES[cause] for cause in causes_of(signup.meta_error, signup.detail)]
    if problem is Problem.REPORTED and not steps:
        steps += CHECKLIST
    if way_on == "on" and signup.state != State.AUTHORISED:  # there is no access to go on with
        way_on = "again"
    if way_on == "again" and signup.way == Way.TOKEN:
        way_on = "token"
    colour = "quiet" if problem in QUIET else "bad"
    return Ending(colour, title, sentence, steps, way_on)


def link_state(link: Link, now: datetime) -> tuple[str, str]:
    """Return colour and word of what became of a link."""
    if link.used_at:
        return "good", "Used"
    if link.revoked_at:
        return "quiet", "Taken back"
    return ("quiet", "Expired") if link.open_until <= now else ("busy", "Waiting")
