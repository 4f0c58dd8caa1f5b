"""What an import did: `coexist receipt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from coexist.base.config import Settings
from coexist.base.counts import counted
from coexist.base.errors import NotFound
from coexist.commands.opening import open_pool, run_command

if TYPE_CHECKING:
    from datetime import datetime

    from coexist.coexistence.receipts import Receipt
    from coexist.inbox.inboxes import Inbox

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
        if one is None or found is None:
            raise NotFound(
                f"There is no inbox {inbox} with the phone app.",
                next_step="`coexist doctor --no-meta` names every inbox.",
            )
        typer.echo(msgspec.json.encode(found).decode() if json else _page(one, found))
        raise SystemExit(DISTURBED if found.disturbed else 0)

    run_command(run)


def _page(inbox: Inbox, of: Receipt) -> str:
    from coexist.coexistence import words
    from coexist.media.rules import STATES, sentence_of

    figures = of.figures
    lines = [
        f"Inbox {inbox.id}, {inbox.name}",
        f"Connected at {_at(of.onboarded_at)}, counted at {_at(of.counted_at)}.",
        "",
        f"  History     {words.sentence(of.history_sync, of.counted_at)}",
        f"  Contacts    {words.sentence(of.contacts_sync, of.counted_at)}",
        f"  Came        {counted(figures.conversations, 'chat')} with {counted(figures.messages, 'new message')}, "
        f"{counted(figures.contacts, 'contact')} with chats, {figures.book_entries:,} in the address book",
        f"  Announced   {counted(of.told_in_all, 'message')}, of which {of.not_new_count:,} brought nothing new",
    ]
    for files in of.files:
        why = sentence_of(files.reason) or (f"({files.reason.replace('_', ' ')})" if files.reason else "")
        lines.append(f"  Files       {files.count:,} {STATES[files.state].lower()} {why}".rstrip())
    lines.append(
        f"  Phone only  {counted(figures.media_on_phone, 'file')}, {counted(figures.content_on_phone, 'message')} "
        "whose content WhatsApp does not give"
    )
    for place, phase in enumerate(of.phases):
        label = "" if place else "Parts"
        span = words.PHASES.get(phase.phase, f"Phase {phase.phase}").lower()
        gap = f"never came: part {', '.join(map(str, phase.missing))}" if phase.missing else "no gap"
        lines.append(
            f"  {label:<11} {span}: {counted(phase.chunk_count, 'part')} with "
            f"{counted(phase.message_count, 'message')}, {gap}"
        )
    waiting = f"{counted(figures.quarantined, 'part')} could not be applied: `coexist quarantine list`"
    lines += [f"  Quarantine  {waiting if figures.quarantined else 'nothing'}", "", "  Whom it disturbed"]
    for zero in of.zeros:
        sign = "WRONG" if zero.count else "ok   "
        told = f", in {zero.table}: {', '.join(zero.ids)}" if zero.count else ""
        lines.append(f"    {sign} {words.ZEROS[zero.name]}: {zero.count:,}{told}")
    return "\n".join(lines)


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
