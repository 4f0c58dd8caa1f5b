"""Merges what Meta tells of templates by webhook (meta-protocol 5.9). Order-free, duplicate-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from coexist.base import clock
from coexist.base.database import Connection
from coexist.meta.model import NoticeGiven
from coexist.meta.notices import TEMPLATE_STATUS
from coexist.templates import rules, store
from coexist.templates.model import Told
from coexist.templates.store import Key

FIELDS: Final = frozenset(
    {
        TEMPLATE_STATUS,
        "message_template_quality_update",
        "message_template_components_update",
        "template_category_update",
        "template_correct_category_detection",
    }
)
SOON: Final = timedelta(seconds=2)
"""Several changes of one moment are one question to Meta."""


async def apply(conn: Connection, told: Sequence[tuple[int, NoticeGiven]]) -> Sequence[Told]:
    """Take in notices, each with the account whose WhatsApp account it names; of other fields nothing is taken.

    A status counts at once. Whatever was told, Meta is asked for its list: it has what webhooks leave out. Returns the
    statuses.
    """
    found: list[Told] = []
    lists: set[Key] = set()
    for account_id, notice in told:
        if notice.field in FIELDS and notice.waba_id is not None:
            lists.add((account_id, notice.waba_id))
            if notice.field == TEMPLATE_STATUS:
                found += _status(account_id, notice.waba_id, notice)
    await store.tell(conn, found)
    await store.doubt(conn, lists, clock.now() + SOON)
    return found


def _status(account_id: int, waba_id: str, notice: NoticeGiven) -> list[Told]:
    value = msgspec.json.decode(notice.value)
    if not isinstance(value, Mapping):
        return []
    status = rules.status_of(value, notice.event)
    name, language = value.get("message_template_name"), value.get("message_template_language")
    if status is None or not isinstance(name, str) or not isinstance(language, str):
        return []
    id_, reason = _id(value.get("message_template_id")), rules.reason_of(value)
    return [Told(account_id, waba_id, name, language, status, notice.at, id_, reason)]


def _id(told: Any) -> str | None:
    """Meta's id of a template: a number beyond what a double can hold, so it is kept as text."""
    return str(told) if isinstance(told, int | str) and not isinstance(told, bool) and told != "" else None
