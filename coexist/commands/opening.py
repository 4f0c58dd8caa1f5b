"""What every command begins with: the settings, the database, and what is read from a file or typed."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base import config
from coexist.base.config import Settings
from coexist.base.errors import Invalid

if TYPE_CHECKING:
    from coexist.base.database import Pool

SECRET_CHARS_MAX: Final = 5_000

AccountOption = Annotated[str, typer.Option("--account", help="The account, by name or id.")]


def load_settings() -> Settings:
    """The settings, with a log that is written and a clock that runs as they say."""
    from coexist.base import clock, log

    settings = config.load()
    log.configure(settings)
    if settings.clock_file:
        clock.run_ahead(settings.clock_file)
    return settings


def run_command(command: Callable[[Settings], Coroutine[None, None, None]]) -> None:
    """Run a command's coroutine with the settings."""
    asyncio.run(command(load_settings()))


@asynccontextmanager
async def open_pool(settings: Settings, *, statement_timeout_ms: int | None = None) -> AsyncIterator[Pool]:
    """A pool on the migrated database. ``statement_timeout_ms`` is as everywhere unless given; 0 is for ever."""
    from coexist.base import database
    from coexist.worker import database_url_of

    limit_ms = database.STATEMENT_TIMEOUT_MS if statement_timeout_ms is None else statement_timeout_ms
    async with (
        database_url_of(settings) as url,
        database.open_pool(url, application="coexist command", max_size=2, statement_timeout_ms=limit_ms) as pool,
    ):
        yield pool


def operator() -> str:
    """Whoever runs this command, as timelines and lists name them."""
    return f"{getpass.getuser()} on the command line"


def first_line(path: Path | None) -> str:
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


def time_of(raw: str, option: str) -> datetime:
    """A time as somebody wrote it for ``option``. Raises Invalid for what is none, or has no time zone."""
    try:
        at = datetime.fromisoformat(raw)
    except ValueError as error:
        raise Invalid(f"{option} {raw!r} is not a time.", next_step="Write it like 2026-11-20T09:30:00Z.") from error
    if at.tzinfo is None:
        raise Invalid(f"{option} {raw!r} needs a time zone.", next_step="Write it like 2026-11-20T09:30:00Z.")
    return at


def progress(words: str) -> None:
    """Replace the line that says how far it is; nothing where nobody looks."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[K{words}", err=True, nl=False)
