"""The state of a number's history sync, as a line that stays in sight until it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coexist.base.database import Connection
from coexist.coexistence import rules, store
from coexist.coexistence.model import Phase, SyncKind, SyncState

MOVING: Final = frozenset({SyncState.REQUESTING, SyncState.REQUESTED, SyncState.RECEIVING})


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
