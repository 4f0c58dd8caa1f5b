"""Messages in line whose bubble says something else once their template is paused, or goes on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeAlias

from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.meta.templates import language_of

TemplateKey: TypeAlias = tuple[int, str, str, str]
"""A template: the account, the WhatsApp account (WABA), its name, its language."""

SHOWN_COUNT: Final = 200
"""Bubbles that are told of; of thousands that wait, nobody looks at more."""

IN_LINE: Final = f"""
SELECT i.account_id, m.inbox_id, m.conversation_id, m.id
  FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS k (account_id, waba_id, name, language)
  JOIN inboxes i ON i.account_id = k.account_id AND i.waba_id = k.waba_id
  JOIN outbox o ON o.inbox_id = i.id AND o.state = 'queued'
  JOIN messages m ON m.id = o.message_id AND m.type = 'template'
   AND m.content -> 'template' ->> 'name' = k.name AND m.content -> 'template' ->> 'language' = k.language
 ORDER BY m.id DESC LIMIT {SHOWN_COUNT}
"""


async def of_templates(conn: Connection, templates: Collection[TemplateKey]) -> list[NewEvent]:
    """Return the events for the bubbles that wait for these templates, the newest of them where they are many."""
    if not templates:
        return []
    keys = {(account_id, waba_id, name, language_of(language)) for account_id, waba_id, name, language in templates}
    rows = await (await conn.execute(IN_LINE, [list(column) for column in zip(*sorted(keys), strict=True)])).fetchall()
    return [NewEvent(account_id, Kind.MESSAGE_CHANGED, *ids) for account_id, *ids in rows]
