"""The support bundle: what somebody who helps needs of an installation, and nothing that is anybody's business.

Ids of Meta's, times, counts, versions, settings without secrets, the doctor's checks, errors by code. No message, no
name, no number of a customer, no token; whatever looks like one in a sentence is masked besides.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import msgspec

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.coexistence import checks_doctor, checks_evidence, checks_rules, checks_store, store
from coexist.coexistence.checks_model import Diagnosis
from coexist.inbox import inboxes
from coexist.inbox.inboxes import Inbox

TIMELINE_COUNT: Final = 50
QUARANTINE_COUNT: Final = 20
HIDDEN_SETTINGS: Final = frozenset({"s3_access_key"})
"""Half of a secret: as secret as the other half."""
SHOWN_DIGITS: Final = 3
_NUMBER: Final = re.compile(r"(?<![\w.:-])\+?\d[\d ().-]{5,20}\d(?![\w:-])")
"""What may be a phone number as people write it: seven digits and more, on their own."""
_BARE: Final = re.compile(r"(?<![\w.])\d{7,15}(?!\w)")
_SECRET: Final = re.compile(r"EAA\w{6,}|[A-Za-z0-9+/_-]{40,}={0,2}")
_NAMED: Final = re.compile(r"wamid\.[\w+/=-]+|\b[A-Z]{2}\.(?:ENT\.)?\w{5,}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
"""An id of a message, a user's id, an address: Meta's sentences may quote them."""
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


async def bundle(conn: Connection, keyring: Keyring, settings: Settings, numbers: Sequence[tuple[int, int]]) -> bytes:
    """Return the bundle of some numbers, (account id, inbox id) each, as JSON. Asks nobody outside. Raises NotFound."""
    state = await checks_store.database_state(conn)
    beats = await checks_store.beats(conn)
    told = {
        "made_at": clock.now(),
        "versions": await _versions(conn),
        "settings": _settings(settings),
        "database": asdict(state),
        "workers": [{**asdict(beat), "storage_error": bool(beat.storage_error)} for beat in beats],
        "inboxes": [await _inbox(conn, keyring, settings, *number) for number in numbers],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2)


async def _versions(conn: Connection) -> dict[str, Any]:
    database = await (await conn.execute("SHOW server_version")).fetchone()
    last = await (await conn.execute("SELECT max(migration_id) FROM _yoyo_migration")).fetchone()
    return {
        "coexist": version("coexist"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "postgresql": database and database[0],
        "migration": last and last[0],
    }


def _settings(settings: Settings) -> dict[str, Any]:
    """Every setting; of secrets whether they are set."""
    told: dict[str, Any] = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.metadata["secret"] or one.name in HIDDEN_SETTINGS:
            told[one.name] = "set" if value else "not set"
        else:
            told[one.name] = list(value) if isinstance(value, tuple) else value if value is None else _plain(value)
    return told


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int) else re.sub(r"//[^/@]*@", "//", str(value))


SYNC_FIELDS: Final = (
    "kind", "onboarded_at", "state", "wanted_at", "requested_at", "request_id", "refusals", "first_arrival_at",
    "last_arrival_at", "completed_at", "declined_at", "error_code", "error_at",
)  # fmt: skip


async def _inbox(
    conn: Connection, keyring: Keyring, settings: Settings, account_id: int, inbox_id: int
) -> dict[str, Any]:
    inbox = await inboxes.get(conn, account_id, inbox_id)
    diagnosis = await checks_doctor.diagnose(conn, keyring, settings, account_id, inbox_id)
    return {
        "id": inbox.id,
        "phone_number_id": inbox.phone_number_id,
        "waba_id": inbox.waba_id,
        "is_coexistence": inbox.is_coexistence,
        "onboarded_at": inbox.onboarded_at,
        "state": inbox.state,
        "state_reason": masked(inbox.state_reason or "", ()),
        "state_at": inbox.state_at,
        "switched_off": list(inbox.switched_off),
        "syncs": [{name: getattr(sync, name) for name in SYNC_FIELDS} for sync in await store.syncs(conn, inbox_id)],
        "phases": [asdict(phase) for phase in await store.phases(conn, inbox_id)],
        "last_by_field": await checks_store.sightings(conn, checks_rules.names_of(inbox), since=inbox.owned_from),
        "failures": [asdict(one) for one in await checks_evidence.failures(conn, inbox_id)],
        "files_missing": [asdict(one) for one in await checks_evidence.lacks(conn, inbox_id)],
        "waiting": asdict(await checks_evidence.waiting(conn, inbox)),
        "kept_back": [asdict(one) for one in await checks_evidence.kept_back(conn, inbox)],
        "line": asdict(await checks_evidence.line(conn, inbox_id)),
        "quarantine": await _quarantine(conn, inbox),
        "timeline": await _timeline(conn, inbox_id),
        "doctor": _diagnosis(diagnosis, {inbox.phone_number_id, inbox.waba_id, settings.app_id or ""}),
    }


QUARANTINE: Final = f"""
SELECT kind, substring(error FROM '^[A-Za-z]+(?=:|$)') AS error, attempts, since, last_at
  FROM quarantine WHERE {checks_evidence.OF_NUMBER} ORDER BY id DESC LIMIT %(limit)s
"""


async def _quarantine(conn: Connection, inbox: Inbox) -> list[dict[str, Any]]:
    """The newest parts that could not be applied; of their errors the type alone, for the rest may quote the part."""
    values = checks_evidence.number_of(inbox) | {"limit": QUARANTINE_COUNT}
    rows = await (await conn.execute(QUARANTINE, values)).fetchall()
    return [dict(zip(("kind", "error", "attempts", "since", "last_at"), row, strict=True)) for row in rows]


TIMELINE: Final = "SELECT at, field, event FROM inbox_timeline WHERE inbox_id = %s ORDER BY at DESC, id DESC LIMIT %s"


async def _timeline(conn: Connection, inbox_id: int) -> list[dict[str, Any]]:
    """What happened, without what Meta said about it."""
    rows: list[tuple[datetime, str, str]] = await (await conn.execute(TIMELINE, (inbox_id, TIMELINE_COUNT))).fetchall()
    return [{"at": at, "field": field, "event": masked(event, ())} for at, field, event in rows]


def _diagnosis(diagnosis: Diagnosis, ids: set[str]) -> Mapping[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(diagnosis))
    for question in told["questions"]:
        question["verdict"] = masked(question["verdict"], ids)
        for check in question["checks"]:
            check["seen"] = masked(check["seen"], ids)
            check["next_step"] = masked(check["next_step"], ids)
    return told


def masked(text: str, ids: set[str] | tuple[str, ...]) -> str:
    """Return a sentence in which all that may be a phone number or a secret is masked, but for ``ids`` of ours."""

    def mask(found: re.Match[str]) -> str:
        raw = found[0]
        digits = re.sub(r"\D", "", raw)
        if digits in ids or _TIME.match(raw):
            return raw
        return f"{'•' * max(0, len(digits) - SHOWN_DIGITS)}{digits[-SHOWN_DIGITS:]}"

    text = _NAMED.sub("[id]", text)
    for pattern in (_NUMBER, _BARE):
        text = pattern.sub(mask, text)
    return _SECRET.sub("[secret]", text)
