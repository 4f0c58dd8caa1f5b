"""What people do in the inbox. Each action checks the account, changes state, and tells the feed last."""

from __future__ import annotations

from typing import Final

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Invalid, NotFound
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import private, summary
from coexist.people.model import Member

NAME_CHARS_MAX: Final = 200
NOTE_CHARS_MAX: Final = 4000
DRAFT_CHARS_MAX: Final = 10_000
"""A draft may be longer than what can be sent: nobody's text is cut while they write."""

LOCK_CONVERSATION: Final = """
SELECT c.inbox_id FROM conversations c JOIN inboxes i ON i.id = c.inbox_id
 WHERE c.id = %s AND i.account_id = %s
   FOR NO KEY UPDATE OF c
"""


async def resolve(conn: Connection, member: Member, conversation_id: int) -> None:
    """Close a conversation until the customer writes again. Raises NotFound."""
    await _set_state(conn, member, conversation_id, "resolved")


async def reopen(conn: Connection, member: Member, conversation_id: int) -> None:
    """Put a conversation back among the open ones. Raises NotFound."""
    await _set_state(conn, member, conversation_id, "open")


# What is overruled by later messages is told by the newest message there was, not by a time: see inbox.summary.
SET_STATE: Final = """
UPDATE conversations
   SET set_state = %(state)s, set_state_at = %(now)s, snoozed_until = NULL,
       set_state_after = coalesce((SELECT max(id) FROM messages WHERE conversation_id = %(id)s), 0)
 WHERE id = %(id)s
"""


async def _set_state(conn: Connection, member: Member, conversation_id: int, state: str) -> None:
    inbox_id = await _lock(conn, member, conversation_id)
    await conn.execute(SET_STATE, {"state": state, "now": clock.now(), "id": conversation_id})
    await summary.refresh(conn, [conversation_id])
    await _tell(conn, member, inbox_id, conversation_id)


async def assign(conn: Connection, member: Member, conversation_id: int, assignee_id: int | None) -> None:
    """Give a conversation to somebody of the account, or to nobody. Raises NotFound."""
    inbox_id = await _lock(conn, member, conversation_id)
    if assignee_id is not None:
        cursor = await conn.execute(
            "SELECT FROM memberships WHERE account_id = %s AND user_id = %s", (member.account_id, assignee_id)
        )
        if await cursor.fetchone() is None:
            raise NotFound("This person does not belong to the account.")
    await conn.execute("UPDATE conversations SET assignee_id = %s WHERE id = %s", (assignee_id, conversation_id))
    await _tell(conn, member, inbox_id, conversation_id)


MARK_READ: Final = """
UPDATE conversations SET read_at = %(now)s, read_up_to = %(up_to)s
 WHERE id = %(id)s AND read_up_to < %(up_to)s
   AND EXISTS (SELECT FROM messages WHERE id = %(up_to)s AND conversation_id = %(id)s)
"""


async def mark_read(conn: Connection, member: Member, conversation_id: int, up_to: int) -> None:
    """Note that somebody of the team has seen the messages up to the id ``up_to``, the newest on their screen.

    Silent when that was known already, or ``up_to`` is no message of the conversation. Raises NotFound.
    """
    inbox_id = await _lock(conn, member, conversation_id)
    cursor = await conn.execute(MARK_READ, {"now": clock.now(), "up_to": up_to, "id": conversation_id})
    if cursor.rowcount and (await summary.refresh(conn, [conversation_id])).conversation_ids:
        await _tell(conn, member, inbox_id, conversation_id)


SAVE_DRAFT: Final = """
INSERT INTO drafts (conversation_id, user_id, text, saved_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (conversation_id, user_id) DO UPDATE SET text = excluded.text, saved_at = excluded.saved_at
"""


async def save_draft(conn: Connection, keyring: Keyring, member: Member, conversation_id: int, text: str) -> None:
    """Keep what the member has typed so far; an empty text clears it. Nobody else is told.

    What is nothing but a private number is not kept, without a word: whoever types is not at the end of it yet. Raises
    Invalid above DRAFT_CHARS_MAX characters, and NotFound.
    """
    if len(text) > DRAFT_CHARS_MAX:
        raise Invalid(f"A draft can have {DRAFT_CHARS_MAX} characters at most; this one has {len(text)}.")
    await _lock(conn, member, conversation_id)
    if text.strip() and not await private.shows(conn, keyring, member.account_id, text):
        values = (conversation_id, member.user_id, text.replace("\0", ""), clock.now())
        await conn.execute(SAVE_DRAFT, values)
    else:
        await clear_draft(conn, member, conversation_id)


async def clear_draft(conn: Connection, member: Member, conversation_id: int) -> None:
    """Forget the member's draft: it was sent, or emptied."""
    await conn.execute(
        "DELETE FROM drafts WHERE conversation_id = %s AND user_id = %s", (conversation_id, member.user_id)
    )


LOCK_CONTACT: Final = """
SELECT FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id
 WHERE k.id = %s AND s.account_id = %s
   FOR NO KEY UPDATE OF k
"""


async def rename_contact(conn: Connection, member: Member, contact_id: int, name: str) -> None:
    """Call a contact by the name an agent chose; an empty name goes back to what Meta tells.

    The phone never learns of it (F11). Raises Invalid above NAME_CHARS_MAX characters, and NotFound.
    """
    name = " ".join(name.replace("\0", "").split())
    if len(name) > NAME_CHARS_MAX:
        raise Invalid(f"A name can have {NAME_CHARS_MAX} characters at most; this one has {len(name)}.")
    await _lock_contact(conn, member, contact_id)
    await conn.execute(
        "UPDATE contacts SET agent_name = %s, agent_name_at = %s WHERE id = %s",
        (name or None, clock.now(), contact_id),
    )
    await summary.refresh(conn, [], [contact_id])
    await feed.append(conn, [_changed_contact(member, contact_id)])


async def write_note(conn: Connection, keyring: Keyring, member: Member, contact_id: int, text: str) -> None:
    """Keep a note about a contact, for the team only.

    Raises Invalid above NOTE_CHARS_MAX, Conflict for nothing but a private number, and NotFound.
    """
    text = text.replace("\0", "").strip()
    if len(text) > NOTE_CHARS_MAX:
        raise Invalid(f"A note can have {NOTE_CHARS_MAX} characters at most; this one has {len(text)}.")
    await private.check_shows_nobody(conn, keyring, member.account_id, text)
    await _lock_contact(conn, member, contact_id)
    await conn.execute("UPDATE contacts SET note = %s WHERE id = %s", (text or None, contact_id))
    await feed.append(conn, [_changed_contact(member, contact_id)])


def _changed_contact(member: Member, contact_id: int) -> NewEvent:
    return NewEvent(member.account_id, Kind.CONTACT_CHANGED, contact_id=contact_id, is_ours=True)


async def _lock_contact(conn: Connection, member: Member, contact_id: int) -> None:
    cursor = await conn.execute(LOCK_CONTACT, (contact_id, member.account_id))
    if await cursor.fetchone() is None:
        raise NotFound("This contact does not exist, or it belongs to another account.")


async def _lock(conn: Connection, member: Member, conversation_id: int) -> int:
    """Lock the conversation and return its inbox. Raises NotFound when it is not the member's account's."""
    cursor = await conn.execute(LOCK_CONVERSATION, (conversation_id, member.account_id))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("This conversation does not exist, or it belongs to another account.")
    return int(row[0])


async def _tell(conn: Connection, member: Member, inbox_id: int, conversation_id: int) -> None:
    event = NewEvent(member.account_id, Kind.CONVERSATION_CHANGED, inbox_id=inbox_id, conversation_id=conversation_id)
    await feed.append(conn, [event])
