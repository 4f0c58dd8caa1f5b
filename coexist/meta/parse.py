"""A delivery's bytes → the facts in it: pure, without database or network, the same for every replay.

What decides is the change's ``field`` (`FIELDS`), never which arrays happen to be there. Every entry, change and
item is read; each can be broken on its own and then becomes a `Problem` beside its neighbours' facts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Raw

from coexist.meta import wire
from coexist.meta.account import read_account_update
from coexist.meta.contacts_sync import read_state_sync
from coexist.meta.decode import clean, given, merged, read, unwrapped
from coexist.meta.echoes import read_echoes
from coexist.meta.history import read_history
from coexist.meta.identity import read_user_id_updates
from coexist.meta.inbound import read_messages
from coexist.meta.model import Parsed
from coexist.meta.notices import read_calls, read_groups, read_notice, read_preferences
from coexist.meta.reading import Change, Reading

OBJECT: Final = "whatsapp_business_account"

FIELDS: Final[dict[str, Callable[[Change], None]]] = {
    "messages": read_messages,
    "history": read_history,
    "smb_app_state_sync": read_state_sync,
    "smb_message_echoes": read_echoes,
    "message_echoes": read_echoes,
    "user_id_update": read_user_id_updates,
    "account_update": read_account_update,
    "account_alerts": read_notice,
    "account_review_update": read_notice,
    "account_settings_update": read_notice,
    "business_capability_update": read_notice,
    "business_username_update": read_notice,
    "business_username_updates": read_notice,
    "calls": read_calls,
    "flows": read_notice,
    "group_lifecycle_update": read_groups,
    "group_participants_update": read_groups,
    "group_settings_update": read_groups,
    "group_status_update": read_groups,
    "message_template_components_update": read_notice,
    "message_template_quality_update": read_notice,
    "message_template_status_update": read_notice,
    "partner_solutions": read_notice,
    "payment_configuration_update": read_notice,
    "phone_number_name_update": read_notice,
    "phone_number_quality_update": read_notice,
    "security": read_notice,
    "template_category_update": read_notice,
    "template_correct_category_detection": read_notice,
    "user_preferences": read_preferences,
}
"""Each webhook field and its reader. Any other field stays in the journal and is counted in ``Parsed.ignored``."""


def facts_of(body: bytes, received_at: datetime, *, journal_id: int = 0) -> Parsed:
    """All that one delivery says. Never raises: what cannot be understood is a `Problem` with its place.

    `received_at` is when the delivery was journaled (aware): it stands in where the wire's own time is unusable.
    `journal_id` is copied into every fact.
    """
    reading = Reading(received_at, journal_id)
    bodies = unwrapped(clean(body))
    for place, raw in enumerate(bodies):
        _read_body(reading, raw, f"[{place}]." if len(bodies) > 1 else "")
    return reading.parsed()


def _read_body(reading: Reading, raw: Raw | bytes, prefix: str) -> None:
    body = read(raw, wire.Body)
    if body.flaw is not None:
        reading.problem(f"{prefix}body", body.flaw)
    if body.object not in (None, OBJECT):
        reading.ignore(f"object {body.object}")
    elif body.entry:
        for place, entry in enumerate(body.entry):
            _read_entry(reading, entry, f"{prefix}entry[{place}]")
    elif body.field is not None:
        _read_change(reading, body.field, body.value, wire.Entry(), f"{prefix}value")
    elif given(body.history):
        # A declined history is documented as a bare value, without envelope or field (section 10, 6).
        _read_change(reading, "history", Raw(bytes(raw)), wire.Entry(), f"{prefix}value")
    elif body.flaw is None:
        reading.problem(f"{prefix}body", "no entry in it")


def _read_entry(reading: Reading, entry: wire.Entry, part: str) -> None:
    if entry.flaw is not None:
        reading.problem(part, entry.flaw)
    if entry.object not in (None, OBJECT):
        reading.ignore(f"object {entry.object}")
        return
    if not entry.changes and given(entry.value):
        _read_change(reading, entry.field, entry.value, entry, f"{part}.value")
    elif not entry.changes and entry.flaw is None:
        reading.problem(part, "an entry without changes")
    for place, change in enumerate(entry.changes):
        change_part = f"{part}.changes[{place}]"
        if change.flaw is not None:
            reading.problem(change_part, change.flaw)
        value = change.value
        if given(change.rejection_info):
            value = merged(value, "rejection_info", change.rejection_info)
        _read_change(reading, change.field or entry.field, value, entry, change_part)


def _read_change(reading: Reading, field: str | None, value: Raw, entry: wire.Entry, part: str) -> None:
    if not field:
        reading.problem(part, "a change that names no field")
    elif (read_field := FIELDS.get(field)) is None:
        reading.ignore(field)
    elif not given(value):
        reading.problem(part, f"a change of {field} without its value")
    else:
        change = Change(reading, field, part, value, entry)
        read_field(change)
        reading.seen.add((change.phone_number_id or change.entry_id or "", field))
