"""The command line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from coexist.base import config
from coexist.base.config import Settings
from coexist.base.errors import AppError, Invalid
from coexist.commands import journal, media, private, quarantine, switch, users
from coexist.commands.doctor import doctor, support_bundle
from coexist.commands.import_chat import import_chat
from coexist.commands.opening import AccountOption, first_line, load_settings, open_pool, run_command, time_of
from coexist.commands.receipt import receipt
from coexist.commands.replay import replay
from coexist.commands.reseal import reseal
from coexist.commands.undo_import import reapply_import, undo_import

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
app.add_typer(users.app, name="user")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(journal.app, name="journal")
app.add_typer(media.app, name="media")
app.add_typer(switch.app, name="switch")
app.add_typer(private.app, name="private")


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"


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
def serve(
    worker: Annotated[
        bool, typer.Option(help="Whether a worker runs beside it. Without one, `coexist work` must run somewhere.")
    ] = True,
) -> None:
    """Run everything: the webhook, the pages and a worker, until it is stopped.

    Prints the address of the pages. `coexist work` on other machines with the same database shares the work:
    docs/scaling.md.
    """
    from coexist.app import serve as serve_app

    serve_app(load_settings(), keeps_worker=worker)


@app.command()
def work() -> None:
    """Run the workers only: applying deliveries, sending, fetching files. Any number of these may run."""
    from coexist.worker import work as run_work

    run_work(load_settings())


@app.command()
def demo(
    reset: Annotated[bool, typer.Option("--reset", help="Throw the demo's data away and start over.")] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Connect nothing beforehand: sign the number up in the inbox.")
    ] = False,
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
    settings = load_settings()
    asyncio.run(trial.run(opened, settings, trial.print_line, is_empty=empty))


@app.command()
def migrate() -> None:
    """Bring the database to the shape this version needs. `serve` and every other command do it by themselves."""
    from coexist.worker import database_url_of

    async def run(settings: Settings) -> None:
        async with database_url_of(settings):
            typer.echo("The database is up to date.")

    run_command(run)


app.command()(replay)
app.command()(receipt)
app.command()(undo_import)
app.command()(reapply_import)
app.command()(import_chat)
app.command()(reseal)
app.command()(doctor)
app.command()(support_bundle)


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
    from coexist.people import store as people

    async def run(settings: Settings) -> None:
        async with open_pool(settings, statement_timeout_ms=0) as pool, pool.connection() as conn:
            wanted = await people.find_account(conn, account)
            with _output(output) as file:
                async for line in lines(conn, wanted.id):
                    file.write(line)

    run_command(run)


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
    import aiohttp

    from coexist.base import crypto
    from coexist.coexistence.onboarding import NewNumber, connect_by_hand
    from coexist.meta.graph import graph_of

    token = first_line(token_file) if token_file or not sys.stdin.isatty() else _asked_token()
    number = NewNumber(
        waba_id=waba_id,
        phone_number_id=phone_number_id,
        display_phone_number=display_number,
        token=token,
        is_coexistence=coexistence,
        onboarded_at=time_of(since, "--since") if since else None,
        name=name,
        portfolio_id=portfolio_id,
    )

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, aiohttp.ClientSession() as session:
            await connect_by_hand(
                pool,
                graph_of(settings, session),
                crypto.open_keyring(settings),
                settings,
                account,
                number,
                verifies=verify,
                asks_for_syncs=sync,
                say=typer.echo,
            )

    run_command(run)


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


def _asked_token() -> str:
    return str(typer.prompt("Access token", hide_input=True))


if __name__ == "__main__":
    main()
