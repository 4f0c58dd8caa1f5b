"""Who may sign in: `coexist user`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coexist.base.config import Settings
from coexist.base.errors import NotFound
from coexist.commands.opening import AccountOption, first_line, open_pool, run_command
from coexist.people.model import Member, Role

if TYPE_CHECKING:
    from coexist.base.database import Connection

app = typer.Typer(help="Who may sign in.", no_args_is_help=True)

PasswordFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the password; `-` for standard input.")
]


@app.command(name="add")
def add_user(
    account: AccountOption,
    email: Annotated[str, typer.Option(help="The e-mail to sign in with.")],
    name: Annotated[str, typer.Option(help="The name that colleagues see.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.AGENT,
    time_zone: Annotated[str, typer.Option(help="Such as Europe/Lisbon.")] = "UTC",
    password_file: PasswordFile = None,
) -> None:
    """Add somebody to an account. Without a password file, the sign-in link that is printed lets them in."""
    from coexist.base.database import transaction
    from coexist.people import actions, store

    password = first_line(password_file) if password_file else None

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, transaction(pool) as conn:
            found = await store.find_account(conn, account)
            member = await actions.add_user(
                conn, found.id, name=name, email=email, role=role, password=password, time_zone=time_zone
            )
            typer.echo(f"{member.name} <{member.email}> is now {member.role} of {found.name}.")
            if password is None:
                typer.echo(_link(settings, await actions.create_sign_in_link(conn, member.user_id)))

    run_command(run)


@app.command(name="list")
def list_users(
    account: Annotated[str | None, typer.Option(help="Only this account, by name or id.")] = None,
) -> None:
    """List who may sign in."""
    from coexist.people import store

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, pool.connection() as conn:
            wanted = await store.find_account(conn, account) if account else None
            names = {each.id: each.name for each in await store.accounts(conn)}
            for member in await store.members(conn, wanted.id if wanted else None):
                typer.echo(f"{names[member.account_id]}\t{member.role}\t{member.email}\t{member.name}")

    run_command(run)


@app.command(name="link")
def link_user(email: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Print a link that signs somebody in, once, within 24 hours. Give it to nobody else."""
    from coexist.base.database import transaction
    from coexist.people import actions

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, transaction(pool) as conn:
            member = await _member(conn, email)
            typer.echo(_link(settings, await actions.create_sign_in_link(conn, member.user_id)))

    run_command(run)


@app.command(name="password")
def set_password(email: Annotated[str, typer.Argument(help="Whose.")], password_file: PasswordFile = None) -> None:
    """Give somebody a new password: asked for here, or read from a file. It signs them out everywhere."""
    from coexist.base.database import transaction
    from coexist.people import actions

    if password_file:
        password = first_line(password_file)
    else:
        password = str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, transaction(pool) as conn:
            member = await _member(conn, email)
            await actions.set_password(conn, member.user_id, password)
        typer.echo(f"{member.email} has a new password and is signed out everywhere.")

    run_command(run)


async def _member(conn: Connection, email: str) -> Member:
    from coexist.people import store

    wanted = email.strip().lower()
    member = next((each for each in await store.members(conn) if each.email == wanted), None)
    if member is None:
        raise NotFound(f"Nobody has the e-mail {wanted}.", next_step="`coexist user list` shows who there is.")
    return member


def _link(settings: Settings, token: str) -> str:
    return f"{settings.base_url}/sign-in/link/{token}"
