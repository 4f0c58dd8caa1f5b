"""What people do about files."""

from __future__ import annotations

from coexist.base import clock
from coexist.base.database import Connection
from coexist.base.errors import Conflict, NotFound
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import files
from coexist.inbox import store as inbox
from coexist.media import rules, store
from coexist.people.model import Member


async def fetch_again(conn: Connection, member: Member, message_id: int) -> None:
    """Try once more, now, to fetch a message's file. Raises NotFound, and Conflict when asking cannot help."""
    message = await inbox.message(conn, member.account_id, message_id)
    if message.media_state is None or message.wamid is None:
        raise NotFound("This message has no file to fetch.")
    if message.media_state == "stored":
        raise Conflict("The file is here already.", next_step="Load the page again.")
    if not rules.can_ask_again(message.media_state, message.media_reason, message.media_known_at, clock.now()):
        raise Conflict("WhatsApp does not have this file any more.", next_step="Ask for it to be sent again.")
    if await store.fetch_again(conn, message.inbox_id, message.wamid):
        await conn.execute(f"NOTIFY {files.CHANNEL}")
        changed = NewEvent(
            member.account_id, Kind.MESSAGE_CHANGED, message.inbox_id, message.conversation_id, message_id
        )
        await feed.append(conn, [changed])
