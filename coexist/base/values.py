"""What a setting may be: each function reads one from text, or raises ValueError with the words of what it wants."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KEY_BYTES: Final = 32
DAYS_MAX: Final = 36_500


def text(raw: str) -> str:
    """Anything."""
    return raw


def number(low: int, high: int) -> Callable[[str], int]:
    """A whole number from ``low`` to ``high``."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def days(low: int) -> Callable[[str], int]:
    """Days, 0 for ever."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,5}", raw) or not (raw == "0" or low <= int(raw) <= DAYS_MAX):
            raise ValueError(f"a number of days from {low} to {DAYS_MAX}, or 0 for ever")
        return int(raw)

    return parse


def switch(raw: str) -> bool:
    """Yes or no, in the usual words."""
    if raw.lower() in ("true", "yes", "on", "1"):
        return True
    if raw.lower() in ("false", "no", "off", "0"):
        return False
    raise ValueError("true or false")


def choice(*names: str) -> Callable[[str], str]:
    """One of ``names``."""

    def parse(raw: str) -> str:
        if raw.lower() not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return raw.lower()

    return parse


def matching(pattern: str, words: str) -> Callable[[str], str]:
    """What matches ``pattern`` as a whole; ``words`` say what that is."""

    def parse(raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise ValueError(words)
        return raw

    return parse


def web_address(raw: str) -> str:
    """An address without query or fragment; a closing slash is dropped."""
    words = "a web address such as https://inbox.example.com"
    try:
        parts = urlsplit(raw)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(words) from error
    if parts.scheme not in ("http", "https") or not named or parts.query or parts.fragment:
        raise ValueError(words)
    return raw.rstrip("/")


def database_url(raw: str) -> str:
    """An address of PostgreSQL."""
    if not raw.startswith(("postgresql://", "postgres://")):
        raise ValueError("a PostgreSQL address such as postgresql://user:password@host:5432/coexist")
    return raw


def folder(raw: str) -> Path:
    """A folder, which may be missing yet."""
    path = Path(raw).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("a folder, but a file of that name is there")
    return path.absolute()


def file(raw: str) -> Path:
    """A file, which may be missing yet."""
    path = Path(raw).expanduser()
    if path.is_dir():
        raise ValueError("a file, but a folder of that name is there")
    return path.absolute()


def listed(raw: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def secrets(raw: str) -> tuple[bytes, ...]:
    """Secrets separated by commas."""
    return tuple(part.encode() for part in listed(raw))


def keys(raw: str) -> tuple[bytes, ...]:
    """Keys in base64, separated by commas."""
    try:
        keys = tuple(base64.b64decode(part, validate=True) for part in listed(raw))
    except (binascii.Error, ValueError):
        keys = (b"",)
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"{KEY_BYTES} random bytes in base64, as `openssl rand -base64 {KEY_BYTES}` prints them")
    return keys


def origins(raw: str) -> tuple[str, ...]:
    """Origins of web pages, separated by commas."""
    origins = listed(raw)
    if not all(re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin) for origin in origins):
        raise ValueError("origins such as https://crm.example.com, without a path, separated by commas")
    return origins


def proxies(raw: str) -> tuple[str, ...]:
    """Addresses or networks, separated by commas."""
    proxies = listed(raw)
    try:
        for proxy in proxies:
            ipaddress.ip_network(proxy, strict=False)
    except ValueError as error:
        raise ValueError("addresses or networks such as 10.0.0.0/8, separated by commas") from error
    return proxies


def hosts(raw: str) -> tuple[str, ...]:
    """Host names, separated by commas."""
    hosts = tuple(host.lower() for host in listed(raw))
    if not all(re.fullmatch(r"[a-z0-9.-]+(:[0-9]{1,5})?", host) for host in hosts):
        raise ValueError("host names such as lookaside.fbsbx.com, separated by commas")
    return hosts
