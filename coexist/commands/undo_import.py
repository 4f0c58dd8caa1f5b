"""Taking an import back, and bringing it back from the journal: `coexist undo-import`, `coexist reapply-import`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import Conflict, Invalid, NotFound
from coexist.commands.opening import open_pool, operator, run_command

if TYPE_CHECKING:
    from coexist.base.database import Pool
    from coexist.coexistence.undoing import Plan
    from coexist.inbox.inboxes import Inbox

OneInbox = Annotated[int, typer.Option("--inbox", min=1, help="The inbox, by its id.")]


def undo_import(
    inbox: OneInbox,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed, and what stays.")] = False,
) -> None:
    """Remove what the import of a number made and nobody has touched since.

    Says first what that is, and asks for the number, which is read from standard input. Broken off, it goes on where
    it was when it is run again. The journal stays: `coexist reapply-import` brings the same back.
    """

    async def run(settings: Settings) -> None:
        from coexist.coexistence import undoing

        async with open_pool(settings, statement_timeout_ms=0) as pool:
            one = await _inbox(pool, inbox)
            async with pool.connection() as conn:
                plan = await undoing.plan(conn, one.account_id, one.id)
                waits_for = await undoing.hindrance(conn, one)
            typer.echo(_page(plan))
            if dry_run or plan.is_empty:
                return
            if waits_for:
                until = f" If nothing more comes: at {waits_for.until:%Y-%m-%d %H:%M} UTC." if waits_for.until else ""
                raise Conflict(waits_for.what, next_step=f"{waits_for.next_step}{until}")
            typer.echo(f"Type the number of {one.name} to remove this: ", nl=False)
            typed = sys.stdin.readline()
            await _undo(pool, one, plan, typed)
            async with pool.connection() as conn:
                after = await undoing.plan(conn, one.account_id, one.id)
            typer.echo(f"\nNow:\n{_page(after)}")

    run_command(run)


async def _undo(pool: Pool, inbox: Inbox, plan: Plan, typed: str) -> None:
    from coexist.base.database import transaction
    from coexist.coexistence import undoing
    from coexist.events import feed

    after: int | None = 0
    conversations = messages = contacts = 0
    while after is not None:
        async with transaction(pool) as conn:
            await undoing.check(conn, inbox.account_id, inbox.id, typed=typed)
            step = await undoing.undo_some(conn, inbox, after=after)
            if (step.conversations or step.contacts) and not (conversations or contacts):
                await undoing.note(conn, inbox, undoing.UNDONE, operator())
            await feed.append(conn, step.events)
        after = step.last_id
        await asyncio.sleep(undoing.REST_S)
        conversations, messages = conversations + step.conversations, messages + step.messages
        contacts += step.contacts
        if step.conversations:
            typer.echo(f"{conversations:,} of {counted(plan.goes.conversations, 'conversation')} removed.")
    typer.echo(
        f"Removed: {counted(conversations, 'conversation')}, {counted(messages, 'message')}, "
        f"{counted(contacts, 'contact')}."
    )


def _page(plan: Plan) -> str:
    from coexist.coexistence.undoing import REASONS

    goes = plan.goes
    lines = [
        f"{counted(goes.conversations, 'conversation')} with {counted(goes.messages, 'message')} "
        "would be removed: nobody touched them."
    ]
    if plan.contacts:
        contacts = counted(plan.contacts, "contact")
        lines.append(f"{contacts} without a chat would go too: only the phone's address book named them.")
    if goes.stored_files:
        files = counted(goes.stored_files, "fetched file")
        lines.append(f"{files} would go too; WhatsApp gives a file again for seven days only.")
    lines += [
        f"{counted(stay.conversations, 'conversation stays', 'conversations stay')}, with "
        f"{counted(stay.messages, 'imported message')}: {REASONS[stay.reason]}."
        for stay in plan.stays
        if stay.reason is not None
    ]
    if not plan.is_empty and not plan.can_come_back:
        lines.append("The journal no longer has all of this import: what is removed cannot all come back.")
    return "\n".join(lines)


def reapply_import(inbox: OneInbox) -> None:
    """Bring the import of a number back from the journal. Meta is asked for nothing.

    Puts in line its history and contacts, received since it was first connected; a running `serve` or `work` applies
    them. What is here already stays as it is, and nobody is notified of it.
    """

    async def run(settings: Settings) -> None:
        from coexist.base.database import transaction
        from coexist.coexistence import undoing
        from coexist.intake.replay import replay_import

        async with open_pool(settings, statement_timeout_ms=0) as pool:
            one = await _inbox(pool, inbox)
            async with pool.connection() as conn:
                plan = await undoing.plan(conn, one.account_id, one.id)
                since = await undoing.connected_at(conn, one.id)
            if not plan.can_come_back:
                typer.echo("The journal no longer has all of this import: only a part comes back.", err=True)
            async with transaction(pool) as conn:
                count = await replay_import(conn, one.phone_number_id, since, "bringing an import back")
                if count:
                    await undoing.note(conn, one, undoing.BROUGHT_BACK, operator())
            typer.echo(f"{counted(count, 'delivery is', 'deliveries are')} in line to be applied again.")

    run_command(run)


async def _inbox(pool: Pool, inbox_id: int) -> Inbox:
    from coexist.inbox import inboxes

    async with pool.connection() as conn:
        found = [one for one in await inboxes.of_installation(conn) if one.id == inbox_id]
    if not found:
        raise NotFound(f"There is no inbox {inbox_id}.", next_step="`coexist doctor --no-meta` names every inbox.")
    if not found[0].is_coexistence:
        raise Invalid("This number is not in the WhatsApp Business app: nothing was imported.")
    return found[0]
