"""What could not be applied: `coexist quarantine`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import Invalid, NotFound
from coexist.commands.opening import open_pool, operator, run_command

if TYPE_CHECKING:
    from coexist.base.database import Connection, Pool
    from coexist.quarantine.model import Keeper, Quarantined, Unrouted

app = typer.Typer(
    help="What Meta told us and we could not apply. Nothing of it is lost, and nothing waits behind it.",
    no_args_is_help=True,
)

LIST_ROWS: Final = 200
"""Parts listed at once, unless told otherwise."""
LIST_ROWS_MAX: Final = 100_000
WAIT_S: Final = 30
LOOK_EVERY_S: Final = 0.25

Ids = Annotated[list[int] | None, typer.Argument(help="Which: the ids that `coexist quarantine list` shows.")]
OnlyAccount = Annotated[
    str | None, typer.Option("--account", help="Only what this account may see, by name or id; else everything.")
]
Number = Annotated[
    str | None, typer.Option("--number", help="A number (or WhatsApp account) that is not connected here, by its id.")
]


@app.command(name="list")
def list_parts(
    account: OnlyAccount = None,
    dismissed: Annotated[bool, typer.Option("--dismissed", help="What was dismissed instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIST_ROWS_MAX, help="How many at most.")] = LIST_ROWS,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """List what could not be applied, the newest first, and deliveries for numbers that are not connected here."""

    async def run(settings: Settings) -> None:
        from coexist.quarantine import store

        async with open_pool(settings) as pool, pool.connection() as conn:
            keeper = await _keeper(conn, account)
            parts, has_more = await store.page(conn, keeper, is_dismissed=dismissed, limit=limit)
            numbers = [
                each for each in await store.unrouted(conn, keeper) if (each.dismissed_at is not None) == dismissed
            ]
        if json:
            import msgspec

            for each in [*parts, *numbers]:
                typer.echo(msgspec.json.encode(each).decode())
            return
        for part in parts:
            typer.echo(_lines(part))
        for number in numbers:
            typer.echo(_number_lines(number))
        if has_more:
            typer.echo(f"There are more: --limit {limit * 10} shows them.")
        if not parts and not numbers:
            typer.echo("Nothing was dismissed." if dismissed else "Nothing waits: all that came in is applied.")

    run_command(run)


@app.command()
def show(
    quarantine_id: Annotated[int, typer.Argument(help="Its id, as `coexist quarantine list` shows it.", min=1)],
    raw: Annotated[bool, typer.Option("--raw", help="Only the part's JSON, byte for byte as Meta sent it.")] = False,
) -> None:
    """Show one part with its JSON, which holds what people wrote."""

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.intake.quarantine import json_of
        from coexist.quarantine import store

        async with open_pool(settings) as pool, pool.connection() as conn:
            part = await store.find(conn, _operator(), quarantine_id)
            if part is None:
                raise _gone(quarantine_id)
            body = await json_of(conn, open_keyring(settings), part)
        if raw:
            sys.stdout.buffer.write(body)
            sys.stdout.buffer.flush()
        else:
            typer.echo(_lines(part))
            typer.echo(_readable(body))

    run_command(run)


@app.command()
def retry(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are not dismissed.")] = False,
    wait_s: Annotated[int, typer.Option("--wait", min=0, help="How many seconds to wait for the outcome.")] = WAIT_S,
) -> None:
    """Try parts again, and say what came of it. Ends with 1 when one failed again.

    Each is tried with its whole delivery, which is harmless for the parts of it that are applied.
    """
    if bool(ids) == everything:
        raise Invalid("Say what to retry: the ids, or --all.")

    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.quarantine import actions, store

        operator = _operator()
        async with open_pool(settings) as pool:
            async with transaction(pool) as conn:
                if everything:
                    before, _ = await store.page(conn, operator, limit=LIST_ROWS_MAX)
                else:
                    before = [part for id_ in ids or () if (part := await store.find(conn, operator, id_))]
                wanted = await actions.retry(conn, operator, None if everything else ids or ())
            for id_ in set(ids or ()) - set(wanted):
                typer.echo(f"{id_}: not in quarantine, or dismissed.")
            has_failed = await _tell_outcomes(pool, [part for part in before if part.id in set(wanted)], wait_s)
        if has_failed:
            raise SystemExit(1)

    run_command(run)


@app.command()
def dismiss(
    why: Annotated[str, typer.Option(help="Why it need not be applied: others read it later.")],
    ids: Ids = None,
    number: Number = None,
) -> None:
    """Let parts rest, or a number that is not connected here: they are kept, but ask for nobody's attention."""
    if bool(ids) == bool(number):
        raise Invalid("Say what to dismiss: the ids, or --number.")

    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.quarantine import actions

        async with open_pool(settings) as pool, transaction(pool) as conn:
            if number:
                await actions.dismiss_number(conn, _operator(), number, why=why)
                typer.echo(f"{number} is dismissed. Its deliveries are kept, and apply if it is ever connected.")
            else:
                count = await actions.dismiss(conn, _operator(), ids or (), why=why)
                typer.echo(f"{count} dismissed. They are kept: `coexist quarantine list --dismissed`.")

    run_command(run)


@app.command()
def restore(ids: Ids = None, number: Number = None) -> None:
    """Take a dismissal back."""
    if bool(ids) == bool(number):
        raise Invalid("Say what to bring back: the ids, or --number.")

    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.quarantine import actions

        async with open_pool(settings) as pool, transaction(pool) as conn:
            if number:
                await actions.restore_number(conn, _operator(), number)
                typer.echo(f"{number} is listed again.")
            else:
                typer.echo(f"{await actions.restore(conn, _operator(), ids or ())} listed again.")

    run_command(run)


async def _tell_outcomes(pool: Pool, before: Sequence[Quarantined], wait_s: float) -> bool:
    """Print what becomes of retried parts, for as long as somebody waits; return whether one failed again."""
    from coexist.intake.figures import has_worker
    from coexist.quarantine.outcome import ENDED, Outcome, outcomes

    has_failed, ends_at = False, time.monotonic() + wait_s
    while True:
        async with pool.connection() as conn:
            found = await outcomes(conn, _operator(), before)
            is_worked_on = await has_worker(conn)
        for one in found:
            if one.outcome in ENDED:
                has_failed |= one.outcome is not Outcome.APPLIED
                typer.echo(f"{one.before.id}: {one.outcome}{f': {one.error}' if one.error else ''}.")
        before = [one.before for one in found if one.outcome not in ENDED]
        if not before or time.monotonic() >= ends_at or not is_worked_on:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    if before:
        by = "A running worker applies them." if is_worked_on else "Start `coexist serve` or `coexist work`."
        typer.echo(f"{counted(len(before), 'is', 'are')} in line. {by}")
    return has_failed


def _operator() -> Keeper:
    """Whoever runs this command: they see everything."""
    from coexist.quarantine.model import Keeper

    return Keeper(operator(), None)


async def _keeper(conn: Connection, account: str | None) -> Keeper:
    from coexist.people import store
    from coexist.quarantine.model import Keeper

    if account is None:
        return _operator()
    return Keeper(_operator().name, (await store.find_account(conn, account)).id)


def _gone(quarantine_id: int) -> NotFound:
    return NotFound(
        f"Nothing in quarantine has the id {quarantine_id}: it was applied meanwhile, or never there.",
        next_step="`coexist quarantine list` shows what there is.",
    )


def _lines(part: Quarantined) -> str:
    """A part in a few lines for people."""
    from coexist.quarantine.rules import reason_for

    size = "" if part.part_bytes is None else f", {counted(part.part_bytes, 'byte')}"
    number = part.inbox_name or part.phone_number_id or "names no number"
    reason = reason_for(part.error)
    lines = [
        f"{part.id}  {part.kind or 'unknown kind'}{size}, {number}",
        f"    {reason.sentence} {reason.next_step}",
        f"    error     {part.error}",
        f"    part      {part.part or '(all of it)'} of delivery {part.journal_id}, received {_at(part.received_at)}",
        f"    tried     {counted(part.attempts, 'time')}, first {_at(part.since)}, last {_at(part.last_at)}",
    ]
    if part.previous_error:
        lines.append(f"    before    {part.previous_error}")
    if part.retry_wanted_at:
        lines.append(f"    in line   since {_at(part.retry_wanted_at)}, for {part.retry_wanted_by}")
    if part.dismissed_at:
        lines.append(f"    dismissed {_at(part.dismissed_at)} by {part.dismissed_by}: {part.dismissed_why}")
    return "\n".join(lines)


def _number_lines(number: Unrouted) -> str:
    count = number.delivery_count
    lines = [
        f"{number.phone_number_id}  {counted(count, 'delivery', 'deliveries')}; it is not connected here",
        f"    received  {_at(number.first_at)} to {_at(number.last_at)}",
        f"    next      coexist connect --phone-number-id {number.phone_number_id} … and they apply by themselves",
    ]
    if number.dismissed_at:
        lines.append(f"    dismissed {_at(number.dismissed_at)} by {number.dismissed_by}: {number.dismissed_why}")
    return "\n".join(lines)


def _readable(body: bytes) -> str:
    """JSON on several lines; what is no JSON as text."""
    import msgspec

    try:
        return msgspec.json.format(body, indent=2).decode()
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
