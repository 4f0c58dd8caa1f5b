"""Somebody becomes private while chats that the phone exported are brought in, taken back, and told once more.

The schedules of ``test_private``, in which the team also gives exported chats: of that person, under any of their ids,
and of somebody else to whom they are shown.

By hand, for hours: ``SCHEDULES=10000 .venv/bin/pytest -s tests/invariants/test_private_exported.py``.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.base.errors import AppError, Unavailable
from coexist.exported_chats import actions, store, told_again, worker
from coexist.exported_chats.model import Choices
from coexist.exported_chats.stamps import DateOrder
from coexist.inbox import inboxes
from coexist.media.keeping import open_keep
from coexist.media.storage import open_storage
from coexist.media.sweep import sweep
from coexist.meta.model import Person
from tests.invariants.test_private import STEPS_COUNT, World, in_small_steps
from tests.support import private, wire
from tests.support.exported import PHONES, US, Line, zip_bytes
from tests.support.intake import KEYRING

SCHEDULES_COUNT: Final = int(os.environ.get("SCHEDULES", "8"))
SHARE: Final = 0.3
ZONE: Final = ZoneInfo("Europe/Lisbon")
ANDROID: Final = PHONES["en-GB android"]
CARD: Final = f"BEGIN:VCARD\nFN:{private.NAME}\nTEL;waid={private.WA_ID}:+{private.PHONE}\nEND:VCARD\n".encode()
PEOPLE: Final = (
    Person(phone=private.WA_ID), Person(phone=private.PHONE), Person(bsuid=private.BSUID),
    Person(bsuid=private.NEXT_BSUID),
)  # fmt: skip


def clock(at: int) -> datetime:
    """What the phone's clock showed some seconds before EPOCH."""
    return datetime.fromtimestamp(wire.EPOCH - at, ZONE).replace(tzinfo=None)


THEIRS: Final = [
    Line(clock(900), private.NAME, f"{private.WORDS} of before"),
    Line(clock(600), private.NAME, f"{private.WORDS} with a file", file="exame.pdf"),
    Line(clock(91), US, f"{private.WORDS} past sent"),  # which the history tells as well
    Line(clock(90), private.NAME, f"{private.WORDS} past"),
]
OTHERS: Final = [
    Line(clock(800), "Rui", "Tens o contacto?"),
    Line(clock(700), US, "", file="contact.vcf"),
    Line(clock(650), US, f"+{private.PHONE}"),
    Line(clock(90), "Rui", "antes"),
]


class Exporting(World):
    """The same shop, whose team gives exported chats."""

    async def step(self) -> None:
        if self.chance.random() >= SHARE:
            await super().step()
            return
        act = self.chance.choice((self.give, self.give, self.bring, self.take_back, self.compare, self.tidy))
        self.steps.append(act.__name__)
        with suppress(AppError):
            await act()

    async def give(self) -> None:
        """A chat, mostly decided about at once; before anybody is private it may wait."""
        name, lines, person = self.chance.choice(
            [(private.NAME, THEIRS, self.chance.choice(PEOPLE)), ("Rui", OTHERS, Person(phone=private.OTHER))]
        )
        content = zip_bytes(ANDROID, lines, {"exame.pdf": f"%PDF {private.WORDS}".encode(), "contact.vcf": CARD})

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        title = f"WhatsApp Chat with {name}.zip"
        chat_id = await actions.receive(
            self.pool, self.settings, KEYRING, self.account_id, self.member.user_id, title, chunks()
        )
        if self.number_id is None and self.chance.random() < 0.2:
            return
        choices = Choices(1, person, [name, US], US, "Europe/Lisbon", DateOrder.DAY_FIRST)
        async with transaction(self.pool) as conn:
            inbox = await inboxes.get(conn, self.account_id, 1)
            await actions.start(conn, self.settings, self.account_id, chat_id, inbox, choices)

    async def bring(self) -> None:
        while await worker.work_next(self.pool, self.settings, KEYRING, self.keep):
            pass

    async def take_back(self) -> None:
        async with transaction(self.pool) as conn:
            chats = await store.chats(conn, self.account_id)
        if chats:
            async with transaction(self.pool) as conn:
                await actions.undo(conn, self.account_id, self.chance.choice(chats).id)

    async def compare(self) -> None:
        while await told_again.compare_next(self.pool, quiet=timedelta(0)):
            pass

    async def tidy(self) -> None:
        """What no import needs any more goes, however young it is."""
        folder = self.settings.data_dir / actions.FOLDER
        for path in folder.glob("*"):
            os.utime(path, (0, 0))
        await worker.tidy(self.pool, self.settings)

    async def settle(self) -> None:
        for _ in range(2):
            for _ in range(20):  # the same file cannot be kept while its former copy is being deleted
                await sweep(self.keep, is_thorough=False)
                with suppress(Unavailable):
                    await self.bring()
                    break
            else:
                raise AssertionError("an import never ended")
            await super().settle()
            await self.compare()
        await self.tidy()
        await sweep(self.keep, is_thorough=False)


@pytest.mark.requirement("G11")
async def test_nothing_is_left_of_somebody_private_in_or_of_exported_chats(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch)
    settings = replace(Settings(), data_dir=tmp_path)
    first = random.Random().randrange(2**32) if "SCHEDULES" in os.environ else 1
    async with aclosing(open_storage(settings)) as storage:
        keep = open_keep(pool, settings, storage)
        for seed in range(first, first + SCHEDULES_COUNT):
            world = Exporting(pool, settings, keep, seed)
            await world.begin()
            for _ in range(STEPS_COUNT):
                await world.step()
            await world.end()
            await world.check()
