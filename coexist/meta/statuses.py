"""What became of the messages we sent: ``statuses[]`` of field ``messages`` (meta-protocol 5.3)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from coexist.meta import wire
from coexist.meta.decode import compact, given
from coexist.meta.model import STATUS_RANK, StatusTold
from coexist.meta.persons import Contacts
from coexist.meta.phones import digits
from coexist.meta.reading import Change

CODE_DIGITS: Final = 9
"""The longest code of Meta's that is one: it has seven digits at most."""
META_STATUSES: Final = frozenset(STATUS_RANK) - {"queued"}
"""``deleted`` and ``warning`` of the old API, and what is yet to be invented, are counted as ignored."""


def tell_status(change: Change, status: wire.Status, part: str, contacts: Contacts) -> None:
    """One status of one message; one for a group, or of a name we do not know, stays in the journal."""
    change.flaw(part, status)
    name = (status.status or "").lower()
    if not status.id or not name:
        change.problem(part, "a status without the message's id or without a name")
        return
    if _is_of_group(status) or name not in META_STATUSES:
        change.ignore()
        return
    at, _ = change.reading.moment(status.timestamp)
    parent = status.recipient_parent_user_id or status.parent_recipient_user_id or status.parent_user_id
    change.tell(
        StatusTold(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            wamid=status.id,
            status=name,
            at=at,
            recipient=contacts.person(digits(status.recipient_id), status.recipient_user_id, parent, at, is_wa_id=True),
            our_ref=status.biz_opaque_callback_data or None,
            pricing=compact(status.pricing) if given(status.pricing) else None,
            errors=_errors(name, status.errors),
        )
    )


def _errors(name: str, raw: Raw) -> bytes | None:
    """Meta's errors as it documents them: a list of objects, each with a small number as its code if with any.

    What has that form stays as it came. Of anything else what was said is kept: it is shown to people. ``failed`` is
    never without: where ``sent`` is told as well, which ranks higher, nothing else would say that the message failed.
    """
    plain = compact(raw) if given(raw) else b"[]"
    if plain == b"[]":
        return b"[{}]" if name == "failed" else None
    try:
        told = msgspec.json.decode(plain)
    except (ValueError, RecursionError):
        told = plain.decode()
    formed = [_error(item) for item in (told if isinstance(told, list) else [told])]
    return plain if formed == told else compact(json.dumps(formed).encode())


def _error(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        return {"message": told if isinstance(told, str) else json.dumps(told)}
    if "code" not in told:
        return told
    code = told["code"] if isinstance(told["code"], int | str) else ""
    is_code = re.fullmatch(f"[0-9]{{1,{CODE_DIGITS}}}", str(code)) is not None
    return told | {"code": int(code) if is_code else None}


def _is_of_group(status: wire.Status) -> bool:
    """Whether it tells of one participant of a group, whose id would else be taken for the recipient's."""
    participant = (
        status.recipient_participant_id or status.participant_recipient_id or status.recipient_participant_user_id
    )
    return status.recipient_type == "group" or bool(participant)
