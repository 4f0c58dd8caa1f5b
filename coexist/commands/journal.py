"""What was received, as received: `coexist journal`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.commands.opening import open_pool, run_command

app = typer.Typer(help="What Meta sent, as it was received, and for how long it is kept.", no_args_is_help=True)

KIBIBYTE = 1024


@app.command()
def status() -> None:
    """Say what the journal holds, what is in line, and for how long deliveries are kept."""
    from coexist.intake.figures import figures

    async def run(settings: Settings) -> None:
        async with open_pool(settings, statement_timeout_ms=0) as pool, pool.connection() as conn:
            found = await figures(conn)
        lines = [
            ("Deliveries", f"{found.live + found.imports:,}, {found.imports:,} of them of imports"),
            ("On the disk", _size(found.disk_bytes)),
            ("Received", f"{found.first_at:%Y-%m-%d %H:%M} to {found.last_at:%Y-%m-%d %H:%M} UTC")
            if found.first_at
            else ("Received", "nothing yet"),
            ("In line", f"{found.in_line:,}" + (f", since {found.oldest_waiting_at:%Y-%m-%d %H:%M:%S} UTC"
                                                 if found.oldest_waiting_at else "")),
            ("Workers", f"{found.workers}" if found.workers else "none: start `coexist serve` or `coexist work`"),
            ("Quarantined", f"{counted(found.quarantined, 'part')}, and {found.dismissed:,} dismissed"),
            ("Not connected here", counted(found.unrouted, "delivery", "deliveries")),
            ("Kept", f"{_days(settings.journal_days)}; imports {_days(settings.journal_import_days)}"),
            ("Events", f"{found.events:,}"),
        ]  # fmt: skip
        for name, words in lines:
            typer.echo(f"{name:<20}{words}")

    run_command(run)


@app.command()
def show(journal_id: Annotated[int, typer.Argument(help="The delivery's id.", min=1)]) -> None:
    """Print one delivery, byte for byte as Meta sent it. It holds what people wrote."""
    from coexist.base.crypto import open_keyring
    from coexist.intake.quarantine import body_of

    async def run(settings: Settings) -> None:
        async with open_pool(settings) as pool, pool.connection() as conn:
            body = await body_of(conn, open_keyring(settings), journal_id)
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()

    run_command(run)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove old deliveries now, as the worker does every hour. What waits stays in any case."""
    from coexist.intake.retention import count_old, kept_of, prune_journal

    async def run(settings: Settings) -> None:
        kept = kept_of(settings)
        async with open_pool(settings) as pool:
            removed = await count_old(pool, kept) if dry_run else await prune_journal(pool, kept)
        would = "would be removed" if dry_run else "removed"
        typer.echo(
            f"{counted(removed.live + removed.imports, 'delivery', 'deliveries')} {would}, "
            f"{removed.imports:,} of them of imports: "
            f"{_size(removed.removed_bytes)}. Kept: {_days(kept.live_days)}; imports {_days(kept.import_days)}."
        )

    run_command(run)


def _days(days: int) -> str:
    return counted(days, "day") if days else "for ever"


def _size(count: int) -> str:
    """``340.0 KiB``, ``1.2 GiB``."""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < KIBIBYTE:
            break
        size, unit = size / KIBIBYTE, larger
    return f"{size:,.1f} {unit}" if unit != "bytes" else counted(count, "byte")
