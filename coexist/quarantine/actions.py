"""What keepers do about what could not be applied: try it again, let it rest, bring it back."""

from __future__ import annotations

from collections.abc import Collection

from coexist.base.database import Connection
from coexist.base.errors import NotFound
from coexist.events import feed
from coexist.quarantine import rules, store
from coexist.quarantine.model import Keeper


async def retry(conn: Connection, keeper: Keeper, ids: Collection[int] | None) -> Collection[int]:
    """Put parts in line to be applied again, or with None all that are not dismissed; return their ids.

    The other parts of the same deliveries are tried along with them. Raises NotFound when there is nothing to retry.
    """
    wanted = await store.want_retry(conn, keeper, ids)
    if not wanted:
        raise NotFound(
            "There is nothing to retry: it was applied or dismissed meanwhile.",
            next_step="Load the page again.",
        )
    await feed.append(conn, await store.events_of(conn, wanted.values()))
    return list(wanted)


async def dismiss(conn: Connection, keeper: Keeper, ids: Collection[int], *, why: str) -> int:
    """Let parts rest: they stay, with their deliveries, but ask for nobody's attention. Return how many that were.

    Raises NotFound when they are gone or dismissed already, Invalid without a reason.
    """
    return await _change(conn, keeper, ids, rules.checked_why(why))


async def restore(conn: Connection, keeper: Keeper, ids: Collection[int]) -> int:
    """Take a dismissal back. Raises NotFound when nothing of it is dismissed."""
    return await _change(conn, keeper, ids, None)


async def _change(conn: Connection, keeper: Keeper, ids: Collection[int], why: str | None) -> int:
    changed = await store.change_dismissal(conn, keeper, ids, why)
    if not changed:
        raise NotFound("It was applied, dismissed or brought back meanwhile.", next_step="Load the page again.")
    await feed.append(conn, await store.events_of(conn, changed.values()))
    return len(changed)


async def dismiss_number(conn: Connection, keeper: Keeper, phone_number_id: str, *, why: str) -> None:
    """Say that a number is not connected here on purpose. Its deliveries go on being kept, and apply if it ever is."""
    if not await store.dismiss_number(conn, keeper, phone_number_id, rules.checked_why(why)):
        raise NotFound("Nothing waits for this number, or it is dismissed already.", next_step="Load the page again.")
    await feed.append(conn, await store.events_of(conn))


async def restore_number(conn: Connection, keeper: Keeper, phone_number_id: str) -> None:
    """Take the dismissal of a number back. Raises NotFound when it is not dismissed."""
    if not await store.restore_number(conn, keeper, phone_number_id):
        raise NotFound("This number is not dismissed.", next_step="Load the page again.")
    await feed.append(conn, await store.events_of(conn))
