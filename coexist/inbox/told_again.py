"""Conversations that hold an exported chat and into which more of the past came: it may tell the same messages.

``exported_chats.told_again`` compares them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from coexist.base import clock
from coexist.base.database import Connection

# Several workers apply a history at once, and each of them tells what it brought of the same conversations.
WANT: Final = """
WITH compared AS MATERIALIZED (
    SELECT e.id FROM exported_chats e
     WHERE e.state = 'applied'
       AND (e.conversation_id = ANY(%(ids)s)
            OR EXISTS (SELECT FROM folded_conversations f WHERE f.id = e.conversation_id AND f.kept_id = ANY(%(ids)s)))
     ORDER BY e.id FOR NO KEY UPDATE)
UPDATE exported_chats e SET compare_wanted_at = %(now)s FROM compared c WHERE e.id = c.id
"""


async def want(conn: Connection, conversation_ids: Collection[int]) -> None:
    """Have the exported chats in these conversations compared with what came. Needs the scope's apply lock."""
    await conn.execute(WANT, {"ids": list(conversation_ids), "now": clock.now()})
