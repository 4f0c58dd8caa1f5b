"""Pure decisions of the pre-flight: what was seen becomes a check, with a sentence and the next step."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.coexistence.checks_model import Beat, Check, DatabaseState, Level, Name, Sent
from coexist.coexistence.signup_rules import DEAD_TOKEN, MANAGING, MESSAGING
from coexist.inbox.inboxes import Inbox
from coexist.meta.errors import RENEW, ErrorClass
from coexist.meta.graph import (
    AppSubscription,
    GraphError,
    GraphFailed,
    PhoneNumber,
    SecretRefused,
    SubscribedApp,
    TokenInfo,
)

NEEDED_FIELDS: Final = ("messages", "history", "smb_app_state_sync", "smb_message_echoes", "account_update")
"""Without one of these a sync burns the one attempt, or leaves us blind afterwards (requirement A1)."""
HELPFUL_FIELDS: Final = {
    "user_id_update": "people who go on under another id",
    "user_preferences": "who wants no marketing",
    "message_template_status_update": "templates that WhatsApp pauses or disables",
    "account_alerts": "WhatsApp's alerts",
    "phone_number_quality_update": "the number's quality and limits",
}
"""What they tell comes later without them, or not at all; a sync is safe. meta-protocol 3."""
OBJECT: Final = "whatsapp_business_account"
META_HOST: Final = "facebook.com"
TOKEN_WARNING: Final = timedelta(days=7)
BEAT_LATE_S: Final = 60.0
"""A worker that was silent for longer is not there any more, or stuck."""
WAITING_LONG: Final = timedelta(minutes=5)
CLOCK_WARNING_S: Final = 5.0
CLOCK_WRONG_S: Final = 120.0
MEBIBYTE: Final = 1024 * 1024

TITLES: Final = {
    Name.WEBHOOK: "Webhook address and signature",
    Name.META_HEARD: "Meta reaches us",
    Name.FIELDS: "Webhook fields of the app",
    Name.SUBSCRIBED: "App subscribed to the WhatsApp account",
    Name.TOKEN: "Access token",
    Name.NUMBER: "Number in the app and on the API",
    Name.WORKER: "Worker",
    Name.STORAGE: "Room for files",
    Name.DATABASE: "Database",
    Name.CLOCK: "Clock",
}


def made(name: Name, level: Level, seen: str, at: datetime, next_step: str = "") -> Check:
    """A check of the pre-flight under its title."""
    return Check(name, level, TITLES[name], seen, at, next_step)


def not_asked(name: Name, error: GraphFailed, at: datetime) -> Check:
    """Meta did not tell. A refusal of our access or our secret is red, all else says nothing about the number."""
    if isinstance(error, SecretRefused):
        return made(name, Level.RED, error.message, at, error.next_step or "")
    if isinstance(error, GraphError) and error.meaning.kind is ErrorClass.REAUTHORISE:
        return made(name, Level.RED, f"Meta refuses to tell: {error}", at, _reauthorise(error.code))
    return made(name, Level.AMBER, f"Meta could not be asked: {error.message}", at, "Check again in a moment.")


def _reauthorise(code: int | None) -> str:
    return RENEW if code in DEAD_TOKEN else f"Check the app's permissions at Meta. Otherwise: {RENEW}"


def app_not_named(name: Name, at: datetime) -> Check:
    """Without the app's id and secret Meta cannot be asked about the app."""
    return made(
        name, Level.AMBER, "Meta was not asked: COEXIST_APP_ID or COEXIST_APP_SECRET is not set.", at,
        "Set both (Meta's dashboard: App settings > Basic), restart, and check again.",
    )  # fmt: skip


def webhook(sent: Sent, settings: Settings, graph_url: str, has_worker: bool) -> Check:
    """What the self-test found. Meta itself takes no address but public https ones."""
    at = sent.at
    if not settings.app_secrets:
        step = "Set it to the secret of your app (App settings > Basic), and restart."
        return made(Name.WEBHOOK, Level.RED, "COEXIST_APP_SECRET is not set: no signature can be checked.", at, step)
    if is_meta(graph_url) and not is_public(sent.address):
        return made(
            Name.WEBHOOK, Level.RED, f"{sent.address} is no public https address: Meta cannot deliver there.", at,
            "Set COEXIST_BASE_URL to the https address by which the internet reaches this installation.",
        )  # fmt: skip
    if sent.problem:
        step = "Check COEXIST_BASE_URL, the DNS name, the certificate, the reverse proxy and the firewall."
        return made(Name.WEBHOOK, Level.RED, f"{sent.address} could not be reached: {sent.problem}.", at, step)
    if sent.http_status == 401:
        return made(
            Name.WEBHOOK, Level.RED, f"{sent.address} did not accept our signature.", at,
            "Something on the way changes the body, or that installation has another COEXIST_APP_SECRET.",
        )  # fmt: skip
    if sent.http_status != 200:
        step = "Have the reverse proxy pass POST requests to /webhook on as they are, without a redirect or a login."
        seen = f"{sent.address} answered {sent.http_status} to a signed delivery, and Meta wants 200."
        return made(Name.WEBHOOK, Level.RED, seen, at, step)
    if not sent.is_applied:
        why = "is it another installation's address?" if has_worker else "no worker runs."
        seen = f"A signed delivery was accepted, but not applied here within {sent.waited_s:.0f} seconds: {why}"
        return made(Name.WEBHOOK, Level.RED, seen, at, "Check COEXIST_BASE_URL and that `coexist work` runs.")
    return made(
        Name.WEBHOOK, Level.GREEN,
        f"A delivery that we signed and sent to {sent.address} was journaled, and applied {sent.waited_s:.1f} s later. "
        "It came from our own network: that Meta reaches us, too, is the next check.", at,
    )  # fmt: skip


def meta_heard(last_at: datetime | None, verified_at: datetime | None, at: datetime) -> Check:
    """Proof that Meta reaches us: something it signed, or its verification of the address with our verify token."""
    heard = [("delivered something signed", last_at), ("verified the address with our verify token", verified_at)]
    told = [f"Meta {what} at {when:%Y-%m-%d %H:%M} UTC" for what, when in heard if when]
    if told:
        return made(Name.META_HEARD, Level.GREEN, f"{', and '.join(told)}.", at)
    return made(
        Name.META_HEARD, Level.AMBER, "Nothing that Meta sent has come yet: only our own network is proven.", at,
        "In the app's dashboard, Webhooks: press Verify and save, or send a test of the field messages.",
    )  # fmt: skip


def fields(apps: Sequence[AppSubscription], app_id: str, address: str, override: str | None, at: datetime) -> Check:
    """Which fields the app gets, and where. ``override`` is the address that the WhatsApp account has of its own."""
    mine = [app for app in apps if app.object == OBJECT]
    ticked = frozenset[str]().union(*(app.field_names for app in mine if app.active))
    missing = [field for field in NEEDED_FIELDS if field not in ticked]
    elsewhere = [app.callback_url for app in mine if app.callback_url != address]
    astray = f"The app's webhooks go to {elsewhere[0]}, not to {address}." if elsewhere and override != address else ""
    redirect = f"In the app's dashboard, Webhooks: set the callback to {address}; or set COEXIST_WEBHOOK_OVERRIDE."
    if missing:
        seen = f"App {app_id} does not get {_listed(missing)}: what they tell would be lost."
        step = f"In the app's dashboard, Webhooks > WhatsApp Business Account: subscribe to {_listed(missing)}."
        if astray:
            return made(Name.FIELDS, Level.RED, f"{astray} {seen}", at, f"{redirect} {step}")
        return replace(made(Name.FIELDS, Level.RED, seen, at, step), fields=missing)
    unheard = [f"{field} ({what})" for field, what in HELPFUL_FIELDS.items() if field not in ticked]
    seen = f"App {app_id} gets {_listed(NEEDED_FIELDS)}."
    seen += f" Worth ticking too: {', '.join(unheard)}." if unheard else ""
    if not elsewhere:
        return made(Name.FIELDS, Level.GREEN, f"{seen} All go to {address}.", at)
    if override == address:
        seen += f" Of this WhatsApp account they go to {address}, but for account_update, which goes to {elsewhere[0]}."
        return made(Name.FIELDS, Level.GREEN, seen, at)
    return made(Name.FIELDS, Level.RED, astray, at, redirect)


def subscribed(apps: Sequence[SubscribedApp], app_id: str | None, waba_id: str, address: str, at: datetime) -> Check:
    """Whether the WhatsApp account sends its webhooks to our app, and to no address that is not ours."""
    ours = [app for app in apps if app.app_id == app_id]
    again = f"{RENEW} That subscribes the app, too."
    if app_id is None and apps:
        return app_not_named(Name.SUBSCRIBED, at)
    if not ours:
        seen = f"WhatsApp account {waba_id} does not send its webhooks to our app."
        return made(Name.SUBSCRIBED, Level.RED, seen, at, again)
    override = ours[0].override_callback_uri
    if override and override != address:
        seen = f"WhatsApp account {waba_id} sends its webhooks to {override}, not to {address}."
        return made(Name.SUBSCRIBED, Level.RED, seen, at, f"Set COEXIST_WEBHOOK_OVERRIDE, or take it away. {again}")
    seen = f"WhatsApp account {waba_id} sends its webhooks to app {app_id}{f', at {override}' if override else ''}."
    return made(Name.SUBSCRIBED, Level.GREEN, seen, at)


def token(info: TokenInfo, app_id: str, waba_id: str, at: datetime) -> Check:
    """What Meta says about the access token: valid, ours, allowed enough, and until when (meta-protocol 2.5)."""
    expires_at = info.ends_at
    if not info.is_valid or info.has_ended(at):
        return made(Name.TOKEN, Level.RED, "Meta does not accept the access token any more.", at, RENEW)
    if info.app_id != app_id:
        return made(Name.TOKEN, Level.RED, f"The token is of app {info.app_id}; ours is {app_id}.", at, RENEW)
    missing = [scope for scope in (MANAGING, MESSAGING) if scope not in info.scopes]
    if missing:
        return made(Name.TOKEN, Level.RED, f"The token lacks the permission {_listed(missing)}.", at, RENEW)
    targets = {one.scope: one.target_ids for one in info.granular_scopes if one.target_ids}
    if any(waba_id not in targets.get(scope, [waba_id]) for scope in (MANAGING, MESSAGING)):
        return made(Name.TOKEN, Level.RED, f"The token does not cover WhatsApp account {waba_id}.", at, RENEW)
    may = f"The token is valid, ours, and may manage and message for account {waba_id}."
    if expires_at is None:
        return made(Name.TOKEN, Level.GREEN, f"{may} It does not expire.", at)
    level = Level.AMBER if expires_at - at < TOKEN_WARNING else Level.GREEN
    step = f"{RENEW} A token that never expires is chosen in the sign-up configuration." if level == Level.AMBER else ""
    return made(Name.TOKEN, level, f"{may} It expires at {expires_at:%Y-%m-%d %H:%M} UTC.", at, step)


def number(told: PhoneNumber, at: datetime) -> Check:
    """Whether the number lives in the phone app and on the API at once (meta-protocol 2.5, step 3)."""
    values = f"is_on_biz_app {_word(told.is_on_biz_app)}, platform_type {told.platform_type or 'not told'}"
    seen = f"Meta says: {values}, status {told.status or 'not told'}."
    if told.is_coexistence:
        return made(Name.NUMBER, Level.GREEN, seen, at)
    if told.is_on_biz_app is None or told.platform_type is None:
        step = "Meta's lists lag behind a sign-up: check again in a minute."
        return made(Name.NUMBER, Level.AMBER, seen, at, step)
    step = (
        "Open the WhatsApp Business app, Settings > Account > Business Platform. If it is not connected, sign up again."
    )
    return made(Name.NUMBER, Level.RED, seen, at, step)


def worker(beats: Sequence[Beat], at: datetime) -> Check:
    """Whether somebody applies deliveries, asks for syncs and sends."""
    alive = [beat for beat in beats if beat.silent_s < BEAT_LATE_S]
    if alive:
        hosts = _listed(sorted({beat.host for beat in alive}))
        seen = f"{counted(len(alive), 'worker runs', 'workers run')} on {hosts}; last sign of life"
        return made(Name.WORKER, Level.GREEN, f"{seen} {alive[0].silent_s:.0f} s ago.", at)
    seen = f"The last sign of life was at {beats[0].beat_at:%Y-%m-%d %H:%M} UTC." if beats else "None was ever seen."
    return made(
        Name.WORKER, Level.RED, f"No worker runs. {seen}", at, "Start `coexist serve`, or `coexist work` beside it."
    )


def storage(beats: Sequence[Beat], least_bytes: int, at: datetime) -> Check:
    """Whether every worker can write files, and has room for more."""
    alive = [beat for beat in beats if beat.silent_s < BEAT_LATE_S]
    if not alive:
        return made(Name.STORAGE, Level.AMBER, "Nobody knows: no worker runs.", at, "Start a worker first.")
    for beat in alive:
        if beat.storage_error:
            return made(
                Name.STORAGE, Level.RED, f"{beat.host}: {beat.storage_error}", at, "Give it a place that it may write."
            )
    known = [(beat.free_bytes, beat.host) for beat in alive if beat.free_bytes is not None]
    if not known:
        return made(Name.STORAGE, Level.GREEN, "A file was written and taken away again.", at)
    free, host = min(known)
    seen = f"A file was written and taken away again. {free // MEBIBYTE:,} MiB are free on {host}."
    if free < 2 * least_bytes:
        step = f"Make room: with less than {least_bytes // MEBIBYTE:,} MiB (COEXIST_MEDIA_MIN_FREE_BYTES) files wait."
        return made(Name.STORAGE, Level.RED if free < least_bytes else Level.AMBER, seen, at, step)
    return made(Name.STORAGE, Level.GREEN, seen, at)


def database(state: DatabaseState, at: datetime) -> Check:
    """Whether the database takes what comes, and what came is applied in time."""
    if state.is_read_only:
        return made(
            Name.DATABASE, Level.RED, "The database takes no changes (read-only).", at, "Connect to its primary."
        )
    if state.oldest_waiting_at and state.now - state.oldest_waiting_at > WAITING_LONG:
        waits = counted(state.in_line, "delivery waits", "deliveries wait")
        minutes = (state.now - state.oldest_waiting_at) // timedelta(minutes=1)
        seen = f"It answers. {waits} to be applied, the oldest for {counted(minutes, 'minute')}."
        return made(Name.DATABASE, Level.AMBER, seen, at, "Wait, or start more workers (docs/scaling.md).")
    in_line = counted(state.in_line, "delivery is", "deliveries are")
    return made(Name.DATABASE, Level.GREEN, f"It answers and takes changes. {in_line} in line.", at)


def clocks(state: DatabaseState, beats: Sequence[Beat], at: datetime) -> Check:
    """Whether our hosts and the database agree about the time."""
    apart_s = [state.clock_ahead_s, *(beat.clock_ahead_ms / 1000 for beat in beats if beat.silent_s < BEAT_LATE_S)]
    worst_s = max(apart_s, key=abs)
    seen = f"Our clocks and the database's differ by {abs(worst_s):.1f} s at most."
    if abs(worst_s) < CLOCK_WARNING_S:
        return made(Name.CLOCK, Level.GREEN, seen, at)
    level = Level.RED if abs(worst_s) >= CLOCK_WRONG_S else Level.AMBER
    return made(Name.CLOCK, level, seen, at, "Let NTP set the clocks of all hosts.")


def is_meta(graph_url: str) -> bool:
    """Whether Graph is Meta's own, and not a stand-in that may call any address."""
    host = urlsplit(graph_url).hostname or ""
    return host == META_HOST or host.endswith(f".{META_HOST}")


def is_public(address: str) -> bool:
    """Whether the internet may reach an address: https, and a name or a global IP address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        is_reachable = ipaddress.ip_address(host).is_global
    except ValueError:
        is_reachable = "." in host and not host.endswith((".local", ".internal", ".localhost"))
    return parts.scheme == "https" and is_reachable


def names_of(inbox: Inbox) -> list[str]:
    """The names under which Meta's deliveries may speak of a number."""
    return [inbox.phone_number_id, inbox.waba_id]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _word(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not told"}[value]
