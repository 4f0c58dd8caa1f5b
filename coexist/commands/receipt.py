"""What an import did: `coexist receipt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.errors import NotFound
from coexist.commands.opening import open_pool, run_command

if TYPE_CHECKING:
    from coexist.coexistence.receipts import Receipt

DISTURBED: Final = 4
"""How the command ends when an import did what it must not."""


def receipt(
    inbox: Annotated[int, typer.Option("--inbox", min=1, help="The inbox, by its id.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say what the import of a number brought, what is missing and why, and whom it disturbed: nobody.

    Everything is counted from rows. Ends with 4 when the import did something that it must not.
    """

    async def run(settings: Settings) -> None:
        import msgspec

        from coexist.coexistence.receipts import receipt as receipt_of
        from coexist.inbox import inboxes

        async with open_pool(settings, statement_timeout_ms=0) as pool, pool.connection() as conn:
            one = next((one for one in await inboxes.of_installation(conn) if one.id == inbox), None)
            found = await receipt_of(conn, one.account_id, one.id) if one else None
        if found is None:
            raise NotFound(f"There is no inbox {inbox} with the phone app.", next_step="The page of numbers shows all.")
        typer.echo(msgspec.json.encode(found).decode() if json else _page(found))
        raise SystemExit(DISTURBED if found.disturbed else 0)

    run_command(run)


def _page(of: Receipt) -> str:
    figures = of.figures
    lines = [
        f"Import of inbox {of.inbox_id}, connected at {of.onboarded_at:%Y-%m-%d %H:%M} UTC",
        f"  history {of.history_sync.state}, contacts {of.contacts_sync.state}",
        f"  {figures.conversations} chats, {figures.messages} new messages of {of.told_in_all} told, "
        f"{figures.contacts} contacts with chats, {figures.book_entries} in the address book",
        *(f"  files {files.state}{f' ({files.reason})' if files.reason else ''}: {files.count}" for files in of.files),
        f"  only on the phone: {figures.media_on_phone} files, {figures.content_on_phone} messages",
    ]
    for phase in of.phases:
        missing = f", missing {', '.join(map(str, phase.missing))}" if phase.missing else ", no gap"
        lines.append(f"  phase {phase.phase}: {phase.chunk_count} parts, {phase.message_count} messages{missing}")
    for sync in (of.contacts_sync, of.history_sync):
        if sync.error:
            lines.append(f"  {sync.kind} error {sync.error_code}: {sync.error}")
    lines.append(f"  in quarantine: {figures.quarantined}")
    for zero in of.zeros:
        told = f"  in {zero.table}: {', '.join(zero.ids)}" if zero.count else ""
        lines.append(f"  {'WRONG' if zero.count else 'ok   '} {zero.name}: {zero.count}{told}")
    return "\n".join(lines)
