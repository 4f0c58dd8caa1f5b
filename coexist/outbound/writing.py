"""Into the outbox: the one way in which a message of ours comes to be, whatever it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, NotFound
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import locks, private, summary
from coexist.inbox.connection import State
from coexist.inbox.window import Window, window_of
from coexist.meta.errors import explain
from coexist.meta.phones import digits, same_number
from coexist.outbound import payload, store
from coexist.outbound.model import Draft, Known, Target
from coexist.people.model import Member

SHUT: Final = {
    State.REMOVED: "This number was disconnected on the phone: nothing can be sent from here.",
    State.TOKEN_INVALID: "WhatsApp no longer accepts our access to this number: nothing can be sent from here.",
    State.RESTRICTED: "WhatsApp has restricted this business account: nothing can be sent from here.",
}
"""States in which nothing new is taken in. Offboarded is not among them: there, messages wait (requirement G3)."""
SEE_NUMBER: Final = "What helps stands on the number's page (Numbers > its name); the phone app can write meanwhile."
SENDER_IS_RECIPIENT: Final = 131021
OURSELVES: Final = explain(SENDER_IS_RECIPIENT).what
OTHER_WORDS: Final = "This was sent already, in other words: what you have changed since was not sent."
NOT_THEIRS: Final = (
    "Since this was written, the person has another WhatsApp number, or it is not certain any more that the number is "
    "theirs: nothing was sent."
)
ANOTHERS: Final = "This was written to somebody else, who had this number before: it is not sent to who has it now."
ANOTHERS_STEP: Final = "Write to them in their own conversation."
NO_CONVERSATION: Final = "This conversation does not exist, or it belongs to another account."


async def begin(
    conn: Connection, keyring: Keyring, member: Member, conversation_id: int, our_ref: UUID
) -> tuple[Target, Known | None]:
    """Lock the conversation to write in. Returns it, and the message that was written with this reference before."""
    scope_id = await store.scope_of(conn, member.account_id, conversation_id)
    if scope_id is None:
        raise NotFound(NO_CONVERSATION)
    await locks.share_apply(conn, scope_id)
    target = await locked(conn, keyring, member, conversation_id)
    return target, await store.message_of(conn, member.account_id, conversation_id, our_ref)


def check_same(known: Known, *, is_same: bool) -> int:
    """Return the id of a message that a form has written before; Conflict when the form says something else now.

    It comes again after a second click, an answer that was lost, or the browser's way back.
    """
    if not is_same:
        raise Conflict(OTHER_WORDS, next_step="Load the page again, look at what was sent, and send what is missing.")
    return known.message_id


async def locked(conn: Connection, keyring: Keyring, member: Member, conversation_id: int) -> Target:
    """The conversation to write in: every way of sending comes through here."""
    target = await store.target(conn, member.account_id, conversation_id)
    if target is None:
        raise NotFound(NO_CONVERSATION)
    await private.check_may_write(conn, keyring, member.account_id, conversation_id)
    return target


def check_open(target: Target, *, needs_window: bool = True) -> str:
    """Return the id to write to, or raise Conflict when nothing may be sent there now.

    ``needs_window``: what is written freely does, a template does not (meta-protocol 7.3).
    """
    if target.inbox_state in SHUT:
        raise Conflict(SHUT[State(target.inbox_state)], next_step=SEE_NUMBER)
    if target.peer is not None and same_number(digits(target.peer), target.display_phone_number):
        raise Conflict(OURSELVES, next_step=explain(SENDER_IS_RECIPIENT).next_step)
    window = window_of(target.window_opened_at, clock.now(), target.window_refused_at)
    if needs_window and not window.is_open:
        raise Conflict(_closed(window), next_step="Send a template, or wait for their answer; the phone app can write.")
    if target.peer is None:
        raise Conflict(
            "It is not certain which WhatsApp number is this person's now, so nothing was sent.",
            next_step="Wait until they write again, or answer in the phone app.",
        )
    return target.peer


async def check_theirs(conn: Connection, our_ref: UUID, body: Mapping[str, Any]) -> None:
    """Raise Conflict when what waited would go to an id that is not the person's for certain any more (F4, F5)."""
    if await store.is_theirs(conn, our_ref, payload.addressed_to(body)):
        return
    if await store.is_anothers(conn, our_ref):  # sending it again is refused, too
        raise Conflict(ANOTHERS, next_step=ANOTHERS_STEP)
    raise Conflict(NOT_THEIRS, next_step="Send it again: it goes to where they are now, once that is certain.")


def _closed(window: Window) -> str:
    return f"WhatsApp lets us write freely for 24 hours after a message of the customer. {window.why}"


async def put_in_line(
    conn: Connection,
    keyring: Keyring,
    member: Member,
    target: Target,
    peer: str,
    draft: Draft,
    our_ref: UUID,
    quoted: str | None = None,
) -> int:
    """Write message, outbox row and events; return the message's id. ``quoted`` is the wamid of what it answers.

    Raises Conflict when the reference belongs to another message, and for a text that is nothing but a private number.
    """
    await private.check_shows_nobody(conn, keyring, member.account_id, draft.text)
    values = {
        "inbox_id": target.inbox_id,
        "conversation_id": target.conversation_id,
        "peer": peer,
        "type": draft.type,
        "sent_at": clock.now(),
        "text": draft.text,
        "reply_to": quoted,
        "author_id": member.user_id,
        "our_ref": our_ref,
    }
    message_id = await store.insert_message(conn, values, draft.content)
    if message_id is None:
        raise Conflict("This reference belongs to another message.", next_step="Load the page again, then send.")
    body = payload.message(peer, draft.type, draft.part, our_ref, phone=target.phone, reply_to=quoted)
    await store.enqueue(conn, target.inbox_id, message_id, our_ref, body)
    await summary.refresh(conn, [target.conversation_id])
    place = (member.account_id, Kind.CONVERSATION_CHANGED, target.inbox_id, target.conversation_id)
    added = NewEvent(member.account_id, Kind.MESSAGE_ADDED, target.inbox_id, target.conversation_id, message_id)
    await feed.append(conn, [added, NewEvent(*place)])
    return message_id
