"""Stands before every page: forms only from our own pages, bodies of a sane size, headers that keep browsers strict."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coexist.base.config import Settings
from coexist.base.errors import AppError, Forbidden, TooLarge
from coexist.web.access import comes_from_us
from coexist.web.failures import failure_response

FORM_BYTES_MAX: Final = 256 * 1024
"""The largest form accepted, in bytes. The longest text of ours is far below it."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def content_policy(settings: Settings) -> str:
    """Everything from ourselves, no inline script or style, framed by nobody but those the settings name."""
    ancestors = " ".join(settings.frame_ancestors) or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )


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

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = None if scope["method"] in SAFE_METHODS else self._refusal(Headers(scope=scope))
        if refusal is not None:
            response = failure_response(Request(scope), refusal)
            await response(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> AppError | None:
        if not comes_from_us(headers, self._settings):
            return Forbidden(
                "This form was not sent from our own pages.", next_step="Open the page here, and try again."
            )
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > FORM_BYTES_MAX:
            return TooLarge(f"A form can have {FORM_BYTES_MAX // 1024} KB at most, and must say how long it is.")
        return None
