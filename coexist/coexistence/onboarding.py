"""What Meta says of a number before it is connected here: is the token good, and is it the number one thinks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from coexist.base.errors import Invalid
from coexist.meta import graph as meta
from coexist.meta.errors import ErrorClass
from coexist.meta.graph import Graph, GraphError, GraphFailed, PhoneNumber
from coexist.meta.phones import digits, pretty, same_number

NOT_VISIBLE: Final = 33
"""The number is gone, or this token may not see it: no word about the token itself (meta-protocol 1.5)."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What Meta told. ``doubts`` are sentences about what did not fit or could not be checked."""

    name: str | None
    onboarded_at: datetime | None
    doubts: Sequence[str]


async def look_up(
    graph: Graph, *, phone_number_id: str, display_phone_number: str, token: str, is_coexistence: bool
) -> Findings:
    """Read the number from Graph, which changes nothing there.

    Raises Invalid when Meta refuses the token. Everything else that does not fit is a doubt: Meta's answers lag
    behind a sign-up, and a number is better connected with a doubt than lost.
    """
    try:
        number = await meta.phone_number(graph, phone_number_id, token)
    except GraphFailed as error:
        is_refused = isinstance(error, GraphError) and error.meaning.kind is ErrorClass.REAUTHORISE
        if is_refused and isinstance(error, GraphError) and error.code != NOT_VISIBLE:
            raise Invalid(
                f"Meta refuses this token. {error.message}",
                next_step="Give a token that may manage and message this WhatsApp Business account.",
            ) from error
        return Findings(None, None, [f"The token could not be checked. {error}"])
    return Findings(
        number.verified_name, _time(number.last_onboarded_time), _doubts(number, display_phone_number, is_coexistence)
    )


def _doubts(number: PhoneNumber, display_phone_number: str, is_coexistence: bool) -> list[str]:
    doubts = []
    told = digits(number.display_phone_number)
    if told and not same_number(told, digits(display_phone_number)):
        doubts.append(f"Meta says that this phone_number_id is {pretty(told)}: is the display number right?")
    if number.is_on_biz_app is not None and number.is_coexistence != is_coexistence:
        where = "in the WhatsApp Business app and on the API" if number.is_coexistence else "on the API alone"
        doubts.append(f"Meta says that this number is {where}: is --coexistence or --no-coexistence right?")
    return doubts


def _time(raw: str | int | None) -> datetime | None:
    """``last_onboarded_time``: seconds, or ISO 8601 with or without a colon in the offset."""
    try:
        if isinstance(raw, int) or (raw and raw.isdecimal()):
            return datetime.fromtimestamp(int(raw), UTC)
        told = datetime.fromisoformat(raw) if raw else None
    except (ValueError, OverflowError, OSError):
        return None
    return told if told is None or told.tzinfo else told.replace(tzinfo=UTC)
