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
from coexist.inbox import locks, private, summary
from coexist.inbox.connection import State
from coexist.inbox.window import Window, window_of
from coexist.meta.errors import explain
from coexist.meta.model import STATUS_RANK
from coexist.meta.phones import digits, same_number
from coexist.outbound import payload, store
from coexist.outbound.model import OutboxState, Sent, Target
from coexist.outbound.rules import TEXT_CHARS_MAX, why_not_again
from coexist.people.model import Member

SHUT: Final = {
    State.REMOVED: "This number was disconnected on the phone: nothing can be sent from here.",
    State.TOKEN_INVALID: "WhatsApp no longer accepts our access to this number: nothing can be sent from here.",
    State.RESTRICTED: "WhatsApp has restricted this business account: nothing can be sent from here.",
}
"""States in which nothing new is taken in. Offboarded is not among them: there, messages wait (requirement G3)."""
SENDER_IS_RECIPIENT: Final = 131021
OURSELVES: Final = explain(SENDER_IS_RECIPIENT).what
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
    message and sends nothing. While the number is offboarded the message waits.

    Raises Invalid for an empty or too long text; Conflict when the customer service window is closed, the number is not
    connected or the person's is private; NotFound for a conversation of another account. Needs a transaction.
    """
    return await _send(conn, keyring, member, conversation_id, _checked(text), our_ref=our_ref, reply_to=reply_to)


async def retry(conn: Connection, keyring: Keyring, member: Member, message_id: int) -> int:
    """Send a message again because a person decided to; return the id of the message that is on its way now.

    One that certainly never reached Meta goes again itself. One that may have been sent, or that Meta took and
    could not deliver, stays as it is, and its text goes as a new message: two messages are two bubbles. The second
    click on the same one sends nothing more.

    Raises what ``send_text`` raises, and Conflict where the reason of the failure forbids another try, for now or ever.
    """
    message = await _sent(conn, member, message_id)
    why_not = why_not_again(message.codes, message.failed_at, clock.now(), wants_marketing=message.wants_marketing)
    if why_not is not None:
        raise Conflict(f"This was not sent again. {why_not.what}", next_step=why_not.next_step or None)
    is_undelivered = message.status == STATUS_RANK["failed"]
    if message.never_left:
        target = await _locked(conn, keyring, member, message.conversation_id)
        peer = _check_open(target)
        body = payload.text(peer, message.text, message.our_ref, phone=target.phone, reply_to=message.reply_to)
        if not await store.requeue(conn, message_id, peer, body):
            raise Conflict(ARRIVED)
        await store.wake(conn, message.inbox_id)
        await _tell(conn, member, message, Kind.MESSAGE_CHANGED)
        return message_id
    may_have_arrived = message.state == OutboxState.UNCLEAR or (message.wamid is None and message.is_given_up)
    if may_have_arrived or (message.wamid is not None and is_undelivered):
        again = uuid.uuid5(message.our_ref, "sent again")
        quoted = message.reply_to
        return await _send(conn, keyring, member, message.conversation_id, message.text, our_ref=again, quoted=quoted)
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


async def _send(
    conn: Connection,
    keyring: Keyring,
    member: Member,
    conversation_id: int,
    text: str,
    *,
    our_ref: UUID,
    reply_to: int | None = None,
    quoted: str | None = None,
) -> int:
    scope_id = await store.scope_of(conn, member.account_id, conversation_id)
    if scope_id is None:
        raise NotFound("This conversation does not exist, or it belongs to another account.")
    await locks.share_apply(conn, scope_id)
    target = await _locked(conn, keyring, member, conversation_id)
    known = await store.message_of(conn, member.account_id, conversation_id, our_ref)
    if known is not None:
        return known
    peer = _check_open(target)
    if reply_to is not None:
        quoted = await _quotable(conn, conversation_id, reply_to)
    values = {
        "inbox_id": target.inbox_id,
        "conversation_id": conversation_id,
        "peer": peer,
        "type": "text",
        "sent_at": clock.now(),
        "text": text,
        "reply_to": quoted,
        "author_id": member.user_id,
        "our_ref": our_ref,
    }
    message_id = await store.insert_message(conn, values)
    if message_id is None:
        raise Conflict("This reference belongs to another message.", next_step="Load the page again, then send.")
    body = payload.text(peer, text, our_ref, phone=target.phone, reply_to=quoted)
    await store.enqueue(conn, target.inbox_id, message_id, our_ref, body)
    await summary.refresh(conn, [conversation_id])
    place = (member.account_id, Kind.CONVERSATION_CHANGED, target.inbox_id, conversation_id)
    added = NewEvent(member.account_id, Kind.MESSAGE_ADDED, target.inbox_id, conversation_id, message_id)
    await feed.append(conn, [added, NewEvent(*place)])
    return message_id


async def _locked(conn: Connection, keyring: Keyring, member: Member, conversation_id: int) -> Target:
    """The conversation to write in: every way of sending comes through here."""
    target = await store.target(conn, member.account_id, conversation_id)
    if target is None:
        raise NotFound("This conversation does not exist, or it belongs to another account.")
    await private.check_may_write(conn, keyring, member.account_id, conversation_id)
    return target


def _check_open(target: Target) -> str:
    """Return the id to write to, or raise Conflict when nothing may be sent there now."""
    if target.inbox_state in SHUT:
        raise Conflict(SHUT[State(target.inbox_state)], next_step="Connect the number again; the phone app can write.")
    if target.peer is not None and same_number(digits(target.peer), target.display_phone_number):
        raise Conflict(OURSELVES, next_step=explain(SENDER_IS_RECIPIENT).next_step)
    window = window_of(target.window_opened_at, clock.now(), target.window_refused_at)
    if not window.is_open:
        raise Conflict(_closed(window), next_step="It opens as soon as the customer writes; the phone app can write.")
    if target.peer is None:
        raise Conflict(
            "It is not certain which WhatsApp number is this person's now, so nothing was sent.",
            next_step="Wait until they write again, or answer in the phone app.",
        )
    return target.peer


def _closed(window: Window) -> str:
    return f"WhatsApp lets us write freely for 24 hours after a message of the customer. {window.why}"


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
