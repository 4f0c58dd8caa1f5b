"""Writing to a customer: into the outbox, from where the sender takes it to Meta."""

from __future__ import annotations

import uuid
from typing import Final
from uuid import UUID

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict, Invalid, NotFound
from coexist.events import feed
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import summary
from coexist.meta.model import STATUS_RANK
from coexist.outbound import payload, store, templates, writing
from coexist.outbound.model import Draft, OutboxState, Sent
from coexist.outbound.rules import TEXT_CHARS_MAX, why_not_again
from coexist.people.model import Member

ARRIVED: Final = "This message is on its way, or has arrived: there is nothing to send again."
TAKEN: Final = "This message is on its way, or has arrived: it can only be deleted on the phone."


async def send_text(
    conn: Connection,
    keyring: Keyring,
    member: Member,
    conversation_id: int,
    text: str,
    *,
    our_ref: UUID,
    reply_to: int | None = None,
) -> int:
    """Write a text message and put it in line; return the message's id.

    ``reply_to`` is the id of a message of the conversation to quote. The same ``our_ref`` again returns the same
    message and sends nothing; Conflict with another text. While the number is offboarded the message waits.

    Raises Invalid for an empty or too long text; Conflict when the customer service window is closed, the number is not
    connected or the person's is private; NotFound for a conversation of another account. Needs a transaction.
    """
    kept = _checked(text)
    target, known = await writing.begin(conn, keyring, member, conversation_id, our_ref)
    if known is not None:
        part = known.part("text")
        return writing.check_same(known, is_same=part is None or part.get("body") == kept)
    peer = writing.check_open(target)
    quoted = None if reply_to is None else await _quotable(conn, conversation_id, reply_to)
    draft = Draft("text", kept, payload.text(kept))
    return await writing.put_in_line(conn, keyring, member, target, peer, draft, our_ref, quoted)


async def retry(conn: Connection, keyring: Keyring, member: Member, message_id: int) -> int:
    """Send a message again because a person decided to; return the id of the message that is on its way now.

    One that certainly never reached Meta goes again itself. One that may have been sent, or that Meta took and
    could not deliver, stays as it is, and its text goes as a new message: two messages are two bubbles. The second
    click on the same one sends nothing more.

    Raises what ``send_text`` raises, and Conflict where the reason of the failure forbids another try, for now or ever,
    or where the message has become somebody else's.
    """
    message = await _sent(conn, member, message_id)
    if message.is_anothers:
        raise Conflict(writing.ANOTHERS, next_step=writing.ANOTHERS_STEP)
    why_not = why_not_again(message.codes, message.failed_at, clock.now(), wants_marketing=message.wants_marketing)
    if why_not is not None:
        raise Conflict(f"This was not sent again. {why_not.what}", next_step=why_not.next_step or None)
    is_undelivered = message.status == STATUS_RANK["failed"]
    if message.never_left:
        target = await writing.locked(conn, keyring, member, message.conversation_id)
        peer = writing.check_open(target, needs_window=message.needs_window)
        await templates.check_again(conn, target, message)
        part = message.payload[message.type]
        to = {"phone": target.phone, "reply_to": message.reply_to}
        body = payload.message(peer, message.type, part, message.our_ref, **to)
        if not await store.requeue(conn, message_id, peer, body):
            raise Conflict(ARRIVED)
        await store.wake(conn, message.inbox_id)
        await _tell(conn, member, message, Kind.MESSAGE_CHANGED)
        return message_id
    may_have_arrived = message.state == OutboxState.UNCLEAR or (message.wamid is None and message.is_given_up)
    if may_have_arrived or (message.wamid is not None and is_undelivered):
        return await _send_copy(conn, keyring, member, message)
    raise Conflict(ARRIVED)


async def discard(conn: Connection, member: Member, message_id: int) -> None:
    """Give up a message that did not go out.

    One that never reached Meta disappears. One that may have been sent stays, marked as given up, because the
    customer may have it; giving it up again changes nothing.
    """
    message = await _sent(conn, member, message_id)
    may_have_arrived = message.is_doubtful or message.state == OutboxState.UNCLEAR
    if message.never_left or (message.wamid is None and message.state == OutboxState.QUEUED and not may_have_arrived):
        if not await store.delete_message(conn, message_id):
            raise Conflict(TAKEN)
        await _tell(conn, member, message, Kind.MESSAGE_REMOVED)
    elif message.state == OutboxState.UNCLEAR or (may_have_arrived and message.state == OutboxState.QUEUED):
        await store.give_up(conn, message_id, "It was given up, but may have reached the customer.")
        await _tell(conn, member, message, Kind.MESSAGE_CHANGED)
    elif message.wamid is not None or not message.is_given_up:
        raise Conflict(TAKEN)


async def _send_copy(conn: Connection, keyring: Keyring, member: Member, message: Sent) -> int:
    """Send what a message says as a new one, once: two messages are two bubbles."""
    our_ref = uuid.uuid5(message.our_ref, "sent again")
    target, known = await writing.begin(conn, keyring, member, message.conversation_id, our_ref)
    if known is not None:
        return known.message_id
    peer = writing.check_open(target, needs_window=message.needs_window)
    await templates.check_again(conn, target, message)
    draft = Draft(message.type, message.text, message.payload[message.type], message.content)
    return await writing.put_in_line(conn, keyring, member, target, peer, draft, our_ref, message.reply_to)


async def _quotable(conn: Connection, conversation_id: int, message_id: int) -> str:
    wamid = await store.wamid_of(conn, conversation_id, message_id)
    if wamid is None:
        raise Conflict("The message to answer is not known to WhatsApp yet.", next_step="Send without the quote.")
    return wamid


def _checked(text: str) -> str:
    kept = text.replace("\0", "").strip()
    if not kept:
        raise Invalid("The message is empty.")
    if len(kept) > TEXT_CHARS_MAX:
        raise Invalid(
            f"WhatsApp takes {TEXT_CHARS_MAX:,} characters in a message; this one has {len(kept):,}.",
            next_step="Shorten it, or send it in parts.",
        )
    return kept


async def _sent(conn: Connection, member: Member, message_id: int) -> Sent:
    message = await store.sent(conn, member.account_id, message_id)
    if message is None:
        raise NotFound("This message does not exist, or it was not written here.")
    return message


async def _tell(conn: Connection, member: Member, message: Sent, kind: Kind) -> None:
    await summary.refresh(conn, [message.conversation_id])
    place = (message.inbox_id, message.conversation_id)
    bubble = NewEvent(member.account_id, kind, *place, message.message_id)
    await feed.append(conn, [bubble, NewEvent(member.account_id, Kind.CONVERSATION_CHANGED, *place)])
