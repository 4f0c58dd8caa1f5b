"""What could not be applied is blamed for what it can be the reason of, and for nothing else."""

from __future__ import annotations

from typing import Any, Final

import pytest

from coexist.base.database import Pool, transaction
from coexist.coexistence.checks_model import Check, Level, Name
from coexist.people import actions as people
from tests.store.test_doctor import ask, business, diagnosis
from tests.support import intake
from tests.support.business import PHONE, Business, change, deliver, echo, inbound

__all__ = ["business"]

ALL: Final = {"history", "app_messages", "contacts", "sending"}
METADATA: Final = {"phase": 0, "chunk_order": 1, "progress": 10}
NOBODY: Final = {"id": "wamid.X", "timestamp": "1700000000", "type": "text", "text": {"body": "?"}}


async def blamed(business: Business) -> dict[str, Check]:
    """The check of what could not be applied, by the question that it is not green for."""
    checks = {
        question.name: check
        for question in (await diagnosis(business)).questions
        for check in question.checks
        if check.name == Name.QUARANTINE
    }
    assert checks.keys() == ALL
    assert {check.level for check in checks.values()} <= {Level.GREEN, Level.AMBER}
    return {name: check for name, check in checks.items() if check.level == Level.AMBER}


@pytest.mark.requirement("G12", "C4")
@pytest.mark.parametrize(
    ("told", "blaming", "kind"),
    [
        (change("history", history=[{"metadata": METADATA, "threads": ["x"]}]), {"history"}, "chat in history"),
        (change("smb_app_state_sync", state_sync=[{"type": "contact", "action": "add", "contact": {}}]), {"contacts"},
         "address book entry in smb_app_state_sync"),
        (change("smb_message_echoes", message_echoes=[NOBODY]), {"app_messages"},
         "text message in smb_message_echoes"),
        (change("messages", statuses=[{"status": "failed"}]), {"sending"}, "status"),
        (change("messages", messages=[NOBODY]), set(), ""),
        ({"field": "account_update", "value": {}}, ALL, "all of account_update"),
        ({"field": "history"}, {"history"}, "all of history"),
        ({"value": {}}, ALL, "whole delivery"),
    ],
)  # fmt: skip
async def test_each_question_blames_the_kinds_that_can_be_its_reason(
    business: Business, told: dict[str, Any], blaming: set[str], kind: str
) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"), echo("wamid.2", "hi"))
    assert not await blamed(business)
    await deliver(business.pool, told)
    found = await blamed(business)
    assert found.keys() == blaming
    for check in found.values():
        assert f"1 part of a delivery could not be applied ({kind}), the last at" in check.seen
        assert "Open Quarantine" in check.next_step
    levels = {one.name: one.level for one in (await diagnosis(business)).questions}
    assert {name for name in ("app_messages", "sending") if levels[name] != Level.GREEN} == blaming - {
        "history", "contacts"
    }  # fmt: skip


@pytest.mark.requirement("G12", "C4")
async def test_what_cannot_be_told_apart_stays_in_every_question_and_says_why(business: Business) -> None:
    await deliver(business.pool, change("history", history=[{"metadata": METADATA, "threads": ["x"]}]))
    await intake.deliver(business.pool, [b'{"object":"whatsapp_business_account","entry":[{'])
    found = await blamed(business)
    assert found.keys() == ALL
    for check in found.values():
        assert "do not tell what they are of, and so may be of this: 1." in check.seen
        assert "name no number, and so may be of this one: 1." in check.seen
    assert found["history"].seen.startswith("2 parts of deliveries could not be applied (chat in history, whole deliv")
    assert found["contacts"].seen.startswith("1 part of a delivery could not be applied (whole delivery)")
    await ask(business, "UPDATE quarantine SET dismissed_at = now()")
    assert not await blamed(business), "somebody has decided that they need not be applied"


@pytest.mark.requirement("G12")
async def test_what_was_kept_back_before_its_field_was_noted_may_be_of_anything(business: Business) -> None:
    await deliver(business.pool, change("messages", messages=[NOBODY]))
    assert not await blamed(business)
    await ask(business, "UPDATE quarantine SET field = NULL, kind = NULL")
    found = await blamed(business)
    assert found.keys() == ALL
    assert "name no number" not in found["history"].seen


@pytest.mark.requirement("G12")
async def test_what_names_no_number_is_nobodys_where_there_are_several_accounts(business: Business) -> None:
    await intake.deliver(business.pool, [b"{"])
    assert (await blamed(business)).keys() == ALL
    async with transaction(business.pool) as conn:
        await people.create_account(conn, "Padaria Sol")
    assert not await blamed(business)


@pytest.mark.requirement("G12")
async def test_what_became_of_a_template_is_blamed_for_sending(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "hello"))
    await deliver(business.pool, {"field": "message_template_status_update"})
    assert (await blamed(business)).keys() == {"sending"}


async def test_a_part_is_tried_again_under_its_field(business: Business, pool: Pool) -> None:
    """What was kept back before fields were noted has its own after the next try."""
    await deliver(pool, change("history", history=[{"metadata": METADATA, "threads": ["x"]}]), inbound("w.1", PHONE))
    await ask(business, "UPDATE quarantine SET field = NULL")
    await ask(business, "INSERT INTO backlog (lane, journal_id) SELECT 1, journal_id FROM quarantine")
    await intake.apply_all(pool)
    assert (await blamed(business)).keys() == {"history"}
