"""An edit whose new text Meta could not give us (131060): the message says so, and keeps what it said before."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Final

import pytest

from coexist.base.database import Pool
from coexist.meta import wording
from tests.support.business import PHONE, change, deliver, inbound, open_business
from tests.support.hearing import ask

WITHHELD: Final = [{"code": 131060, "title": "This message is unavailable."}]


def edit(inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"id": "wamid.E", "from": PHONE, "timestamp": "1795000300", "type": "edit", **more}
    return change("messages", messages=[told | {"edit": {"original_message_id": "wamid.1", **inner}}])


INSIDE: Final = edit({"message": {"type": "unsupported", "unsupported": {"type": "image"}, "errors": WITHHELD}})
BESIDE: Final = edit({}, errors=WITHHELD)
REAL: Final = edit({"message": {"type": "text", "text": {"body": "A boa"}}})


@pytest.mark.requirement("D14", "D15")
@pytest.mark.parametrize("withheld", [INSIDE, BESIDE], ids=["inside", "beside"])
async def test_a_withheld_edit_keeps_the_earlier_text_and_is_replaced_in_any_order(
    pool: Pool, withheld: dict[str, Any]
) -> None:
    await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Bom dia"), withheld)
    shown = "SELECT text, edited_text FROM messages"
    assert await ask(pool, shown) == [("Bom dia", wording.UNAVAILABLE)]
    assert await ask(pool, "SELECT count(*) FROM quarantine") == [(0,)]
    await deliver(pool, REAL, withheld)
    assert await ask(pool, shown) == [("Bom dia", "A boa")]


@pytest.mark.requirement("D14")
async def test_a_caption_that_was_taken_away_beats_a_withheld_one_in_any_order(pool: Pool) -> None:
    await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Bom dia"))
    bare = edit({"message": {"type": "image", "image": {"id": "990", "mime_type": "image/jpeg"}}})
    for order in permutations([INSIDE, bare]):
        await ask(pool, "DELETE FROM message_changes RETURNING 1")
        await deliver(pool, *order)
        assert await ask(pool, "SELECT edited_text, edited_at IS NOT NULL FROM messages") == [(None, True)]
