"""Passwords: argon2id, checked at the same cost whether or not the e-mail is known."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from coexist.base.errors import Invalid

MIN_CHARS: Final = 10
MAX_CHARS: Final = 1_000
"""More would only make the hash slow for everybody else."""

HASHER = PasswordHasher()


async def hashed(password: str) -> str:
    """Return the argon2id hash, or raise Invalid when the password is too short or too long."""
    if len(password) < MIN_CHARS:
        raise Invalid(f"The password needs at least {MIN_CHARS} characters.")
    if len(password) > MAX_CHARS:
        raise Invalid(f"The password may have at most {MAX_CHARS} characters.")
    return await asyncio.to_thread(HASHER.hash, password)


async def fits(password: str, password_hash: str | None) -> bool:
    """Whether the password belongs to the hash. Without a hash it takes as long, and the answer is no."""
    return await asyncio.to_thread(_fits, password[: MAX_CHARS + 1], password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than today's, and should be made again."""
    return HASHER.check_needs_rehash(password_hash)


def _fits(password: str, password_hash: str | None) -> bool:
    try:
        matches = HASHER.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


@cache
def _nobodys_hash() -> str:
    return HASHER.hash("the password of nobody")
