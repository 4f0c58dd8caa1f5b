"""What happens to a WABA or one of its numbers: ``account_update`` (meta-protocol 5.7)."""

from __future__ import annotations

from coexist.meta import wire
from coexist.meta.decode import compact, read
from coexist.meta.model import AccountUpdated
from coexist.meta.phones import digits
from coexist.meta.reading import Change


def read_account_update(change: Change) -> None:
    """One event a change. Nothing is deduplicated: a second disconnect is a second event (C7).

    Only ``waba_info`` names a WABA for certain. ``entry.id`` is a WABA or, for the PARTNER_… events and their like, a
    business portfolio, so it stays apart (4.3; section 10, 23).
    """
    value = read(change.value, wire.AccountUpdate)
    change.flaw(change.part, value)
    if not value.event:
        if value.flaw is None:
            change.problem(change.part, "an account update without its event")
        return
    named = value.waba_info.waba_id if value.waba_info is not None else None
    disconnection = value.disconnection_info or wire.DisconnectionInfo()
    change.tell(
        AccountUpdated(
            journal_id=change.journal_id,
            part=change.part,
            phone_number_id=None,
            event=value.event,
            waba_id=str(named) if named not in (None, "") else None,
            entry_id=change.entry_id,
            display_phone_number=digits(value.phone_number) or digits(value.display_phone_number),
            at=change.entry_at,
            reason=disconnection.reason or None,
            initiated_by=disconnection.initiated_by or None,
            value=compact(change.value),
        )
    )
