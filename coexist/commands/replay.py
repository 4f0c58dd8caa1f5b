"""Applying journaled deliveries again: `coexist replay`."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import Invalid, Unavailable
from coexist.commands.opening import open_pool, progress, run_command, time_of

if TYPE_CHECKING:
    from coexist.base.database import Pool
    from coexist.intake.replay import Span

LOOK_EVERY_S: Final = 0.5
"""How often somebody who waits is told how far it is."""

PLACE_HELP: Final = "an id of the journal, or a time such as 2026-11-20T09:30:00Z."
ID_MAX: Final = 2**63 - 1


def replay(
    start: Annotated[str | None, typer.Option("--from", help=f"The first delivery: {PLACE_HELP}")] = None,
    end: Annotated[str | None, typer.Option("--to", help=f"The last delivery: {PLACE_HELP}")] = None,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only deliveries of which a part could not be applied.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="The whole journal.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many that would be.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they are applied, and say how far it is.")] = False,
) -> None:
    """Apply journaled deliveries again: those that failed, after a fix; or all, to fill an empty database.

    It puts them in line; a running `serve` or `work` applies them, after whatever happens now. Doing it twice does no
    harm, and nobody is notified of what is there already.
    """
    if not (start or end or quarantined or everything):
        raise Invalid("Say what to replay: --quarantined, --from and --to, or --all.")
    if everything and (start or end):
        raise Invalid("Say either --all, or --from and --to.")
    begins, ends = _place(start, "--from"), _place(end, "--to")

    async def run(settings: Settings) -> None:
        from coexist.base import clock
        from coexist.intake.replay import Span, check, extent

        span = Span(
            first=begins if isinstance(begins, int) else None,
            last=ends if isinstance(ends, int) else None,
            since=begins if isinstance(begins, datetime) else None,
            until=ends if isinstance(ends, datetime) else None,
            is_quarantined=quarantined,
        )
        async with open_pool(settings, statement_timeout_ms=0) as pool:
            async with pool.connection() as conn:
                has = await extent(conn)
            check(span, has, clock.now())
            # What comes in from now on is in line by itself.
            span = replace(
                span, first=max(span.first or 0, has.first or 0), last=min(span.last or ID_MAX, has.last or 0)
            )
            count = await _go_through(pool, span, is_dry=dry_run)
            if dry_run:
                typer.echo(f"{counted(count, 'delivery', 'deliveries')} would be applied again.")
                return
            typer.echo(f"{counted(count, 'delivery is', 'deliveries are')} in line to be applied again.")
            if wait:
                await _wait(pool, span)

    run_command(run)


def _place(raw: str | None, option: str) -> int | datetime | None:
    if raw is None or not raw.strip():
        return None
    if not re.fullmatch(r"[0-9]+", raw.strip()):
        return time_of(raw.strip(), option)
    if not 1 <= int(raw) <= ID_MAX:
        raise Invalid(
            f"{option} {raw} is no id of the journal.", next_step="`coexist journal status` says what it has."
        )
    return int(raw)


async def _go_through(pool: Pool, span: Span, *, is_dry: bool) -> int:
    """Count the span's deliveries, or put them in line, window by window; return how many."""
    from coexist.base.database import transaction
    from coexist.intake.replay import count, replay, window_end

    assert span.last is not None
    first, total = span.first or 1, 0
    while first <= span.last:
        async with transaction(pool) as conn:
            end = span.last if span.is_quarantined else await window_end(conn, first)
            if end is None:
                break
            window = replace(span, first=first, last=min(end, span.last))
            total += await count(conn, window) if is_dry else await replay(conn, window, by="coexist replay")
        first = end + 1
        progress(f"{total:,} so far, delivery {min(end, span.last)} of {span.last}")
    progress("")
    return total


async def _wait(pool: Pool, span: Span) -> None:
    """Say how far it is until nothing of the span is in line."""
    from coexist.intake.figures import has_worker
    from coexist.intake.replay import in_line, quarantined_count

    while True:
        async with pool.connection() as conn:
            left, is_worked_on = await in_line(conn, span), await has_worker(conn)
            failed = await quarantined_count(conn, span)
        if not left:
            break
        if not is_worked_on:
            raise Unavailable(
                f"{counted(left, 'delivery waits', 'deliveries wait')}, and no worker runs.",
                next_step="Start `coexist serve` or `coexist work`.",
            )
        progress(f"{counted(left, 'is', 'are')} still in line")
        await asyncio.sleep(LOOK_EVERY_S)
    progress("")
    typer.echo(
        f"All are applied; {counted(failed, 'part of them is', 'parts of them are')} in quarantine."
        if failed
        else "All are applied."
    )
