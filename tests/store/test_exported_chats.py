"""Chats that the phone exported, brought into threads: everything in them, no duplicates, no noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coexist.base.database import transaction
from coexist.exported_chats import actions
from coexist.exported_chats.reading import LIVE_WORDS
from coexist.inbox.model import EXPORTED_PREFIX
from tests.support.business import deliver, inbound
from tests.support.exported import CONTACT, US, Line
from tests.support.exported import clock as at
from tests.support.exported_desk import CHAT, IOS, WHEN, Desk, past

# ── bringing in ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_chat_comes_into_its_thread_with_its_files(desk: Desk) -> None:
    report = await desk.bring_in(CHAT)
    assert (report.new, report.filled, report.here, report.files, report.missing_files) == (9, 0, 0, 1, 1)
    assert report.skipped == {"notice": 1, "deleted": 1, "call": 1}
    assert (report.first_at, report.last_at) == (
        datetime(2026, 1, 5, 9, 1, tzinfo=UTC), datetime(2026, 1, 6, 18, 30, tzinfo=UTC)
    )  # fmt: skip
    assert await desk.texts() == [
        ("inbound", "text", "Bom dia, os óculos já chegaram?"),
        ("outbound", "text", "Chegaram ontem!"),
        ("outbound", "text", "ok"),
        ("outbound", "text", "ok"),
        ("inbound", "image", "A receita"),
        ("inbound", "contacts", "Rui Costa"),
        ("outbound", "media_placeholder", None),
        ("inbound", "location", "38.7223, -9.1393"),
        ("inbound", "text", "Obrigada, até amanhã"),
    ]
    rows = await desk.rows(
        "SELECT DISTINCT origin::text, direction::text, imported, opens_window FROM messages ORDER BY 1"
    )
    assert rows == [("app", "outbound", True, False), ("contact", "inbound", True, False)]
    assert all(row[0].startswith(EXPORTED_PREFIX) for row in await desk.rows("SELECT wamid FROM messages"))
    assert await desk.rows("SELECT state::text, mime_type, width, height FROM media") == [
        ("stored", "image/jpeg", 30, 20)
    ]
    assert not list((desk.settings.data_dir / actions.FOLDER).iterdir()), "the file is gone once it is applied"


@pytest.mark.requirement("D7")
async def test_an_import_is_silent(desk: Desk) -> None:
    await deliver(desk.pool, inbound("wamid.LIVE", "Olá", at=datetime.now(UTC)))
    async with transaction(desk.pool) as conn:
        await conn.execute("DELETE FROM events")
        before = await (await conn.execute("SELECT row_to_json(c) FROM conversations c")).fetchall()
    await desk.bring_in(CHAT)
    after = await desk.rows("SELECT row_to_json(c) FROM conversations c")
    assert [{**row[0], "first_message_at": None} for row in after] == [
        {**row[0], "first_message_at": None} for row in before
    ]
    kinds = [row[0] for row in await desk.rows("SELECT kind FROM events ORDER BY id")]
    assert kinds == ["sync_progressed", "sync_progressed", "conversation_changed"], "progress, the end, the list"


@pytest.mark.requirement("D9")
async def test_a_new_thread_carries_its_dates_and_is_filed(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    rows = await desk.rows(
        "SELECT c.state::text, c.unread_count, c.first_message_at, c.window_opened_at, k.first_seen_at"
        " FROM conversations c JOIN contacts k ON k.id = c.contact_id"
    )
    first = datetime(2026, 1, 5, 9, 1, tzinfo=UTC)
    assert rows == [("resolved", 0, first, None, first)]


async def test_times_are_of_the_zone_that_was_chosen(desk: Desk) -> None:
    await desk.bring_in(CHAT[1:2], choices=desk.choices("America/Sao_Paulo"))
    assert await desk.rows("SELECT sent_at FROM messages") == [(datetime(2026, 1, 5, 12, 1, tzinfo=UTC),)]


async def test_the_order_of_the_file_is_kept_within_a_minute(desk: Desk) -> None:
    """Also around a message of Meta's, whose second is known."""
    minute = at(2026, 1, 5, 9, 2)
    lines = [Line(minute, US if n % 2 else CONTACT, f"Mensagem {n}") for n in range(40)]
    await deliver(desk.pool, past("wamid.M", WHEN, "Mensagem 20"))
    await desk.bring_in(lines)
    assert [row[2] for row in await desk.texts()] == [f"Mensagem {n}" for n in range(40)]
    times = [row[0] for row in await desk.rows("SELECT sent_at FROM messages ORDER BY sent_at")]
    assert len(set(times)) == 40
    assert (times[0], times[20]) == (WHEN.replace(second=0), WHEN)


async def test_hours_around_the_end_of_summer_time(desk: Desk) -> None:
    night = [Line(at(2025, 10, 26, 1, minute), US, f"às {minute}") for minute in (10, 50, 20)]
    await desk.bring_in(night)
    times = [row[0].strftime("%H:%M") for row in await desk.rows("SELECT sent_at FROM messages ORDER BY sent_at")]
    assert times == ["00:10", "00:50", "01:20"]


# ── no duplicates ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_meta_gave_is_not_brought_in_again(desk: Desk) -> None:
    await deliver(
        desk.pool,
        past("wamid.1", WHEN, "Chegaram ontem!", outbound=True),
        past("wamid.2", WHEN + timedelta(seconds=5), "ok", outbound=True),
        past("wamid.3", datetime(2026, 1, 6, 18, 30, 59, tzinfo=UTC), "Obrigada, até amanhã"),
    )
    report = await desk.bring_in(CHAT)
    assert (report.new, report.here) == (6, 3)
    said = await desk.texts()
    assert said.count(("outbound", "text", "ok")) == 2, "one of Meta's, one of the export's"
    assert said.count(("inbound", "text", "Obrigada, até amanhã")) == 1


@pytest.mark.parametrize("again", [CHAT, CHAT[3:], CHAT[:8]])
async def test_the_same_export_or_a_part_of_it_adds_nothing(desk: Desk, again: Sequence[Line]) -> None:
    await desk.bring_in(CHAT)
    before = await desk.rows("SELECT id, wamid, sent_at FROM messages ORDER BY id")
    report = await desk.bring_in(again)
    assert report.new == 0
    assert report.filled == 0
    assert await desk.rows("SELECT id, wamid, sent_at FROM messages ORDER BY id") == before


async def test_a_longer_export_adds_what_is_new(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    report = await desk.bring_in([*CHAT, Line(at(2026, 2, 1, 10, 0), US, "Temos novidades")])
    assert (report.new, report.here) == (1, 9)


async def test_what_is_on_the_phone_only_keeps_its_place_once(desk: Desk) -> None:
    chat = [*CHAT[:2], Line(at(2026, 1, 5, 9, 2), CONTACT, "live location shared")]
    await desk.bring_in(chat)
    assert (await desk.texts())[-1] == ("inbound", "unsupported", LIVE_WORDS)
    assert (await desk.bring_in(chat)).here == 2


async def test_the_other_phone_exports_the_same_chat_with_seconds(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    ios = [
        replace(line, at=line.at + timedelta(seconds=20)) for line in CHAT if line.who and not line.file and line.text
    ]
    report = await desk.bring_in([line for line in ios if "maps" not in line.text], {}, IOS)
    assert report.new == 0


@pytest.mark.requirement("D10")
async def test_a_file_takes_the_place_of_what_meta_only_told_of(desk: Desk) -> None:
    when = datetime(2026, 1, 5, 9, 3, 41, tzinfo=UTC)
    await deliver(desk.pool, past("wamid.P", when, None))
    report = await desk.bring_in(CHAT)
    assert (report.filled, report.files) == (1, 1)
    row = "SELECT type, text, sent_at FROM messages WHERE wamid = 'wamid.P'"
    assert await desk.rows(row) == [("image", "A receita", when)], "with Meta's exact time"
    await desk.undo((await desk.last()).id)
    assert await desk.rows(row) == [("media_placeholder", None, when)]
    assert await desk.rows("SELECT count(*) FROM media") == [(0,)]


async def test_an_export_with_files_completes_one_without(desk: Desk) -> None:
    await desk.bring_in([*CHAT[:5], replace(CHAT[5], file="", text="", is_omitted=True)], {})
    report = await desk.bring_in(CHAT[:6])
    assert (report.new, report.filled, report.files) == (0, 1, 1)
    assert ("inbound", "image", "A receita") in await desk.texts()


async def test_another_zone_the_second_time_makes_no_second_copy(desk: Desk) -> None:
    await desk.bring_in(CHAT)
    report = await desk.bring_in(CHAT, choices=desk.choices("Asia/Tokyo"))
    assert (report.new, report.moved) == (0, 9)
