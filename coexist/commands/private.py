"""People whose content is never kept: `coexist private`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import NotFound
from coexist.commands.opening import AccountOption, first_line, open_pool, operator, run_command

if TYPE_CHECKING:
    from coexist.base.crypto import Keyring
    from coexist.base.database import Connection
    from coexist.inbox.private import Holdings, PrivateNumber

app = typer.Typer(
    help="Private numbers: nothing that these people write, or that is written to them, is kept. See docs/privacy.md.",
    no_args_is_help=True,
)

NumberFile = Annotated[
    Path | None,
    typer.Option("--number-file", help="A file whose first line is the number; it is asked for without, or read from "
                 "standard input, so that it stands in no list of commands."),
]  # fmt: skip


@app.command(name="list")
def list_numbers(account: AccountOption) -> None:
    """List the private numbers of an account."""

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.inbox import private
        from coexist.meta.phones import pretty

        async with open_pool(settings) as pool, pool.connection() as conn:
            found = await private.numbers(conn, open_keyring(settings), await _account(conn, account))
        for one in found:
            typer.echo(f"{pretty(one.digits)}   added {one.added_at:%Y-%m-%d} by {one.added_by}{_purge(one)}")
        if not found:
            typer.echo("No number is private.")

    run_command(run)


@app.command()
def add(account: AccountOption, number_file: NumberFile = None) -> None:
    """Put a number on the list: from now on nothing of it is kept. Says what is here of it already."""
    number = _number(number_file)

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.base.database import transaction
        from coexist.inbox import private

        keyring = open_keyring(settings)
        async with open_pool(settings) as pool, transaction(pool) as conn:
            account_id = await _account(conn, account)
            number_id = await private.add(conn, keyring, operator(), account_id, number)
            here = await private.holdings(conn, keyring, account_id, number_id)
        typer.echo("It is on the list: from now on nothing of it is kept.")
        typer.echo(_told(here))
        typer.echo("`coexist private purge` removes what is here of it, also what others wrote that shows it.")

    run_command(run)


@app.command()
def purge(account: AccountOption, number_file: NumberFile = None) -> None:
    """Remove what is here of a number of the list, for good. Asks for the number once more."""
    number = _number(number_file)
    again = typer.prompt("This cannot be undone. Type the number again") if number_file is None else number

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.base.database import transaction
        from coexist.inbox import private

        keyring = open_keyring(settings)
        async with open_pool(settings) as pool, transaction(pool) as conn:
            account_id = await _account(conn, account)
            one = await _found(conn, keyring, account_id, number)
            typer.echo(_told(await private.holdings(conn, keyring, account_id, one.id)))
            await private.want_purge(conn, keyring, account_id, one.id, typed=again)
        typer.echo("It is being removed by a running `serve` or `work`; `coexist private list` says how far that is.")

    run_command(run)


@app.command()
def remove(account: AccountOption, number_file: NumberFile = None) -> None:
    """Take a number off the list: from now on it is kept again. What was not kept cannot come back."""
    number = _number(number_file)

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.base.database import transaction
        from coexist.inbox import private

        async with open_pool(settings) as pool, transaction(pool) as conn:
            account_id = await _account(conn, account)
            one = await _found(conn, open_keyring(settings), account_id, number)
            await private.remove(conn, account_id, one.id)
        typer.echo("It is off the list. What was not kept cannot come back.")

    run_command(run)


@app.command()
def scrub() -> None:
    """Write the tables anew, so that no byte of removed rows stays in their files. Each is locked meanwhile."""

    async def run(settings: Settings) -> None:
        from coexist.intake.purging import vacuum

        async with open_pool(settings, statement_timeout_ms=0) as pool:
            await vacuum(pool, is_full=True)
        typer.echo("The tables are written anew. The write-ahead log follows by itself: docs/privacy.md.")

    run_command(run)


def _number(path: Path | None) -> str:
    if path is None and sys.stdin.isatty():
        return str(typer.prompt("The number, with its country code"))
    return first_line(path)


async def _found(conn: Connection, keyring: Keyring, account_id: int, raw: str) -> PrivateNumber:
    from coexist.inbox import private
    from coexist.meta.phones import same_number

    number = private.checked(raw)
    for one in await private.numbers(conn, keyring, account_id):
        if same_number(one.digits, number):
            return one
    raise NotFound("This number is not on the list.", next_step="`coexist private list` shows it.")


def _told(here: Holdings) -> str:
    return (
        f"Here of it: {counted(here.messages, 'message')} in {counted(here.conversations, 'conversation')}, "
        f"{counted(here.files, 'file')}, {counted(here.entries, 'address-book entry', 'address-book entries')}, "
        "and its parts of journaled deliveries."
    )


def _purge(one: PrivateNumber) -> str:
    if one.purge_share is not None:
        return f"; what was here is being removed, {one.purge_share:.0%}"
    if one.purged_at is None:
        return ""
    parts = counted(one.purged_parts, "part of a delivery", "parts of deliveries")
    return f"; {counted(one.purged_messages, 'message')} and {parts} removed"


async def _account(conn: Connection, account: str) -> int:
    from coexist.people import store

    return (await store.find_account(conn, account)).id
