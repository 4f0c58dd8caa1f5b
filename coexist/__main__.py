"""The command line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import aiohttp
import typer

from coexist.base import config, crypto, database, log
from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.base.errors import AppError, Invalid, NotFound
from coexist.coexistence.onboarding import NewNumber, connect_number
from coexist.people import actions as people
from coexist.people import store as people_store
from coexist.people.model import Member, Role
from coexist.worker import database_url_of, graph_of
from coexist.worker import work as run_work

SECRET_CHARS_MAX: Final = 5_000
SINCE_HELP: Final = "When the number was connected to WhatsApp's API, such as 2026-11-20T09:30:00Z."

app = typer.Typer(
    name="coexist",
    help="One WhatsApp number, in the WhatsApp Business phone app and in a team inbox, at the same time.\n\n"
    "Settings come from the environment (COEXIST_...), docs/settings.md lists them. Without COEXIST_DATABASE_URL an "
    "embedded PostgreSQL runs in COEXIST_DATA_DIR; every command finds it, whether `coexist serve` runs or not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
user_app = typer.Typer(help="Who may sign in.", no_args_is_help=True)
app.add_typer(user_app, name="user")


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"


AccountOption = Annotated[str, typer.Option("--account", help="The account, by name or id.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the password; `-` for standard input.")
]


def main() -> None:
    """Run the command line. Expected errors are one sentence and exit code 1, or 2 for what was given wrongly."""
    try:
        app()
    except AppError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2 if isinstance(error, Invalid) else 1) from None
    except BrokenPipeError:  # `coexist export | head`: who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def serve() -> None:
    """Run everything: the webhook, the pages and the workers, until it is stopped.

    Prints the address of the pages. `coexist work` on other machines with the same database shares the work.
    """
    from coexist.app import serve as serve_app

    serve_app(_settings())


@app.command()
def work() -> None:
    """Run the workers only: applying deliveries, sending, fetching files. Any number of these may run."""
    run_work(_settings())


@app.command()
def demo(
    reset: Annotated[bool, typer.Option("--reset", help="Throw the demo's data away and start over.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the inbox listens.")] = 8400,
    phone_port: Annotated[int, typer.Option(min=1, max=65535, help="Where the phone listens.")] = 8401,
) -> None:
    """Run the product beside a simulated phone, on this machine alone: nothing to set up, nobody real.

    Its data stays in COEXIST_DATA_DIR/demo until --reset.
    """
    from coexist import demo as trial

    trial.check_ports(port, phone_port)
    opened = trial.open_demo(config.load().data_dir, port=port, phone_port=phone_port, reset=reset)
    os.environ |= opened.environment()
    os.environ.pop("COEXIST_DATABASE_URL", None)
    settings = _settings()
    asyncio.run(trial.run(opened, settings, trial.print_line))


@app.command()
def migrate() -> None:
    """Bring the database to the shape this version needs. `serve` and every other command do it by themselves."""

    async def run(settings: Settings) -> None:
        async with database_url_of(settings):
            typer.echo("The database is up to date.")

    _run(run)


@app.command()
def replay(
    first: Annotated[int | None, typer.Option("--from", min=1, help="The first journal id.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="The last journal id.")] = None,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only deliveries of which a part could not be applied.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="The whole journal.")] = False,
) -> None:
    """Apply journaled deliveries again: those that failed, after a fix; or all, to fill an empty database.

    It only puts them in line; a running `serve` or `work` applies them. Doing it twice does no harm.
    """
    from coexist.intake.replay import replay as put_in_line

    if not (first or last or quarantined or everything):
        raise Invalid("Say what to replay: --quarantined, --from and --to, or --all.")

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, database.transaction(pool) as conn:
            count = await put_in_line(conn, first=first, last=last, is_quarantined=quarantined)
        typer.echo(f"{count} deliveries are in line to be applied again.")

    _run(run)


@app.command()
def export(
    account: AccountOption,
    format: Annotated[Format, typer.Option(help="jsonl: one JSON object a line.")] = Format.JSONL,
    output: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
) -> None:
    """Write everything of an account: inboxes, contacts, conversations, messages, and what could not be applied.

    docs/export.md explains every field. It is all as it was at one moment, also while messages come in.
    """
    from coexist.export import lines

    async def run(settings: Settings) -> None:
        async with _pool(settings, statement_timeout_ms=0) as pool, pool.connection() as conn:
            wanted = await people_store.find_account(conn, account)
            with _output(output) as file:
                async for line in lines(conn, wanted.id):
                    file.write(line)

    _run(run)


@app.command()
def connect(
    account: Annotated[str, typer.Option("--account", help="The account, by name or id; made if it is new.")],
    waba_id: Annotated[str, typer.Option(help="The id of the WhatsApp Business account.")],
    phone_number_id: Annotated[str, typer.Option(help="Meta's id of the number.")],
    display_number: Annotated[str, typer.Option(help="The number itself, such as +351 21 055 9000.")],
    token_file: Annotated[
        Path | None, typer.Option(help="A file whose first line is the access token; standard input without it.")
    ] = None,
    coexistence: Annotated[
        bool, typer.Option(help="Whether the WhatsApp Business app on a phone has the same number.")
    ] = True,
    since: Annotated[str | None, typer.Option(help=SINCE_HELP)] = None,
    name: Annotated[str | None, typer.Option(help="What the team calls the inbox.")] = None,
    portfolio_id: Annotated[
        str | None, typer.Option(help="The business portfolio, if several numbers of it come here.")
    ] = None,
    verify: Annotated[bool, typer.Option(help="Ask Meta first whether token and number are right.")] = True,
    sync: Annotated[bool, typer.Option(help="Ask the phone for its contacts and history, which works once.")] = True,
) -> None:
    """Connect a number whose access token you hold. The same number again gets the new token.

    Subscribes the app to the WhatsApp Business account, then asks for contacts and history, once, if the number is in
    the phone app. Set the webhook's address and fields in Meta's dashboard before: what it tells to nobody is lost.
    """
    token = _first_line(token_file) if token_file or not sys.stdin.isatty() else _asked_token()
    number = NewNumber(
        account=account,
        waba_id=waba_id,
        phone_number_id=phone_number_id,
        display_phone_number=display_number,
        token=token,
        is_coexistence=coexistence,
        onboarded_at=_time(since),
        name=name,
        portfolio_id=portfolio_id,
    )

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, aiohttp.ClientSession() as session:
            await connect_number(
                pool,
                graph_of(settings, session),
                crypto.open_keyring(settings),
                number,
                verifies=verify,
                asks_for_syncs=sync,
                is_sync_switched_on=settings.sync_enabled,
                say=typer.echo,
            )

    _run(run)


@user_app.command(name="add")
def add_user(
    account: AccountOption,
    email: Annotated[str, typer.Option(help="The e-mail to sign in with.")],
    name: Annotated[str, typer.Option(help="The name that colleagues see.")],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.AGENT,
    time_zone: Annotated[str, typer.Option(help="Such as Europe/Lisbon.")] = "UTC",
    password_file: PasswordFile = None,
) -> None:
    """Add somebody to an account. Without a password file, the sign-in link that is printed lets them in."""
    password = _first_line(password_file) if password_file else None

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, database.transaction(pool) as conn:
            found = await people_store.find_account(conn, account)
            member = await people.add_user(
                conn, found.id, name=name, email=email, role=role, password=password, time_zone=time_zone
            )
            typer.echo(f"{member.name} <{member.email}> is now {member.role} of {found.name}.")
            if password is None:
                typer.echo(_link(settings, await people.create_sign_in_link(conn, member.user_id)))

    _run(run)


@user_app.command(name="list")
def list_users(
    account: Annotated[str | None, typer.Option(help="Only this account, by name or id.")] = None,
) -> None:
    """List who may sign in."""

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, pool.connection() as conn:
            wanted = await people_store.find_account(conn, account) if account else None
            names = {each.id: each.name for each in await people_store.accounts(conn)}
            for member in await people_store.members(conn, wanted.id if wanted else None):
                typer.echo(f"{names[member.account_id]}\t{member.role}\t{member.email}\t{member.name}")

    _run(run)


@user_app.command(name="link")
def link_user(email: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Print a link that signs somebody in, once, within 24 hours. Give it to nobody else."""

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, database.transaction(pool) as conn:
            member = await _member(conn, email)
            typer.echo(_link(settings, await people.create_sign_in_link(conn, member.user_id)))

    _run(run)


@user_app.command(name="password")
def set_password(email: Annotated[str, typer.Argument(help="Whose.")], password_file: PasswordFile = None) -> None:
    """Give somebody a new password: asked for here, or read from a file. It signs them out everywhere."""
    if password_file:
        password = _first_line(password_file)
    else:
        password = str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))

    async def run(settings: Settings) -> None:
        async with _pool(settings) as pool, database.transaction(pool) as conn:
            member = await _member(conn, email)
            await people.set_password(conn, member.user_id, password)
        typer.echo(f"{member.email} has a new password and is signed out everywhere.")

    _run(run)


def _settings() -> Settings:
    settings = config.load()
    log.configure(settings)
    return settings


def _run(command: Callable[[Settings], Coroutine[None, None, None]]) -> None:
    asyncio.run(command(_settings()))


@asynccontextmanager
async def _pool(
    settings: Settings, *, statement_timeout_ms: int = database.STATEMENT_TIMEOUT_MS
) -> AsyncIterator[Pool]:
    """A pool on the migrated database."""
    async with (
        database_url_of(settings) as url,
        database.open_pool(
            url, application="coexist command", max_size=2, statement_timeout_ms=statement_timeout_ms
        ) as pool,
    ):
        yield pool


async def _member(conn: database.Connection, email: str) -> Member:
    wanted = email.strip().lower()
    member = next((each for each in await people_store.members(conn) if each.email == wanted), None)
    if member is None:
        raise NotFound(f"Nobody has the e-mail {wanted}.", next_step="`coexist user list` shows who there is.")
    return member


def _link(settings: Settings, token: str) -> str:
    return f"{settings.base_url}/sign-in/link/{token}"


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that has its name only when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.") from error
    draft.replace(path)


def _first_line(path: Path | None) -> str:
    """The first line of a file, else of standard input: secrets are never arguments, which others can see."""
    is_file = path is not None and str(path) != "-"
    try:
        if path is not None and is_file:
            with path.open(encoding="utf-8") as file:
                line = file.readline(SECRET_CHARS_MAX)
        else:
            line = sys.stdin.readline(SECRET_CHARS_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}.") from error
    if not line.strip():
        raise Invalid(f"{path if is_file else 'Standard input'} is empty.")
    return line.rstrip("\r\n")


def _asked_token() -> str:
    return str(typer.prompt("Access token", hide_input=True))


def _time(raw: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(raw) if raw else None
    except ValueError as error:
        raise Invalid(f"--since {raw!r} is not a time.", next_step="Write it like 2026-11-20T09:30:00Z.") from error


if __name__ == "__main__":
    main()
