"""Letting a former key go: `coexist reseal`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coexist.base.config import Settings
from coexist.base.errors import Conflict
from coexist.commands.opening import open_pool, progress, run_command

if TYPE_CHECKING:
    from coexist.intake.resealing import Resealed


def reseal(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much that would be.")] = False,
) -> None:
    """Encrypt anew, with the first key of COEXIST_SECRET_KEY, what the others encrypted, so that these can go.

    Restart every `serve` and `work` with the new key first: docs/operations.md. It runs beside them and may be
    interrupted at any time.
    """

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.intake import resealing

        keyring = open_keyring(settings)
        async with open_pool(settings, statement_timeout_ms=0) as pool:
            if dry_run:
                async with pool.connection() as conn:
                    found = await resealing.left(conn, keyring)
                for one in found:
                    typer.echo(f"{one.what:<28}{one.count:,} are not encrypted with the first key")
                return
            done: dict[str, Resealed] = {}
            async for one in resealing.reseal(pool, keyring):
                done[one.what] = one
                progress(f"{one.what:<28}{one.count:,} so far")
            progress("")
            for one in done.values():
                typer.echo(f"{one.what:<28}{one.count:,} encrypted anew{_unreadable(one)}")
        if any(one.unreadable for one in done.values()):
            raise Conflict(
                "Not everything could be read: no former key may go.",
                next_step="Put every key that was ever used into COEXIST_SECRET_KEY, and run this again. A number's "
                "token that is damaged is renewed on its page (Numbers > its name > Renew access).",
            )
        typer.echo("Everything is encrypted with the first key now: COEXIST_SECRET_KEY needs no other.")

    run_command(run)


def _unreadable(one: Resealed) -> str:
    return f"; {one.unreadable:,} could not be read" if one.unreadable else ""
