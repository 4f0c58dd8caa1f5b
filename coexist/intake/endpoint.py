"""Meta's webhook endpoint: verify the raw bytes, make them durable, answer 200 (meta-protocol 4).

A raw ASGI callable beside the framework: it decodes nothing, and a framework would cost half of its rate. Nothing in a
body can make it answer anything but 200 once the signature is right; what the body means is found out later. Small
deliveries do not come this far (``protocol``).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import structlog

from coexist.base.config import Settings
from coexist.base.crypto import Keyring, verify_signature
from coexist.base.errors import AppError
from coexist.intake.journal import Journal
from coexist.intake.sealing import seal
from coexist.meta.route import lane_of

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SIGNATURE_HEADER = b"x-hub-signature-256"

RETRY_AFTER = (b"retry-after", b"5")
"""Told with 503, in s; Meta follows its own plan."""

DRAINED_BYTES = 64 * 1024 * 1024
"""How much of a body that is too large is still read, and thrown away at once."""

AT_ONCE_BYTES = 32 * 1024
"""Bodies up to this size are verified and sealed at once (a thread would cost more); larger ones hold nobody up."""


_OK_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")],
}
_OK_BODY = {"type": "http.response.body", "body": b""}


class BodyTooLarge(Exception):
    """More bytes than COEXIST_WEBHOOK_MAX_BYTES."""


class ClientGone(Exception):
    """The sender hung up before its body was complete."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """The ASGI app at ``/webhook``."""

    settings: Settings
    keyring: Keyring
    journal: Journal
    verified: Callable[[], Awaitable[None]]
    """Called when somebody who knows our verify token has verified the address."""
    refused: Callable[[], Awaitable[None]]
    """Called when a delivery was signed with another secret than ours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer ``GET`` (verification) and ``POST`` (a delivery); other methods get 405."""
        match scope["method"]:
            case "POST":
                await self._accept(scope, receive, send)
            case "GET" | "HEAD":
                await self._verify(scope, send)
            case _:
                await _answer(send, 405, b"Only GET and POST.", (b"allow", b"GET, POST"))

    async def _verify(self, scope: Scope, send: Send) -> None:
        """Give back ``hub.challenge`` to whoever knows our verify token (meta-protocol 4.1)."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        mode, token, challenge = (query.get(f"hub.{name}", [""])[0] for name in ("mode", "verify_token", "challenge"))
        expected = self.settings.verify_token
        if mode == "subscribe" and expected and hmac.compare_digest(token.encode(), expected.encode()):
            log.info("webhook_verified")
            await _answer(send, 200, challenge.encode())
            await self.verified()
        else:
            log.warning("webhook_verification_refused", mode=mode, token_is_set=bool(expected))
            await _answer(send, 403, b"The verify token is not the one in COEXIST_VERIFY_TOKEN.")

    async def _accept(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store a signed delivery and say 200; anything else must make Meta keep it and send it again."""
        headers = dict(scope["headers"])
        try:
            body = await _read(receive, headers, self.settings.webhook_max_bytes)
        except BodyTooLarge:
            log.error("webhook_too_large", limit_bytes=self.settings.webhook_max_bytes)
            await _answer(send, 413, b"The body is larger than COEXIST_WEBHOOK_MAX_BYTES.", (b"connection", b"close"))
            return
        except ClientGone:
            return
        signature = headers.get(SIGNATURE_HEADER)
        given = signature.decode("latin-1") if signature else None
        is_small = len(body) <= AT_ONCE_BYTES
        stored = self.checked(body, given) if is_small else await asyncio.to_thread(self.checked, body, given)
        if stored is None:
            log.warning("webhook_signature_refused", is_signed=signature is not None, bytes=len(body))
            await _answer(send, 401, b"The signature does not fit the body and COEXIST_APP_SECRET.")
            if signature is not None:
                await self.refused()
            return
        try:
            await self.journal.append(stored, lane=lane_of(body))
        except AppError as error:
            await _answer(send, error.status, error.message.encode(), RETRY_AFTER)
            return
        await send(_OK_START)
        await send(_OK_BODY)

    def checked(self, body: bytes, signature: str | None) -> bytes | None:
        """Return the body as the journal keeps it, or nothing if Meta did not sign it."""
        if not verify_signature(self.settings.app_secrets, body, signature):
            return None
        return seal(self.keyring, body)


async def _read(receive: Receive, headers: dict[bytes, bytes], max_bytes: int) -> bytes:
    """Read the body, never more than ``max_bytes`` of it into memory.

    The rest of one that is too large is thrown away as it comes, DRAINED_BYTES at most: a sender whose connection
    breaks under its hands never reads why.
    """
    announced = headers.get(b"content-length", b"0")
    if b"expect" in headers and announced.isdigit() and int(announced) > max_bytes:
        raise BodyTooLarge  # who asks before sending has sent nothing yet
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        is_last = not message.get("more_body", False)
        if size <= max_bytes:
            chunks.append(chunk)
            if is_last:
                return b"".join(chunks)
        else:
            chunks.clear()
            if is_last or size > max_bytes + DRAINED_BYTES:
                raise BodyTooLarge


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
