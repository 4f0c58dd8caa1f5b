"""The state of a number's history sync, as a line that stays in sight until it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coexist.base.counts import counted
from coexist.base.database import Connection
from coexist.coexistence import rules, store
from coexist.coexistence.model import Phase, SyncKind, SyncState

MOVING: Final = frozenset({SyncState.REQUESTING, SyncState.REQUESTED, SyncState.RECEIVING})

ENDINGS: Final[dict[SyncState, tuple[str, str]]] = {
    SyncState.COMPLETED: ("History is here", ""),
    SyncState.DECLINED: ("The business did not share its chats", "New messages come in."),
    SyncState.NOTHING_ARRIVED: ("The history did not arrive", "See why, and what can be done."),
    SyncState.FAILED: ("The history could not be asked for", "See why, and what can be done."),
    SyncState.SWITCHED_OFF: ("Taking in history is switched off", "New messages come in."),
    SyncState.NOT_REQUESTED: ("The history has not been asked for", "See what is missing."),
}
"""How a history ended for whoever saw it come, and what to do or to know about it."""
BAD_ENDINGS: Final = frozenset({SyncState.NOTHING_ARRIVED, SyncState.FAILED})


@dataclass(frozen=True, slots=True)
class Strip:
    """Where the history of one inbox stands. ``progress`` is 0-100, the counts are as Meta's chunks told them."""

    inbox_id: int
    state: SyncState
    phases: Sequence[Phase]
    progress: int

    @property
    def is_moving(self) -> bool:
        """Whether more is expected by itself: then the line is shown."""
        return self.state in MOVING

    @property
    def ending(self) -> tuple[str, str]:
        """What to say when no more is expected: a headline, and what follows from it."""
        title, remark = ENDINGS[self.state]
        return title, remark or f"{counted(self.message_count, 'message')}. Nobody was notified."

    @property
    def is_bad(self) -> bool:
        """Whether it ended without what was asked for, although nobody chose that."""
        return self.state in BAD_ENDINGS

    @property
    def message_count(self) -> int:
        """Messages received so far."""
        return sum(phase.message_count for phase in self.phases)


async def strip_of(conn: Connection, inbox_id: int) -> Strip | None:
    """Return the state of an inbox's history sync; None for a number without the phone app."""
    history = [sync for sync in await store.syncs(conn, inbox_id) if sync.kind == SyncKind.HISTORY]
    if not history:
        return None
    phases = await store.phases(conn, inbox_id)
    progress, _ = rules.progress_of({phase.phase: phase.progress for phase in phases})
    return Strip(inbox_id, SyncState(history[0].state), phases, progress)
