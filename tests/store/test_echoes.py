"""What a message from the phone app does to a conversation, and what it does not."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, transaction
from coexist.inbox import actions
from tests.support.business import (
    BSUID,
    DISPLAY,
    PHONE,
    Business,
    change,
    conversation_of,
    deliver,
    inbound,
    open_business,
    status,
)

MINUTE: Final = timedelta(minutes=1)


def echo(wamid: str, at: datetime, **who: str) -> dict[str, Any]:
    """A text from the phone app, sent at this time."""
    message = {"from": DISPLAY, "to": PHONE, "id": wamid, "timestamp": str(int(at.timestamp())), "type": "text"}
    return change("smb_message_echoes", message_echoes=[{**message, "text": {"body": "Pode passar"}, **who}])


async def shown(pool: Pool) -> tuple[Any, ...]:
    """(state, unread, since when somebody waits, when the window opened) of the only conversation."""
    query = "SELECT state::text, unread_count, waiting_since, window_opened_at FROM conversations"
    async with pool.connection() as conn:
        (row,) = await (await conn.execute(query)).fetchall()
    return row


@pytest.fixture
async def business(pool: Pool) -> Business:
    return await open_business(pool)


def seconds(at: datetime) -> datetime:
    """A time as Meta tells it."""
    return at.replace(microsecond=0)


async def test_an_echo_ends_the_waiting_and_what_comes_after_it_waits_anew(business: Business) -> None:
    asked, answered, thanked = (seconds(clock.now() - minutes * MINUTE) for minutes in (30, 20, 10))
    await deliver(business.pool, inbound("wamid.1", "Têm orquídeas?", at=asked))
    assert await shown(business.pool) == ("open", 1, asked, asked)
    await deliver(business.pool, echo("wamid.2", answered))
    assert await shown(business.pool) == ("open", 0, None, asked)
    await deliver(business.pool, inbound("wamid.3", "E vasos?", at=thanked))
    assert await shown(business.pool) == ("open", 1, thanked, thanked)


@pytest.mark.requirement("E8")
async def test_an_echo_that_is_older_than_the_question_answers_nothing_however_late_it_comes(
    business: Business,
) -> None:
    written, asked = (seconds(clock.now() - minutes * MINUTE) for minutes in (40, 30))
    await deliver(business.pool, inbound("wamid.1", "Têm orquídeas?", at=asked))
    before = await shown(business.pool)
    await deliver(business.pool, echo("wamid.0", written))
    assert await shown(business.pool) == before == ("open", 1, asked, asked)


@pytest.mark.requirement("E8")
@pytest.mark.parametrize("minutes_ago", [40, 20])
async def test_a_history_answers_nothing_whatever_its_times(business: Business, minutes_ago: int) -> None:
    asked = seconds(clock.now() - 30 * MINUTE)
    await deliver(business.pool, inbound("wamid.1", "Têm orquídeas?", at=asked))
    before = await shown(business.pool)
    at = str(int((clock.now() - minutes_ago * MINUTE).timestamp()))
    answer = {"from": DISPLAY, "to": PHONE, "id": "wamid.H", "timestamp": at, "type": "text", "text": {"body": "Sim"}}
    thread = {"id": PHONE, "messages": [{**answer, "history_context": {"status": "READ"}}]}
    metadata = {"phase": 0, "chunk_order": 1, "progress": 100}
    await deliver(business.pool, change("history", history=[{"metadata": metadata, "threads": [thread]}]))
    assert await shown(business.pool) == before == ("open", 1, asked, asked)


@pytest.mark.requirement("E8")
async def test_what_somebody_here_decided_stays_when_an_old_echo_comes(business: Business) -> None:
    await deliver(business.pool, inbound("wamid.1", "Têm orquídeas?", at=clock.now() - 30 * MINUTE))
    async with transaction(business.pool) as conn:
        await actions.resolve(conn, business.member, await conversation_of(business.pool))
    before = await shown(business.pool)
    await deliver(business.pool, echo("wamid.0", clock.now() - 40 * MINUTE))
    assert await shown(business.pool) == before
    assert before[0] == "resolved"


@pytest.mark.requirement("E9")
@pytest.mark.parametrize("has_window", [True, False])
async def test_an_echo_opens_and_extends_no_window_and_has_no_price(business: Business, *, has_window: bool) -> None:
    asked = seconds(clock.now() - 30 * MINUTE)
    if has_window:
        await deliver(business.pool, inbound("wamid.1", "Têm orquídeas?", at=asked))
    for number in (1, 2):
        await deliver(business.pool, echo(f"wamid.E{number}", clock.now() - (20 - number) * MINUTE))
    await deliver(business.pool, status("wamid.E1", "delivered"))
    assert (await shown(business.pool))[3] == (asked if has_window else None)
    query = "SELECT count(*) FROM message_statuses WHERE pricing IS NOT NULL"
    async with business.pool.connection() as conn:
        assert await (await conn.execute(query)).fetchone() == (0,)


@pytest.mark.requirement("F3")
async def test_a_phone_only_echo_is_filed_with_whom_the_user_id_brought_once_the_pair_was_seen(
    business: Business,
) -> None:
    await deliver(business.pool, inbound("wamid.1", "Oi", phone=None, bsuid=BSUID))
    await deliver(business.pool, echo("wamid.2", clock.now()))
    assert await conversations(business.pool) == [["wamid.1"], ["wamid.2"]]
    pair = {**status("wamid.2", "delivered")}
    pair["value"]["statuses"][0]["recipient_user_id"] = BSUID
    await deliver(business.pool, pair)
    assert await conversations(business.pool) == [["wamid.1", "wamid.2"]]
    await deliver(business.pool, echo("wamid.3", clock.now()))
    assert await conversations(business.pool) == [["wamid.1", "wamid.2", "wamid.3"]]


async def conversations(pool: Pool) -> list[list[str]]:
    """The messages of each conversation."""
    query = "SELECT array_agg(wamid ORDER BY wamid) FROM messages GROUP BY conversation_id ORDER BY 1"
    async with pool.connection() as conn:
        return [row[0] for row in await (await conn.execute(query)).fetchall()]
