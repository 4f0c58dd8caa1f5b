"""What is proposed before a chat is brought in: whose it is, who we are, in which zone the phone was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coexist.base.database import transaction
from coexist.base.errors import Invalid, NotFound
from coexist.exported_chats import actions, planning, threads
from coexist.exported_chats.stamps import DateOrder
from coexist.inbox.inboxes import Inbox
from coexist.meta.model import Person
from tests.support.business import DISPLAY, change, deliver, inbound
from tests.support.exported import CONTACT, US, Line, zip_bytes
from tests.support.exported_desk import BR, CHAT, FILES, Desk, past


async def proposal(desk: Desk, lines: Sequence[Line], file_name: str) -> tuple[Inbox, Any, Any, Any]:
    chat_id = await desk.give(zip_bytes(BR, lines, {}), file_name)
    found, _ = await asyncio.to_thread(planning.survey, actions.path_of(desk.settings.data_dir, chat_id))
    likely = await planning.candidates(desk.pool, desk.inbox, found, file_name)
    contact = likely[0] if likely else None
    known = await planning.evidence(desk.pool, desk.inbox, contact, found, DateOrder.DAY_FIRST)
    return desk.inbox, found, contact, known


async def test_the_thread_tells_who_we_are_and_in_which_zone_the_phone_was(desk: Desk) -> None:
    nine_there = datetime(2026, 1, 5, 12, 1, 30, tzinfo=UTC)
    await deliver(
        desk.pool,
        inbound("wamid.N", "Olá", at=datetime(2026, 6, 2, tzinfo=UTC)),
        past("wamid.1", nine_there, "Bom dia, os óculos já chegaram?"),
        past("wamid.2", nine_there + timedelta(minutes=1), "Chegaram ontem!", outbound=True),
    )
    chat = [replace(line, who="Rui" if line.who == CONTACT else line.who) for line in CHAT]
    _, found, contact, known = await proposal(desk, chat, "Conversa do WhatsApp com Rui.zip")
    assert contact.name == "Rui"
    assert contact.shared_count == 2
    assert planning.propose_own_name(found, contact, known, file_name="x", our_names=[]) == US
    zone = planning.propose_zone(known, ["Europe/Lisbon"], has_seconds=False)
    assert (zone.agreeing_count, zone.pair_count, zone.is_proven) == (2, 2, True)
    assert nine_there.astimezone(ZoneInfo(zone.name)).strftime("%H:%M") == "09:01"


async def test_without_a_thread_names_tell(desk: Desk) -> None:
    _, found, contact, known = await proposal(desk, CHAT, "Conversa do WhatsApp com Marta Reis.zip")
    assert contact is None
    name = "Conversa do WhatsApp com Marta Reis"
    assert planning.propose_own_name(found, None, known, file_name=name, our_names=[]) == US
    assert planning.propose_own_name(found, None, known, file_name="chat.zip", our_names=[US]) == US
    assert planning.propose_own_name(found, None, known, file_name="chat.zip", our_names=[]) is None


async def test_a_number_as_a_name_finds_its_contact(desk: Desk) -> None:
    await deliver(desk.pool, inbound("wamid.N", "Olá"))
    lines = [replace(line, who="+351 910 559 111" if line.who == CONTACT else line.who) for line in CHAT]
    _, _, contact, _ = await proposal(desk, lines, "chat.zip")
    assert contact.name == "Rui"


async def test_a_number_is_shown_and_found_as_people_write_it(desk: Desk) -> None:
    marina = {"full_name": "Marina", "phone_number": "5511985500112"}
    entry = {"type": "contact", "action": "add", "contact": marina, "metadata": {"timestamp": "1780000000"}}
    book = change("smb_app_state_sync", state_sync=[entry])
    await deliver(desk.pool, inbound("wamid.N", "Olá", phone="551185500112"), book)
    lines = [replace(line, who="+55 11 98550-0112" if line.who == CONTACT else "Loja") for line in CHAT]
    _, found, contact, known = await proposal(desk, lines, "chat.zip")
    assert (contact.name, contact.phone) == ("Marina", "5511985500112")
    assert planning.propose_own_name(found, contact, known, file_name="chat.zip", our_names=[]) == "Loja"
    async with transaction(desk.pool) as conn:
        for words in ("98550-0112", "551185500112"):
            digits = words.replace("-", "")
            assert await threads.contacts_like(conn, desk.inbox.scope_id, words, digits) == [contact], words


async def test_whose_chat_it_is_can_be_said_by_number(desk: Desk) -> None:
    async with transaction(desk.pool) as conn:
        for phone, words in (
            ("", "Say whose"),
            ("123", "Say whose"),
            ("Marta", "Say whose"),
            (DISPLAY, "our own number"),
        ):
            with pytest.raises(Invalid, match=words):
                await actions.chosen_contact(conn, desk.inbox, contact_id=None, phone=phone)
        contact, person = await actions.chosen_contact(conn, desk.inbox, contact_id=None, phone="+351 910 559 177")
        assert contact is None
        assert person == Person(phone="351910559177")
        with pytest.raises(NotFound):
            await actions.chosen_contact(conn, desk.inbox, contact_id=12345, phone="")
        assert await threads.contacts_like(conn, desk.inbox.scope_id, "%", "") == []


async def test_a_preview_writes_nothing(desk: Desk) -> None:
    plan = await desk.plan(zip_bytes(BR, CHAT, FILES), desk.choices())
    report = plan.report()
    assert (report.new, report.files, report.missing_files) == (9, 1, 1)
    assert await desk.rows("SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM contacts)") == [(0, 0)]
