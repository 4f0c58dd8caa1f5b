"""Deliveries as they leave the socket: uvicorn's HTTP protocol, which takes the small ones itself.

Nearly all that Meta sends is a message or a few. Once such a request is read, all that is left is to verify it, to seal
it and to wait for its group's commit, and for that a callback is enough: a task, a scope and four messages of ASGI cost
more than all of it (docs/decisions/0011). Whatever is not plain goes on to the ASGI app as if this were not here, and
``endpoint.Webhook`` answers: what is large, of unknown size, asks before it sends, or is not signed as it should be.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from coexist.base.errors import AppError
from coexist.intake.endpoint import AT_ONCE_BYTES, RETRY_AFTER, SIGNATURE_HEADER, Webhook
from coexist.meta.route import lane_of

_SIZES: Final = frozenset(str(size).encode() for size in range(AT_ONCE_BYTES + 1))
"""What ``content-length`` says of a small body. Any other form of it is not plain."""

_NOT_PLAIN: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"connection"})
"""Headers after which HTTP's finer rules count: the rest is uvicorn's."""


class Acceptance:
    """A delivery that waits for its commit, in the place of uvicorn's own request: that reads and writes these fields.

    While it waits, a request behind it on the same connection waits as well, and stopping lets it be answered.
    """

    __slots__ = ("body", "disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self, message_event: asyncio.Event) -> None:
        self.body = bytearray()
        self.disconnected = False
        self.keep_alive = True
        self.message_event = message_event
        self.response_complete = False


class DeliveryProtocol(HttpToolsProtocol):
    """One connection. Make uvicorn's ``Config`` with a ``functools.partial`` of it for ``webhook`` at ``path``."""

    def __init__(self, webhook: Webhook, path: bytes, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._webhook, self._path = webhook, path
        self._body: bytearray | None = None
        """What came of the body of a plain delivery; None while the request is uvicorn's."""
        self._signature: bytes | None = None
        self._unused = asyncio.Event()

    def on_headers_complete(self) -> None:
        """Keep a plain delivery; anything else begins as ever."""
        if self.url == self._path and self._is_plain():
            self._body = bytearray()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if self._body is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Take in the delivery; one that cannot be taken in is handed on whole, to be answered in words."""
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = bytes(self._body), None
        if not self._take_in(body):
            super().on_headers_complete()
            super().on_body(body)
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. A delivery before it is still answered first, for that its sender waits for."""
        if isinstance(self.cycle, Acceptance) and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            super().send_400_response(msg)

    def _is_plain(self) -> bool:
        """Whether nothing has to be known of the request but that it is a small ``POST`` on a connection that stays."""
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        headers = dict(self.headers)
        self._signature = headers.get(SIGNATURE_HEADER)
        return headers.get(b"content-length") in _SIZES and _NOT_PLAIN.isdisjoint(headers)

    def _take_in(self, body: bytes) -> bool:
        """Put a delivery in line for the journal; False when it is not Meta's, or there is no room for it."""
        stored = self._webhook.checked(body, self._signature.decode("latin-1") if self._signature else None)
        if stored is None:
            return False
        try:
            committed = self._webhook.journal.put(stored, lane=lane_of(body))
        except AppError:
            return False
        waiting: Any = Acceptance(self._unused)
        self.cycle = waiting
        committed.add_done_callback(lambda done: self._answer(waiting, done))
        return True

    def _answer(self, waiting: Acceptance, committed: asyncio.Future[None]) -> None:
        """200 once it is durable, 503 if it is not: then Meta sends it again."""
        error = committed.exception()
        waiting.response_complete = True
        if not self.transport.is_closing():
            self.transport.write(_answer_of(error, keep_alive=waiting.keep_alive))
            if not waiting.keep_alive:  # the server is stopping
                self.transport.close()
        self.on_response_complete()


def _answer_of(error: BaseException | None, *, keep_alive: bool) -> bytes:
    if error is None and keep_alive:
        return _OK
    status, body = (b"200 OK", b"") if error is None else (b"503 Service Unavailable", str(error).encode())
    name, value = RETRY_AFTER
    further = b"" if error is None else b"%s: %s\r\n" % (name, value)
    further += b"" if keep_alive else b"connection: close\r\n"
    return _HEAD % (status, len(body), further) + body


_HEAD: Final = b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%s\r\n"
_OK: Final = _HEAD % (b"200 OK", 0, b"")
