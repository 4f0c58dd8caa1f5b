"""A desk where exported chats are given, brought in and taken back, and an invented chat with all kinds of messages."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from coexist.base.config import Settings
from coexist.base.database import transaction
from coexist.exported_chats import actions, planning, store, worker
from coexist.exported_chats.model import Chat, Choices, Report, State
from coexist.exported_chats.stamps import DateOrder
from coexist.inbox import inboxes
from coexist.media.keeping import Keep
from coexist.meta.model import Person
from tests.support.business import DISPLAY, PHONE, Business, change
from tests.support.exported import CONTACT, PHONES, US, Line, Phone, zip_bytes
from tests.support.exported import clock as at
from tests.support.intake import KEYRING

BR = PHONES["pt-BR android"]
IOS = PHONES["pt-PT ios"]
ZONE = "Europe/Lisbon"
ONBOARDED_AT = datetime(2026, 6, 1, tzinfo=UTC)
CARD = b"BEGIN:VCARD\nFN:Rui Costa\nTEL;waid=351910559122:+351 910 559 122\nEND:VCARD\n"


def jpeg() -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(out, "JPEG")
    return out.getvalue()


FILES = {"IMG-20260105-WA0001.jpg": jpeg(), "Rui.vcf": CARD}
CHAT = [
    Line(at(2026, 1, 5, 9, 0), None, BR.notice),
    Line(at(2026, 1, 5, 9, 1), CONTACT, "Bom dia, os óculos já chegaram?"),
    Line(at(2026, 1, 5, 9, 2), US, "Chegaram ontem!"),
    Line(at(2026, 1, 5, 9, 2), US, "ok"),
    Line(at(2026, 1, 5, 9, 2), US, "ok"),
    Line(at(2026, 1, 5, 9, 3), CONTACT, "A receita", file="IMG-20260105-WA0001.jpg"),
    Line(at(2026, 1, 5, 9, 4), CONTACT, "", file="Rui.vcf"),
    Line(at(2026, 1, 5, 9, 5), US, is_omitted=True),
    Line(at(2026, 1, 5, 9, 6), CONTACT, "location: https://maps.google.com/?q=38.7223,-9.1393"),
    Line(at(2026, 1, 5, 9, 7), CONTACT, BR.deleted),
    Line(at(2026, 1, 5, 9, 8), CONTACT, BR.call),
    Line(at(2026, 1, 6, 18, 30), CONTACT, "Obrigada, até amanhã"),
]


class Desk:
    """One number, its files, and somebody who brings chats in."""

    def __init__(self, business: Business, settings: Settings, keep: Keep) -> None:
        self.business, self.settings, self.keep = business, settings, keep
        self.pool, self.inbox, self.account_id = business.pool, business.inbox, business.member.account_id

    async def give(self, content: bytes, name: str = "Conversa do WhatsApp com Marta Reis.zip") -> int:
        """Take in a file, piece by piece."""

        async def chunks() -> AsyncIterator[bytes]:
            for place in range(0, len(content), 1000):
                yield content[place : place + 1000]

        user_id = self.business.member.user_id
        return await actions.receive(self.pool, self.settings, KEYRING, self.account_id, user_id, name, chunks())

    def choices(self, zone: str = ZONE, phone: str = PHONE, own_name: str = US) -> Choices:
        """What somebody decided about CHAT."""
        return Choices(self.inbox.id, Person(phone=phone), [CONTACT, US], own_name, zone, DateOrder.DAY_FIRST)

    async def start(self, chat_id: int, choices: Choices) -> None:
        """Decide."""
        async with transaction(self.pool) as conn:
            inbox = await inboxes.get(conn, self.account_id, self.inbox.id)
            await actions.start(conn, self.settings, self.account_id, chat_id, inbox, choices)

    async def work(self) -> None:
        """Do what waits."""
        while await worker.work_next(self.pool, self.settings, KEYRING, self.keep):
            pass

    async def bring_in(
        self,
        lines: Sequence[Line],
        files: Mapping[str, bytes] = FILES,
        phone: Phone = BR,
        choices: Choices | None = None,
    ) -> Report:
        """Give, decide and do; return what came of it."""
        chat_id = await self.give(zip_bytes(phone, lines, files))
        await self.start(chat_id, choices or self.choices())
        await self.work()
        done = await self.chat(chat_id)
        assert done.state is State.APPLIED, done.error
        assert done.report is not None
        return done.report

    async def undo(self, chat_id: int) -> None:
        """Take an import back."""
        async with transaction(self.pool) as conn:
            await actions.undo(conn, self.account_id, chat_id)
        await self.work()

    async def chat(self, chat_id: int) -> Chat:
        """An import as it is now."""
        async with transaction(self.pool) as conn:
            return await store.chat(conn, self.account_id, chat_id)

    async def last(self) -> Chat:
        """The newest import."""
        async with transaction(self.pool) as conn:
            return (await store.chats(conn, self.account_id))[0]

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        async with self.pool.connection() as conn:
            return await (await conn.execute(query, values)).fetchall()

    async def texts(self) -> list[tuple[Any, ...]]:
        """Every message: way, kind and words, in the order of time."""
        return await self.rows("SELECT direction::text, type, text FROM messages ORDER BY sent_at, id")

    async def plan(self, content: bytes, choices: Choices) -> planning.Plan:
        """What an import would do."""
        chat_id = await self.give(content)
        path = actions.path_of(self.settings.data_dir, chat_id)
        async with transaction(self.pool) as conn:
            contact, _ = await actions.chosen_contact(conn, self.inbox, contact_id=None, phone=PHONE)
        return await planning.plan(
            self.pool, path, chat_id, self.inbox, contact.id if contact else None, choices, has_seconds=False
        )


def past(wamid: str, when: datetime, text: str | None, *, outbound: bool = False) -> dict[str, Any]:
    """A message of a history chunk of Meta's; without a text, a placeholder."""
    what = {"type": "text", "text": {"body": text}} if text is not None else {"type": "media_placeholder"}
    ids = {"from": DISPLAY, "to": PHONE} if outbound else {"from": PHONE}
    message = {
        "id": wamid,
        "timestamp": str(int(when.timestamp())),
        "history_context": {"status": "READ"},
        **ids,
        **what,
    }
    chunk = {
        "metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
        "threads": [{"id": PHONE, "messages": [message]}],
    }
    return change("history", history=[chunk])


WHEN = datetime(2026, 1, 5, 9, 2, 41, tzinfo=UTC)
