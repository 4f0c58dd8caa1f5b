"""Outgoing webhooks: which programs hear of what happens, how that goes, and what owners and admins do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import Connection, in_transaction, transaction
from coexist.events.feed import KEPT_DAYS
from coexist.people.model import Member
from coexist.web.access import Page, Viewer, is_partial, redirect
from coexist.web.conversations import shell
from coexist.web.render import Times, html
from coexist.web.state import Web
from coexist.webhooks import actions, rules, store
from coexist.webhooks.model import State, Webhook

PATH: Final = "/webhooks"


def standing(webhook: Webhook, times: Times) -> tuple[str, str, str]:
    """How a webhook stands: a chip's colour and word, and a sentence that says what happens next."""
    last = webhook.last_error or ""
    if webhook.state == State.DISABLED:
        return "bad", "Stopped", f"{last} Nothing more is sent until you resume it. {_kept()}"
    if webhook.state == State.PAUSED:
        return "", "Paused", f"Nothing is sent until you resume it. {_kept()}"
    if webhook.failing_since is not None:
        tries = f"Next try: {times.moment(webhook.next_at)}. After {rules.FAILING_DAYS} days it is stopped."
        return "busy", f"Failing since {times.moment(webhook.failing_since)}", f"{last} {tries}"
    if webhook.last_at is None:
        return "good", "Ready", "Nothing has happened yet that it could be told."
    return "good", "Working", f"It took the last events {times.moment(webhook.last_at)}."


def _kept() -> str:
    return f"What happens meanwhile waits for {KEPT_DAYS} days."


async def show_list(request: Request, web: Web, viewer: Viewer) -> Response:
    """All webhooks of the account, and the form for one more."""
    actions.check_may_keep(viewer.member)
    async with transaction(web.pool) as conn:
        found = await store.webhooks(conn, viewer.account_id)
    return html(
        web,
        "webhooks.html",
        **shell(viewer),
        path=PATH,
        webhooks=found,
        standing=standing,
        may_add=len(found) < actions.PER_ACCOUNT_MAX,
        per_account=actions.PER_ACCOUNT_MAX,
    )


async def show_webhook(request: Request, web: Web, viewer: Viewer) -> Response:
    """One webhook with its last attempts; the changing part alone when htmx asks."""
    actions.check_may_keep(viewer.member)
    async with transaction(web.pool) as conn:
        webhook = await store.webhook(conn, viewer.account_id, request.path_params["webhook_id"])
        attempts = await store.attempts(conn, webhook.id)
    return html(
        web,
        "parts/webhook.html" if is_partial(request) else "webhook.html",
        **shell(viewer),
        path=PATH,
        webhook=webhook,
        attempts=attempts,
        standing=standing,
        counted=store.WAITING_COUNTED,
        kept=store.ATTEMPTS_KEPT,
        former_hours=actions.FORMER_HOURS,
    )


async def add(request: Request, web: Web, viewer: Viewer) -> Response:
    """Add a webhook and show its secret, once."""
    form = await request.form()
    url, tells_syncs = str(form.get("url", "")), form.get("syncs") == "on"
    private = web.settings.webhooks_to_private

    async def act(conn: Connection) -> tuple[int, str]:
        return await actions.add(conn, web.keyring, viewer.member, url, tells_syncs=tells_syncs, may_be_private=private)

    webhook_id, secret = await in_transaction(web.pool, act)
    return html(
        web, "webhook_secret.html", **shell(viewer), path=f"{PATH}/{webhook_id}", secret=secret, former_hours=None
    )


async def rotate(request: Request, web: Web, viewer: Viewer) -> Response:
    """Make a new secret and show it, once."""
    webhook_id = request.path_params["webhook_id"]
    secret = await in_transaction(web.pool, lambda conn: actions.rotate(conn, web.keyring, viewer.member, webhook_id))
    return html(
        web,
        "webhook_secret.html",
        **shell(viewer),
        path=f"{PATH}/{webhook_id}",
        secret=secret,
        former_hours=actions.FORMER_HOURS,
    )


def decide(action: Callable[[Connection, Member, int], Awaitable[None]]) -> Page:
    """The form that does ``action`` to one webhook and shows it again."""

    async def page(request: Request, web: Web, viewer: Viewer) -> Response:
        webhook_id = request.path_params["webhook_id"]
        await in_transaction(web.pool, lambda conn: action(conn, viewer.member, webhook_id))
        return redirect(f"{PATH}/{webhook_id}")

    return page


async def remove(request: Request, web: Web, viewer: Viewer) -> Response:
    """Remove a webhook."""
    webhook_id = request.path_params["webhook_id"]
    await in_transaction(web.pool, lambda conn: actions.remove(conn, viewer.member, webhook_id))
    return redirect(PATH)
