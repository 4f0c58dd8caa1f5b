"""What people do with exported chats: give one, decide whose it is, throw it away, bring it in, take it back."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from coexist.base import log
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection, Pool, transaction
from coexist.base.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from coexist.exported_chats import planning, store, threads, zones
from coexist.exported_chats.archive import MEBIBYTE, PACKAGE_BYTES_MAX
from coexist.exported_chats.model import Chat, Choices, Contact, State
from coexist.inbox import private, private_lists
from coexist.inbox.inboxes import Inbox
from coexist.inbox.switches import Switch, allowed
from coexist.media import disk
from coexist.meta.contents import file_name as safe_name
from coexist.meta.model import Person
from coexist.meta.phones import digits, match_key

FOLDER: Final = "exported-chats"
PHONE_DIGITS: Final = range(7, 16)

_BETWEEN: Final = r"[\s().\u2010-\u2015\u2066-\u2069\u202a-\u202e-]*"
_NUMBER: Final = re.compile(rf"\+(?:{_BETWEEN}\d){{7,15}}|\d(?:{_BETWEEN}\d){{8,14}}")
"""A phone number as WhatsApp puts it into a file's name. It is not kept: it may be a private one some day."""

PRIVATE: Final = "This is a private number: what is written with it is not kept here."

logger = log.get(__name__)


class WithPrivateNumber(Forbidden):
    """The chat is with somebody on the account's list of private numbers."""


def path_of(data_dir: Path, chat_id: int) -> Path:
    """Where an import's file is, on the host that took it in, until it is applied."""
    return data_dir / FOLDER / str(chat_id)


async def receive(
    pool: Pool,
    settings: Settings,
    keyring: Keyring,
    account_id: int,
    user_id: int | None,
    file_name: str,
    chunks: AsyncIterator[bytes],
) -> int:
    """Take in a file and return the id of its import, with nothing decided yet.

    Raises Invalid for what is no exported chat of one person, TooLarge, and WithPrivateNumber when a private
    number is one of the names in the chat, or in the file's; then nothing stays.
    """
    name = safe_name(PurePath(file_name).name) or "chat"
    numbers = _NUMBER.findall(name)
    draft = settings.data_dir / FOLDER / f"{uuid.uuid4().hex}.part"
    await asyncio.to_thread(draft.parent.mkdir, parents=True, exist_ok=True)
    try:
        size = await _write(draft, chunks)
        found, chat_name = await asyncio.to_thread(planning.survey, draft)
        async with transaction(pool) as conn:
            await conn.execute(private_lists.SHARE)
            for name_in_chat in (*found.names, *numbers, *_NUMBER.findall(chat_name)):
                if await private.is_listed(conn, keyring, account_id, name_in_chat):
                    raise WithPrivateNumber(PRIVATE)
            chat_id = await store.insert(
                conn,
                account_id,
                user_id,
                file_name=_NUMBER.sub("…", name),
                file_bytes=size,
                total_count=found.message_count,
            )
            await asyncio.to_thread(draft.replace, path_of(settings.data_dir, chat_id))
    finally:
        draft.unlink(missing_ok=True)
    logger.info("exported_chat_received", chat=chat_id, bytes=size, messages=found.message_count)
    return chat_id


async def _write(draft: Path, chunks: AsyncIterator[bytes]) -> int:
    size = 0
    try:
        with await asyncio.to_thread(draft.open, "xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > PACKAGE_BYTES_MAX:
                    raise TooLarge(f"The file is larger than the {PACKAGE_BYTES_MAX // MEBIBYTE:,} MiB taken in here.")
                await asyncio.to_thread(file.write, chunk)
    except OSError as error:
        raise disk.failed(error) from error
    return size


def file_of(settings: Settings, chat: Chat) -> Path:
    """Return the path of an import's file. Raises NotFound where it is not any more, or not on this host."""
    path = path_of(settings.data_dir, chat.id)
    if not path.exists():
        raise NotFound("The file of this import is not here any more.", next_step="Give it once more.")
    return path


def check_wanted(settings: Settings, inbox: Inbox) -> None:
    """Raise Forbidden where somebody decided that no history is brought in (requirement B11)."""
    if not inbox.within(allowed(settings)).takes(Switch.HISTORY):
        raise Forbidden(
            "Bringing in older messages is switched off for this number.",
            next_step="Whoever runs this installation can switch it on.",
        )


THEIR_IDS: Final = """
SELECT DISTINCT o.match_key FROM identities i JOIN identities o ON o.contact_id = i.contact_id
 WHERE i.scope_id = %s AND i.match_key = ANY(%s)
"""


async def check_public(conn: Connection, keyring: Keyring, inbox: Inbox, person: Person) -> None:
    """Raise WithPrivateNumber for somebody on the account's list, under whatever id (requirement G11).

    Before anything is written, the transaction must hold ``private_lists.SHARE``.
    """
    lists = await private_lists.load(conn, keyring)
    is_private = lists.of_account(inbox.account_id) if lists else None
    if is_private is None:
        return
    own = [person.any_bsuid or "", match_key(person.phone) if person.phone else ""]
    rows = await (await conn.execute(THEIR_IDS, (inbox.scope_id, own))).fetchall()
    if any(is_private(key) for key in (*own, *(row[0] for row in rows)) if key):
        raise WithPrivateNumber(PRIVATE, next_step=f"Throw the file away. {private.OFF_THE_LIST}")


async def chosen_contact(
    conn: Connection, inbox: Inbox, *, contact_id: int | None, phone: str
) -> tuple[Contact | None, Person]:
    """Return the contact that somebody named, None for a new one, and the ids to file the messages under.

    By its id, or by a phone number as people write it, with its country. Raises Invalid and NotFound.
    """
    if contact_id is not None:
        named = await threads.contact(conn, inbox.scope_id, contact_id)
        if named.person is None:
            raise Invalid("This contact's number belongs to somebody else by now.", next_step="Choose another contact.")
        return named, named.person
    number = digits(phone)
    if number is None or len(number) not in PHONE_DIGITS:
        raise Invalid("Say whose chat this is.", next_step="Choose a contact, or give the number with its country.")
    if match_key(number) == match_key(inbox.display_phone_number):
        raise Invalid("That is our own number.", next_step="Give the customer's.")
    found = await threads.contacts_named(conn, inbox.scope_id, names=[], file_name="", phones=[number])
    contact = next((one for one in found if one.person is not None), None)
    return contact, contact.person if contact and contact.person else Person(phone=number)


async def start(
    conn: Connection, settings: Settings, account_id: int, chat_id: int, inbox: Inbox, choices: Choices
) -> None:
    """Bring a chat in as chosen, in the background. Raises Conflict when that was decided before."""
    check_wanted(settings, inbox)
    zones.zone(choices.time_zone)
    chat = await store.chat(conn, account_id, chat_id)
    file_of(settings, chat)
    if not await store.start(conn, account_id, chat_id, choices):
        raise Conflict("This chat is being brought in already.", next_step="Load the page again.")


async def retry(conn: Connection, settings: Settings, account_id: int, chat_id: int) -> None:
    """Go on with an import that failed, as it was decided. Raises Conflict when it did not."""
    file_of(settings, await store.chat(conn, account_id, chat_id))
    if not await store.restart(conn, account_id, chat_id):
        raise Conflict("This import did not fail.", next_step="Load the page again.")


async def undo(conn: Connection, account_id: int, chat_id: int) -> None:
    """Take back what an import made and nobody has touched since, in the background. Raises Conflict."""
    await store.chat(conn, account_id, chat_id)
    if not await store.start_undoing(conn, account_id, chat_id):
        raise Conflict("There is nothing to take back.", next_step="Load the page again.")


async def discard(conn: Connection, settings: Settings, account_id: int, chat_id: int) -> None:
    """Throw away a file that was not brought in. Raises Conflict for one that was."""
    chat = await store.chat(conn, account_id, chat_id)
    if not await store.delete_uploaded(conn, account_id, chat_id):
        word = "is being brought in" if chat.state is State.APPLYING else "was brought in"
        raise Conflict(f"This chat {word}.", next_step="Take it back instead.")
    with suppress(FileNotFoundError):
        path_of(settings.data_dir, chat_id).unlink()
