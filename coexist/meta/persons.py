"""Which person an item names: its own ids, joined by what ``contacts[]`` knows (meta-protocol 5.1 and 6.4).

A contact belongs to an item when they share an id, never because of its index. Only an item without any id of its
own is given to the only contact there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from coexist.meta import wire
from coexist.meta.model import Person, ProfileSeen
from coexist.meta.phones import digits, match_key, same_number
from coexist.meta.reading import Change

NOBODY: Final = Person()
"""The one value that stands for "nobody is named": compared by identity."""


def user_name(text: str | None) -> str | None:
    """A username without its leading @, in lower case; None for an empty one (6.1)."""
    return (text.strip().removeprefix("@").lower() or None) if text else None


def ids_of(contact: wire.Contact | wire.ThreadContext) -> Person:
    """The ids that a ``contacts[]`` entry or a thread's context carries; its phone is WhatsApp's own form."""
    phone = digits(contact.wa_id)
    name = contact.profile.username if contact.profile else None
    return Person(
        bsuid=contact.user_id or None,
        parent_bsuid=contact.parent_user_id or None,
        phone=phone,
        username=user_name(name or contact.username),
        is_wa_id=phone is not None,
    )


class Contacts:
    """The ``contacts[]`` of one value, found by their ids; remembers when each was last seen writing."""

    __slots__ = ("_entries", "_last_at", "_ours", "_persons", "_places")

    def __init__(self, entries: list[wire.Contact], own: str | None) -> None:
        self._entries = entries
        self._persons = [ids_of(entry) for entry in entries]
        self._places: dict[str, int] = {}
        self._last_at: dict[int, datetime] = {}
        self._ours = {place for place, person in enumerate(self._persons) if same_number(person.phone, own)}
        for place, person in enumerate(self._persons):
            if place in self._ours:
                continue  # the business itself is nobody's counterpart
            for key in (person.bsuid, person.parent_bsuid, person.phone and match_key(person.phone)):
                if key:
                    self._places.setdefault(key, place)

    def person(
        self, phone: str | None, bsuid: str | None, parent_bsuid: str | None, at: datetime, *, is_wa_id: bool
    ) -> Person:
        """The person of an item at ``at``: its own ids, completed from the contact that shares one of them.

        `is_wa_id` says whether `phone` is WhatsApp's own form; where it is not and the contact's is, that form is
        taken. `NOBODY` if nothing names anyone.
        """
        bsuid, parent_bsuid = bsuid or None, parent_bsuid or None
        place = self._place(phone, bsuid, parent_bsuid)
        if place is None:
            if not (phone or bsuid or parent_bsuid):
                return NOBODY
            return Person(bsuid, parent_bsuid, phone, None, is_wa_id and phone is not None)
        self._last_at[place] = max(at, self._last_at.get(place, at))
        known = self._persons[place]
        if known.phone and (phone is None or (not is_wa_id and same_number(phone, known.phone))):
            phone, is_wa_id = known.phone, True
        return Person(
            bsuid or known.bsuid,
            parent_bsuid or known.parent_bsuid,
            phone,
            known.username,
            is_wa_id and phone is not None,
        )

    def _place(self, phone: str | None, bsuid: str | None, parent_bsuid: str | None) -> int | None:
        if not (phone or bsuid or parent_bsuid):
            candidates = set(self._places.values())
            return candidates.pop() if len(candidates) == 1 else None
        for key in (bsuid, phone and match_key(phone), parent_bsuid):
            place = self._places.get(key) if key else None
            if place is not None:
                other = self._persons[place].bsuid
                # Two user ids are two persons, even under one number: it was passed on to somebody else.
                return None if bsuid and other and bsuid != other else place
        return None

    def profiles(self, change: Change, *, names_only: bool = False) -> Iterator[ProfileSeen]:
        """A fact for each contact with a name or username, at the time of the newest item of theirs.

        `names_only` passes over those without a profile name: a status may list a lean contact, which must not
        overwrite anything (5.3).
        """
        newest = max(self._last_at.values(), default=change.entry_at)
        for place, (entry, person) in enumerate(zip(self._entries, self._persons, strict=True)):
            part = f"{change.part}.contacts[{place}]"
            change.flaw(part, entry)
            name = (entry.profile.name or "").strip() or None if entry.profile else None
            if person.is_known and place not in self._ours and (name or (person.username and not names_only)):
                at = self._last_at.get(place, newest)
                yield ProfileSeen(
                    journal_id=change.journal_id,
                    part=part,
                    phone_number_id=change.phone_number_id,
                    person=person,
                    at=at,
                    name=name,
                    is_time_doubtful=change.reading.is_doubtful(at),
                )
