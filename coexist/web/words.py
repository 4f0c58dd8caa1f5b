"""Times, numbers and sizes as people read them, in the viewer's zone. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from coexist.base.counts import counted

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def zone_of(name: str | None, fallback: str = "UTC") -> tzinfo:
    """The zone of this IANA name, else of the fallback, else UTC: a wrong name never stops a page."""
    for candidate in (name, fallback):
        if candidate and len(candidate) <= 64:
            try:
                return ZoneInfo(candidate)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                continue
    return UTC


def clock_time(at: datetime, zone: tzinfo) -> str:
    """``10:42``."""
    return at.astimezone(zone).strftime("%H:%M")


def day(at: datetime, zone: tzinfo, now: datetime) -> str:
    """``Today``, ``Yesterday``, ``Monday`` within the last week, else ``26 May`` or ``26 May 2025``."""
    then, today = at.astimezone(zone).date(), now.astimezone(zone).date()
    age = (today - then).days
    if age == 0:
        return "Today"
    if age == 1:
        return "Yesterday"
    if 1 < age < 7:
        return WEEKDAYS[then.weekday()]
    return _date(then, today)


def brief(at: datetime, zone: tzinfo, now: datetime) -> str:
    """For lists: ``10:42`` today, else the day."""
    words = day(at, zone, now)
    return clock_time(at, zone) if words == "Today" else words


def moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """Inside a sentence: ``10:42``, ``yesterday 10:42``, ``Monday 10:42``, ``tomorrow 10:42``, ``26 May 10:42``."""
    if at.astimezone(zone).date() == (now + timedelta(days=1)).astimezone(zone).date():
        return f"tomorrow {clock_time(at, zone)}"
    words = day(at, zone, now)
    if words == "Today":
        return clock_time(at, zone)
    return f"{words.lower() if words == 'Yesterday' else words} {clock_time(at, zone)}"


TIME_ALONE: Final = re.compile(r"\d{2}:\d{2}")
TOLD: Final = re.compile(r"(?P<at>\bat )?(?P<time>\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC)")


def told_there(text: str, zone: tzinfo, now: datetime) -> str:
    """A sentence of a check, whose times are ``2026-11-30 03:37 UTC``, with them as moments in the viewer's zone.

    ``asked at`` such a time becomes ``asked at 03:37``, and ``asked yesterday 03:37``.
    """

    def said(found: re.Match[str]) -> str:
        told = moment(datetime.strptime(found["time"], "%Y-%m-%d %H:%M %Z").replace(tzinfo=UTC), zone, now)
        return f"{found['at'] or ''}{told}" if TIME_ALONE.fullmatch(told) else told

    return TOLD.sub(said, text)


def full(at: datetime, zone: tzinfo) -> str:
    """For hovering: ``Tuesday 26 May 2026, 10:42:07 (America/Sao_Paulo)``."""
    there = at.astimezone(zone)
    name = getattr(zone, "key", None) or there.tzname()
    return f"{WEEKDAYS[there.weekday()]} {there.day} {MONTHS[there.month - 1]} {there.year}, {there:%H:%M:%S} ({name})"


def plain_date(at: datetime | date, zone: tzinfo) -> str:
    """``26 May 2026``."""
    there = at.astimezone(zone).date() if isinstance(at, datetime) else at
    return f"{there.day} {MONTHS[there.month - 1]} {there.year}"


def _date(then: date, today: date) -> str:
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {MONTHS[then.month - 1]}{year}"


@lru_cache(maxsize=8192)
def phone(digits: str) -> str:
    """``+55 11 98550-0101`` of ``5511985500101``; digits that are no number just get their plus."""
    plain = digits.removeprefix("+")
    try:
        number = phonenumbers.parse(f"+{plain}")
    except phonenumbers.NumberParseException:
        return f"+{plain}"
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def country(digits: str) -> str:
    """``PT (+351)`` of ``351910559111``; empty for an id that is no number."""
    try:
        number = phonenumbers.parse(f"+{digits.removeprefix('+')}")
    except phonenumbers.NumberParseException:
        return ""
    region = phonenumbers.region_code_for_number(number)
    return f"{region} (+{number.country_code})" if region else f"+{number.country_code}"


def contact_name(name: str) -> str:
    """A contact's name; a bare number is written as a number, and nobody as ``Unknown``."""
    if name.startswith("+") and name[1:].isdigit():
        return phone(name)
    return name or "Unknown"


def initials(name: str) -> str:
    """Two signs for an avatar: ``MS`` of Marina Souza, ``@v`` of @verde.lar, ``+5`` of +55 19 …"""
    words = [word for word in name.split() if word[0].isalnum()]
    if not words or name[0] in "+@":
        return name.strip()[:2] or "?"
    if len(words) == 1:
        return words[0][:2].upper()
    return (words[0][0] + words[-1][0]).upper()


def size(count: int | None) -> str:
    """``340 KB``, ``1.2 MB``; an unknown size is nothing."""
    if count is None:
        return ""
    if count < 1000:
        return counted(count, "byte")
    if count < 1_000_000:
        return f"{count / 1000:.0f} KB"
    return f"{count / 1_000_000:.1f} MB"


def duration(ms: int | None) -> str:
    """``0:07``, ``12:30``, ``1:02:03``; an unknown one is nothing. A part of a second counts as one."""
    if ms is None:
        return ""
    minutes, seconds = divmod(-(-ms // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def capped(count: int, limit: int, one: str = "") -> str:
    """``12``, and ``999+`` from the limit on; with a noun ``1 event``, ``999+ events``."""
    if count < limit:
        return counted(count, one) if one else str(count)
    return f"{limit - 1}+ {one}s" if one else f"{limit - 1}+"


def grouped(count: int) -> str:
    """``41,208``."""
    return f"{count:,}"
