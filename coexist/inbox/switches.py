"""What is taken in of a number: three switches, each for the installation, for an account and for a number.

All levels must be on. The installation's are settings; of the others a row says that one is off, and who threw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from coexist.base.config import Settings


class Switch(StrEnum):
    """What can be left out."""

    HISTORY = "history"
    CONTACTS = "contacts"
    MEDIA = "media"


class Level(StrEnum):
    """For what a switch is thrown."""

    INSTALLATION = "installation"
    ACCOUNT = "account"
    INBOX = "inbox"


EVERYTHING: Final = frozenset(Switch)

_SETTINGS: Final = {Switch.HISTORY: "sync_history", Switch.CONTACTS: "sync_contacts", Switch.MEDIA: "sync_media"}


def allowed(settings: Settings) -> frozenset[Switch]:
    """Return what this installation takes in at all: COEXIST_SYNC_HISTORY, _CONTACTS and _MEDIA."""
    return frozenset(switch for switch, name in _SETTINGS.items() if getattr(settings, name))


def variable(switch: Switch) -> str:
    """Return the variable of the installation's switch."""
    return f"COEXIST_{_SETTINGS[switch].upper()}"


@dataclass(frozen=True, slots=True)
class Off:
    """A switch that is off. Nobody knows who set the installation's, and when."""

    kind: str
    level: str
    by: str | None = None
    at: datetime | None = None


OFFS: Final = """
SELECT kind::text, CASE WHEN inbox_id IS NULL THEN 'account' ELSE 'inbox' END AS level, by, at
  FROM switched_off
 WHERE account_id = %s AND (inbox_id IS NULL OR inbox_id = %s)
 ORDER BY kind, inbox_id NULLS FIRST
"""


async def offs(
    conn: AsyncConnection[Any], installation: frozenset[Switch], account_id: int, inbox_id: int | None = None
) -> Sequence[Off]:
    """Return every switch that is off for a number, or for the account as a whole, the widest level first."""
    async with conn.cursor(row_factory=class_row(Off)) as cursor:
        await cursor.execute(OFFS, (account_id, inbox_id))
        rows = await cursor.fetchall()
    return [*(Off(kind, Level.INSTALLATION) for kind in Switch if kind not in installation), *rows]
