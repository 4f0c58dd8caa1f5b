"""Fields worth a line in the number's timeline, and little more: `NoticeGiven` (meta-protocol 5.2, 5.8 to 5.13)."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from coexist.meta import wire
from coexist.meta.decode import Item, compact, read
from coexist.meta.model import MarketingWished, NoticeGiven, Person
from coexist.meta.phones import digits
from coexist.meta.reading import Change

EVENT_KEYS: Final = ("event", "decision", "value", "status", "category", "type", "code")
"""Where fields keep the word that names what happened, in the order of looking."""

MARKETING: Final = "marketing_messages"
WISHES: Final = {"stop": False, "resume": True}

TEMPLATE_STATUS: Final = "message_template_status_update"
TEMPLATE_QUALITY: Final = "message_template_quality_update"
FROM_PORTFOLIO: Final = frozenset({"partner_solutions"})
"""Fields whose ``entry.id`` is a business portfolio and no WABA (4.3)."""


def read_notice(change: Change) -> None:
    """A field whose value is one notice."""
    _tell(change, change.value, change.part)


def read_calls(change: Change) -> None:
    """``calls``: not expected on a coexistence number; its ``statuses`` are never those of messages (5.11)."""
    value = read(change.value, wire.CallsValue)
    items = {"calls": value.calls, "statuses": value.statuses, "errors": value.errors}
    _tell_each(change, value, value.metadata, items)


def read_preferences(change: Change) -> None:
    """``user_preferences``: somebody stopped or resumed marketing messages (5.10)."""
    value = read(change.value, wire.PreferencesValue)
    _tell_each(change, value, value.metadata, {"user_preferences": value.user_preferences})
    for place, raw in enumerate(value.user_preferences):
        _tell_wish(change, read(raw, wire.Preference), f"{change.part}.user_preferences[{place}]")


def _tell_wish(change: Change, told: wire.Preference, part: str) -> None:
    phone = digits(told.wa_id)
    person = Person(told.user_id or None, told.parent_user_id or None, phone, None, phone is not None)
    if told.category != MARKETING or told.value not in WISHES or not person.is_known or not change.phone_number_id:
        return  # the notice keeps it
    at, is_doubtful = change.reading.moment(told.timestamp)
    change.tell(
        MarketingWished(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id,
            person=person,
            at=at,
            wants=WISHES[told.value],
            is_time_doubtful=is_doubtful,
        )
    )


def read_groups(change: Change) -> None:
    """The four ``group_…`` fields: kept, for a coexistence number has no groups (5.13)."""
    value = read(change.value, wire.GroupsValue)
    _tell_each(change, value, value.metadata, {"groups": value.groups})


def tell_item(change: Change, raw: Raw, part: str) -> None:
    """One item of an array as a notice of its own."""
    _tell(change, raw, part)


def _tell_each(change: Change, value: Item, metadata: wire.Metadata | None, items: dict[str, list[Raw]]) -> None:
    change.name_number(metadata)
    change.flaw(change.part, value)
    for name, raws in items.items():
        for place, raw in enumerate(raws):
            _tell(change, raw, f"{change.part}.{name}[{place}]")
    if value.flaw is None and not any(items.values()):
        _tell(change, change.value, change.part)


def _tell(change: Change, raw: Raw, part: str) -> None:
    notice = read(raw, wire.Notice)
    change.flaw(part, notice)
    if notice.metadata is not None:
        change.name_number(notice.metadata)
    named = notice.waba_info.waba_id if notice.waba_info is not None else None
    told_by_entry = None if change.field in FROM_PORTFOLIO else change.entry_id
    at = change.entry_at if notice.timestamp is None else change.reading.moment(notice.timestamp)[0]
    change.tell(
        NoticeGiven(
            journal_id=change.journal_id,
            part=part,
            phone_number_id=change.phone_number_id or _phone_number_id(notice),
            field=_field(change.field, notice),
            event=_event(notice),
            waba_id=str(named) if named not in (None, "") else told_by_entry,
            display_phone_number=digits(notice.display_phone_number) or change.own,
            at=at,
            value=compact(raw),
        )
    )


def _field(field: str, notice: wire.Notice) -> str:
    """A quality score that came under the field of template states is told apart by its shape (5.9)."""
    is_quality = field == TEMPLATE_STATUS and notice.event is None and notice.new_quality_score is not None
    return TEMPLATE_QUALITY if is_quality else field


def _event(notice: wire.Notice) -> str | None:
    if notice.alert_info is not None and isinstance(notice.alert_info.alert_type, str):
        return notice.alert_info.alert_type
    for key in EVENT_KEYS:
        word = getattr(notice, key)
        if isinstance(word, str | int) and word != "":
            return str(word)
    return None


def _phone_number_id(notice: wire.Notice) -> str | None:
    settings = notice.phone_number_settings
    named = settings.phone_number_id if settings is not None else None
    if named in (None, "") and notice.entity_type == "PHONE_NUMBER":
        named = notice.entity_id
    return str(named) if named not in (None, "") else None
