"""Stands before every page: forms only from our own pages, bodies of a sane size, headers that keep browsers strict."""

from __future__ import annotations

import asyncio
import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coexist.base.config import Settings
from coexist.base.errors import AppError, Forbidden, TooLarge, Unavailable
from coexist.exported_chats.archive import PACKAGE_BYTES_MAX
from coexist.outbound import template_files
from coexist.web.access import comes_from_us
from coexist.web.failures import failure_response

FORM_BYTES_MAX: Final = 256 * 1024
"""The largest form accepted, in bytes. The longest text of ours is far below it."""

UPLOAD_BYTES_MAX: Final = {"/exported-chats": PACKAGE_BYTES_MAX}
"""Paths that take a whole file, and the largest there, in bytes. They write it down as it comes."""

TEMPLATE: Final = re.compile(r"/conversations/\d+/templates/\d+")
TEMPLATE_BYTES_MAX: Final = max(template_files.BYTES_MAX.values()) + FORM_BYTES_MAX
"""Where a template is sent, whose head can be a file. It is kept outside of memory while it comes."""

STOPPED: Final = Unavailable(
    "The inbox was stopped while this was being done, so it was most likely not done.",
    next_step="Wait a moment, load the page again, and if it does not show there, send it once more.",
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def content_policy(settings: Settings, *, opens_dialog: bool = False) -> str:
    """Everything from ourselves, no inline script or style, framed by nobody but those the settings name.

    A page that ``opens_dialog`` may load Meta's JavaScript SDK besides, which frames and asks Meta's site.
    """
    ancestors = " ".join(settings.frame_ancestors) or "'none'"
    sdk, site = (f" {_origin(settings.signup_sdk_url)}", _site(settings)) if opens_dialog else ("", "")
    frames = f"frame-src{site}; " if opens_dialog else ""
    return (
        f"default-src 'none'; script-src 'self'{sdk}; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        f"connect-src 'self'{site}; {frames}form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )


def _site(settings: Settings) -> str:
    """The site of Meta's window with its subdomains; a stand-in's address has none."""
    origin = _origin(settings.signup_dialog_url)
    scheme, host = origin.split("://")
    has_subdomains = host.rpartition(".")[2].isalpha()
    return f" {origin} {scheme}://*.{host}" if has_subdomains else f" {origin}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def dialog_headers(settings: Settings) -> dict[str, str]:
    """What a page sends along that opens Meta's window. Meta is told our origin, by which it knows the app's domain."""
    return {
        "Content-Security-Policy": content_policy(settings, opens_dialog=True),
        "Referrer-Policy": "strict-origin-when-cross-origin",
    }


class Guard:
    """ASGI middleware around all pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._headers = {
            "Content-Security-Policy": content_policy(settings),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = None if scope["method"] in SAFE_METHODS else self._refusal(Headers(scope=scope), scope["path"])
        if refusal is not None:
            response = failure_response(Request(scope), refusal)
            await response(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # a server that stops ends so what takes longer than it may wait
            if is_begun:
                raise
            response = failure_response(Request(scope), STOPPED)
            await response(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, path: str) -> AppError | None:
        if not comes_from_us(headers, self._settings):
            return Forbidden(
                "This form was not sent from our own pages.", next_step="Open the page here, and try again."
            )
        length = headers.get("content-length", "")
        file_limit = TEMPLATE_BYTES_MAX if TEMPLATE.fullmatch(path) else UPLOAD_BYTES_MAX.get(path)
        what, limit = ("A form", FORM_BYTES_MAX) if file_limit is None else ("A file", file_limit)
        if not length.isdecimal() or int(length) > limit:
            return TooLarge(f"{what} can have {limit // 1024:,} KB at most, and must say how long it is.")
        return None
