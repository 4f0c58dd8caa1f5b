"""Who works here: accounts (tenants), users, and the role a user has in an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do in an account, from least to most."""

    AGENT = "agent"
    ADMIN = "admin"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant: its inboxes, contacts and people are invisible to every other."""

    id: int
    name: str
    keep_open_days: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A user as a member of one account: the actor of every action."""

    user_id: int
    account_id: int
    name: str
    email: str
    role: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signing in compares. Never leaves this folder."""

    user_id: int
    password_hash: str | None
