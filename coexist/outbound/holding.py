"""What waits in line although its number goes on: what Meta keeps the number from sending, and no more than that."""

from __future__ import annotations

from coexist.inbox.window import IS_OPEN
from coexist.meta.templates import UTILITY
from coexist.templates.rules import PAUSED
from coexist.templates.store import STATUS


def held(row: str) -> str:
    """Return whether ``row`` of the outbox waits: a condition over it, inboxes i, its conversation c, and values.

    Templates wait where nothing may be charged or begun, while they are paused, and utility ones while the number may
    send none; everything else where nothing may be answered. ``paid`` and ``initiated`` are the codes that stand for
    the first two (meta-protocol 1.5); restrictions have an end (5.7). Which templates wait is found out once for the
    ``inbox_id``, and not for each of thousands of rows.
    """
    is_template = f"{row}.payload ->> 'type' = 'template'"
    return f"""(
    ({is_template}) AND (i.standing_codes && %(paid)s
        OR NOT coalesce({IS_OPEN}, false)
           AND (i.standing_codes && %(initiated)s OR coalesce(i.begins_held_until > %(now)s, false))
        OR coalesce(({row}.payload -> 'template' ->> 'name', {row}.payload -> 'template' -> 'language' ->> 'code') IN (
           SELECT t.name, t.language FROM templates t JOIN inboxes h USING (account_id, waba_id)
            WHERE h.id = %(inbox_id)s
              AND ({STATUS} = '{PAUSED}'
                   OR t.category = '{UTILITY}' AND coalesce(h.utility_held_until > %(now)s, false))), false))
    OR (NOT {is_template} OR coalesce({IS_OPEN}, false)) AND coalesce(i.replies_held_until > %(now)s, false))"""
