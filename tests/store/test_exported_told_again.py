"""What WhatsApp tells after an exported chat was brought in is here once, as if it had told it before."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from coexist.base.database import transaction
from coexist.coexistence import undoing
from coexist.events import feed
from coexist.exported_chats import planning, told_again, worker
from coexist.inbox import inboxes
from coexist.intake.replay import replay_import
from coexist.intake.worker import apply_next
from coexist.media.sweep import sweep
from tests.support.business import NUMBER, deliver
from tests.support.exported_desk import CHAT, FILES, Desk, past
from tests.support.intake import KEYRING

WHEN: Final = datetime(2026, 1, 5, 9, 2, 11, tzinfo=UTC)
FILE_AT: Final = datetime(2026, 1, 5, 9, 3, 41, tzinfo=UTC)
HISTORY: Final = (
    past("wamid.1", WHEN, "Chegaram ontem!", outbound=True),
    past("wamid.2", WHEN + timedelta(seconds=5), "ok", outbound=True),
    past("wamid.P", FILE_AT, None),
)
ALL: Final = """
SELECT CASE WHEN m.wamid LIKE 'exported:%%' THEN 'the export' ELSE m.wamid END, m.direction::text, m.type, m.text,
       m.content_rank, f.state::text, f.stored_sha256
  FROM messages m LEFT JOIN media f ON f.inbox_id = m.inbox_id AND f.wamid = m.wamid ORDER BY 1, 2, 3, 4
"""


async def compare(desk: Desk) -> None:
    while await told_again.compare_next(desk.pool, quiet=timedelta(0)):
        pass


async def undo_the_import(desk: Desk) -> None:
    after: int | None = 0
    while after is not None:
        async with transaction(desk.pool) as conn:
            inbox = await inboxes.get(conn, desk.account_id, desk.inbox.id)
            step = await undoing.undo_some(conn, inbox, after=after)
            await feed.append(conn, step.events)
        after = step.last_id


async def bring_back(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        await replay_import(conn, NUMBER, None, "Inês Duarte")
    while await apply_next(desk.pool, KEYRING, 1):
        pass


async def plainly(desk: Desk, history: Sequence[dict[str, Any]] = HISTORY) -> list[tuple[Any, ...]]:
    """The history first and then the export, and all of it taken back again."""
    await deliver(desk.pool, *history)
    await desk.bring_in(CHAT)
    found = await desk.rows(ALL)
    assert len(found) == 9, "as many as the export has"
    assert len([row for row in found if row[0] != "the export"]) == len(history)
    await desk.undo((await desk.last()).id)
    await undo_the_import(desk)
    assert await desk.rows(ALL) == []
    return found


@pytest.mark.requirement("D1", "D10")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
async def test_a_history_that_comes_after_the_export_ends_as_one_that_came_before(
    desk: Desk, order: Sequence[int]
) -> None:
    expected = await plainly(desk)
    await sweep(desk.keep, is_thorough=False)  # else the file's bytes are about to be deleted
    await desk.bring_in(CHAT)
    for place in order:
        await deliver(desk.pool, HISTORY[place])
        await compare(desk)
    assert await desk.rows(ALL) == expected
    await compare(desk)
    assert await desk.rows(ALL) == expected


@pytest.mark.requirement("D1", "D3")
async def test_the_same_words_twice_give_way_only_as_often_as_they_are_told(desk: Desk) -> None:
    """Two of them are in the export; WhatsApp tells one, and later something else."""
    await desk.bring_in(CHAT)
    await deliver(desk.pool, HISTORY[1])
    await compare(desk)
    await deliver(desk.pool, past("wamid.9", WHEN + timedelta(hours=1), "Outra coisa"))
    await compare(desk)
    texts = await desk.texts()
    assert texts.count(("outbound", "text", "ok")) == 2
    assert ("inbound", "text", "Outra coisa") in texts


@pytest.mark.requirement("D7")
async def test_what_gave_way_is_silent_and_what_whatsapp_told_stays_when_the_export_is_taken_back(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    await deliver(desk.pool, *HISTORY)
    before = (await desk.rows("SELECT max(id) FROM events"))[0][0]
    await compare(desk)
    events = await desk.rows("SELECT kind, payload ? 'is_import' FROM events WHERE id > %s", before)
    assert events == [("conversation_changed", True)]
    await desk.undo((await desk.last()).id)
    told = [("outbound", "text", "Chegaram ontem!"), ("outbound", "text", "ok"), ("inbound", "media_placeholder", None)]
    assert await desk.texts() == told
    assert await desk.rows("SELECT count(*) FROM media") == [(0,)]


@pytest.mark.requirement("D1")
async def test_an_import_that_was_taken_back_before_the_export_comes_back_once(desk: Desk) -> None:
    await deliver(desk.pool, *HISTORY)
    await undo_the_import(desk)
    await desk.bring_in(CHAT)
    await bring_back(desk)
    await compare(desk)
    texts = await desk.texts()
    assert texts.count(("outbound", "text", "Chegaram ontem!")) == 1
    assert texts.count(("inbound", "image", "A receita")) == 1
    assert len(texts) == 9


@pytest.mark.requirement("D1")
async def test_what_whatsapp_tells_while_the_export_comes_in_is_here_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planning.plan

    async def overtaken(*args: Any, **kwargs: Any) -> planning.Plan:
        made = await plan(*args, **kwargs)
        await deliver(desk.pool, HISTORY[1])
        return made

    await deliver(desk.pool, HISTORY[0])
    monkeypatch.setattr(planning, "plan", overtaken)
    await desk.bring_in(CHAT)
    assert len(await desk.texts()) == 10
    await compare(desk)
    texts = await desk.texts()
    assert len(texts) == 9
    assert texts.count(("outbound", "text", "ok")) == 2


@pytest.mark.requirement("D1", "D3", "D10")
@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "4"))))
async def test_whatever_comes_when_each_message_is_here_once(desk: Desk, seed: int) -> None:
    """The export, the chunks, undoing and bringing back in any order."""
    more = past("wamid.3", WHEN + timedelta(seconds=9), "ok", outbound=True)
    chunks = [*HISTORY, more, past("wamid.4", datetime(2026, 1, 6, 18, 30, 59, tzinfo=UTC), "Obrigada, até amanhã")]
    expected = await plainly(desk, chunks)
    await sweep(desk.keep, is_thorough=False)
    chance = random.Random(seed)
    steps: list[Any] = [*chunks, "export", *chance.choices(["undo", "back", "compare", *chunks], k=6)]
    chance.shuffle(steps)
    for step in steps:
        match step:
            case "export":
                await desk.bring_in(CHAT)
            case "undo":
                await undo_the_import(desk)
            case "back":
                await bring_back(desk)
            case "compare":
                await compare(desk)
            case _:
                await deliver(desk.pool, step)
    await bring_back(desk)
    await compare(desk)
    assert await desk.rows(ALL) == expected, steps


async def test_the_worker_compares_once_the_history_has_come_to_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.bring_in(CHAT, {name: FILES[name] for name in FILES})
    await deliver(desk.pool, *HISTORY)
    assert not await told_again.compare_next(desk.pool), "more may come"
    monkeypatch.setattr(told_again, "QUIET", timedelta(0))
    running = asyncio.create_task(
        worker.run(desk.pool, desk.settings, KEYRING, desk.keep, wake=asyncio.Event()), name="importing"
    )
    try:
        async with asyncio.timeout(20):
            while (await desk.rows("SELECT count(*) FROM messages"))[0] != (9,):
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
