"""What is taken in, and how far back conversations stay open: `coexist switch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import Invalid
from coexist.commands.opening import AccountOption, open_pool, operator, run_command

if TYPE_CHECKING:
    from coexist.base.database import Connection
    from coexist.inbox.switches import Switch

app = typer.Typer(
    help="What is taken in of a number: history, contacts, media. All of installation, account and number must be on; "
    "the installation's switches are COEXIST_SYNC_HISTORY, COEXIST_SYNC_CONTACTS and COEXIST_SYNC_MEDIA.",
    no_args_is_help=True,
)

Kind = Annotated[str, typer.Argument(help="history, contacts or media.")]
InboxOption = Annotated[
    int | None, typer.Option("--inbox", help="Only this number, by its id; else the whole account.")
]


@app.command()
def show(account: AccountOption, inbox: InboxOption = None) -> None:
    """Say what is taken in, and who switched off what is not."""

    async def run(settings: Settings) -> None:
        from coexist.coexistence.choices import choices_of
        from coexist.inbox.switches import allowed

        async with open_pool(settings) as pool, pool.connection() as conn:
            found = await choices_of(conn, allowed(settings), await _account(conn, account), inbox)
        for choice in found.switches:
            typer.echo(
                f"{choice.switch:<10}{'on' if choice.is_on else 'off'}" + (f"   {choice.words}" if choice.offs else "")
            )
        typer.echo(f"{'keep-open':<10}{counted(found.keep_open_days, 'day')}")

    run_command(run)


@app.command()
def on(kind: Kind, account: AccountOption, inbox: InboxOption = None) -> None:
    """Take something in again. Within 24 hours of connecting, what was never asked for is asked for now."""
    _throw(kind, account, inbox, is_on=True)


@app.command()
def off(kind: Kind, account: AccountOption, inbox: InboxOption = None) -> None:
    """Take something in no longer. What comes all the same stays in the journal and can be applied later."""
    _throw(kind, account, inbox, is_on=False)


@app.command(name="keep-open")
def keep_open(
    days: Annotated[int, typer.Argument(help="Days before the connection; 0 leaves all of an import resolved.")],
    account: AccountOption,
    inbox: InboxOption = None,
) -> None:
    """Choose how far back imported conversations stay open in which the customer had the last word."""

    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.coexistence.switches import keep_open as change

        async with open_pool(settings) as pool, transaction(pool) as conn:
            is_changed = await change(conn, operator(), await _account(conn, account), inbox, days)
        typer.echo(f"{counted(days, 'day')}{'' if is_changed else ', as before'}.")

    run_command(run)


def _throw(kind: str, account: str, inbox: int | None, *, is_on: bool) -> None:
    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.coexistence.choices import choices_of
        from coexist.coexistence.switches import throw
        from coexist.inbox.switches import Switch, allowed

        switch, installation = _switch(kind), allowed(settings)
        async with open_pool(settings) as pool, transaction(pool) as conn:
            account_id = await _account(conn, account)
            is_changed = await throw(
                conn, operator(), account_id, inbox, switch, is_on=is_on, installation=installation
            )
            after = await choices_of(conn, installation, account_id, inbox)
        typer.echo(f"{switch} is {'on' if is_on else 'off'}{'' if is_changed else ' already'}.")
        (choice,) = [one for one in after.switches if one.switch == switch]
        if is_on and choice.offs:
            typer.echo(f"Still nothing is taken in: {choice.words}")
        if is_on and is_changed and switch is not Switch.MEDIA:
            of = "N` of each number" if inbox is None else f"{inbox}`"
            typer.echo(f"What came meanwhile is in the journal: `coexist reapply-import --inbox {of} applies it.")

    run_command(run)


def _switch(raw: str) -> Switch:
    from coexist.inbox.switches import Switch

    try:
        return Switch(raw.lower())
    except ValueError as error:
        raise Invalid(f"{raw!r} is no switch.", next_step=f"There are {', '.join(Switch)}.") from error


async def _account(conn: Connection, account: str) -> int:
    from coexist.people import store

    return (await store.find_account(conn, account)).id
