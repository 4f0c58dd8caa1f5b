"""What is wrong with a number: `coexist doctor`, and what to give to somebody who helps: `coexist support-bundle`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.errors import Invalid, NotFound
from coexist.commands.opening import open_pool, run_command

if TYPE_CHECKING:
    from coexist.base.database import Connection
    from coexist.coexistence.checks_model import Check, Diagnosis
    from coexist.inbox.inboxes import Inbox

EXIT: Final = {"green": 0, "amber": 3, "red": 4}
"""How `coexist doctor` ends; 1 and 2 are what every command ends with when it could not be run."""
SIGNS: Final = {"green": "ok   ", "amber": "look ", "red": "WRONG"}

OneInbox = Annotated[int | None, typer.Option("--inbox", min=1, help="Only this inbox, by its id; else every one.")]


def doctor(
    inbox: OneInbox = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object an inbox and line, for programs.")] = False,
    meta: Annotated[
        bool,
        typer.Option(help="Whether Meta is asked, and a self-test sent to our own webhook. Changes nothing there."),
    ] = True,
) -> None:
    """Say what is wrong with a number: history, messages of the app, contacts, sending.

    Ends with 0 when all is green, 3 when something is amber, 4 when something is red.
    """

    async def run(settings: Settings) -> None:
        import aiohttp
        import msgspec

        from coexist.base.crypto import open_keyring
        from coexist.coexistence import checks, checks_doctor, checks_store
        from coexist.coexistence.checks_model import SEVERITY, Level
        from coexist.meta.graph import graph_of

        keyring = open_keyring(settings)
        levels = [Level.GREEN]
        async with open_pool(settings) as pool, aiohttp.ClientSession() as session:
            async with pool.connection() as conn:
                found = await _inboxes(conn, inbox)
            for one in found:
                asks = meta and not one.is_moved
                if asks:
                    look = await checks.look(pool, graph_of(settings, session), keyring, settings, one)
                async with pool.connection() as conn:
                    if asks:
                        await checks_store.note_checks(conn, look)
                    diagnosis = await checks_doctor.diagnose(conn, keyring, settings, one.account_id, one.id)
                levels.append(Level(diagnosis.level))
                typer.echo(msgspec.json.encode(diagnosis).decode() if json else _page(one, diagnosis))
        if not found and not json:
            typer.echo("No number is connected yet.")
        raise SystemExit(EXIT[max(levels, key=SEVERITY.index)])

    run_command(run)


def support_bundle(
    inbox: OneInbox = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
) -> None:
    """Write what somebody who helps needs: ids, times, counts, versions, settings, checks, errors by code.

    No message, no name, no phone number of a customer and no secret is in it. Run `coexist doctor` before: what Meta
    said then is included.
    """

    async def run(settings: Settings) -> None:
        from coexist.base.crypto import open_keyring
        from coexist.coexistence.checks_bundle import bundle

        keyring = open_keyring(settings)
        async with open_pool(settings) as pool, pool.connection() as conn:
            found = await _inboxes(conn, inbox)
            told = await bundle(conn, keyring, settings, [(one.account_id, one.id) for one in found])
        if output is None:
            sys.stdout.buffer.write(told + b"\n")
            sys.stdout.buffer.flush()
            return
        try:
            output.write_bytes(told + b"\n")
        except OSError as error:
            raise Invalid(f"{output} cannot be written: {error.strerror}.") from error

    run_command(run)


async def _inboxes(conn: Connection, inbox_id: int | None) -> Sequence[Inbox]:
    from coexist.inbox import inboxes

    found = await inboxes.of_installation(conn)
    wanted = [one for one in found if inbox_id in (None, one.id)]
    if inbox_id is not None and not wanted:
        raise NotFound(f"There is no inbox {inbox_id}.", next_step="`coexist doctor` without --inbox shows all.")
    return wanted


def _page(inbox: Inbox, diagnosis: Diagnosis) -> str:
    """The four answers, then all that they rest on, what is wrong first."""
    from coexist.coexistence.checks_model import SEVERITY, Level
    from coexist.meta.phones import pretty

    asked_at = diagnosis.meta_asked_at
    lines = [
        f"Inbox {inbox.id}, {inbox.name}, {pretty(inbox.display_phone_number)}",
        f"Meta was asked at {asked_at:%Y-%m-%d %H:%M} UTC." if asked_at else "Meta was never asked.",
        "",
    ]
    told: dict[tuple[str, str], Check] = {}
    for question in diagnosis.questions:
        lines += [f"  {SIGNS[question.level]} {question.asked}?", f"        {question.verdict}"]
        told |= {(check.name, check.seen): check for check in question.checks}
    lines += ["", "  What this rests on:"]
    for check in sorted(told.values(), key=lambda one: -SEVERITY.index(Level(one.level))):
        lines.append(f"    {SIGNS[check.level]} {check.title}: {check.seen}")
        if check.next_step and check.level != "green":
            lines.append(f"          Next: {check.next_step}")
    return "\n".join(lines) + "\n"
