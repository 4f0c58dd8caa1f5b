"""Chats that the phone exported: `coexist import-chat`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import Conflict, Invalid, NotFound
from coexist.commands.opening import AccountOption, open_pool, run_command

if TYPE_CHECKING:
    from coexist.base.database import Pool
    from coexist.exported_chats.choosing import Given, Offer
    from coexist.exported_chats.model import Chat, Report
    from coexist.inbox.inboxes import Inbox

READ_BYTES: Final = 1024 * 1024
WAIT_S: Final = 0.5


class Order(StrEnum):
    """Which of a date's numbers is what."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"
    YEAR_FIRST = "ymd"


def import_chat(
    account: AccountOption,
    file: Annotated[Path | None, typer.Argument(help="What the phone exported: a .zip or .txt file, as it is.")] = None,
    number: Annotated[str | None, typer.Option(help="Our number, if the account has several.")] = None,
    contact: Annotated[str, typer.Option(help="The customer's number, such as +351 910 559 111.")] = "",
    own_name: Annotated[
        str | None, typer.Option(help="Who of the names in the chat is us; empty if we wrote nothing.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="The phone's time zone, such as Europe/Lisbon.")] = "",
    date_order: Annotated[Order | None, typer.Option(help="How its dates are to be read.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would be brought in.")] = False,
    undo: Annotated[int | None, typer.Option(help="Take back the import with this number instead.")] = None,
) -> None:
    """Bring a chat that WhatsApp exported into the thread with that customer, without what is there already.

    What is not given is proposed from the chat and from the thread. It notifies nobody. docs/exported-chats.md
    """
    from coexist.exported_chats.choosing import Given
    from coexist.exported_chats.stamps import DateOrder
    from coexist.people import store as people

    if (file is None) == (undo is None):
        raise Invalid("Give the file that the phone exported, or --undo with the number of an import.")
    order = DateOrder(date_order) if date_order else None
    given = Given(phone=contact, own_name=own_name, time_zone=time_zone, order=order)

    async def run(settings: Settings) -> None:
        async with open_pool(settings, statement_timeout_ms=0) as pool:
            async with pool.connection() as conn:
                account_id = (await people.find_account(conn, account)).id
            if undo is not None:
                await _undo(pool, settings, account_id, undo)
            else:
                assert file is not None
                await _bring_in(pool, settings, account_id, file, number, given, is_preview=preview)

    run_command(run)


async def _bring_in(
    pool: Pool, settings: Settings, account_id: int, file: Path, number: str | None, given: Given, *, is_preview: bool
) -> None:
    from coexist.base import crypto
    from coexist.base.database import transaction
    from coexist.exported_chats import actions, store
    from coexist.exported_chats.choosing import offer

    inbox, keyring = await _inbox(pool, account_id, number), crypto.open_keyring(settings)
    chat_id = await actions.receive(pool, settings, keyring, account_id, None, file.name, _chunks(file))
    is_started = False
    try:
        async with pool.connection() as conn:
            chat = await store.chat(conn, account_id, chat_id)
        offered = await offer(pool, settings, keyring, chat, inbox, given, own_zone="UTC")
        _say(offered, inbox)
        if offered.choices is None:
            raise Invalid("\n".join(offered.missing), next_step="Run it again with the options that --help names.")
        if is_preview:
            return
        assert offered.plan is not None
        report = offered.plan.report()
        if not report.new + report.filled:
            typer.echo("Everything is here already: nothing was brought in.")
            return
        async with transaction(pool) as conn:
            await actions.start(conn, settings, account_id, chat_id, inbox, offered.choices)
        is_started = True
    finally:
        if not is_started:
            async with transaction(pool) as conn:
                await actions.discard(conn, settings, account_id, chat_id)
    done = await _work(pool, settings, account_id, chat_id)
    assert done.report is not None
    typer.echo(f"Brought in as import {chat_id}: {_counts(done.report)}. --undo {chat_id} takes it back.")


async def _undo(pool: Pool, settings: Settings, account_id: int, chat_id: int) -> None:
    from coexist.base.database import transaction
    from coexist.exported_chats import actions

    async with transaction(pool) as conn:
        await actions.undo(conn, account_id, chat_id)
    done = await _work(pool, settings, account_id, chat_id)
    typer.echo(f"Import {chat_id} is taken back. {done.error or ''}".rstrip())


async def _inbox(pool: Pool, account_id: int, number: str | None) -> Inbox:
    from coexist.inbox import inboxes
    from coexist.meta.phones import digits

    async with pool.connection() as conn:
        connected = await inboxes.of_account(conn, account_id)
    wanted = digits(number) if number else None
    found = [one for one in connected if wanted in (None, one.display_phone_number, one.phone_number_id)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"+{one.display_phone_number}" for one in connected) or "none"
    if not found:
        raise NotFound(f"No such number is connected. Connected: {known}.")
    raise Invalid(f"The account has several numbers: {known}.", next_step="Say with --number which one it is.")


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    try:
        with await asyncio.to_thread(file.open, "rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, READ_BYTES):
                yield chunk
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from error


async def _work(pool: Pool, settings: Settings, account_id: int, chat_id: int) -> Chat:
    """Do an import here, or wait for the worker that took it."""
    from coexist.base import crypto
    from coexist.exported_chats import store, worker
    from coexist.exported_chats.model import State
    from coexist.media.keeping import open_keep
    from coexist.media.storage import open_storage

    keyring = crypto.open_keyring(settings)
    async with aclosing(open_storage(settings)) as storage:
        keep = open_keep(pool, settings, storage)
        while True:
            await worker.work_next(pool, settings, keyring, keep, only=chat_id)
            async with pool.connection() as conn:
                chat = await store.chat(conn, account_id, chat_id)
            if chat.state is State.FAILED:
                raise Conflict(chat.error or "It could not be brought in.")
            if chat.state not in (State.APPLYING, State.UNDOING):
                return chat
            await asyncio.sleep(WAIT_S)


def _say(offered: Offer, inbox: Inbox) -> None:
    found, zone = offered.survey, offered.zone
    typer.echo(f"{counted(found.message_count, 'message')} by {' and '.join(found.names)}.")
    if offered.plan is None or offered.choices is None:
        return
    person = offered.choices.person
    who = offered.contact.name if offered.contact else f"a new contact, +{person.phone}"
    known = counted(zone.pair_count, "message that is here too", "messages that are here too")
    proof = f" (so say {zone.agreeing_count:,} of {known})" if zone.pair_count else ""
    report = offered.plan.report()
    typer.echo(f"Thread: {who}, in {inbox.name}. We are: {offered.own_name or 'nobody in it'}.")
    typer.echo(f"Times: {zone.name}{proof}, from {report.first_at:%Y-%m-%d} to {report.last_at:%Y-%m-%d}.")
    typer.echo(f"To do: {_counts(report)}.")


def _counts(report: Report) -> str:
    parts = [
        f"{report.new:,} new",
        f"{report.filled:,} filled in where only the phone had them",
        f"{report.here:,} here already",
        counted(report.files, "file"),
    ]
    if report.moved:
        parts.append(f"{report.moved:,} brought in before with other times, left as they are")
    if report.refused_files:
        parts.append(f"{counted(report.refused_files, 'file')} not kept")
    if report.missing_files:
        parts.append(f"{counted(report.missing_files, 'file')} not in the export")
    skipped = sum(report.skipped.values())
    if skipped:
        parts.append(counted(skipped, "line that is no message", "lines that are no messages"))
    return ", ".join(parts)
