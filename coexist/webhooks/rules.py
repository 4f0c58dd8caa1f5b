"""Pure decisions: where a webhook may go, how it is signed, when it is tried again and when no more."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from coexist.base.errors import Invalid

URL_CHARS_MAX: Final = 2_000
FIRST_PAUSE_S: Final = 5
PAUSE_MAX_S: Final = 3600
FAILING_DAYS: Final = 5
"""A program that takes nothing for this long is told no more until somebody resumes it: the feed is kept longer."""
FAILURES_MIN: Final = 50
"""As many attempts it must have refused besides: a clock that jumps disables nothing."""

GONE: Final = 410
TIMESTAMP_HEADER: Final = "Coexist-Timestamp"
SIGNATURE_HEADER: Final = "Coexist-Signature"
WEBHOOK_HEADER: Final = "Coexist-Webhook"

Address = IPv4Address | IPv6Address

METADATA: Final = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))
"""Where clouds give their secrets away, beside the link-local 169.254.169.254."""
NOT_GLOBAL: Final = tuple(map(ip_network, ("fec0::/10", "192.0.0.0/24")))
"""Networks of a site, or of no use to programs, that not every version of Python knows as such."""
NAT64: Final = IPv6Network("64:ff9b::/96")


def checked_url(raw: str, *, may_be_private: bool) -> str:
    """Return the address of a program, or raise Invalid with what is wrong with it.

    http is for private networks alone, so it needs ``may_be_private``; what a name resolves to is looked at with each
    connection, by ``may_connect``.
    """
    url = raw.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise Invalid("This is no web address.", next_step="Give one such as https://crm.example.com/coexist.")
    if parts.username is not None or parts.fragment:
        raise Invalid(
            "The address has a name and password, or a part after #, in it.",
            next_step="Leave them out: every POST is signed, which proves more than a password.",
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and may_be_private):
        raise Invalid("The address must begin with https://.", next_step="What is told must not be read on its way.")
    address = _literal(host)
    if address is not None and not may_connect(address, is_encrypted=parts.scheme == "https", private=may_be_private):
        raise Invalid(NOT_ALLOWED, next_step="Give a public https address, or ask whoever runs this installation.")
    return url


NOT_ALLOWED: Final = "This address is in a network that webhooks may not go to."


def may_connect(address: Address, *, is_encrypted: bool, private: bool) -> bool:
    """Whether a webhook may connect to an address: a public one over https, a ``private`` one where it is allowed.

    Never to what gives a cloud's secrets away, whatever is allowed.
    """
    inner = _inner(address)
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner in METADATA:
        return False
    is_public = inner.is_global and not inner.is_reserved and not any(inner in network for network in NOT_GLOBAL)
    return is_encrypted if is_public else private


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it stands for one."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def signature(secrets: Sequence[bytes], timestamp: int, body: bytes) -> str:
    """Return the signature header: HMAC-SHA256 of ``timestamp.body`` under each secret that counts."""
    signed = b"%d." % timestamp + body
    return ",".join(f"v1={hmac.new(secret, signed, hashlib.sha256).hexdigest()}" for secret in secrets)


def pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row: 5 seconds, doubling, an hour at most; give or take."""
    longest = min(FIRST_PAUSE_S * 2 ** min(failures - 1, 30), PAUSE_MAX_S)
    return timedelta(seconds=longest * random.uniform(0.75, 1.0))  # noqa: S311


def gives_up(status: int | None, failures: int, failing_since: datetime, now: datetime) -> bool:
    """Whether a webhook ends with this failure: its program says that it is gone, or was away for FAILING_DAYS."""
    return status == GONE or (failures >= FAILURES_MIN and now - failing_since >= timedelta(days=FAILING_DAYS))


def said(status: int) -> str | None:
    """Return what is wrong with a status, None for one that means "taken"."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"It answered {status}, which leads elsewhere. Webhooks follow nobody: give the final address."
    if status == GONE:
        return "It answered 410: it is gone and wants no more."
    return f"It answered {status}."
