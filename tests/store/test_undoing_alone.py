"""Undoing an import takes what that import alone told: what was told otherwise, or of others, is here afterwards."""

from __future__ import annotations

from typing import Any, Final

import pytest

from coexist.base.database import Pool, transaction
from coexist.inbox import apply as inbox_apply
from coexist.inbox.resolution import People, resolve
from coexist.intake.replay import replay_import
from tests.store.test_applying import rows
from tests.store.test_undoing import RUI, said, undo
from tests.support import intake, wire
from tests.support.intake import BRANCH, ONBOARDED_AT, SHOP, Number, body_of

RUI_BSUID, NEXT_BSUID, PARENT = "PT.4001", "PT.4002", "PT.ENT.7"
OWNER: Final = """
SELECT i.kind || ':' || i.value FROM messages m JOIN conversations c ON c.id = m.conversation_id
  JOIN identities i ON i.contact_id = c.contact_id WHERE m.wamid = 'wamid.late' ORDER BY 1
"""


def past(*messages: dict[str, Any], phone: str | None = RUI, bsuid: str | None = None, order: int = 1) -> bytes:
    return body_of(wire.history([wire.thread(phone, bsuid, messages)], order=order, progress=100))


@pytest.fixture
async def account_id(pool: Pool) -> int:
    async with transaction(pool) as conn:
        return await intake.connect(conn, SHOP, BRANCH)


async def bring_back(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await replay_import(conn, SHOP.phone_number_id, ONBOARDED_AT, "Inês Duarte")
    await intake.apply_all(pool)


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("number", [SHOP, BRANCH], ids=["of this number", "of another"])
async def test_a_message_that_comes_while_its_conversation_is_removed_is_applied(
    pool: Pool, account_id: int, monkeypatch: pytest.MonkeyPatch, number: Number
) -> None:
    """The person stays, for another number talks with them; the conversation into which it was to go does not."""
    await intake.deliver(pool, [past(said("r1", 9, RUI))])
    await intake.deliver(pool, [body_of(wire.message("wamid.b1", 5, wire.text("Olá"), phone=RUI, number=BRANCH))])

    async def overtaken(*args: Any, **kwargs: Any) -> People:
        monkeypatch.setattr(inbox_apply, "resolve", resolve)
        people = await resolve(*args, **kwargs)
        assert (await undo(pool, account_id)).conversations == 1
        return people

    monkeypatch.setattr(inbox_apply, "resolve", overtaken)
    await intake.deliver(
        pool, [body_of(wire.message("wamid.now", 6, wire.text("Ainda aí?"), phone=RUI, number=number))]
    )
    assert await rows(pool, "SELECT error FROM quarantine") == []
    assert await rows(pool, "SELECT wamid FROM messages ORDER BY 1") == [("wamid.b1",), ("wamid.now",)]
