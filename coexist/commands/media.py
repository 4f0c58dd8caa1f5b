"""Where files are kept: `coexist media`."""

from __future__ import annotations

from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import UpstreamFailed
from coexist.commands.opening import open_pool, run_command

app = typer.Typer(help="Photos, voice notes and documents: where they are kept.", no_args_is_help=True)


class Place(StrEnum):
    """Where files can be kept; the names of COEXIST_MEDIA_STORE."""

    DISK = "disk"
    S3 = "s3"


@app.command()
def move(
    to: Annotated[Place, typer.Option("--to", help="Where the files shall be: disk or s3.")],
    delete: Annotated[
        bool, typer.Option("--delete", help="Take each original away once its copy is read back and is the same.")
    ] = False,
) -> None:
    """Copy every file to the data folder or to the bucket, and compare each copy with its original.

    While `coexist serve` runs: copy, change COEXIST_MEDIA_STORE and restart, then run it again with --delete for what
    came meanwhile. What is there already is not sent again.
    """
    from coexist.media.move import move as move_all
    from coexist.media.storage import open_storage

    async def run(settings: Settings) -> None:
        other = Place.S3 if to is Place.DISK else Place.DISK
        async with aclosing(open_storage(settings, other)) as source, aclosing(open_storage(settings, to)) as target:
            moved = await move_all(settings.data_dir, source, target, deletes=delete)
        typer.echo(
            f"{counted(moved.copied_count, 'file')} copied ({counted(moved.copied_bytes, 'byte')}), "
            f"{counted(moved.present_count, 'was', 'were')} there already; all compared."
            f"{' The originals are deleted.' if delete else ''}"
        )
        for name in moved.damaged:
            typer.echo(f"Damaged before, and left where it is: {name.key}", err=True)
        if moved.damaged:
            raise UpstreamFailed(f"{counted(len(moved.damaged), 'file was', 'files were')} not moved.")

    run_command(run)


@app.command()
def sweep() -> None:
    """Delete files that no message names any more, as the worker does a few times a day."""
    from coexist.media.keeping import open_keep
    from coexist.media.storage import open_storage
    from coexist.media.sweep import sweep as sweep_all

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, aclosing(open_storage(settings)) as storage:
            swept = await sweep_all(open_keep(pool, settings, storage))
        typer.echo(
            f"{counted(swept.file_count, 'file')} and {counted(swept.draft_count, 'unfinished download')} deleted; "
            f"{counted(swept.expired_count, 'file')} given up: WhatsApp no longer has them."
        )

    run_command(run)
