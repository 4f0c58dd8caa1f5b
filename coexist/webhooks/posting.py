"""One POST to somebody's program, and what is guarded against: an address inside our own network, and slowness.

A name is resolved anew for each connection and what it gives is judged there, so that a name which leads to a public
address when it is added and to ours later (DNS rebinding) gets nowhere. No redirect is followed, no answer is read.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from coexist.webhooks import rules
from coexist.webhooks.model import Outcome

CONNECT_S: Final = 5.0
ATTEMPT_S: Final = 10.0
"""From resolving the name to the status line of the answer: a program that takes longer to work takes it in first."""


class AddressRefused(OSError):
    """A connection to an address that webhooks may not go to."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, rules.NOT_ALLOWED)


@dataclass(frozen=True, slots=True)
class Post:
    """The way out: a session for each scheme, as the address decides what may be spoken to in the clear."""

    sessions: Mapping[str, aiohttp.ClientSession]

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post ``body`` once, and return what became of it. Never raises for what the other side does."""
        began = time.monotonic()
        status, error = await self._send(url, body, headers)
        return Outcome(status, error, round((time.monotonic() - began) * 1000))

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str | None]:
        session = self.sessions.get(urlsplit(url).scheme)
        if session is None:
            return None, rules.NOT_ALLOWED
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status, rules.said(response.status)
        except TimeoutError:
            return None, f"No answer came within {ATTEMPT_S:.0f} seconds."
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # UnicodeError: of a name that cannot be one
            return None, _words(error)


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | UnicodeError():
            return "Its name leads to no address."
        case aiohttp.ClientConnectorCertificateError():
            return "Its certificate is not valid for this name, or not trusted."
        case aiohttp.ClientConnectorSSLError() | aiohttp.ClientSSLError():
            return "It speaks no TLS that we understand."
        case aiohttp.ClientConnectorError(os_error=AddressRefused()):
            return rules.NOT_ALLOWED
        case aiohttp.ClientConnectorError():
            return "It cannot be reached: no connection was made."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "The connection broke before an answer came."
        case _:
            return "What it answered is no answer of a web server."


@asynccontextmanager
async def open_post(*, may_be_private: bool) -> AsyncIterator[Post]:
    """The way out of a process. ``may_be_private``: also to private networks, and there without encryption."""
    schemes = ("https", "http") if may_be_private else ("https",)
    sessions = {scheme: _session(scheme == "https", may_be_private) for scheme in schemes}
    try:
        yield Post(sessions)
    finally:
        await asyncio.gather(*(session.close() for session in sessions.values()))


def _session(is_encrypted: bool, may_be_private: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, socket_factory=partial(_socket, is_encrypted=is_encrypted, private=may_be_private)
    )
    times = aiohttp.ClientTimeout(total=ATTEMPT_S, connect=CONNECT_S)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=times,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "Coexist", "Content-Type": "application/json"},
    )


def _socket(info: tuple[Any, ...], *, is_encrypted: bool, private: bool) -> socket.socket:
    """The socket for one of the addresses that a name leads to, if we may connect there."""
    family, type_, protocol, _, (host, *_) = info
    if not rules.may_connect(ip_address(host.partition("%")[0]), is_encrypted=is_encrypted, private=private):
        raise AddressRefused
    return socket.socket(family, type_, protocol)
